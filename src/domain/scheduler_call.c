#include "domain/scheduler_call.h"

#include "base/settings.h"
#include "io/json.h"

#include <string.h>

bool scheduler_is_external(void)
{
	return *setting_str(SETTING_SCHEDULER_URL) != '\0';
}

bool scheduler_knows_zone(const char *timezone)
{
	return !timezone || !strcmp(timezone, "UTC") || !strcmp(timezone, "Etc/UTC");
}

static void call_params(struct db_params *params, int64_t schedule_id, const char *request_id, int64_t now)
{
	db_params_init(params);
	db_param_int(params, schedule_id);
	db_param_text(params, request_id);
	db_param_time(params, now);
}

enum db_status scheduler_call_record(struct db *db, int64_t schedule_id, const char *request_id, int64_t now, bool *made)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	call_params(&params, schedule_id, request_id, now);
	status = db_query(db, DB_Q_SCHEDULER_CALL_RECORD, &params, &result);
	if (made)
		*made = status == DB_OK && db_affected(result) == 1;
	db_result_free(result);
	return status;
}

enum db_status scheduler_call_record_delete(struct db *db, int64_t schedule_id, const char *request_id, int64_t now)
{
	struct db_params params;

	call_params(&params, schedule_id, request_id, now);
	return db_query(db, DB_Q_SCHEDULER_CALL_RECORD_DELETE, &params, NULL);
}

/* A setting with an address, without slashes at its end. */
static void put_base(const char *url, struct buf *out)
{
	size_t n = strlen(url);

	while (n > 0 && url[n - 1] == '/')
		n--;
	buf_put(out, url, n);
}

void scheduler_put_endpoint(int64_t schedule_id, struct buf *out)
{
	put_base(setting_str(SETTING_URL), out);
	buf_puts(out, "/api/v1/schedule/");
	buf_put_int(out, schedule_id);
	buf_puts(out, "/send/");
}

void scheduler_put_url(const char *id, struct buf *out)
{
	put_base(setting_str(SETTING_SCHEDULER_URL), out);
	buf_puts(out, "/schedule/");
	if (id)
		buf_printf(out, "%s/", id);
}

/* The scheduler parts the fields at blanks, so there are none inside. */
static void put_cron(const char *const fields[CRON_FIELD_MAX], struct buf *out)
{
	static const enum cron_field order[CRON_FIELD_MAX] = {CRON_MINUTE, CRON_HOUR, CRON_DAY_OF_MONTH, CRON_MONTH_OF_YEAR, CRON_DAY_OF_WEEK};

	for (int i = 0; i < CRON_FIELD_MAX; i++) {
		if (i)
			buf_putc(out, ' ');
		for (const char *c = fields[order[i]]; *c; c++)
			if (!strchr(" \t\n\v\f\r", *c))
				buf_putc(out, *c);
	}
}

void scheduler_put_body(int64_t schedule_id, const char *const fields[CRON_FIELD_MAX], struct buf *out)
{
	struct buf text;

	buf_init(&text, 4096);
	put_cron(fields, &text);
	buf_puts(out, "{\"frequency\": null, \"cron_definition\": ");
	buf_put_json(out, buf_text(&text));
	buf_reset(&text);
	scheduler_put_endpoint(schedule_id, &text);
	buf_puts(out, ", \"endpoint\": ");
	buf_put_json(out, buf_text(&text));
	buf_puts(out, ", \"auth_token\": ");
	buf_put_json(out, setting_str(SETTING_SCHEDULER_INBOUND_API_TOKEN));
	buf_putc(out, '}');
	out->overflow = out->overflow || text.overflow;
	buf_fini(&text);
}

void scheduler_digest(const struct buf *body, char out[DIGEST_HEX_SIZE])
{
	digest_sha256_hex(buf_text(body), body->length, out);
}

static int read_uuid(const json_t *id, char out[UUID_TEXT_SIZE])
{
	return json_is_string(id) ? parse_uuid(json_string_value(id), out) : -1;
}

int scheduler_read_id(const char *body, size_t n, char out[UUID_TEXT_SIZE])
{
	json_t *answer = NULL;
	char error[128];
	int rc;

	if (json_read(body, n, &answer, error, sizeof error) != JSON_FINE)
		return -1;
	rc = read_uuid(json_object_get(answer, "id"), out);
	json_decref(answer);
	return rc;
}

static bool find_endpoint(const json_t *list, const char *endpoint, char id[UUID_TEXT_SIZE])
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		const char *its = json_string_value(json_object_get(one, "endpoint"));

		if (its && !strcmp(its, endpoint) && !json_is_false(json_object_get(one, "enabled")) && read_uuid(json_object_get(one, "id"), id) == 0)
			return true;
	}
	return false;
}

enum scheduler_page scheduler_read_page(const char *body, size_t n, const char *endpoint, char id[UUID_TEXT_SIZE], struct buf *next)
{
	enum scheduler_page page = SCHEDULER_PAGE_ODD;
	const json_t *list;
	const char *link;
	json_t *answer = NULL;
	char error[128];

	buf_reset(next);
	if (json_read(body, n, &answer, error, sizeof error) != JSON_FINE)
		return page;
	list = json_is_array(answer) ? answer : json_object_get(answer, "results");
	/* Only the query is taken of the link: our token goes to no other address than the configured one. */
	link = json_string_value(json_object_get(answer, "next"));
	link = link ? strchr(link, '?') : NULL;
	if (json_is_array(list)) {
		page = find_endpoint(list, endpoint, id) ? SCHEDULER_PAGE_FOUND : link ? SCHEDULER_PAGE_MORE : SCHEDULER_PAGE_END;
		if (page == SCHEDULER_PAGE_MORE)
			buf_puts(next, link);
	}
	json_decref(answer);
	return page;
}
