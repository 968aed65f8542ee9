#include "config.h"

#include "base/clock.h"
#include "ctl/parts.h"
#include "io/db.h"

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
static const struct table_column job_columns[] = {
	{"kind", TABLE_TEXT}, {"open", TABLE_NUMBER}, {"oldest_at", TABLE_TIME}, {"last_at", TABLE_TIME}, {"last", TABLE_TEXT}, {"outcome", TABLE_TEXT}, {0}
};
static const struct table_column call_columns[] = {
	{"schedule", TABLE_NUMBER}, {"call", TABLE_TEXT}, {"since", TABLE_TIME}, {"tries", TABLE_NUMBER}, {"next_at", TABLE_TIME}, {"error", TABLE_TEXT}, {0}
};

static const struct part parts[] = {
	{"daemons", "Daemons", "none is here", DB_Q_STATUS_DAEMONS, 0, false, daemon_columns},
	{"holds", "Paused", "nothing", DB_Q_STATUS_HOLDS, 0, false, hold_columns},
	{"queue", "Queue", "", DB_Q_STATUS_QUEUE, 0, true, queue_columns},
	{"gates", "Waiting for a pause, quiet hours or a rate to end", "none", DB_Q_STATUS_GATES, 0, false, gate_columns},
	{"held_runs", "Runs held for their size", "none", DB_Q_STATUS_HELD_RUNS, 0, false, held_run_columns},
	{"runs", "Runs under way", "none", DB_Q_STATUS_RUNS, 1, false, ctl_run_columns},
	{"schedules", "Schedules", "none", DB_Q_STATUS_SCHEDULES, 0, false, schedule_columns},
	{"failed_tasks", "Failed tasks", "", DB_Q_STATUS_FAILED_TASKS, 0, true, task_columns},
	{"jobs", "Jobs", "none", DB_Q_STATUS_JOBS, 0, false, job_columns},
	{"scheduler_calls", "Calls owed to the scheduler", "none", DB_Q_SCHEDULER_CALLS, 0, false, call_columns},
};
#define PARTS ((int)(sizeof(parts) / sizeof(*parts)))

int ctl_status(struct ctl *ctl, const struct ctl_args *args)
{
	struct db_params params;

	if (!ctl_db(ctl))
		return CTL_FAILED;
	db_params_init(&params);
	db_param_time(&params, clock_now());
	return parts_show(ctl, parts, PARTS, &params, "read the status", ctl_has(args, "json"));
}
