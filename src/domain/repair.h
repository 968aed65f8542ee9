#ifndef DOMAIN_REPAIR_H
#define DOMAIN_REPAIR_H

#include "domain/behind.h"
#include "domain/delivery.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What an administrator does to many subscriptions at once, a chunk at a time, while daemons send.  Each call
 * is one transaction, begun and ended here.  A subscription that moved since it was looked at, or that somebody
 * else is at, is left as it is, and counted.
 */

/* The subscriptions of one chunk that something is to be done to. */
struct repair;
struct repair *repair_create(struct db *);
void repair_free(struct repair *);
/* Empties it. */
void repair_begin(struct repair *);

/* A message is to be queued for this one. */
void repair_add_send(struct repair *, const struct programme *, const struct behind_row *);
struct repair_sends {
	int64_t queued;
	int64_t under_way; /* had a delivery under way already; no second one is made */
	int64_t changed;   /* moved, or not ready any more, since it was looked at */
};
/* Adds to the counts. now: clock_now(). */
enum db_status repair_send(struct repair *, int64_t now, struct repair_sends *);

/* This one is to go through the steps of lifecycle_plan. */
void repair_add_plan(struct repair *, const struct programme *, const struct behind_row *, const struct lifecycle_step *, int steps);
struct repair_moves {
	int64_t moved;     /* subscriptions, those that were completed among them */
	int64_t completed;
	int64_t made;      /* follow-on subscriptions */
	int64_t under_way; /* have a delivery under way, and are left until it has ended */
	int64_t changed;   /* as above */
};
enum db_status repair_move(struct repair *, int64_t now, struct repair_moves *);

/* Adds how many of those in it have a delivery under way. */
enum db_status repair_count_under_way(struct repair *, int64_t *count);

/*
 * Runs a step in a transaction of its own; again, for some seconds, when it came into a deadlock or found something
 * locked: the step counts anew each time.
 */
enum db_status repair_transaction(struct db *, enum db_status (*step)(struct db *, void *), void *data);
/* Waits a moment for those who have locked something; *round begins at 0. False when they were waited for long enough. */
bool repair_pause(int *round);

#endif
