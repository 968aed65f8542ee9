#include "senderd/way.h"

#include "base/assert.h"
#include "base/boundary.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "domain/payload.h"
#include "senderd/addresses.h"
#include "senderd/calls.h"
#include "senderd/outlog.h"
#include "senderd/sender.h"
#include "senderd/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What waits longer than this after its claim goes back, so that what is sent is what is stored. */
#define STALE_MS 1000
#define PAYLOAD_MAX ((size_t)4 << 20)
#define URL_MAX 4096

static const enum calls_service service_calls[SERVICE_MAX] = {
	[SERVICE_IDENTITY] = CALLS_IDENTITY,
	[SERVICE_OUTBOUND] = CALLS_OUTBOUND,
};

void way_move(struct way *way, enum way_state state)
{
	struct sender *sender = way->sender;

	TAILQ_REMOVE(&sender->lists[way->state], way, link);
	sender->counts[way->state]--;
	if (state == WAY_DONE && !sender->counts[WAY_DONE])
		sender->oldest_done_ms = clock_monotonic_ms();
	way->state = state;
	if (state == WAY_READY && way->prompt)
		TAILQ_INSERT_HEAD(&sender->lists[state], way, link);
	else
		TAILQ_INSERT_TAIL(&sender->lists[state], way, link);
	sender->counts[state]++;
}

void way_add(struct sender *sender, struct delivery *delivery, int64_t slot_ms, bool prompt)
{
	struct way *way = calloc(1, sizeof *way);

	SBM_ASSERT(way);
	way->sender = sender;
	way->delivery = delivery;
	way->slot_ms = slot_ms;
	way->state = WAY_WAITING;
	way->prompt = prompt;
	if (prompt)
		TAILQ_INSERT_HEAD(&sender->lists[WAY_WAITING], way, link);
	else
		TAILQ_INSERT_TAIL(&sender->lists[WAY_WAITING], way, link);
	sender->counts[WAY_WAITING]++;
}

int64_t way_count(const struct sender *sender)
{
	int64_t n = 0;

	for (enum way_state state = 0; state < WAY_STATE_MAX; state++)
		n += sender->counts[state];
	return n;
}

/* Reasons may tell what another service answered, which may name people: they stay in the database. */
static void say_ended(const struct delivery *d)
{
	static const char *const words[DELIVERY_OUTCOME_MAX] = {
		[DELIVERY_OPEN] = "open", [DELIVERY_SENT] = "sent", [DELIVERY_DRY_RUN] = "dry_run", [DELIVERY_FAILED] = "failed",
		[DELIVERY_NO_RECIPIENT] = "no_recipient", [DELIVERY_CANCELLED] = "cancelled", [DELIVERY_RETRY] = "retry",
		[DELIVERY_RELEASE] = "release", [DELIVERY_GATED] = "gated",
	};

	log_set_request_id(d->request_id);
	log_debug("delivery ended", log_str("delivery", d->id), log_str("subscription", d->subscription_id), log_str("outcome", words[d->outcome]));
	log_set_request_id(NULL);
}

const char *way_service_word(enum service service)
{
	return calls_service_word(service_calls[service]);
}

static void end(struct way *way, enum delivery_outcome outcome, const char *reason)
{
	way->delivery->outcome = outcome;
	if (reason)
		delivery_set_reason(way->delivery, reason);
	if (log_is_on(LOG_LEVEL_DEBUG))
		say_ended(way->delivery);
	way_move(way, WAY_DONE);
}

/* why: of enum counter. */
static void fail(struct way *way, enum counter why, const char *reason)
{
	way->failure = why;
	end(way, DELIVERY_FAILED, reason);
}

static void count(const struct sender *sender, const char *key)
{
	if (sender->config.counts_metrics)
		tally_add(key, 1);
}

static void count_sent(const struct way *way)
{
	const struct delivery *d = way->delivery;
	struct buf key;

	buf_init(&key, METRIC_KEY_MAX);
	metric_put_type_key(&key, d->content_type);
	count(way->sender, buf_text(&key));
	buf_reset(&key);
	metric_put_set_key(&key, d->content_type, d->short_name);
	count(way->sender, buf_text(&key));
	buf_fini(&key);
}

/* Only what the original had keys for; other answers are in the log of calls. */
static void count_failed_call(const struct sender *sender, const struct fetch_answer *answer)
{
	static const long counted[] = {400, 401, 403, 404, 500};
	char key[64];

	if (answer->outcome == FETCH_TIMEOUT)
		count(sender, "sbm.send_next_message.timeout.sum");
	else if (answer->outcome == FETCH_REFUSED || answer->outcome == FETCH_BROKEN)
		count(sender, "sbm.send_next_message.connection_error.sum");
	for (size_t i = 0; i < sizeof counted / sizeof *counted; i++)
		if (answer->outcome == FETCH_ANSWERED && answer->status == counted[i]) {
			snprintf(key, sizeof key, "sbm.send_next_message.http_error.%ld.sum", answer->status);
			count(sender, key);
		}
}

/* Tells the breaker of the service that was called last how that ended. */
static void report(struct way *way, struct breaker_result result, long status, const char *error)
{
	struct sender *sender = way->sender;
	const struct calls_end end = {way->ticket, result, status, error};

	calls_report(service_calls[way->service], &sender->breakers[way->service], &sender->config.breaker, &end);
}

static void put_reason(struct buf *out, enum service service, const struct fetch_answer *answer)
{
	buf_puts(out, way_service_word(service));
	if (answer->status)
		buf_printf(out, " answered %ld", answer->status);
	if (*answer->error)
		buf_printf(out, ": %s", answer->error);
	else if (answer->status / 100 != 2 && answer->body_length > 0)
		buf_printf(out, ": %.200s", answer->body);
}

/* Ends a way whose call was no success. */
static void fail_call(struct way *way, enum retry_outcome outcome, const struct fetch_answer *answer)
{
	struct buf reason;

	buf_init(&reason, 1024);
	put_reason(&reason, way->service, answer);
	log_set_request_id(way->delivery->request_id);
	log_debug("call failed", log_str("service", way_service_word(way->service)), log_str("delivery", way->delivery->id),
		log_int("status", answer->status), log_str("error", answer->error));
	log_set_request_id(NULL);
	way->unsure = outcome == RETRY_UNSURE;
	if (outcome == RETRY_PERMANENT)
		fail(way, way->service == SERVICE_IDENTITY ? COUNTER_FAILED_IDENTITY : COUNTER_FAILED_OUTBOUND, buf_text(&reason));
	else
		end(way, DELIVERY_RELEASE, buf_text(&reason));
	buf_fini(&reason);
}

static void call_ended(struct way *way, enum retry_outcome outcome, const struct fetch_answer *answer)
{
	way->sender->calls[way->service]--;
	calls_count(service_calls[way->service], answer);
	report(way, (struct breaker_result){outcome, way->delivery->tries > 0, answer->retry_after_ms}, answer->status, answer->error);
	if (outcome != RETRY_DONE) {
		count_failed_call(way->sender, answer);
		fail_call(way, outcome, answer);
	}
}

/* Makes the body from what is known now; ends the way when that cannot be. */
static void make_payload(struct way *way)
{
	const struct delivery *d = way->delivery;
	const struct payload payload = {
		.to_addr = d->to_addr,
		.identity = d->identity,
		.content_type = d->content_type,
		.text = d->has_text ? d->text : NULL,
		.metadata = d->metadata,
		.binary = d->binary,
		.channel = d->channel,
		.prepend = d->prepend,
		.media_url = buf_text(&way->sender->config.media_url),
		.resend = d->kind == DELIVERY_RESEND,
	};
	const char *problem;
	struct buf body;

	buf_init(&body, PAYLOAD_MAX);
	problem = payload_put(&payload, &body);
	if (!problem && body.overflow)
		problem = "Message is too large to be sent";
	if (problem) {
		fail(way, COUNTER_FAILED_PAYLOAD, problem);
	} else {
		way->payload = strdup(buf_text(&body));
		SBM_ASSERT(way->payload);
		way_move(way, WAY_READY);
	}
	buf_fini(&body);
}

static void take_address(struct way *way, const char *address)
{
	free(way->delivery->to_addr);
	way->delivery->to_addr = strdup(address);
	SBM_ASSERT(way->delivery->to_addr);
	make_payload(way);
}

static void address_done(void *context, const struct fetch_answer *answer)
{
	struct way *way = context;
	enum retry_outcome outcome = retry_classify(answer->outcome, answer->status);
	char address[PAYLOAD_ADDRESS_SIZE];
	enum payload_address found = PAYLOAD_ADDRESS_BROKEN;

	boundary_pass(BOUNDARY_SENDER_ASKED);
	if (outcome == RETRY_DONE) {
		if (answer->outcome == FETCH_ANSWERED)
			found = payload_parse_address(answer->body, answer->body_length, address);
		/* A broken answer may be of this identity alone, or of a service that is not what it should be. */
		if (found == PAYLOAD_ADDRESS_BROKEN)
			outcome = RETRY_UNSURE;
	}
	call_ended(way, outcome, answer);
	if (outcome != RETRY_DONE)
		return;
	if (found == PAYLOAD_ADDRESS_NONE) {
		end(way, DELIVERY_NO_RECIPIENT, "Valid recipient could not be found");
		return;
	}
	addresses_put(way->sender->addresses, way->delivery->identity, address);
	take_address(way, address);
}

static void outbound_done(void *context, const struct fetch_answer *answer)
{
	struct way *way = context;
	enum retry_outcome outcome = retry_classify(answer->outcome, answer->status);
	char id[PAYLOAD_OUTBOUND_ID_SIZE];

	boundary_pass(BOUNDARY_SENDER_ANSWERED);
	call_ended(way, outcome, answer);
	if (outcome != RETRY_DONE)
		return;
	if (answer->outcome == FETCH_ANSWERED) {
		payload_parse_outbound_id(answer->body, answer->body_length, id);
		way->delivery->outbound_id = *id ? strdup(id) : NULL;
	}
	count_sent(way);
	end(way, DELIVERY_SENT, NULL);
}

/* Starts a call that the breaker has allowed; -1 when it could not be started at all. */
static int start(struct way *way, const struct fetch_call *call, void (*done)(void *, const struct fetch_answer *))
{
	struct sender *sender = way->sender;

	if (fetch_start(sender->fetch, call, done, way))
		return -1;
	sender->calls[way->service]++;
	way_move(way, WAY_CALLING);
	return 0;
}

/* A call that cannot even be started has a bad URL or token: the service's trouble, not the delivery's. */
static void cannot_start(struct way *way)
{
	log_err("could not start a call; check the address and the token of the service", log_str("service", way_service_word(way->service)));
	report(way, (struct breaker_result){RETRY_OUTAGE, false, -1}, 0, "the call could not be started");
	end(way, DELIVERY_RELEASE, "the call could not be started");
}

static void put_request_id(struct buf *header, const struct delivery *d)
{
	if (*d->request_id)
		buf_printf(header, "X-Request-ID: %s", d->request_id);
}

static void look_address_up(struct way *way)
{
	struct sender *sender = way->sender;
	struct buf url, request_id;

	buf_init(&url, URL_MAX);
	buf_init(&request_id, 256);
	payload_put_address_url(sender->config.identity_store_url, way->delivery->identity, &url);
	put_request_id(&request_id, way->delivery);
	const char *headers[] = {
		buf_text(&sender->config.headers[SERVICE_IDENTITY][0]), buf_text(&sender->config.headers[SERVICE_IDENTITY][1]),
		"Content-Type: application/json", request_id.length ? buf_text(&request_id) : NULL, NULL,
	};
	const struct fetch_call call = {.method = "GET", .url = buf_text(&url), .headers = headers};

	way->service = SERVICE_IDENTITY;
	boundary_pass(BOUNDARY_SENDER_ASK);
	if (url.overflow || start(way, &call, address_done))
		cannot_start(way);
	buf_fini(&url);
	buf_fini(&request_id);
}

static void post(struct way *way)
{
	struct sender *sender = way->sender;
	struct buf key, request_id;

	buf_init(&key, 256);
	buf_init(&request_id, 256);
	buf_printf(&key, "Idempotency-Key: %s", way->delivery->id);
	put_request_id(&request_id, way->delivery);
	const char *headers[] = {
		buf_text(&sender->config.headers[SERVICE_OUTBOUND][0]), buf_text(&sender->config.headers[SERVICE_OUTBOUND][1]),
		"Content-Type: application/json", buf_text(&key), request_id.length ? buf_text(&request_id) : NULL, NULL,
	};
	const struct fetch_call call = {
		.method = "POST",
		.url = buf_text(&sender->config.outbound_url),
		.headers = headers,
		.body = way->payload,
		.body_length = strlen(way->payload),
	};

	way->service = SERVICE_OUTBOUND;
	boundary_pass(BOUNDARY_SENDER_POST);
	if (start(way, &call, outbound_done))
		cannot_start(way);
	boundary_pass(BOUNDARY_SENDER_POSTED);
	buf_fini(&key);
	buf_fini(&request_id);
}

/* Ends what must wait though it was due: in quiet hours, or because its channel has no more room now. */
static bool stays_back(struct way *way)
{
	const struct sender *sender = way->sender;
	struct delivery *d = way->delivery;
	char gate[GATE_SIZE];

	if (!d->gate && d->timezone && !gate_window_is_open(&sender->config.gates, d->timezone, clock_now())) {
		gate_name_window(d->timezone, gate);
		d->gate = strdup(gate);
		SBM_ASSERT(d->gate);
	}
	if (d->gate)
		end(way, DELIVERY_GATED, NULL);
	return d->gate;
}

static bool is_dry_run(const struct sender *sender, int64_t messageset_id)
{
	for (int i = 0; i < sender->config.dry_runs; i++)
		if (sender->config.dry_run[i] == messageset_id)
			return true;
	return false;
}

static bool is_stale(const struct way *way, int64_t now_ms)
{
	return now_ms - way->delivery->claimed_ms > STALE_MS;
}

/* Sends a ready one whose time has come. False when the message sender takes none now. */
static bool send_ready(struct way *way)
{
	struct sender *sender = way->sender;
	int64_t now = clock_monotonic_ms();

	/* What was read too long ago is looked at anew before. */
	if (stays_back(way) || way->slot_ms > now || is_stale(way, now))
		return true;
	if (is_dry_run(sender, way->delivery->messageset_id)) {
		end(way, DELIVERY_DRY_RUN, NULL);
		return true;
	}
	if (!sender->outlog && sender->calls[SERVICE_OUTBOUND] >= sender->config.concurrency)
		return false;
	if (!breaker_start(&sender->breakers[SERVICE_OUTBOUND], now, &way->ticket))
		return false;
	if (sender->outlog) {
		way->service = SERVICE_OUTBOUND;
		outlog_put(sender->outlog, way->delivery->id, clock_now(), way->payload);
		way_move(way, WAY_LOGGED);
	} else {
		post(way);
	}
	return true;
}

/* Ends what needs no call. */
static bool end_at_once(struct way *way)
{
	const struct delivery *d = way->delivery;
	char reason[DELIVERY_REASON_SIZE];

	if (!d->has_subscription)
		end(way, DELIVERY_CANCELLED, "Subscription was deleted");
	else if (delivery_not_ready(d->active, d->completed, d->process_status, reason))
		end(way, DELIVERY_CANCELLED, reason);
	else if (!d->has_message)
		fail(way, COUNTER_FAILED_NO_MESSAGE, "Message sending aborted, missing message");
	else
		return false;
	return true;
}

/* Takes the first step of a claimed one. False when the identity store takes no call now. */
static bool begin(struct way *way)
{
	struct sender *sender = way->sender;
	const struct delivery *d = way->delivery;
	const char *known;

	if (end_at_once(way) || stays_back(way))
		return true;
	if (sender->config.direct) {
		take_address(way, d->to_addr_own && *d->to_addr_own ? d->to_addr_own : d->identity);
		return true;
	}
	known = addresses_get(sender->addresses, d->identity);
	if (known) {
		take_address(way, known);
		return true;
	}
	if (sender->calls[SERVICE_IDENTITY] >= sender->config.concurrency)
		return false;
	if (!breaker_start(&sender->breakers[SERVICE_IDENTITY], clock_monotonic_ms(), &way->ticket))
		return false;
	look_address_up(way);
	return true;
}

/* A lease that is about to run out must not be worked on: somebody else may have the delivery soon. */
static bool lease_holds(const struct way *way, int64_t now_ms)
{
	int64_t since = way->leased_ms ? way->leased_ms : way->delivery->claimed_ms;

	if (since < way->sender->renewed_ms)
		since = way->sender->renewed_ms;
	return now_ms < since + way->sender->config.lease_ms / 2;
}

void way_pump(struct sender *sender)
{
	int64_t now = clock_monotonic_ms();
	struct way *way, *next;

	for (way = TAILQ_FIRST(&sender->lists[WAY_READY]); way; way = next) {
		next = TAILQ_NEXT(way, link);
		if (!lease_holds(way, now))
			end(way, DELIVERY_RELEASE, NULL);
		else if (!send_ready(way))
			break;
	}
	while ((way = TAILQ_FIRST(&sender->lists[WAY_WAITING])) && sender->counts[WAY_READY] < sender->config.concurrency) {
		if (!lease_holds(way, now))
			end(way, DELIVERY_RELEASE, NULL);
		else if (!begin(way))
			break;
		/* The one that became ready just now, if its address was at hand. */
		if ((way = TAILQ_LAST(&sender->lists[WAY_READY], way_list)))
			send_ready(way);
	}
	if (way_is_probing(sender))
		way_release_unstarted(sender);
}

static void release(struct way *way)
{
	end(way, DELIVERY_RELEASE, NULL);
}

void way_release_unstarted(struct sender *sender)
{
	struct way *way;

	while ((way = TAILQ_FIRST(&sender->lists[WAY_WAITING])))
		release(way);
	while ((way = TAILQ_FIRST(&sender->lists[WAY_READY])))
		release(way);
}

void way_release_stale(struct sender *sender, int64_t now_ms)
{
	struct way *way;

	while ((way = TAILQ_FIRST(&sender->lists[WAY_WAITING])) && is_stale(way, now_ms))
		release(way);
}

int way_outdated(const struct sender *sender, int64_t now_ms, struct way **out, int max)
{
	int64_t room = sender->outlog ? max : sender->config.concurrency - sender->calls[SERVICE_OUTBOUND];
	struct way *way;
	int count = 0;

	TAILQ_FOREACH(way, &sender->lists[WAY_READY], link) {
		if (count == max || count >= room)
			break;
		if (is_stale(way, now_ms) && way->slot_ms <= now_ms)
			out[count++] = way;
	}
	return count;
}

void way_renew(struct way *way, struct delivery *news)
{
	struct delivery *old = way->delivery;

	/* The address is the one of the identity that it was asked for. */
	if (!news || strcmp(news->identity, old->identity) != 0) {
		delivery_free(news);
		release(way);
		return;
	}
	news->to_addr = old->to_addr;
	old->to_addr = NULL;
	/* The lease is the one of the claim. */
	way->leased_ms = way->leased_ms ? way->leased_ms : old->claimed_ms;
	delivery_free(old);
	way->delivery = news;
	free(way->payload);
	way->payload = NULL;
	if (!end_at_once(way))
		make_payload(way);
}

int64_t way_wait_ms(const struct sender *sender, int64_t now_ms)
{
	int64_t longest = 0;

	for (enum service service = 0; service < SERVICE_MAX; service++) {
		int64_t wait = breaker_wait_ms(&sender->breakers[service], now_ms);

		if (wait < 0)
			return -1;
		if (wait > longest)
			longest = wait;
	}
	return longest;
}

int64_t way_next_slot_ms(const struct sender *sender, int64_t now_ms)
{
	int64_t next = INT64_MAX;
	struct way *way;

	TAILQ_FOREACH(way, &sender->lists[WAY_READY], link)
		if (way->slot_ms > now_ms && way->slot_ms < next)
			next = way->slot_ms;
	return next;
}

bool way_is_probing(const struct sender *sender)
{
	return sender->breakers[SERVICE_IDENTITY].state != BREAKER_CLOSED || sender->breakers[SERVICE_OUTBOUND].state != BREAKER_CLOSED;
}

void way_show_pauses(const struct sender *sender, int64_t now_ms)
{
	for (enum service service = 0; service < SERVICE_MAX; service++)
		calls_show_pause(service_calls[service], &sender->breakers[service], now_ms);
}

void way_flush_outlog(struct sender *sender)
{
	char error[600];
	bool failed;
	struct way *way;

	if (!sender->counts[WAY_LOGGED])
		return;
	boundary_pass(BOUNDARY_SENDER_LOG);
	failed = outlog_flush(sender->outlog, error, sizeof error) != 0;
	boundary_pass(BOUNDARY_SENDER_LOGGED);
	if (failed)
		log_warn("could not write to the log of outbound messages", log_str("error", error));
	while ((way = TAILQ_FIRST(&sender->lists[WAY_LOGGED]))) {
		report(way, (struct breaker_result){failed ? RETRY_OUTAGE : RETRY_DONE, false, -1}, 0, failed ? error : "");
		if (!failed) {
			way->delivery->outbound_id = strdup(way->delivery->id);
			count_sent(way);
		}
		end(way, failed ? DELIVERY_RELEASE : DELIVERY_SENT, failed ? error : NULL);
	}
}

void way_settle(struct way *way)
{
	struct sender *sender = way->sender;
	const struct sender_config *config = &sender->config;
	struct delivery *d = way->delivery;
	int64_t tries = d->tries + 1, now = clock_monotonic_ms();
	int64_t tried = d->tries > 0 ? way->tried_ms : BREAKER_FIRST_TRY;

	if (!way->unsure)
		return;
	way->unsure = false;
	d->charged = breaker_charges(&sender->breakers[way->service], way->ticket, tried, now);
	if (!d->charged && sender->breakers[way->service].state != BREAKER_CLOSED)
		return;
	if (d->charged && tries >= config->tries) {
		d->outcome = DELIVERY_FAILED;
		way->failure = COUNTER_FAILED_TRIES;
		return;
	}
	d->outcome = DELIVERY_RETRY;
	if (d->charged || d->tries == 0)
		d->delay_ms = retry_wait_ms((int)tries, config->retry_base_ms, config->retry_max_ms, (uint32_t)random());
	else
		d->delay_ms = retry_wait_longer_ms(tried < now ? now - tried : 0, config->retry_base_ms, config->retry_max_ms, (uint32_t)random());
}

void way_free(struct way *way)
{
	delivery_free(way->delivery);
	free(way->payload);
	free(way);
}
