#include "rest/filter.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/parse.h"
#include "rest/kit.h"
#include "rest/parse_query.h"
#include "rest/python.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_CHOICE "Select a valid choice. That choice is not one of the available choices."

/* Reads least to most digits at *text. */
static bool
digits(const char **text, int least, int most, int *out)
{
	int n = 0, value = 0;

	for (; n < most && isdigit((unsigned char)**text); n++, ++*text)
		value = value * 10 + (**text - '0');
	*out = value;
	return n >= least;
}

static bool
literal(const char **text, char c)
{
	if (**text != c)
		return false;
	++*text;
	return true;
}

/* ":30[.123]" of a time; nothing is 0. */
static bool
seconds(const char **text, int64_t *us)
{
	int second = 0, fraction = 0;
	const char *begin;

	if (literal(text, ':')) {
		if (!digits(text, 1, 2, &second) || second > 59)
			return false;
		if (**text == '.' || **text == ',') {
			begin = ++*text;
			if (!digits(text, 1, 6, &fraction))
				return false;
			for (long n = *text - begin; n < 6; n++)
				fraction *= 10;
			*text += strspn(*text, "0123456789");
		}
	}
	*us += second * INT64_C(1000000) + fraction;
	return true;
}

static bool
offset(const char **text, int64_t *us)
{
	int hours, minutes = 0, sign;

	if (literal(text, 'Z') || !**text)
		return true;
	if (**text != '+' && **text != '-')
		return false;
	sign = *(*text)++ == '-' ? 1 : -1;
	if (!digits(text, 2, 2, &hours))
		return false;
	if (**text) {
		literal(text, ':');
		if (!digits(text, 2, 2, &minutes))
			return false;
	}
	if (hours > 23 || minutes > 59)
		return false;
	*us += sign * (hours * 60 + minutes) * CLOCK_MINUTE;
	return true;
}

static bool
is_date(int year, int month, int day)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] + (leap && month == 2);
}

static bool
american_date(const char **text, int *year, int *month, int *day)
{
	const char *begin;

	if (!digits(text, 1, 2, month) || !literal(text, '/') || !digits(text, 1, 2, day) || !literal(text, '/'))
		return false;
	begin = *text;
	if (!digits(text, 2, 4, year) || (*text - begin != 2 && *text - begin != 4))
		return false;
	if (*text - begin == 2)
		*year += *year < 69 ? 2000 : 1900;
	return true;
}

int
filter_parse_time(const char *text, bool dates, int64_t *us)
{
	int year, month, day, hour, minute;
	bool iso = strlen(text) > 4 && text[4] == '-';

	if (iso && !(digits(&text, 4, 4, &year) && literal(&text, '-') && digits(&text, 1, 2, &month) &&
	                literal(&text, '-') && digits(&text, 1, 2, &day)))
		return -1;
	if (!iso && !(dates && american_date(&text, &year, &month, &day)))
		return -1;
	if (!is_date(year, month, day))
		return -1;
	*us = clock_days_from_civil(year, month, day) * CLOCK_DAY;
	if (!*text)
		return dates ? 0 : -1;
	if (!literal(&text, ' ') && !(iso && literal(&text, 'T')))
		return -1;
	if (!digits(&text, 1, 2, &hour) || !literal(&text, ':') || !digits(&text, 1, 2, &minute) || hour > 23 || minute > 59)
		return -1;
	*us += (hour * 60 + minute) * CLOCK_MINUTE;
	return seconds(&text, us) && offset(&text, us) && !*text ? 0 : -1;
}

/* One filter under way. */
struct asking {
	struct req *r;
	const struct filter *filter;
	const char *text;
	const char **out;
};

static int
refuse(const struct asking *a, const char *message)
{
	return req_fail_field(a->r, a->filter->name, "%s", message);
}

static int
ask_text(const struct asking *a)
{
	const char *const *choice = a->filter->choices;

	*a->out = a->text;
	if (!choice)
		return 0;
	while (*choice && strcmp(*choice, a->text) != 0)
		choice++;
	if (*choice)
		return 0;
	return req_fail_field(a->r, a->filter->name,
	    "Select a valid choice. %s is not one of the available choices.", a->text);
}

/* A decimal number. One that no integer is matches nothing. */
static int
ask_number(const struct asking *a)
{
	const char *c = a->text;
	size_t whole, part = 0;
	double value;

	c += *c == '-' || *c == '+';
	c += whole = strspn(c, "0123456789");
	if (*c == '.')
		c += 1 + (part = strspn(c + 1, "0123456789"));
	if (whole + part > 0 && (*c == 'e' || *c == 'E')) {
		c += 1 + (c[1] == '-' || c[1] == '+');
		if (!isdigit((unsigned char)*c))
			return refuse(a, "Enter a number.");
		c += strspn(c, "0123456789");
	}
	if (whole + part == 0 || *c)
		return refuse(a, "Enter a number.");
	value = strtod(a->text, NULL);
	*a->out = NULL;
	if (value == floor(value) && fabs(value) <= INT32_MAX)
		*a->out = arena_printf(a->r->arena, "%d", (int)value);
	return 0;
}

/*
 * The original ignores what is no boolean, and so never names it beside other errors: nor do we, but alone it is
 * refused.
 */
static int
ask_bool(const struct asking *a)
{
	char lower[6] = "";

	for (size_t i = 0; i < sizeof lower - 1 && a->text[i]; i++)
		lower[i] = (char)tolower((unsigned char)a->text[i]);
	*a->out = strcmp(lower, "true") == 0 || strcmp(lower, "1") == 0 ? "true" : "false";
	if (**a->out == 't' || strcmp(lower, "0") == 0 || (strcmp(lower, "false") == 0 && strlen(a->text) == 5))
		return 0;
	return refuse(a, "Must be a valid boolean.");
}

static int
ask_uuid(const struct asking *a)
{
	char uuid[UUID_TEXT_SIZE];

	if (parse_uuid(a->text, uuid) != 0)
		return refuse(a, "Enter a valid UUID.");
	*a->out = arena_strdup(a->r->arena, uuid);
	return 0;
}

static int
ask_ref(const struct asking *a)
{
	const struct db_stmt *stmt;
	struct db_params params;
	struct db_result *row;
	char name[96], sql[256];
	int64_t id;

	if (python_int(a->r->arena, a->text, &id) != PYTHON_INT || id < 0 || id > INT32_MAX)
		return refuse(a, NO_CHOICE);
	snprintf(name, sizeof name, "exists_%s", a->filter->table);
	stmt = statements_find(a->r->rest->statements, name);
	if (!stmt) {
		snprintf(sql, sizeof sql, "SELECT FROM %s WHERE id = $1", a->filter->table);
		stmt = statements_keep(a->r, name, sql);
	}
	*a->out = arena_printf(a->r->arena, "%lld", (long long)id);
	db_params_init(&params);
	db_param_text(&params, *a->out);
	if (req_exec(a->r, stmt, &params, &row) != 0)
		return -1;
	return db_rows(row) ? 0 : refuse(a, NO_CHOICE);
}

static int
ask_time(const struct asking *a)
{
	char *out;
	int64_t us;

	if (filter_parse_time(a->text, a->filter->kind == FILTER_TIME, &us) != 0)
		return refuse(a, "Enter a valid date/time.");
	if (us < clock_days_from_civil(1, 1, 1) * CLOCK_DAY || us >= clock_days_from_civil(10000, 1, 1) * CLOCK_DAY)
		return refuse(a, "Enter a valid date/time.");
	out = arena_alloc(a->r->arena, CLOCK_TEXT_SIZE);
	clock_format(us, out);
	*a->out = out;
	return 0;
}

static int
ask(const struct asking *a)
{
	switch (a->filter->kind) {
	case FILTER_TEXT:
	case FILTER_HAS_KEY:
	case FILTER_NOT_HAS_KEY:
	case FILTER_JSON:
	case FILTER_CUSTOM:
		return ask_text(a);
	case FILTER_NUMBER:
		return ask_number(a);
	case FILTER_BOOL:
		return ask_bool(a);
	case FILTER_UUID:
		return ask_uuid(a);
	case FILTER_REF:
		return ask_ref(a);
	case FILTER_TIME:
	case FILTER_AFTER:
	case FILTER_BEFORE:
		return ask_time(a);
	case FILTER_KIND_MAX:
		break;
	}
	SBM_ASSERT(false && "kind of filter");
	return -1;
}

static void
read_filter(struct req *r, const struct filter *filters, int i, struct filter_values *values)
{
	const struct query_pair *pair = query_find(r->params, filters[i].name);
	struct asking a = {r, &filters[i], NULL, &values->values[i]};

	SBM_ASSERT(i < FILTERS_MAX);
	if (!pair)
		return;
	if (pair->flags & QUERY_NUL) {
		refuse(&a, "Null characters are not allowed.");
		return;
	}
	a.text = python_strip(r->arena, pair->value);
	if (!*a.text)
		return;
	values->used |= 1ul << i;
	ask(&a);
}

int
filter_read(struct req *r, const struct filter *filters, struct filter_values *values)
{
	*values = (struct filter_values){0};
	req_param(r, "");
	for (int i = 0; filters && filters[i].name; i++)
		if (filters[i].kind != FILTER_BOOL)
			read_filter(r, filters, i, values);
	for (int i = 0; filters && filters[i].name && !req_failed(r); i++)
		if (filters[i].kind == FILTER_BOOL)
			read_filter(r, filters, i, values);
	return req_failed(r) ? -1 : 0;
}

static void
put_condition(struct buf *sql, const struct filter *f, int param)
{
	switch (f->kind) {
	case FILTER_TEXT:
	case FILTER_NUMBER:
	case FILTER_BOOL:
	case FILTER_UUID:
	case FILTER_REF:
	case FILTER_TIME:
		buf_printf(sql, "%s = $%d", f->column, param);
		return;
	case FILTER_AFTER:
		buf_printf(sql, "%s >= $%d", f->column, param);
		return;
	case FILTER_BEFORE:
		buf_printf(sql, "%s <= $%d", f->column, param);
		return;
	case FILTER_HAS_KEY:
		buf_printf(sql, "%s ? $%d", f->column, param);
		return;
	case FILTER_NOT_HAS_KEY:
		buf_printf(sql, "(%s ? $%d) IS NOT TRUE", f->column, param);
		return;
	case FILTER_JSON:
		buf_printf(sql, "%s = to_jsonb($%d::text)", f->column, param);
		return;
	case FILTER_CUSTOM: {
		const char *place = strstr(f->sql, "%d");

		SBM_ASSERT(place);
		buf_put(sql, f->sql, (size_t)(place - f->sql));
		buf_put_int(sql, param);
		buf_puts(sql, place + 2);
		return;
	}
	case FILTER_KIND_MAX:
		break;
	}
	SBM_ASSERT(false && "kind of filter");
}

void
filter_put_sql(struct buf *sql, const struct filter *filters, unsigned long used, int *param)
{
	bool first = true;

	for (int i = 0; filters && filters[i].name; i++) {
		if (!(used & 1ul << i))
			continue;
		buf_puts(sql, first ? " WHERE " : " AND ");
		first = false;
		put_condition(sql, &filters[i], ++*param);
	}
}

void
filter_put_params(struct db_params *params, const struct filter *filters, const struct filter_values *values)
{
	for (int i = 0; filters && filters[i].name; i++)
		if (values->used & 1ul << i)
			db_param_text(params, values->values[i]);
}
