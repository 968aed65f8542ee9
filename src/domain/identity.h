#ifndef DOMAIN_IDENTITY_H
#define DOMAIN_IDENTITY_H

#include "io/db.h"

#include <stdint.h>

/* What is done with all that belongs to one identity. `now` is clock_now() everywhere. */

#define IDENTITY_MAX 36 /* characters */

struct identity_stop {
	int64_t subscriptions; /* that it has, whatever their state */
	int64_t deactivated;   /* that were active until now */
	int64_t cancelled;     /* deliveries taken out of the queue */
	int64_t under_way;     /* deliveries that a sender process has in hands */
};
/*
 * Deactivates all subscriptions of an identity and cancels its deliveries in the queue, at most `most` of each; what
 * they were followed by meanwhile too. A delivery that a sender process has in hands may still end as sent;
 * nothing is sent after it. In a transaction of queue_begin. user_id: who did it, 0 for none. An identity that
 * nobody has is none of an error: all counts are 0.
 */
enum db_status identity_stop(struct db *, const char *identity, int64_t user_id, int64_t most, int64_t now, struct identity_stop *);

#endif
