#ifndef DOMAIN_ZONE_H
#define DOMAIN_ZONE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Time zones, read from the system's TZif files (RFC 8536) and kept for the life of the process.  Times are
 * whole minutes since 1970-01-01 UTC ("minutes" below); local times are minutes of the same count on a
 * local calendar. Rules are laid out up to the year 2400.
 */
struct zone_span {
	int64_t start;  /* first UTC minute for which offset holds; INT64_MIN for the first span */
	int64_t offset; /* local minute = UTC minute + offset */
	int64_t high;   /* the latest local minute that there was before start; INT64_MIN for the first span */
};

struct zone {
	char *name;
	struct zone_span *spans; /* by start; never empty */
	size_t count;
	struct zone *next;
};

/*
 * The zone of an IANA name ("Africa/Johannesburg", "UTC"), or NULL with what is wrong in error (a sentence
 * for the API's user) when there is none. It lives for ever. UTC needs no file.
 */
const struct zone *zone_find(const char *name, char *error, size_t error_size);
/* Logs a warning when the system has no zones but UTC. To be called at start. */
void zone_check(void);
/* The span that holds at a UTC minute. */
const struct zone_span *zone_span_at(const struct zone *, int64_t minute);
int64_t zone_local(const struct zone *, int64_t minute);

#endif
