#include "config.h"

#include "senderd/sender.h"

#include "base/assert.h"
#include "base/boundary.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/proc.h"
#include "base/settings.h"
#include "domain/payload.h"
#include "senderd/addresses.h"
#include "senderd/evidence.h"
#include "senderd/metrics.h"
#include "senderd/outlog.h"
#include "senderd/tally.h"
#include "senderd/wake.h"
#include "senderd/watch.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A cursor that goes on and on would never see what came back behind it. */
#define CURSOR_RESET_MS 10000
/* Deliveries that were all begun within this time may be followed by a full batch. */
#define QUICK_MS 500
#define DB_WAIT_MIN_MS 100
#define DB_WAIT_MAX_MS 2000
/*
 * Leases run out while nobody can renew them. When the database is back, each process has this time to write down what
 * it has sent, or to renew, before others take that over: each comes back at its own time.
 */
#define OTHERS_FIRST_MS 10000
#define TRANSACTION_TRIES 5
#define STATEMENT_TIMEOUT_MS 60000
#define LOCK_TIMEOUT_MS 30000
#define HEADER_MAX 1024
/* So many are looked at anew in one statement. */
#define REFRESH_MAX 256
/* Rates give out times no further ahead than this: by one's claims, and by those of a channel. */
#define RATE_AHEAD_MS 250
#define CHANNEL_AHEAD_MS 500

static void put_headers(struct sender_config *config, enum service service, const char *token)
{
	buf_init(&config->headers[service][0], HEADER_MAX);
	buf_printf(&config->headers[service][0], "Authorization: Token %s", token);
	buf_init(&config->headers[service][1], HEADER_MAX);
	buf_printf(&config->headers[service][1], "User-Agent: sbm/%s", PACKAGE_VERSION);
}

static void read_dry_run(struct sender_config *config)
{
	char *list = strdup(setting_str(SETTING_DRY_RUN_MESSAGESETS)), *rest = list, *word;

	SBM_ASSERT(list);
	while ((word = strsep(&rest, ", \t"))) {
		if (!*word)
			continue;
		if (config->dry_runs == DRY_RUN_MAX || parse_int(word, 1, INT32_MAX, &config->dry_run[config->dry_runs]))
			log_fatal("dry_run_messagesets must be ids of message sets, separated by commas", log_str("word", word));
		config->dry_runs++;
	}
	free(list);
}

static void read_services(struct sender_config *config)
{
	const char *media = setting_str(SETTING_MEDIA_URL);

	config->identity_store_url = setting_str(SETTING_IDENTITY_STORE_URL);
	config->message_sender_url = setting_str(SETTING_MESSAGE_SENDER_URL);
	config->direct = strcmp(config->identity_store_url, "direct:") == 0;
	buf_init(&config->outbound_url, HEADER_MAX);
	payload_put_outbound_url(config->message_sender_url, &config->outbound_url);
	buf_init(&config->media_url, HEADER_MAX);
	if (*media)
		buf_puts(&config->media_url, media);
	else
		buf_printf(&config->media_url, "%s/media/", setting_str(SETTING_URL));
	put_headers(config, SERVICE_IDENTITY, setting_str(SETTING_IDENTITY_STORE_TOKEN));
	put_headers(config, SERVICE_OUTBOUND, setting_str(SETTING_MESSAGE_SENDER_TOKEN));
}

static void read_config(struct sender_config *config)
{
	config->batch = setting_int(SETTING_BATCH);
	config->concurrency = setting_int(SETTING_CONCURRENCY);
	config->lease_ms = setting_int(SETTING_LEASE);
	config->write_back_ms = setting_int(SETTING_WRITE_BACK);
	config->sweep_ms = setting_int(SETTING_SWEEP);
	config->drain_ms = setting_int(SETTING_DRAIN_TIMEOUT);
	config->tries = setting_int(SETTING_TRIES);
	config->retry_base_ms = setting_int(SETTING_RETRY_BASE);
	config->retry_max_ms = setting_int(SETTING_RETRY_MAX);
	gate_rules_read(&config->gates);
	config->breaker = (struct breaker_config){setting_int(SETTING_PROBE_MIN), setting_int(SETTING_PROBE_MAX)};
	config->fetch = (struct fetch_config){
		.max_calls = (int)(SERVICE_MAX * config->concurrency),
		.connect_timeout_ms = setting_int(SETTING_CONNECT_TIMEOUT),
		.call_timeout_ms = setting_int(SETTING_CALL_TIMEOUT),
		.response_max = setting_int(SETTING_RESPONSE_MAX),
	};
	config->counts_metrics = metrics_are_posted();
	read_services(config);
	read_dry_run(config);
}

static struct db *open_db(void)
{
	const struct db_config config = {
		.conninfo = setting_str_or(SETTING_DATABASE_SENDERD, SETTING_DATABASE),
		.application_name = "sbm-senderd sender",
		.statement_timeout_ms = STATEMENT_TIMEOUT_MS,
		.lock_timeout_ms = LOCK_TIMEOUT_MS,
	};

	return db_create(&config);
}

/* So many are claimed at once with a sender_rate: a share of a second's, so that other processes get theirs. */
static int64_t rate_share(const struct sender_config *config)
{
	int64_t share = config->gates.rate * RATE_AHEAD_MS / 1000;

	if (share > config->batch)
		share = config->batch;
	return share > 1 ? share : 1;
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

static void sender_init(struct sender *sender, int index)
{
	const char *log_prefix = "log:";
	int64_t now = clock_monotonic_ms();

	read_config(&sender->config);
	sender->index = index;
	sender->db = open_db();
	sender->fetch = fetch_create(&sender->config.fetch);
	if (!sender->fetch)
		log_fatal("could not set up calls of other services");
	if (strncmp(sender->config.message_sender_url, log_prefix, strlen(log_prefix)) == 0)
		sender->outlog = outlog_create(sender->config.message_sender_url + strlen(log_prefix));
	sender->meanwhile = (struct db_meanwhile){fetch_fd(sender->fetch), go_on, sender};
	sender->addresses = addresses_create(setting_int(SETTING_ADDRESS_CACHE));
	for (enum service service = 0; service < SERVICE_MAX; service++)
		breaker_init(&sender->breakers[service]);
	for (enum way_state state = 0; state < WAY_STATE_MAX; state++)
		TAILQ_INIT(&sender->lists[state]);
	queue_stmt_claim(&sender->claim_full, sender->config.batch);
	queue_stmt_claim(&sender->claim_some, sender->config.concurrency < sender->config.batch ? sender->config.concurrency : sender->config.batch);
	queue_stmt_claim(&sender->claim_one, 1);
	sender->claim_rate_limit = rate_share(&sender->config);
	queue_stmt_claim(&sender->claim_rate, sender->claim_rate_limit);
	queue_stmt_claim_prompt(&sender->claim_prompt, sender->config.gates.rate ? sender->claim_rate_limit : sender->claim_some.limit);
	sender->claim_prompt.with_zones = sender->config.gates.windowed;
	sender->claim_full.with_zones = sender->claim_some.with_zones = sender->claim_one.with_zones = sender->claim_rate.with_zones = sender->config.gates.windowed;
	queue_cursor_reset(&sender->cursor);
	sender->at_start = true;
	sender->hungry = true;
	sender->cursor_reset_ms = now + CURSOR_RESET_MS;
	sender->next_sweep_ms = now + sender->config.sweep_ms;
	sender->next_due_ms = INT64_MAX;
	sender->renewed_ms = now;
	sender->renew_at_ms = now + sender->config.lease_ms / 3;
	srandom((unsigned)now ^ (unsigned)getpid());
}

static void sender_fini(struct sender *sender)
{
	for (enum way_state state = 0; state < WAY_STATE_MAX; state++) {
		struct way *way;

		while ((way = TAILQ_FIRST(&sender->lists[state]))) {
			TAILQ_REMOVE(&sender->lists[state], way, link);
			way_free(way);
		}
	}
	fetch_free(sender->fetch);
	outlog_free(sender->outlog);
	addresses_free(sender->addresses);
	db_free(sender->db);
	buf_fini(&sender->config.outbound_url);
	buf_fini(&sender->config.media_url);
	for (enum service service = 0; service < SERVICE_MAX; service++)
		for (int i = 0; i < 2; i++)
			buf_fini(&sender->config.headers[service][i]);
}

void sender_move(struct way *way, enum way_state state)
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

static void add_claimed(struct sender *sender, struct delivery *delivery, int64_t slot_ms, bool prompt)
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

static int64_t held(const struct sender *sender)
{
	int64_t n = 0;

	for (enum way_state state = 0; state < WAY_STATE_MAX; state++)
		n += sender->counts[state];
	return n;
}

/* Which claim fits now: one for a probe, some while nobody knows how fast it goes, else a full batch. */
static const struct queue_stmt *claim_stmt(const struct sender *sender, int64_t *limit)
{
	if (way_is_probing(sender)) {
		*limit = 1;
		return &sender->claim_one;
	}
	if (sender->config.gates.rate) {
		*limit = sender->claim_rate_limit;
		return &sender->claim_rate;
	}
	if (clock_monotonic_ms() - sender->claimed_at_ms < QUICK_MS) {
		*limit = sender->config.batch;
		return &sender->claim_full;
	}
	*limit = sender->config.concurrency < sender->config.batch ? sender->config.concurrency : sender->config.batch;
	return &sender->claim_some;
}

struct claim {
	struct delivery **deliveries;
	int64_t *slots; /* when each may be sent, in microseconds from the claim on; 0: at once */
	int count;
	int prompt; /* so many of them, the first ones, are prompt */
	bool prompt_asked; /* only prompt ones are to be claimed */
	bool prompt_only;  /* only such were claimed */
	int64_t limit;
	int64_t due_in_ms;
	bool from_start;
	bool postponed; /* sender_rate has given out all for now; nothing was claimed */
	int64_t wait_us; /* until the next time of sender_rate */
};

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

/* True when the database was away for so long that leases may have run out. */
static bool is_long_out(const struct sender *sender, int64_t now)
{
	return sender->db_wait_ms && now - sender->db_failed_ms >= sender->config.lease_ms / 3;
}

static enum db_status claim_by(struct sender *sender, const struct queue_stmt *stmt, struct queue_cursor *cursor, struct claim *claim)
{
	int64_t now = clock_monotonic_ms();
	const struct queue_terms terms = {sender->config.lease_ms, watch_mark(), now >= sender->take_over_ms && !is_long_out(sender, now)};
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

/* Claims within the open transaction. */
static enum db_status claim(struct sender *sender, struct claim *claim)
{
	const struct queue_stmt *stmt = claim_stmt(sender, &claim->limit);
	size_t room = (size_t)(claim->limit + sender->claim_prompt.limit);
	enum db_status status;

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

static void drop_claim(struct claim *claim)
{
	for (int i = 0; i < claim->count; i++)
		delivery_free(claim->deliveries[i]);
	free(claim->deliveries);
	free(claim->slots);
}

static void reset_cursor(struct sender *sender, int64_t now)
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
		reset_cursor(sender, now);
		if (claim->from_start)
			sender->next_due_ms = claim->due_in_ms < 0 ? INT64_MAX : now + claim->due_in_ms;
	} else if (now >= sender->cursor_reset_ms && !way_is_probing(sender)) {
		reset_cursor(sender, now);
	}
	sender->claimed_at_ms = now;
}

static int64_t slot_of(const struct claim *claim, int i, int64_t now)
{
	return claim->slots[i] ? now + claim->slots[i] / 1000 : 0;
}

/* The claim is committed: its deliveries are ours. */
static void take_claim(struct sender *sender, struct claim *claim)
{
	int64_t now = clock_monotonic_ms();

	if (claim->postponed) {
		sender->rate_again_ms = now + claim->wait_us / 1000 - RATE_AHEAD_MS + 1;
		return;
	}
	/* Prompt ones go to the front, so the last of them first. */
	for (int i = claim->prompt - 1; i >= 0; i--)
		add_claimed(sender, claim->deliveries[i], slot_of(claim, i, now), true);
	for (int i = claim->prompt; i < claim->count; i++)
		add_claimed(sender, claim->deliveries[i], slot_of(claim, i, now), false);
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
		&& held(sender) - sender->counts[WAY_DONE] < room;
}

/* A probe of the message sender needs an address first; while one is looked up, no other delivery is of use. */
static bool has_probe_in_hand(const struct sender *sender)
{
	return way_is_probing(sender) && sender->calls[SERVICE_IDENTITY] > 0;
}

static bool wants_claim(const struct sender *sender, int64_t now)
{
	return sender->hungry && !has_probe_in_hand(sender) && sender->counts[WAY_WAITING] < low_water(sender, now)
		&& may_claim(sender, now, sender->config.batch + 2 * sender->config.concurrency);
}

/* What is prompt does not wait until the others of the last batch have begun. */
static bool wants_prompt_claim(const struct sender *sender, int64_t now)
{
	/* There is room for some when there is none for others. */
	return sender->prompted && sender->counts[WAY_WAITING] > 0 && !way_is_probing(sender)
		&& may_claim(sender, now, sender->config.batch + 4 * sender->config.concurrency);
}

/* Results are written back together, but none waits longer than write_back for it. */
static bool wants_write_back(const struct sender *sender, int64_t now)
{
	int64_t done = sender->counts[WAY_DONE];

	if (!done)
		return false;
	/* Half a batch, so that calls go on while it is written. */
	return 2 * done >= sender->config.batch || done == held(sender) || now - sender->oldest_done_ms >= sender->config.write_back_ms;
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
		status = claim(sender, new);
	pass_boundaries(count, new, BOUNDARY_SENDER_WRITE_BACK, BOUNDARY_SENDER_CLAIM);
	if (status == DB_OK)
		status = db_commit(sender->db);
	else
		db_rollback(sender->db);
	pass_boundaries(count, new, BOUNDARY_SENDER_WRITTEN_BACK, BOUNDARY_SENDER_CLAIMED);
	if (status != DB_OK) {
		sender->cursor = cursor;
		if (new) {
			drop_claim(new);
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

static void database_works(struct sender *sender)
{
	int64_t now = clock_monotonic_ms();

	if (is_long_out(sender, now))
		sender->take_over_ms = now + OTHERS_FIRST_MS;
	sender->db_wait_ms = 0;
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
			sender_move(way, WAY_KEPT);
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

/* The database may take now what it refused. */
static void try_kept_again(struct sender *sender)
{
	struct way *way;

	while ((way = TAILQ_FIRST(&sender->lists[WAY_KEPT])))
		sender_move(way, WAY_DONE);
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

/* A transaction, with calls going on meanwhile. */
static enum db_status transact_meanwhile(struct sender *sender, struct delivery *const *done, int count, struct claim *new)
{
	enum db_status status;

	sender->exchange_ms = clock_monotonic_ms();
	/* In its drain it may be without calls. */
	db_set_meanwhile(sender->db, sender->fetch ? &sender->meanwhile : NULL);
	status = transact_again(sender, done, count, new);
	db_set_meanwhile(sender->db, NULL);
	return status;
}

/* Claims what is prompt, which does not wait for the writing of results either. */
static void claim_promptly(struct sender *sender)
{
	struct claim new = {.prompt_asked = true};

	if (transact_meanwhile(sender, NULL, 0, &new) == DB_OK)
		take_claim(sender, &new);
	else
		database_failed(sender);
}

/* Writes back what is done and claims more. */
static void exchange(struct sender *sender, bool with_claim)
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
	database_works(sender);
	drop_done(sender, count);
	if (with_claim)
		take_claim(sender, &new);
	if (released) {
		sender->hungry = true;
		/* Each probe takes the next one: the first may be bad, and then it would hold up all others. */
		if (!way_is_probing(sender))
			reset_cursor(sender, clock_monotonic_ms());
	}
}

/* Before something is sent that was claimed a while ago, looks at what is stored now. */
static void refresh(struct sender *sender, int64_t now)
{
	struct way *ways[REFRESH_MAX];
	struct delivery *deliveries[REFRESH_MAX], *news[REFRESH_MAX];
	int count = way_outdated(sender, now, ways, REFRESH_MAX);
	enum db_status status;

	if (!count)
		return;
	for (int i = 0; i < count; i++)
		deliveries[i] = ways[i]->delivery;
	status = queue_begin(sender->db);
	if (status == DB_OK)
		status = queue_refresh(sender->db, deliveries, count, sender->config.gates.windowed, news);
	if (status == DB_OK)
		status = db_commit(sender->db);
	else
		db_rollback(sender->db);
	if (status != DB_OK) {
		database_failed(sender);
		return;
	}
	boundary_pass(BOUNDARY_SENDER_REFRESHED);
	for (int i = 0; i < count; i++)
		way_renew(ways[i], news[i]);
}

/* Renews the leases of all that is held, long before they run out. */
static void renew(struct sender *sender, int64_t now)
{
	struct delivery **all = calloc((size_t)held(sender) + 1, sizeof *all);
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

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t wait_until(const struct sender *sender, int64_t now)
{
	int64_t until = sender->next_sweep_ms, fetch = fetch_timeout_ms(sender->fetch);

	until = earlier(until, sender->next_due_ms);
	until = earlier(until, sender->renew_at_ms);
	if (fetch >= 0)
		until = earlier(until, now + fetch);
	/* The last claim only put aside what is held. */
	if (sender->db_again_ms <= now && wants_claim(sender, now))
		return now;
	if (sender->db_again_ms > now)
		until = earlier(until, sender->db_again_ms);
	else if (sender->counts[WAY_DONE])
		until = earlier(until, sender->oldest_done_ms + sender->config.write_back_ms);
	if (sender->counts[WAY_WAITING] + sender->counts[WAY_READY])
		until = earlier(until, now + 100);
	until = earlier(until, way_next_slot_ms(sender, now));
	if (sender->hungry && sender->rate_again_ms > now)
		until = earlier(until, sender->rate_again_ms);
	if (sender->hungry && way_wait_ms(sender, now) > 0)
		until = earlier(until, now + way_wait_ms(sender, now));
	return until;
}

static void wait_for_something(struct sender *sender, int64_t limit_ms)
{
	int64_t now = clock_monotonic_ms(), wait = earlier(wait_until(sender, now) - now, limit_ms);
	struct pollfd fds[] = {
		{.fd = fetch_fd(sender->fetch), .events = POLLIN},
		{.fd = wake_fd(sender->index), .events = POLLIN},
	};
	struct timespec timeout;

	if (wait < 0)
		wait = 0;
	timeout = (struct timespec){wait / 1000, wait % 1000 * 1000000};
	if (ppoll(fds, proc_stopping() ? 1 : 2, &timeout, proc_wait_mask()) <= 0)
		return;
	if (fds[1].revents) {
		wake_clear(sender->index);
		sender->hungry = sender->prompted = true;
	}
}

static void tend_timers(struct sender *sender, int64_t now)
{
	if (now >= sender->next_sweep_ms) {
		sender->next_sweep_ms = now + sender->config.sweep_ms;
		sender->hungry = sender->prompted = true;
	}
	if (now >= sender->next_due_ms) {
		sender->next_due_ms = INT64_MAX;
		sender->hungry = true;
	}
	if (now >= sender->renew_at_ms) {
		renew(sender, now);
		try_kept_again(sender);
	}
	way_release_stale(sender, now);
}

/* True when there is more to do at once. */
static bool step(struct sender *sender)
{
	int64_t now = clock_monotonic_ms();
	bool claims;

	tend_timers(sender, now);
	way_show_pauses(sender, now);
	/* Nothing more is sent while its result could not be written down. */
	if (now < sender->db_again_ms)
		return false;
	if (!sender->db_wait_ms)
		evidence_tell(sender, now);
	if (!sender->db_wait_ms)
		refresh(sender, now);
	if (!sender->db_wait_ms)
		way_pump(sender);
	way_flush_outlog(sender);
	claims = wants_claim(sender, now);
	if (claims || wants_write_back(sender, now))
		exchange(sender, claims);
	else if (wants_prompt_claim(sender, now))
		claim_promptly(sender);
	else
		return false;
	return true;
}

/* Ends in order: what has not begun goes back, what is under way may end, all is written back. */
static int drain(struct sender *sender)
{
	int64_t deadline = clock_monotonic_ms() + sender->config.drain_ms;

	while (held(sender) > sender->counts[WAY_KEPT]) {
		int64_t now = clock_monotonic_ms();

		if (now >= deadline)
			break;
		fetch_run(sender->fetch);
		way_release_unstarted(sender);
		if (!step(sender) && held(sender))
			wait_for_something(sender, earlier(deadline - now, 100));
	}
	/* The calls end with the process: somebody else may try them again, with the same key, at once. */
	fetch_free(sender->fetch);
	sender->fetch = NULL;
	while (sender->counts[WAY_CALLING]) {
		struct way *way = TAILQ_FIRST(&sender->lists[WAY_CALLING]);

		sender->calls[way->service]--;
		way->delivery->outcome = DELIVERY_RELEASE;
		sender_move(way, WAY_DONE);
	}
	try_kept_again(sender);
	if (held(sender))
		exchange(sender, false);
	if (held(sender))
		log_warn("results could not be written back; these deliveries will be sent again", log_int("deliveries", held(sender)));
	return held(sender) ? 1 : 0;
}

int sender_run(int index)
{
	struct sender *sender = calloc(1, sizeof *sender);
	int status;

	SBM_ASSERT(sender);
	proc_child_signals();
	tally_join();
	sender_init(sender, index);
	while (!proc_stopping()) {
		fetch_run(sender->fetch);
		if (!step(sender) && !proc_stopping())
			wait_for_something(sender, INT64_MAX);
	}
	status = drain(sender);
	sender_fini(sender);
	free(sender);
	return status;
}
