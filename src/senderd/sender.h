#ifndef SENDERD_SENDER_H
#define SENDERD_SENDER_H

#include "base/buf.h"
#include "domain/breaker.h"
#include "domain/gate.h"
#include "domain/queue.h"
#include "io/fetch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct outlog;

/*
 * A sender process: claims deliveries, takes each on its way (way.c), writes results back (sender.c).
 */
enum service { SERVICE_IDENTITY, SERVICE_OUTBOUND, SERVICE_MAX };

/* One delivery on its way, always in exactly one of the sender's lists. */
struct way {
	struct sender *sender;
	struct delivery *delivery;
	TAILQ_ENTRY(way) link;
	enum way_state {
		WAY_WAITING, /* claimed */
		WAY_READY,   /* its address is known and its payload made; waits for a call to the message sender */
		WAY_CALLING, /* a call is under way */
		WAY_LOGGED,  /* in the lines that wait for the log: adapter's flush */
		WAY_DONE,    /* its delivery has an outcome, but for what `unsure` leaves open */
		WAY_KEPT,    /* the same, which the database refuses: to be written again later, and sent by nobody meanwhile */
		WAY_STATE_MAX
	} state;
	char *payload;
	enum service service; /* of the last call */
	struct breaker_ticket ticket;
	int64_t leased_ms; /* when it was claimed, if what it holds was read later; else 0 */
	size_t failure; /* what a failed one counts as: of enum counter; 0: nothing was wrong with it but its result */
	int64_t tried_ms; /* when the try before ended, if it has used up tries; INT64_MAX: nobody knows */
	bool unsure; /* whether the failure of its last call uses up a try is asked at write-back */
	bool prompt; /* somebody asked for this one: it goes before those of runs */
	int64_t slot_ms; /* not sent before, so that rates are kept; 0: there are none */
};

TAILQ_HEAD(way_list, way);

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
	struct db_meanwhile meanwhile; /* calls go on while the database works */
	int64_t exchange_ms;           /* when the last transaction began */
	struct fetch *fetch;
	struct outlog *outlog; /* NULL when the message sender is a service */
	struct address_cache *addresses; /* NULL when there is none */
	struct breaker breakers[SERVICE_MAX];
	int64_t calls[SERVICE_MAX]; /* under way */
	int64_t told_ms, told_answer[SERVICE_MAX]; /* when, and of which answers the other processes were told */

	struct way_list lists[WAY_STATE_MAX];
	int64_t counts[WAY_STATE_MAX];
	int64_t oldest_done_ms; /* when the first of the done list got there */

	struct queue_stmt claim_full, claim_some, claim_one;
	struct queue_stmt claim_rate; /* what sender_rate gives out at once */
	int64_t claim_rate_limit;
	struct queue_cursor cursor;
	bool at_start;          /* the cursor is at the start of the queue */
	bool hungry;            /* there may be something to claim */
	struct queue_stmt claim_prompt;
	bool prompted;          /* there may be something that is prompt, while the claim of the rest has time */
	int64_t claimed_at_ms;  /* when the last claim came */
	int64_t cursor_reset_ms;
	int64_t rate_again_ms;  /* no claim before this time: sender_rate has given out all until then */
	int64_t next_sweep_ms;
	int64_t next_due_ms;    /* when the next retry is due; INT64_MAX when none waits */
	int64_t renewed_ms;     /* when the leases of all that was held were last renewed */
	int64_t renew_at_ms;
	int64_t db_wait_ms;     /* the last wait after the database failed, 0 when all is well */
	int64_t db_again_ms;    /* no transaction before this time */
	int64_t db_failed_ms;   /* when it failed that we wait for, with db_wait_ms */
	int64_t take_over_ms;   /* what others hold is left to them before this time, whatever their leases say */
};

/* The process: to be run as a child of the supervisor. */
int sender_run(int index);

void sender_move(struct way *, enum way_state);

/* way.c */

/* "identity store", "message sender": in logs, reasons and the database. */
const char *way_service_word(enum service);

/* Moves all on that may move: starts calls while there are slots and the services are well. */
void way_pump(struct sender *);
/* Puts what has not begun a call back: the services are out, or we are to stop. */
void way_release_unstarted(struct sender *);
/* The same for what waits since it was claimed so long ago that its text may not be the stored one any more. */
void way_release_stale(struct sender *, int64_t now_ms);
/*
 * Ready ones whose text was read too long ago, as many as may be sent now, are given what is stored now; at most
 * max. Returns how many there are; way_renew takes the news of each, NULL when it is to go back.
 */
int way_outdated(const struct sender *, int64_t now_ms, struct way **out, int max);
void way_renew(struct way *, struct delivery *news);
/* How long until a call may start, by what the breakers say: 0 now, -1 when a probe under way decides. */
int64_t way_wait_ms(const struct sender *, int64_t now_ms);
/* When the next one that only waits for its time may be sent; INT64_MAX when none does. */
int64_t way_next_slot_ms(const struct sender *, int64_t now_ms);
/* Shows in /metrics whether calls are paused. */
void way_show_pauses(const struct sender *, int64_t now_ms);
/* True when a service is out or being probed. */
bool way_is_probing(const struct sender *);
/* Ends what the log: adapter holds: written and durable, or the message sender is out. */
void way_flush_outlog(struct sender *);
/* Decides what was left open until the write-back. */
void way_settle(struct way *);
void way_free(struct way *);

#endif
