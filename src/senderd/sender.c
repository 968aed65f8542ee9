#include "config.h"

#include "senderd/sender.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/proc.h"
#include "base/settings.h"
#include "domain/payload.h"
#include "senderd/addresses.h"
#include "senderd/claim.h"
#include "senderd/evidence.h"
#include "senderd/exchange.h"
#include "senderd/metrics.h"
#include "senderd/outlog.h"
#include "senderd/tally.h"
#include "senderd/wake.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATEMENT_TIMEOUT_MS 60000
#define LOCK_TIMEOUT_MS 30000
#define HEADER_MAX 1024

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
	sender->addresses = addresses_create(setting_int(SETTING_ADDRESS_CACHE));
	for (enum service service = 0; service < SERVICE_MAX; service++)
		breaker_init(&sender->breakers[service]);
	for (enum way_state state = 0; state < WAY_STATE_MAX; state++)
		TAILQ_INIT(&sender->lists[state]);
	claim_init(sender);
	sender->next_sweep_ms = now + sender->config.sweep_ms;
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
	if (sender->db_again_ms <= now && claim_is_due(sender, now))
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
		exchange_renew(sender, now);
		exchange_kept_again(sender);
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
		exchange_refresh(sender, now);
	if (!sender->db_wait_ms)
		way_pump(sender);
	way_flush_outlog(sender);
	claims = claim_is_due(sender, now);
	if (claims || exchange_is_due(sender, now))
		exchange(sender, claims);
	else if (claim_prompt_is_due(sender, now))
		exchange_promptly(sender);
	else
		return false;
	return true;
}

/* Ends in order: what has not begun goes back, what is under way may end, all is written back. */
static int drain(struct sender *sender)
{
	int64_t deadline = clock_monotonic_ms() + sender->config.drain_ms;

	while (way_count(sender) > sender->counts[WAY_KEPT]) {
		int64_t now = clock_monotonic_ms();

		if (now >= deadline)
			break;
		fetch_run(sender->fetch);
		way_release_unstarted(sender);
		if (!step(sender) && way_count(sender))
			wait_for_something(sender, earlier(deadline - now, 100));
	}
	/* The calls end with the process: somebody else may try them again, with the same key, at once. */
	fetch_free(sender->fetch);
	sender->fetch = NULL;
	while (sender->counts[WAY_CALLING]) {
		struct way *way = TAILQ_FIRST(&sender->lists[WAY_CALLING]);

		sender->calls[way->service]--;
		way->delivery->outcome = DELIVERY_RELEASE;
		way_move(way, WAY_DONE);
	}
	exchange_kept_again(sender);
	if (way_count(sender))
		exchange(sender, false);
	if (way_count(sender))
		log_warn("results could not be written back; these deliveries will be sent again", log_int("deliveries", way_count(sender)));
	return way_count(sender) ? 1 : 0;
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
