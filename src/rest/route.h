#ifndef REST_ROUTE_H
#define REST_ROUTE_H

#include "rest/request.h"

/*
 * The one table of routes, in src/api/routes.c: dispatch, Allow, OPTIONS and OpenAPI come from it.
 */

enum route_permission {
	ROUTE_USER,        /* any user who is logged in */
	ROUTE_STAFF,
	ROUTE_VIEW_BEHIND, /* staff, or the permission view_behindsubscription */
	ROUTE_FIND_BEHIND, /* staff, or the permission can_find_behind_subscriptions */
	ROUTE_ANYBODY,     /* nobody needs to log in, but credentials that come must be right */
	ROUTE_OPEN,        /* Accept and Authorization are not even looked at */
	ROUTE_PERMISSION_MAX
};

/* A query parameter of a handler: a number. */
struct route_param {
	const char *name; /* NULL ends a table */
	const char *description;
	int64_t min, max;
};

/* One method of a route. Texts are for OpenAPI; NULL where there is nothing to say. */
struct route_method {
	/*
	 * 0 when the answer is there (req_answer...), else -1 with the error slot filled (req_fail...). The
	 * kit commits what req_begin began when it returned 0, else rolls it back; only then the answer goes out.
	 */
	int (*handle)(struct req *);
	int status;          /* of success, e.g. 202 */
	const char *summary;
	const char *request; /* name of the schema of the body */
	const char *answer;  /* name of the schema of the answer; "FooList": a page of Foo */
	/* Fields of the body where rest/field.h reads it; ended by one without a name. */
	const struct field *fields;
	const struct route_param *params; /* query parameters, but limit and offset of a list; NULL for none */
};

struct resource;

struct route {
	/*
	 * "/api/v1/schedule/{id}/send/": segments between slashes; one in braces takes any one segment that is
	 * not empty, percent-decoded, as req->args[]. The request's path may have or lack the last slash.
	 */
	const char *pattern;
	const char *name;        /* as OPTIONS says it: "Schedule List" */
	const char *description; /* likewise; may be NULL */
	enum route_permission permission;
	bool secret; /* answers hold a secret: they are stored nowhere, not even for an Idempotency-Key */
	bool tells_outage; /* its handler is called, with nobody logged in, also when the database cannot be asked who it is */
	/*
	 * Of a table resource: then methods that have no handler here and that its verbs allow are the kit's. The
	 * list's row has no {id}, the record's row has.
	 */
	const struct resource *resource;
	struct route_method methods[REQ_METHOD_MAX]; /* [REQ_HEAD] and [REQ_OPTIONS] are the kit's */
};

/* "GET". Not for REQ_METHOD_MAX. */
const char *route_method_name(enum req_method);
/* The route's method with the resource's own filled in; handle is NULL where it is not allowed. */
struct route_method route_find_method(const struct route *, enum req_method);
/*
 * Finds the route of a path that is split and decoded already; fills args (borrowed from pieces).
 * Literal segments win over {…}. NULL: none.
 */
const struct route *route_find(const struct route *routes, const char *const *pieces, int count, const char *args[REQ_ARGS_MAX]);

#endif
