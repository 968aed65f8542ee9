#ifndef REST_FILTER_H
#define REST_FILTER_H

#include "rest/resource.h"

/* The filters of a list's query string, by the rules and with the texts of the original's. */

#define FILTERS_MAX 32

struct filter_values {
	unsigned long used;             /* a bit for each filter of the table that has a value */
	const char *values[FILTERS_MAX]; /* as PostgreSQL takes them; NULL: nothing can match */
};

/* Blank values do not filter. 0, or -1 with all errors in the slot. */
int filter_read(struct req *, const struct filter *filters, struct filter_values *);
/* Puts " WHERE ... AND ..." for the used ones, whose parameters are from *param + 1 on; *param is the last one then. */
void filter_put_sql(struct buf *sql, const struct filter *filters, unsigned long used, int *param);
void filter_put_params(struct db_params *, const struct filter *filters, const struct filter_values *);

/*
 * A date with a time as the original's framework reads it: 2020-01-05T00:00[:00[.123456]][Z|+02:00|+0200|+02],
 * T or a blank, one or two digits; UTC without an offset. dates: also 2020-01-05, 01/05/2020 and 01/05/20, with
 * or without a time after a blank. 0, or -1.
 */
int filter_parse_time(const char *text, bool dates, int64_t *us);

#endif
