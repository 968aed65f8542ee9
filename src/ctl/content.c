#include "config.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/parse.h"
#include "ctl/ctl.h"
#include "ctl/messageset.h"
#include "domain/content.h"
#include "domain/sheet.h"
#include "io/db.h"
#include "io/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The largest sheet; one that is larger can be cut by message sets. */
#define FILE_MAX ((size_t)128 << 20)
#define SHEET_TEXT_MAX ((size_t)1 << 30)
#define NAME_MAX_CHARACTERS 100
/* Rows that one statement writes. */
#define CHUNK 1000
#define CHUNK_BYTES ((size_t)512 << 20)

static int read_separator(const struct ctl_args *args, char *separator)
{
	static const struct {
		const char *name;
		char separator;
	} separators[] = {{"comma", ','}, {"semicolon", ';'}, {"tab", '\t'}, {",", ','}, {";", ';'}, {"\t", '\t'}};
	const char *name = ctl_value(args, "separator");

	*separator = ',';
	if (!name)
		return CTL_OK;
	for (size_t i = 0; i < sizeof separators / sizeof *separators; i++)
		if (strcmp(separators[i].name, name) == 0) {
			*separator = separators[i].separator;
			return CTL_OK;
		}
	return ctl_usage("--separator: expected comma, semicolon or tab, not \"%.32s\"", name);
}

static int load(struct ctl *ctl, struct catalogue *content)
{
	return catalogue_load(ctl->db, content) == DB_OK ? CTL_OK : ctl_db_failed(ctl, "read the content");
}

/* Whether an option that may be repeated was given with this value, or was not given at all. */
static bool is_wanted(const struct ctl_args *args, const char *option, const char *value)
{
	return !ctl_has(args, option) || ctl_has_value(args, option, value);
}

/* ---- export */

static int check_langs(const struct ctl_args *args)
{
	for (int i = 0; i < args->option_count; i++) {
		const char *name = args->options[i].name, *lang = args->options[i].value;

		if (strcmp(name, "add-lang") == 0 && (!*lang || !utf8_is_valid(lang, strlen(lang)) || utf8_length(lang) > SHEET_LANG_MAX))
			return ctl_usage("--add-lang: expected a language of at most %d characters", SHEET_LANG_MAX);
	}
	return CTL_OK;
}

static void put_message(const struct catalogue *content, const struct catalogue_message *m, char separator, struct buf *out)
{
	const struct sheet_row row = {
		.set = content->sets[m->set].name,
		.number = m->number,
		.lang = m->lang,
		.text = m->text,
		.file = m->file,
		.metadata = strcmp(m->metadata, "{}") == 0 ? NULL : m->metadata,
	};

	sheet_put_row(out, &row, separator);
}

/* Whether an option was given with the same value before. */
static bool is_repeated(const struct ctl_args *args, int option)
{
	for (int i = 0; i < option; i++)
		if (strcmp(args->options[i].name, args->options[option].name) == 0 && strcmp(args->options[i].value, args->options[option].value) == 0)
			return true;
	return false;
}

/* Rows to be filled in, after those of a number, in the languages of --add-lang that have none. */
static void put_empty_rows(const struct ctl_args *args, const struct catalogue *content, const struct catalogue_message *m, char separator, struct buf *out)
{
	const struct catalogue_set *set = &content->sets[m->set];

	for (int i = 0; i < args->option_count; i++) {
		struct sheet_row row = {.set = set->name, .number = m->number, .lang = args->options[i].value};

		if (strcmp(args->options[i].name, "add-lang") != 0 || is_repeated(args, i))
			continue;
		if (!catalogue_find_message(content, set, m->number, row.lang))
			sheet_put_row(out, &row, separator);
	}
}

static bool is_last_of_number(const struct catalogue *content, size_t i)
{
	return i + 1 == content->message_count || content->messages[i + 1].set != content->messages[i].set
		|| content->messages[i + 1].number != content->messages[i].number;
}

static int64_t put_messages(const struct ctl_args *args, const int64_t *sets, const struct catalogue *content, char separator, struct buf *out)
{
	int64_t count = 0;

	for (size_t i = 0; i < content->message_count; i++) {
		const struct catalogue_message *m = &content->messages[i];

		if (!ctl_messageset_is_wanted(sets, content->sets[m->set].id))
			continue;
		if (is_wanted(args, "lang", m->lang)) {
			put_message(content, m, separator, out);
			count++;
		}
		if (is_last_of_number(content, i))
			put_empty_rows(args, content, m, separator, out);
	}
	return count;
}

static int write_out(const char *path, const struct buf *out)
{
	FILE *file = path ? fopen(path, "we") : stdout;
	bool failed;

	if (!file)
		return ctl_fail("could not write \"%s\": %s", path, strerror(errno));
	failed = fwrite(buf_text(out), 1, out->length, file) != out->length;
	if (path)
		failed = fclose(file) != 0 || failed;
	else
		failed = fflush(file) != 0 || failed;
	return failed ? ctl_fail("could not write %s: %s", path ? path : "to standard output", strerror(errno)) : CTL_OK;
}

int ctl_content_export(struct ctl *ctl, const struct ctl_args *args)
{
	const char *path = ctl_value(args, "output");
	int64_t sets[CTL_OPTIONS_MAX], count;
	struct catalogue content;
	struct buf out;
	char separator;
	int rc;

	if (read_separator(args, &separator) || check_langs(args))
		return CTL_USAGE;
	if (!ctl_db(ctl) || ctl_messagesets(ctl, args, sets) || load(ctl, &content))
		return CTL_FAILED;
	buf_init(&out, SHEET_TEXT_MAX);
	if (ctl_has(args, "bom"))
		buf_puts(&out, "\xef\xbb\xbf");
	sheet_put_head(&out, separator);
	count = put_messages(args, sets, &content, separator, &out);
	rc = out.overflow ? ctl_fail("the content is larger than a sheet may be; name message sets") : write_out(path, &out);
	if (!rc && path)
		printf("%" PRId64 " messages were written to %s\n", count, path);
	buf_fini(&out);
	catalogue_free(&content);
	return rc;
}

/* ---- import */

static int read_file(const char *path, struct buf *bytes)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *file = standard ? stdin : fopen(path, "re");
	char piece[65536];
	int rc = CTL_OK;
	size_t n;

	if (!file)
		return ctl_fail("could not open \"%s\": %s", path, strerror(errno));
	while ((n = fread(piece, 1, sizeof piece, file)) > 0)
		buf_put(bytes, piece, n);
	if (ferror(file))
		rc = ctl_fail("could not read \"%s\": %s", path, strerror(errno));
	else if (bytes->overflow)
		rc = ctl_fail("\"%s\" is larger than %zu MiB; take it in by parts, as of single message sets", path, FILE_MAX >> 20);
	if (!standard)
		fclose(file);
	return rc;
}

/* What is wrong with a JSON text, "" for nothing. */
static void check_json(const char *text, char *error, size_t size)
{
	json_t *json = NULL;
	enum json_problem problem;

	*error = '\0';
	problem = json_read(text, strlen(text), &json, error, size);
	if (problem == JSON_TOO_DEEP)
		snprintf(error, size, "it is nested deeper than %d", JSON_DEPTH_MAX);
	else if (problem == JSON_FINE && json_has_infinite(json))
		snprintf(error, size, "it holds a number that is too large");
	json_decref(json);
}

/* Brings the metadata of a row into the form that PostgreSQL gives it. */
static int normalize(struct ctl *ctl, struct sheet *sheet, struct sheet_row *row)
{
	struct db_result *result;
	struct db_params params;
	enum db_status status;
	char error[160];

	check_json(row->metadata, error, sizeof error);
	if (*error) {
		sheet_fail(sheet, row->row, SHEET_METADATA, "this is not JSON that can be taken: %s", error);
		return CTL_OK;
	}
	db_params_init(&params);
	db_param_text(&params, row->metadata);
	status = db_query(ctl->db, DB_Q_IMPORT_JSON, &params, &result);
	if (status == DB_BAD_VALUE)
		sheet_fail(sheet, row->row, SHEET_METADATA, "the database does not take this: %s", db_message(ctl->db));
	else if (status != DB_OK)
		return ctl_db_failed(ctl, "look at the metadata");
	if (status == DB_OK) {
		row->metadata = arena_strdup(sheet->memory, db_text(result, 0, 0));
		db_result_free(result);
	}
	return CTL_OK;
}

static int normalize_all(struct ctl *ctl, struct sheet *sheet)
{
	int rc = CTL_OK;

	for (size_t i = 0; i < sheet->count && !rc; i++)
		if (sheet->rows[i].metadata && *sheet->rows[i].metadata)
			rc = normalize(ctl, sheet, &sheet->rows[i]);
	return rc;
}

/* FILE: row 7, text_content: ... */
static int tell_errors(struct sheet *sheet, const char *path)
{
	sheet_sort_errors(sheet);
	for (size_t i = 0; i < sheet->error_count && i < SHEET_ERRORS_MAX; i++) {
		const struct sheet_error *e = &sheet->errors[i];

		fprintf(stderr, "%s: ", path);
		if (e->row)
			fprintf(stderr, "row %" PRId64 "%s%s: ", e->row, e->column < SHEET_COLUMN_MAX ? ", " : "",
				e->column < SHEET_COLUMN_MAX ? sheet_column_names[e->column] : "");
		fprintf(stderr, "%s\n", e->text);
	}
	if (sheet->error_count > SHEET_ERRORS_MAX)
		fprintf(stderr, "%s: and %zu more\n", path, sheet->error_count - SHEET_ERRORS_MAX);
	return ctl_fail("nothing was changed: the sheet has %zu error%s", sheet->error_count, sheet->error_count == 1 ? "" : "s");
}

static const char *const action_words[SHEET_ACTION_MAX] = {"new", "changed", "removed"};

static void show_plan(const struct sheet_plan *plan, bool json)
{
	static const struct table_column columns[] = {
		{"action", TABLE_TEXT}, {"messageset", TABLE_TEXT}, {"sequence_number", TABLE_NUMBER}, {"lang", TABLE_TEXT}, {"columns", TABLE_WORDS}, {0}
	};
	struct table table;

	table_init(&table, columns);
	for (size_t i = 0; i < plan->count; i++) {
		const struct sheet_change *change = &plan->changes[i];
		char number[24], differs[64] = "";

		snprintf(number, sizeof number, "%" PRId64, change->number);
		for (int column = 0; column < SHEET_COLUMN_MAX; column++)
			if (change->differs[column])
				snprintf(differs + strlen(differs), sizeof differs - strlen(differs), "%s%s", *differs ? "," : "", sheet_column_names[column]);
		table_add(&table, (const char *[]){action_words[change->action], change->set->name, number, change->lang, differs});
	}
	if (json || table.count)
		table_show(&table, json);
	table_fini(&table);
}

static void put_int_or_null(struct buf *array, int64_t number)
{
	if (number)
		db_array_put_int(array, number);
	else
		db_array_put(array, NULL);
}

/* Columns of the arrays that the statements take. */
enum { A_ID, A_SET, A_NUMBER, A_LANG, A_TEXT, A_BINARY, A_METADATA, A_MAX };

static const struct {
	enum db_query query;
	int arrays[A_MAX + 1]; /* ended by A_MAX */
	bool timed;
} writers[SHEET_ACTION_MAX] = {
	[SHEET_ADD] = {DB_Q_IMPORT_ADD, {A_SET, A_NUMBER, A_LANG, A_TEXT, A_BINARY, A_METADATA, A_MAX}, true},
	[SHEET_CHANGE] = {DB_Q_IMPORT_CHANGE, {A_ID, A_TEXT, A_BINARY, A_METADATA, A_MAX}, true},
	[SHEET_REMOVE] = {DB_Q_IMPORT_REMOVE, {A_ID, A_MAX}, false},
};

static void put_change(struct buf arrays[A_MAX], const struct sheet_change *change)
{
	db_array_put_int(&arrays[A_ID], change->old ? change->old->id : 0);
	db_array_put_int(&arrays[A_SET], change->set->id);
	db_array_put_int(&arrays[A_NUMBER], change->number);
	db_array_put(&arrays[A_LANG], change->lang);
	db_array_put(&arrays[A_TEXT], change->text);
	put_int_or_null(&arrays[A_BINARY], change->binary_id);
	db_array_put(&arrays[A_METADATA], change->metadata);
}

/* Writes some changes of one action, from *at on, which moves behind them. */
static int write_chunk(struct ctl *ctl, const struct sheet_plan *plan, enum sheet_action action, size_t *at, int64_t now)
{
	struct buf arrays[A_MAX];
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status = DB_OK;
	int count = 0, rc = CTL_OK;

	for (int i = 0; i < A_MAX; i++) {
		buf_init(&arrays[i], CHUNK_BYTES);
		db_array_begin(&arrays[i]);
	}
	for (; *at < plan->count && count < CHUNK; (*at)++)
		if (plan->changes[*at].action == action) {
			put_change(arrays, &plan->changes[*at]);
			count++;
		}
	db_params_init(&params);
	for (const int *a = writers[action].arrays; *a != A_MAX; a++) {
		db_array_end(&arrays[*a]);
		db_param_text(&params, buf_text(&arrays[*a]));
	}
	if (writers[action].timed)
		db_param_time(&params, now);
	if (count)
		status = db_query(ctl->db, writers[action].query, &params, &result);
	if (status != DB_OK)
		rc = ctl_db_failed(ctl, "write the messages");
	else if (count && db_affected(result) != count)
		rc = ctl_fail("could not write the messages: some of them are gone");
	db_result_free(result);
	for (int i = 0; i < A_MAX; i++)
		buf_fini(&arrays[i]);
	return rc;
}

static int write_plan(struct ctl *ctl, const struct sheet_plan *plan)
{
	static const enum sheet_action order[] = {SHEET_REMOVE, SHEET_CHANGE, SHEET_ADD};
	int64_t now = clock_now();
	int rc = CTL_OK;

	for (size_t i = 0; i < sizeof order / sizeof *order; i++)
		for (size_t at = 0; at < plan->count && !rc;)
			rc = write_chunk(ctl, plan, order[i], &at, now);
	return rc;
}

static void tell_sums(const struct sheet_plan *plan, bool acted)
{
	size_t new = plan->counts[SHEET_ADD], changed = plan->counts[SHEET_CHANGE], removed = plan->counts[SHEET_REMOVE];

	if (!plan->count)
		fprintf(stderr, "sbmctl: there is nothing to change\n");
	else if (acted)
		fprintf(stderr, "sbmctl: added %zu, changed %zu and removed %zu messages\n", new, changed, removed);
	else
		ctl_would("add %zu, change %zu and remove %zu messages", new, changed, removed);
	fprintf(stderr, "sbmctl: %zu row%s as stored, %zu not filled in\n", plan->same, plan->same == 1 ? "" : "s", plan->left_empty);
}

/* Compares the sheet with what is stored, and with --yes writes it. In a transaction when it writes. */
static int bring_in(struct ctl *ctl, const struct ctl_args *args, struct sheet *sheet)
{
	bool act = ctl_yes(args);
	struct catalogue content;
	struct sheet_plan plan;
	int rc;

	if (act && db_query(ctl->db, DB_Q_IMPORT_LOCK, NULL, NULL) != DB_OK)
		return ctl_db_failed(ctl, "lock the messages");
	if (load(ctl, &content))
		return CTL_FAILED;
	sheet_make_plan(sheet, &content, ctl_has(args, "remove"), &plan);
	rc = sheet->error_count ? tell_errors(sheet, args->operands[0]) : CTL_OK;
	if (!rc && act)
		rc = write_plan(ctl, &plan);
	if (!rc && act && db_commit(ctl->db) != DB_OK)
		rc = ctl_db_failed(ctl, "commit the messages");
	if (!rc) {
		show_plan(&plan, ctl_has(args, "json"));
		tell_sums(&plan, act);
	}
	sheet_plan_free(&plan);
	catalogue_free(&content);
	return rc;
}

static int import_sheet(struct ctl *ctl, const struct ctl_args *args, struct sheet *sheet)
{
	int rc;

	if (normalize_all(ctl, sheet))
		return CTL_FAILED;
	if (!ctl_yes(args))
		return bring_in(ctl, args, sheet);
	if (db_begin(ctl->db) != DB_OK)
		return ctl_db_failed(ctl, "begin a transaction");
	rc = bring_in(ctl, args, sheet);
	if (rc)
		db_rollback(ctl->db);
	return rc;
}

int ctl_content_import(struct ctl *ctl, const struct ctl_args *args)
{
	struct sheet sheet;
	struct buf bytes;
	char separator;
	int rc;

	if (read_separator(args, &separator))
		return CTL_USAGE;
	if (!ctl_db(ctl))
		return CTL_FAILED;
	buf_init(&bytes, FILE_MAX);
	rc = read_file(args->operands[0], &bytes);
	if (!rc) {
		sheet_read(&sheet, buf_text(&bytes), bytes.length, separator);
		rc = import_sheet(ctl, args, &sheet);
		sheet_free(&sheet);
	}
	buf_fini(&bytes);
	return rc;
}

/* ---- clone */

static bool is_name(const char *name, size_t most)
{
	size_t n = strlen(name), trimmed;

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return false;
	if (!utf8_is_valid(name, n))
		return false;
	content_trim(name, &trimmed);
	return trimmed == n && utf8_length(name) <= most;
}

static int count_messages(struct ctl *ctl, int64_t from, const char *to, int64_t *count)
{
	struct catalogue content;
	int rc = CTL_OK;

	if (load(ctl, &content))
		return CTL_FAILED;
	*count = 0;
	for (size_t i = 0; i < content.message_count; i++)
		*count += content.sets[content.messages[i].set].id == from;
	if (catalogue_find_set(&content, to))
		rc = ctl_fail("there is a message set \"%s\" already", to);
	catalogue_free(&content);
	return rc;
}

static int clone_set(struct ctl *ctl, int64_t from, const char *to, const char *label, int64_t now, int64_t *id)
{
	struct db_result *result;
	struct db_params params;
	enum db_status status;
	int rc = CTL_OK;

	db_params_init(&params);
	db_param_int(&params, from);
	db_param_text(&params, to);
	db_param_text(&params, label);
	db_param_time(&params, now);
	status = db_query(ctl->db, DB_Q_CLONE_SET, &params, &result);
	if (status == DB_UNIQUE)
		return ctl_fail("there is a message set \"%s\" already", to);
	if (status != DB_OK)
		return ctl_db_failed(ctl, "make the message set");
	if (db_rows(result) == 0)
		rc = ctl_fail("message set %" PRId64 " was deleted meanwhile", from);
	else
		*id = db_int(result, 0, 0);
	db_result_free(result);
	return rc;
}

static int clone_messages(struct ctl *ctl, int64_t from, int64_t id, int64_t now, int64_t *count)
{
	struct db_result *result;
	struct db_params params;

	db_params_init(&params);
	db_param_int(&params, from);
	db_param_int(&params, id);
	db_param_time(&params, now);
	if (db_query(ctl->db, DB_Q_CLONE_MESSAGES, &params, &result) != DB_OK)
		return ctl_db_failed(ctl, "copy the messages");
	*count = db_affected(result);
	db_result_free(result);
	return CTL_OK;
}

int ctl_content_clone(struct ctl *ctl, const struct ctl_args *args)
{
	const char *to = args->operands[1], *label = ctl_value(args, "label");
	int64_t now, from, id = 0, count;
	int rc;

	if (!*to || !is_name(to, NAME_MAX_CHARACTERS))
		return ctl_usage("a message set's name is UTF-8 of 1 to %d characters without control characters, and without blanks around it", NAME_MAX_CHARACTERS);
	if (label && !is_name(label, NAME_MAX_CHARACTERS))
		return ctl_usage("--label: expected at most %d characters of UTF-8", NAME_MAX_CHARACTERS);
	if (!ctl_db(ctl) || ctl_messageset(ctl, args->operands[0], &from) || count_messages(ctl, from, to, &count))
		return CTL_FAILED;
	if (!ctl_yes(args))
		return ctl_would("make the message set \"%s\" with %" PRId64 " messages", to, count);
	now = clock_now();
	if (db_begin(ctl->db) != DB_OK)
		return ctl_db_failed(ctl, "begin a transaction");
	rc = clone_set(ctl, from, to, label, now, &id);
	if (!rc)
		rc = clone_messages(ctl, from, id, now, &count);
	if (rc)
		db_rollback(ctl->db);
	else if (db_commit(ctl->db) != DB_OK)
		return ctl_db_failed(ctl, "commit the message set");
	else
		printf("message set %" PRId64 " \"%s\" has %" PRId64 " messages\n", id, to, count);
	return rc;
}
