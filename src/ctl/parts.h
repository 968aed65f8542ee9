#ifndef CTL_PARTS_H
#define CTL_PARTS_H

#include "ctl/ctl.h"
#include "io/db.h"

/* A report of several tables, each the answer of a statement. */
struct part {
	const char *name;  /* key in JSON */
	const char *title;
	const char *empty; /* what to say when there are no rows */
	enum db_query query;
	int params;        /* how many of the report's parameters it takes, from the first on */
	bool single;       /* always one row */
	const struct table_column *columns;
};

/* Reads and prints them, to standard output. CTL_OK, or CTL_FAILED after it said why; `what` is what is read. */
int parts_show(struct ctl *, const struct part *, int count, const struct db_params *, const char *what, bool json);

#endif
