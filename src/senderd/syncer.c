#include "config.h"

#include "senderd/syncer.h"

#include "base/assert.h"
#include "base/boundary.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/settings.h"
#include "domain/breaker.h"
#include "domain/scheduler_call.h"
#include "io/db.h"
#include "io/fetch.h"
#include "senderd/calls.h"
#include "senderd/wake.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATEMENT_TIMEOUT_MS 60000
#define LOCK_TIMEOUT_MS 30000
#define DB_WAIT_MS 500
/* A lease outlasts one call by this much. */
#define LEASE_BESIDE_MS 2000
#define TEXT_MAX 4096
#define PAGES_MAX 1000
#define HEADERS_MAX 8

/* How a call of the scheduler ended. */
struct reply {
	bool ended;
	enum retry_outcome outcome;
	long status;
	int64_t retry_after_ms;
	char *body; /* ours */
	size_t body_length;
	char error[200];
};

/* One schedule that is owed a call, claimed. */
struct owed {
	int64_t schedule, attempt, change, tries;
	char id[UUID_TEXT_SIZE]; /* the scheduler's; "" while there is none */
	char key[UUID_TEXT_SIZE];
	char request_id[200];
	bool in_doubt;
	bool gone; /* deleted here: to be switched off */
	struct buf body;
	char digest[DIGEST_HEX_SIZE];
};

/* What became of it. */
enum end {
	END_DONE,
	END_NOT_NEEDED, /* it never reached the scheduler, and is gone */
	END_RETRY,      /* the reply says why */
	END_LOST,       /* another process has taken it over, the database is away, or we are to stop: nothing more is written */
};

struct syncer {
	struct db *db;
	struct fetch *fetch;
	struct breaker breaker;
	struct breaker_config breaker_config;
	struct reply reply; /* of the last call */
	int64_t sweep_ms, lease_ms, drain_ms;
	int64_t stop_ms; /* when a call under way is given up; 0 while we are not to stop */
};

static void syncer_init(struct syncer *s)
{
	const struct db_config db = {
		.conninfo = setting_str_or(SETTING_DATABASE_SENDERD, SETTING_DATABASE),
		.application_name = "sbm-senderd syncer",
		.statement_timeout_ms = STATEMENT_TIMEOUT_MS,
		.lock_timeout_ms = LOCK_TIMEOUT_MS,
	};
	const struct fetch_config fetch = {
		.max_calls = 1,
		.connect_timeout_ms = setting_int(SETTING_CONNECT_TIMEOUT),
		.call_timeout_ms = setting_int(SETTING_CALL_TIMEOUT),
		.response_max = setting_int(SETTING_RESPONSE_MAX),
	};

	s->db = db_create(&db);
	s->fetch = fetch_create(&fetch);
	if (!s->fetch)
		log_fatal("could not set up calls of other services");
	breaker_init(&s->breaker);
	s->breaker_config = (struct breaker_config){setting_int(SETTING_PROBE_MIN), setting_int(SETTING_PROBE_MAX)};
	s->sweep_ms = setting_int(SETTING_SWEEP);
	s->lease_ms = setting_int(SETTING_CALL_TIMEOUT) + LEASE_BESIDE_MS;
	s->drain_ms = setting_int(SETTING_DRAIN_TIMEOUT);
	srandom((unsigned)clock_monotonic_ms() ^ (unsigned)getpid());
}

static void syncer_fini(struct syncer *s)
{
	free(s->reply.body);
	fetch_free(s->fetch);
	db_free(s->db);
}

static void take_answer(void *context, const struct fetch_answer *answer)
{
	struct reply *reply = context;

	calls_count(CALLS_SCHEDULER, answer);
	reply->ended = true;
	reply->outcome = retry_classify(answer->outcome, answer->status);
	reply->status = answer->status;
	reply->retry_after_ms = answer->retry_after_ms;
	reply->body = strndup(answer->body, answer->body_length);
	SBM_ASSERT(reply->body);
	reply->body_length = strlen(reply->body);
	if (*answer->error)
		snprintf(reply->error, sizeof reply->error, "%s", answer->error);
	else if (reply->outcome != RETRY_DONE)
		snprintf(reply->error, sizeof reply->error, "answered %ld: %.150s", answer->status, reply->body);
}

/* Waits for the end of the call; false when it was given up because we are to stop. */
static bool wait_for_answer(struct syncer *s)
{
	while (!s->reply.ended) {
		struct pollfd fd = {.fd = fetch_fd(s->fetch), .events = POLLIN};
		int64_t now = clock_monotonic_ms(), wait = fetch_timeout_ms(s->fetch);
		struct timespec timeout;

		if (proc_stopping() && !s->stop_ms)
			s->stop_ms = now + s->drain_ms;
		if (s->stop_ms && now >= s->stop_ms)
			return false;
		if (wait < 0 || wait > 500)
			wait = 500;
		timeout = (struct timespec){0, wait * 1000000};
		ppoll(&fd, 1, &timeout, proc_wait_mask());
		fetch_run(s->fetch);
	}
	return true;
}

static void tell_breaker(struct syncer *s, struct breaker_ticket ticket, const struct owed *owed)
{
	const struct breaker_result result = {s->reply.outcome, owed->tries > 0, s->reply.retry_after_ms};
	const struct calls_end end = {ticket, result, s->reply.status, s->reply.error};

	calls_report(CALLS_SCHEDULER, &s->breaker, &s->breaker_config, &end);
}

/* Fills headers with pointers into text. */
static void put_headers(struct buf *text, const struct owed *owed, bool creates, const char *headers[HEADERS_MAX])
{
	size_t starts[HEADERS_MAX];
	int n = 0;

	starts[n++] = text->length;
	buf_printf(text, "Authorization: Token %s%c", setting_str(SETTING_SCHEDULER_API_TOKEN), 0);
	starts[n++] = text->length;
	buf_printf(text, "User-Agent: sbm/%s%c", PACKAGE_VERSION, 0);
	starts[n++] = text->length;
	buf_printf(text, "Content-Type: application/json%c", 0);
	if (creates) {
		starts[n++] = text->length;
		buf_printf(text, "Idempotency-Key: %s%c", owed->key, 0);
	}
	if (*owed->request_id) {
		starts[n++] = text->length;
		buf_printf(text, "X-Request-ID: %s%c", owed->request_id, 0);
	}
	for (int i = 0; i < n; i++)
		headers[i] = buf_text(text) + starts[i];
	headers[n] = NULL;
}

/* Makes a call and waits for its end: s->reply. False when it has none. */
static bool call(struct syncer *s, const struct owed *owed, const char *method, const char *url, const char *body)
{
	const char *headers[HEADERS_MAX];
	struct breaker_ticket ticket;
	struct fetch_call call = {.method = method, .url = url, .headers = headers, .body = body, .body_length = body ? strlen(body) : 0,
		.fresh = !strcmp(method, "POST")};
	struct buf text;
	bool ended;

	free(s->reply.body);
	s->reply = (struct reply){.outcome = RETRY_OUTAGE, .retry_after_ms = -1};
	if (!breaker_start(&s->breaker, clock_monotonic_ms(), &ticket))
		return false;
	boundary_pass(BOUNDARY_SYNCER_CALL);
	buf_init(&text, TEXT_MAX);
	put_headers(&text, owed, call.fresh, headers);
	if (fetch_start(s->fetch, &call, take_answer, &s->reply)) {
		log_err("could not start a call; check the address and the token of the service", log_str("service", "scheduler"));
		snprintf(s->reply.error, sizeof s->reply.error, "the call could not be started");
		ended = true;
	} else
		ended = wait_for_answer(s);
	boundary_pass(BOUNDARY_SYNCER_ANSWERED);
	if (ended)
		tell_breaker(s, ticket, owed);
	else
		breaker_cancel(&s->breaker, ticket);
	buf_fini(&text);
	return ended;
}

/* Before a call: still ours, and noted when it may make something there. */
static bool hold(struct syncer *s, const struct owed *owed, bool creates)
{
	struct db_result *result = NULL;
	struct db_params params;
	bool held;

	db_params_init(&params);
	db_param_int(&params, owed->schedule);
	db_param_int(&params, owed->attempt);
	db_param_int(&params, s->lease_ms);
	db_param_bool(&params, creates);
	held = db_query(s->db, DB_Q_SCHEDULER_CALL_HOLD, &params, &result) == DB_OK && db_affected(result) == 1;
	db_result_free(result);
	return held;
}

/* What a 4xx says was not done; anything else may have been. */
static bool was_refused(const struct reply *reply)
{
	return reply->outcome == RETRY_PERMANENT || (reply->outcome == RETRY_OUTAGE && reply->status < 500);
}

static enum end create(struct syncer *s, struct owed *owed)
{
	struct buf url;
	bool ended;

	if (!hold(s, owed, true))
		return END_LOST;
	owed->in_doubt = true;
	buf_init(&url, TEXT_MAX);
	scheduler_put_url(NULL, &url);
	ended = call(s, owed, "POST", buf_text(&url), buf_text(&owed->body));
	buf_fini(&url);
	if (!ended)
		return END_LOST;
	if (s->reply.outcome == RETRY_DONE && scheduler_read_id(s->reply.body, s->reply.body_length, owed->id) == 0)
		return END_DONE;
	if (s->reply.outcome == RETRY_DONE) {
		s->reply.outcome = RETRY_UNSURE;
		snprintf(s->reply.error, sizeof s->reply.error, "answered %ld without the id of the schedule that was made", s->reply.status);
	}
	owed->in_doubt = !was_refused(&s->reply);
	return END_RETRY;
}

/* The answer to a page of the list; owed->id takes what is found. */
static enum end read_page(struct syncer *s, struct owed *owed, const char *endpoint, struct buf *query, enum scheduler_page *page)
{
	*page = SCHEDULER_PAGE_ODD;
	if (s->reply.outcome == RETRY_OUTAGE || s->reply.outcome == RETRY_UNSURE)
		return END_RETRY;
	if (s->reply.outcome == RETRY_DONE)
		*page = scheduler_read_page(s->reply.body, s->reply.body_length, endpoint, owed->id, query);
	return END_DONE;
}

/*
 * Looks in the scheduler's list for the schedule with our address. END_DONE: owed->id has what was found, and
 * *page tells whether there was a list.
 */
static enum end look_up(struct syncer *s, struct owed *owed, enum scheduler_page *page)
{
	struct buf url, endpoint, query;
	enum end end = END_DONE;

	buf_init(&url, TEXT_MAX);
	buf_init(&endpoint, TEXT_MAX);
	buf_init(&query, TEXT_MAX / 2);
	scheduler_put_endpoint(owed->schedule, &endpoint);
	*page = SCHEDULER_PAGE_MORE;
	for (int i = 0; end == END_DONE && *page == SCHEDULER_PAGE_MORE && i < PAGES_MAX; i++) {
		buf_reset(&url);
		scheduler_put_url(NULL, &url);
		buf_puts(&url, buf_text(&query));
		if (!hold(s, owed, false) || !call(s, owed, "GET", buf_text(&url), NULL))
			end = END_LOST;
		else
			end = read_page(s, owed, buf_text(&endpoint), &query, page);
	}
	if (end == END_DONE)
		log_info("looked for a schedule at the scheduler", log_int("schedule", owed->schedule),
			log_str("scheduler_id", *owed->id ? owed->id : *page == SCHEDULER_PAGE_ODD ? "there is no list" : "none"));
	buf_fini(&url);
	buf_fini(&endpoint);
	buf_fini(&query);
	return end;
}

/* Changes, or switches off, the schedule of owed->id. */
static enum end patch(struct syncer *s, struct owed *owed)
{
	struct buf url;
	bool ended;

	if (!hold(s, owed, false))
		return END_LOST;
	buf_init(&url, TEXT_MAX);
	scheduler_put_url(owed->id, &url);
	ended = call(s, owed, "PATCH", buf_text(&url), owed->gone ? "{\"enabled\": false, \"active\": false}" : buf_text(&owed->body));
	buf_fini(&url);
	if (!ended)
		return END_LOST;
	return s->reply.outcome == RETRY_DONE ? END_DONE : END_RETRY;
}

/*
 * The scheduler does not know the id. Whether it has lost the schedule, or is not the scheduler at all, its list
 * tells: only when there is one is the schedule made anew.
 */
static enum end make_anew(struct syncer *s, struct owed *owed)
{
	char id[UUID_TEXT_SIZE];
	enum scheduler_page page;
	enum end end;

	memcpy(id, owed->id, sizeof id);
	*owed->id = '\0';
	end = look_up(s, owed, &page);
	if (end != END_DONE)
		return end;
	if (page == SCHEDULER_PAGE_FOUND)
		return patch(s, owed);
	if (page == SCHEDULER_PAGE_END) {
		log_warn("the scheduler has lost a schedule; making it anew", log_int("schedule", owed->schedule), log_str("scheduler_id", id));
		return create(s, owed);
	}
	s->reply.outcome = RETRY_PERMANENT;
	snprintf(s->reply.error, sizeof s->reply.error, "does not know %s, and has no list to look for it", id);
	return END_RETRY;
}

static enum end change(struct syncer *s, struct owed *owed)
{
	enum end end = patch(s, owed);

	if (end != END_RETRY || (s->reply.status != 404 && s->reply.status != 410))
		return end;
	if (!owed->gone)
		return make_anew(s, owed);
	log_warn("the scheduler does not know a schedule that was to be switched off", log_int("schedule", owed->schedule), log_str("scheduler_id", owed->id));
	return END_DONE;
}

static enum end carry_over(struct syncer *s, struct owed *owed)
{
	if (!*owed->id && owed->in_doubt) {
		enum scheduler_page page;
		enum end end = look_up(s, owed, &page);

		if (end != END_DONE)
			return end;
	}
	if (*owed->id)
		return change(s, owed);
	return owed->gone ? END_NOT_NEEDED : create(s, owed);
}

/* Reads the schedule as it is now. */
static enum db_status read_schedule(struct syncer *s, struct owed *owed)
{
	const char *fields[CRON_FIELD_MAX];
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_int(&params, owed->schedule);
	status = db_query(s->db, DB_Q_SCHEDULER_CALL_SCHEDULE, &params, &result);
	if (status != DB_OK)
		return status;
	owed->gone = db_rows(result) == 0;
	if (!owed->gone) {
		for (int i = 0; i < CRON_FIELD_MAX; i++)
			fields[i] = db_text(result, 0, i);
		if (!db_is_null(result, 0, CRON_FIELD_MAX + 1))
			snprintf(owed->id, sizeof owed->id, "%s", db_text(result, 0, CRON_FIELD_MAX + 1));
		if (!scheduler_knows_zone(db_text(result, 0, CRON_FIELD_MAX)))
			log_warn("the scheduler knows only UTC and fires this schedule at other times than it says", log_int("schedule", owed->schedule),
				log_str("timezone", db_text(result, 0, CRON_FIELD_MAX)));
		scheduler_put_body(owed->schedule, fields, &owed->body);
		scheduler_digest(&owed->body, owed->digest);
	}
	db_result_free(result);
	return DB_OK;
}

/* Its row goes, or stays for another call when it was changed meanwhile. */
static enum db_status end_row(struct syncer *s, const struct owed *owed, bool *ours)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_int(&params, owed->schedule);
	db_param_int(&params, owed->attempt);
	db_param_int(&params, owed->change);
	status = db_query(s->db, DB_Q_SCHEDULER_CALL_DONE, &params, &result);
	*ours = status == DB_OK && db_affected(result) == 1;
	db_result_free(result);
	if (status != DB_OK || *ours)
		return status;
	db_params_init(&params);
	db_param_int(&params, owed->schedule);
	db_param_int(&params, owed->attempt);
	db_param_text(&params, *owed->id ? owed->id : NULL);
	result = NULL;
	status = db_query(s->db, DB_Q_SCHEDULER_CALL_AGAIN, &params, &result);
	*ours = status == DB_OK && db_affected(result) == 1;
	db_result_free(result);
	return status;
}

static enum db_status keep_id(struct syncer *s, const struct owed *owed)
{
	struct db_params params;

	db_params_init(&params);
	db_param_int(&params, owed->schedule);
	db_param_text(&params, owed->id);
	db_param_text(&params, owed->digest);
	return db_query(s->db, DB_Q_SCHEDULER_CALL_KEEP_ID, &params, NULL);
}

static enum db_status write_done(struct syncer *s, const struct owed *owed)
{
	enum db_status status = db_begin(s->db);
	bool ours = false;

	if (status == DB_OK && !owed->gone)
		status = keep_id(s, owed);
	if (status == DB_OK)
		status = end_row(s, owed, &ours);
	if (status == DB_OK && ours) {
		boundary_pass(BOUNDARY_SYNCER_WRITE);
		status = db_commit(s->db);
		boundary_pass(BOUNDARY_SYNCER_WRITTEN);
		return status;
	}
	db_rollback(s->db);
	if (status == DB_OK)
		log_warn("a call of the scheduler ended too late; another process has taken it over", log_int("schedule", owed->schedule), log_str("scheduler_id", owed->id));
	return status;
}

static enum db_status write_retry(struct syncer *s, const struct owed *owed)
{
	/* An outage is not the schedule's: it goes on as soon as the scheduler is back. */
	bool outage = s->reply.outcome == RETRY_OUTAGE;
	int64_t tries = owed->tries + !outage;
	struct db_params params;

	db_params_init(&params);
	db_param_int(&params, owed->schedule);
	db_param_int(&params, owed->attempt);
	db_param_int(&params, outage ? 0 : retry_wait_ms((int)(tries > 1000 ? 1000 : tries), setting_int(SETTING_RETRY_BASE), setting_int(SETTING_RETRY_MAX), (uint32_t)random() << 1));
	db_param_int(&params, tries);
	db_param_bool(&params, owed->in_doubt);
	db_param_text(&params, s->reply.error);
	return db_query(s->db, DB_Q_SCHEDULER_CALL_RETRY, &params, NULL);
}

static void log_end(const struct syncer *s, const struct owed *owed, enum end end)
{
	if (end == END_DONE)
		log_info(owed->gone ? "schedule was switched off at the scheduler" : "schedule was carried over to the scheduler",
			log_int("schedule", owed->schedule), log_str("scheduler_id", owed->id));
	else if (end == END_RETRY && s->reply.outcome == RETRY_PERMANENT)
		log_err("the scheduler refuses a schedule; it is tried again", log_int("schedule", owed->schedule), log_str("error", s->reply.error));
	else if (end == END_RETRY)
		log_warn("could not carry a schedule over to the scheduler; it is tried again", log_int("schedule", owed->schedule), log_str("error", s->reply.error));
}

static void pause_for(int64_t ms)
{
	const struct timespec timeout = {ms / 1000, ms % 1000 * 1000000};

	ppoll(NULL, 0, &timeout, proc_wait_mask());
}

/* Writes what became of it, until the database takes it: the scheduler's id may be known to nobody else. */
static void write_end(struct syncer *s, const struct owed *owed, enum end end)
{
	enum db_status status;

	for (;;) {
		status = end == END_RETRY ? write_retry(s, owed) : write_done(s, owed);
		if (status == DB_OK)
			break;
		if (proc_stopping() && !s->stop_ms)
			s->stop_ms = clock_monotonic_ms() + s->drain_ms;
		if (s->stop_ms && clock_monotonic_ms() >= s->stop_ms)
			return;
		pause_for(DB_WAIT_MS);
	}
	log_end(s, owed, end);
}

static enum db_status claim(struct syncer *s, struct owed *owed, bool *found)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_int(&params, s->lease_ms);
	status = db_query(s->db, DB_Q_SCHEDULER_CALL_CLAIM, &params, &result);
	*found = status == DB_OK && db_rows(result) == 1;
	if (*found) {
		owed->schedule = db_int(result, 0, 0);
		owed->attempt = db_int(result, 0, 1);
		owed->change = db_int(result, 0, 2);
		owed->tries = db_int(result, 0, 3);
		snprintf(owed->id, sizeof owed->id, "%s", db_text(result, 0, 4));
		snprintf(owed->key, sizeof owed->key, "%s", db_text(result, 0, 5));
		owed->in_doubt = db_bool(result, 0, 6);
		snprintf(owed->request_id, sizeof owed->request_id, "%s", db_text(result, 0, 7));
	}
	db_result_free(result);
	return status;
}

/* Does what is owed to one schedule. False when there was none, or the database or the scheduler is away. */
static bool do_one(struct syncer *s)
{
	struct owed owed = {0};
	enum end end = END_LOST;
	bool found;

	if (breaker_wait_ms(&s->breaker, clock_monotonic_ms()) != 0)
		return false;
	if (claim(s, &owed, &found) != DB_OK || !found)
		return false;
	boundary_pass(BOUNDARY_SYNCER_CLAIMED);
	log_set_request_id(*owed.request_id ? owed.request_id : NULL);
	buf_init(&owed.body, TEXT_MAX);
	if (read_schedule(s, &owed) == DB_OK)
		end = carry_over(s, &owed);
	if (end != END_LOST)
		write_end(s, &owed, end);
	buf_fini(&owed.body);
	log_set_request_id(NULL);
	return end != END_LOST;
}

/* Milliseconds until the next one is due, at most a sweep. */
static int64_t next_due_ms(struct syncer *s)
{
	int64_t wait = s->sweep_ms, breaker = breaker_wait_ms(&s->breaker, clock_monotonic_ms());
	struct db_result *result = NULL;

	if (breaker > 0)
		return breaker < wait ? breaker : wait;
	if (db_query(s->db, DB_Q_SCHEDULER_CALL_NEXT, NULL, &result) != DB_OK)
		return DB_WAIT_MS;
	if (!db_is_null(result, 0, 0) && db_int(result, 0, 0) < wait)
		wait = db_int(result, 0, 0);
	db_result_free(result);
	return wait < 10 ? 10 : wait;
}

static void wait_for_something(struct syncer *s)
{
	struct pollfd fd = {.fd = wake_fd(WAKE_SYNCER), .events = POLLIN};
	int64_t wait = next_due_ms(s);
	const struct timespec timeout = {wait / 1000, wait % 1000 * 1000000};

	calls_show_pause(CALLS_SCHEDULER, &s->breaker, clock_monotonic_ms());
	if (ppoll(&fd, 1, &timeout, proc_wait_mask()) > 0)
		wake_clear(WAKE_SYNCER);
}

int syncer_run(void)
{
	struct syncer syncer = {0};

	proc_child_signals();
	syncer_init(&syncer);
	while (!proc_stopping()) {
		while (!proc_stopping() && do_one(&syncer))
			continue;
		if (!proc_stopping())
			wait_for_something(&syncer);
	}
	syncer_fini(&syncer);
	return 0;
}
