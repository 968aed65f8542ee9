#include "domain/cron.h"

#include "base/clock.h"
#include "domain/zone.h"

#include "tap.h"

#include <stdlib.h>
#include <time.h>

static int64_t at(int year, int month, int day, int hour, int minute)
{
	return clock_days_from_civil(year, month, day) * 1440 + hour * 60 + minute;
}

static const char *show(int64_t minute)
{
	static char out[4][CLOCK_TEXT_SIZE];
	static int turn;

	turn = (turn + 1) % 4;
	if (minute == CRON_NEVER)
		return "never";
	clock_format(cron_minute_us(minute), out[turn]);
	return out[turn];
}

static void is_time(int64_t got, int64_t expected, const char *name)
{
	is_str(show(got), show(expected), name);
}

static struct cron parse(const char *minute, const char *hour, const char *dow, const char *dom, const char *month, const char *zone)
{
	const char *texts[CRON_FIELD_MAX] = {minute, hour, dow, dom, month};
	enum cron_field bad;
	char error[CRON_ERROR_SIZE];
	struct cron cron = {0};

	if (cron_parse(texts, zone, &cron, &bad, error)) {
		printf("Bail out! %s: %s\n", zone, error);
		exit(1);
	}
	return cron;
}

static void test_fields(void)
{
	static const struct {
		enum cron_field field;
		const char *text;
		uint64_t bits; /* 0: refused */
	} rows[] = {
	    {CRON_MINUTE, "*", (UINT64_C(1) << 60) - 1},
	    {CRON_MINUTE, "0", 1},
	    {CRON_MINUTE, "05", 32},
	    {CRON_MINUTE, "59", UINT64_C(1) << 59},
	    {CRON_MINUTE, " 1 , 3,5 ", 0x2a},
	    {CRON_MINUTE, "1,1,1", 2},
	    {CRON_MINUTE, "*/15", UINT64_C(1) | UINT64_C(1) << 15 | UINT64_C(1) << 30 | UINT64_C(1) << 45},
	    {CRON_MINUTE, "10-14/2,0", 0x5401},
	    {CRON_MINUTE, "1 - 3", 0xe},
	    {CRON_MINUTE, "* / 30", UINT64_C(1) | UINT64_C(1) << 30},
	    {CRON_MINUTE, "*,5", (UINT64_C(1) << 60) - 1},
	    {CRON_MINUTE, "7-7", 0x80},
	    {CRON_HOUR, "23", 1 << 23},
	    {CRON_HOUR, "6, 7", 0xc0},
	    {CRON_DAY_OF_WEEK, "*", 0x7f},
	    {CRON_DAY_OF_WEEK, "0", 1},
	    {CRON_DAY_OF_WEEK, "7", 1},
	    {CRON_DAY_OF_WEEK, "1-5", 0x3e},
	    {CRON_DAY_OF_WEEK, "6-7", 0x41},
	    {CRON_DAY_OF_WEEK, "0-7", 0x7f},
	    {CRON_DAY_OF_WEEK, "1-7/2", 0x2b},
	    {CRON_DAY_OF_WEEK, "*/2", 0x55},
	    {CRON_DAY_OF_MONTH, "1-31/2", UINT64_C(0xaaaaaaaa)},
	    {CRON_DAY_OF_MONTH, "*", UINT64_C(0xfffffffe)},
	    {CRON_MONTH_OF_YEAR, "*/3", 0x492},
	    {CRON_MONTH_OF_YEAR, "12", 0x1000},
	    {CRON_MINUTE, "", 0},
	    {CRON_MINUTE, "  ", 0},
	    {CRON_MINUTE, "60", 0},
	    {CRON_MINUTE, "-1", 0},
	    {CRON_MINUTE, "banana", 0},
	    {CRON_MINUTE, "1.5", 0},
	    {CRON_MINUTE, "1e1", 0},
	    {CRON_MINUTE, "0x10", 0},
	    {CRON_MINUTE, "+5", 0},
	    {CRON_MINUTE, "1000.0", 0},
	    {CRON_MINUTE, "é*", 0},
	    {CRON_MINUTE, "1,", 0},
	    {CRON_MINUTE, ",1", 0},
	    {CRON_MINUTE, "1,,2", 0},
	    {CRON_MINUTE, "**", 0},
	    {CRON_MINUTE, "*5", 0},
	    {CRON_MINUTE, "1 5", 0},
	    {CRON_MINUTE, "5-1", 0},
	    {CRON_MINUTE, "5-", 0},
	    {CRON_MINUTE, "5-60", 0},
	    {CRON_MINUTE, "1-2-3", 0},
	    {CRON_MINUTE, "5/10", 0},
	    {CRON_MINUTE, "*/0", 0},
	    {CRON_MINUTE, "*/", 0},
	    {CRON_MINUTE, "*/-1", 0},
	    {CRON_MINUTE, "*/60", 0},
	    {CRON_MINUTE, "*/5/5", 0},
	    {CRON_MINUTE, "123456789012345678901234567890", 0},
	    {CRON_MINUTE, "4294967296", 0},
	    {CRON_MINUTE, "18446744073709551617", 0},
	    {CRON_MINUTE, "1111111111111111111111111111111111111111111111111111111111111111", 0},
	    {CRON_HOUR, "24", 0},
	    {CRON_HOUR, "99", 0},
	    {CRON_DAY_OF_WEEK, "8", 0},
	    {CRON_DAY_OF_WEEK, "mon", 0},
	    {CRON_DAY_OF_WEEK, "5L", 0},
	    {CRON_DAY_OF_WEEK, "6-1", 0},
	    {CRON_DAY_OF_WEEK, "2#1", 0},
	    {CRON_DAY_OF_MONTH, "0", 0},
	    {CRON_DAY_OF_MONTH, "32", 0},
	    {CRON_DAY_OF_MONTH, "L", 0},
	    {CRON_DAY_OF_MONTH, "15W", 0},
	    {CRON_DAY_OF_MONTH, "?", 0},
	    {CRON_MONTH_OF_YEAR, "0", 0},
	    {CRON_MONTH_OF_YEAR, "13", 0},
	    {CRON_MONTH_OF_YEAR, "jan", 0},
	};
	char name[160], error[CRON_ERROR_SIZE];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t bits = 0;
		int expected = rows[i].bits ? 0 : -1;

		snprintf(name, sizeof name, "%s \"%s\"", cron_field_names[rows[i].field], rows[i].text);
		*error = 0;
		is_int(cron_parse_field(rows[i].field, rows[i].text, &bits, error), expected, name);
		is_int((int64_t)bits, (int64_t)rows[i].bits, name);
		if (expected)
			ok(strstr(error, cron_field_names[rows[i].field]) && strstr(error, "Allowed for"), error);
	}
	is_int(cron_parse_field(CRON_HOUR, "5", NULL, error), 0, "bits may be NULL");
}

static void test_whole(void)
{
	static const struct {
		const char *texts[CRON_FIELD_MAX];
		const char *zone;
		int expected; /* enum cron_field that is bad; -1 when it is fine */
	} rows[] = {
	    {{"0", "6", "1,3,5", "*", "*"}, NULL, -1},
	    {{"0", "6", "*", "29", "2"}, "UTC", -1},
	    {{"0", "6", "*", "30", "2"}, "UTC", CRON_DAY_OF_MONTH},
	    {{"0", "6", "*", "31", "2,4,6,9,11"}, "UTC", CRON_DAY_OF_MONTH},
	    {{"0", "6", "*", "31", "2,4,6,9,10"}, "UTC", -1},
	    {{"0", "6", "1", "31", "2"}, "UTC", -1},
	    {{"0", "24", "*", "31", "2"}, "UTC", CRON_HOUR},
	    {{"0", "6", "x", "*", "*"}, "UTC", CRON_DAY_OF_WEEK},
	    {{"0", "6", "*", "*", "*"}, "Africa/Johannesburg", -1},
	    {{"0", "6", "*", "*", "*"}, "America/Argentina/Buenos_Aires", -1},
	    {{"0", "6", "*", "*", "*"}, "Etc/GMT+5", -1},
	    {{"0", "6", "*", "*", "*"}, "", CRON_FIELD_MAX},
	    {{"0", "6", "*", "*", "*"}, "Mars/Base", CRON_FIELD_MAX},
	    {{"0", "6", "*", "*", "*"}, "africa/johannesburg", CRON_FIELD_MAX},
	    {{"0", "6", "*", "*", "*"}, "../zoneinfo/UTC", CRON_FIELD_MAX},
	    {{"0", "6", "*", "*", "*"}, "Africa/../UTC", CRON_FIELD_MAX},
	    {{"0", "6", "*", "*", "*"}, "/usr/share/zoneinfo/UTC", CRON_FIELD_MAX},
	    {{"0", "6", "*", "*", "*"}, "Africa", CRON_FIELD_MAX},
	    {{"0", "6", "*", "*", "*"}, "Africa/", CRON_FIELD_MAX},
	    {{"0", "6", "*", "*", "*"}, "Africa//Cairo", CRON_FIELD_MAX},
	    {{"0", "6", "*", "*", "*"}, "zone.tab", CRON_FIELD_MAX},
	    {{"0", "6", "*", "*", "*"}, "tzdata.zi", CRON_FIELD_MAX},
	    {{"0", "6", "*", "*", "*"}, "right/UTC", CRON_FIELD_MAX},
	    {{"0", "6", "*", "*", "*"}, "posixrules", CRON_FIELD_MAX},
	    {{"0", "6", "*", "*", "*"}, "UTC\n", CRON_FIELD_MAX},
	    {{"0", "6", "*", "*", "*"}, "Europe/Zürich", CRON_FIELD_MAX},
	};
	char name[160];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char error[CRON_ERROR_SIZE] = "";
		enum cron_field bad = 0;
		struct cron cron;
		const char *const *t = rows[i].texts;
		int refused = cron_parse(t, rows[i].zone, &cron, &bad, error);

		snprintf(name, sizeof name, "schedule %s %s %s %s %s in %s: %s", t[0], t[1], t[2], t[3], t[4], rows[i].zone, error);
		is_int(refused ? (int)bad : -1, rows[i].expected, name);
	}
	{
		const char *texts[CRON_FIELD_MAX] = {"1", " 6 ", "1, 3,5", "*", "*"};
		struct buf out;

		buf_init(&out, 512);
		cron_put_definition(texts, &out);
		is_str(buf_text(&out), "1 6 * * 1,3,5", "definition for the external scheduler");
		buf_fini(&out);
	}
}

static void test_days(void)
{
	struct cron either = parse("0", "0", "5", "13", "*", NULL), both_week = parse("0", "0", "5", "*", "*", NULL);
	struct cron leap = parse("30", "12", "*", "29", "2", NULL), full_month = parse("0", "0", "1", "1-31", "*", NULL);
	struct cron month = parse("0", "0", "1", "*", "6", NULL);

	/* 2026-11-13 is a Friday. */
	ok(cron_matches_day(&either, clock_days_from_civil(2026, 11, 13)), "Friday the 13th");
	ok(cron_matches_day(&either, clock_days_from_civil(2026, 11, 20)), "a Friday, not the 13th");
	ok(cron_matches_day(&either, clock_days_from_civil(2026, 12, 13)), "the 13th, a Sunday");
	ok(!cron_matches_day(&either, clock_days_from_civil(2026, 12, 14)), "neither");
	ok(!cron_matches_day(&both_week, clock_days_from_civil(2026, 12, 13)), "day_of_month * does not match by itself");
	ok(!cron_matches_day(&full_month, clock_days_from_civil(2026, 12, 13)), "1-31 is as good as *");
	ok(!cron_matches_day(&month, clock_days_from_civil(2026, 11, 23)), "a Monday in another month");
	is_time(cron_next(&leap, at(2026, 11, 23, 0, 0)), at(2028, 2, 29, 12, 30), "next leap day");
	is_time(cron_next(&leap, at(2096, 2, 29, 12, 30)), at(2104, 2, 29, 12, 30), "1900 rule: eight years");
	is_time(cron_previous(&leap, at(2104, 2, 29, 12, 29)), at(2096, 2, 29, 12, 30), "and back");
	is_time(cron_previous(&leap, at(2104, 2, 29, 12, 30)), at(2104, 2, 29, 12, 30), "previous includes its minute");
	is_time(cron_next(&leap, at(2104, 2, 29, 12, 29)), at(2104, 2, 29, 12, 30), "next is after its minute");
	is_time(cron_next(&month, at(1969, 12, 31, 23, 59)), at(1970, 6, 1, 0, 0), "around 1970");
	is_time(cron_previous(&month, at(1969, 7, 1, 0, 0)), at(1969, 6, 30, 0, 0), "before 1970");
}

static void test_clock_changes(void)
{
	struct cron london = parse("30", "1", "*", "*", "*", "Europe/London"), always = parse("*", "*", "*", "*", "*", "Europe/London");
	struct cron sydney = parse("30", "2", "*", "*", "*", "Australia/Sydney"), apia = parse("0", "8", "*", "*", "*", "Pacific/Apia");
	int64_t list[200];

	/* 2027-03-28 01:00 UTC: 01:00 to 02:00 do not exist. 2027-10-31 01:00 UTC: 01:00 to 02:00 come twice. */
	is_time(cron_next(&london, at(2027, 3, 27, 2, 0)), at(2027, 3, 28, 1, 0), "skipped: fires right after the gap");
	is_time(cron_next(&london, at(2027, 3, 28, 1, 0)), at(2027, 3, 29, 0, 30), "and not again");
	is_time(cron_next(&london, at(2027, 10, 30, 12, 0)), at(2027, 10, 31, 0, 30), "doubled: fires the first time");
	is_time(cron_next(&london, at(2027, 10, 31, 0, 30)), at(2027, 11, 1, 1, 30), "and not the second");
	is_time(cron_previous(&london, at(2027, 10, 31, 12, 0)), at(2027, 10, 31, 0, 30), "backwards over the doubled hour");
	is_time(cron_previous(&london, at(2027, 3, 28, 12, 0)), at(2027, 3, 28, 1, 0), "backwards over the gap");
	is_int((int64_t)cron_list(&always, at(2027, 3, 28, 0, 29), at(2027, 3, 28, 1, 30), list, 200), 61, "each minute around a gap: once each");
	is_int((int64_t)cron_list(&always, at(2027, 10, 31, 0, 29), at(2027, 10, 31, 2, 30), list, 200), 61, "each minute around a doubled hour: one hour");
	/* 2027-10-03 02:00 becomes 03:00 in Sydney (16:00 UTC the day before); 2027-04-04 03:00 becomes 02:00. */
	is_time(cron_next(&sydney, at(2027, 10, 2, 15, 0)), at(2027, 10, 2, 16, 0), "a gap in the southern spring");
	is_time(cron_next(&sydney, at(2027, 4, 3, 12, 0)), at(2027, 4, 3, 15, 30), "a doubled hour in the southern autumn");
	is_time(cron_next(&sydney, at(2027, 4, 3, 15, 30)), at(2027, 4, 4, 16, 30), "once");
	/* Samoa left out the 30th of December 2011. */
	is_time(cron_next(&apia, at(2011, 12, 29, 18, 0)), at(2011, 12, 30, 10, 0), "a day that was left out fires when it is over");
	is_time(cron_next(&apia, at(2011, 12, 30, 10, 0)), at(2011, 12, 30, 18, 0), "and the next one at its time");
	ok(cron_matches(&london, at(2027, 3, 28, 1, 0)), "the minute after the gap matches");
	ok(!cron_matches(&london, at(2027, 10, 31, 1, 30)), "the second of a doubled minute does not");
}

/* What follows is compared with the C library's calendar, asked minute by minute. */
static struct tm local_of(int64_t minute)
{
	time_t t = minute * 60;
	struct tm tm;

	localtime_r(&t, &tm);
	return tm;
}

static int64_t local_minute(const struct tm *tm)
{
	return at(tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday, tm->tm_hour, tm->tm_min);
}

static void use_zone(const char *name)
{
	setenv("TZ", name, 1);
	tzset();
}

static const char *const some_zones[] = {"UTC", "Africa/Johannesburg", "Europe/London", "Europe/Dublin", "America/New_York",
    "America/Sao_Paulo", "Australia/Sydney", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "Africa/Casablanca", "America/Nuuk",
    "Asia/Tehran", "Africa/Cairo", "Pacific/Chatham", "America/Santiago", "Asia/Gaza", "Antarctica/Troll", "Etc/GMT+5", "Africa/Monrovia"};

static void test_zone_offsets(void)
{
	for (size_t i = 0; i < sizeof some_zones / sizeof some_zones[0]; i++) {
		char error[CRON_ERROR_SIZE], name[160];
		const struct zone *zone = zone_find(some_zones[i], error, sizeof error);
		int64_t wrong = 0, first_wrong = 0;

		use_zone(some_zones[i]);
		/* Offsets of whole minutes everywhere since 1973. */
		for (int64_t t = at(1973, 1, 1, 0, 1); zone && t < at(2120, 1, 1, 0, 0); t += 1801) {
			struct tm tm = local_of(t);

			if (local_minute(&tm) != zone_local(zone, t) && wrong++ == 0)
				first_wrong = t;
		}
		snprintf(name, sizeof name, "offsets of %s from 1973 to 2120%s%s", some_zones[i], wrong ? ", wrong at " : "",
		    wrong ? show(first_wrong) : "");
		ok(zone && wrong == 0, name);
		ok(zone == zone_find(some_zones[i], error, sizeof error), "a zone is read once");
	}
}

struct case_row {
	const char *texts[CRON_FIELD_MAX];
	bool (*day)(const struct tm *);
	bool (*minute)(const struct tm *);
};

static bool any(const struct tm *tm) { return tm->tm_year > 0; }
static bool at_half_past_two(const struct tm *tm) { return tm->tm_hour == 2 && tm->tm_min == 30; }
static bool each_quarter_of_the_night(const struct tm *tm) { return tm->tm_hour <= 3 && tm->tm_min % 15 == 0; }
static bool midnight(const struct tm *tm) { return tm->tm_hour == 0 && tm->tm_min == 0; }
static bool mon_wed_sun(const struct tm *tm) { return tm->tm_wday == 1 || tm->tm_wday == 3 || tm->tm_wday == 0; }
static bool tenth_or_sunday_of_summer(const struct tm *tm)
{
	return (tm->tm_mon == 2 || tm->tm_mon == 9) && (tm->tm_mday == 10 || tm->tm_wday == 0);
}

static const struct case_row cases[] = {
    {{"*", "*", "*", "*", "*"}, any, any},
    {{"30", "2", "*", "*", "*"}, any, at_half_past_two},
    {{"*/15", "0-3", "1,3,7", "*", "*"}, mon_wed_sun, each_quarter_of_the_night},
    {{"0", "0", "0", "10", "3,10"}, tenth_or_sunday_of_summer, midnight},
};

/* A civil date and time as struct tm, without a zone. */
static struct tm civil(int64_t local)
{
	struct tm tm = {0};
	time_t t = local * 60;

	gmtime_r(&t, &tm);
	return tm;
}

/*
 * Local time by brute force: each local minute belongs to the first UTC minute that shows it, one that none
 * shows to the first UTC minute that shows a later one.
 */
struct calendar {
	int64_t from, until; /* of what is asked */
	int64_t base, n;     /* local minutes, with some days before and behind */
	int64_t *owner;      /* UTC minute of each */
};

static struct calendar make_calendar(int64_t from, int64_t until)
{
	const int64_t margin = 3 * 1440;
	struct calendar c = {from, until, from - margin, until - from + 2 * margin, NULL};

	c.owner = malloc((size_t)c.n * sizeof *c.owner);
	for (int64_t i = 0; i < c.n; i++)
		c.owner[i] = -1;
	for (int64_t t = from - margin; t < until + margin; t++) {
		struct tm tm = local_of(t);
		int64_t i = local_minute(&tm) - c.base;

		if (i >= 0 && i < c.n && c.owner[i] < 0)
			c.owner[i] = t;
	}
	for (int64_t i = c.n - 2; i >= 0; i--)
		if (c.owner[i] < 0)
			c.owner[i] = c.owner[i + 1];
	return c;
}

static size_t brute_force(const struct case_row *row, const struct calendar *c, unsigned char *fires)
{
	size_t count = 0;

	memset(fires, 0, (size_t)(c->until - c->from));
	for (int64_t i = 0; i < c->n; i++) {
		struct tm tm;

		if (c->owner[i] < c->from || c->owner[i] >= c->until)
			continue;
		tm = civil(c->base + i);
		if (row->day(&tm) && row->minute(&tm))
			fires[c->owner[i] - c->from] = 1;
	}
	for (int64_t i = 0; i < c->until - c->from; i++)
		count += fires[i];
	return count;
}

static bool same_as_next(const struct cron *cron, const unsigned char *fires, int64_t from, int64_t until)
{
	int64_t t = from - 1;

	while ((t = cron_next(cron, t)) < until) {
		if (!fires[t - from])
			return false;
	}
	return true;
}

static bool same_as_previous(const struct cron *cron, const unsigned char *fires, int64_t from, int64_t until)
{
	int64_t expected = CRON_NEVER;

	for (int64_t t = from; t < until; t++) {
		if (fires[t - from])
			expected = t;
		/* Each minute is dear; around each firing and now and then is enough. */
		if (expected != CRON_NEVER && (fires[t - from] || t % 97 == 0) && cron_previous(cron, t) != expected)
			return false;
	}
	return true;
}

static bool same_as_counts(const struct firings *firings, const unsigned char *fires, int64_t from, int64_t until)
{
	int64_t count = 0, half = 0, middle = from + (until - from) / 2;

	for (int64_t t = from; t < until; t++) {
		count += fires[t - from];
		half += t > middle && fires[t - from];
		if (fires[t - from] && firings_nth(firings, from - 1, count) != t)
			return false;
		if (fires[t - from] && t > middle && firings_nth(firings, middle, half) != t)
			return false;
		if ((fires[t - from] || t % 97 == 0) && firings_count(firings, from - 1, t) != count)
			return false;
		if (t % 97 == 0 && firings_count(firings, middle, t) != half)
			return false;
	}
	return firings_nth(firings, from - 1, count + 1) == CRON_NEVER && firings_count(firings, until, from) == 0;
}

static void test_against_brute_force(const char *zone, int year)
{
	int64_t from = at(year, 1, 1, 0, 0), until = at(year + 1, 1, 1, 0, 0);
	unsigned char *fires = malloc((size_t)(until - from));
	int64_t *list = malloc((size_t)(until - from) * sizeof *list);

	struct calendar calendar;

	use_zone(zone);
	calendar = make_calendar(from, until);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const char *const *t = cases[i].texts;
		struct cron cron = parse(t[0], t[1], t[2], t[3], t[4], zone);
		struct firings *firings = firings_create(&cron, from - 1, until - 1);
		size_t expected = brute_force(&cases[i], &calendar, fires);
		char name[160];

		snprintf(name, sizeof name, "%s %d, %s %s %s %s %s", zone, year, t[0], t[1], t[2], t[3], t[4]);
		is_int((int64_t)cron_list(&cron, from - 1, until - 1, list, (size_t)(until - from)), (int64_t)expected, name);
		ok(same_as_next(&cron, fires, from, until), "next");
		ok(same_as_previous(&cron, fires, from, until), "previous");
		ok(same_as_counts(firings, fires, from, until), "counts and n-th");
		firings_free(firings);
	}
	free(calendar.owner);
	free(fires);
	free(list);
}

int main(void)
{
	test_fields();
	test_whole();
	test_days();
	test_clock_changes();
	test_zone_offsets();
	test_against_brute_force("UTC", 2028);
	test_against_brute_force("Europe/London", 2026);
	test_against_brute_force("America/New_York", 2100);
	test_against_brute_force("Australia/Lord_Howe", 2027);
	test_against_brute_force("Pacific/Apia", 2011);
	test_against_brute_force("Africa/Casablanca", 2026);
	is_int(cron_minute(-1), -1, "a microsecond before 1970");
	is_int(cron_minute(59999999), 0, "the last microsecond of a minute");
	is_int(cron_minute_us(3), INT64_C(180000000), "and back");
	return tap_done();
}
