#include "api/resources.h"

#include "api/handlers.h"
#include "base/clock.h"
#include "base/parse.h"
#include "domain/hold.h"

#include <string.h>

static const char *const scopes[] = {"all", "schedule", "messageset", NULL};

static const struct field fields[] = {
	{.name = "id", .column = "id", .type = FIELD_INT, .flags = FIELD_READ_ONLY, .min = 1, .max = INT32_MAX, .label = "ID"},
	{.name = "scope", .column = "scope", .type = FIELD_CHOICE, .flags = FIELD_REQUIRED, .choices = scopes, .label = "Scope"},
	{.name = "schedule", .column = "schedule_id", .type = FIELD_REF, .flags = FIELD_NULL, .table = "schedule", .label = "Schedule"},
	{.name = "messageset", .column = "messageset_id", .type = FIELD_REF, .flags = FIELD_NULL, .table = "messageset",
	    .label = "Message set"},
	{.name = "reason", .column = "reason", .type = FIELD_TEXT, .flags = FIELD_BLANK, .max = 500, .label = "Reason"},
	{.name = "created_at", .column = "created_at", .type = FIELD_TIME, .flags = FIELD_READ_ONLY | FIELD_CREATED,
	    .label = "Created at"},
	{0},
};

/* A scope names what it is about, and nothing else. */
static int
check(struct req *r, struct resource_change *change)
{
	const char *scope = resource_value(change, "scope");

	for (const char *const *name = scopes + 1; *name; name++) {
		bool is_named = resource_value(change, *name);

		if (is_named && strcmp(scope, *name) != 0)
			req_fail_field(r, *name, "This must be left out with scope \"%s\".", scope);
		else if (!is_named && strcmp(scope, *name) == 0)
			req_fail_field(r, *name, "This field is required with scope \"%s\".", scope);
	}
	return req_failed(r) ? -1 : 0;
}

static int
written(struct req *r, const struct resource_change *change)
{
	(void)change;
	req_wake(r, "hold");
	return 0;
}

const struct resource hold_resource = {
	.name = "hold",
	.table = "hold",
	.label = "hold",
	.fields = fields,
	.order = RESOURCE_BY_ID,
	.verbs = RESOURCE_LIST | RESOURCE_CREATE | RESOURCE_RETRIEVE | RESOURCE_DELETE,
	.unique_together = "This is paused already.",
	.check = check,
	.written = written,
};

static int
decide(struct req *r, enum db_status (*decision)(struct db *, int64_t, int64_t, bool *))
{
	enum db_status status;
	int64_t id;
	bool done;

	if (parse_int(r->args[0], 1, INT64_MAX, &id) < 0)
		return req_fail(r, 404, "Not found.");
	if (req_begin(r) < 0)
		return -1;
	status = decision(r->db, id, clock_now(), &done);
	if (status != DB_OK)
		return req_fail_db(r, status);
	if (!done)
		return req_fail(r, 409, "The run is not held.");
	req_wake(r, "run");
	return progress_show_run(r);
}

int
hold_release_run(struct req *r)
{
	return decide(r, run_release);
}

int
hold_cancel_run(struct req *r)
{
	return decide(r, run_cancel);
}
