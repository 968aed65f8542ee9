#ifndef DOMAIN_SHEET_H
#define DOMAIN_SHEET_H

#include "base/buf.h"
#include "domain/catalogue.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Messages as a sheet that a translator can fill in: CSV with one row for each message.  What is written and read
 * again is the same, byte by byte.  sbm-content(5) describes the columns.
 */

#define SHEET_LANG_MAX 6 /* characters */
enum sheet_column { SHEET_SET, SHEET_NUMBER, SHEET_LANG, SHEET_TEXT, SHEET_FILE, SHEET_METADATA, SHEET_COLUMN_MAX };
extern const char *const sheet_column_names[SHEET_COLUMN_MAX];

struct sheet_row {
	int64_t row;       /* as a spreadsheet counts: the head is row 1 */
	const char *set;
	int64_t number;
	const char *lang;
	const char *text, *file, *metadata; /* NULL: there is nothing; "" stood in quotes */
	const char *wide_set, *wide_lang;   /* with the blanks that stood around them; NULL: there were none */
};

/* The head, and a row after it. */
void sheet_put_head(struct buf *, char separator);
void sheet_put_row(struct buf *, const struct sheet_row *, char separator);

struct sheet_error {
	int64_t row;              /* 0: of the sheet as a whole */
	enum sheet_column column; /* SHEET_COLUMN_MAX: of the row as a whole */
	const char *text;
};

#define SHEET_ERRORS_MAX 100
struct sheet {
	struct arena *memory;          /* of all texts */
	bool has[SHEET_COLUMN_MAX];    /* columns that the sheet has; the first three it must have */
	struct sheet_row *rows;        /* that hold anything, but those with errors */
	size_t count, room;
	struct sheet_error errors[SHEET_ERRORS_MAX];
	size_t error_count;            /* all that there were; only SHEET_ERRORS_MAX of them are kept */
};

/* Reads a sheet; bytes may be anything. What is wrong is in errors. The caller's: sheet_free. */
void sheet_read(struct sheet *, const char *bytes, size_t n, char separator);
void sheet_free(struct sheet *);
/* Notes an error. */
void sheet_fail(struct sheet *, int64_t row, enum sheet_column, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Brings the errors into the order of their rows. */
void sheet_sort_errors(struct sheet *);

enum sheet_action { SHEET_ADD, SHEET_CHANGE, SHEET_REMOVE, SHEET_ACTION_MAX };

/* One message to be written, and how it shall be. Texts are the sheet's or the catalogue's. */
struct sheet_change {
	enum sheet_action action;
	const struct catalogue_set *set;
	int64_t number;
	const char *lang;
	const struct catalogue_message *old; /* NULL with ADD */
	const char *text;                    /* NULL for none */
	int64_t binary_id;                   /* 0 for none */
	const char *metadata;
	bool differs[SHEET_COLUMN_MAX];      /* of CHANGE: what does */
};

struct sheet_plan {
	struct sheet_change *changes; /* in the order of the rows, then those to remove */
	size_t count;
	size_t counts[SHEET_ACTION_MAX];
	size_t same;       /* rows that are as they are stored */
	size_t left_empty; /* rows of messages that are not there, and that say nothing */
};

/*
 * What has to be done so that the content is as the sheet says. Rules are those of the API, but only what changes
 * is held to them. remove: messages of the sets and languages that the sheet has rows of, and that have no row
 * themselves, are to be removed. Metadata of the rows stands in the form that PostgreSQL gives it. What is wrong
 * goes into the sheet's errors; the plan is of use only when there are none. The caller's: sheet_plan_free. It
 * borrows from both.
 */
void sheet_make_plan(struct sheet *, const struct catalogue *, bool remove, struct sheet_plan *);
void sheet_plan_free(struct sheet_plan *);

#endif
