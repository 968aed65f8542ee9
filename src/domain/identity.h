#ifndef DOMAIN_IDENTITY_H
#define DOMAIN_IDENTITY_H

#include "io/db.h"

#include <stdbool.h>
#include <stdint.h>

/* What is done with all that belongs to one identity. `now` is clock_now() everywhere. */

#define IDENTITY_MAX 36 /* characters */

struct identity_stop {
	int64_t subscriptions; /* that it has, whatever their state */
	int64_t deactivated;   /* that were active until now */
	int64_t cancelled;     /* deliveries taken out of the queue */
	int64_t under_way;     /* deliveries that a sender process has in hand */
};
/*
 * Deactivates all subscriptions of an identity and cancels its deliveries in the queue, at most `most` of each; what
 * they were followed by meanwhile too. A delivery that a sender process has in hand may still end as sent;
 * nothing is sent after it. In a transaction of queue_begin. user_id: who did it, 0 for none. An identity that
 * nobody has is no error: all counts are 0.
 */
enum db_status identity_stop(struct db *, const char *identity, int64_t user_id, int64_t most, int64_t now, struct identity_stop *);

/* How much is kept about an identity. */
struct identity_counts {
	int64_t subscriptions, active;
	int64_t queued;     /* deliveries */
	int64_t deliveries; /* in the history */
	int64_t failed_tasks, resend_requests, behind;
	int64_t answers;    /* stored for an Idempotency-Key */
	int64_t put_aside;  /* rows that a take-over had no place for */
	int64_t strays;     /* deliveries to an address, of subscriptions that are there no more */
};
/* address: NULL for none; with one, the whole history is looked through. */
enum db_status identity_count(struct db *, const char *identity, const char *address, struct identity_counts *);
/* Whether anything is. */
bool identity_is_known(const struct identity_counts *);

struct identity_erased {
	int64_t deliveries;    /* that tell nothing of a person any more */
	int64_t subscriptions; /* with what hangs on them */
	int64_t answers;
	int64_t put_aside;
};
/*
 * Removes some subscriptions of an identity, which identity_stop has stopped, and what tells of a person from their
 * deliveries, in transactions of some thousand rows each, and adds to the sums. *found: how many it came across, none when
 * all are gone; *gone: how many of them are gone now. The others stay, because something is under way for them or
 * because they are active again. Can be called again after an error. Outside a transaction.
 */
enum db_status identity_erase_some(struct db *, const char *identity, struct identity_erased *, int64_t *found, int64_t *gone);
/* The same for what does not hang on subscriptions. */
enum db_status identity_erase_rest(struct db *, const char *identity, struct identity_erased *);
/* The same for the strays of an address, which are deliveries alone. */
enum db_status identity_erase_strays(struct db *, const char *address, struct identity_erased *);

#endif
