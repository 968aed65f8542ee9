#ifndef DOMAIN_QUEUE_H
#define DOMAIN_QUEUE_H

#include "domain/delivery.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The other side of the queue, for the sender daemon: runs become deliveries, deliveries are claimed, and
 * their results are written back.  Any number of processes on any number of machines may do so at once.
 */

/*
 * A statement with a number of rows in its text: a LIMIT that is a parameter makes PostgreSQL's plan a scan
 * of the whole queue.
 */
struct queue_stmt {
	struct db_stmt stmt;
	char name[64];
	char sql[8192];
	int64_t limit;
	bool with_zones; /* of a claim: each delivery comes with the time zone of its schedule */
};
/* The claim of at most limit deliveries; the fan-out of at most limit subscriptions. */
void queue_stmt_claim(struct queue_stmt *, int64_t limit);
/* The same of deliveries that somebody asked for one by one, which need not wait behind a run. */
void queue_stmt_claim_prompt(struct queue_stmt *, int64_t limit);
void queue_stmt_fan_out(struct queue_stmt *, int64_t limit);

/*
 * Opens a transaction in which the planner keeps to indexes: the tables of a queue change their size faster
 * than their statistics do, and a plan made for an empty one must not be kept for a million rows.
 */
enum db_status queue_begin(struct db *);

struct run_progress {
	int64_t looked_at; /* subscriptions of this chunk */
	int64_t queued;
	int64_t skipped; /* had a delivery under way */
	bool finished;   /* that was the last chunk */
};
/*
 * Fans out the next chunk of a run. With DB_OK and looked_at 0 and not finished, another daemon is at it.
 * now: clock_now(). In a transaction of queue_begin.
 */
enum db_status queue_fan_out(struct db *, const struct queue_stmt *, int64_t run_id, int64_t now, struct run_progress *);

enum delivery_outcome {
	DELIVERY_OPEN,         /* nothing yet */
	DELIVERY_SENT,
	DELIVERY_DRY_RUN,      /* went the whole way without the POST */
	DELIVERY_FAILED,       /* for good: a failed task */
	DELIVERY_NO_RECIPIENT, /* the same, and the subscription gets process_status -1 */
	DELIVERY_CANCELLED,    /* its subscription was not ready any more, or is gone */
	DELIVERY_RETRY,        /* again after delay_ms; `charged`: one of its tries is used up */
	DELIVERY_RELEASE,      /* back to the queue as if nothing had been */
	DELIVERY_GATED,        /* back to the queue, where it waits until its `gate` opens (domain/gate.h) */
	DELIVERY_OUTCOME_MAX
};

/* A claimed delivery with all that its calls need, and then its result. One block; texts are "" for NULL. */
struct delivery {
	int64_t queue_id;
	int64_t attempt;
	int64_t tries;
	enum delivery_kind kind;
	const char *id;
	const char *subscription_id;
	const char *request_id;
	int64_t run_id;            /* 0 for none */
	int64_t resend_request_id; /* 0 for none */
	int64_t created_at;        /* microseconds since 1970 */

	bool has_subscription; /* false: it was deleted meanwhile, and the rest is empty */
	bool active, completed;
	int64_t process_status;
	const char *identity;
	const char *lang;
	const char *to_addr_own; /* metadata.to_addr of the subscription, NULL when it has none */
	const char *prepend;     /* metadata.prepend_next_delivery, NULL when it has none */

	int64_t messageset_id;
	int64_t sequence_number; /* the one to send */
	const char *content_type;
	const char *channel; /* "" for none */
	const char *short_name;

	bool has_message;
	int64_t message_id;
	bool has_text;
	const char *text;
	const char *metadata; /* the message's, JSON as PostgreSQL gives it */
	const char *binary;   /* file name below the media directory, "" for none */
	const char *timezone; /* of its schedule; NULL when that was not asked for */

	int64_t claimed_ms; /* clock_monotonic_ms before the claim was sent: the lease runs from then at the earliest */

	enum delivery_outcome outcome;
	char *to_addr;     /* owned, may be NULL */
	char *outbound_id; /* owned, may be NULL */
	char *reason;      /* owned; of FAILED, NO_RECIPIENT, CANCELLED and RETRY */
	int64_t delay_ms;  /* of RETRY */
	bool charged;      /* of RETRY */
	char *gate;        /* owned; of GATED */
	bool unwritten; /* the database refused its result */
	bool stale; /* its result was dropped: somebody else had claimed it meanwhile; of ends only */
	bool taken_out, ends; /* marks of the write-back */
};
void delivery_free(struct delivery *); /* NULL does nothing */
/* Keeps a copy of a reason, at most 500 bytes of it and only valid UTF-8. */
void delivery_set_reason(struct delivery *, const char *reason);

/* Where the next claim goes on; start with queue_cursor_reset. */
struct queue_cursor {
	char due_at[40];
	int64_t id;
	int looked_at; /* by the last claim: what it took, and what it put aside because it is held */
};
void queue_cursor_reset(struct queue_cursor *);

/* What a claim goes by. */
struct queue_terms {
	int64_t lease_ms;
	int64_t mark; /* from a database that is below it (domain/guard.h) nothing is taken */
	bool takes_over; /* what others hold whose lease has run out */
};
/*
 * Claims deliveries that are due, oldest first, from the cursor on, which moves behind the last one. Puts
 * them (the caller's, delivery_free) into out, which has room for the statement's limit. What is held by a
 * pause is put aside on the way; cursor->looked_at below the limit means that the queue's end was reached. In
 * a transaction of queue_begin; they are ours once that is committed.
 */
enum db_status queue_claim(struct db *, const struct queue_stmt *, const struct queue_terms *, struct queue_cursor *, struct delivery **out, int *count);

/*
 * Writes results back: those that ended leave the queue for the history, their subscriptions advance, the
 * others go back to the queue. Outcomes are set. A result whose delivery was claimed again meanwhile is dropped; *stale counts
 * these. now: clock_now(). In a transaction of queue_begin.
 */
enum db_status queue_write_back(struct db *, struct delivery *const *, int count, int64_t now, int *stale);

/*
 * Reads what is known of claimed deliveries anew, just before they are sent: each gets, in `out` at its place, a
 * delivery of its own (the caller's), or NULL when it is not ours any more or is held now. In a transaction of
 * queue_begin.
 */
enum db_status queue_refresh(struct db *, struct delivery *const *, int count, bool with_zones, struct delivery **out);

/* Renews the lease of deliveries that are still ours. */
enum db_status queue_renew(struct db *, struct delivery *const *, int count, int64_t lease_ms);

/* How long until the next retry is due, in milliseconds; -1 when none waits. In a transaction of queue_begin. */
enum db_status queue_next_due(struct db *, int64_t *wait_ms);

#endif
