#ifndef SENDERD_WATCH_H
#define SENDERD_WATCH_H

#include "io/db.h"

#include <stdint.h>

/*
 * The watch that a daemon keeps over its database (domain/guard.h): the dispatcher looks at the marks once a
 * second and sets new ones, and the senders claim from a database only that has the last mark known here.
 * What is known lies in memory that all processes of the daemon share.
 */
struct watch;

/* Before the first fork. 0, or -1, logged. */
int watch_init(void);
/* The mark that the database must have for a claim; no database has it before the first look. */
int64_t watch_mark(void);
/* Messages were sent: they are added to the next mark. Of senders. */
void watch_count(int64_t messages);

/* Of the dispatcher. */
struct watch *watch_create(void);
void watch_free(struct watch *);
/*
 * Looks at the database when that is due, at monotonic time now_ms, and holds all when it is an older copy. Not
 * DB_OK: it could not be read, and nothing is known anew.
 */
enum db_status watch_tend(struct watch *, struct db *, int64_t now_ms);

#endif
