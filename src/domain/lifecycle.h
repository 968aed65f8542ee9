#ifndef DOMAIN_LIFECYCLE_H
#define DOMAIN_LIFECYCLE_H

#include "domain/cron.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Where a subscription should be, and what is to come: pure arithmetic over the programme, that is its
 * schedules, its message sets with their sizes, and the chain of next sets.  programme.h loads it.
 * Times are minutes, as in cron.h. Sets and schedules are named by their place in the programme's arrays.
 */
#define LIFECYCLE_LANG_SIZE 28 /* 6 characters of UTF-8 and a NUL */

struct arena;

struct lifecycle_schedule {
	int id;
	bool broken;            /* its fields cannot be read: it never fires */
	struct cron cron;
	struct firings *firings; /* owned; NULL until lifecycle_prepare */
};

struct lifecycle_size {
	char lang[LIFECYCLE_LANG_SIZE];
	int messages;           /* set_max */
	int *missing;           /* numbers from 1 to set_max that have no message */
	int missing_count;
};

struct lifecycle_set {
	int id;
	const char *short_name;
	int next;               /* place of the next set, -1 for none */
	int schedule;           /* place of its default schedule, -1 when it is not there */
	struct lifecycle_size *sizes;
	int sizes_count;
};

struct programme {
	struct lifecycle_schedule *schedules; /* by id */
	int schedules_count;
	struct lifecycle_set *sets;           /* by id */
	int sets_count;
	int64_t from, until;    /* what the firings are worked out for */
	struct arena *memory;   /* of all that is above but the firings; may be NULL */
};

struct lifecycle_subscription {
	int set;                /* place */
	int schedule;           /* place */
	const char *lang;
	int initial, next;      /* sequence numbers */
	bool ready;             /* active, not completed, process_status 0 */
	int64_t created;        /* minute */
};

/* Place of an id, or -1. */
int programme_set(const struct programme *, int id);
int programme_schedule(const struct programme *, int id);
/* The messages of a set in a language; NULL when there are none. */
struct lifecycle_size *programme_size(const struct programme *, int set, const char *lang);
/* set_max: how many there are. */
int lifecycle_set_max(const struct programme *, int set, const char *lang);
/* Works out all firings after `from` and up to and including `until`; what follows asks within them. */
void lifecycle_prepare(struct programme *, int64_t from, int64_t until);

struct lifecycle_position {
	int set;            /* expected set, after following the chain */
	int sequence;       /* expected sequence number in it */
	bool complete;      /* and whether that set should be completed */
	int64_t behind;     /* messages behind, along the chain */
	bool loop;          /* the chain came back on itself: the count ends there, say so in the log */
};
/* Where a subscription should be at `end`, which is not after programme.until; created is not before programme.from. */
struct lifecycle_position lifecycle_find_position(const struct programme *, const struct lifecycle_subscription *, int64_t end);

/* One step of a fast forward: the subscription itself first, then each follow-on subscription to be made. */
struct lifecycle_step {
	int set, schedule;  /* places */
	int sequence;       /* next_sequence_number that it gets; never lower than it was */
	bool complete;      /* to be completed; a follow-on is then the next step, if the set has a next set */
	int64_t created;    /* minute; of a follow-on: the last run of the set before, and one */
};
#define LIFECYCLE_STEPS_MAX 256
/*
 * Moves a subscription to where it should be at `end`. Returns the number of steps, at least 1; *loop when
 * the chain came back on itself and the plan ends there. A subscription that is not ready stays as it is.
 */
int lifecycle_plan(const struct programme *, const struct lifecycle_subscription *, int64_t end,
    struct lifecycle_step steps[LIFECYCLE_STEPS_MAX], bool *loop);

/* The messages to come, one after the other, through the chain of sets. Needs no lifecycle_prepare. */
struct lifecycle_upcoming {
	int set, schedule;  /* of the message; places */
	int sequence;
	int64_t minute;     /* when it is due */
	const char *lang;   /* borrowed from the subscription */
	bool begun;
};
/* Begins after the minute `now`. Nothing comes for a subscription that is not ready. */
void lifecycle_upcoming_init(struct lifecycle_upcoming *, const struct lifecycle_subscription *, int64_t now);
/*
 * Goes to the next message; false when there is none up to and including `until`: the chain ended, or the
 * subscription's message is missing (it waits for content), or its schedule never fires.
 */
bool lifecycle_upcoming_next(const struct programme *, struct lifecycle_upcoming *, int64_t until);

/* Messages by day (UTC, days since 1970), set and language; sorted so. */
struct lifecycle_forecast_row {
	int64_t day;
	int set;                /* place */
	char lang[LIFECYCLE_LANG_SIZE];
	int64_t messages;
};
struct lifecycle_forecast {
	struct lifecycle_forecast_row *rows;
	size_t count, size;
};
void lifecycle_forecast_fini(struct lifecycle_forecast *);
/* Adds what `subscriptions` equal subscriptions will get after `now` and up to `until`. */
void lifecycle_forecast_add(struct lifecycle_forecast *, const struct programme *, const struct lifecycle_subscription *,
    int64_t subscriptions, int64_t now, int64_t until);
/* Brings it in order and adds up equal rows; call it before the rows are read. */
void lifecycle_forecast_sort(struct lifecycle_forecast *);

#endif
