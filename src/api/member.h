#ifndef API_MEMBER_H
#define API_MEMBER_H

#include "rest/request.h"

/*
 * The members of a JSON object whose brace stands in req->out already: each puts a comma before itself unless it
 * is the first.
 */

enum member_type { MEMBER_NUMBER, MEMBER_TEXT, MEMBER_TIME };

/* A member that is a column of a row; key is plain ASCII without quotes. A list of them ends with key NULL. */
struct member {
	const char *key;
	enum member_type type;
	int column;
};

/* "key": */
void member_put_key(struct req *, const char *key);
/* "key":"address of the row id of the list", as http://host/api/v1/runs/1/ for "runs" and "1". */
void member_put_link(struct req *, const char *key, const char *list, const char *id);
/* All of members; null where the column is NULL. */
void member_put_columns(struct req *, const struct member *members, const struct db_result *, int row);

#endif
