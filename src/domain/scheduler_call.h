#ifndef DOMAIN_SCHEDULER_CALL_H
#define DOMAIN_SCHEDULER_CALL_H

#include "base/buf.h"
#include "base/parse.h"
#include "domain/cron.h"
#include "io/db.h"
#include "io/digest.h"

#include <stdbool.h>

/*
 * Schedules are kept in step with an external scheduler (setting scheduler_url) by calls that are owed: a row of
 * scheduler_call for each schedule that was changed and not yet carried over.  The newest state is carried over,
 * so several changes may become one call; a change while a call is under way makes another one.
 */

/* True when schedules are fired by an external scheduler. */
bool scheduler_is_external(void);
/* Whether it can fire in this time zone: it knows only UTC. */
bool scheduler_knows_zone(const char *timezone);

/*
 * Records that a schedule was made or changed, in the caller's transaction. request_id may be NULL.
 * *made (may be NULL): false when there is no such schedule.
 */
enum db_status scheduler_call_record(struct db *, int64_t schedule_id, const char *request_id, int64_t now, bool *made);
/* Records that it is about to be deleted, in the transaction that does it, and before. */
enum db_status scheduler_call_record_delete(struct db *, int64_t schedule_id, const char *request_id, int64_t now);

/* Puts {url}/api/v1/schedule/N/send/, the address that the scheduler calls. */
void scheduler_put_endpoint(int64_t schedule_id, struct buf *out);
/* Puts the body that makes or changes a schedule there. fields: texts in the order of enum cron_field. */
void scheduler_put_body(int64_t schedule_id, const char *const fields[CRON_FIELD_MAX], struct buf *out);
/* What schedule.scheduler_digest holds once this body was carried over. */
void scheduler_digest(const struct buf *body, char out[DIGEST_HEX_SIZE]);
/* Puts {scheduler_url}/schedule/ and, unless id is NULL, "{id}/". */
void scheduler_put_url(const char *id, struct buf *out);

/* The id in the answer to a creation. 0, or -1 when there is none that is a UUID. */
int scheduler_read_id(const char *body, size_t n, char out[UUID_TEXT_SIZE]);

enum scheduler_page {
	SCHEDULER_PAGE_FOUND, /* id has it */
	SCHEDULER_PAGE_MORE,  /* not on this page; next has the query string of the next one */
	SCHEDULER_PAGE_END,   /* not there */
	SCHEDULER_PAGE_ODD,   /* not a list of schedules */
};
/* Looks in a page of the scheduler's list for the schedule that calls endpoint and is not switched off. */
enum scheduler_page scheduler_read_page(const char *body, size_t n, const char *endpoint, char id[UUID_TEXT_SIZE], struct buf *next);

#endif
