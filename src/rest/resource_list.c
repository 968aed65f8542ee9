#include "rest/resource.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/parse.h"
#include "rest/filter.h"
#include "rest/kit.h"
#include "rest/page.h"

#include <stdio.h>
#include <string.h>

enum list_mode { LIST_FIRST, LIST_OFFSET, LIST_AFTER, LIST_BEFORE };

struct listing {
	const struct resource *resource;
	struct filter_values filters;
	struct page page;
	enum list_mode mode;
};

/* A key came from outside: it must be what the columns hold. */
static bool
key_fits(const struct resource *resource, const struct page_key *key)
{
	const char *id = resource->order == RESOURCE_NEWEST ? key->second : key->first;
	char uuid[UUID_TEXT_SIZE];
	int64_t number;

	if (resource->order == RESOURCE_NEWEST && clock_parse(key->first, &number) != 0)
		return false;
	if (!id)
		return false;
	return resource->uuid_key ? parse_uuid(id, uuid) == 0 : parse_int(id, INT32_MIN, INT32_MAX, &number) == 0;
}

static void
choose_mode(struct listing *l)
{
	if (l->page.has_key && !key_fits(l->resource, &l->page.key)) {
		l->page.has_key = l->page.backward = false;
		l->page.count = -1;
	}
	if (l->page.has_key)
		l->mode = l->page.backward ? LIST_BEFORE : LIST_AFTER;
	else
		l->mode = l->page.offset > 0 ? LIST_OFFSET : LIST_FIRST;
}

static void
put_order(struct buf *sql, const struct listing *l, int *param)
{
	bool newest = l->resource->order == RESOURCE_NEWEST;
	bool descending = newest != (l->mode == LIST_BEFORE);

	if (l->mode == LIST_AFTER || l->mode == LIST_BEFORE) {
		buf_puts(sql, l->filters.used ? " AND " : " WHERE ");
		if (newest)
			buf_printf(sql, "(created_at, id) %s ($%d, $%d)", descending ? "<" : ">", *param + 1, *param + 2);
		else
			buf_printf(sql, "id %s $%d", descending ? "<" : ">", *param + 1);
		*param += newest ? 2 : 1;
	}
	buf_puts(sql, " ORDER BY ");
	if (newest)
		buf_printf(sql, "created_at %s, ", descending ? "DESC" : "ASC");
	buf_printf(sql, "id %s LIMIT %lld", descending ? "DESC" : "ASC", (long long)page_fetch(&l->page));
	if (l->mode == LIST_OFFSET)
		buf_printf(sql, " OFFSET $%d", ++*param);
}

static const struct db_stmt *
find_list(struct req *r, const struct listing *l)
{
	const struct db_stmt *stmt;
	struct buf sql;
	char name[96];
	int param = 0;

	snprintf(name, sizeof name, "list_%s_%lx_%d_%lld", l->resource->name, l->filters.used, (int)l->mode,
	    (long long)page_fetch(&l->page));
	stmt = statements_find(r->rest->statements, name);
	if (stmt)
		return stmt;
	buf_init(&sql, 16384);
	buf_puts(&sql, "SELECT ");
	resource_put_columns(&sql, l->resource);
	buf_printf(&sql, " FROM %s", l->resource->table);
	filter_put_sql(&sql, l->resource->filters, l->filters.used, &param);
	put_order(&sql, l, &param);
	SBM_ASSERT(!sql.overflow);
	stmt = statements_keep(r, name, buf_text(&sql));
	buf_fini(&sql);
	return stmt;
}

static int
fetch_rows(struct req *r, const struct listing *l, struct db_result **rows)
{
	struct db_params params;

	db_params_init(&params);
	filter_put_params(&params, l->resource->filters, &l->filters);
	if (l->page.has_key) {
		db_param_text(&params, l->page.key.first);
		if (l->resource->order == RESOURCE_NEWEST)
			db_param_text(&params, l->page.key.second);
	} else if (l->mode == LIST_OFFSET) {
		db_param_int(&params, l->page.offset);
	}
	return req_exec(r, find_list(r, l), &params, rows);
}

static int
count_rows(struct req *r, struct listing *l)
{
	const struct db_stmt *stmt;
	struct db_params params;
	struct db_result *row;
	char name[96];

	snprintf(name, sizeof name, "count_%s_%lx", l->resource->name, l->filters.used);
	stmt = statements_find(r->rest->statements, name);
	if (!stmt) {
		struct buf sql;
		int param = 0;

		buf_init(&sql, 16384);
		buf_printf(&sql, "SELECT count(*) FROM %s", l->resource->table);
		filter_put_sql(&sql, l->resource->filters, l->filters.used, &param);
		SBM_ASSERT(!sql.overflow);
		stmt = statements_keep(r, name, buf_text(&sql));
		buf_fini(&sql);
	}
	db_params_init(&params);
	filter_put_params(&params, l->resource->filters, &l->filters);
	if (req_exec(r, stmt, &params, &row) != 0)
		return -1;
	l->page.count = db_int(row, 0, 0);
	return 0;
}

/* The count is taken once, for the first page, and only when that does not hold all rows. */
static int
set_count(struct req *r, struct listing *l, int rows, bool more)
{
	int64_t least = l->page.offset + rows + (more && !l->page.backward);

	if (l->mode == LIST_FIRST && !more)
		l->page.count = rows;
	else if (l->page.count < 0 && count_rows(r, l) != 0)
		return -1;
	/* Rows came meanwhile. */
	if (rows > 0 && l->page.count < least)
		l->page.count = least;
	return 0;
}

static struct page_key
key_of(const struct listing *l, const struct db_result *rows, int row)
{
	int id = resource_column(l->resource, "id");

	if (l->resource->order == RESOURCE_BY_ID)
		return (struct page_key){db_text(rows, row, id), NULL};
	return (struct page_key){db_text(rows, row, resource_column(l->resource, "created_at")), db_text(rows, row, id)};
}

int
resource_list(struct req *r)
{
	struct listing l = {.resource = r->route->resource};
	struct page_key first = {0}, last = {0};
	struct db_result *rows;
	bool more;
	int count;

	if (filter_read(r, l.resource->filters, &l.filters) != 0)
		return -1;
	page_read(r, &l.page);
	choose_mode(&l);
	if (fetch_rows(r, &l, &rows) != 0)
		return -1;
	page_rows(&l.page, db_rows(rows), &count, &more);
	if (set_count(r, &l, count, more) != 0)
		return -1;
	if (count > 0) {
		first = key_of(&l, rows, l.page.backward ? count - 1 : 0);
		last = key_of(&l, rows, l.page.backward ? 0 : count - 1);
	}
	page_begin(r, &l.page, count, more, first, last);
	for (int i = 0; i < count; i++) {
		if (i > 0)
			buf_putc(r->out, ',');
		resource_put_row(r, l.resource, rows, l.page.backward ? count - 1 - i : i);
	}
	page_end(r);
	return req_answer(r, 200);
}
