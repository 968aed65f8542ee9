#ifndef SENDERD_CALLS_H
#define SENDERD_CALLS_H

#include "domain/breaker.h"
#include "io/fetch.h"

#include <stdint.h>

/* Counts calls of other services for /metrics; in the order of base/counter.def. */
enum calls_service { CALLS_IDENTITY, CALLS_OUTBOUND, CALLS_SCHEDULER, CALLS_METRICS };
enum calls_outcome {
	CALLS_2XX, CALLS_400, CALLS_401, CALLS_403, CALLS_404, CALLS_429, CALLS_5XX, CALLS_OTHER,
	CALLS_REFUSED, CALLS_BROKEN, CALLS_TIMEOUT, CALLS_OUTCOME_MAX
};

/* A call has ended. */
void calls_count(enum calls_service, const struct fetch_answer *);
/* An outage has begun: the breaker has opened that was closed. */
void calls_outage(enum calls_service);
/* Shows whether calls are paused, whether or not there is one to be made. At each turn of a process. */
void calls_show_pause(enum calls_service, const struct breaker *, int64_t now_ms);

#endif
