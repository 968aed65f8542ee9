#include "api/handlers.h"

#include "api/list.h"
#include "api/member.h"
#include "base/clock.h"
#include "base/parse.h"
#include "domain/delivery.h"
#include "domain/metric.h"

#include <string.h>

/* Leaves a job for the daemon; out is its id. */
static int
create(struct req *r, enum job_kind kind, char out[UUID_TEXT_SIZE])
{
	enum db_status status;

	if (req_begin(r) < 0)
		return -1;
	status = job_create(r->db, kind, r->id, clock_now(), out);
	if (status != DB_OK)
		return req_fail_db(r, status);
	req_wake(r, "job");
	return 0;
}

/* {"<word>": true, "task_id": "..."} */
static int
answer_task(struct req *r, enum job_kind kind, const char *word)
{
	char id[UUID_TEXT_SIZE];

	if (create(r, kind, id) < 0)
		return -1;
	buf_printf(r->out, "{\"%s\":true,\"task_id\":\"%s\"}", word, id);
	return req_answer(r, 202);
}

/* {"<word>": true} */
static int
answer_started(struct req *r, enum job_kind kind, int status, const char *word)
{
	char id[UUID_TEXT_SIZE];

	if (create(r, kind, id) < 0)
		return -1;
	buf_printf(r->out, "{\"%s\":true}", word);
	return req_answer(r, status);
}

int
task_requeue(struct req *r)
{
	return answer_started(r, JOB_REQUEUE_FAILED, 201, "requeued_failed_tasks");
}

int
task_find_behind(struct req *r)
{
	return answer_task(r, JOB_FIND_BEHIND, "accepted");
}

int
task_estimate(struct req *r)
{
	return answer_task(r, JOB_ESTIMATE, "accepted");
}

int
task_sync_audio(struct req *r)
{
	return answer_task(r, JOB_SYNC_AUDIO, "sync_audio_files_initiated");
}

int
task_fire_metrics(struct req *r)
{
	return answer_started(r, JOB_METRICS, 200, "scheduled_metrics_initiated");
}

static void
put_job(struct req *r, const struct db_result *rows, int row)
{
	/* Columns 0 and 1 are the key. */
	static const struct member columns[] = {
		{"id", MEMBER_TEXT, 1}, {"kind", MEMBER_TEXT, 2}, {"state", MEMBER_TEXT, 3}, {"created_at", MEMBER_TIME, 0}, {"started_at", MEMBER_TIME, 4},
		{"finished_at", MEMBER_TIME, 5}, {"outcome", MEMBER_TEXT, 6}, {"error", MEMBER_TEXT, 7}, {"request_id", MEMBER_TEXT, 8},
		{0},
	};

	buf_putc(r->out, '{');
	member_put_link(r, "url", "jobs", db_text(rows, row, 1));
	member_put_columns(r, columns, rows, row);
	buf_putc(r->out, '}');
}

int
task_list_jobs(struct req *r)
{
	struct list list = {
		.order = LIST_BY_TIME_UUID,
		.count = DB_Q_JOB_LIST_COUNT,
		.after = DB_Q_JOB_LIST_AFTER,
		.before = DB_Q_JOB_LIST_BEFORE,
		.put_row = put_job,
	};

	return list_answer(r, &list);
}

int
task_show_job(struct req *r)
{
	char id[UUID_TEXT_SIZE];
	struct db_params params;
	struct db_result *row;

	if (parse_uuid(r->args[0], id) < 0)
		return req_fail(r, 404, "Not found.");
	db_params_init(&params);
	db_param_text(&params, id);
	if (req_sql(r, DB_Q_JOB_SHOW, &params, &row) < 0)
		return -1;
	if (db_rows(row) == 0)
		return req_fail(r, 404, "Not found.");
	put_job(r, row, 0);
	return req_answer(r, 200);
}

int
task_list_metrics(struct req *r)
{
	struct db_result *sets;
	struct buf *out = r->out, key;

	if (req_sql(r, DB_Q_METRIC_SETS, NULL, &sets) < 0)
		return -1;
	buf_init(&key, METRIC_KEY_MAX);
	buf_puts(out, "{\"metrics_available\":[");
	for (int i = 0; metric_fixed_keys[i]; i++) {
		buf_puts(out, i > 0 ? "," : "");
		buf_put_json(out, metric_fixed_keys[i]);
	}
	for (int row = 0; row < db_rows(sets); row++) {
		const char *type = db_text(sets, row, 0);
		bool is_new = row == 0 || strcmp(type, db_text(sets, row - 1, 0)) != 0;

		if (is_new) {
			buf_reset(&key);
			metric_put_type_key(&key, type);
			buf_putc(out, ',');
			buf_put_json(out, buf_text(&key));
		}
		buf_reset(&key);
		metric_put_set_key(&key, type, db_text(sets, row, 1));
		buf_putc(out, ',');
		buf_put_json(out, buf_text(&key));
	}
	buf_fini(&key);
	buf_puts(out, "]}");
	return req_answer(r, 200);
}
