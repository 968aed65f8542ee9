#include "senderd/exchange.h"

#include "base/assert.h"
#include "base/boundary.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/proc.h"
#include "senderd/claim.h"
#include "senderd/evidence.h"
#include "senderd/sender.h"
#include "senderd/tally.h"
#include "senderd/watch.h"

#include <stdlib.h>
#include <string.h>

#define DB_WAIT_MIN_MS 100
#define DB_WAIT_MAX_MS 2000
/*
 * Leases run out while nobody can renew them. When the database is back, each process has this time to write down what
 * it has sent, or to renew, before others take that over: each comes back at its own time.
 */
#define OTHERS_FIRST_MS 10000
#define TRANSACTION_TRIES 5
/* So many are looked at anew in one statement. */
#define REFRESH_MAX 256

/* Results are written back together, but none waits longer than write_back for it. */
bool exchange_is_due(const struct sender *sender, int64_t now)
{
	int64_t done = sender->counts[WAY_DONE];

	if (!done)
		return false;
	/* Half a batch, so that calls go on while it is written. */
	return 2 * done >= sender->config.batch || done == way_count(sender) || now - sender->oldest_done_ms >= sender->config.write_back_ms;
}

static void pass_boundaries(int written_back, const struct claim *new, enum boundary of_write_back, enum boundary of_claim)
{
	if (written_back > 0)
		boundary_pass(of_write_back);
	if (new && new->count > 0)
		boundary_pass(of_claim);
}

/* One transaction: results in, and, when asked for, new deliveries out. */
static enum db_status transact(struct sender *sender, struct delivery *const *done, int count, struct claim *new)
{
	struct queue_cursor cursor = sender->cursor;
	int stale = 0;
	enum db_status status = queue_begin(sender->db);

	if (status == DB_OK && count > 0)
		status = queue_write_back(sender->db, done, count, clock_now(), &stale);
	if (status == DB_OK && new)
		status = claim_make(sender, new);
	pass_boundaries(count, new, BOUNDARY_SENDER_WRITE_BACK, BOUNDARY_SENDER_CLAIM);
	if (status == DB_OK)
		status = db_commit(sender->db);
	else
		db_rollback(sender->db);
	pass_boundaries(count, new, BOUNDARY_SENDER_WRITTEN_BACK, BOUNDARY_SENDER_CLAIMED);
	if (status != DB_OK) {
		sender->cursor = cursor;
		if (new) {
			claim_drop(new);
			*new = (struct claim){.prompt_asked = new->prompt_asked};
		}
	} else if (stale > 0) {
		log_warn("results came too late; their deliveries were claimed by another process", log_int("deliveries", stale));
	}
	return status;
}

static bool is_passing(enum db_status status)
{
	return status == DB_UNAVAILABLE || status == DB_TIMEOUT;
}

/* The same, again when it lost a race. */
static enum db_status transact_again(struct sender *sender, struct delivery *const *done, int count, struct claim *new)
{
	enum db_status status = DB_OK;

	for (int tries = 0; tries < TRANSACTION_TRIES; tries++) {
		status = transact(sender, done, count, new);
		if (status != DB_RETRY)
			break;
	}
	return status;
}

/* A result that the database refuses for what it holds ends without it, so that it does not come up again and again. */
static enum db_status write_bare(struct sender *sender, struct delivery *d)
{
	log_err("could not record the result of a delivery; it ends as failed", log_str("delivery", d->id), log_str("sqlstate", db_sqlstate(sender->db)));
	free(d->to_addr);
	free(d->outbound_id);
	d->to_addr = NULL;
	d->outbound_id = NULL;
	d->outcome = DELIVERY_FAILED;
	delivery_set_reason(d, "The result could not be recorded");
	return transact_again(sender, &d, 1, NULL);
}

static bool is_of_values(enum db_status status)
{
	return status == DB_BAD_VALUE || status == DB_FOREIGN_KEY || status == DB_UNIQUE;
}

static enum db_status write_one(struct sender *sender, struct delivery *d, enum db_status refused)
{
	enum db_status status = is_of_values(refused) ? write_bare(sender, d) : refused;

	d->unwritten = status != DB_OK;
	return is_passing(status) ? status : DB_OK;
}

/* Writes back what can be written, halving what is refused: one bad result must not hold up the others. */
static enum db_status write_halves(struct sender *sender, struct delivery **done, int count)
{
	enum db_status status = transact_again(sender, done, count, NULL);

	if (status == DB_OK || is_passing(status))
		return status;
	if (count == 1)
		return write_one(sender, done[0], status);
	status = write_halves(sender, done, count / 2);
	if (status != DB_OK)
		return status;
	return write_halves(sender, done + count / 2, count - count / 2);
}

static void database_failed(struct sender *sender)
{
	int64_t now = clock_monotonic_ms();

	if (!sender->db_wait_ms)
		sender->db_failed_ms = now;
	sender->db_wait_ms = sender->db_wait_ms ? sender->db_wait_ms * 2 : DB_WAIT_MIN_MS;
	if (sender->db_wait_ms > DB_WAIT_MAX_MS)
		sender->db_wait_ms = DB_WAIT_MAX_MS;
	sender->db_again_ms = now + sender->db_wait_ms;
}

/* What a result that is written down counts as: of enum counter, COUNTER_MAX for nothing. */
static size_t counter_of(const struct way *way)
{
	const struct delivery *d = way->delivery;

	switch (d->outcome) {
	case DELIVERY_SENT:
		return strcmp(d->content_type, "audio") == 0 ? COUNTER_SENT_AUDIO : COUNTER_SENT_TEXT;
	case DELIVERY_DRY_RUN:
		return COUNTER_DRY_RUNS;
	case DELIVERY_FAILED:
		return way->failure ? way->failure : COUNTER_FAILED_UNRECORDED;
	case DELIVERY_NO_RECIPIENT:
		return COUNTER_FAILED_NO_RECIPIENT;
	case DELIVERY_CANCELLED:
		return COUNTER_CANCELLED;
	case DELIVERY_RETRY:
		return COUNTER_RETRIES;
	default:
		return COUNTER_MAX;
	}
}

static void drop(struct sender *sender, struct way *way)
{
	if (!way->delivery->stale)
		counter_add(counter_of(way), 1);
	TAILQ_REMOVE(&sender->lists[WAY_DONE], way, link);
	sender->counts[WAY_DONE]--;
	way_free(way);
}

/* The first ones; what is there besides was done while they were written. */
static void drop_done(struct sender *sender, int count)
{
	int64_t sent = 0, kept = 0;

	for (int i = 0; i < count; i++) {
		struct way *way = TAILQ_FIRST(&sender->lists[WAY_DONE]);

		if (way->delivery->unwritten) {
			way_move(way, WAY_KEPT);
			kept++;
			continue;
		}
		sent += way->delivery->outcome == DELIVERY_SENT;
		drop(sender, way);
	}
	if (kept > 0)
		log_err("could not record results; they are kept, and their deliveries not sent again meanwhile", log_int("deliveries", kept));
	sender->oldest_done_ms = sender->exchange_ms;
	watch_count(sent);
}

void exchange_kept_again(struct sender *sender)
{
	struct way *way;

	while ((way = TAILQ_FIRST(&sender->lists[WAY_KEPT])))
		way_move(way, WAY_DONE);
}

static struct delivery **collect_done(struct sender *sender, int *count, bool *released)
{
	struct delivery **done = calloc((size_t)sender->counts[WAY_DONE] + 1, sizeof *done);
	struct way *way;

	SBM_ASSERT(done);
	*count = 0;
	*released = false;
	TAILQ_FOREACH(way, &sender->lists[WAY_DONE], link) {
		way_settle(way);
		way->delivery->unwritten = false;
		done[(*count)++] = way->delivery;
		if (way->delivery->outcome == DELIVERY_RELEASE || way->delivery->outcome == DELIVERY_RETRY)
			*released = true;
	}
	return done;
}

/* Those that are failed tasks now. */
static void count_errored(const struct sender *sender, struct delivery *const *done, int count)
{
	int64_t errored = 0;

	for (int i = 0; i < count; i++)
		errored += !done[i]->unwritten && (done[i]->outcome == DELIVERY_FAILED || done[i]->outcome == DELIVERY_NO_RECIPIENT);
	if (errored && sender->config.counts_metrics)
		tally_add("subscriptions.send_next_message_errored.sum", errored);
}

/* True when the database was away for so long that leases may have run out. */
static bool is_long_out(const struct sender *sender, int64_t now)
{
	return sender->db_wait_ms && now - sender->db_failed_ms >= sender->config.lease_ms / 3;
}

/*
 * Calls go on while the database works. What they bring is not written down before the next transaction, so new ones
 * start only for a while, and no more is at stake than without this: a batch and what is under way.
 */
static int64_t go_on(void *context)
{
	struct sender *sender = context;
	int64_t now = clock_monotonic_ms();

	fetch_run(sender->fetch);
	if (now - sender->exchange_ms < sender->config.write_back_ms && sender->counts[WAY_DONE] < sender->config.batch && !proc_stopping()) {
		way_release_stale(sender, now);
		way_pump(sender);
	}
	return fetch_timeout_ms(sender->fetch);
}

/* A transaction, with calls going on meanwhile. */
static enum db_status transact_meanwhile(struct sender *sender, struct delivery *const *done, int count, struct claim *new)
{
	const struct db_meanwhile calls = {sender->fetch ? fetch_fd(sender->fetch) : -1, go_on, sender};
	enum db_status status;

	sender->exchange_ms = clock_monotonic_ms();
	if (is_long_out(sender, sender->exchange_ms))
		sender->take_over_ms = sender->exchange_ms + OTHERS_FIRST_MS;
	/* In its drain it may be without calls. */
	db_set_meanwhile(sender->db, sender->fetch ? &calls : NULL);
	status = transact_again(sender, done, count, new);
	db_set_meanwhile(sender->db, NULL);
	return status;
}

void exchange_promptly(struct sender *sender)
{
	struct claim new = {.prompt_asked = true};

	if (transact_meanwhile(sender, NULL, 0, &new) == DB_OK)
		claim_take(sender, &new);
	else
		database_failed(sender);
}

void exchange(struct sender *sender, bool with_claim)
{
	struct claim new = {0};
	bool released;
	int count;
	struct delivery **done;
	enum db_status status;

	evidence_weigh(sender);
	done = collect_done(sender, &count, &released);
	status = transact_meanwhile(sender, done, count, with_claim ? &new : NULL);
	if (status != DB_OK && !is_passing(status) && count > 0) {
		status = write_halves(sender, done, count);
		with_claim = false;
	}
	if (status == DB_OK)
		count_errored(sender, done, count);
	free(done);
	if (status != DB_OK) {
		database_failed(sender);
		return;
	}
	sender->db_wait_ms = 0;
	drop_done(sender, count);
	if (with_claim)
		claim_take(sender, &new);
	if (released) {
		sender->hungry = true;
		/* Each probe takes the next one: the first may be bad, and then it would hold up all others. */
		if (!way_is_probing(sender))
			claim_from_start(sender, clock_monotonic_ms());
	}
}

void exchange_refresh(struct sender *sender, int64_t now)
{
	struct way *ways[REFRESH_MAX];
	struct delivery *deliveries[REFRESH_MAX], *news[REFRESH_MAX];
	int count = way_outdated(sender, now, ways, REFRESH_MAX);
	enum db_status status;

	if (!count)
		return;
	for (int i = 0; i < count; i++) {
		deliveries[i] = ways[i]->delivery;
		news[i] = NULL;
	}
	status = queue_begin(sender->db);
	if (status == DB_OK)
		status = queue_refresh(sender->db, deliveries, count, sender->config.gates.windowed, news);
	if (status == DB_OK)
		status = db_commit(sender->db);
	else
		db_rollback(sender->db);
	if (status != DB_OK) {
		for (int i = 0; i < count; i++)
			delivery_free(news[i]);
		database_failed(sender);
		return;
	}
	boundary_pass(BOUNDARY_SENDER_REFRESHED);
	for (int i = 0; i < count; i++)
		way_renew(ways[i], news[i]);
}

void exchange_renew(struct sender *sender, int64_t now)
{
	struct delivery **all = calloc((size_t)way_count(sender) + 1, sizeof *all);
	enum db_status status = DB_OK;
	int count = 0;

	SBM_ASSERT(all);
	for (enum way_state state = 0; state < WAY_STATE_MAX; state++) {
		struct way *way;

		TAILQ_FOREACH(way, &sender->lists[state], link)
			all[count++] = way->delivery;
	}
	if (count > 0)
		status = queue_renew(sender->db, all, count, sender->config.lease_ms);
	if (status == DB_OK)
		sender->renewed_ms = now;
	else
		database_failed(sender);
	/* The first thing when the database is back. */
	sender->renew_at_ms = status == DB_UNAVAILABLE ? sender->db_again_ms : now + sender->config.lease_ms / 3;
	if (count > 0)
		boundary_pass(BOUNDARY_SENDER_RENEWED);
	free(all);
}
