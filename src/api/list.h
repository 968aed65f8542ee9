#ifndef API_LIST_H
#define API_LIST_H

#include "rest/request.h"

/*
 * A list that is newest first, by statements of its own. Their parameters: the parent where there is one, then
 * (but for count) the key after or before which the page begins, LIMIT and OFFSET. Keys are the first columns
 * of each row.
 */
enum list_order {
	LIST_BY_ID,       /* id DESC */
	LIST_BY_TIME_ID,  /* a time DESC, an integer id DESC */
	LIST_BY_TIME_UUID /* a time DESC, a UUID DESC */
};

struct list {
	enum list_order order;
	enum db_query count;
	enum db_query after;  /* rows below the key, in the list's order */
	enum db_query before; /* rows above the key, in reverse */
	const char *parent;   /* NULL for none */
	void (*put_row)(struct req *, const struct db_result *, int row);
};

/* Answers a page of it. 0, or -1 with the slot filled. */
int list_answer(struct req *, const struct list *);

#endif
