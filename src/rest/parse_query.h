#ifndef REST_PARSE_QUERY_H
#define REST_PARSE_QUERY_H

#include <stdbool.h>
#include <stddef.h>

struct arena;

/*
 * The pairs of a query string or an application/x-www-form-urlencoded body, in their order; a name may come
 * more than once.  "+" is a blank; "%" that two hex digits do not follow stays as it is; a piece without "="
 * is a name with an empty value; empty pieces are skipped.
 */
#define QUERY_PAIRS_MAX 1000

#define QUERY_BAD_UTF8 1u /* a name or value was no UTF-8: each bad byte stands as U+FFFD */
#define QUERY_NUL 2u      /* a name or value holds a NUL, so that its length is more than its strlen */

struct query_pair {
	const char *name;
	const char *value;
	size_t name_length;
	size_t value_length;
	unsigned flags;
};

struct query {
	int count;
	unsigned flags; /* those of all pairs */
	struct query_pair *pairs;
};

/* Reads n bytes; all of *out is the arena's. 0, or -1 when there are more than QUERY_PAIRS_MAX pairs. */
int query_parse(struct arena *, const char *text, size_t n, struct query *out);
/* The last pair of that name, which is the one that counts, or NULL. */
const struct query_pair *query_find(const struct query *, const char *name);
/* Value of the last pair of that name, or NULL. */
const char *query_value(const struct query *, const char *name);

#endif
