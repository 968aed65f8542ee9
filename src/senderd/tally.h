#ifndef SENDERD_TALLY_H
#define SENDERD_TALLY_H

#include "domain/metric.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The sums of the metrics of one daemon, in memory that all its processes share: made before the first fork, so that
 * they outlive any of them.  Any process adds to them without waiting for another; one process posts them.  Of each
 * sum three numbers are kept: what was counted, what the metrics service has certainly taken, and how far the post
 * goes that was made last; what lies between the last two was sent off and may have been taken.
 */
#define TALLY_KEYS_MAX 2048

/* 0, or -1, logged. */
int tally_init(void);

/* Adds to the sum of a key, METRIC_KEY_MAX - 1 bytes at most. */
void tally_add(const char *key, int64_t n);
/* Sets the value of a key that is no sum but the latest of its kind, as this request had asked for it: "" for none. */
void tally_set(const char *key, int64_t value, const char *request_id);
/* Counts for which there was no room: more than TALLY_KEYS_MAX keys. */
int64_t tally_lost(void);

/* For the readers of sums: key 0 .. tally_keys() - 1, and NULL where there is none (any more to come). */
int tally_keys(void);
const char *tally_key(int i);

/* One post of one key. */
struct tally_post {
	const char *key;
	int64_t value;
	const char *id; /* the same as long as it is not known whether the post was taken */
	const char *request_id; /* "" for sums, and where there is none */
};
/*
 * For the process that posts. What is to be posted of key i, if anything: what came since the last post that was
 * taken, or once more the last one unchanged.
 */
bool tally_take(int i, struct tally_post *);
void tally_accepted(int i); /* it was taken */
void tally_refused(int i);  /* it was certainly not: its sum goes with what came since */
/* Forgets values that were set longer ago than this. Returns how many. */
int tally_forget_values(int64_t older_than_ms);
/* How many keys have something to be posted. */
int tally_pending(void);

/*
 * Who may post: only one process, which waits here for its turn without blocking. True when it is ours, until the
 * process ends.
 */
bool tally_post_lock(void);
/* Says that this process adds to sums, until it ends; and whether there is another one that does. */
void tally_join(void);
bool tally_has_members(void);

/* How many reloads there were: the supervisor counts, its children read. */
void tally_count_reload(void);
int64_t tally_reloads(void);

#endif
