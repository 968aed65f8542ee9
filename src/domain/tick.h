#ifndef DOMAIN_TICK_H
#define DOMAIN_TICK_H

#include "base/buf.h"
#include "domain/cron.h"
#include "io/db.h"

#include <stdint.h>

/*
 * How far the built-in scheduler has come with a schedule, table schedule_tick.  A schedule that is new or was
 * changed owes no firing of the time before; whoever writes one notes it, so that its firings count from then
 * on even if no daemon runs.
 */
#define TICK_DEFINITION_SIZE 512

/* Puts what a schedule's firings depend on, in one text. fields: in the order of enum cron_field. */
void tick_put_definition(const char *const fields[CRON_FIELD_MAX], const char *timezone, char out[TICK_DEFINITION_SIZE]);
/*
 * Notes that firings of a schedule, as it is now, count after this minute (cron_minute). Does nothing when that
 * is known with an earlier one already.
 */
enum db_status tick_note(struct db *, int64_t schedule_id, const char *definition, int64_t minute);

#endif
