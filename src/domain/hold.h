#ifndef DOMAIN_HOLD_H
#define DOMAIN_HOLD_H

#include "io/db.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Pauses.  What is held is not claimed any more from the commit on; calls under way end, and the daemon begins
 * none later than a second after it. Runs are fanned out all the same, and their deliveries wait.
 */
enum hold_scope { HOLD_ALL, HOLD_SCHEDULE, HOLD_MESSAGESET, HOLD_SCOPE_MAX };
extern const char *const hold_scope_words[HOLD_SCOPE_MAX];

/*
 * Pauses; id: of the schedule or message set, 0 for all. *made is false when that was paused before, and then
 * the reason of that time stays. DB_FOREIGN_KEY when there is no such id. now: clock_now().
 */
enum db_status hold_place(struct db *, enum hold_scope, int64_t id, const char *reason, int64_t now, bool *made);
/* Resumes. *lifted is false when it was not paused. Wake the daemon after the commit. */
enum db_status hold_lift(struct db *, enum hold_scope, int64_t id, bool *lifted);

/* Lets a run that was held for its size (setting surge_ratio) be sent, or ends it unsent. *done is false when it is not held. */
enum db_status run_release(struct db *, int64_t run_id, int64_t now, bool *done);
enum db_status run_cancel(struct db *, int64_t run_id, int64_t now, bool *done);

#endif
