#ifndef DOMAIN_CRON_H
#define DOMAIN_CRON_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zone;

/*
 * Schedules.  A field is a comma list of *, numbers, ranges (1-5) and steps over them; white space is
 * ignored, but not between two digits.  day_of_week is 1 Monday .. 7 Sunday, 0 is Sunday too.  When
 * neither day_of_month nor day_of_week holds all its values, a day needs only one of them (cron's rule).
 *
 * The fields are local time of the schedule's zone.  Local minutes that a change of the clock skips fire
 * together, once, in the first minute after it; local minutes that come twice fire the first time.
 *
 * Times are whole minutes since 1970-01-01 UTC: cron_minute makes them of the service's microseconds.
 */
enum cron_field { CRON_MINUTE, CRON_HOUR, CRON_DAY_OF_WEEK, CRON_DAY_OF_MONTH, CRON_MONTH_OF_YEAR, CRON_FIELD_MAX };
/* Names of the fields as the API and the table have them. */
extern const char *const cron_field_names[CRON_FIELD_MAX];

struct cron {
	uint64_t minute;       /* bit N: minute N */
	uint32_t hour;
	uint32_t day_of_month; /* bits 1..31 */
	uint16_t month;        /* bits 1..12 */
	uint8_t day_of_week;   /* bit 0 Sunday .. bit 6 Saturday */
	const struct zone *zone;
};

#define CRON_ERROR_SIZE 256
/*
 * Reads one field. 0 with its values as bits in *bits (Sunday is bit 0; bits may be NULL), or -1 with a
 * sentence for the API's user that says what was wrong and what is allowed.
 */
int cron_parse_field(enum cron_field, const char *text, uint64_t *bits, char error[CRON_ERROR_SIZE]);
/*
 * Reads a whole schedule. texts are in the order of enum cron_field; timezone NULL is UTC. 0, or -1 with a
 * sentence in error and the field in *bad: CRON_FIELD_MAX for the time zone. A schedule that can never fire
 * (31 February) is refused too, at day_of_month.
 */
int cron_parse(const char *const texts[CRON_FIELD_MAX], const char *timezone, struct cron *out, enum cron_field *bad,
    char error[CRON_ERROR_SIZE]);
/* "m h dom moy dow" for the external scheduler, without white space in the fields. */
void cron_put_definition(const char *const texts[CRON_FIELD_MAX], struct buf *out);

/* The minute in which a time of the service's clock (microseconds) lies: "now" as a cron minute. */
int64_t cron_minute(int64_t us);
int64_t cron_minute_us(int64_t minute);

#define CRON_NEVER INT64_MAX
/* Whether it fires in this minute. */
bool cron_matches(const struct cron *, int64_t minute);
/* The first firing after a minute; CRON_NEVER when there is none within the next 12 years. */
int64_t cron_next(const struct cron *, int64_t after);
/* The last firing at or before a minute; CRON_NEVER when there was none within the 12 years before. */
int64_t cron_previous(const struct cron *, int64_t at);
/* Whether it fires at all on a date of its own calendar: days since 1970-01-01. */
bool cron_matches_day(const struct cron *, int64_t day);
/* The firings after a and up to and including b, in order, at most max of them. Returns how many. */
size_t cron_list(const struct cron *, int64_t after, int64_t until, int64_t *out, size_t max);

/*
 * The firings of a schedule over a long time as something to be counted in: worked out once, some bytes for
 * each day that has any, then each question is a binary search.
 */
struct firings;
/* All firings after `after` and up to and including `until`. */
struct firings *firings_create(const struct cron *, int64_t after, int64_t until);
void firings_free(struct firings *);
/* How many are after a and up to and including b. Asserts that both lie within what it was made for. */
int64_t firings_count(const struct firings *, int64_t a, int64_t b);
/* The n-th firing after a, n from 1, or CRON_NEVER when there are fewer. */
int64_t firings_nth(const struct firings *, int64_t a, int64_t n);

#endif
