#include "api/resources.h"

#include "base/clock.h"
#include "domain/cron.h"
#include "domain/delivery.h"
#include "domain/scheduler_call.h"
#include "domain/tick.h"

#include <stdlib.h>

static const struct field fields[] = {
	{.name = "id", .column = "id", .type = FIELD_INT, .flags = FIELD_READ_ONLY, .min = 1, .max = INT32_MAX, .label = "ID"},
	{.name = "minute", .column = "minute", .type = FIELD_TEXT, .max = 64, .label = "Minute"},
	{.name = "hour", .column = "hour", .type = FIELD_TEXT, .max = 64, .label = "Hour"},
	{.name = "day_of_week", .column = "day_of_week", .type = FIELD_TEXT, .max = 64, .label = "Day of week"},
	{.name = "day_of_month", .column = "day_of_month", .type = FIELD_TEXT, .max = 64, .label = "Day of month"},
	{.name = "month_of_year", .column = "month_of_year", .type = FIELD_TEXT, .max = 64, .label = "Month of year"},
	{.name = "timezone", .column = "timezone", .type = FIELD_TEXT, .max = 64, .label = "Time zone"},
	{0},
};

static const struct resource_use uses[] = {
	{"messageset", "default_schedule_id", "message sets"},
	{"subscription", "schedule_id", "subscriptions"},
	{0},
};

static void
check_fields(struct req *r, struct resource_change *change)
{
	char error[CRON_ERROR_SIZE];

	for (int i = 0; i < CRON_FIELD_MAX; i++) {
		const struct value *v = &change->values[resource_column(change->resource, cron_field_names[i])];

		if (v->state == VALUE_SET && cron_parse_field((enum cron_field)i, v->text, NULL, error) != 0)
			req_fail_field(r, cron_field_names[i], "%s", error);
	}
}

/* The fields together: a date that never comes, an unknown time zone. */
static int
check(struct req *r, struct resource_change *change)
{
	const char *texts[CRON_FIELD_MAX];
	char error[CRON_ERROR_SIZE];
	enum cron_field bad;
	struct cron cron;

	for (int i = 0; i < CRON_FIELD_MAX; i++) {
		texts[i] = resource_value(change, cron_field_names[i]);
		if (!texts[i])
			texts[i] = "*";
	}
	if (cron_parse(texts, resource_value(change, "timezone"), &cron, &bad, error) != 0)
		return req_fail_field(r, bad == CRON_FIELD_MAX ? "timezone" : cron_field_names[bad], "%s", error);
	if (scheduler_is_external() && !scheduler_knows_zone(resource_value(change, "timezone")))
		return req_fail_field(r, "timezone", "The scheduler that is set up here knows only UTC.");
	return 0;
}

/* The built-in scheduler counts its firings from now on, even if no daemon is there to see it. */
static enum db_status
note_tick(struct req *r, const struct resource_change *change)
{
	char definition[TICK_DEFINITION_SIZE];
	const char *texts[CRON_FIELD_MAX], *timezone;

	for (int i = 0; i < CRON_FIELD_MAX; i++)
		texts[i] = db_text(change->now, 0, resource_column(change->resource, cron_field_names[i]));
	timezone = db_text(change->now, 0, resource_column(change->resource, "timezone"));
	tick_put_definition(texts, timezone, definition);
	return tick_note(r->db, strtoll(change->id, NULL, 10), definition, cron_minute(clock_now()));
}

/* What was written goes to the external scheduler, also when nothing changed: it may have lost it. */
static int
written(struct req *r, const struct resource_change *change)
{
	enum db_status status;

	if (!scheduler_is_external()) {
		status = change->verb == RESOURCE_DOES_DELETE ? DB_OK : note_tick(r, change);
		return status == DB_OK ? 0 : req_fail_db(r, status);
	}
	if (change->verb != RESOURCE_DOES_DELETE) {
		status = scheduler_call_record(r->db, strtoll(change->id, NULL, 10), r->id, clock_now(), NULL);
		if (status != DB_OK)
			return req_fail_db(r, status);
	}
	req_wake(r, "schedule");
	return 0;
}

int
schedule_delete(struct req *r)
{
	const char *id = path_id(r, 0);
	enum db_status status;

	if (!id)
		return -1;
	if (scheduler_is_external()) {
		if (req_begin(r) != 0)
			return -1;
		/* While the row is there to tell the scheduler's id. */
		status = scheduler_call_record_delete(r->db, strtoll(id, NULL, 10), r->id, clock_now());
		if (status != DB_OK)
			return req_fail_db(r, status);
	}
	return resource_delete(r);
}

const struct resource schedule_resource = {
	.name = "schedule",
	.table = "schedule",
	.label = "schedule",
	.fields = fields,
	.order = RESOURCE_BY_ID,
	.verbs = RESOURCE_ALL,
	.uses = uses,
	.check_fields = check_fields,
	.check = check,
	.written = written,
};

int
schedule_send(struct req *r)
{
	const char *id = path_id(r, 0);
	struct run_firing firing = {.source = RUN_SOURCE_API, .request_id = r->id, .now = clock_now()};
	enum db_status status;
	int64_t run_id;

	if (!id || req_begin(r) != 0)
		return -1;
	firing.schedule_id = strtoll(id, NULL, 10);
	firing.minute = firing.now;
	status = run_fire(r->db, &firing, &run_id, NULL);
	if (status != DB_OK)
		return req_fail_db(r, status);
	if (run_id == 0)
		return req_fail(r, 404, "Not found.");
	req_wake(r, "run");
	return req_answer_json(r, 202, json_object());
}
