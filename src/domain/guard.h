#ifndef DOMAIN_GUARD_H
#define DOMAIN_GUARD_H

#include "base/clock.h"
#include "base/parse.h"
#include "io/db.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Whether the database is the one that was left, or an older copy of it that would send again what was sent
 * since.  The table guard has marks that go up while messages are sent; each daemon keeps the last mark that it
 * saw outside the database too.  A database that stands at a mark below that, or that is at work in another
 * place than at its last mark, is held until an administrator has looked.
 */
struct guard_mark {
	char lineage[UUID_TEXT_SIZE]; /* "": nothing is known */
	char nonce[UUID_TEXT_SIZE];
	int64_t mark;
	int64_t sent;      /* messages, up to the mark */
	int64_t marked_at; /* microseconds since 1970, the database's clock */
};

struct guard {
	struct guard_mark at;
	char place[128], here[128];      /* where it was at its mark, "" before the first; where it is */
	char timeline[16], timeline_here[16];
	bool held; /* as an older copy, and nobody has resumed it */
};
enum db_status guard_read(struct db *, struct guard *);

enum guard_verdict {
	GUARD_FINE,
	GUARD_OLDER,  /* what was seen last is not in it yet */
	GUARD_FORKED, /* it went on without what was seen last */
	GUARD_MOVED,  /* it is at work in another place: a restored dump, or a copy of the database */
	GUARD_VERDICT_MAX
};
/* seen: what this machine's daemons saw last, of this database or another one. */
enum guard_verdict guard_judge(const struct guard *, const struct guard_mark *seen);
/* Why all is held, for people; nothing for GUARD_FINE. */
#define GUARD_REASON_SIZE 500
void guard_explain(const struct guard *, const struct guard_mark *seen, enum guard_verdict, char out[GUARD_REASON_SIZE]);

/*
 * Sets the next mark, with so many messages sent since the last one that this daemon set. *done is false when the
 * database stands below the mark `known`, or is held.
 */
enum db_status guard_next(struct db *, int64_t sent, int64_t known, bool *done);
/* Holds all sending; seen_mark: the mark that was seen last. now: clock_now(). */
enum db_status guard_hold(struct db *, int64_t seen_mark, const char *reason, int64_t now);

/* The form in which a mark is kept in a file: lines "name value", the last one "end". -1 when the text is none. */
#define GUARD_TEXT_SIZE 256
void guard_format(const struct guard_mark *, char out[GUARD_TEXT_SIZE]);
int guard_parse(const char *text, struct guard_mark *);

#endif
