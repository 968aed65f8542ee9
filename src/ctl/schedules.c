#include "config.h"

#include "base/clock.h"
#include "ctl/ctl.h"
#include "domain/scheduler_call.h"
#include "io/db.h"

#include <stdio.h>
#include <string.h>

enum { S_ID, S_FIELDS, S_TIMEZONE = S_FIELDS + CRON_FIELD_MAX, S_SCHEDULER_ID, S_DIGEST, S_OWED };

static const struct table_column columns[] = {
	{"schedule", TABLE_NUMBER}, {"timezone", TABLE_TEXT}, {"scheduler_id", TABLE_TEXT}, {"state", TABLE_TEXT}, {0}
};

/* Whether the scheduler was given the schedule as it is now, at its present address and with the present token. */
static bool in_step(const struct db_result *rows, int row)
{
	const char *fields[CRON_FIELD_MAX];
	char digest[DIGEST_HEX_SIZE];
	struct buf body;

	for (int i = 0; i < CRON_FIELD_MAX; i++)
		fields[i] = db_text(rows, row, S_FIELDS + i);
	buf_init(&body, 8192);
	scheduler_put_body(db_int(rows, row, S_ID), fields, &body);
	scheduler_digest(&body, digest);
	buf_fini(&body);
	return !db_is_null(rows, row, S_SCHEDULER_ID) && strcmp(digest, db_text(rows, row, S_DIGEST)) == 0;
}

/* What to say of a schedule; *call: it needs a call that is not owed yet. */
static const char *judge(const struct db_result *rows, int row, bool all, bool *call)
{
	bool owed = db_bool(rows, row, S_OWED), step = in_step(rows, row);

	*call = !owed && (all || !step);
	if (owed)
		return "call is owed";
	if (step)
		return "in step";
	return db_is_null(rows, row, S_SCHEDULER_ID) ? "not there" : "not in step";
}

static int sync_rows(struct ctl *ctl, const struct ctl_args *args, const struct db_result *rows, struct table *table, int *calls)
{
	for (int row = 0; row < db_rows(rows); row++) {
		bool call, made = false;
		const char *state = judge(rows, row, ctl_has(args, "all"), &call);

		if (call && ctl_yes(args)) {
			if (scheduler_call_record(ctl->db, db_int(rows, row, S_ID), NULL, clock_now(), &made) != DB_OK)
				return ctl_db_failed(ctl, "record a call");
			state = made ? "call is recorded" : "deleted meanwhile";
		}
		*calls += call;
		table_add(table, (const char *[]){db_text(rows, row, S_ID), db_text(rows, row, S_TIMEZONE),
			db_is_null(rows, row, S_SCHEDULER_ID) ? NULL : db_text(rows, row, S_SCHEDULER_ID), state});
	}
	return CTL_OK;
}

int ctl_schedules_sync(struct ctl *ctl, const struct ctl_args *args)
{
	struct db_result *rows;
	struct table table;
	int calls = 0, rc;

	if (!ctl_db(ctl))
		return CTL_FAILED;
	if (!scheduler_is_external())
		return ctl_fail("scheduler_url is not set: the sender daemon is the scheduler, and there is nothing to bring in step");
	if (db_query(ctl->db, DB_Q_SCHEDULER_SCHEDULES, NULL, &rows) != DB_OK)
		return ctl_db_failed(ctl, "read the schedules");
	table_init(&table, columns);
	rc = sync_rows(ctl, args, rows, &table, &calls);
	db_result_free(rows);
	if (!rc)
		table_show(&table, ctl_has(args, "json"));
	table_fini(&table);
	if (calls && ctl_yes(args))
		ctl_wake("schedule");
	else if (calls && !rc)
		ctl_would("record %d call%s", calls, calls == 1 ? "" : "s");
	return rc;
}
