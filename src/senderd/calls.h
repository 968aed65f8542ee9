#ifndef SENDERD_CALLS_H
#define SENDERD_CALLS_H

#include "domain/breaker.h"
#include "io/fetch.h"

#include <stdbool.h>

/* Counts calls of other services for /metrics; in the order of base/counter.def. */
enum calls_service { CALLS_IDENTITY, CALLS_OUTBOUND, CALLS_SCHEDULER };
enum calls_outcome {
	CALLS_2XX, CALLS_400, CALLS_401, CALLS_403, CALLS_404, CALLS_429, CALLS_5XX, CALLS_OTHER,
	CALLS_REFUSED, CALLS_BROKEN, CALLS_TIMEOUT, CALLS_OUTCOME_MAX
};

/* A call has ended. */
void calls_count(enum calls_service, const struct fetch_answer *);
/* The breaker was told of a call's end; was_closed: it was closed before. */
void calls_note(enum calls_service, const struct breaker *, bool was_closed);

#endif
