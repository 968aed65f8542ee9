#include "domain/cron.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "domain/zone.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MINUTES 1440
/* 29 February is eight years from the next one around 2100. */
#define HORIZON_DAYS (12 * 366)

const char *const cron_field_names[CRON_FIELD_MAX] = {"minute", "hour", "day_of_week", "day_of_month", "month_of_year"};

static const struct {
	int min, max;
	const char *example;
} fields[CRON_FIELD_MAX] = {
    [CRON_MINUTE] = {0, 59, "ranges (10-20) and steps (*/15, 0-30/5)"},
    [CRON_HOUR] = {0, 23, "ranges (8-17) and steps (*/6, 8-16/2)"},
    [CRON_DAY_OF_WEEK] = {0, 7, "(1 is Monday, 7 and 0 are Sunday), ranges (1-5) and steps (1-7/2)"},
    [CRON_DAY_OF_MONTH] = {1, 31, "ranges (1-7) and steps (*/10, 1-31/2)"},
    [CRON_MONTH_OF_YEAR] = {1, 12, "ranges (1-6) and steps (*/3)"},
};

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t minute_of_day(int64_t local)
{
	return local - floor_div(local, DAY_MINUTES) * DAY_MINUTES;
}

static int refuse(enum cron_field field, const char *reason, char error[CRON_ERROR_SIZE])
{
	snprintf(error, CRON_ERROR_SIZE, "%s. Allowed for %s: *, numbers from %d to %d, %s, separated by commas.", reason,
	    cron_field_names[field], fields[field].min, fields[field].max, fields[field].example);
	return -1;
}

/* Copies without white space. NULL, or what is wrong with it. */
static const char *squeeze(const char *text, char *out, size_t size)
{
	size_t n = 0;
	bool blank = false;

	for (; *text; text++) {
		if (isspace((unsigned char)*text)) {
			blank = true;
			continue;
		}
		if (blank && n > 0 && isdigit((unsigned char)out[n - 1]) && isdigit((unsigned char)*text))
			return "Two numbers need a comma between them";
		if (n + 1 == size)
			return "This is too long";
		blank = false;
		out[n++] = *text;
	}
	out[n] = 0;
	return n ? NULL : "This is empty";
}

static int read_number(const char **text, int *out)
{
	int n = 0;

	if (!isdigit((unsigned char)**text))
		return -1;
	for (; isdigit((unsigned char)**text); (*text)++)
		n = n > 999 ? n : n * 10 + (**text - '0');
	*out = n;
	return 0;
}

/* One item of a list: *, N, N-M, with /STEP behind all but N. NULL, or what is wrong with it. */
static const char *read_item(enum cron_field field, const char **text, uint64_t *bits)
{
	int low = fields[field].min, high = field == CRON_DAY_OF_WEEK ? 6 : fields[field].max, step = 1;
	bool single = false;

	if (**text == '*') {
		(*text)++;
	} else {
		if (read_number(text, &low))
			return "This cannot be read";
		single = **text != '-';
		high = low;
		if (!single && ((*text)++, read_number(text, &high)))
			return "A range needs a number at its end";
		if (low < fields[field].min || high > fields[field].max)
			return "A number is out of range";
		if (high < low)
			return "A range begins with its lower end";
	}
	if (**text == '/') {
		(*text)++;
		if (single)
			return "A step needs * or a range before it";
		if (read_number(text, &step) || step < 1 || step > fields[field].max)
			return "A step is a number from 1 to the largest that is allowed";
	}
	for (int i = low; i <= high; i += step)
		*bits |= UINT64_C(1) << (field == CRON_DAY_OF_WEEK ? i % 7 : i);
	return NULL;
}

int cron_parse_field(enum cron_field field, const char *text, uint64_t *bits, char error[CRON_ERROR_SIZE])
{
	char squeezed[256];
	const char *s = squeezed, *wrong = squeeze(text, squeezed, sizeof squeezed);
	uint64_t values = 0;

	for (bool more = !wrong; more; s += more) {
		wrong = read_item(field, &s, &values);
		more = !wrong && *s == ',';
	}
	if (!wrong && *s)
		wrong = "This cannot be read";
	if (wrong)
		return refuse(field, wrong, error);
	if (bits)
		*bits = values;
	return 0;
}

int cron_parse(const char *const texts[CRON_FIELD_MAX], const char *timezone, struct cron *out, enum cron_field *bad,
    char error[CRON_ERROR_SIZE])
{
	uint64_t bits[CRON_FIELD_MAX];
	enum cron_field field;

	for (field = 0; field < CRON_FIELD_MAX; field++) {
		*bad = field;
		if (cron_parse_field(field, texts[field], &bits[field], error))
			return -1;
	}
	*bad = CRON_FIELD_MAX;
	out->zone = zone_find(timezone ? timezone : "UTC", error, CRON_ERROR_SIZE);
	if (!out->zone)
		return -1;
	out->minute = bits[CRON_MINUTE];
	out->hour = (uint32_t)bits[CRON_HOUR];
	out->day_of_week = (uint8_t)bits[CRON_DAY_OF_WEEK];
	out->day_of_month = (uint32_t)bits[CRON_DAY_OF_MONTH];
	out->month = (uint16_t)bits[CRON_MONTH_OF_YEAR];
	if (cron_next(out, 0) == CRON_NEVER) {
		*bad = CRON_DAY_OF_MONTH;
		snprintf(error, CRON_ERROR_SIZE, "No month of month_of_year has such a day, so that the schedule would never fire.");
		return -1;
	}
	return 0;
}

void cron_put_definition(const char *const texts[CRON_FIELD_MAX], struct buf *out)
{
	static const enum cron_field order[] = {CRON_MINUTE, CRON_HOUR, CRON_DAY_OF_MONTH, CRON_MONTH_OF_YEAR, CRON_DAY_OF_WEEK};

	for (size_t i = 0; i < CRON_FIELD_MAX; i++) {
		if (i)
			buf_putc(out, ' ');
		for (const char *s = texts[order[i]]; *s; s++)
			if (!isspace((unsigned char)*s))
				buf_putc(out, *s);
	}
}

int64_t cron_minute(int64_t us)
{
	return floor_div(us, CLOCK_MINUTE);
}

int64_t cron_minute_us(int64_t minute)
{
	return minute * CLOCK_MINUTE;
}

bool cron_matches_day(const struct cron *cron, int64_t day)
{
	const uint32_t every_day_of_month = UINT32_C(0xfffffffe);
	const uint8_t every_day_of_week = 0x7f;
	int year, month, day_of_month;
	/* 1970-01-01 was a Thursday. */
	int day_of_week = (int)(((day + 4) % 7 + 7) % 7);
	bool in_month, in_week;

	clock_civil_from_days(day, &year, &month, &day_of_month);
	if (!(cron->month >> month & 1))
		return false;
	in_month = cron->day_of_month >> day_of_month & 1;
	in_week = cron->day_of_week >> day_of_week & 1;
	if (cron->day_of_month != every_day_of_month && cron->day_of_week != every_day_of_week)
		return in_month || in_week;
	return in_month && in_week;
}

static bool matches_minute_of_day(const struct cron *cron, int64_t minute)
{
	return (cron->hour >> (minute / 60) & 1) && (cron->minute >> (minute % 60) & 1);
}

/* The first matching local minute from `local` on within the horizon, or CRON_NEVER. */
static int64_t next_local(const struct cron *cron, int64_t local)
{
	int64_t day = floor_div(local, DAY_MINUTES), minute = minute_of_day(local);

	for (int64_t last = day + HORIZON_DAYS; day <= last; day++, minute = 0) {
		if (!cron_matches_day(cron, day))
			continue;
		for (; minute < DAY_MINUTES; minute++)
			if (matches_minute_of_day(cron, minute))
				return day * DAY_MINUTES + minute;
	}
	return CRON_NEVER;
}

/* The last matching local minute up to and including `local` within the horizon, or CRON_NEVER. */
static int64_t previous_local(const struct cron *cron, int64_t local)
{
	int64_t day = floor_div(local, DAY_MINUTES), minute = minute_of_day(local);

	for (int64_t first = day - HORIZON_DAYS; day >= first; day--, minute = DAY_MINUTES - 1) {
		if (!cron_matches_day(cron, day))
			continue;
		for (; minute >= 0; minute--)
			if (matches_minute_of_day(cron, minute))
				return day * DAY_MINUTES + minute;
	}
	return CRON_NEVER;
}

static int64_t latest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/*
 * One rule covers all changes of the clock: a UTC minute fires when its local minute is later than all that
 * were before (span->high), and one matches among those that are new with it. At a gap that is more than one
 * local minute; in the hour that comes again there is none.
 */
int64_t cron_next(const struct cron *cron, int64_t after)
{
	const struct zone_span *span = zone_span_at(cron->zone, after + 1), *end = cron->zone->spans + cron->zone->count;
	int64_t from = after + 1, horizon = after + HORIZON_DAYS * DAY_MINUTES;

	for (; span < end; from = (++span)->start) {
		int64_t local = latest(from == span->start ? INT64_MIN : from + span->offset, span->high + 1), fires;

		local = next_local(cron, local);
		if (local == CRON_NEVER)
			return CRON_NEVER;
		fires = latest(local - span->offset, span->start);
		if (fires > horizon)
			return CRON_NEVER;
		if (span + 1 == end || fires < span[1].start)
			return fires;
	}
	return CRON_NEVER;
}

int64_t cron_previous(const struct cron *cron, int64_t at)
{
	const struct zone_span *span = zone_span_at(cron->zone, at);
	int64_t horizon = at - HORIZON_DAYS * DAY_MINUTES;

	for (int64_t before = at;; before = (span--)->start - 1) {
		int64_t local = previous_local(cron, before + span->offset), fires;

		if (local != CRON_NEVER && local > span->high) {
			fires = latest(local - span->offset, span->start);
			return fires < horizon ? CRON_NEVER : fires;
		}
		if (span == cron->zone->spans || span->start < horizon)
			return CRON_NEVER;
	}
}

bool cron_matches(const struct cron *cron, int64_t minute)
{
	return cron_next(cron, minute - 1) == minute;
}

size_t cron_list(const struct cron *cron, int64_t after, int64_t until, int64_t *out, size_t max)
{
	size_t n = 0;

	for (int64_t at = cron_next(cron, after); at <= until && n < max && at != CRON_NEVER; at = cron_next(cron, at))
		out[n++] = at;
	return n;
}

/* A stretch of one local day within one span of its zone: its firings are those of any day, cut at both ends. */
struct stretch {
	int64_t start;     /* UTC minute */
	int64_t before;    /* firings before this stretch */
	int16_t low, high; /* minutes of the day: low up to and without high; high 0: one firing, at start */
};

struct firings {
	int64_t after, until, total;
	struct stretch *list;
	size_t count, size;
	int16_t below[DAY_MINUTES + 1]; /* firings of a day before its minute N */
};

static int64_t stretch_firings(const struct firings *firings, const struct stretch *s, int64_t minutes)
{
	int64_t high = s->low + minutes;

	if (s->high == 0)
		return 1;
	return firings->below[high < s->high ? high : s->high] - firings->below[s->low];
}

/* Adds the stretch that begins with the firing at `start`; returns the last minute that it covers. */
static int64_t add_stretch(struct firings *firings, const struct cron *cron, int64_t start)
{
	const struct zone_span *span = zone_span_at(cron->zone, start), *end = cron->zone->spans + cron->zone->count;
	int64_t local = start + span->offset, minute = minute_of_day(local), last = start + DAY_MINUTES - 1 - minute;
	struct stretch s = {.start = start, .before = firings->total};

	if (cron_matches_day(cron, floor_div(local, DAY_MINUTES)) && matches_minute_of_day(cron, minute)) {
		if (span + 1 < end && last >= span[1].start)
			last = span[1].start - 1;
		if (last > firings->until)
			last = firings->until;
		s.low = (int16_t)minute;
		s.high = (int16_t)(minute + last - start + 1);
	} else {
		last = start;
	}
	if (firings->count == firings->size) {
		firings->size = firings->size ? firings->size * 2 : 64;
		firings->list = realloc(firings->list, firings->size * sizeof *firings->list);
		if (!firings->list)
			log_fatal("out of memory");
	}
	firings->list[firings->count++] = s;
	firings->total += stretch_firings(firings, &s, DAY_MINUTES);
	return last;
}

struct firings *firings_create(const struct cron *cron, int64_t after, int64_t until)
{
	struct firings *firings = calloc(1, sizeof *firings);

	if (!firings)
		log_fatal("out of memory");
	firings->after = after;
	firings->until = until;
	for (int i = 0; i < DAY_MINUTES; i++)
		firings->below[i + 1] = (int16_t)(firings->below[i] + matches_minute_of_day(cron, i));
	for (int64_t at = cron_next(cron, after); at <= until && at != CRON_NEVER; at = cron_next(cron, at))
		at = add_stretch(firings, cron, at);
	return firings;
}

void firings_free(struct firings *firings)
{
	if (!firings)
		return;
	free(firings->list);
	free(firings);
}

/* Firings up to and including a minute. */
static int64_t count_until(const struct firings *firings, int64_t minute)
{
	size_t low = 0, high = firings->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (firings->list[middle].start <= minute)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return 0;
	return firings->list[low - 1].before +
	    stretch_firings(firings, &firings->list[low - 1], minute - firings->list[low - 1].start + 1);
}

int64_t firings_count(const struct firings *firings, int64_t a, int64_t b)
{
	if (b <= a)
		return 0;
	SBM_ASSERT(a >= firings->after && b <= firings->until);
	return count_until(firings, b) - count_until(firings, a);
}

/* The firing of a stretch before which it has n others. */
static int64_t stretch_nth(const struct firings *firings, const struct stretch *s, int64_t n)
{
	int64_t low = s->low, high = s->high - 1;

	if (s->high == 0)
		return s->start;
	while (low < high) {
		int64_t middle = low + (high - low) / 2;

		if (firings->below[middle + 1] - firings->below[s->low] > n)
			high = middle;
		else
			low = middle + 1;
	}
	return s->start + low - s->low;
}

int64_t firings_nth(const struct firings *firings, int64_t a, int64_t n)
{
	size_t low = 0, high = firings->count;
	int64_t index;

	SBM_ASSERT(a >= firings->after && n >= 1);
	index = count_until(firings, a) + n - 1;
	if (index >= firings->total)
		return CRON_NEVER;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (firings->list[middle].before <= index)
			low = middle;
		else
			high = middle;
	}
	return stretch_nth(firings, &firings->list[low], index - firings->list[low].before);
}
