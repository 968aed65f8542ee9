#ifndef REST_PAGE_H
#define REST_PAGE_H

#include "rest/request.h"

/*
 * Pages for lists: {"count", "next", "previous", "results"} by limit and offset, with links that carry an
 * opaque key of where the page begins, so that a deep page costs what the first one does, and the count, so
 * that it is taken once.  A list of one's own query:
 *
 *   page_read; a statement with page_fetch() rows at most, from the key or the offset on; page_rows;
 *   page_begin; the rows, commas between; page_end.
 */
struct page_key {
	const char *first, *second; /* second is NULL for orders by one column */
};

struct page {
	int64_t limit;
	int64_t offset;
	int64_t count;       /* from the link, or -1: the caller counts */
	bool has_key;        /* the page begins after key, or before it and is read backward */
	bool backward;
	struct page_key key; /* as it came: check it before it goes into a statement */
};

/* Reads limit, offset and the key of the query string. Never fails: nonsense is the default. */
void page_read(struct req *, struct page *);
/* How many rows to ask for: at least limit + 1, of a few fixed sizes, so that it may stand in a statement's text. */
int64_t page_fetch(const struct page *);
/* Of n rows that came, *count are the page (read backward: in the reverse order); *more: there are others beyond. */
void page_rows(const struct page *, int n, int *count, bool *more);

/* Writes the envelope up to the first row; page->count must be set. */
void page_begin(struct req *, const struct page *, int rows, bool more, struct page_key first, struct page_key last);
void page_end(struct req *);

#endif
