#include "config.h"

#include "base/buf.h"
#include "base/clock.h"
#include "ctl/ctl.h"
#include "io/db.h"

#include <stdio.h>

#define JSON_MAX ((size_t)256 << 20)

/* One part of the status: a statement whose only parameter, where it has one, is the service's time. */
struct part {
	const char *name;  /* key in JSON */
	const char *title;
	const char *empty; /* what to say when there are no rows */
	enum db_query query;
	bool timed;
	bool single; /* always one row */
	const struct table_column *columns;
};

static const struct table_column daemon_columns[] = {
	{"name", TABLE_TEXT}, {"version", TABLE_TEXT}, {"started_at", TABLE_TIME}, {"seen_at", TABLE_TIME}, {"seconds_ago", TABLE_NUMBER}, {0}
};
static const struct table_column queue_columns[] = {
	{"depth", TABLE_NUMBER}, {"due", TABLE_NUMBER}, {"claimed", TABLE_NUMBER}, {"waiting", TABLE_NUMBER}, {"held", TABLE_NUMBER}, {"oldest_due", TABLE_TIME}, {"seconds_late", TABLE_NUMBER}, {0}
};
static const struct table_column schedule_columns[] = {
	{"schedule", TABLE_NUMBER}, {"cron", TABLE_TEXT}, {"timezone", TABLE_TEXT}, {"last_run", TABLE_NUMBER}, {"minute", TABLE_TIME},
	{"queued", TABLE_NUMBER}, {"sent", TABLE_NUMBER}, {"failed", TABLE_NUMBER}, {"finished_at", TABLE_TIME}, {0}
};
static const struct table_column hold_columns[] = {
	{"id", TABLE_NUMBER}, {"scope", TABLE_TEXT}, {"schedule", TABLE_NUMBER}, {"messageset", TABLE_NUMBER}, {"reason", TABLE_TEXT}, {"since", TABLE_TIME}, {0}
};
static const struct table_column gate_columns[] = {{"gate", TABLE_TEXT}, {"deliveries", TABLE_NUMBER}, {"oldest_due", TABLE_TIME}, {0}};
static const struct table_column held_run_columns[] = {
	{"id", TABLE_NUMBER}, {"schedule", TABLE_NUMBER}, {"minute", TABLE_TIME}, {"messages", TABLE_NUMBER}, {"expected", TABLE_NUMBER}, {"since", TABLE_TIME}, {0}
};
static const struct table_column task_columns[] = {{"count", TABLE_NUMBER}, {"newest_at", TABLE_TIME}, {0}};
static const struct table_column job_columns[] = {{"kind", TABLE_TEXT}, {"open", TABLE_NUMBER}, {"oldest_at", TABLE_TIME}, {0}};
static const struct table_column call_columns[] = {
	{"schedule", TABLE_NUMBER}, {"call", TABLE_TEXT}, {"since", TABLE_TIME}, {"tries", TABLE_NUMBER}, {"next_at", TABLE_TIME}, {"error", TABLE_TEXT}, {0}
};

static const struct part parts[] = {
	{"daemons", "Daemons", "none is here", DB_Q_STATUS_DAEMONS, false, false, daemon_columns},
	{"holds", "Paused", "nothing", DB_Q_STATUS_HOLDS, false, false, hold_columns},
	{"queue", "Queue", "", DB_Q_STATUS_QUEUE, false, true, queue_columns},
	{"gates", "Waiting for a pause, quiet hours or a rate to end", "none", DB_Q_STATUS_GATES, false, false, gate_columns},
	{"held_runs", "Runs held for their size", "none", DB_Q_STATUS_HELD_RUNS, false, false, held_run_columns},
	{"runs", "Runs under way", "none", DB_Q_STATUS_RUNS, true, false, ctl_run_columns},
	{"schedules", "Schedules", "none", DB_Q_STATUS_SCHEDULES, false, false, schedule_columns},
	{"failed_tasks", "Failed tasks", "", DB_Q_STATUS_FAILED_TASKS, false, true, task_columns},
	{"jobs", "Open jobs", "none", DB_Q_STATUS_JOBS, false, false, job_columns},
	{"scheduler_calls", "Calls owed to the scheduler", "none", DB_Q_SCHEDULER_CALLS, false, false, call_columns},
};
#define PARTS ((int)(sizeof(parts) / sizeof(*parts)))

static int read_part(struct ctl *ctl, const struct part *part, struct table *table)
{
	struct db_result *result;
	struct db_params params;

	db_params_init(&params);
	if (part->timed)
		db_param_time(&params, clock_now());
	table_init(table, part->columns);
	if (db_query(ctl->db, part->query, &params, &result) != DB_OK)
		return ctl_db_failed(ctl, "read the status");
	table_add_result(table, result);
	db_result_free(result);
	return CTL_OK;
}

static void print_parts(const struct table *tables)
{
	for (int i = 0; i < PARTS; i++) {
		printf("%s%s", i ? "\n" : "", parts[i].title);
		if (tables[i].count) {
			putchar('\n');
			table_print(&tables[i]);
		} else
			printf(": %s\n", parts[i].empty);
	}
}

static void print_json(const struct table *tables)
{
	struct buf buf;

	buf_init(&buf, JSON_MAX);
	for (int i = 0; i < PARTS; i++) {
		buf_puts(&buf, i ? ",\n" : "{");
		buf_put_json(&buf, parts[i].name);
		buf_puts(&buf, ":\n");
		if (parts[i].single)
			table_put_json_row(&tables[i], 0, &buf);
		else
			table_put_json(&tables[i], &buf);
	}
	buf_putc(&buf, '}');
	puts(buf_text(&buf));
	buf_fini(&buf);
}

int ctl_status(struct ctl *ctl, const struct ctl_args *args)
{
	struct table tables[PARTS];
	int rc = CTL_OK, read = 0;

	if (!ctl_db(ctl))
		return CTL_FAILED;
	while (read < PARTS && !rc) {
		rc = read_part(ctl, &parts[read], &tables[read]);
		read++;
	}
	if (!rc && ctl_has(args, "json"))
		print_json(tables);
	else if (!rc)
		print_parts(tables);
	while (read)
		table_fini(&tables[--read]);
	return rc;
}
