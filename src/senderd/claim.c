#include "senderd/claim.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/proc.h"
#include "senderd/sender.h"
#include "senderd/watch.h"

#include <stdlib.h>
#include <string.h>

/* A cursor that goes on and on would never see what came back behind it. */
#define CURSOR_RESET_MS 10000
/* Deliveries that were all begun within this time may be followed by a full batch. */
#define QUICK_MS 500
/* Rates give out times no further ahead than this: by one's claims, and by those of a channel. */
#define RATE_AHEAD_MS 250
#define CHANNEL_AHEAD_MS 500

/* So many are claimed at once with a sender_rate: a share of a second's, so that other processes get theirs. */
static int64_t rate_share(const struct sender_config *config)
{
	int64_t share = config->gates.rate * RATE_AHEAD_MS / 1000;

	if (share > config->batch)
		share = config->batch;
	return share > 1 ? share : 1;
}

void claim_init(struct sender *sender)
{
	const struct sender_config *config = &sender->config;
	int64_t some = config->concurrency < config->batch ? config->concurrency : config->batch;

	queue_stmt_claim(&sender->claim_full, config->batch);
	queue_stmt_claim(&sender->claim_some, some);
	queue_stmt_claim(&sender->claim_one, 1);
	queue_stmt_claim(&sender->claim_rate, rate_share(config));
	queue_stmt_claim_prompt(&sender->claim_prompt, config->gates.rate ? sender->claim_rate.limit : some);
	sender->claim_full.with_zones = sender->claim_some.with_zones = sender->claim_one.with_zones = sender->claim_rate.with_zones
		= sender->claim_prompt.with_zones = config->gates.windowed;
	claim_from_start(sender, clock_monotonic_ms());
	sender->hungry = true;
	sender->next_due_ms = INT64_MAX;
}

/* Which claim fits now: one for a probe, some while nobody knows how fast it goes, else a full batch. */
static const struct queue_stmt *claim_stmt(const struct sender *sender)
{
	if (way_is_probing(sender))
		return &sender->claim_one;
	if (sender->config.gates.rate)
		return &sender->claim_rate;
	return clock_monotonic_ms() - sender->claimed_at_ms < QUICK_MS ? &sender->claim_full : &sender->claim_some;
}

static void gate_delivery(struct delivery *d, void (*name)(const char *, char[GATE_SIZE]), const char *of)
{
	char gate[GATE_SIZE];

	name(of, gate);
	free(d->gate);
	d->gate = strdup(gate);
	SBM_ASSERT(d->gate);
}

/* What sender_rate lets go: sets postponed, or the time of each that was claimed. */
static enum db_status look_at_rate(struct sender *sender, struct claim *claim)
{
	enum db_status status = sender->config.gates.rate ? gate_look(sender->db, "", &claim->wait_us) : DB_OK;

	claim->postponed = claim->wait_us > RATE_AHEAD_MS * 1000;
	return status;
}

static enum db_status take_rate(struct sender *sender, struct claim *claim)
{
	int64_t rate = sender->config.gates.rate, taken = 0;

	for (int i = 0; rate && i < claim->count; i++) {
		int64_t slot = claim->wait_us + taken * 1000000 / rate;

		if (claim->deliveries[i]->gate)
			continue;
		if (claim->slots[i] < slot)
			claim->slots[i] = slot;
		taken++;
	}
	return taken ? gate_take(sender->db, "", claim->wait_us + taken * 1000000 / rate) : DB_OK;
}

/* Gives those of a channel the times of its lane; what finds none soon enough waits at the channel's gate. */
static enum db_status take_channel_rate(struct sender *sender, struct claim *claim, const struct rate *channel)
{
	enum db_status status = DB_OK;
	int64_t next_us = -1;

	for (int i = 0; status == DB_OK && i < claim->count; i++) {
		struct delivery *d = claim->deliveries[i];

		if (strcmp(d->channel, channel->name) != 0)
			continue;
		if (next_us < 0)
			status = gate_look(sender->db, channel->name, &next_us);
		if (next_us >= CHANNEL_AHEAD_MS * 1000) {
			gate_delivery(d, gate_name_channel, channel->name);
			continue;
		}
		if (claim->slots[i] < next_us)
			claim->slots[i] = next_us;
		next_us += 1000000 / channel->number;
	}
	return status == DB_OK && next_us >= 0 ? gate_take(sender->db, channel->name, next_us) : status;
}

static enum db_status take_rates(struct sender *sender, struct claim *claim)
{
	const struct gate_rules *gates = &sender->config.gates;
	enum db_status status = DB_OK;

	for (int i = 0; status == DB_OK && i < gates->channel_count; i++)
		status = take_channel_rate(sender, claim, &gates->channels[i]);
	return status == DB_OK ? take_rate(sender, claim) : status;
}

static enum db_status claim_by(struct sender *sender, const struct queue_stmt *stmt, struct queue_cursor *cursor, struct claim *claim)
{
	const struct queue_terms terms = {sender->config.lease_ms, watch_mark(), clock_monotonic_ms() >= sender->take_over_ms};
	int count = 0;
	enum db_status status = queue_claim(sender->db, stmt, &terms, cursor, claim->deliveries + claim->count, &count);

	claim->count += count;
	return status;
}

/* Those that are prompt, before all others. A probe takes whatever is next. */
static enum db_status claim_prompt(struct sender *sender, struct claim *claim)
{
	struct queue_cursor cursor;
	enum db_status status;

	if (way_is_probing(sender))
		return DB_OK;
	queue_cursor_reset(&cursor);
	status = claim_by(sender, &sender->claim_prompt, &cursor, claim);
	claim->prompt = claim->count;
	/* A rate's share is for both kinds. */
	claim->prompt_only = claim->prompt_asked || (claim->prompt > 0 && sender->config.gates.rate);
	return status;
}

enum db_status claim_make(struct sender *sender, struct claim *claim)
{
	const struct queue_stmt *stmt = claim_stmt(sender);
	size_t room = (size_t)(stmt->limit + sender->claim_prompt.limit);
	enum db_status status;

	claim->limit = stmt->limit;
	claim->from_start = sender->at_start;
	claim->due_in_ms = -1;
	status = look_at_rate(sender, claim);
	if (status != DB_OK || claim->postponed)
		return status;
	claim->deliveries = calloc(room, sizeof *claim->deliveries);
	claim->slots = calloc(room, sizeof *claim->slots);
	SBM_ASSERT(claim->deliveries && claim->slots);
	status = claim_prompt(sender, claim);
	if (status == DB_OK && !claim->prompt_only)
		status = claim_by(sender, stmt, &sender->cursor, claim);
	if (status == DB_OK)
		status = take_rates(sender, claim);
	if (status == DB_OK && !claim->prompt_only && claim->from_start && sender->cursor.looked_at < claim->limit)
		status = queue_next_due(sender->db, &claim->due_in_ms);
	return status;
}

void claim_drop(struct claim *claim)
{
	for (int i = 0; i < claim->count; i++)
		delivery_free(claim->deliveries[i]);
	free(claim->deliveries);
	free(claim->slots);
}

void claim_from_start(struct sender *sender, int64_t now)
{
	queue_cursor_reset(&sender->cursor);
	sender->at_start = true;
	sender->cursor_reset_ms = now + CURSOR_RESET_MS;
}

/* Where the next claim goes on. */
static void move_on(struct sender *sender, const struct claim *claim, int64_t now)
{
	sender->at_start = false;
	if (sender->cursor.looked_at < claim->limit) {
		/* What came back or fell due behind the cursor is found from the start only. */
		sender->hungry = !claim->from_start;
		claim_from_start(sender, now);
		if (claim->from_start)
			sender->next_due_ms = claim->due_in_ms < 0 ? INT64_MAX : now + claim->due_in_ms;
	} else if (now >= sender->cursor_reset_ms && !way_is_probing(sender)) {
		claim_from_start(sender, now);
	}
	sender->claimed_at_ms = now;
}

static int64_t slot_of(const struct claim *claim, int i, int64_t now)
{
	return claim->slots[i] ? now + claim->slots[i] / 1000 : 0;
}

void claim_take(struct sender *sender, struct claim *claim)
{
	int64_t now = clock_monotonic_ms();

	if (claim->postponed) {
		sender->rate_again_ms = now + claim->wait_us / 1000 - RATE_AHEAD_MS + 1;
		return;
	}
	/* Prompt ones go to the front, so the last of them first. */
	for (int i = claim->prompt - 1; i >= 0; i--)
		way_add(sender, claim->deliveries[i], slot_of(claim, i, now), true);
	for (int i = claim->prompt; i < claim->count; i++)
		way_add(sender, claim->deliveries[i], slot_of(claim, i, now), false);
	sender->prompted = false;
	if (!claim->prompt_only)
		move_on(sender, claim, now);
	free(claim->deliveries);
	free(claim->slots);
}

/* A claim comes while so many still wait, so that calls go on meanwhile; fewer where a batch takes its time. */
static int64_t low_water(const struct sender *sender, int64_t now)
{
	int64_t few = sender->config.concurrency / 2 + 1, half = sender->config.batch / 2;

	return now - sender->claimed_at_ms < QUICK_MS && half > few && !sender->config.gates.rate ? half : few;
}

static bool may_claim(const struct sender *sender, int64_t now, int64_t room)
{
	return !proc_stopping() && way_wait_ms(sender, now) == 0 && now >= sender->rate_again_ms
		&& way_count(sender) - sender->counts[WAY_DONE] < room;
}

/* A probe of the message sender needs an address first; while one is looked up, no other delivery is of use. */
static bool has_probe_in_hand(const struct sender *sender)
{
	return way_is_probing(sender) && sender->calls[SERVICE_IDENTITY] > 0;
}

bool claim_is_due(const struct sender *sender, int64_t now)
{
	return sender->hungry && !has_probe_in_hand(sender) && sender->counts[WAY_WAITING] < low_water(sender, now)
		&& may_claim(sender, now, sender->config.batch + 2 * sender->config.concurrency);
}

/* What is prompt does not wait until the others of the last batch have begun. */
bool claim_prompt_is_due(const struct sender *sender, int64_t now)
{
	/* There is room for some when there is none for others. */
	return sender->prompted && sender->counts[WAY_WAITING] > 0 && !way_is_probing(sender)
		&& may_claim(sender, now, sender->config.batch + 4 * sender->config.concurrency);
}
