#ifndef REST_REQUEST_H
#define REST_REQUEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "io/db.h"
#include "io/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One request on its way through the kit. All that it owns lives in its arena or until the next request.
 */

struct fcgi_request;
struct rest;
struct route;

enum req_method { REQ_GET, REQ_POST, REQ_PUT, REQ_PATCH, REQ_DELETE, REQ_HEAD, REQ_OPTIONS, REQ_METHOD_MAX };
#define REQ_ARGS_MAX 2

struct req_user {
	int64_t id; /* 0: nobody */
	const char *name;
	bool is_staff;
	bool view_behind; /* has the permission, or is staff */
	bool find_behind; /* likewise */
};

/* A file of a multipart body, in a temporary file of media_dir until somebody takes it (io of uploads). */
struct req_file {
	const char *field;
	const char *name; /* as the client named it: never a path of ours */
	const char *temp_path;
	int64_t size;
	struct req_file *next;
};

struct req {
	struct rest *rest;
	struct fcgi_request *fcgi;
	struct arena *arena;
	struct db *db;
	const struct route *route;
	const char *id;          /* X-Request-ID */
	enum req_method method;
	const char *method_text; /* as it came: "FOO" has REQ_METHOD_MAX */
	const char *path;        /* raw path of the request as it came, without query */
	const char *query;       /* raw query, "" for none */
	const char *scheme, *host;
	const char *args[REQ_ARGS_MAX];
	struct req_user user;

	/* The body, after req_body. */
	json_t *body;            /* any type; a form is an object of strings; borrowed by handlers */
	const char *raw;         /* bytes as they came, NUL added; NULL for multipart */
	size_t raw_length;
	bool is_form;            /* urlencoded or multipart: blank strings mean "not given" where a field may be left out */
	struct req_file *files;  /* of a multipart body */

	/* The answer. */
	int status;
	struct buf *out;         /* its JSON, written straight */

	/* The kit's own. */
	json_t *errors;          /* slot: NULL, or the body that says what failed */
	bool errors_of_fields;   /* it is an object of fields with lists of messages */
	int body_state;          /* 0 not read, 1 read, -1 bad */
	json_t *body_errors;     /* bad: what goes into the slot when somebody wants it, */
	int body_status;         /* and the status */
	const struct query *params;
	const char *content_type; /* of the answer */
	struct buf headers;
	bool in_transaction;
	const char *wake;
	struct req_after *after;
	const char *idempotency_key;
	const char *fingerprint; /* SHA-256 of method, path and body, hex */
};

/*
 * The error slot. All return -1, so that a handler says `return req_fail(...)`. The first status wins.
 */
/* {"detail": "..."} */
int req_fail(struct req *, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Adds one message to a field's list and sets 400: {"field": ["..."]}. Goes on: more may follow. */
int req_fail_field(struct req *, const char *field, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A whole body of one's own, which need not be an object; takes the reference. */
int req_fail_json(struct req *, int status, json_t *body);
/* What a statement's failure means: 503 with Retry-After, 409, 400; never 500 for what input can cause. */
int req_fail_db(struct req *, enum db_status);
bool req_failed(const struct req *);

/*
 * Reads and parses the body, once; later calls return what the first did. JSON, form or multipart by its
 * content type. 0, or -1 with 400, 413 or 415 in the slot. No body at all gives an empty object.
 */
int req_body(struct req *);

/* A parameter of the query string: its last value, decoded; NULL when it is not there. */
const char *req_param(struct req *, const char *name);
/* An HTTP header by its CGI name ("HTTP_IF_MATCH"), or NULL. */
const char *req_header(const struct req *, const char *cgi_name);
/* Whether the headers X-Forwarded-For name more than one address: that of a load balancer, too. */
bool req_is_forwarded(const struct req *);

/*
 * Statements. The result is the arena's. 0, or -1 with the slot filled. req_begin opens the request's
 * transaction (nothing when it is open); the kit ends it after the handler. Statements before req_begin
 * are transactions of their own.
 */
int req_begin(struct req *);
int req_sql(struct req *, enum db_query, const struct db_params *, struct db_result **);
int req_exec(struct req *, const struct db_stmt *, const struct db_params *, struct db_result **);
/* The same for who looks at the status himself (DB_UNIQUE, ...): nothing goes into the slot. */
enum db_status req_try(struct req *, const struct db_stmt *, const struct db_params *, struct db_result **);
/* Wakes the sender daemon after the commit, when the answer is a success. */
void req_wake(struct req *, const char *word);
/* Calls after(context) when the transaction has been committed (true) or not (false), before the answer. */
void req_after(struct req *, void (*after)(struct req *, bool committed, void *context), void *context);

/* The answer is what stands in req->out. 0. */
int req_answer(struct req *, int status);
/* Writes value to req->out; takes the reference. 0. */
int req_answer_json(struct req *, int status, json_t *value);
/* Text of another type than JSON (Prometheus): what stands in req->out. content_type is borrowed. 0. */
int req_answer_type(struct req *, int status, const char *content_type);
/* A header line of the answer; both are checked for CR and LF by assertion: they are ours. */
void req_put_header(struct req *, const char *name, const char *value);

/* scheme://host of this request and then path, which begins with a slash; req_put_url as a JSON string without quotes. */
const char *req_url(struct req *, const char *path);
void req_put_url(struct req *, struct buf *, const char *path);
/* A timestamptz column as the API writes it, with quotes; null for NULL. */
void req_put_time(struct req *, const struct db_result *, int row, int column);
/* A text column as JSON string, an integer or boolean column bare; null for NULL. */
void req_put_text(struct req *, const struct db_result *, int row, int column);
void req_put_number(struct req *, const struct db_result *, int row, int column);
void req_put_bool(struct req *, const struct db_result *, int row, int column);

#endif
