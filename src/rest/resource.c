#include "rest/resource.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/parse.h"
#include "rest/kit.h"
#include "rest/python.h"

#include <stdio.h>
#include <string.h>

/* Columns of a table that one statement names. */
#define RESOURCE_FIELDS_MAX 32

int
resource_column(const struct resource *resource, const char *name)
{
	int i = 0;

	while (resource->fields[i].name && strcmp(resource->fields[i].name, name) != 0)
		i++;
	SBM_ASSERT(resource->fields[i].name);
	return i;
}

const char *
resource_value(const struct resource_change *change, const char *name)
{
	int i = resource_column(change->resource, name);

	if (change->values && change->values[i].state != VALUE_ABSENT)
		return change->values[i].state == VALUE_SET ? change->values[i].text : NULL;
	if (!change->old || db_is_null(change->old, 0, i))
		return NULL;
	return db_text(change->old, 0, i);
}

void
resource_put_columns(struct buf *sql, const struct resource *resource)
{
	for (const struct field *f = resource->fields; f->name; f++) {
		buf_puts(sql, f == resource->fields ? "" : ", ");
		buf_puts(sql, f->column ? f->column : "NULL");
	}
}

static void
put_value(struct req *r, const struct field *f, const struct db_result *result, int row, int column)
{
	switch (f->type) {
	case FIELD_TEXT:
	case FIELD_CHOICE:
	case FIELD_UUID:
	case FIELD_FILE:
		req_put_text(r, result, row, column);
		return;
	case FIELD_INT:
	case FIELD_JSON: /* PostgreSQL's text of it is JSON */
		req_put_number(r, result, row, column);
		return;
	case FIELD_REF:
		if (f->uuid_key)
			req_put_text(r, result, row, column);
		else
			req_put_number(r, result, row, column);
		return;
	case FIELD_BOOL:
		req_put_bool(r, result, row, column);
		return;
	case FIELD_TIME:
		req_put_time(r, result, row, column);
		return;
	case FIELD_TYPE_MAX:
		break;
	}
	SBM_ASSERT(false && "type of field");
}

void
resource_put_row(struct req *r, const struct resource *resource, const struct db_result *result, int row)
{
	char before = '{';

	for (int i = 0; resource->fields[i].name; i++) {
		const struct field *f = &resource->fields[i];

		if (f->flags & FIELD_HIDDEN)
			continue;
		buf_putc(r->out, before);
		before = ',';
		buf_putc(r->out, '"');
		buf_puts(r->out, f->name);
		buf_puts(r->out, "\":");
		if (!resource->put_field || !resource->put_field(r, f, result, row, i))
			put_value(r, f, result, row, i);
	}
	buf_putc(r->out, '}');
}

/* The key in the path as PostgreSQL takes it; NULL when no row can have it. */
static const char *
read_id(struct req *r, const struct resource *resource)
{
	char uuid[UUID_TEXT_SIZE];
	int64_t id;

	if (resource->uuid_key)
		return parse_uuid(r->args[0], uuid) == 0 ? arena_strdup(r->arena, uuid) : NULL;
	if (python_int(r->arena, r->args[0], &id) != PYTHON_INT || id < 1 || id > INT32_MAX)
		return NULL;
	return arena_printf(r->arena, "%lld", (long long)id);
}

static int
find_row(struct req *r, const struct resource *resource, const char *id, bool lock, struct db_result **row)
{
	const struct db_stmt *stmt;
	struct db_params params;
	char name[64];

	if (!id)
		return req_fail(r, 404, "Not found.");
	snprintf(name, sizeof name, "%s_%s", lock ? "lock" : "get", resource->name);
	stmt = statements_find(r->rest->statements, name);
	if (!stmt) {
		struct buf sql;

		buf_init(&sql, 4096);
		buf_puts(&sql, "SELECT ");
		resource_put_columns(&sql, resource);
		buf_printf(&sql, " FROM %s WHERE id = $1%s", resource->table, lock ? " FOR UPDATE" : "");
		stmt = statements_keep(r, name, buf_text(&sql));
		buf_fini(&sql);
	}
	db_params_init(&params);
	db_param_text(&params, id);
	if (req_exec(r, stmt, &params, row) != 0)
		return -1;
	return db_rows(*row) == 1 ? 0 : req_fail(r, 404, "Not found.");
}

int
resource_retrieve(struct req *r)
{
	const struct resource *resource = r->route->resource;
	struct db_result *row;
	const char *etag;

	if (find_row(r, resource, read_id(r, resource), false, &row) != 0)
		return -1;
	resource_put_row(r, resource, row, 0);
	etag = etag_make(r);
	req_put_header(r, "ETag", etag);
	return req_answer(r, etag_not_modified(r, etag) ? 304 : 200);
}

/*
 * The row that a change is about. With If-Match it is locked until the end of the transaction, and the
 * change goes on only if nobody was faster.
 */
static int
find_old(struct req *r, struct resource_change *change, struct db_result **old)
{
	const char *given = req_header(r, "HTTP_IF_MATCH");
	bool lock = given && *given;

	change->id = read_id(r, change->resource);
	if (lock && req_begin(r) != 0)
		return -1;
	if (find_row(r, change->resource, change->id, lock, old) != 0)
		return -1;
	change->old = *old;
	if (!lock)
		return 0;
	resource_put_row(r, change->resource, *old, 0);
	if (etag_mismatch(r, etag_make(r)))
		return req_fail(r, 412, "It was changed meanwhile: its ETag is another one now.");
	buf_reset(r->out);
	return 0;
}

/* For a hook that acts on the row before: it must be the one that the statement will find. */
static int
lock_old(struct req *r, struct resource_change *change)
{
	struct db_result *old;

	if (!change->resource->written)
		return 0;
	if (req_begin(r) != 0 || find_row(r, change->resource, change->id, true, &old) != 0)
		return -1;
	change->old = old;
	return 0;
}

static int
read_values(struct req *r, struct resource_change *change)
{
	const struct resource *resource = change->resource;

	SBM_ASSERT(field_count(resource->fields) <= RESOURCE_FIELDS_MAX);
	change->values = arena_array(r->arena, RESOURCE_FIELDS_MAX, sizeof *change->values);
	if (field_read_body(r, resource->fields, change->partial, change->values) != 0 &&
	    (!r->errors_of_fields || !json_is_object(r->body)))
		return -1;
	if (field_check_rows(r, resource->fields, change->values, resource->table, change->id) != 0 && !r->errors_of_fields)
		return -1;
	if (resource->check_fields)
		resource->check_fields(r, change);
	if (req_failed(r))
		return -1;
	return resource->check ? resource->check(r, change) : 0;
}

/* Sets the columns that the kit fills itself. */
static void
stamp(struct req *r, struct resource_change *change)
{
	char *now = arena_alloc(r->arena, CLOCK_TEXT_SIZE);

	clock_format(clock_now(), now);
	for (int i = 0; change->resource->fields[i].name; i++) {
		unsigned flags = change->resource->fields[i].flags;

		if ((flags & FIELD_UPDATED) || ((flags & FIELD_CREATED) && change->verb == RESOURCE_DOES_CREATE))
			change->values[i] = (struct value){.state = VALUE_SET, .text = now};
	}
}

/* The fields that a change writes, a bit for each; params get their values. */
static unsigned long
find_written(const struct resource_change *change, struct db_params *params)
{
	unsigned long mask = 0;

	db_params_init(params);
	for (int i = 0; change->resource->fields[i].name; i++) {
		const struct value *v = &change->values[i];

		if (v->state == VALUE_ABSENT || !change->resource->fields[i].column)
			continue;
		mask |= 1ul << i;
		db_param_text(params, v->state == VALUE_SET ? v->text : NULL);
	}
	return mask;
}

static void
put_insert(struct buf *sql, const struct resource *resource, unsigned long mask)
{
	struct buf values;
	int n = 0;

	if (mask == 0) {
		buf_printf(sql, "INSERT INTO %s DEFAULT VALUES", resource->table);
		return;
	}
	buf_init(&values, 1024);
	buf_printf(sql, "INSERT INTO %s (", resource->table);
	for (int i = 0; resource->fields[i].name; i++) {
		if (!(mask & 1ul << i))
			continue;
		buf_printf(sql, "%s%s", n ? ", " : "", resource->fields[i].column);
		buf_printf(&values, "%s$%d", n ? ", " : "", n + 1);
		n++;
	}
	buf_printf(sql, ") VALUES (%s)", buf_text(&values));
	buf_fini(&values);
}

static void
put_update(struct buf *sql, const struct resource *resource, unsigned long mask)
{
	int n = 0;

	buf_printf(sql, "UPDATE %s SET ", resource->table);
	for (int i = 0; resource->fields[i].name; i++) {
		if (!(mask & 1ul << i))
			continue;
		buf_printf(sql, "%s%s = $%d", n ? ", " : "", resource->fields[i].column, n + 1);
		n++;
	}
	buf_printf(sql, " WHERE id = $%d", n + 1);
}

static const struct db_stmt *
find_write(struct req *r, const struct resource_change *change, unsigned long mask)
{
	const struct resource *resource = change->resource;
	bool create = change->verb == RESOURCE_DOES_CREATE;
	const struct db_stmt *stmt;
	struct buf sql;
	char name[64];

	snprintf(name, sizeof name, "%s_%s_%lx", create ? "insert" : "update", resource->name, mask);
	stmt = statements_find(r->rest->statements, name);
	if (stmt)
		return stmt;
	buf_init(&sql, 8192);
	if (create)
		put_insert(&sql, resource, mask);
	else
		put_update(&sql, resource, mask);
	buf_puts(&sql, " RETURNING ");
	resource_put_columns(&sql, resource);
	SBM_ASSERT(!sql.overflow);
	stmt = statements_keep(r, name, buf_text(&sql));
	buf_fini(&sql);
	return stmt;
}

/* Somebody else was faster than our look-up. */
static int
fail_unique(struct req *r, const struct resource *resource)
{
	if (resource->unique_together)
		return req_fail_field(r, "non_field_errors", "%s", resource->unique_together);
	for (const struct field *f = resource->fields; f->name; f++)
		if (f->flags & FIELD_UNIQUE)
			return req_fail_field(r, f->name, "%s", f->unique);
	return req_fail_db(r, DB_UNIQUE);
}

static int
write_row(struct req *r, struct resource_change *change, struct db_result **now)
{
	struct db_params params;
	enum db_status status;
	unsigned long mask;

	stamp(r, change);
	mask = find_written(change, &params);
	if (change->verb == RESOURCE_DOES_UPDATE) {
		if (mask == 0)
			return find_row(r, change->resource, change->id, false, now);
		db_param_text(&params, change->id);
	}
	status = req_try(r, find_write(r, change, mask), &params, now);
	if (status == DB_UNIQUE)
		return fail_unique(r, change->resource);
	if (status != DB_OK)
		return req_fail_db(r, status);
	return db_rows(*now) == 1 ? 0 : req_fail(r, 404, "Not found.");
}

/* Statement, hook and answer of a create or update. */
static int
carry_out(struct req *r, struct resource_change *change, int status)
{
	const struct resource *resource = change->resource;
	struct db_result *now;

	if (resource->written && req_begin(r) != 0)
		return -1;
	if (write_row(r, change, &now) != 0)
		return -1;
	change->now = now;
	change->id = db_text(now, 0, 0);
	if (resource->written && resource->written(r, change) != 0)
		return -1;
	resource_put_row(r, resource, now, 0);
	req_put_header(r, "ETag", etag_make(r));
	if (change->verb == RESOURCE_DOES_CREATE)
		req_put_header(r, "Location", req_url(r, arena_printf(r->arena, "%s%s/", r->route->pattern, change->id)));
	return req_answer(r, status);
}

int
resource_create(struct req *r)
{
	struct resource_change change = {.resource = r->route->resource, .verb = RESOURCE_DOES_CREATE};

	if (read_values(r, &change) != 0)
		return -1;
	return carry_out(r, &change, 201);
}

int
resource_update(struct req *r)
{
	struct resource_change change = {
		.resource = r->route->resource, .verb = RESOURCE_DOES_UPDATE, .partial = r->method == REQ_PATCH};
	struct db_result *old;

	if (find_old(r, &change, &old) != 0 || read_values(r, &change) != 0 || lock_old(r, &change) != 0)
		return -1;
	return carry_out(r, &change, 200);
}

/* How many rows of each kind of use there are, counted no further than this. */
#define USES_COUNTED "1000"

static const struct db_stmt *
find_uses(struct req *r, const struct resource *resource)
{
	const struct db_stmt *stmt;
	struct buf sql;
	char name[64];

	snprintf(name, sizeof name, "uses_%s", resource->name);
	stmt = statements_find(r->rest->statements, name);
	if (stmt)
		return stmt;
	buf_init(&sql, 4096);
	buf_puts(&sql, "SELECT ");
	for (const struct resource_use *u = resource->uses; u->table; u++)
		buf_printf(&sql, "%s(SELECT count(*) FROM (SELECT FROM %s WHERE %s = $1 LIMIT " USES_COUNTED ") u)",
		    u == resource->uses ? "" : ", ", u->table, u->column);
	stmt = statements_keep(r, name, buf_text(&sql));
	buf_fini(&sql);
	return stmt;
}

static int
check_uses(struct req *r, const struct resource_change *change)
{
	const struct resource *resource = change->resource;
	struct db_params params;
	struct db_result *row;
	const char *text = "";

	if (!resource->uses)
		return 0;
	db_params_init(&params);
	db_param_text(&params, change->id);
	if (req_exec(r, find_uses(r, resource), &params, &row) != 0)
		return -1;
	for (int i = 0; resource->uses[i].table; i++)
		if (db_int(row, 0, i) > 0)
			text = arena_printf(r->arena, "%s%s%s%s %s", text, *text ? ", " : "",
			    strcmp(db_text(row, 0, i), USES_COUNTED) == 0 ? "at least " : "", db_text(row, 0, i),
			    resource->uses[i].what);
	if (*text)
		return req_fail(r, 409, "This %s cannot be deleted, because it is in use: %s.", resource->label, text);
	return 0;
}

static const struct db_stmt *
find_delete(struct req *r, const struct resource *resource)
{
	const struct db_stmt *stmt;
	char name[64], sql[128];

	snprintf(name, sizeof name, "delete_%s", resource->name);
	stmt = statements_find(r->rest->statements, name);
	if (stmt)
		return stmt;
	snprintf(sql, sizeof sql, "DELETE FROM %s WHERE id = $1", resource->table);
	return statements_keep(r, name, sql);
}

int
resource_delete(struct req *r)
{
	struct resource_change change = {.resource = r->route->resource, .verb = RESOURCE_DOES_DELETE};
	struct db_params params;
	struct db_result *old, *gone;

	if (find_old(r, &change, &old) != 0 || check_uses(r, &change) != 0 || lock_old(r, &change) != 0)
		return -1;
	db_params_init(&params);
	db_param_text(&params, change.id);
	if (req_exec(r, find_delete(r, change.resource), &params, &gone) != 0)
		return -1;
	if (db_affected(gone) == 0)
		return req_fail(r, 404, "Not found.");
	if (change.resource->written && change.resource->written(r, &change) != 0)
		return -1;
	return req_answer(r, 204);
}
