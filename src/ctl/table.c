#include "ctl/table.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "io/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLUMNS_MAX 16
#define JSON_MAX ((size_t)1 << 30)

void table_init(struct table *table, const struct table_column *columns)
{
	*table = (struct table){.columns = columns};
	while (columns[table->width].name)
		table->width++;
}

static void let_go(struct table *table)
{
	for (size_t i = 0; i < table->count * table->width; i++)
		free(table->cells[i]);
	table->count = 0;
}

void table_fini(struct table *table)
{
	let_go(table);
	free(table->cells);
	free(table->widths);
	*table = (struct table){0};
}

static void *must(void *p)
{
	if (!p)
		log_fatal("out of memory");
	return p;
}

/* A copy in which nothing disturbs the rows: times in one form, no tabs or line ends. */
static char *copy_cell(enum table_kind kind, const char *text)
{
	char time[CLOCK_TEXT_SIZE], *copy;
	int64_t us;

	if (!text)
		return NULL;
	if (kind == TABLE_TIME && !clock_parse(text, &us)) {
		/* Whole seconds are enough here. */
		clock_format(us - us % 1000000, time);
		text = time;
	}
	copy = must(strdup(text));
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	return copy;
}

void table_add(struct table *table, const char *const *cells)
{
	if (table->count == table->room) {
		table->room = table->room ? table->room * 2 : 32;
		table->cells = must(reallocarray(table->cells, table->room * table->width, sizeof(*table->cells)));
	}
	for (size_t i = 0; i < table->width; i++)
		table->cells[table->count * table->width + i] = copy_cell(table->columns[i].kind, cells[i]);
	table->count++;
}

void table_add_result(struct table *table, const struct db_result *result)
{
	for (int row = 0; row < db_rows(result); row++) {
		const char *cells[COLUMNS_MAX];

		for (int i = 0; i < (int)table->width; i++)
			cells[i] = db_is_null(result, row, i) ? NULL : db_text(result, row, i);
		table_add(table, cells);
	}
}

static const char *shown(const struct table *table, size_t row, size_t column)
{
	const char *cell = table->cells[row * table->width + column];

	if (!cell || !*cell)
		return "-";
	if (table->columns[column].kind == TABLE_BOOL)
		return *cell == 't' ? "yes" : "no";
	return cell;
}

static void print_cell(const struct table *table, size_t column, const char *text, int width, bool aligned)
{
	bool last = column + 1 == table->width;
	int padding = aligned ? width - (int)utf8_length(text) : 0;

	if (table->columns[column].kind == TABLE_NUMBER)
		printf("%*s%s", padding, "", text);
	else
		printf("%s%*s", text, last ? 0 : padding, "");
	fputs(last ? "\n" : aligned ? "  " : "\t", stdout);
}

static const char *heading(const struct table_column *column, char *out, size_t size)
{
	snprintf(out, size, "%s", column->name);
	for (char *p = out; *p; p++)
		if (*p == '_')
			*p = ' ';
	return out;
}

static void measure(const struct table *table, int widths[])
{
	for (size_t i = 0; i < table->width; i++) {
		widths[i] = (int)strlen(table->columns[i].name);
		for (size_t row = 0; row < table->count; row++)
			if ((int)utf8_length(shown(table, row, i)) > widths[i])
				widths[i] = (int)utf8_length(shown(table, row, i));
	}
}

static void print_heading(const struct table *table, const int widths[])
{
	char head[64];

	for (size_t i = 0; i < table->width; i++)
		print_cell(table, i, heading(&table->columns[i], head, sizeof(head)), widths[i], isatty(STDOUT_FILENO));
}

static void print_rows(const struct table *table, const int widths[])
{
	bool aligned = isatty(STDOUT_FILENO);

	for (size_t row = 0; row < table->count; row++)
		for (size_t i = 0; i < table->width; i++)
			print_cell(table, i, shown(table, row, i), widths[i], aligned);
}

void table_print(const struct table *table)
{
	int widths[COLUMNS_MAX];

	measure(table, widths);
	print_heading(table, widths);
	print_rows(table, widths);
}

static void put_words(struct buf *buf, const char *words)
{
	buf_putc(buf, '[');
	while (*words) {
		size_t n = strcspn(words, ",");

		buf_put_json_n(buf, words, n);
		words += n;
		if (*words) {
			words++;
			buf_putc(buf, ',');
		}
	}
	buf_putc(buf, ']');
}

static void put_json_cell(struct buf *buf, enum table_kind kind, const char *cell)
{
	if (!cell)
		buf_puts(buf, "null");
	else if (kind == TABLE_NUMBER)
		buf_puts(buf, cell);
	else if (kind == TABLE_BOOL)
		buf_puts(buf, *cell == 't' ? "true" : "false");
	else if (kind == TABLE_WORDS)
		put_words(buf, cell);
	else
		buf_put_json(buf, cell);
}

void table_put_json_row(const struct table *table, size_t row, struct buf *buf)
{
	for (size_t i = 0; i < table->width; i++) {
		buf_putc(buf, i ? ',' : '{');
		buf_put_json(buf, table->columns[i].name);
		buf_putc(buf, ':');
		put_json_cell(buf, table->columns[i].kind, table->cells[row * table->width + i]);
	}
	buf_putc(buf, '}');
}

void table_put_json(const struct table *table, struct buf *buf)
{
	buf_putc(buf, '[');
	for (size_t row = 0; row < table->count; row++) {
		buf_puts(buf, row ? ",\n" : "");
		table_put_json_row(table, row, buf);
	}
	buf_putc(buf, ']');
}

void table_show(const struct table *table, bool json)
{
	struct buf buf;

	if (!json) {
		table_print(table);
		return;
	}
	buf_init(&buf, JSON_MAX);
	table_put_json(table, &buf);
	puts(buf_text(&buf));
	buf_fini(&buf);
}

void table_stream(struct table *table, bool json)
{
	bool first = !table->widths;
	struct buf buf;

	if (first) {
		table->widths = must(calloc(COLUMNS_MAX, sizeof(*table->widths)));
		measure(table, table->widths);
		if (!json)
			print_heading(table, table->widths);
	}
	if (!json)
		print_rows(table, table->widths);
	buf_init(&buf, JSON_MAX);
	for (size_t row = 0; json && row < table->count; row++) {
		buf_puts(&buf, !first || row > 0 ? ",\n" : "[");
		table_put_json_row(table, row, &buf);
	}
	if (json && first && table->count == 0)
		buf_putc(&buf, '[');
	fputs(buf_text(&buf), stdout);
	buf_fini(&buf);
	let_go(table);
}

void table_stream_end(struct table *table, bool json)
{
	if (table->count > 0 || !table->widths)
		table_stream(table, json);
	if (json)
		puts("]");
}
