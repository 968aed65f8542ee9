#include "base/buf.h"
#include "base/parse.h"
#include "fuzz.h"
#include "rest/parse_accept.h"
#include "rest/parse_multipart.h"

#include <stdbool.h>

/*
 * The input is the value of a Content-Type's boundary parameter up to the first line feed, a byte that says how
 * large the pieces are, and the body. What is called back must be the same whether the body comes at once or
 * in pieces.
 */
struct record {
	struct buf text;
	bool in_part;
};

static int
on_begin(void *context, const struct multipart_part *part)
{
	struct record *record = context;

	SBM_ASSERT(!record->in_part);
	record->in_part = true;
	SBM_ASSERT(utf8_is_valid(part->name, strlen(part->name)));
	if (part->filename) {
		SBM_ASSERT(utf8_is_valid(part->filename, strlen(part->filename)));
		SBM_ASSERT(!strpbrk(part->filename, "/\\") && strcmp(part->filename, "..") != 0);
	}
	buf_printf(&record->text, "<%s|%s|%s>", part->name, part->filename ? part->filename : "-", part->content_type);
	return 0;
}

static int
on_data(void *context, const char *data, size_t n)
{
	struct record *record = context;

	SBM_ASSERT(record->in_part && n > 0);
	buf_put(&record->text, data, n);
	return 0;
}

static int
on_end(void *context)
{
	struct record *record = context;

	SBM_ASSERT(record->in_part);
	record->in_part = false;
	buf_putc(&record->text, ';');
	return 0;
}

static int
run(struct arena *arena, const char *boundary, const char *body, size_t n, size_t piece, struct record *record, const char **error)
{
	static const struct multipart_events events = {on_begin, on_data, on_end};
	struct multipart *m = multipart_create(arena, boundary, &events, record);
	int failed = 0;

	for (size_t i = 0; i < n && !failed; i += piece)
		failed = multipart_feed(m, body + i, n - i < piece ? n - i : piece);
	if (!failed)
		failed = multipart_finish(m);
	*error = multipart_error(m);
	SBM_ASSERT(!failed == !*error);
	SBM_ASSERT(failed || !record->in_part);
	return failed;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = fuzz_arena();
	const uint8_t *line_end = size ? memchr(data, '\n', size) : NULL;
	const char *body, *errors[2];
	struct record records[2] = {0};
	struct content_type type;
	size_t n, piece;

	if (!line_end || line_end + 1 == data + size)
		return 0;
	content_type_parse(arena, arena_printf(arena, "multipart/form-data; boundary=%s", fuzz_text(arena, data, (size_t)(line_end - data))), &type);
	if (!type.boundary)
		return 0;
	piece = (size_t)line_end[1] + 1;
	body = (const char *)line_end + 2;
	n = size - (size_t)(line_end + 2 - data);
	for (int i = 0; i < 2; i++) {
		buf_init(&records[i].text, (size_t)8 << 20);
		run(arena, type.boundary, body, n, i == 0 ? n + 1 : piece, &records[i], &errors[i]);
	}
	SBM_ASSERT(errors[0] == errors[1]);
	SBM_ASSERT(records[0].text.length == records[1].text.length);
	SBM_ASSERT(memcmp(buf_text(&records[0].text), buf_text(&records[1].text), records[0].text.length) == 0);
	buf_fini(&records[0].text);
	buf_fini(&records[1].text);
	return 0;
}
