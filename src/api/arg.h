#ifndef API_ARG_H
#define API_ARG_H

#include "base/parse.h"
#include "rest/request.h"

/*
 * The subscription whose id stands in braces in the route's pattern: one row with active, completed and
 * process_status. 0, or -1 with the slot filled: 404 when there is none.
 */
int arg_subscription(struct req *, char uuid[UUID_TEXT_SIZE], struct db_result **row);

/* A query parameter that is a number; fallback without. 0, or -1 with 400 under its name in the slot. */
int arg_number(struct req *, const char *name, int64_t min, int64_t max, int64_t fallback, int64_t *number);

#endif
