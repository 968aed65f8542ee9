#include "api/list.h"

#include "base/clock.h"
#include "base/parse.h"
#include "rest/page.h"

#include <string.h>

/* What no row comes before: the key of a page that begins at the top. */
#define TOP_ID INT64_MAX
#define TOP_UUID "ffffffff-ffff-ffff-ffff-ffffffffffff"

/* A key that came in a link is taken when it is one, else the page begins at its offset. */
static bool
put_key(const struct list *list, const struct page *page, struct db_params *params)
{
	char uuid[UUID_TEXT_SIZE];
	const char *id = list->order == LIST_BY_ID ? page->key.first : page->key.second;
	int64_t time = 0, number;

	if (!page->has_key || !id || (list->order == LIST_BY_TIME_UUID ? parse_uuid(id, uuid) : parse_int(id, 0, INT64_MAX, &number)) < 0)
		return false;
	if (list->order == LIST_BY_ID) {
		db_param_int(params, number);
		return true;
	}
	if (strcmp(page->key.first, "infinity") != 0 && clock_parse(page->key.first, &time) < 0)
		return false;
	db_param_text(params, page->key.first);
	db_param_text(params, id);
	return true;
}

static void
put_top(const struct list *list, struct db_params *params)
{
	if (list->order == LIST_BY_ID) {
		db_param_int(params, TOP_ID);
		return;
	}
	db_param_text(params, "infinity");
	if (list->order == LIST_BY_TIME_ID)
		db_param_int(params, TOP_ID);
	else
		db_param_text(params, TOP_UUID);
}

static int
read_rows(struct req *r, const struct list *list, struct page *page, struct db_result **rows)
{
	struct db_params params;

	db_params_init(&params);
	if (list->parent)
		db_param_text(&params, list->parent);
	page->has_key = put_key(list, page, &params);
	page->backward = page->backward && page->has_key;
	if (!page->has_key)
		put_top(list, &params);
	db_param_int(&params, page_fetch(page));
	db_param_int(&params, page->has_key ? 0 : page->offset);
	return req_sql(r, page->backward ? list->before : list->after, &params, rows);
}

static int
count(struct req *r, const struct list *list, struct page *page)
{
	struct db_params params;
	struct db_result *row;

	if (page->count >= 0)
		return 0;
	db_params_init(&params);
	if (list->parent)
		db_param_text(&params, list->parent);
	if (req_sql(r, list->count, &params, &row) < 0)
		return -1;
	page->count = db_int(row, 0, 0);
	return 0;
}

static struct page_key
key_of(const struct list *list, const struct db_result *rows, int row)
{
	return (struct page_key){db_text(rows, row, 0), list->order == LIST_BY_ID ? NULL : db_text(rows, row, 1)};
}

int
list_answer(struct req *r, const struct list *list)
{
	struct page page;
	struct db_result *rows;
	struct page_key first = {0}, last = {0};
	bool more;
	int n;

	page_read(r, &page);
	if (count(r, list, &page) < 0 || read_rows(r, list, &page, &rows) < 0)
		return -1;
	page_rows(&page, db_rows(rows), &n, &more);
	if (n > 0) {
		first = key_of(list, rows, page.backward ? n - 1 : 0);
		last = key_of(list, rows, page.backward ? 0 : n - 1);
	}
	page_begin(r, &page, n, more, first, last);
	for (int i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(r->out, ',');
		list->put_row(r, rows, page.backward ? n - 1 - i : i);
	}
	page_end(r);
	return req_answer(r, 200);
}
