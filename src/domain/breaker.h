#ifndef DOMAIN_BREAKER_H
#define DOMAIN_BREAKER_H

#include "domain/retry.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether one other service may be called now, as one process sees it.  Times are of the monotonic clock, in
 * milliseconds.
 *
 * closed   calls go out.
 * open     it is out: no call until open_until, which doubles from probe_min to probe_max with each failed
 *          probe, and is later when the service asks for it by Retry-After (a day at most).
 * probing  open_until has passed: one call goes out; if it is answered the breaker closes, else it opens.
 *
 * It opens at once on RETRY_OUTAGE and on any failure with a Retry-After, and on BREAKER_STREAK failures of
 * RETRY_UNSURE in a row without an answer between them.  Only deliveries that have used up no try count for
 * the streak: those that have were seen to fail while others passed, and say nothing about the service.
 *
 * Whether a failure uses up a try is asked when it is written back, so that what happened meanwhile counts:
 * yes, when the breaker has not opened since, and others pass.  For the first try, that is: the streak is short
 * (under BREAKER_DOUBT) and an answer came within BREAKER_MEMORY_MS.  For a further one: an answer came since the
 * try before, here or in another process (breaker_hear); else the service may be out, and nobody but this delivery
 * is there to notice.  A delivery that is not charged is tried again all the same, after its wait.
 */
#define BREAKER_STREAK 10
#define BREAKER_DOUBT 3
#define BREAKER_MEMORY_MS 60000

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING, BREAKER_STATE_MAX };

struct breaker {
	enum breaker_state state;
	uint32_t generation;  /* goes up at each opening and closing; never 0 */
	bool probe_out;       /* the one call of BREAKER_PROBING is under way */
	int streak;
	int64_t last_answer;  /* when it was last seen to work, here or elsewhere; -1 never */
	int64_t open_until;
	int64_t wait_ms;      /* of the last opening in a row; 0 when closed */
	int64_t opened_at;    /* of the first opening in a row, for the log */
	uint64_t openings;    /* in all */
};

struct breaker_config {
	int64_t probe_min_ms, probe_max_ms;
};

/* Handed out at a call's start and given back with its end. */
struct breaker_ticket {
	uint32_t generation;
	bool probe;
};

void breaker_init(struct breaker *);
/*
 * Asks for one call. True: it may start, and its end must be told by breaker_report or, when it came to
 * nothing (it was not started, or its delivery was given up), by breaker_cancel.
 */
bool breaker_start(struct breaker *, int64_t now, struct breaker_ticket *);
/* How long until a call may start: 0 now, -1 when the probe under way decides. */
int64_t breaker_wait_ms(const struct breaker *, int64_t now);

struct breaker_result {
	enum retry_outcome outcome;
	bool charged_before;    /* the delivery has used up tries before */
	int64_t retry_after_ms; /* -1: the service did not say */
};
/* Returns true when this changed the state, so that the caller logs it. */
bool breaker_report(struct breaker *, const struct breaker_config *, struct breaker_ticket, const struct breaker_result *, int64_t now);
void breaker_cancel(struct breaker *, struct breaker_ticket);
/* Another process had an answer then. */
void breaker_hear(struct breaker *, int64_t answered);
/*
 * Whether a RETRY_UNSURE that was reported uses up a try. Ask at write-back. tried: when the try before ended, if
 * the delivery has used up tries; else BREAKER_FIRST_TRY.
 */
#define BREAKER_FIRST_TRY INT64_C(-1)
bool breaker_charges(const struct breaker *, struct breaker_ticket, int64_t tried, int64_t now);
/* "closed", "open", "probing". */
const char *breaker_state_name(const struct breaker *);

#endif
