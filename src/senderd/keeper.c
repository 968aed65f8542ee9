#include "senderd/keeper.h"

#include "base/assert.h"
#include "base/boundary.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/settings.h"
#include "domain/delivery.h"
#include "domain/job.h"
#include "io/db.h"
#include "senderd/audio.h"
#include "senderd/jobs.h"
#include "senderd/metrics.h"
#include "senderd/tally.h"
#include "senderd/wake.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Counting over millions of subscriptions takes its time. */
#define STATEMENT_TIMEOUT_MS 3600000
#define LOCK_TIMEOUT_MS 30000
#define HOUSEKEEPING_MS 3600000
#define REQUEUE_CHUNK 1000
#define DB_WAIT_MS 1000
#define LOCKED_WAIT_MS 60000

struct keeper {
	struct db *db;
	int64_t next_look_ms;
	int64_t next_housekeeping_ms;
	int64_t housekept_month; /* of the service's clock, so that a jump of it is seen */
};

static enum db_status with_time(struct keeper *keeper, enum db_query query, int64_t now)
{
	struct db_params params;

	db_params_init(&params);
	db_param_time(&params, now);
	return db_query(keeper->db, query, &params, NULL);
}

/* The months to come have partitions before anything is written to them. */
static enum db_status make_months(struct keeper *keeper, int64_t now)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_time(&params, now);
	status = db_query(keeper->db, DB_Q_DELIVERY_MONTHS_MAKE, &params, &result);
	if (status == DB_OK && db_int(result, 0, 0) > 0)
		log_info("partitions of the history were made", log_int("months", db_int(result, 0, 0)));
	db_result_free(result);
	return status;
}

static enum db_status drop_months(struct keeper *keeper, int64_t now)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_time(&params, now);
	db_param_int(&params, setting_int(SETTING_DELIVERY_KEEP));
	status = db_query(keeper->db, DB_Q_DELIVERY_MONTHS_DROP, &params, &result);
	if (status == DB_OK && db_int(result, 0, 0) > 0)
		log_info("old partitions of the history were dropped", log_int("months", db_int(result, 0, 0)));
	db_result_free(result);
	return status;
}

static enum db_status keep_all(struct keeper *keeper, int64_t now)
{
	enum db_status status = make_months(keeper, now);

	boundary_pass(BOUNDARY_KEEPER_MONTHS_MADE);
	if (status == DB_OK)
		status = drop_months(keeper, now);
	boundary_pass(BOUNDARY_KEEPER_MONTHS_DROPPED);
	if (status == DB_OK)
		status = db_query(keeper->db, DB_Q_IDEMPOTENCY_FORGET, NULL, NULL);
	if (status == DB_OK)
		status = with_time(keeper, DB_Q_JOB_FORGET, now);
	if (status == DB_OK)
		status = db_query(keeper->db, DB_Q_DAEMON_FORGET, NULL, NULL);
	return status;
}

static void keep_house(struct keeper *keeper)
{
	int64_t now = clock_now(), this_month, again_ms = HOUSEKEEPING_MS;
	int year, month, day;
	enum db_status status;

	clock_civil_from_days(now / CLOCK_DAY, &year, &month, &day);
	this_month = year * 12 + month;
	if (clock_monotonic_ms() < keeper->next_housekeeping_ms && this_month == keeper->housekept_month)
		return;
	status = keep_all(keeper, now);
	/* Somebody who reads all of the history keeps us from dropping a part of it: no need to press. */
	if (status == DB_TIMEOUT)
		again_ms = LOCKED_WAIT_MS;
	else if (status != DB_OK)
		again_ms = DB_WAIT_MS;
	keeper->housekept_month = this_month;
	keeper->next_housekeeping_ms = clock_monotonic_ms() + again_ms;
}

static enum db_status requeue_chunk(struct keeper *keeper, int64_t last_id, struct failed_task_counts *counts)
{
	enum db_status status = db_begin(keeper->db);

	if (status != DB_OK)
		return status;
	status = failed_task_requeue(keeper->db, &(struct failed_task_filter){.last = last_id}, REQUEUE_CHUNK, clock_now(), counts);
	if (status != DB_OK) {
		db_rollback(keeper->db);
		return status;
	}
	boundary_pass(BOUNDARY_KEEPER_REQUEUE);
	status = db_commit(keeper->db);
	boundary_pass(BOUNDARY_KEEPER_REQUEUED);
	return status;
}

static void requeue_failed(void *context, struct job *job, struct job_end *end)
{
	struct keeper *keeper = context;
	struct failed_task_counts counts = {0};
	struct db_result *result = NULL;
	int64_t last_id, taken = -1;

	end->status = db_query(keeper->db, DB_Q_FAILED_TASK_LAST, NULL, &result);
	if (end->status != DB_OK)
		return;
	last_id = db_int(result, 0, 0);
	db_result_free(result);
	while (end->status == DB_OK && taken != counts.taken && !proc_stopping() && job_is_ours(job)) {
		taken = counts.taken;
		end->status = requeue_chunk(keeper, last_id, &counts);
		wake_senders();
	}
	end->unfinished = taken != counts.taken;
	snprintf(end->outcome, sizeof end->outcome, "%" PRId64 " failed tasks, %" PRId64 " of them queued again", counts.taken, counts.queued);
	log_info("failed tasks were requeued", log_int("tasks", counts.taken), log_int("queued", counts.queued),
		log_int("under_way", counts.under_way), log_int("not_ready", counts.not_ready));
}

static void find_behind(void *context, struct job *job, struct job_end *end)
{
	struct keeper *keeper = context;
	struct find_behind_result found = {0};

	(void)job;
	end->status = find_behind_run(keeper->db, clock_now(), &found);
	if (end->status != DB_OK)
		return;
	snprintf(end->outcome, sizeof end->outcome, "%" PRId64 " of %" PRId64 " subscriptions are behind", found.behind, found.looked_at);
	log_info("subscriptions that are behind were found", log_int("looked_at", found.looked_at),
		log_int("behind", found.behind), log_int("skipped", found.skipped));
}

static void estimate(void *context, struct job *job, struct job_end *end)
{
	struct keeper *keeper = context;
	int64_t sets = 0;

	(void)job;
	end->status = estimate_run(keeper->db, clock_now(), &sets);
	if (end->status != DB_OK)
		return;
	snprintf(end->outcome, sizeof end->outcome, "%" PRId64 " message sets send today", sets);
	log_info("sends of today were estimated", log_int("messagesets", sets));
}

/* The process that posts metrics takes over from here, so that a service that is away keeps no other job waiting. */
static void metrics(void *context, struct job *job, struct job_end *end)
{
	struct keeper *keeper = context;
	bool posted = metrics_are_posted();
	int64_t counts[WEEKLY_DAYS];
	int keys = 0;

	(void)job;
	end->status = weekly_estimate(keeper->db, clock_now(), counts);
	if (end->status != DB_OK)
		return;
	for (int day = 0; day < WEEKLY_DAYS; day++) {
		char key[64];

		if (counts[day] < 0)
			continue;
		snprintf(key, sizeof key, "subscriptions.send.estimate.%d.last", day);
		log_info("metric", log_str("key", key), log_int("value", counts[day]));
		if (posted)
			tally_set(key, counts[day], log_request_id());
		keys++;
	}
	wake(WAKE_METRICS);
	snprintf(end->outcome, sizeof end->outcome, posted ? "%d metrics to be posted" : "%d metrics in the log; metrics_url is not set", keys);
}

static void no_audio(void *context, struct job *job, struct job_end *end)
{
	(void)context;
	(void)job;
	snprintf(end->outcome, sizeof end->outcome, "nothing was copied: audio_ftp_host is not set");
	log_info("no audio server is configured; nothing to copy");
}

static void (*const job_functions[JOB_KIND_MAX])(void *, struct job *, struct job_end *) = {
	[JOB_REQUEUE_FAILED] = requeue_failed,
	[JOB_FIND_BEHIND] = find_behind,
	[JOB_ESTIMATE] = estimate,
	[JOB_METRICS] = metrics,
	[JOB_SYNC_AUDIO] = no_audio,
};

static void wait_for_something(const struct keeper *keeper)
{
	struct pollfd fd = {.fd = wake_fd(WAKE_KEEPER), .events = POLLIN};
	int64_t wait = keeper->next_look_ms - clock_monotonic_ms();
	/* The service's clock may jump into another month. */
	const struct timespec timeout = {0, (wait < 0 ? 0 : wait > 999 ? 999 : wait) * 1000000};

	if (ppoll(&fd, 1, &timeout, proc_wait_mask()) > 0)
		wake_clear(WAKE_KEEPER);
}

int keeper_run(void)
{
	const struct db_config config = {
		.conninfo = setting_str_or(SETTING_DATABASE_SENDERD, SETTING_DATABASE),
		.application_name = "sbm-senderd keeper",
		.statement_timeout_ms = STATEMENT_TIMEOUT_MS,
		.lock_timeout_ms = LOCK_TIMEOUT_MS,
	};
	struct keeper keeper = {.db = db_create(&config)};
	const struct job_kinds kinds = {
		.but = audio_is_copied() ? job_kind_word(JOB_SYNC_AUDIO) : NULL, /* copying has a process of its own */
		.functions = job_functions,
		.context = &keeper,
		.application_name = "sbm-senderd keeper's lease",
	};
	int64_t sweep_ms = setting_int(SETTING_SWEEP);

	proc_child_signals();
	while (!proc_stopping()) {
		keep_house(&keeper);
		while (!proc_stopping() && jobs_do_one(keeper.db, &kinds))
			continue;
		keeper.next_look_ms = clock_monotonic_ms() + sweep_ms;
		if (!proc_stopping())
			wait_for_something(&keeper);
	}
	db_free(keeper.db);
	return 0;
}
