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

/* "identity store", "message sender": in logs, reasons and the database. */
const char *calls_service_word(enum calls_service);

/* A call has ended. */
void calls_count(enum calls_service, const struct fetch_answer *);
/* The same for its service's breaker; when that opens or closes, the log tells why, and outages are counted. */
struct calls_end {
	struct breaker_ticket ticket;
	struct breaker_result result;
	long status;       /* of HTTP; 0: there was none */
	const char *error; /* "" for none */
};
void calls_report(enum calls_service, struct breaker *, const struct breaker_config *, const struct calls_end *);
/* Shows whether calls are paused, whether or not there is one to be made. At each turn of a process. */
void calls_show_pause(enum calls_service, const struct breaker *, int64_t now_ms);

#endif
