#include "base/csv.h"

#include <stdio.h>
#include <string.h>

static const char byte_order_mark[] = "\xef\xbb\xbf";

void csv_init(struct csv *csv, const char *bytes, size_t n, char separator)
{
	size_t mark = sizeof byte_order_mark - 1;

	*csv = (struct csv){.at = bytes, .end = bytes + n, .separator = separator, .line = 1};
	buf_init(&csv->text, n + CSV_FIELDS_MAX);
	if (n >= mark && memcmp(bytes, byte_order_mark, mark) == 0)
		csv->at += mark;
}

void csv_fini(struct csv *csv)
{
	buf_fini(&csv->text);
}

static int fail(struct csv *csv, const char *what)
{
	snprintf(csv->error, sizeof csv->error, "%s", what);
	csv->at = csv->end;
	return -1;
}

static bool at_line_end(const struct csv *csv)
{
	return csv->at == csv->end || *csv->at == '\r' || *csv->at == '\n';
}

static void skip_line_end(struct csv *csv)
{
	if (csv->at == csv->end)
		return;
	if (*csv->at == '\r' && csv->at + 1 < csv->end && csv->at[1] == '\n')
		csv->at++;
	csv->at++;
	csv->line++;
}

/* Behind the opening quote. */
static int read_quoted(struct csv *csv)
{
	int64_t began = csv->line;

	for (; csv->at < csv->end; csv->at++) {
		char c = *csv->at;

		if (c == '"' && (csv->at + 1 == csv->end || csv->at[1] != '"')) {
			csv->at++;
			if (at_line_end(csv) || *csv->at == csv->separator)
				return 0;
			return fail(csv, "there is text behind the closing quote of a field; a quote within a field must be doubled");
		}
		if (c == '"')
			csv->at++;
		if (c == '\n' || (c == '\r' && (csv->at + 1 == csv->end || csv->at[1] != '\n')))
			csv->line++;
		buf_putc(&csv->text, c);
	}
	csv->line = began;
	return fail(csv, "the quote that opens a field here is never closed");
}

static int read_plain(struct csv *csv)
{
	for (; !at_line_end(csv) && *csv->at != csv->separator; csv->at++) {
		if (*csv->at == '"')
			return fail(csv, "there is a quote within a field; such a field must stand in quotes, and the quote be doubled");
		buf_putc(&csv->text, *csv->at);
	}
	return 0;
}

/* Reads a field; its text goes to the end of `text`, with a NUL. */
static int read_field(struct csv *csv)
{
	bool quoted = csv->at < csv->end && *csv->at == '"';

	if (csv->count == CSV_FIELDS_MAX)
		return fail(csv, "there are too many fields in a row");
	csv->fields[csv->count++].quoted = quoted;
	if (quoted)
		csv->at++;
	if (quoted ? read_quoted(csv) : read_plain(csv))
		return -1;
	buf_putc(&csv->text, '\0');
	return 0;
}

/* The buffer stands still now: finds where each field begins. */
static void find_fields(struct csv *csv)
{
	const char *at = buf_text(&csv->text);

	for (int i = 0; i < csv->count; i++) {
		csv->fields[i].text = at;
		at += strlen(at) + 1;
	}
	if (csv->count == 1 && !csv->fields[0].quoted && !*csv->fields[0].text)
		csv->count = 0;
}

int csv_next(struct csv *csv)
{
	if (csv->at == csv->end)
		return *csv->error ? -1 : 0;
	csv->row++;
	csv->count = 0;
	buf_reset(&csv->text);
	for (;;) {
		if (read_field(csv))
			return -1;
		if (at_line_end(csv))
			break;
		csv->at++;
	}
	skip_line_end(csv);
	find_fields(csv);
	return 1;
}

static void put_field(struct buf *out, const char *text, char separator)
{
	const char special[] = {'"', '\r', '\n', separator, '\0'};
	size_t n = strlen(text);

	if (n > 0 && !strpbrk(text, special) && text[0] != ' ' && text[n - 1] != ' ') {
		buf_puts(out, text);
		return;
	}
	buf_putc(out, '"');
	for (; *text; text++) {
		if (*text == '"')
			buf_putc(out, '"');
		buf_putc(out, *text);
	}
	buf_putc(out, '"');
}

void csv_put_row(struct buf *out, const char *const *texts, int count, char separator)
{
	for (int i = 0; i < count; i++) {
		if (i)
			buf_putc(out, separator);
		if (texts[i])
			put_field(out, texts[i], separator);
	}
	buf_puts(out, "\r\n");
}
