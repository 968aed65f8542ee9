#ifndef DOMAIN_JOB_H
#define DOMAIN_JOB_H

#include "io/db.h"

#include <stdint.h>

/*
 * Background computations over all subscriptions, to be called by the daemon, outside a transaction.
 * now: microseconds of the service's clock. Each can simply be run again after an error.
 */

struct find_behind_result {
	int64_t looked_at; /* ready subscriptions */
	int64_t behind;    /* rows that stand in behind_subscription now */
	int64_t skipped;   /* subscriptions of a loop of sets, or whose schedule cannot be read; logged */
};
/* Replaces the rows of behind_subscription in one transaction. Holds one chunk of subscriptions in memory. */
enum db_status find_behind_run(struct db *, int64_t now, struct find_behind_result *);

/* Records today's estimated_send rows (today: UTC date of now). *sets: how many message sets send today. */
enum db_status estimate_run(struct db *, int64_t now, int64_t *sets);

#define WEEKLY_DAYS 7
/*
 * Ready subscriptions whose schedule fires on each weekday, 0 Monday .. 6 Sunday, from today (UTC date of
 * now) to Sunday; -1 for days that are past. The metric's key is subscriptions.send.estimate.D.last.
 */
enum db_status weekly_estimate(struct db *, int64_t now, int64_t counts[WEEKLY_DAYS]);

#endif
