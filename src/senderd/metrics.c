#include "config.h"

#include "senderd/metrics.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/settings.h"
#include "domain/breaker.h"
#include "io/fetch.h"
#include "senderd/calls.h"
#include "senderd/sender.h"
#include "senderd/tally.h"
#include "senderd/wake.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_MAX 8
#define URL_MAX 1024
#define TURN_WAIT_MS 100
#define LONGEST_WAIT_MS 60000
/* What nobody has taken after so long says nothing of the present. */
#define VALUE_KEEP_MS 3600000
/* At the end: when the senders have ended, posts may take this long, but all in all less than the supervisor waits. */
#define LAST_POSTS_MS 5000
#define BEFORE_KILL_MS 1000

/* A post under way. */
struct post {
	struct poster *poster;
	int key; /* -1: none */
	struct breaker_ticket ticket;
};

struct poster {
	struct fetch *fetch;
	struct breaker breaker;
	struct breaker_config breaker_config;
	struct post posts[CALLS_MAX];
	struct buf url, userpwd;
	int at;                         /* the key that comes next; tally_keys(): this round is done */
	bool complained[TALLY_KEYS_MAX]; /* that the service refuses this key */
	int64_t flush_ms, next_flush_ms;
	int64_t reloads;
	int64_t lost;
	bool last_round;
	bool failed; /* in the last round */
};

bool metrics_are_posted(void)
{
	return *setting_str(SETTING_METRICS_URL);
}

static void poster_init(struct poster *p)
{
	const struct fetch_config fetch = {
		.max_calls = CALLS_MAX,
		.connect_timeout_ms = setting_int(SETTING_CONNECT_TIMEOUT),
		.call_timeout_ms = setting_int(SETTING_CALL_TIMEOUT),
		.response_max = setting_int(SETTING_RESPONSE_MAX),
	};

	p->fetch = fetch_create(&fetch);
	if (!p->fetch)
		log_fatal("could not set up calls of other services");
	breaker_init(&p->breaker);
	p->breaker_config = (struct breaker_config){setting_int(SETTING_PROBE_MIN), setting_int(SETTING_PROBE_MAX)};
	for (int i = 0; i < CALLS_MAX; i++)
		p->posts[i] = (struct post){.poster = p, .key = -1};
	buf_init(&p->url, URL_MAX);
	buf_printf(&p->url, "%s/metrics/", setting_str(SETTING_METRICS_URL));
	buf_init(&p->userpwd, URL_MAX);
	buf_printf(&p->userpwd, "%s:%s", setting_str(SETTING_METRICS_AUTH_USER), setting_str(SETTING_METRICS_AUTH_PASSWORD));
	p->at = tally_keys();
	p->flush_ms = setting_int(SETTING_METRICS_FLUSH);
	p->next_flush_ms = clock_monotonic_ms() + p->flush_ms;
	p->reloads = tally_reloads();
}

static void poster_fini(struct poster *p)
{
	fetch_free(p->fetch);
	buf_fini(&p->url);
	buf_fini(&p->userpwd);
}

/* What failed so was not taken. Not known: no answer, or that of a proxy which had none. */
static bool was_refused(const struct fetch_answer *answer)
{
	if (answer->outcome == FETCH_REFUSED)
		return true;
	return answer->status >= 300 && answer->status != 502 && answer->status != 504;
}

static void tell_breaker(struct poster *p, const struct post *post, enum retry_outcome outcome, const struct fetch_answer *answer)
{
	/* Sums can wait: a service that fails in any way gets one call at a time until it is well. */
	const struct breaker_result result = {outcome == RETRY_UNSURE ? RETRY_OUTAGE : outcome, false, answer->retry_after_ms};
	const struct calls_end end = {post->ticket, result, answer->status, answer->error};

	calls_report(CALLS_METRICS, &p->breaker, &p->breaker_config, &end);
}

static void post_done(void *context, const struct fetch_answer *answer)
{
	struct post *post = context;
	struct poster *p = post->poster;
	enum retry_outcome outcome = retry_classify(answer->outcome, answer->status);
	int key = post->key;

	post->key = -1;
	calls_count(CALLS_METRICS, answer);
	if (outcome == RETRY_DONE) {
		tally_accepted(key);
		p->complained[key] = false;
	} else {
		p->failed = true;
		if (was_refused(answer))
			tally_refused(key);
	}
	if (outcome == RETRY_PERMANENT && !p->complained[key]) {
		p->complained[key] = true;
		log_warn("the metrics service refuses a metric; its sum is kept and posted again", log_str("key", tally_key(key)), log_int("status", answer->status));
	}
	tell_breaker(p, post, outcome, answer);
}

static void start(struct poster *p, struct post *post, const struct tally_post *what)
{
	char id[80], request_id[100];
	const char *headers[] = {"Content-Type: application/json", "User-Agent: sbm/" PACKAGE_VERSION, id, *what->request_id ? request_id : NULL, NULL};
	struct buf body;
	struct fetch_call call = {
		.method = "POST",
		.url = buf_text(&p->url),
		.headers = headers,
		.userpwd = p->userpwd.length > 1 ? buf_text(&p->userpwd) : NULL,
		.fresh = true,
	};

	snprintf(id, sizeof id, "Idempotency-Key: %s", what->id);
	snprintf(request_id, sizeof request_id, "X-Request-ID: %s", what->request_id);
	buf_init(&body, 2 * METRIC_KEY_MAX);
	buf_putc(&body, '{');
	buf_put_json(&body, what->key);
	/* A number with a point, as the original's were. */
	buf_printf(&body, ": %" PRId64 ".0}", what->value);
	call.body = buf_text(&body);
	call.body_length = body.length;
	if (body.overflow || fetch_start(p->fetch, &call, post_done, post) != 0) {
		const struct fetch_answer none = {.outcome = FETCH_REFUSED, .error = "the call could not be started; check metrics_url", .retry_after_ms = -1};

		post_done(post, &none);
	}
	buf_fini(&body);
}

static struct post *free_post(struct poster *p)
{
	for (int i = 0; i < CALLS_MAX; i++)
		if (p->posts[i].key < 0)
			return &p->posts[i];
	return NULL;
}

static bool is_under_way(const struct poster *p, int key)
{
	for (int i = 0; i < CALLS_MAX; i++)
		if (p->posts[i].key == key)
			return true;
	return false;
}

/* Starts what may be started of this round. */
static void pump(struct poster *p)
{
	struct tally_post what;
	struct post *post;

	while (p->at < tally_keys() && (post = free_post(p))) {
		struct breaker_ticket ticket;

		if (is_under_way(p, p->at) || !tally_take(p->at, &what)) {
			p->at++;
			continue;
		}
		if (!breaker_start(&p->breaker, clock_monotonic_ms(), &ticket))
			return;
		post->ticket = ticket;
		post->key = p->at++;
		start(p, post, &what);
	}
}

static void tell_of_loss(struct poster *p)
{
	int64_t lost = tally_lost();
	int forgotten = tally_forget_values(VALUE_KEEP_MS);

	if (forgotten)
		log_warn("estimates are too old to be posted; ask for new ones when the metrics service is back", log_int("metrics", forgotten));
	if (lost != p->lost)
		log_warn("there are too many metrics; those of some message sets are not counted", log_int("counts", lost - p->lost), log_int("keys_max", TALLY_KEYS_MAX));
	p->lost = lost;
}

/* Begins a round when it is time and the one before is over. */
static void begin_round(struct poster *p, int64_t now)
{
	if (now < p->next_flush_ms || p->at < tally_keys())
		return;
	p->at = 0;
	p->next_flush_ms = now + p->flush_ms;
	tell_of_loss(p);
}

static void step(struct poster *p)
{
	fetch_run(p->fetch);
	if (!p->last_round)
		begin_round(p, clock_monotonic_ms());
	pump(p);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void wait_until(struct poster *p, int64_t until_ms)
{
	struct pollfd fds[] = {
		{.fd = fetch_fd(p->fetch), .events = POLLIN},
		{.fd = wake_fd(WAKE_METRICS), .events = POLLIN},
	};
	int64_t now = clock_monotonic_ms(), wait = until_ms - now, fetch = fetch_timeout_ms(p->fetch), closed = breaker_wait_ms(&p->breaker, now);
	struct timespec timeout;

	if (p->at >= tally_keys() && !p->last_round)
		wait = earlier(wait, p->next_flush_ms - now);
	if (fetch >= 0)
		wait = earlier(wait, fetch);
	if (p->at < tally_keys() && closed > 0)
		wait = earlier(wait, closed);
	wait = wait < 0 ? 0 : earlier(wait, LONGEST_WAIT_MS);
	calls_show_pause(CALLS_METRICS, &p->breaker, now);
	timeout = (struct timespec){wait / 1000, wait % 1000 * 1000000};
	if (ppoll(fds, 2, &timeout, proc_wait_mask()) > 0 && fds[1].revents) {
		wake_clear(WAKE_METRICS);
		p->next_flush_ms = now;
	}
}

/* Only one process posts; after a reload the one before may still wait for answers. False when we are to stop. */
static bool wait_for_turn(void)
{
	const struct timespec timeout = {0, TURN_WAIT_MS * 1000000};

	while (!proc_stopping()) {
		if (tally_post_lock())
			return true;
		ppoll(NULL, 0, &timeout, proc_wait_mask());
	}
	return false;
}

static bool has_successor(const struct poster *p)
{
	return tally_reloads() != p->reloads;
}

/* Goes on as long as others may count, but no longer than until `limit_ms`. */
static void see_senders_off(struct poster *p, int64_t limit_ms)
{
	while (tally_has_members() && !has_successor(p) && clock_monotonic_ms() < limit_ms) {
		int64_t soon = clock_monotonic_ms() + TURN_WAIT_MS;

		step(p);
		wait_until(p, earlier(soon, limit_ms));
	}
}

/* Waits for the answers that are due, and posts all that is left when there is nobody after us. */
static void post_last(struct poster *p, int64_t limit_ms)
{
	p->last_round = true;
	p->at = tally_keys();
	if (!has_successor(p)) {
		/* However long the service was to be left alone, this is the last chance. */
		if (p->breaker.state == BREAKER_OPEN)
			breaker_init(&p->breaker);
		p->at = 0;
	}
	for (;;) {
		step(p);
		if (p->failed && !has_successor(p))
			p->at = tally_keys();
		if ((p->at >= tally_keys() && fetch_active(p->fetch) == 0) || clock_monotonic_ms() >= limit_ms)
			break;
		wait_until(p, limit_ms);
	}
}

static void finish(struct poster *p)
{
	int64_t limit_ms = clock_monotonic_ms() + setting_int(SETTING_DRAIN_TIMEOUT) + SENDER_WRITE_BACK_MS - BEFORE_KILL_MS;
	int left;

	see_senders_off(p, limit_ms - BEFORE_KILL_MS);
	p->failed = false;
	post_last(p, earlier(limit_ms, clock_monotonic_ms() + LAST_POSTS_MS));
	left = has_successor(p) ? 0 : tally_pending();
	if (left)
		log_warn("metrics could not be posted before the end and are lost", log_int("metrics", left));
}

int metrics_run(void)
{
	struct poster *p = calloc(1, sizeof *p);

	SBM_ASSERT(p);
	proc_child_signals();
	poster_init(p);
	if (wait_for_turn()) {
		while (!proc_stopping()) {
			step(p);
			if (!proc_stopping())
				wait_until(p, INT64_MAX);
		}
		finish(p);
	}
	poster_fini(p);
	free(p);
	return 0;
}
