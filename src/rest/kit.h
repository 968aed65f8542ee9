#ifndef REST_KIT_H
#define REST_KIT_H

#include "io/digest.h"
#include "rest/request.h"
#include "rest/route.h"

/* What the files of this room share and handlers do not see. */

struct bus_push;
struct auth_cache;
struct statements;

struct rest {
	struct arena *arena;
	struct db *db;
	struct bus_push *bus;
	const struct route *routes;
	struct buf out;             /* body of the answer under way */
	struct buf head;            /* its head */
	struct auth_cache *auth;
	struct statements *statements;
};

/* Most bytes of one answer. */
#define REST_ANSWER_MAX ((size_t)256 << 20)

/* Who the caller is. 0 (user.id 0: nobody), or -1 with 401 or 503 in the slot. */
int auth_user(struct req *);
/* -1 with 401 or 403 when the user may not use the route. */
int auth_permit(struct req *);
struct auth_cache *auth_cache_create(void);
void auth_cache_free(struct auth_cache *);

/* Statements that are built once from constants and kept: bounded, and found again by a name. */
struct statements *statements_create(void);
void statements_free(struct statements *);
/* The statement of that name, or NULL. */
const struct db_stmt *statements_find(const struct statements *, const char *name);
/* Keeps a copy; when there is no more room the statement is the arena's and is not prepared. */
const struct db_stmt *statements_keep(struct req *, const char *name, const char *sql);

/*
 * Idempotency-Key: at the start of a POST that has one, takes the key within the request's transaction. 0: go on; 1: the
 * stored answer stands in req->out; -1: slot. At the end stores the answer.
 */
int idempotency_begin(struct req *);
int idempotency_end(struct req *);

/*
 * req_body for who wants only the bytes: false when not even those are there. A bad body is refused when a
 * handler asks for it, not here.
 */
bool req_try_body(struct req *);
/* Removes what an upload left whose worker was killed. */
void upload_sweep(const char *directory);
/* The arena owns the reference from now on. */
void req_own_json(struct req *, json_t *);
/* Runs and forgets what req_after left. */
void req_run_after(struct req *, bool committed);

struct resource;
/* The columns of a resource for SELECT and RETURNING. */
void resource_put_columns(struct buf *sql, const struct resource *);

/* Answer to OPTIONS. */
int options_answer(struct req *);
/* The methods of a route, "GET, POST, HEAD, OPTIONS"; of the arena. */
const char *route_allow(struct req *, const struct route *);

/*
 * ETag of what stands in req->out; of the arena. etag_not_modified: the If-None-Match header names it.
 * etag_mismatch: there is an If-Match header and it does not name it.
 */
const char *etag_make(struct req *);
bool etag_not_modified(const struct req *, const char *etag);
bool etag_mismatch(const struct req *, const char *etag);

#endif
