#include "rest/request.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/parse.h"
#include "io/fcgi.h"
#include "rest/kit.h"
#include "rest/parse_query.h"

#include <stdio.h>
#include <string.h>

struct req_after {
	void (*call)(struct req *, bool committed, void *context);
	void *context;
	struct req_after *next;
};

static void
release_json(void *json)
{
	json_decref(json);
}

void
req_own_json(struct req *r, json_t *json)
{
	arena_own(r->arena, release_json, json);
}

static void
release_result(void *result)
{
	db_result_free(result);
}

static char *
format_text(struct req *r, const char *format, va_list args)
{
	va_list again;
	char *text;
	int n;

	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	SBM_ASSERT(n >= 0);
	text = arena_alloc(r->arena, (size_t)n + 1);
	vsnprintf(text, (size_t)n + 1, format, args);
	return text;
}

int
req_fail_json(struct req *r, int status, json_t *body)
{
	SBM_ASSERT(body);
	req_own_json(r, body);
	if (r->errors)
		return -1;
	r->errors = body;
	r->status = status;
	return -1;
}

/* What came from a header need not be UTF-8, but has to be to be said back in JSON. */
static void
make_sayable(char *text)
{
	if (utf8_is_valid(text, strlen(text)))
		return;
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			*text = '?';
}

int
req_fail(struct req *r, int status, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(r, format, args);
	va_end(args);
	make_sayable(text);
	return req_fail_json(r, status, json_pack("{s:s}", "detail", text));
}

int
req_fail_field(struct req *r, const char *field, const char *format, ...)
{
	va_list args;
	char *text;
	json_t *list;

	if (r->errors && !r->errors_of_fields)
		return -1;
	if (!r->errors)
		req_fail_json(r, 400, json_object());
	r->errors_of_fields = true;
	va_start(args, format);
	text = format_text(r, format, args);
	va_end(args);
	make_sayable(text);
	list = json_object_get(r->errors, field);
	if (!list) {
		list = json_array();
		json_object_set_new(r->errors, field, list);
	}
	json_array_append_new(list, json_string(text));
	return -1;
}

bool
req_failed(const struct req *r)
{
	return r->errors != NULL;
}

int
req_fail_db(struct req *r, enum db_status status)
{
	switch (status) {
	case DB_UNAVAILABLE:
	case DB_TIMEOUT:
	case DB_RETRY:
		req_put_header(r, "Retry-After", "1");
		return req_fail(r, 503, "The database is not available at the moment. Please try again.");
	case DB_UNIQUE:
		return req_fail(r, 409, "Something with the same values exists already.");
	case DB_FOREIGN_KEY:
		return req_fail(r, 409, "Something that this refers to, or that refers to it, was changed meanwhile.");
	case DB_BAD_VALUE:
		return req_fail(r, 400, "A value is not acceptable.");
	case DB_OK:
	case DB_ERROR:
	case DB_STATUS_MAX:
		break;
	}
	return req_fail(r, 500, "Something went wrong here. It has been logged as %s.", r->id);
}

const char *
req_header(const struct req *r, const char *cgi_name)
{
	return fcgi_param(r->fcgi, cgi_name);
}

bool
req_is_forwarded(const struct req *r)
{
	static const char name[] = "HTTP_X_FORWARDED_FOR=";
	size_t n = sizeof(name) - 1;
	int addresses = 0;

	/* Some load balancers add to the header that is there, others add a header. */
	for (const char *const *param = fcgi_params(r->fcgi); *param; param++) {
		if (strncmp(*param, name, n) != 0)
			continue;
		addresses++;
		for (const char *comma = strchr(*param + n, ','); comma; comma = strchr(comma + 1, ','))
			addresses++;
	}
	return addresses > 1;
}

static const struct query *
parse_params(struct req *r)
{
	struct query *query = arena_alloc(r->arena, sizeof *query);

	if (query_parse(r->arena, r->query, strlen(r->query), query) != 0)
		query->count = 0;
	return query;
}

const char *
req_param(struct req *r, const char *name)
{
	if (!r->params)
		r->params = parse_params(r);
	return query_value(r->params, name);
}

int
req_begin(struct req *r)
{
	enum db_status status;

	if (r->in_transaction)
		return 0;
	status = db_begin(r->db);
	if (status == DB_UNAVAILABLE)
		status = db_begin(r->db);
	if (status != DB_OK)
		return req_fail_db(r, status);
	r->in_transaction = true;
	return 0;
}

enum db_status
req_try(struct req *r, const struct db_stmt *stmt, const struct db_params *params, struct db_result **result)
{
	struct db_result *owned = NULL;
	enum db_status status = db_exec(r->db, stmt, params, &owned);

	/* A connection that was lost since the last request is opened again, where that can repeat no change. */
	if (status == DB_UNAVAILABLE && !r->in_transaction && strncmp(stmt->sql, "SELECT", 6) == 0)
		status = db_exec(r->db, stmt, params, &owned);
	if (status == DB_OK)
		arena_own(r->arena, release_result, owned);
	if (result)
		*result = owned;
	return status;
}

int
req_exec(struct req *r, const struct db_stmt *stmt, const struct db_params *params, struct db_result **result)
{
	enum db_status status = req_try(r, stmt, params, result);

	return status == DB_OK ? 0 : req_fail_db(r, status);
}

int
req_sql(struct req *r, enum db_query query, const struct db_params *params, struct db_result **result)
{
	return req_exec(r, &db_queries[query], params, result);
}

void
req_wake(struct req *r, const char *word)
{
	r->wake = word;
}

void
req_after(struct req *r, void (*after)(struct req *, bool, void *), void *context)
{
	struct req_after *entry = arena_alloc(r->arena, sizeof *entry);

	*entry = (struct req_after){after, context, r->after};
	r->after = entry;
}

void
req_run_after(struct req *r, bool committed)
{
	for (struct req_after *entry = r->after; entry; entry = entry->next)
		entry->call(r, committed, entry->context);
	r->after = NULL;
}

int
req_answer_type(struct req *r, int status, const char *content_type)
{
	r->status = status;
	r->content_type = content_type;
	return 0;
}

int
req_answer(struct req *r, int status)
{
	return req_answer_type(r, status, "application/json");
}

int
req_answer_json(struct req *r, int status, json_t *value)
{
	SBM_ASSERT(value);
	json_write(value, r->out);
	json_decref(value);
	return req_answer(r, status);
}

void
req_put_header(struct req *r, const char *name, const char *value)
{
	SBM_ASSERT(!strpbrk(name, "\r\n") && !strpbrk(value, "\r\n"));
	buf_puts(&r->headers, name);
	buf_puts(&r->headers, ": ");
	buf_puts(&r->headers, value);
	buf_puts(&r->headers, "\r\n");
}

/* As a JSON text without quotes: the host is the client's, but checked to hold nothing that needs escapes. */
void
req_put_url(struct req *r, struct buf *out, const char *path)
{
	buf_puts(out, r->scheme);
	buf_puts(out, "://");
	buf_puts(out, r->host);
	buf_puts(out, path);
}

const char *
req_url(struct req *r, const char *path)
{
	return arena_printf(r->arena, "%s://%s%s", r->scheme, r->host, path);
}

/* PostgreSQL's "2026-11-23 17:04:01.0881+00" is ours but for T, the zeros at the end and Z. */
static bool
put_time_text(struct buf *out, const char *text, size_t n)
{
	size_t end = n < 3 ? 0 : n - 3, digits;

	if (end < 19 || strcmp(text + end, "+00") != 0 || text[4] != '-' || text[10] != ' ')
		return false;
	if (end != 19 && text[19] != '.')
		return false;
	buf_putc(out, '"');
	buf_put(out, text, 10);
	buf_putc(out, 'T');
	buf_put(out, text + 11, end - 11);
	digits = end == 19 ? 6 : end - 20;
	for (; digits < 6; digits++)
		buf_putc(out, '0');
	buf_puts(out, "Z\"");
	return true;
}

void
req_put_time(struct req *r, const struct db_result *result, int row, int column)
{
	const char *text = db_text(result, row, column);
	char out[CLOCK_TEXT_SIZE];
	int64_t us;

	if (db_is_null(result, row, column)) {
		buf_puts(r->out, "null");
	} else if (put_time_text(r->out, text, db_text_length(result, row, column))) {
		;
	} else if (clock_parse(text, &us) == 0) {
		clock_format(us, out);
		buf_put_json(r->out, out);
	} else {
		/* infinity, years beyond 9999 or before 1: written by hand, not by us */
		buf_put_json(r->out, text);
	}
}

void
req_put_text(struct req *r, const struct db_result *result, int row, int column)
{
	if (db_is_null(result, row, column))
		buf_puts(r->out, "null");
	else
		buf_put_json_n(r->out, db_text(result, row, column), db_text_length(result, row, column));
}

void
req_put_number(struct req *r, const struct db_result *result, int row, int column)
{
	if (db_is_null(result, row, column))
		buf_puts(r->out, "null");
	else
		buf_put(r->out, db_text(result, row, column), db_text_length(result, row, column));
}

void
req_put_bool(struct req *r, const struct db_result *result, int row, int column)
{
	if (db_is_null(result, row, column))
		buf_puts(r->out, "null");
	else
		buf_puts(r->out, *db_text(result, row, column) == 't' ? "true" : "false");
}
