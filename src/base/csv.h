#ifndef BASE_CSV_H
#define BASE_CSV_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Comma-separated values by RFC 4180, read strictly where a lenient reader would change a text: a quote stands
 * only around a field, or doubled within it.  What spreadsheets differ in is taken: a byte order mark of
 * UTF-8, LF, CRLF or CR at a line's end, another separator, lines of different lengths.
 */

#define CSV_FIELDS_MAX 64
#define CSV_ERROR_SIZE 160

struct csv_field {
	const char *text; /* NUL-terminated; of the reader until the next row */
	bool quoted;      /* it stood in quotes: "" is a text, where nothing may be none */
};

struct csv {
	const char *at, *end;
	char separator;
	int64_t row;      /* of the last one read, from 1; blank lines count, as in a spreadsheet */
	struct csv_field fields[CSV_FIELDS_MAX];
	int count;        /* fields of that row; 0 for a blank line */
	char error[CSV_ERROR_SIZE];
	int64_t line;     /* of the text where reading has come to, from 1: of the error */
	struct buf text;
};

/* bytes: UTF-8 without NUL, borrowed until csv_fini. */
void csv_init(struct csv *, const char *bytes, size_t n, char separator);
void csv_fini(struct csv *);
/* Reads the next row. 1, 0 at the end, -1 with `error` and `line` set, after which nothing more can be read. */
int csv_next(struct csv *);

/* Puts a row with CRLF; a field is quoted where it must be. NULL is a field without anything, "" one in quotes. */
void csv_put_row(struct buf *, const char *const *texts, int count, char separator);

#endif
