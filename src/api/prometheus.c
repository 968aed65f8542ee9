#include "config.h"

#include "api/handlers.h"

#include "api/routes.h"
#include "base/counter.h"
#include "base/settings.h"
#include "base/usage.h"
#include "rest/account.h"
#include "rest/exposition.h"

#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/*
 * GET /metrics. What the workers of this sbm-api counted is read from their shared memory; what the sender daemons
 * counted and measured they keep in the database, where it costs the same however much there is to send.
 */

#define PROCESSES_MAX 1024
#define LABELS_SIZE 256

/* Gauges of the database, by the name that measurement_read has for them. */
static const struct gauge {
	const char *name, *metric;
	const char *label; /* NULL: it has none */
	const char *help;
	const char *age_metric, *age_help; /* of those that are measured now and then; NULL for others */
} gauges[] = {
	{"deliveries", "sbm_deliveries", "state", "Deliveries in the queue: due, in the hands of a sender process, or waiting for something else.",
	    "sbm_deliveries_counted_timestamp_seconds", "When the deliveries in the queue were last counted."},
	{"failed_tasks", "sbm_failed_tasks", NULL, "Failed tasks that wait to be requeued.", NULL, NULL},
	{"invariant", "sbm_invariant_violations", "invariant", "How often a rule was broken that must hold whatever happens; sbmctl verify says where.",
	    "sbm_invariant_checked_timestamp_seconds", "When that rule was last checked."},
	{"lag", "sbm_delivery_lag_seconds", NULL, "For how long the oldest of the deliveries that are due has been so.", NULL, NULL},
	{"runs", "sbm_runs", "state", "Runs that are not finished.", NULL, NULL},
	{"run_messages", "sbm_run_messages", "outcome", "Deliveries of the runs that are not finished: all that were queued, and those that have ended.", NULL, NULL},
	{"jobs", "sbm_jobs_open", NULL, "Background jobs that wait for a daemon or are carried out.", NULL, NULL},
	{"holds", "sbm_holds", NULL, "Pauses that are in force.", NULL, NULL},
	{"scheduler_calls", "sbm_scheduler_calls_owed", NULL, "Schedules that the external scheduler is yet to be told of.", NULL, NULL},
	{"daemons", "sbm_daemons", NULL, "Sender daemons that were seen within the last minute.", NULL, NULL},
};

/* Columns of measurement_read. */
enum { M_NAME, M_LABEL, M_VALUE, M_TIME };

static const char *
gauge_labels(const struct gauge *gauge, const char *label, char *out)
{
	*out = '\0';
	if (gauge->label)
		snprintf(out, LABELS_SIZE, "%s=\"%s\"", gauge->label, label);
	return out;
}

static void
put_column(struct req *r, const struct db_result *rows, const struct gauge *gauge, const char *metric, int column)
{
	char labels[LABELS_SIZE];

	for (int i = 0; i < db_rows(rows); i++)
		if (strcmp(db_text(rows, i, M_NAME), gauge->name) == 0)
			exposition_put(r->out, metric, gauge_labels(gauge, db_text(rows, i, M_LABEL), labels), db_real(rows, i, column));
}

static void
put_times(struct req *r, const struct db_result *rows, const struct gauge *gauge)
{
	exposition_put_head(r->out, gauge->age_metric, "gauge", gauge->age_help);
	/* The parts of one count have one time. */
	if (strcmp(gauge->name, "invariant") == 0) {
		put_column(r, rows, gauge, gauge->age_metric, M_TIME);
		return;
	}
	for (int i = 0; i < db_rows(rows); i++)
		if (strcmp(db_text(rows, i, M_NAME), gauge->name) == 0) {
			exposition_put(r->out, gauge->age_metric, "", db_real(rows, i, M_TIME));
			return;
		}
}

static void
put_gauges(struct req *r, const struct db_result *rows)
{
	for (size_t i = 0; i < sizeof(gauges) / sizeof(*gauges); i++) {
		exposition_put_head(r->out, gauges[i].metric, "gauge", gauges[i].help);
		put_column(r, rows, &gauges[i], gauges[i].metric, M_VALUE);
		if (gauges[i].age_metric)
			put_times(r, rows, &gauges[i]);
	}
}

/* What the daemons counted, at the places of the table. */
static void
read_totals(const struct db_result *rows, uint64_t *totals)
{
	for (int row = 0; row < db_rows(rows); row++)
		for (size_t i = 0; i < COUNTER_MAX; i++)
			if (strcmp(counter_rows[i].name, db_text(rows, row, 0)) == 0)
				totals[i] = (uint64_t)db_int(rows, row, counter_rows[i].type == COUNTER_TYPE_GAUGE ? 2 : 1);
}

static void
put_counter(struct req *r, const struct counter_row *row, const char *program, uint64_t value)
{
	char labels[LABELS_SIZE];

	snprintf(labels, sizeof(labels), "%s", row->labels);
	if (row->program == COUNTER_PROGRAM_BOTH)
		snprintf(labels, sizeof(labels), "program=\"%s\"%s%s", program, *row->labels ? "," : "", row->labels);
	exposition_put(r->out, row->metric, labels, row->type == COUNTER_TYPE_SECONDS ? (double)value / 1e6 : (double)value);
}

/* totals: of the daemons, NULL when they are not known. */
static void
put_counters(struct req *r, const uint64_t *sums, const uint64_t *totals)
{
	for (size_t i = 0; i < COUNTER_MAX; i++) {
		const struct counter_row *row = &counter_rows[i];

		if (row->program == COUNTER_PROGRAM_SENDERD && !totals)
			continue;
		if (*row->help)
			exposition_put_head(r->out, row->metric, row->type == COUNTER_TYPE_GAUGE ? "gauge" : "counter", row->help);
		if (row->program & COUNTER_PROGRAM_API)
			put_counter(r, row, "sbm-api", sums[i]);
		if ((row->program & COUNTER_PROGRAM_SENDERD) && totals)
			put_counter(r, row, "sbm-senderd", totals[i]);
	}
}

static void
put_workers(struct req *r)
{
	exposition_put_head(r->out, "sbm_http_workers", "gauge", "Workers that are wanted.");
	exposition_put(r->out, "sbm_http_workers", "pool=\"quick\"", (double)setting_int(SETTING_API_WORKERS));
	exposition_put(r->out, "sbm_http_workers", "pool=\"slow\"", (double)setting_int(SETTING_API_WORKERS_SLOW));
}

static void
put_process(struct req *r)
{
	static const struct {
		const char *metric, *type, *help;
	} metrics[] = {
		{"process_cpu_seconds_total", "counter", "CPU time of sbm-api, with workers that have ended."},
		{"process_resident_memory_bytes", "gauge", "Resident memory of all processes of sbm-api; what they share counts for each."},
		{"process_virtual_memory_bytes", "gauge", "Virtual memory of all processes of sbm-api."},
		{"process_start_time_seconds", "gauge", "When sbm-api was started."},
	};
	pid_t processes[PROCESSES_MAX];
	struct usage usage;

	if (usage_read(getppid(), processes, counter_processes(processes, PROCESSES_MAX), &usage) != 0)
		return;
	const double values[] = {usage.cpu_seconds, usage.resident_bytes, usage.virtual_bytes, usage.started};
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		exposition_put_head(r->out, metrics[i].metric, metrics[i].type, metrics[i].help);
		exposition_put(r->out, metrics[i].metric, "", values[i]);
	}
}

int
prometheus_show(struct req *r)
{
	struct db_result *measured, *counted;
	uint64_t *sums, *totals;
	bool up;

	if (req_is_forwarded(r))
		return req_fail(r, 403, "Metrics are for the inside only.");
	sums = arena_alloc(r->arena, counter_count() * sizeof(*sums));
	totals = arena_alloc(r->arena, COUNTER_MAX * sizeof(*totals));
	up = req_try(r, &db_queries[DB_Q_MEASUREMENT_READ], NULL, &measured) == DB_OK
	    && req_try(r, &db_queries[DB_Q_DAEMON_TOTAL_READ], NULL, &counted) == DB_OK;
	if (up)
		read_totals(counted, totals);
	counter_sum(sums);
	exposition_put_head(r->out, "sbm_build_info", "gauge", "Version of the service.");
	exposition_put(r->out, "sbm_build_info", "version=\"" PACKAGE_VERSION "\"", 1);
	exposition_put_head(r->out, "sbm_database_up", "gauge", "Whether the database answers.");
	exposition_put(r->out, "sbm_database_up", "", up);
	put_workers(r);
	put_counters(r, sums, up ? totals : NULL);
	account_put(r->out, api_routes, sums);
	if (up)
		put_gauges(r, measured);
	put_process(r);
	return req_answer_type(r, 200, EXPOSITION_TYPE);
}
