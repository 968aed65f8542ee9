#include "config.h"

#include "senderd/dispatcher.h"

#include "base/assert.h"
#include "base/boundary.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/settings.h"
#include "domain/cron.h"
#include "domain/gate.h"
#include "domain/queue.h"
#include "io/bus.h"
#include "io/db.h"
#include "senderd/scheduler.h"
#include "senderd/wake.h"
#include "senderd/watch.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATEMENT_TIMEOUT_MS 300000
#define LOCK_TIMEOUT_MS 30000
/* Runs that are not finished have their counts added up so often. */
#define FOLD_MS 250
#define SEEN_MS 10000
#define BIND_FIRST_MS 500
#define BIND_AGAIN_MS 10000
#define DB_WAIT_MS 500
/* Deliveries that one transaction lets through a gate; and how soon those of a channel's rate are looked after again. */
#define GATE_CHUNK 5000
#define GATE_FEED_MS 100

struct dispatcher {
	struct db *db;
	struct bus_pull *bus; /* NULL while another process has the socket */
	int64_t bind_at_ms;
	struct watch *watch;
	struct scheduler *scheduler; /* NULL when the scheduler is another service */
	struct queue_stmt fan_out;
	struct gate_rules gates;
	char name[300];
	char seen_at[40]; /* "" before it was written */
	int64_t sweep_ms;
	int64_t next_sweep_ms, next_seen_ms, next_fold_ms, next_gate_ms;
	int64_t db_again_ms;
	int64_t said_minute; /* of the service's clock: when the log last had how far runs are */
	bool work;  /* there may be runs to fan out */
	bool open;  /* there may be counts to add up, or runs to finish */
};

static void bind_bus(struct dispatcher *d, int64_t now)
{
	const char *endpoint = setting_str(SETTING_TRIGGER_BIND);
	char first[300];

	if (!*endpoint) {
		snprintf(first, sizeof first, "%s", setting_str(SETTING_TRIGGER_ENDPOINT));
		first[strcspn(first, ", \t")] = '\0';
		endpoint = first;
	}
	d->bus = bus_pull_create(endpoint);
	d->bind_at_ms = now + BIND_AGAIN_MS;
}

static void dispatcher_init(struct dispatcher *d, int generation)
{
	const struct db_config config = {
		.conninfo = setting_str_or(SETTING_DATABASE_SENDERD, SETTING_DATABASE),
		.application_name = "sbm-senderd dispatcher",
		.statement_timeout_ms = STATEMENT_TIMEOUT_MS,
		.lock_timeout_ms = LOCK_TIMEOUT_MS,
	};
	int64_t now = clock_monotonic_ms();
	char host[256] = "";

	d->db = db_create(&config);
	d->watch = watch_create();
	d->sweep_ms = setting_int(SETTING_SWEEP);
	queue_stmt_fan_out(&d->fan_out, setting_int(SETTING_FANOUT_CHUNK));
	gate_rules_read(&d->gates);
	if (!*setting_str(SETTING_SCHEDULER_URL))
		d->scheduler = scheduler_create();
	gethostname(host, sizeof host - 1);
	/* The supervisor's id: the daemon is the same when this process is started again. */
	snprintf(d->name, sizeof d->name, "%s:%ld", host, (long)getppid());
	d->work = d->open = true;
	d->said_minute = cron_minute(clock_now());
	if (generation > 0)
		d->bind_at_ms = now + BIND_FIRST_MS;
}

static void dispatcher_fini(struct dispatcher *d)
{
	scheduler_free(d->scheduler);
	watch_free(d->watch);
	bus_pull_free(d->bus);
	db_free(d->db);
}

/* After a failure the database is left alone for a moment; what was to be done is then looked for again. */
static bool failed(struct dispatcher *d, enum db_status status)
{
	if (status == DB_OK)
		return false;
	d->db_again_ms = clock_monotonic_ms() + DB_WAIT_MS;
	d->work = d->open = true;
	return true;
}

static void say_seen(struct dispatcher *d)
{
	struct db_result *result = NULL;
	struct db_params params;

	db_params_init(&params);
	db_param_text(&params, d->name);
	db_param_text(&params, PACKAGE_VERSION);
	if (failed(d, db_query(d->db, DB_Q_DAEMON_SEEN, &params, &result)))
		return;
	snprintf(d->seen_at, sizeof d->seen_at, "%s", db_text(result, 0, 0));
	db_result_free(result);
}

static void say_gone(struct dispatcher *d)
{
	struct db_params params;

	if (!*d->seen_at)
		return;
	db_params_init(&params);
	db_param_text(&params, d->name);
	db_param_text(&params, d->seen_at);
	db_query(d->db, DB_Q_DAEMON_GONE, &params, NULL);
}

/* One chunk of one run, in a transaction of its own. */
static enum db_status fan_out_chunk(struct dispatcher *d, int64_t run_id, struct run_progress *progress)
{
	enum db_status status = queue_begin(d->db);

	if (status != DB_OK)
		return status;
	status = queue_fan_out(d->db, &d->fan_out, run_id, clock_now(), progress);
	if (status != DB_OK) {
		db_rollback(d->db);
		return status;
	}
	boundary_pass(BOUNDARY_DISPATCHER_FAN_OUT);
	status = db_commit(d->db);
	boundary_pass(BOUNDARY_DISPATCHER_FANNED_OUT);
	return status;
}

/* Holds a run that would send far more than its schedule's runs before it. */
static enum db_status judge(struct dispatcher *d, int64_t run_id, bool *held)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_int(&params, run_id);
	db_param_int(&params, setting_int(SETTING_SURGE_RATIO));
	db_param_int(&params, setting_int(SETTING_SURGE_MIN));
	db_param_time(&params, clock_now());
	status = db_query(d->db, DB_Q_RUN_JUDGE, &params, &result);
	boundary_pass(BOUNDARY_DISPATCHER_JUDGED);
	*held = status == DB_OK && db_rows(result) > 0;
	if (*held) {
		counter_add(COUNTER_RUNS_HELD, 1);
		log_warn("run is held: it would send far more than expected; release it with sbmctl run release", log_int("run", run_id),
			log_int("schedule", db_int(result, 0, 0)), log_int("messages", db_int(result, 0, 1)), log_int("expected", db_int(result, 0, 2)));
	}
	db_result_free(result);
	return status;
}

/* True when the run is not to be fanned out now. */
static bool holds_surge(struct dispatcher *d, int64_t run_id)
{
	bool held;

	if (!setting_int(SETTING_SURGE_RATIO))
		return false;
	return failed(d, judge(d, run_id, &held)) || held;
}

/* One chunk of each run that is being fanned out, so that a large one does not keep a small one waiting. */
static void fan_out(struct dispatcher *d)
{
	struct db_result *result = NULL;
	bool more = false;

	if (failed(d, db_query(d->db, DB_Q_RUN_FANNING, NULL, &result)))
		return;
	for (int i = 0; i < db_rows(result) && !proc_stopping(); i++) {
		struct run_progress progress = {0};
		enum db_status status;

		if (db_bool(result, i, 1) && holds_surge(d, db_int(result, i, 0)))
			continue;
		status = fan_out_chunk(d, db_int(result, i, 0), &progress);
		if (failed(d, status)) {
			/* What is wrong with one run is not wrong with the others. */
			if (status != DB_UNAVAILABLE)
				continue;
			break;
		}
		counter_add(COUNTER_QUEUED, (uint64_t)progress.queued);
		if (progress.queued > 0)
			wake_senders();
		if (progress.looked_at > 0 && !progress.finished)
			more = true;
		if (progress.finished)
			log_debug("run is fanned out", log_int("run", db_int(result, i, 0)));
	}
	d->open = d->open || db_rows(result) > 0;
	d->work = more || d->db_again_ms > clock_monotonic_ms();
	db_result_free(result);
}

static void log_finished(const struct db_result *result, int row)
{
	log_set_request_id(db_text(result, row, 9));
	log_info("run finished", log_int("run", db_int(result, row, 0)), log_int("schedule", db_int(result, row, 1)),
		log_str("minute", db_text(result, row, 2)), log_int("queued", db_int(result, row, 3)),
		log_int("skipped", db_int(result, row, 4)), log_int("sent", db_int(result, row, 5)),
		log_int("failed", db_int(result, row, 6)), log_int("cancelled", db_int(result, row, 7)),
		log_int("took_ms", db_int(result, row, 8)));
	log_set_request_id(NULL);
}

/* How far each run is that is under way, once a minute. */
static void say_progress(struct dispatcher *d)
{
	int64_t minute = cron_minute(clock_now());
	struct db_result *result = NULL;
	struct db_params params;

	if (minute == d->said_minute)
		return;
	d->said_minute = minute;
	db_params_init(&params);
	db_param_time(&params, clock_now());
	if (failed(d, db_query(d->db, DB_Q_RUN_PROGRESS, &params, &result)))
		return;
	for (int i = 0; i < db_rows(result); i++) {
		log_set_request_id(db_text(result, i, 8));
		log_info("run is under way", log_int("run", db_int(result, i, 0)), log_int("schedule", db_int(result, i, 1)),
			log_int("queued", db_int(result, i, 2)), log_int("sent", db_int(result, i, 3)), log_int("failed", db_int(result, i, 4)),
			log_int("cancelled", db_int(result, i, 5)), log_str("per_second", db_text(result, i, 6)),
			log_str("seconds_left", db_is_null(result, i, 7) ? "unknown" : db_text(result, i, 7)));
		log_set_request_id(NULL);
	}
	db_result_free(result);
}

/* Adds up what the senders appended, and finishes runs. */
static void fold(struct dispatcher *d, int64_t now)
{
	struct db_result *result = NULL;
	struct db_params params;
	bool open;

	d->next_fold_ms = now + FOLD_MS;
	if (failed(d, db_query(d->db, DB_Q_RUN_OPEN, NULL, &result)))
		return;
	open = db_bool(result, 0, 0);
	db_result_free(result);
	if (!open) {
		d->open = false;
		return;
	}
	db_params_init(&params);
	db_param_time(&params, clock_now());
	boundary_pass(BOUNDARY_DISPATCHER_FOLD);
	if (failed(d, db_query(d->db, DB_Q_RUN_FOLD, NULL, NULL)))
		return;
	boundary_pass(BOUNDARY_DISPATCHER_FOLDED);
	if (failed(d, db_query(d->db, DB_Q_RUN_FINISH, &params, &result)))
		return;
	if (db_rows(result) > 0)
		boundary_pass(BOUNDARY_DISPATCHER_FINISHED);
	counter_add(COUNTER_RUNS_FINISHED, (uint64_t)db_rows(result));
	for (int i = 0; i < db_rows(result); i++)
		log_finished(result, i);
	db_result_free(result);
	say_progress(d);
}

/* Lets deliveries go on whose pause, quiet hours or full channel are over. */
static void open_gates(struct dispatcher *d, int64_t now)
{
	int64_t opened;
	bool waits;

	d->next_gate_ms = now + d->sweep_ms;
	if (failed(d, gate_open_all(d->db, &d->gates, GATE_CHUNK, clock_now(), &opened, &waits)))
		return;
	if (opened > 0)
		wake_senders();
	if (opened >= GATE_CHUNK)
		d->next_gate_ms = now;
	else if (waits && d->next_gate_ms > now + GATE_FEED_MS)
		d->next_gate_ms = now + GATE_FEED_MS;
}

static void step(struct dispatcher *d)
{
	int64_t now = clock_monotonic_ms();

	if (!d->bus && now >= d->bind_at_ms)
		bind_bus(d, now);
	if (now < d->db_again_ms || failed(d, watch_tend(d->watch, d->db, now)))
		return;
	if (now >= d->next_sweep_ms) {
		d->next_sweep_ms = now + d->sweep_ms;
		d->work = d->open = true;
	}
	if (now >= d->next_seen_ms) {
		d->next_seen_ms = now + SEEN_MS;
		say_seen(d);
	}
	if (d->scheduler && scheduler_tick(d->scheduler, d->db))
		d->work = true;
	if (d->work)
		fan_out(d);
	if (now >= d->next_gate_ms)
		open_gates(d, now);
	if (d->open && now >= d->next_fold_ms)
		fold(d, now);
}

static int64_t wait_ms(const struct dispatcher *d)
{
	int64_t now = clock_monotonic_ms();
	/* The service's clock is looked at every second: a minute begins, or somebody moved it. */
	int64_t until = now + 1000;

	if (d->db_again_ms > now)
		return d->db_again_ms - now;
	if (d->work)
		return 0;
	if (until > d->next_sweep_ms)
		until = d->next_sweep_ms;
	if (until > d->next_gate_ms)
		until = d->next_gate_ms;
	if (d->open && until > d->next_fold_ms)
		until = d->next_fold_ms;
	if (!d->bus && until > d->bind_at_ms)
		until = d->bind_at_ms;
	return until > now ? until - now : 0;
}

/* A trigger says nothing but that there is something: a run, a delivery, a job, or a schedule. */
static void take_triggers(struct dispatcher *d)
{
	if (!d->bus || !bus_pull_drain(d->bus))
		return;
	d->work = d->open = true;
	d->next_gate_ms = 0;
	wake_senders();
	wake(WAKE_KEEPER);
	wake(WAKE_SYNCER);
	wake(WAKE_AUDIO);
}

static void wait_for_something(struct dispatcher *d)
{
	struct pollfd fd = {.fd = d->bus ? bus_pull_fd(d->bus) : -1, .events = POLLIN};
	int64_t wait = wait_ms(d);
	const struct timespec timeout = {wait / 1000, wait % 1000 * 1000000};

	ppoll(&fd, 1, &timeout, proc_wait_mask());
}

int dispatcher_run(int generation)
{
	struct dispatcher *d = calloc(1, sizeof *d);

	SBM_ASSERT(d);
	proc_child_signals();
	dispatcher_init(d, generation);
	while (!proc_stopping()) {
		take_triggers(d);
		step(d);
		/* What came while we worked changes the socket's state, not its descriptor's: look before the wait. */
		take_triggers(d);
		if (!proc_stopping())
			wait_for_something(d);
	}
	if (!d->db_again_ms || clock_monotonic_ms() >= d->db_again_ms)
		say_gone(d);
	dispatcher_fini(d);
	free(d);
	return 0;
}
