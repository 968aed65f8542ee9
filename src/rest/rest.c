#include "rest/rest.h"

#include "base/assert.h"
#include "base/boundary.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/settings.h"
#include "io/bus.h"
#include "io/fcgi.h"
#include "rest/account.h"
#include "rest/kit.h"
#include "rest/parse_accept.h"
#include "rest/parse_path.h"
#include "rest/status.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one request may hold at a time beside its answer: some copies of its body, and small things. */
#define ARENA_SMALL ((size_t)64 << 20)
#define ARENA_BODIES 8
/* A buffer that one large answer made larger than this is not kept. */
#define ANSWER_KEPT ((size_t)4 << 20)

struct rest *
rest_create(const struct route *routes)
{
	struct db_config config = {
		.conninfo = setting_str_or(SETTING_DATABASE_API, SETTING_DATABASE),
		.application_name = "sbm-api",
		.statement_timeout_ms = setting_int(SETTING_STATEMENT_TIMEOUT),
		.lock_timeout_ms = setting_int(SETTING_LOCK_TIMEOUT),
	};
	struct rest *rest = calloc(1, sizeof *rest);

	SBM_ASSERT(rest);
	rest->arena = arena_create(ARENA_SMALL + ARENA_BODIES * (size_t)setting_int(SETTING_BODY_MAX));
	rest->db = db_create(&config);
	rest->bus = bus_push_create(setting_str(SETTING_TRIGGER_ENDPOINT));
	if (!rest->bus)
		log_fatal("could not use trigger_endpoint", log_str("endpoint", setting_str(SETTING_TRIGGER_ENDPOINT)));
	rest->routes = routes;
	rest->auth = auth_cache_create();
	rest->statements = statements_create();
	buf_init(&rest->out, REST_ANSWER_MAX);
	buf_init(&rest->head, 16384);
	upload_sweep(setting_str(SETTING_MEDIA_DIR));
	return rest;
}

void
rest_free(struct rest *rest)
{
	if (!rest)
		return;
	arena_free(rest->arena);
	db_free(rest->db);
	bus_push_free(rest->bus);
	auth_cache_free(rest->auth);
	statements_free(rest->statements);
	buf_fini(&rest->out);
	buf_fini(&rest->head);
	free(rest);
}

static bool
is_sane(const char *text, size_t max, const char *more)
{
	size_t n = 0;

	for (; text && text[n] && n <= max; n++)
		if (!isalnum((unsigned char)text[n]) && !strchr(more, text[n]))
			return false;
	return n > 0 && n <= max;
}

static void
set_id(struct req *r)
{
	const char *given = req_header(r, "SBM_REQUEST_ID");
	char *made;

	if (is_sane(given, 64, "-_.")) {
		r->id = given;
	} else {
		made = arena_alloc(r->arena, 37);
		uuid_generate(made);
		r->id = made;
	}
	log_set_request_id(r->id);
}

static enum req_method
read_method(const char *text)
{
	for (int i = 0; i < REQ_METHOD_MAX; i++)
		if (strcmp(route_method_name((enum req_method)i), text) == 0)
			return (enum req_method)i;
	return REQ_METHOD_MAX;
}

static const char *
or_empty(const char *text)
{
	return text ? text : "";
}

static void
read_request(struct req *r)
{
	const char *uri = or_empty(req_header(r, "REQUEST_URI"));
	const char *scheme = or_empty(req_header(r, "SBM_SCHEME"));
	const char *host = req_header(r, "HTTP_HOST");

	r->method_text = or_empty(req_header(r, "REQUEST_METHOD"));
	r->method = read_method(r->method_text);
	r->path = arena_strndup(r->arena, uri, strcspn(uri, "?#"));
	r->query = or_empty(req_header(r, "QUERY_STRING"));
	r->scheme = strcmp(scheme, "https") == 0 ? "https" : "http";
	/* Goes into links as it is: nothing but what a host may hold. */
	r->host = is_sane(host, 255, "-_.:[]") ? host : "localhost";
}

static int
find_route(struct req *r)
{
	struct path path;
	enum path_problem problem = path_parse(r->arena, r->path, strlen(r->path), &path);

	if (problem != PATH_FINE && problem != PATH_TOO_MANY)
		return req_fail(r, 400, "%s", path_problem_text(problem));
	if (problem == PATH_FINE)
		r->route = route_find(r->rest->routes, path.segments, path.count, r->args);
	if (!r->route)
		return req_fail(r, 404, "Not found.");
	return 0;
}

static int
negotiate(struct req *r)
{
	if (r->route->permission == ROUTE_OPEN || accept_allows_json(req_header(r, "HTTP_ACCEPT")))
		return 0;
	return req_fail(r, 406, "Could not satisfy the request Accept header.");
}

static int
authenticate(struct req *r)
{
	if (r->route->permission == ROUTE_OPEN)
		return 0;
	if (auth_user(r) != 0) {
		if (!r->route->tells_outage || r->status != 503)
			return -1;
		r->errors = NULL;
		r->status = 0;
		return 0;
	}
	return auth_permit(r);
}

/* Longer ones are cut: it goes back into the answer. */
#define METHOD_TEXT_MAX 32

static int
allow(struct req *r)
{
	if (r->method == REQ_OPTIONS || route_find_method(r->route, r->method).handle)
		return 0;
	req_put_header(r, "Allow", route_allow(r, r->route));
	return req_fail(r, 405, "Method \"%.*s\" not allowed.", METHOD_TEXT_MAX, r->method_text);
}

static int
run(struct req *r)
{
	int taken;

	if (r->method == REQ_OPTIONS)
		return options_answer(r);
	taken = r->method == REQ_POST ? idempotency_begin(r) : 0;
	if (taken != 0)
		return taken == 1 ? 0 : -1;
	if (route_find_method(r->route, r->method).handle(r) != 0)
		return -1;
	return idempotency_end(r);
}

static int
serve(struct req *r)
{
	if (find_route(r) != 0 || negotiate(r) != 0 || authenticate(r) != 0 || allow(r) != 0)
		return -1;
	return run(r);
}

/* Ends the transaction that req_begin began. A commit that failed takes the answer back. */
static int
finish(struct req *r, int result)
{
	enum db_status status;

	if (result == 0 && r->out->overflow)
		result = req_fail(r, 400, "The answer would be too large. Ask for fewer rows with limit.");
	if (!r->in_transaction)
		return result;
	if (result != 0) {
		db_rollback(r->db);
		return result;
	}
	boundary_pass(BOUNDARY_API_COMMIT);
	status = db_commit(r->db);
	boundary_pass(BOUNDARY_API_COMMITTED);
	return status == DB_OK ? 0 : req_fail_db(r, status);
}

static void
send_answer(struct req *r)
{
	struct buf *head = &r->rest->head;
	bool empty = r->status == 204 || r->status == 304;

	buf_reset(head);
	buf_printf(head, "Status: %d %s\r\n", r->status, statuses[status_find(r->status)].reason);
	if (!empty)
		buf_printf(head, "Content-Type: %s\r\nContent-Length: %zu\r\n", r->content_type, r->out->length);
	buf_printf(head, "X-Request-ID: %s\r\nVary: Accept, Authorization\r\n", r->id);
	buf_put(head, buf_text(&r->headers), r->headers.length);
	buf_puts(head, "\r\n");
	SBM_ASSERT(!head->overflow && !r->headers.overflow);
	if (fcgi_write(r->fcgi, head->data, head->length) == 0 && !empty && r->method != REQ_HEAD)
		fcgi_write(r->fcgi, buf_text(r->out), r->out->length);
}

static void
wake_daemon(struct req *r)
{
	boundary_pass(BOUNDARY_API_WAKE);
	bus_push_wake(r->rest->bus, r->wake);
	boundary_pass(BOUNDARY_API_WOKEN);
}

static void
answer_errors(struct req *r)
{
	buf_reset(r->out);
	r->content_type = "application/json";
	json_write(r->errors, r->out);
}

void
rest_handle(struct fcgi_request *fcgi, void *context)
{
	struct rest *rest = context;
	struct req r = {.rest = rest, .fcgi = fcgi, .arena = rest->arena, .db = rest->db, .out = &rest->out};
	int64_t began = clock_monotonic_us(), took;
	int result;

	arena_reset(rest->arena);
	buf_reset(&rest->out);
	buf_init(&r.headers, 8192);
	set_id(&r);
	read_request(&r);
	result = finish(&r, serve(&r));
	SBM_ASSERT(result == 0 ? r.status != 0 : r.errors != NULL);
	if (result != 0)
		answer_errors(&r);
	else if (r.wake)
		wake_daemon(&r);
	req_run_after(&r, result == 0);
	send_answer(&r);
	took = clock_monotonic_us() - began;
	account_request(&r, rest->routes, took);
	log_debug("request", log_str("method", r.method_text), log_str("path", r.path), log_int("status", r.status),
	    log_int("ms", took / 1000));
	log_set_request_id(NULL);
	buf_fini(&r.headers);
	if (rest->out.size > ANSWER_KEPT) {
		buf_fini(&rest->out);
		buf_init(&rest->out, REST_ANSWER_MAX);
	}
	arena_reset(rest->arena);
}
