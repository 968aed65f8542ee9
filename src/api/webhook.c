#include "api/handlers.h"

#include "api/resources.h"
#include "base/boundary.h"
#include "base/clock.h"
#include "io/digest.h"

#include <string.h>

/* A request id of the Hub that is longer is kept as its digest: an index entry has its bounds. */
#define HUB_ID_MAX 128

/* The id of the Hub's request record, as it is kept: NULL when there is none. */
static const char *
hub_id(struct req *r, const json_t *id)
{
	const char *text = json_string_value(id);
	char *digest;

	if (json_is_integer(id))
		return arena_printf(r->arena, "%lld", (long long)json_integer_value(id));
	if (!text || !*text || strlen(text) <= HUB_ID_MAX)
		return text && *text ? text : NULL;
	digest = arena_alloc(r->arena, DIGEST_HEX_SIZE);
	digest_sha256_hex(text, strlen(text), digest);
	return digest;
}

/* The body is {"data": {...}}; what the Hub sends beside it is not looked at. */
static int
read_data(struct req *r, const json_t **data)
{
	if (req_body(r) < 0)
		return -1;
	*data = json_object_get(r->body, "data");
	if (!*data)
		return req_fail_field(r, "data", "This field is required.");
	return 0;
}

static void
release(void *json)
{
	json_decref(json);
}

/* initial_sequence_number is what next_sequence_number is where it is not given; null when neither is. */
static const json_t *
fill_in(struct req *r, const json_t *data)
{
	json_t *filled, *next;

	if (!json_is_object(data) || json_object_get(data, "initial_sequence_number"))
		return data;
	filled = json_copy((json_t *)(uintptr_t)data);
	arena_own(r->arena, release, filled);
	next = json_object_get(data, "next_sequence_number");
	if (!filled || (next ? json_object_set(filled, "initial_sequence_number", next) : json_object_set_new(filled, "initial_sequence_number", json_null())) < 0)
		return data;
	return filled;
}

static const struct value *
value_of(const struct value *values, const char *name)
{
	return &values[resource_column(&subscription_resource, name)];
}

static void
put_values(struct db_params *params, const struct value *values)
{
	static const char *const columns[] = {
		"identity", "version", "messageset", "schedule", "initial_sequence_number", "next_sequence_number",
		"lang", "active", "completed", "process_status",
	};
	const struct value *metadata = value_of(values, "metadata");

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		db_param_text(params, value_of(values, columns[i])->text);
	db_param_text(params, metadata->state == VALUE_ABSENT ? "{}" : metadata->text);
}

static int
check_rows(struct req *r, const struct value *values)
{
	return field_check_rows(r, subscription_resource.fields, values, subscription_resource.table, NULL);
}

/* A second delivery of the same id finds its row and makes no other. */
static int
insert(struct req *r, const json_t *data, const struct value *values)
{
	struct db_params params;
	enum db_status status;

	/* Alone, the statement's own foreign keys answer; within a transaction it must not fail. */
	if (r->in_transaction && check_rows(r, values) < 0)
		return -1;
	db_params_init(&params);
	put_values(&params, values);
	db_param_text(&params, hub_id(r, json_object_get(data, "id")));
	db_param_time(&params, clock_now());
	boundary_pass(BOUNDARY_API_INSERT);
	status = req_try(r, &db_queries[DB_Q_WEBHOOK_INSERT], &params, NULL);
	boundary_pass(BOUNDARY_API_INSERTED);
	if (status == DB_OK)
		return 0;
	if (status == DB_FOREIGN_KEY && !r->in_transaction && check_rows(r, values) < 0)
		return -1;
	return req_fail_db(r, status);
}

int
webhook_receive(struct req *r)
{
	const struct field *fields = subscription_resource.fields;
	struct value *values = arena_array(r->arena, (size_t)field_count(fields), sizeof(*values));
	const json_t *data;

	if (read_data(r, &data) < 0)
		return -1;
	if (field_read_object(r, fields, false, fill_in(r, data), "data", values) < 0) {
		/* All errors go into one answer. */
		check_rows(r, values);
		return -1;
	}
	if (insert(r, data, values) < 0)
		return -1;
	buf_puts(r->out, "{\"accepted\":true}");
	return req_answer(r, 201);
}
