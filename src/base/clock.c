#include "base/clock.h"

#include "base/log.h"
#include "base/parse.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REREAD_MS 20
/* A thousand years either way keeps all sums far inside int64_t. */
#define OFFSET_MAX INT64_C(31556952000)

static const char *clock_path;
static int64_t clock_offset_us;
static int64_t read_at_ms;
static bool complained;

/* Reads the number of seconds from the file. 0, or -1. */
static int read_offset(const char *path, int64_t *seconds)
{
	char text[64];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < 0)
		return -1;
	text[n] = '\0';
	text[strcspn(text, " \t\r\n")] = '\0';
	return parse_int(text, -OFFSET_MAX, OFFSET_MAX, seconds);
}

static void refresh_offset(void)
{
	int64_t seconds;

	read_at_ms = clock_monotonic_ms();
	if (!read_offset(clock_path, &seconds)) {
		clock_offset_us = seconds * 1000000;
		complained = false;
	} else if (!complained) {
		/* Nothing jumps when somebody is just writing the file anew. */
		log_warn("clock_file holds no number of seconds; time stays moved as it was", log_str("path", clock_path));
		complained = true;
	}
}

void clock_init(const char *path)
{
	clock_path = path && *path ? path : NULL;
	clock_offset_us = 0;
	complained = false;
	if (clock_path)
		refresh_offset();
}

int64_t clock_now(void)
{
	struct timespec now;

	if (clock_path && clock_monotonic_ms() - read_at_ms >= REREAD_MS)
		refresh_offset();
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + clock_offset_us;
}

int64_t clock_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_monotonic_ms(void)
{
	return clock_monotonic_us() / 1000;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/*
 * Years begin in March here, so that the leap day is the last one, and 400 of them are always 146097 days.
 */
int64_t clock_days_from_civil(int year, int month, int day)
{
	int64_t y = (int64_t)year - (month <= 2);
	int64_t era = floor_div(y, 400);
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

void clock_civil_from_days(int64_t days, int *year, int *month, int *day)
{
	int64_t z = days + 719468;
	int64_t era = floor_div(z, 146097);
	int64_t day_of_era = z - era * 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month_from_march = (5 * day_of_year + 2) / 153;

	*day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
	*month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
	*year = (int)(year_of_era + era * 400 + (*month <= 2));
}

void clock_format(int64_t us, char out[CLOCK_TEXT_SIZE])
{
	int64_t days = floor_div(us, CLOCK_DAY);
	int64_t rest = us - days * CLOCK_DAY;
	unsigned seconds = (unsigned)(rest / 1000000), fraction = (unsigned)(rest % 1000000);
	int year, month, day;
	char text[64];

	clock_civil_from_days(days, &year, &month, &day);
	if (fraction)
		snprintf(text, sizeof(text), "%04d-%02d-%02dT%02u:%02u:%02u.%06uZ", year, month, day, seconds / 3600, seconds / 60 % 60, seconds % 60, fraction);
	else
		snprintf(text, sizeof(text), "%04d-%02d-%02dT%02u:%02u:%02uZ", year, month, day, seconds / 3600, seconds / 60 % 60, seconds % 60);
	snprintf(out, CLOCK_TEXT_SIZE, "%.*s", CLOCK_TEXT_SIZE - 1, text);
}

/* Exactly count digits as a number within min..max. */
static bool take_number(const char **text, int count, int min, int max, int *out)
{
	int value = 0;

	for (int i = 0; i < count; i++) {
		char c = (*text)[i];

		if (c < '0' || c > '9')
			return false;
		value = value * 10 + (c - '0');
	}
	*text += count;
	*out = value;
	return value >= min && value <= max;
}

static bool take_char(const char **text, const char *any)
{
	if (!**text || !strchr(any, **text))
		return false;
	(*text)++;
	return true;
}

/* A fraction of a second in microseconds; further digits are cut off. No point: 0. */
static bool take_fraction(const char **text, int *us)
{
	int scale = 100000;

	*us = 0;
	if (!take_char(text, "."))
		return true;
	if (**text < '0' || **text > '9')
		return false;
	for (; **text >= '0' && **text <= '9'; (*text)++, scale /= 10)
		*us += (**text - '0') * scale;
	return true;
}

/* Z, +hh, +hhmm, +hh:mm or +hh:mm:ss. */
static bool take_offset(const char **text, int *seconds)
{
	bool negative = **text == '-';
	int h, m = 0, s = 0;

	*seconds = 0;
	if (take_char(text, "Zz"))
		return true;
	if (!take_char(text, "+-") || !take_number(text, 2, 0, 15, &h))
		return false;
	if (take_char(text, ":")) {
		if (!take_number(text, 2, 0, 59, &m))
			return false;
		if (take_char(text, ":") && !take_number(text, 2, 0, 59, &s))
			return false;
	} else if (**text && !take_number(text, 2, 0, 59, &m))
		return false;
	*seconds = (h * 3600 + m * 60 + s) * (negative ? -1 : 1);
	return true;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

int clock_parse(const char *text, int64_t *us)
{
	int year, month, day, hour, minute, second, fraction, offset;

	if (!take_number(&text, 4, 1, 9999, &year) || !take_char(&text, "-") || !take_number(&text, 2, 1, 12, &month) || !take_char(&text, "-"))
		return -1;
	if (!take_number(&text, 2, 1, days_in_month(year, month), &day) || !take_char(&text, "Tt "))
		return -1;
	if (!take_number(&text, 2, 0, 23, &hour) || !take_char(&text, ":") || !take_number(&text, 2, 0, 59, &minute))
		return -1;
	if (!take_char(&text, ":") || !take_number(&text, 2, 0, 59, &second) || !take_fraction(&text, &fraction))
		return -1;
	if (!take_offset(&text, &offset) || *text)
		return -1;
	*us = clock_days_from_civil(year, month, day) * CLOCK_DAY + (INT64_C(3600) * hour + 60 * minute + second - offset) * 1000000 + fraction;
	return 0;
}
