#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/*
 * The service's time. It is the system clock, moved by the number of seconds in clock_file where that is
 * set, so that tests and the demonstration can live through weeks.  Everything that the programme's people
 * see as a date comes from here and goes into statements as a parameter; leases and timeouts do not.
 */

/* path: file that holds the seconds to add (decimal, may be negative), "" or NULL for none. Borrowed. */
void clock_init(const char *path);
/* Microseconds since 1970-01-01 UTC. The file is read again at most every 20 ms. */
int64_t clock_now(void);
/* Milliseconds that only ever grow, never moved. */
int64_t clock_monotonic_ms(void);
/* The same in microseconds. */
int64_t clock_monotonic_us(void);

#define CLOCK_MINUTE INT64_C(60000000)
#define CLOCK_DAY INT64_C(86400000000)

#define CLOCK_TEXT_SIZE 28
/* 2026-11-23T17:04:01.088123Z, as the API and PostgreSQL take it; no fraction when that is 0. Years 1 to 9999. */
void clock_format(int64_t us, char out[CLOCK_TEXT_SIZE]);
/*
 * Reads a time with a date and an offset as PostgreSQL or JSON writes it: "2026-11-23 17:04:01.088123+00",
 * "2026-11-23T17:04:01Z". 0, or -1.
 */
int clock_parse(const char *text, int64_t *us);
/* A civil UTC date: days since 1970-01-01 of year, month 1..12, day 1..31, and back (proleptic Gregorian). */
int64_t clock_days_from_civil(int year, int month, int day);
void clock_civil_from_days(int64_t days, int *year, int *month, int *day);

#endif
