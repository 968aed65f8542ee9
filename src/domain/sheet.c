#include "domain/sheet.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/csv.h"
#include "base/parse.h"
#include "domain/content.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each of a row's fields may be kept twice, however short it is, and metadata may grow by its numbers. */
#define SHEET_MEMORY(n) (128 * (n) + ((size_t)64 << 20))
#define ERROR_TEXT_MAX 1000

const char *const sheet_column_names[SHEET_COLUMN_MAX] = {
	[SHEET_SET] = "messageset",
	[SHEET_NUMBER] = "sequence_number",
	[SHEET_LANG] = "lang",
	[SHEET_TEXT] = "text_content",
	[SHEET_FILE] = "binary_content",
	[SHEET_METADATA] = "metadata",
};

/*
 * Spreadsheets take what begins with one of these for a formula, and work it out. An apostrophe before it stops
 * that; so that reading can tell it from one of the text's own, texts that begin with apostrophes or blanks and then
 * such a character get one more.
 */
static bool is_like_formula(const char *text)
{
	return *text && strchr("=+-@\t\r", *text);
}

static const char *behind_guards(const char *text)
{
	return text + strspn(text, "' ");
}

static const char *guard(struct buf *memory, const char *text)
{
	if (!text || !is_like_formula(behind_guards(text)))
		return text;
	buf_putc(memory, '\'');
	buf_puts(memory, text);
	return buf_text(memory);
}

static const char *unguard(const char *text)
{
	return *text == '\'' && is_like_formula(behind_guards(text)) ? text + 1 : text;
}

void sheet_put_head(struct buf *out, char separator)
{
	csv_put_row(out, sheet_column_names, SHEET_COLUMN_MAX, separator);
}

void sheet_put_row(struct buf *out, const struct sheet_row *row, char separator)
{
	const char *texts[SHEET_COLUMN_MAX] = {
		[SHEET_SET] = row->set,
		[SHEET_LANG] = row->lang,
		[SHEET_TEXT] = row->text,
		[SHEET_FILE] = row->file,
		[SHEET_METADATA] = row->metadata,
	};
	struct buf guarded[SHEET_COLUMN_MAX];
	char number[24];

	snprintf(number, sizeof number, "%lld", (long long)row->number);
	for (int i = 0; i < SHEET_COLUMN_MAX; i++) {
		buf_init(&guarded[i], out->max);
		texts[i] = guard(&guarded[i], texts[i]);
	}
	texts[SHEET_NUMBER] = number;
	csv_put_row(out, texts, SHEET_COLUMN_MAX, separator);
	for (int i = 0; i < SHEET_COLUMN_MAX; i++)
		buf_fini(&guarded[i]);
}

void sheet_fail(struct sheet *sheet, int64_t row, enum sheet_column column, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;

	if (sheet->error_count++ >= SHEET_ERRORS_MAX)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	/* What was cut may have been cut within a character. */
	sheet->errors[sheet->error_count - 1] = (struct sheet_error){row, column, arena_strndup(sheet->memory, text, utf8_valid_length(text, strlen(text)))};
}

static int by_row(const void *a, const void *b)
{
	const struct sheet_error *x = a, *y = b;

	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	return (int)x->column - (int)y->column;
}

void sheet_sort_errors(struct sheet *sheet)
{
	size_t kept = sheet->error_count < SHEET_ERRORS_MAX ? sheet->error_count : SHEET_ERRORS_MAX;

	qsort(sheet->errors, kept, sizeof *sheet->errors, by_row);
}

/* ---- reading */

/* Where the columns stand: places[column] is a place in a row, -1 for none. */
struct head {
	int places[SHEET_COLUMN_MAX];
	int count;
};

static const char *trimmed(struct sheet *sheet, const char *text)
{
	size_t n;
	const char *begin = content_trim(text, &n);

	return arena_strndup(sheet->memory, begin, n);
}

static enum sheet_column find_column(const char *name)
{
	enum sheet_column column = 0;

	while (column < SHEET_COLUMN_MAX && strcmp(sheet_column_names[column], name) != 0)
		column++;
	return column;
}

/* The usual mistake: another separator than was said. */
static void blame_separator(struct sheet *sheet, const struct csv *csv)
{
	static const struct {
		char separator;
		const char *name;
	} others[] = {{',', "comma"}, {';', "semicolon"}, {'\t', "tab"}};

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (csv->count == 1 && others[i].separator != csv->separator && strchr(csv->fields[0].text, others[i].separator))
			sheet_fail(sheet, csv->row, SHEET_COLUMN_MAX, "the columns seem to be separated otherwise; try --separator %s", others[i].name);
}

static void read_head(struct sheet *sheet, const struct csv *csv, struct head *head)
{
	head->count = csv->count;
	for (int i = 0; i < SHEET_COLUMN_MAX; i++)
		head->places[i] = -1;
	for (int i = 0; i < csv->count; i++) {
		const char *name = trimmed(sheet, csv->fields[i].text);
		enum sheet_column column = find_column(name);

		if (!*name)
			continue;
		if (column == SHEET_COLUMN_MAX)
			sheet_fail(sheet, csv->row, SHEET_COLUMN_MAX, "there is no column \"%.100s\"; there are messageset, sequence_number, lang, "
				"text_content, binary_content and metadata", name);
		else if (head->places[column] >= 0)
			sheet_fail(sheet, csv->row, column, "the column is there twice");
		else
			head->places[column] = i;
	}
	for (int i = 0; i < SHEET_COLUMN_MAX; i++) {
		sheet->has[i] = head->places[i] >= 0;
		if (!sheet->has[i] && i <= SHEET_LANG)
			sheet_fail(sheet, csv->row, (enum sheet_column)i, "the column is missing");
	}
	if (sheet->error_count)
		blame_separator(sheet, csv);
}

static bool is_blank(const char *text)
{
	size_t n;

	content_trim(text, &n);
	return n == 0;
}

static bool is_blank_row(const struct csv *csv)
{
	for (int i = 0; i < csv->count; i++)
		if (!is_blank(csv->fields[i].text))
			return false;
	return true;
}

/* The field of a column; NULL for nothing. */
static const char *field_of(struct sheet *sheet, const struct csv *csv, const struct head *head, enum sheet_column column)
{
	int place = head->places[column];

	if (place < 0 || place >= csv->count)
		return NULL;
	if (!*csv->fields[place].text)
		return csv->fields[place].quoted ? "" : NULL;
	return arena_strdup(sheet->memory, unguard(csv->fields[place].text));
}

/* A field that must be there, without blanks around it; "" after an error. *wide: with them, NULL when it has none. */
static const char *key_of(struct sheet *sheet, const struct csv *csv, const struct head *head, enum sheet_column column, const char **wide)
{
	const char *text = field_of(sheet, csv, head, column), *key = text ? trimmed(sheet, text) : "";

	if (!*key)
		sheet_fail(sheet, csv->row, column, "this must be filled in");
	*wide = strcmp(key, text ? text : "") != 0 ? text : NULL;
	return key;
}

static struct sheet_row *add_row(struct sheet *sheet)
{
	if (sheet->count == sheet->room) {
		sheet->room = sheet->room ? 2 * sheet->room : 256;
		sheet->rows = reallocarray(sheet->rows, sheet->room, sizeof *sheet->rows);
		SBM_ASSERT(sheet->rows);
	}
	return &sheet->rows[sheet->count++];
}

static void read_row(struct sheet *sheet, const struct csv *csv, const struct head *head)
{
	size_t errors = sheet->error_count;
	struct sheet_row row = {.row = csv->row};
	const char *number, *wide_number;

	for (int i = head->count; i < csv->count; i++)
		if (!is_blank(csv->fields[i].text)) {
			sheet_fail(sheet, csv->row, SHEET_COLUMN_MAX, "the row has more fields than there are columns; a text that holds the separator must stand in quotes");
			break;
		}
	row.set = key_of(sheet, csv, head, SHEET_SET, &row.wide_set);
	number = key_of(sheet, csv, head, SHEET_NUMBER, &wide_number);
	if (*number && parse_int(number, INT32_MIN, INT32_MAX, &row.number))
		sheet_fail(sheet, csv->row, SHEET_NUMBER, "\"%.100s\" is not a whole number that a message can have", number);
	row.lang = key_of(sheet, csv, head, SHEET_LANG, &row.wide_lang);
	if (utf8_length(row.lang) > SHEET_LANG_MAX)
		sheet_fail(sheet, csv->row, SHEET_LANG, "\"%.100s\" is longer than %d characters", row.lang, SHEET_LANG_MAX);
	row.text = field_of(sheet, csv, head, SHEET_TEXT);
	row.file = field_of(sheet, csv, head, SHEET_FILE);
	row.metadata = field_of(sheet, csv, head, SHEET_METADATA);
	if (sheet->error_count == errors)
		*add_row(sheet) = row;
}

/* Which row and line the bytes are in where they are no text. */
static void blame_bytes(struct sheet *sheet, const char *bytes, size_t n)
{
	size_t good = utf8_valid_length(bytes, n);
	int64_t line = 1;

	if (n >= 2 && (memcmp(bytes, "\xff\xfe", 2) == 0 || memcmp(bytes, "\xfe\xff", 2) == 0)) {
		sheet_fail(sheet, 0, SHEET_COLUMN_MAX, "the file is UTF-16; save it as CSV in UTF-8");
		return;
	}
	for (size_t i = 0; i < good; i++)
		line += bytes[i] == '\n';
	sheet_fail(sheet, 0, SHEET_COLUMN_MAX, "line %lld of the file holds bytes that are not UTF-8; save it as CSV in UTF-8", (long long)line);
}

void sheet_read(struct sheet *sheet, const char *bytes, size_t n, char separator)
{
	struct head head = {.count = 0};
	struct csv csv;
	int rc;

	*sheet = (struct sheet){.memory = arena_create(SHEET_MEMORY(n))};
	if (!utf8_is_valid(bytes, n)) {
		blame_bytes(sheet, bytes, n);
		return;
	}
	csv_init(&csv, bytes, n, separator);
	while ((rc = csv_next(&csv)) == 1) {
		if (is_blank_row(&csv))
			continue;
		if (head.count) {
			read_row(sheet, &csv, &head);
			continue;
		}
		read_head(sheet, &csv, &head);
		if (sheet->error_count)
			break;
	}
	if (rc < 0)
		sheet_fail(sheet, csv.row, SHEET_COLUMN_MAX, "line %lld of the file: %s", (long long)csv.line, csv.error);
	if (!head.count && rc == 0)
		sheet_fail(sheet, 0, SHEET_COLUMN_MAX, "the file is empty; its first row must name the columns");
	csv_fini(&csv);
}

void sheet_free(struct sheet *sheet)
{
	free(sheet->rows);
	arena_free(sheet->memory);
	*sheet = (struct sheet){0};
}

/* ---- planning */

static int by_key(const void *a, const void *b)
{
	const struct sheet_row *x = *(const struct sheet_row *const *)a, *y = *(const struct sheet_row *const *)b;
	int order = strcmp(x->set, y->set);

	if (order == 0)
		order = x->number < y->number ? -1 : x->number > y->number;
	if (order == 0)
		order = strcmp(x->lang, y->lang);
	return order;
}

static int by_key_and_row(const void *a, const void *b)
{
	const struct sheet_row *x = *(const struct sheet_row *const *)a, *y = *(const struct sheet_row *const *)b;
	int order = by_key(a, b);

	return order ? order : x->row < y->row ? -1 : 1;
}

static void find_doubles(struct sheet *sheet)
{
	const struct sheet_row **sorted = arena_array(sheet->memory, sheet->count, sizeof(const struct sheet_row *));

	for (size_t i = 0; i < sheet->count; i++)
		sorted[i] = &sheet->rows[i];
	qsort(sorted, sheet->count, sizeof *sorted, by_key_and_row);
	for (size_t i = 1; i < sheet->count; i++)
		if (by_key(&sorted[i - 1], &sorted[i]) == 0)
			sheet_fail(sheet, sorted[i]->row, SHEET_COLUMN_MAX, "message %lld of %s in %s is in row %lld already",
			    (long long)sorted[i]->number, sorted[i]->set, sorted[i]->lang, (long long)sorted[i - 1]->row);
}

/* Blanks around a key are the spreadsheet's, unless what is stored has them: older stores may. */
static void keep_stored_blanks(struct sheet *sheet, const struct catalogue *c)
{
	for (size_t i = 0; i < sheet->count; i++) {
		struct sheet_row *row = &sheet->rows[i];
		const struct catalogue_set *set;

		if (row->wide_set && catalogue_find_set(c, row->wide_set))
			row->set = row->wide_set;
		set = catalogue_find_set(c, row->set);
		if (set && row->wide_lang && catalogue_find_message(c, set, row->number, row->wide_lang))
			row->lang = row->wide_lang;
	}
}

static bool is_none(const char *text)
{
	return !text || !*text;
}

static bool same_text(const char *a, const char *b)
{
	return is_none(a) || is_none(b) ? is_none(a) && is_none(b) : strcmp(a, b) == 0;
}

/* The text as it is to be stored: without blanks around it; the old one where that is the same. */
static const char *plan_text(struct sheet *sheet, const struct sheet_row *row, const struct catalogue_message *old)
{
	const char *text;

	if (!sheet->has[SHEET_TEXT])
		return old ? old->text : NULL;
	if (old && same_text(row->text, old->text))
		return old->text;
	if (is_none(row->text))
		return old ? NULL : row->text;
	text = trimmed(sheet, row->text);
	if (old && same_text(text, old->text))
		return old->text;
	return *text ? text : NULL;
}

static int64_t plan_file(struct sheet *sheet, const struct catalogue *c, const struct sheet_row *row, const struct catalogue_message *old)
{
	const struct catalogue_binary *binary;

	if (old && (!sheet->has[SHEET_FILE] || same_text(row->file, old->file)))
		return old->binary_id;
	if (is_none(row->file))
		return 0;
	binary = catalogue_find_binary(c, row->file);
	if (!binary)
		sheet_fail(sheet, row->row, SHEET_FILE, "there is no binary content with the file \"%.200s\"; upload it first", row->file);
	return binary ? binary->id : 0;
}

static const char *plan_metadata(const struct sheet *sheet, const struct sheet_row *row, const struct catalogue_message *old)
{
	if (!sheet->has[SHEET_METADATA])
		return old ? old->metadata : "{}";
	return is_none(row->metadata) ? "{}" : row->metadata;
}

static void check_text(struct sheet *sheet, const struct sheet_row *row, const struct sheet_change *change)
{
	struct buf error;

	if (is_none(change->text))
		return;
	buf_init(&error, 2 * strlen(change->text) + 4096);
	if (content_check_special(change->text, &error))
		sheet_fail(sheet, row->row, SHEET_TEXT, "%s", buf_text(&error));
	buf_fini(&error);
	if (content_is_whatsapp(change->set->channel) && !content_fits_whatsapp(change->text))
		sheet_fail(sheet, row->row, SHEET_TEXT, "%s", CONTENT_WHATSAPP_ERROR);
}

static void check_change(struct sheet *sheet, const struct sheet_row *row, const struct sheet_change *change)
{
	if (!change->old || change->differs[SHEET_TEXT])
		check_text(sheet, row, change);
	if (is_none(change->text) && !change->binary_id && is_none(row->file))
		sheet_fail(sheet, row->row, sheet->has[SHEET_TEXT] ? SHEET_TEXT : SHEET_COLUMN_MAX, "a message must have a text or a file");
}

static void plan_row(struct sheet *sheet, const struct catalogue *c, const struct sheet_row *row, const struct catalogue_set *set,
    const struct catalogue_message *old, struct sheet_plan *plan)
{
	struct sheet_change change = {.action = old ? SHEET_CHANGE : SHEET_ADD, .set = set, .number = row->number, .lang = row->lang, .old = old};

	if (!old && (!row->text || is_blank(row->text)) && is_none(row->file) && is_none(row->metadata)) {
		plan->left_empty++;
		return;
	}
	change.text = plan_text(sheet, row, old);
	change.binary_id = plan_file(sheet, c, row, old);
	change.metadata = plan_metadata(sheet, row, old);
	if (old) {
		change.differs[SHEET_TEXT] = !same_text(change.text, old->text);
		change.differs[SHEET_FILE] = change.binary_id != old->binary_id;
		change.differs[SHEET_METADATA] = strcmp(change.metadata, old->metadata) != 0;
	}
	if (old && !change.differs[SHEET_TEXT] && !change.differs[SHEET_FILE] && !change.differs[SHEET_METADATA]) {
		plan->same++;
		return;
	}
	check_change(sheet, row, &change);
	plan->counts[change.action]++;
	plan->changes[plan->count++] = change;
}

/* What the sheet has rows of: a language of a set. */
struct part {
	size_t set;
	const char *lang;
};

static int by_part(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	if (x->set != y->set)
		return x->set < y->set ? -1 : 1;
	return strcmp(x->lang, y->lang);
}

/* Removes what has no row in the parts that have rows. */
static void plan_removals(const struct catalogue *c, const bool *listed, struct part *parts, size_t part_count, struct sheet_plan *plan)
{
	qsort(parts, part_count, sizeof *parts, by_part);
	for (size_t i = 0; i < c->message_count; i++) {
		const struct catalogue_message *m = &c->messages[i];
		const struct part part = {m->set, m->lang};

		if (listed[i] || !bsearch(&part, parts, part_count, sizeof *parts, by_part))
			continue;
		plan->counts[SHEET_REMOVE]++;
		plan->changes[plan->count++] = (struct sheet_change){.action = SHEET_REMOVE, .set = &c->sets[m->set], .number = m->number, .lang = m->lang, .old = m};
	}
}

void sheet_make_plan(struct sheet *sheet, const struct catalogue *c, bool remove, struct sheet_plan *plan)
{
	bool *listed = arena_array(sheet->memory, c->message_count, sizeof *listed);
	struct part *parts = arena_array(sheet->memory, sheet->count, sizeof *parts);
	size_t part_count = 0;

	*plan = (struct sheet_plan){.changes = calloc(sheet->count + c->message_count + 1, sizeof *plan->changes)};
	SBM_ASSERT(plan->changes);
	keep_stored_blanks(sheet, c);
	find_doubles(sheet);
	for (size_t i = 0; i < sheet->count; i++) {
		const struct sheet_row *row = &sheet->rows[i];
		const struct catalogue_set *set = catalogue_find_set(c, row->set);
		const struct catalogue_message *old = set ? catalogue_find_message(c, set, row->number, row->lang) : NULL;

		if (!set) {
			sheet_fail(sheet, row->row, SHEET_SET, "there is no message set \"%.100s\"", row->set);
			continue;
		}
		if (old)
			listed[old - c->messages] = true;
		parts[part_count++] = (struct part){(size_t)(set - c->sets), row->lang};
		plan_row(sheet, c, row, set, old, plan);
	}
	if (remove)
		plan_removals(c, listed, parts, part_count, plan);
}

void sheet_plan_free(struct sheet_plan *plan)
{
	free(plan->changes);
	*plan = (struct sheet_plan){0};
}
