#ifndef REST_PAGE_H
#define REST_PAGE_H

#include "rest/request.h"

/*
 * Pages for lists of one's own query: {"count", "next", "previous", "results"} by limit and offset, with links
 * that carry an opaque key of where the page begins, so that a deep page costs what the first one does.
 */
struct page {
	int64_t limit;
	int64_t offset;
	int64_t count;    /* from the link, or -1: the caller counts */
	bool has_key;     /* key1, key2: the row after which (or before which, with backward) the page begins */
	bool backward;
	const char *key1, *key2;
};

/* Reads limit, offset and the key of the query string. Never fails: nonsense is the default. */
void page_read(struct req *, struct page *);
/*
 * The envelope around rows: begin, the rows with commas between, end. first/last: keys of the first and last
 * row written; rows: how many were written; more: there is at least one row beyond in the direction of reading.
 */
struct page_edge {
	const char *key1, *key2;
};
void page_begin(struct req *, const struct page *);
void page_end(struct req *, const struct page *, int rows, struct page_edge first, struct page_edge last);

#endif
