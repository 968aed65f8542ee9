#include "domain/delivery.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

static const char *const run_source_words[RUN_SOURCE_MAX] = {
	[RUN_SOURCE_API] = "api",
	[RUN_SOURCE_SCHEDULER] = "scheduler",
	[RUN_SOURCE_ADMIN] = "admin",
};

static const char *const kind_words[DELIVERY_KIND_MAX] = {
	[DELIVERY_NEXT] = "next",
	[DELIVERY_RESEND] = "resend",
};

static const char *const job_words[JOB_KIND_MAX] = {
	[JOB_REQUEUE_FAILED] = "requeue_failed",
	[JOB_FIND_BEHIND] = "find_behind",
	[JOB_ESTIMATE] = "estimate",
	[JOB_METRICS] = "metrics",
	[JOB_SYNC_AUDIO] = "sync_audio",
};

static int64_t minute_of(int64_t us)
{
	int64_t rest = us % CLOCK_MINUTE;

	return us - (rest < 0 ? rest + CLOCK_MINUTE : rest);
}

static enum db_status run_insert(struct db *db, const struct run_firing *firing, struct db_result **result)
{
	struct db_params params;

	db_params_init(&params);
	db_param_int(&params, firing->schedule_id);
	db_param_time(&params, minute_of(firing->minute));
	db_param_text(&params, run_source_words[firing->source]);
	db_param_text(&params, firing->request_id ? firing->request_id : "");
	db_param_time(&params, firing->now);
	return db_query(db, DB_Q_RUN_INSERT, &params, result);
}

static enum db_status run_find(struct db *db, const struct run_firing *firing, struct db_result **result)
{
	struct db_params params;

	db_params_init(&params);
	db_param_int(&params, firing->schedule_id);
	db_param_time(&params, minute_of(firing->minute));
	return db_query(db, DB_Q_RUN_FIND, &params, result);
}

enum db_status run_fire(struct db *db, const struct run_firing *firing, int64_t *run_id, bool *made)
{
	struct db_result *result = NULL;
	enum db_status status = run_insert(db, firing, &result);
	bool inserted;

	if (status != DB_OK)
		return status;
	inserted = db_rows(result) == 1;
	if (!inserted) {
		db_result_free(result);
		status = run_find(db, firing, &result);
		if (status != DB_OK)
			return status;
	}
	*run_id = db_rows(result) == 1 ? db_int(result, 0, 0) : 0;
	if (made)
		*made = inserted;
	db_result_free(result);
	return DB_OK;
}

const char *delivery_not_ready(bool active, bool completed, int64_t process_status, char *out)
{
	if (active && !completed && process_status == 0)
		return NULL;
	if (completed || process_status == 2)
		snprintf(out, DELIVERY_REASON_SIZE, "Subscription has completed");
	else
		snprintf(out, DELIVERY_REASON_SIZE, "Message sending aborted, status %lld", (long long)process_status);
	return out;
}

/* Judges the subscription: verdict DELIVERY_QUEUED means that it may be queued. */
static enum db_status judge(struct db *db, const char *subscription_id, struct delivery_answer *answer)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, subscription_id);
	status = db_query(db, DB_Q_DELIVERY_SUBSCRIPTION, &params, &result);
	if (status != DB_OK)
		return status;
	answer->verdict = DELIVERY_QUEUED;
	if (db_rows(result) == 0) {
		answer->verdict = DELIVERY_UNKNOWN;
		snprintf(answer->reason, sizeof answer->reason, "Subscription not found");
	} else if (delivery_not_ready(db_bool(result, 0, 0), db_bool(result, 0, 1), db_int(result, 0, 2), answer->reason)) {
		answer->verdict = DELIVERY_NOT_READY;
	}
	db_result_free(result);
	return DB_OK;
}

/* Runs a statement that gives a UUID, or no row, which leaves id "". */
static enum db_status query_uuid(struct db *db, enum db_query query, const struct db_params *params, char id[UUID_TEXT_SIZE])
{
	struct db_result *result = NULL;
	enum db_status status = db_query(db, query, params, &result);

	if (status != DB_OK)
		return status;
	if (db_rows(result) > 0)
		snprintf(id, UUID_TEXT_SIZE, "%s", db_text(result, 0, 0));
	db_result_free(result);
	return DB_OK;
}

static enum db_status insert(struct db *db, const struct delivery_request *request, char id[UUID_TEXT_SIZE])
{
	struct db_params params;

	db_params_init(&params);
	db_param_text(&params, request->subscription_id);
	db_param_text(&params, kind_words[request->kind]);
	db_param_text(&params, request->request_id ? request->request_id : "");
	db_param_time(&params, request->now);
	return query_uuid(db, DB_Q_DELIVERY_INSERT, &params, id);
}

static enum db_status find_under_way(struct db *db, const char *subscription_id, char id[UUID_TEXT_SIZE])
{
	struct db_params params;

	db_params_init(&params);
	db_param_text(&params, subscription_id);
	return query_uuid(db, DB_Q_DELIVERY_UNDER_WAY, &params, id);
}

enum db_status delivery_enqueue(struct db *db, const struct delivery_request *request, struct delivery_answer *answer)
{
	struct delivery_answer got = {0};
	enum db_status status = judge(db, request->subscription_id, &got);

	/* The one under way may end between the two statements: then it is our turn after all. */
	for (int tries = 0; status == DB_OK && got.verdict == DELIVERY_QUEUED && tries < 3; tries++) {
		status = insert(db, request, got.id);
		if (status != DB_OK || got.id[0])
			break;
		status = find_under_way(db, request->subscription_id, got.id);
		if (status == DB_OK && got.id[0])
			got.verdict = DELIVERY_UNDER_WAY;
	}
	if (status != DB_OK)
		return status;
	if (got.verdict == DELIVERY_QUEUED && !got.id[0])
		return DB_RETRY;
	*answer = got;
	return DB_OK;
}

const char *job_kind_word(enum job_kind kind)
{
	return job_words[kind];
}

enum db_status job_create(struct db *db, enum job_kind kind, const char *request_id, int64_t now, char out[UUID_TEXT_SIZE])
{
	struct db_params params;

	db_params_init(&params);
	db_param_text(&params, job_words[kind]);
	db_param_text(&params, request_id ? request_id : "");
	db_param_time(&params, now);
	return query_uuid(db, DB_Q_JOB_INSERT, &params, out);
}

static void put_tasks(struct db_params *params, const struct failed_task_filter *filter, int64_t limit)
{
	db_params_init(params);
	db_param_int(params, filter->after);
	db_param_int(params, filter->last);
	db_param_int(params, limit);
	db_param_id(params, filter->messageset_id);
	db_param_text(params, filter->reason);
	db_param_text(params, filter->ids);
}

enum db_status failed_task_requeue(struct db *db, const struct failed_task_filter *filter, int64_t limit, int64_t now, struct failed_task_counts *counts)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	put_tasks(&params, filter, limit);
	db_param_time(&params, now);
	status = db_query(db, DB_Q_FAILED_TASK_REQUEUE, &params, &result);
	if (status != DB_OK)
		return status;
	counts->taken += db_int(result, 0, 0);
	counts->last = db_int(result, 0, 1);
	counts->queued += db_int(result, 0, 2);
	counts->under_way += db_int(result, 0, 3) - db_int(result, 0, 2);
	counts->not_ready += db_int(result, 0, 4);
	db_result_free(result);
	return DB_OK;
}

enum db_status failed_task_drop(struct db *db, const struct failed_task_filter *filter, int64_t limit, struct failed_task_counts *counts)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	put_tasks(&params, filter, limit);
	status = db_query(db, DB_Q_FAILED_TASK_DROP, &params, &result);
	if (status != DB_OK)
		return status;
	counts->taken += db_int(result, 0, 0);
	counts->last = db_int(result, 0, 1);
	db_result_free(result);
	return DB_OK;
}
