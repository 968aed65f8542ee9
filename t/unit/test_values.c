#include "base/arena.h"
#include "base/clock.h"
#include "rest/filter.h"
#include "rest/python.h"
#include "tap.h"

static struct arena *arena;

static void
test_strip(void)
{
	static const struct {
		const char *text, *expected, *name;
	} cases[] = {
		{"", "", "nothing"},
		{" \t\n\v\f\r ", "", "only blanks"},
		{"  a b ", "a b", "blanks inside stay"},
		{"\xc2\xa0x\xe3\x80\x80", "x", "no-break and ideographic blanks"},
		{"\x1cx\x1f", "x", "separators"},
		{"x\xe2\x80\x8b", "x\xe2\x80\x8b", "a zero width blank is none"},
		{"\xf0\x9f\x98\x80 ", "\xf0\x9f\x98\x80", "four bytes"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		is_str(python_strip(arena, cases[i].text), cases[i].expected, cases[i].name);
}

static void
test_floats(void)
{
	static const struct {
		double value;
		const char *expected;
	} cases[] = {
		{1, "1.0"}, {0, "0.0"}, {-0.0, "-0.0"}, {1.5, "1.5"}, {0.1, "0.1"}, {1e3, "1000.0"}, {1e-4, "0.0001"},
		{1e-5, "1e-05"}, {1e15, "1000000000000000.0"}, {1e16, "1e+16"}, {1.5e300, "1.5e+300"},
		{123456.789, "123456.789"}, {2.0 / 3, "0.6666666666666666"}, {5e-324, "5e-324"},
	};
	char out[32];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		python_float(cases[i].value, out);
		is_str(out, cases[i].expected, "as repr() writes it");
	}
}

static void
test_ints(void)
{
	static const struct {
		const char *text;
		enum python_int kind;
		int64_t value;
	} cases[] = {
		{"0", PYTHON_INT, 0}, {" 12 ", PYTHON_INT, 12}, {"-3", PYTHON_INT, -3}, {"+8", PYTHON_INT, 8}, {"0001", PYTHON_INT, 1},
		{"999999999999999999", PYTHON_INT, INT64_C(999999999999999999)},
		{"99999999999999999999999999", PYTHON_INT_HIGH, 0}, {"-99999999999999999999999999", PYTHON_INT_LOW, 0},
		{"", PYTHON_INT_BAD, 0}, {"-", PYTHON_INT_BAD, 0}, {"1.0", PYTHON_INT_BAD, 0}, {"1e3", PYTHON_INT_BAD, 0},
		{"0x10", PYTHON_INT_BAD, 0}, {"1 2", PYTHON_INT_BAD, 0}, {"--1", PYTHON_INT_BAD, 0},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t value = 0;

		is_int(python_int(arena, cases[i].text, &value), cases[i].kind, cases[i].text);
		is_int(value, cases[i].value, "and its value");
	}
}

static void
test_times(void)
{
	static const struct {
		const char *text;
		bool dates;
		const char *expected; /* NULL: refused */
	} cases[] = {
		{"2020-01-05T00:00:00Z", false, "2020-01-05T00:00:00Z"},
		{"2020-01-05 00:00", false, "2020-01-05T00:00:00Z"},
		{"2020-01-05T00:00:00.5Z", false, "2020-01-05T00:00:00.500000Z"},
		{"2020-01-05T00:00:00.1234567", false, "2020-01-05T00:00:00.123456Z"},
		{"2020-01-05T00:00:00+02:00", false, "2020-01-04T22:00:00Z"},
		{"2020-01-05T00:00:00+0200", false, "2020-01-04T22:00:00Z"},
		{"2020-01-05T00:00:00-02", false, "2020-01-05T02:00:00Z"},
		{"2020-1-5T1:2:3Z", false, "2020-01-05T01:02:03Z"},
		{"2020-02-29T00:00Z", false, "2020-02-29T00:00:00Z"},
		{"2020-01-05", true, "2020-01-05T00:00:00Z"},
		{"01/05/2020", true, "2020-01-05T00:00:00Z"},
		{"01/05/20 10:30", true, "2020-01-05T10:30:00Z"},
		{"2020-01-05", false, NULL},
		{"01/05/2020", false, NULL},
		{"", true, NULL},
		{"garbage", true, NULL},
		{"2020-01-05T", false, NULL},
		{"2020-01-05T00Z", false, NULL},
		{"2020-01-05T00:00:00 02:00", false, NULL},
		{"2020-01-05T00:00:00z", false, NULL},
		{"2020-01-05T24:00:00Z", false, NULL},
		{"2020-01-05T00:60:00Z", false, NULL},
		{"2020-01-05T00:00:60Z", false, NULL},
		{"2020-01-05T00:00:00+25:00", false, NULL},
		{"2020-13-01T00:00:00Z", false, NULL},
		{"2020-02-30T00:00:00Z", false, NULL},
		{"2019-02-29T00:00:00Z", false, NULL},
		{"0000-01-01T00:00:00Z", false, NULL},
		{"20200105T000000Z", false, NULL},
		{"1578182400", false, NULL},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char out[CLOCK_TEXT_SIZE];
		int64_t us;
		bool read = filter_parse_time(cases[i].text, cases[i].dates, &us) == 0;

		if (read)
			clock_format(us, out);
		is_str(read ? out : NULL, cases[i].expected, cases[i].text);
	}
}

int
main(void)
{
	arena = arena_create(1 << 20);
	test_strip();
	test_floats();
	test_ints();
	test_times();
	arena_free(arena);
	return tap_done();
}
