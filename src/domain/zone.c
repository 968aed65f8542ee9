#include "domain/zone.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ZONE_DIR "/usr/share/zoneinfo"
#define ZONE_NAME_MAX 64
#define ZONE_FILE_MAX 65536
#define ZONE_LAST_YEAR 2400
#define MINUTES_OF_DAY 1440

/* A zone that every time zone database has. */
#define ZONE_PROBE ZONE_DIR "/Africa/Johannesburg"

static struct zone *zones;

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* The spans of a zone while they are read; offsets and times in seconds as the file has them. */
struct spans {
	struct zone_span *list;
	size_t count, size;
};

static void *must(void *memory)
{
	if (!memory)
		log_fatal("out of memory");
	return memory;
}

/* Adds what holds from a UTC second on; a second rule for the same minute takes the place of the first. */
static void spans_add(struct spans *spans, int64_t second, int64_t offset_seconds)
{
	/* The first whole minute at or after it: local time stands still or jumps within a minute at no other cost. */
	int64_t start = second == INT64_MIN ? INT64_MIN : -floor_div(-second, 60);
	int64_t offset = floor_div(offset_seconds, 60);
	struct zone_span *last = spans->count ? &spans->list[spans->count - 1] : NULL;

	if (last && start <= last->start) {
		last->offset = offset;
		return;
	}
	if (last && last->offset == offset)
		return;
	if (spans->count == spans->size) {
		spans->size = spans->size ? spans->size * 2 : 64;
		spans->list = must(realloc(spans->list, spans->size * sizeof *spans->list));
	}
	spans->list[spans->count++] = (struct zone_span){.start = start, .offset = offset};
}

static void spans_find_high(struct spans *spans)
{
	spans->list[0].high = INT64_MIN;
	for (size_t i = 1; i < spans->count; i++) {
		struct zone_span *before = &spans->list[i - 1], *span = &spans->list[i];
		int64_t end = span->start - 1 + before->offset;

		span->high = before->high > end ? before->high : end;
	}
}

/* The TZ text at the end of the file (POSIX, with the extensions of RFC 8536, 3.3.1). */
struct rule_date {
	char form;  /* 'M' month.week.day, 'J' day 1..365 without 29 February, 'n' day 0..365 */
	int month, week, day;
	int64_t time; /* seconds after local midnight; may be negative, or beyond a day */
};

struct rule {
	int64_t standard, daylight; /* seconds east of UTC */
	bool has_daylight;
	struct rule_date begin, end;
};

static int read_number(const char **text, int max, int *out)
{
	int n = 0, digits = 0;

	for (; isdigit((unsigned char)**text) && digits < 4; (*text)++, digits++)
		n = n * 10 + (**text - '0');
	*out = n;
	return digits > 0 && n <= max ? 0 : -1;
}

static int read_name(const char **text)
{
	const char *s = *text;

	if (*s == '<') {
		s += strcspn(s, ">");
		if (!*s)
			return -1;
		s++;
	} else {
		while (isalpha((unsigned char)*s))
			s++;
	}
	if (s - *text < 3)
		return -1;
	*text = s;
	return 0;
}

/* [+-]hh[:mm[:ss]] */
static int read_time(const char **text, int64_t *seconds)
{
	int sign = **text == '-' ? -1 : 1, part[3] = {0};

	if (**text == '-' || **text == '+')
		(*text)++;
	if (read_number(text, 167, &part[0]))
		return -1;
	for (int i = 1; i < 3 && **text == ':'; i++) {
		(*text)++;
		if (read_number(text, 59, &part[i]))
			return -1;
	}
	*seconds = sign * (part[0] * INT64_C(3600) + part[1] * 60 + part[2]);
	return 0;
}

static int read_month_week_day(const char **text, struct rule_date *date)
{
	if (read_number(text, 12, &date->month) || date->month < 1 || *(*text)++ != '.')
		return -1;
	if (read_number(text, 5, &date->week) || date->week < 1 || *(*text)++ != '.')
		return -1;
	return read_number(text, 6, &date->day);
}

static int read_date(const char **text, struct rule_date *date)
{
	date->time = 7200;
	date->form = **text == 'M' || **text == 'J' ? *(*text)++ : 'n';
	if (date->form == 'M' ? read_month_week_day(text, date) : read_number(text, 365, &date->day))
		return -1;
	if (**text != '/')
		return 0;
	(*text)++;
	return read_time(text, &date->time);
}

static int read_rule(const char *text, struct rule *rule)
{
	*rule = (struct rule){0};
	if (read_name(&text) || read_time(&text, &rule->standard))
		return -1;
	rule->standard = -rule->standard;
	if (!*text)
		return 0;
	rule->has_daylight = true;
	rule->daylight = rule->standard + 3600;
	if (read_name(&text))
		return -1;
	if (*text && *text != ',') {
		if (read_time(&text, &rule->daylight))
			return -1;
		rule->daylight = -rule->daylight;
	}
	if (*text++ != ',' || read_date(&text, &rule->begin) || *text++ != ',' || read_date(&text, &rule->end))
		return -1;
	return *text ? -1 : 0;
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* The day (since 1970) that a rule names in a year. */
static int64_t rule_day(const struct rule_date *date, int year)
{
	int64_t first, day, next;

	if (date->form == 'J')
		return clock_days_from_civil(year, 1, 1) + date->day - 1 + (is_leap(year) && date->day >= 60);
	if (date->form == 'n')
		return clock_days_from_civil(year, 1, 1) + date->day;
	first = clock_days_from_civil(year, date->month, 1);
	next = date->month == 12 ? clock_days_from_civil(year + 1, 1, 1) : clock_days_from_civil(year, date->month + 1, 1);
	/* 1970-01-01 was a Thursday. */
	day = first + (date->day - (first + 4) % 7 + 7) % 7 + (date->week - 1) * 7;
	return day >= next ? day - 7 : day;
}

/* Lays out the rule from the second after `after` on. */
static void spans_add_rule(struct spans *spans, const struct rule *rule, int64_t after)
{
	int year = 1970, month, day;

	if (!rule->has_daylight) {
		if (after == INT64_MIN)
			spans_add(spans, INT64_MIN, rule->standard);
		return;
	}
	if (after > INT64_MIN)
		clock_civil_from_days(floor_div(after, 86400), &year, &month, &day);
	for (year--; year <= ZONE_LAST_YEAR; year++) {
		int64_t begin = rule_day(&rule->begin, year) * 86400 + rule->begin.time - rule->standard;
		int64_t end = rule_day(&rule->end, year) * 86400 + rule->end.time - rule->daylight;
		bool south = end < begin;

		if (south && end > after)
			spans_add(spans, end, rule->standard);
		if (begin > after)
			spans_add(spans, begin, rule->daylight);
		if (!south && end > after)
			spans_add(spans, end, rule->standard);
	}
}

/* The file's bytes, read from the front. */
struct reader {
	const unsigned char *at, *end;
};

static const unsigned char *take(struct reader *reader, size_t n)
{
	const unsigned char *at = reader->at;

	if ((size_t)(reader->end - reader->at) < n)
		return NULL;
	reader->at += n;
	return at;
}

static int64_t big_endian(const unsigned char *bytes, int n)
{
	uint64_t value = bytes[0] & 0x80 ? UINT64_MAX : 0;

	for (int i = 0; i < n; i++)
		value = value << 8 | bytes[i];
	return (int64_t)value;
}

struct header {
	int version;
	size_t isut, isstd, leap, times, types, chars;
};

static int read_header(struct reader *reader, struct header *out)
{
	const unsigned char *h = take(reader, 44);
	size_t counts[6];

	if (!h || memcmp(h, "TZif", 4))
		return -1;
	for (int i = 0; i < 6; i++) {
		int64_t n = big_endian(h + 20 + 4 * i, 4);

		if (n < 0 || n > ZONE_FILE_MAX)
			return -1;
		counts[i] = (size_t)n;
	}
	*out = (struct header){h[4], counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]};
	return 0;
}

/* The data block with 64-bit times. Leap seconds are for clocks that are not ours. */
static int read_spans(struct reader *reader, const struct header *h, struct spans *spans, int64_t *last)
{
	const unsigned char *times = take(reader, h->times * 8), *kinds = take(reader, h->times), *types = take(reader, h->types * 6);

	if (!times || !kinds || !types || h->types == 0 || h->leap != 0 || !take(reader, h->chars + h->isstd + h->isut))
		return -1;
	*last = INT64_MIN;
	spans_add(spans, INT64_MIN, big_endian(types, 4));
	for (size_t i = 0; i < h->times; i++) {
		int64_t time = big_endian(times + 8 * i, 8), offset;

		/* Before the year 1 stands only the marker that some writers put for "always". */
		if (kinds[i] >= h->types || time <= *last)
			return -1;
		offset = big_endian(types + 6 * kinds[i], 4);
		if (offset < -93600 || offset > 93600)
			return -1;
		spans_add(spans, time < -62135596800 ? INT64_MIN : time, offset);
		*last = time;
	}
	return 0;
}

static int read_footer(struct reader *reader, struct spans *spans, int64_t last)
{
	char text[256];
	const unsigned char *begin = take(reader, 1);
	size_t n = (size_t)(reader->end - reader->at);
	struct rule rule;

	if (!begin || *begin != '\n' || n < 1 || n > sizeof text || reader->at[n - 1] != '\n')
		return -1;
	memcpy(text, reader->at, n - 1);
	text[n - 1] = 0;
	if (!*text)
		return 0;
	if (read_rule(text, &rule))
		return -1;
	spans_add_rule(spans, &rule, last);
	return 0;
}

static int read_tzif(const unsigned char *data, size_t n, struct spans *spans)
{
	struct reader reader = {data, data + n};
	struct header h;
	int64_t last;

	if (read_header(&reader, &h) || h.version < '2')
		return -1;
	if (!take(&reader, h.times * 5 + h.types * 6 + h.chars + h.leap * 8 + h.isstd + h.isut))
		return -1;
	if (read_header(&reader, &h) || read_spans(&reader, &h, spans, &last) || read_footer(&reader, spans, last))
		return -1;
	return 0;
}

static struct zone *zone_keep(const char *name, struct spans *spans)
{
	struct zone *zone = must(malloc(sizeof *zone));

	spans_find_high(spans);
	*zone = (struct zone){must(strdup(name)), spans->list, spans->count, zones};
	return zones = zone;
}

static bool name_is_sane(const char *name)
{
	size_t n = strlen(name);
	bool begins = true;

	if (n > ZONE_NAME_MAX || !strncmp(name, "right/", 6) || !strncmp(name, "posix/", 6) || !strcmp(name, "localtime") ||
	    !strcmp(name, "posixrules"))
		return false;
	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (begins ? !isalnum(c) : !isalnum(c) && !strchr("/_+-", c))
			return false;
		begins = c == '/';
	}
	return !begins;
}

static struct zone *zone_read(const char *name)
{
	static unsigned char data[ZONE_FILE_MAX];
	char path[sizeof ZONE_DIR + ZONE_NAME_MAX + 2];
	struct spans spans = {0};
	FILE *file;
	size_t n;

	snprintf(path, sizeof path, ZONE_DIR "/%s", name);
	file = fopen(path, "rbe");
	if (!file) {
		if (errno != ENOENT && errno != ENOTDIR)
			log_warn("could not open time zone file", log_str("path", path), log_errno());
		return NULL;
	}
	n = fread(data, 1, sizeof data, file);
	fclose(file);
	if (n < sizeof data && read_tzif(data, n, &spans) == 0)
		return zone_keep(name, &spans);
	free(spans.list);
	return NULL;
}

const struct zone *zone_find(const char *name, char *error, size_t error_size)
{
	struct zone *zone = NULL;

	if (name_is_sane(name)) {
		for (zone = zones; zone; zone = zone->next)
			if (!strcmp(zone->name, name))
				return zone;
		zone = zone_read(name);
	}
	if (!zone && !strcmp(name, "UTC")) {
		struct spans spans = {0};

		spans_add(&spans, INT64_MIN, 0);
		zone = zone_keep(name, &spans);
	}
	if (!zone)
		snprintf(error, error_size, "This is no time zone: use a name of the IANA database, such as Africa/Johannesburg or UTC.");
	return zone;
}

const struct zone_span *zone_span_at(const struct zone *zone, int64_t minute)
{
	size_t low = 0, high = zone->count;

	SBM_ASSERT(zone->count > 0);
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (zone->spans[middle].start <= minute)
			low = middle;
		else
			high = middle;
	}
	return &zone->spans[low];
}

int64_t zone_local(const struct zone *zone, int64_t minute)
{
	return minute + zone_span_at(zone, minute)->offset;
}

void zone_check(void)
{
	if (access(ZONE_PROBE, R_OK))
		log_warn("there is no time zone database; schedules can be in UTC only, and those in another zone never fire; install the package tzdata",
			log_str("directory", ZONE_DIR));
}
