#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct db_result;

/* Rows for people and programs: aligned on a terminal, else with tabs between, or as JSON. */

enum table_kind {
	TABLE_TEXT,
	TABLE_NUMBER,
	TABLE_BOOL,  /* "t" or "f"; yes and no in a table */
	TABLE_TIME,  /* timestamptz as PostgreSQL writes it */
	TABLE_WORDS, /* separated by commas; an array in JSON */
};

struct table_column {
	const char *name; /* key in JSON, and heading with blanks for _; NULL ends a list */
	enum table_kind kind;
};

struct table {
	const struct table_column *columns; /* borrowed */
	size_t width, count, room;
	char **cells; /* count rows of width cells; NULL is JSON's null, and - in a table */
	int *widths;  /* of what was streamed; NULL before */
};

void table_init(struct table *, const struct table_column *columns);
void table_fini(struct table *);
/* Adds a row of as many cells as there are columns; they are copied. */
void table_add(struct table *, const char *const *cells);
/* Adds all rows of a result with the same columns. */
void table_add_result(struct table *, const struct db_result *);

/* To standard output, with a heading. */
void table_print(const struct table *);
/* An array of objects; or the object of one row. */
void table_put_json(const struct table *, struct buf *);
void table_put_json_row(const struct table *, size_t row, struct buf *);
/* One of the two, as asked. */
void table_show(const struct table *, bool json);

/*
 * For lists too long to be held: prints the rows that are there and lets go of them. The columns are as wide as
 * the first rows need. table_stream_end prints the rest, and the heading or brackets of an empty list.
 */
void table_stream(struct table *, bool json);
void table_stream_end(struct table *, bool json);

#endif
