#ifndef DOMAIN_METRIC_H
#define DOMAIN_METRIC_H

#include "base/buf.h"

/* Keys of the metrics that go to the metrics service, and that GET /api/metrics/ lists. */

/* Longest key: a message set's name is 100 characters of UTF-8 at most. */
#define METRIC_KEY_MAX 512

/* Those that do not depend on the message sets; ended by NULL. */
extern const char *const metric_fixed_keys[];

/* message.<content_type>.sum */
void metric_put_type_key(struct buf *, const char *content_type);
/*
 * message.<content_type>.<short_name>.sum, where in the name each run of characters other than letters, digits
 * and _ is one _, and none stands at its ends.
 */
void metric_put_set_key(struct buf *, const char *content_type, const char *short_name);

#endif
