#ifndef UNIT_TAP_H
#define UNIT_TAP_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/*
 * TAP for the unit tests: ok(condition, "name"), is_str(got, expected, "name"), is_int(got, expected, "name"),
 * and `return tap_done();` at the end of main.  Include it in the file of main alone.
 */
static int tap_count, tap_failed;

static inline bool tap_ok(bool passed, const char *name, const char *file, int line)
{
	tap_count++;
	tap_failed += !passed;
	printf("%sok %d - %s\n", passed ? "" : "not ", tap_count, name);
	if (!passed)
		printf("# at %s:%d\n", file, line);
	fflush(stdout);
	return passed;
}

static inline bool tap_is_str(const char *got, const char *expected, const char *name, const char *file, int line)
{
	bool passed = tap_ok(got && expected ? !strcmp(got, expected) : got == expected, name, file, line);

	if (!passed)
		printf("# got      \"%s\"\n# expected \"%s\"\n", got ? got : "(null)", expected ? expected : "(null)");
	return passed;
}

static inline bool tap_is_int(int64_t got, int64_t expected, const char *name, const char *file, int line)
{
	bool passed = tap_ok(got == expected, name, file, line);

	if (!passed)
		printf("# got      %" PRId64 "\n# expected %" PRId64 "\n", got, expected);
	return passed;
}

#define ok(condition, name) tap_ok((condition), (name), __FILE__, __LINE__)
#define is_str(got, expected, name) tap_is_str((got), (expected), (name), __FILE__, __LINE__)
#define is_int(got, expected, name) tap_is_int((got), (expected), (name), __FILE__, __LINE__)

static inline int tap_done(void)
{
	printf("1..%d\n", tap_count);
	fflush(stdout);
	return tap_failed ? 1 : 0;
}

#endif
