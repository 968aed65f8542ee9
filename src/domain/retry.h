#ifndef DOMAIN_RETRY_H
#define DOMAIN_RETRY_H

#include "io/fetch.h"

#include <stdint.h>

/* What an ended call means for its delivery and for the service that was called. */
enum retry_outcome {
	RETRY_DONE,      /* any 2xx: done, whatever became of the body */
	RETRY_PERMANENT, /* this delivery fails at once; the service is well */
	RETRY_UNSURE,    /* 5xx, a lost connection, a timeout: of this one, or of all? breaker.h finds out */
	RETRY_OUTAGE,    /* of the service: nobody there, 401, 403, 429, a redirect; no try is used up */
	RETRY_OUTCOME_MAX
};

/*
 * status: 0 when no status line came. A look-up whose 2xx answer is of no use (payload_parse_address) is the
 * caller's to turn into RETRY_UNSURE.
 */
enum retry_outcome retry_classify(enum fetch_outcome, long status);

/*
 * Wait before the next try, in milliseconds: base doubled for each try before, at most max, of which a random
 * half is taken away (`random`: any 32 random bits). tries: how many failed so far, from 1.
 */
int64_t retry_wait_ms(int tries, int64_t base_ms, int64_t max_ms, uint32_t random);
/* The same where tries are not counted: twice what was waited for the last one. */
int64_t retry_wait_longer_ms(int64_t waited_ms, int64_t base_ms, int64_t max_ms, uint32_t random);

#endif
