#include "rest/page.h"

#include "base/parse.h"
#include "base/settings.h"
#include "rest/kit.h"
#include "rest/parse_query.h"
#include "rest/python.h"

#include <string.h>

/*
 * The key in a link: base64url would hide little, so it is plain text of fields that no value holds a "~"
 * in: direction, count, and the keys of the row at the edge, percent-encoded as a whole.
 */
#define PAGE_PARAM "page_key"
#define PAGE_SEPARATOR '~'

/* Far beyond any table, and far from overflowing in sums. */
#define PAGE_NUMBER_MAX (INT64_MAX / 4)

static int64_t
read_number(struct req *r, const char *name, int64_t least, int64_t fallback)
{
	const char *text = req_param(r, name);
	int64_t number;

	if (!text)
		return fallback;
	switch (python_int(r->arena, text, &number)) {
	case PYTHON_INT_BAD:
	case PYTHON_INT_LOW:
		return fallback;
	case PYTHON_INT_HIGH:
		return PAGE_NUMBER_MAX;
	case PYTHON_INT:
		break;
	}
	if (number < least)
		return fallback;
	return number < PAGE_NUMBER_MAX ? number : PAGE_NUMBER_MAX;
}

/* Cuts the piece before the next separator off *rest; NULL when there is none. */
static char *
next_piece(char **rest)
{
	char *piece = *rest, *end;

	if (!piece)
		return NULL;
	end = strchr(piece, PAGE_SEPARATOR);
	if (end)
		*end++ = '\0';
	*rest = end;
	return piece;
}

static void
read_key(struct req *r, struct page *page)
{
	const char *given = req_param(r, PAGE_PARAM);
	char *rest, *direction, *count, *first;
	int64_t n;

	if (!given)
		return;
	rest = arena_strdup(r->arena, given);
	direction = next_piece(&rest);
	count = next_piece(&rest);
	first = next_piece(&rest);
	if (!first || !*first || (strcmp(direction, "a") != 0 && strcmp(direction, "b") != 0))
		return;
	if (parse_int(count, 0, PAGE_NUMBER_MAX, &n) != 0)
		return;
	page->has_key = true;
	page->backward = *direction == 'b';
	page->count = n;
	page->key = (struct page_key){first, next_piece(&rest)};
}

void
page_read(struct req *r, struct page *page)
{
	int64_t most = setting_int(SETTING_PAGE_SIZE_MAX);
	int64_t usual = setting_int(SETTING_PAGE_SIZE);

	*page = (struct page){.count = -1};
	page->limit = read_number(r, "limit", 1, usual);
	if (page->limit > most)
		page->limit = most;
	page->offset = read_number(r, "offset", 0, 0);
	read_key(r, page);
}

int64_t
page_fetch(const struct page *page)
{
	static const int64_t sizes[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		if (page->limit <= sizes[i])
			return sizes[i] + 1;
	return 100001;
}

void
page_rows(const struct page *page, int n, int *count, bool *more)
{
	*more = n > page->limit;
	*count = *more ? (int)page->limit : n;
}

static bool
is_own_param(const char *name)
{
	return strcmp(name, "limit") == 0 || strcmp(name, "offset") == 0 || strcmp(name, PAGE_PARAM) == 0;
}

/* All parameters of the request but ours. */
static void
put_filters(struct req *r)
{
	req_param(r, "");
	for (int i = 0; i < r->params->count; i++) {
		const struct query_pair *pair = &r->params->pairs[i];

		if (is_own_param(pair->name))
			continue;
		buf_putc(r->out, '&');
		buf_put_url(r->out, pair->name);
		buf_putc(r->out, '=');
		buf_put_url(r->out, pair->value);
	}
}

static void
put_key(struct req *r, const struct page *page, bool backward, struct page_key key)
{
	const char *text = arena_printf(r->arena, "%c%c%lld%c%s%c%s", backward ? 'b' : 'a', PAGE_SEPARATOR,
	    (long long)page->count, PAGE_SEPARATOR, key.first, PAGE_SEPARATOR, key.second ? key.second : "");

	buf_puts(r->out, "&" PAGE_PARAM "=");
	buf_put_url(r->out, text);
}

/* The raw path is the client's: as JSON text it needs care. */
static void
put_link(struct req *r, const struct page *page, int64_t offset, const struct page_key *key, bool backward)
{
	const char *path = r->path;

	buf_putc(r->out, '"');
	req_put_url(r, r->out, "");
	for (; *path; path++) {
		if (*path == '"' || *path == '\\' || (unsigned char)*path < 0x21 || (unsigned char)*path > 0x7e)
			buf_printf(r->out, "%%%02X", (unsigned char)*path);
		else
			buf_putc(r->out, *path);
	}
	buf_printf(r->out, "?limit=%lld", (long long)page->limit);
	if (offset > 0)
		buf_printf(r->out, "&offset=%lld", (long long)offset);
	put_filters(r);
	if (key)
		put_key(r, page, backward, *key);
	buf_putc(r->out, '"');
}

static void
put_previous(struct req *r, const struct page *page, int rows, bool before, const struct page_key *first)
{
	int64_t offset = page->offset - page->limit;

	if (!before || (rows == 0 && page->offset == 0)) {
		buf_puts(r->out, "null");
		return;
	}
	/* A page that would begin before the first row is the first page. */
	put_link(r, page, offset > 0 ? offset : 0, rows > 0 && offset >= 0 ? first : NULL, true);
}

void
page_begin(struct req *r, const struct page *page, int rows, bool more, struct page_key first, struct page_key last)
{
	bool after = page->backward ? true : more;
	bool before = page->backward ? more : page->offset > 0;

	buf_printf(r->out, "{\"count\":%lld,\"next\":", (long long)page->count);
	if (after)
		put_link(r, page, page->offset + page->limit, rows > 0 ? &last : NULL, false);
	else
		buf_puts(r->out, "null");
	buf_puts(r->out, ",\"previous\":");
	put_previous(r, page, rows, before, &first);
	buf_puts(r->out, ",\"results\":[");
}

void
page_end(struct req *r)
{
	buf_puts(r->out, "]}");
}
