#ifndef DOMAIN_PROGRAMME_H
#define DOMAIN_PROGRAMME_H

#include "domain/lifecycle.h"
#include "io/db.h"

/*
 * Loads all schedules, message sets and their sizes. With DB_OK *out is the caller's: programme_free. A
 * schedule whose fields cannot be read is logged and never fires.
 */
enum db_status programme_load(struct db *, struct programme **out);
void programme_free(struct programme *);

/*
 * The subscription of a uuid, for upcoming dates and repair. *found says whether it exists; lang is written
 * to `lang` and borrowed by *out.
 */
enum db_status programme_load_subscription(struct db *, const struct programme *, const char *uuid,
    struct lifecycle_subscription *out, char lang[LIFECYCLE_LANG_SIZE], bool *found);

/* Adds up the messages of all ready subscriptions after `now` and up to `until` (minutes). */
enum db_status programme_forecast(struct db *, const struct programme *, int64_t now, int64_t until, struct lifecycle_forecast *out);

#endif
