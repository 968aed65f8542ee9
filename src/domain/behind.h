#ifndef DOMAIN_BEHIND_H
#define DOMAIN_BEHIND_H

#include "base/parse.h"
#include "domain/lifecycle.h"
#include "io/db.h"

/*
 * Goes over all ready subscriptions in bounded chunks, in the order of their ids, and works out where each
 * should be.  The firings of each schedule are worked out once, at the beginning.
 */
struct behind {
	struct db *db;
	struct programme *programme;
	int64_t end;               /* minute for which positions are worked out */
	int64_t messageset_id;     /* only of this set; 0 of all */
	char last[UUID_TEXT_SIZE]; /* the last subscription looked at */
	int64_t ready;             /* how many there were to look at, at the beginning */
	int64_t looked_at;
	int64_t broken;            /* of a schedule that cannot be read, as if it never fired */
	int64_t loops;             /* of sets whose chain comes back on itself, counted once around */
	int loop_set;              /* place of one of these; -1 for none */
};

struct behind_row {
	const char *id, *identity; /* borrowed from the chunk, as is subscription.lang */
	struct lifecycle_subscription subscription;
	struct lifecycle_position position;
};

/* end: a minute from 1970 up to BEHIND_END_MAX, the year 2400. behind_end in any case. */
#define BEHIND_END_MAX INT64_C(226157760)
enum db_status behind_begin(struct behind *, struct db *, int64_t end, int64_t messageset_id);
/* The next chunk, which is the caller's; without rows behind the last one. */
enum db_status behind_next(struct behind *, struct db_result **chunk);
/* Works out one row of it. False: it is of a set or schedule made since the beginning, and nothing is known of it. */
bool behind_look(struct behind *, const struct db_result *chunk, int row, struct behind_row *);
void behind_end(struct behind *);

#endif
