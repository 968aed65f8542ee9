#ifndef REST_ACCOUNT_H
#define REST_ACCOUNT_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

struct req;
struct route;

/*
 * What requests came to, by route, method and status, and how long they took, in counters behind those of
 * base/counter.def.  A path that is no route's counts as "none", a method that HTTP does not know as "other", so
 * that the number of series has a bound that no caller can move.
 */

/* How many counters a table of routes needs. */
size_t account_counters(const struct route *routes);
/* Counts a request that was answered. routes: the table that its route is of. */
void account_request(const struct req *, const struct route *routes, int64_t took_us);
/* Writes what the sums of all counters say of requests, as Prometheus reads it; combinations that never came stay out. */
void account_put(struct buf *, const struct route *routes, const uint64_t *sums);

#endif
