#ifndef SENDERD_SENDER_H
#define SENDERD_SENDER_H

#include "base/buf.h"
#include "domain/breaker.h"
#include "domain/gate.h"
#include "domain/queue.h"
#include "io/fetch.h"
#include "senderd/way.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outlog;

/*
 * A sender process: claims deliveries (claim.c), takes each on its way (way.c), writes results back (exchange.c).
 */
#define DRY_RUN_MAX 1024
/* A sender gives up its calls by itself at the end of drain_timeout, and then still writes back. */
#define SENDER_WRITE_BACK_MS 5000

/* What the settings say, read once: a reload starts new processes. */
struct sender_config {
	int64_t batch, concurrency, lease_ms, write_back_ms, sweep_ms, drain_ms;
	int64_t tries, retry_base_ms, retry_max_ms;
	const char *identity_store_url, *message_sender_url;
	bool direct; /* identity_store_url is direct: */
	struct buf outbound_url, media_url;
	struct buf headers[SERVICE_MAX][2]; /* Authorization, User-Agent */
	int64_t dry_run[DRY_RUN_MAX];
	int dry_runs;
	struct gate_rules gates;
	struct breaker_config breaker;
	struct fetch_config fetch;
	bool counts_metrics; /* there is a service that they are posted to */
};

struct sender {
	struct sender_config config;
	int index;
	struct db *db;
	struct fetch *fetch;
	struct outlog *outlog; /* NULL when the message sender is a service */
	struct address_cache *addresses; /* NULL when there is none */
	struct breaker breakers[SERVICE_MAX];
	int64_t calls[SERVICE_MAX]; /* under way */
	int64_t told_ms, told_answer[SERVICE_MAX]; /* when, and of which answers the other processes were told */

	struct way_list lists[WAY_STATE_MAX];
	int64_t counts[WAY_STATE_MAX];
	int64_t oldest_done_ms; /* when the first of the done list got there */
	int64_t next_sweep_ms;

	/* Claims. */
	struct queue_stmt claim_full, claim_some, claim_one;
	struct queue_stmt claim_rate; /* what sender_rate gives out at once */
	struct queue_stmt claim_prompt;
	struct queue_cursor cursor;
	bool at_start;          /* the cursor is at the start of the queue */
	int64_t cursor_reset_ms;
	bool hungry;            /* there may be something to claim */
	bool prompted;          /* there may be something that is prompt, while the claim of the rest has time */
	int64_t claimed_at_ms;  /* when the last claim came */
	int64_t next_due_ms;    /* when the next retry is due; INT64_MAX when none waits */
	int64_t rate_again_ms;  /* no claim before this time: sender_rate has given out all until then */
	int64_t take_over_ms;   /* what others hold is left to them before this time, whatever their leases say */

	/* Transactions. */
	int64_t exchange_ms;    /* when the last one began that has results or a claim */
	int64_t renewed_ms;     /* when the leases of all that was held were last renewed */
	int64_t renew_at_ms;
	int64_t db_wait_ms;     /* the last wait after the database failed, 0 when all is well */
	int64_t db_again_ms;    /* no transaction before this time */
	int64_t db_failed_ms;   /* when it failed first since all was well; of use while db_wait_ms is not 0 */
};

/* The process: to be run as a child of the supervisor. */
int sender_run(int index);

#endif
