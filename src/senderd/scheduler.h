#ifndef SENDERD_SCHEDULER_H
#define SENDERD_SCHEDULER_H

#include <stdbool.h>

struct db;

/*
 * The built-in scheduler: fires each schedule at its minutes, once for each over all daemons.  A firing that
 * nobody was there to make is made up once or skipped, as the settings catch_up and catch_up_window say.
 */
struct scheduler;

struct scheduler *scheduler_create(void);
void scheduler_free(struct scheduler *);
/* Looks at all schedules when a new minute has begun; call it at least every second. True when it fired something. */
bool scheduler_tick(struct scheduler *, struct db *);

#endif
