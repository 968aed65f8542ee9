#include "config.h"

#include "api/handlers.h"

#include "api/routes.h"
#include "base/assert.h"
#include "base/clock.h"
#include "domain/schema.h"
#include "rest/openapi.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int
state_show_health(struct req *r)
{
	struct db_result *row;

	/* Nobody is logged in when the database was away a moment ago. */
	if (r->user.id == 0 || req_try(r, &db_queries[DB_Q_STATE_SERVER_VERSION], NULL, &row) != DB_OK)
		return req_fail_json(r, 503, json_pack("{s:b, s:{s:s, s:s}}", "up", 0, "result", "database", "Not accessible", "version", PACKAGE_VERSION));
	buf_puts(r->out, "{\"up\":true,\"result\":{\"database\":\"Accessible\",\"version\":\"" PACKAGE_VERSION "\",\"libraries\":{\"postgresql\":");
	req_put_text(r, row, 0, 0);
	buf_puts(r->out, ",\"jansson\":\"" JANSSON_VERSION "\"}}}");
	return req_answer(r, 200);
}

/* That this is answered is all it says. */
int
state_show_alive(struct req *r)
{
	buf_puts(r->out, "{\"alive\":true}");
	return req_answer(r, 200);
}

/* What keeps the service from being ready, or NULL. */
static const char *
find_obstacle(struct req *r)
{
	struct db_result *row;
	int version;

	if (schema_read(r->db, &version) < 0)
		return "The database cannot be reached.";
	if (version < SCHEMA_NEEDED)
		return "The database's schema is older than this version; run: sbmctl migrate";
	if (req_try(r, &db_queries[DB_Q_STATE_DAEMONS], NULL, &row) != DB_OK)
		return "The database cannot be reached.";
	return db_int(row, 0, 0) > 0 ? NULL : "No sender daemon was seen within the last minute.";
}

int
state_show_ready(struct req *r)
{
	const char *obstacle = find_obstacle(r);

	if (obstacle)
		return req_fail_json(r, 503, json_pack("{s:b, s:s}", "ready", 0, "detail", obstacle));
	buf_puts(r->out, "{\"ready\":true}");
	return req_answer(r, 200);
}

static void
put_metric(struct req *r, const char *name, const char *type, const char *help, double value)
{
	buf_printf(r->out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name, value);
}

/* What PostgreSQL knows; the columns of state_metrics in order. */
static void
put_database_metrics(struct req *r)
{
	static const struct {
		const char *name, *help;
	} gauges[] = {
		{"sbm_deliveries_waiting", "Deliveries that wait to be sent."},
		{"sbm_deliveries_held", "Deliveries that wait for a pause, quiet hours or a rate to end, though they are due."},
		{"sbm_holds", "Pauses that are in force."},
		{"sbm_runs_held", "Runs that are held for their size."},
		{"sbm_deliveries_sending", "Deliveries in the hands of a sender process."},
		{"sbm_delivery_oldest_seconds", "Age of the oldest delivery under way."},
		{"sbm_runs_unfinished", "Runs with deliveries under way."},
		{"sbm_failed_tasks", "Failed tasks that wait to be requeued."},
		{"sbm_jobs_open", "Background jobs that wait for a daemon or are carried out."},
		{"sbm_daemons", "Sender daemons seen within the last minute."},
	};
	struct db_params params;
	struct db_result *row;
	bool up;

	db_params_init(&params);
	db_param_time(&params, clock_now());
	up = req_try(r, &db_queries[DB_Q_STATE_METRICS], &params, &row) == DB_OK;
	put_metric(r, "sbm_database_up", "gauge", "Whether the database answers.", up);
	for (int i = 0; up && i < (int)(sizeof(gauges) / sizeof(gauges[0])); i++)
		put_metric(r, gauges[i].name, "gauge", gauges[i].help, (double)db_int(row, 0, i));
}

static int
count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	if (!dir)
		return 0;
	while (readdir(dir))
		count++;
	closedir(dir);
	/* ".", ".." and the directory itself */
	return count - 3;
}

/* The worker that happens to answer. */
static void
put_process_metrics(struct req *r)
{
	FILE *in = fopen("/proc/self/statm", "re");
	long pages = 0, resident = 0;
	struct rusage usage = {0};

	if (in) {
		if (fscanf(in, "%ld %ld", &pages, &resident) != 2)
			pages = resident = 0;
		fclose(in);
	}
	getrusage(RUSAGE_SELF, &usage);
	put_metric(r, "process_cpu_seconds_total", "counter", "CPU time of the answering worker.",
	    (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	put_metric(r, "process_resident_memory_bytes", "gauge", "Resident memory of the answering worker.", (double)resident * (double)sysconf(_SC_PAGESIZE));
	put_metric(r, "process_virtual_memory_bytes", "gauge", "Virtual memory of the answering worker.", (double)pages * (double)sysconf(_SC_PAGESIZE));
	put_metric(r, "process_open_fds", "gauge", "Open descriptors of the answering worker.", count_descriptors());
}

int
state_show_metrics(struct req *r)
{
	const char *forwarded = req_header(r, "HTTP_X_FORWARDED_FOR");

	if (forwarded && strchr(forwarded, ','))
		return req_fail(r, 403, "Metrics are for the inside only.");
	buf_puts(r->out, "# HELP sbm_build_info Version of the service.\n# TYPE sbm_build_info gauge\nsbm_build_info{version=\"" PACKAGE_VERSION "\"} 1\n");
	put_database_metrics(r);
	put_process_metrics(r);
	return req_answer_type(r, 200, "text/plain; version=0.0.4; charset=utf-8");
}

/* It is the same as long as the process lives. */
int
state_show_openapi(struct req *r)
{
	static char *text;

	if (!text) {
		json_t *document = openapi_document(api_routes, api_schemas);

		text = json_dumps(document, JSON_COMPACT);
		SBM_ASSERT(text);
		json_decref(document);
	}
	buf_puts(r->out, text);
	return req_answer(r, 200);
}
