#include "config.h"

#include "base/clock.h"
#include "base/parse.h"
#include "base/settings.h"
#include "ctl/ctl.h"
#include "domain/delivery.h"
#include "domain/hold.h"
#include "io/bus.h"
#include "io/db.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

/* Longest that connecting to the daemons may take; their sweep finds the run anyway. */
#define WAKE_MS 300

const struct table_column ctl_run_columns[] = {
	{"id", TABLE_NUMBER}, {"schedule", TABLE_NUMBER}, {"minute", TABLE_TIME}, {"source", TABLE_TEXT}, {"state", TABLE_TEXT}, {"queued", TABLE_NUMBER},
	{"sent", TABLE_NUMBER}, {"failed", TABLE_NUMBER}, {"cancelled", TABLE_NUMBER}, {"skipped", TABLE_NUMBER}, {"left", TABLE_NUMBER}, {"per_second", TABLE_NUMBER},
	{"seconds_left", TABLE_NUMBER}, {"started_at", TABLE_TIME}, {"finished_at", TABLE_TIME}, {0}
};

static int expect_schedule(struct ctl *ctl, int64_t id)
{
	struct db_params params;
	int known;

	db_params_init(&params);
	db_param_int(&params, id);
	known = ctl_known(ctl, DB_Q_SCHEDULE_KNOWN, &params);
	if (!known)
		ctl_fail("there is no schedule %" PRId64, id);
	return known > 0 ? CTL_OK : CTL_FAILED;
}

int ctl_run_list(struct ctl *ctl, const struct ctl_args *args)
{
	const char *schedule = ctl_value(args, "schedule"), *limit_text = ctl_value(args, "limit");
	int64_t limit = 20, id = 0;
	struct db_result *result;
	struct db_params params;
	struct table table;
	int rc = CTL_OK;

	if (schedule && parse_int(schedule, 1, INT32_MAX, &id))
		return ctl_usage("--schedule: expected the id of a schedule");
	if (limit_text && parse_int(limit_text, 1, 100000, &limit))
		return ctl_usage("--limit: expected a number from 1 to 100000");
	if (!ctl_db(ctl))
		return CTL_FAILED;
	db_params_init(&params);
	db_param_time(&params, clock_now());
	db_param_id(&params, id);
	db_param_bool(&params, ctl_has(args, "unfinished"));
	db_param_int(&params, limit);
	if (db_query(ctl->db, DB_Q_RUN_LIST, &params, &result) != DB_OK)
		return ctl_db_failed(ctl, "read the runs");
	table_init(&table, ctl_run_columns);
	table_add_result(&table, result);
	if (schedule && !table.count)
		rc = expect_schedule(ctl, id);
	if (!rc)
		table_show(&table, ctl_has(args, "json"));
	table_fini(&table);
	db_result_free(result);
	return rc;
}

void ctl_wake(const char *word)
{
	struct bus_push *bus = bus_push_create(setting_str(SETTING_TRIGGER_ENDPOINT));
	int64_t until = clock_monotonic_ms() + WAKE_MS;

	if (!bus)
		return;
	while (!bus_push_wake(bus, word) && clock_monotonic_ms() < until)
		poll(NULL, 0, 5);
	bus_push_free(bus);
}

static int fire(struct ctl *ctl, int64_t schedule_id, int64_t *run_id, bool *made)
{
	int64_t now = clock_now();
	struct run_firing firing = {.schedule_id = schedule_id, .minute = now, .source = RUN_SOURCE_ADMIN, .now = now};

	if (db_begin(ctl->db) != DB_OK)
		return ctl_db_failed(ctl, "begin a transaction");
	if (run_fire(ctl->db, &firing, run_id, made) != DB_OK) {
		db_rollback(ctl->db);
		return ctl_db_failed(ctl, "fire the schedule");
	}
	return db_commit(ctl->db) == DB_OK ? CTL_OK : ctl_db_failed(ctl, "commit the run");
}

int ctl_run_fire(struct ctl *ctl, const struct ctl_args *args)
{
	int64_t schedule_id, run_id;
	bool made;

	if (parse_int(args->operands[0], 1, INT32_MAX, &schedule_id))
		return ctl_usage("expected the id of a schedule");
	if (!ctl_db(ctl) || fire(ctl, schedule_id, &run_id, &made))
		return CTL_FAILED;
	if (!run_id)
		return ctl_fail("there is no schedule %" PRId64, schedule_id);
	if (made)
		ctl_wake("run");
	printf(made ? "run %" PRId64 "\n" : "run %" PRId64 " was made before, in the same minute\n", run_id);
	return CTL_OK;
}

static int decide(struct ctl *ctl, const struct ctl_args *args, enum db_status (*decision)(struct db *, int64_t, int64_t, bool *), const char *done_word)
{
	int64_t run_id;
	bool done;

	if (parse_int(args->operands[0], 1, INT64_MAX, &run_id))
		return ctl_usage("expected the id of a run");
	if (!ctl_db(ctl))
		return CTL_FAILED;
	if (decision(ctl->db, run_id, clock_now(), &done) != DB_OK)
		return ctl_db_failed(ctl, "change the run");
	if (!done)
		return ctl_fail("run %" PRId64 " is not held", run_id);
	ctl_wake("run");
	printf("run %" PRId64 " is %s\n", run_id, done_word);
	return CTL_OK;
}

int ctl_run_release(struct ctl *ctl, const struct ctl_args *args)
{
	return decide(ctl, args, run_release, "released");
}

int ctl_run_cancel(struct ctl *ctl, const struct ctl_args *args)
{
	return decide(ctl, args, run_cancel, "cancelled; it sends nothing");
}
