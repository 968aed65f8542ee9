#ifndef CTL_TAKEOVER_H
#define CTL_TAKEOVER_H

#include "ctl/progress.h"
#include "io/db.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ctl;

/*
 * Taking over from a running original (sbmctl import-django, sbm-takeover(7)).
 *
 * A pass reads one snapshot of the original and makes our tables equal to it: what is new is added, what differs is
 * changed, what is gone is removed.  How far a pass came is nowhere written down: rows that are as they should be
 * are left alone, so that one that was killed is simply begun again, and a later one brings what has changed since.
 */

/* What one table of the original came to. */
struct takeover_count {
	int64_t there;              /* rows at the original */
	int64_t here, aside;        /* rows here, and rows that had no place here */
	char sum_there[16], sum_here[16];
	int64_t added, changed, removed;
	bool equal;
};

#define TAKEOVER_ENTITIES 10
/* What the table of an index is called, "message sets". */
const char *takeover_name(int entity);

struct takeover {
	struct ctl *ctl;
	struct db *here, *there; /* the store, the original: in one transaction for the whole pass */
	struct db *alone;        /* the store once more: keeps others out for the whole pass */
	bool put_aside;          /* rows that have no place here stop nothing */
	int64_t data_of;         /* the moment of the snapshot, by the original's clock */
	int64_t subscriptions;   /* how many it has; for the bar */
	struct progress progress;
	struct takeover_count counts[TAKEOVER_ENTITIES];
};

/* Makes all tables as the original has them. CTL_OK, or CTL_FAILED after it said why; what was done until then stays. */
int takeover_pass(struct takeover *);
/* Counts and adds up on both sides, in the snapshot there. CTL_OK, or CTL_FAILED after it said why. */
int takeover_compare(struct takeover *);

#endif
