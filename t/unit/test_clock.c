#include "base/clock.h"
#include "tap.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void test_civil(void)
{
	bool same = true;
	int64_t days = clock_days_from_civil(1, 1, 1);

	is_int(clock_days_from_civil(1970, 1, 1), 0, "1970-01-01 is day 0");
	is_int(clock_days_from_civil(2000, 2, 29), 11016, "2000-02-29");
	for (; days < clock_days_from_civil(10000, 1, 1); days++) {
		int year, month, day;

		clock_civil_from_days(days, &year, &month, &day);
		same = same && clock_days_from_civil(year, month, day) == days && month >= 1 && month <= 12 && day >= 1 && day <= 31;
	}
	ok(same, "each day of the years 1 to 9999 there and back");
}

static void test_text(void)
{
	static const struct {
		const char *text, *expected; /* expected NULL: refused */
	} cases[] = {
		{"2026-11-23T17:04:01.088123Z", "2026-11-23T17:04:01.088123Z"}, {"2026-11-23 17:04:01.088123+00", "2026-11-23T17:04:01.088123Z"},
		{"2026-11-23 17:04:01+02", "2026-11-23T15:04:01Z"}, {"2026-11-23 17:04:01.5-0530", "2026-11-23T22:34:01.500000Z"},
		{"2026-11-23t17:04:01+05:30", "2026-11-23T11:34:01Z"}, {"1892-01-01 00:00:00+01:52:03", "1891-12-31T22:07:57Z"},
		{"2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"}, {"2023-02-29T00:00:00Z", NULL}, {"1900-02-29T00:00:00Z", NULL},
		{"2026-11-23T17:04:01.1234567Z", "2026-11-23T17:04:01.123456Z"}, {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"}, {"9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"},
		{"2026-11-23T17:04:01", NULL}, {"2026-11-23", NULL}, {"2026-13-01T00:00:00Z", NULL}, {"2026-11-31T00:00:00Z", NULL}, {"2026-11-23T24:00:00Z", NULL},
		{"2026-11-23T17:60:00Z", NULL}, {"2026-11-23T17:00:60Z", NULL}, {"2026-11-23T17:00:00.Z", NULL}, {"2026-11-23T17:00:00ZZ", NULL}, {"2026-11-23T17:00:00+", NULL},
		{"2026-11-23T17:00:00+1", NULL}, {"", NULL}, {"0000-01-01T00:00:00Z", NULL}, {"infinity", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[CLOCK_TEXT_SIZE] = "";
		int64_t us = 0;
		int rc = clock_parse(cases[i].text, &us);

		if (!rc)
			clock_format(us, text);
		is_str(rc ? NULL : text, cases[i].expected, cases[i].text);
	}
}

static void write_offset(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	fputs(text, file);
	fclose(file);
}

/* Waits until clock_now is about seconds away from the system clock. */
static bool comes_to(int64_t seconds)
{
	for (int i = 0; i < 500; i++) {
		int64_t off = clock_now() - (int64_t)time(NULL) * 1000000 - seconds * 1000000;

		if (off > -2000000 && off < 2000000)
			return true;
		poll(NULL, 0, 10);
	}
	return false;
}

static void test_offset(void)
{
	char path[] = "test_clock.XXXXXX";
	int64_t before = clock_monotonic_ms();

	clock_init(NULL);
	ok(comes_to(0), "without a file it is the system clock");
	close(mkstemp(path));
	write_offset(path, "86400\n");
	clock_init(path);
	ok(comes_to(86400), "moved by the file's seconds");
	write_offset(path, "-3600");
	ok(comes_to(-3600), "the file is read again");
	write_offset(path, "soon");
	clock_now();
	ok(comes_to(-3600), "a bad file changes nothing");
	unlink(path);
	ok(comes_to(-3600), "nor does a missing one");
	ok(clock_monotonic_ms() >= before, "monotonic time only grows");
	clock_init(NULL);
}

int main(void)
{
	test_civil();
	test_text();
	test_offset();
	return tap_done();
}
