#include "domain/catalogue.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

/* Content is made by people: this is room for a million messages. */
#define CATALOGUE_MEMORY ((size_t)2 << 30)

/* What has come from the database is in its collation, or in none. */
static int by_set_name(const void *a, const void *b)
{
	const struct catalogue_set *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int by_place(const void *a, const void *b)
{
	const struct catalogue_message *x = a, *y = b;

	if (x->set != y->set)
		return x->set < y->set ? -1 : 1;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return strcmp(x->lang, y->lang);
}

static int by_file(const void *a, const void *b)
{
	const struct catalogue_binary *x = a, *y = b;
	int order = strcmp(x->file, y->file);

	if (order == 0 && x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return order;
}

/* An index by id over the sets, which are sorted by name. */
struct by_id {
	int64_t id, next_id;
	size_t place;
};

static int by_id(const void *a, const void *b)
{
	const struct by_id *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static const char *copy(struct catalogue *c, const struct db_result *rows, int row, int column)
{
	return db_is_null(rows, row, column) ? NULL : arena_strdup(c->memory, db_text(rows, row, column));
}

static const struct by_id *find_id(const struct by_id *index, size_t count, int64_t id)
{
	const struct by_id wanted = {.id = id};

	return bsearch(&wanted, index, count, sizeof *index, by_id);
}

/* Sorts the sets, whose ids and next ids the index has in the order of reading, and joins them to chains. */
static void sort_sets(struct catalogue *c, struct by_id *index)
{
	qsort(index, c->set_count, sizeof *index, by_id);
	qsort(c->sets, c->set_count, sizeof *c->sets, by_set_name);
	for (size_t i = 0; i < c->set_count; i++)
		((struct by_id *)(uintptr_t)find_id(index, c->set_count, c->sets[i].id))->place = i;
	for (size_t i = 0; i < c->set_count; i++) {
		const struct by_id *next = find_id(index, c->set_count, index[i].next_id);

		c->sets[index[i].place].next = next ? &c->sets[next->place] : NULL;
	}
}

static enum db_status load_sets(struct db *db, struct catalogue *c, struct by_id **index)
{
	struct db_result *rows;
	enum db_status status = db_query(db, DB_Q_CATALOGUE_SETS, NULL, &rows);

	if (status != DB_OK)
		return status;
	c->set_count = (size_t)db_rows(rows);
	c->sets = arena_array(c->memory, c->set_count, sizeof *c->sets);
	*index = arena_array(c->memory, c->set_count, sizeof **index);
	for (int i = 0; i < db_rows(rows); i++) {
		(*index)[i] = (struct by_id){.id = db_int(rows, i, 0), .next_id = db_int(rows, i, 4)};
		c->sets[i] = (struct catalogue_set){
			.id = db_int(rows, i, 0),
			.name = copy(c, rows, i, 1),
			.audio = strcmp(db_text(rows, i, 2), "audio") == 0,
			.channel = copy(c, rows, i, 3),
		};
	}
	db_result_free(rows);
	sort_sets(c, *index);
	return DB_OK;
}

static enum db_status load_messages(struct db *db, struct catalogue *c, const struct by_id *index)
{
	struct db_result *rows;
	enum db_status status = db_query(db, DB_Q_CATALOGUE_MESSAGES, NULL, &rows);

	if (status != DB_OK)
		return status;
	c->messages = arena_array(c->memory, (size_t)db_rows(rows), sizeof *c->messages);
	for (int i = 0; i < db_rows(rows); i++) {
		const struct by_id *set = find_id(index, c->set_count, db_int(rows, i, 1));

		/* A set that was made since the sets were read. */
		if (!set)
			continue;
		c->messages[c->message_count++] = (struct catalogue_message){
			.id = db_int(rows, i, 0),
			.set = set->place,
			.number = db_int(rows, i, 2),
			.lang = copy(c, rows, i, 3),
			.text = copy(c, rows, i, 4),
			.binary_id = db_int(rows, i, 5),
			.file = copy(c, rows, i, 6),
			.metadata = copy(c, rows, i, 7),
		};
	}
	db_result_free(rows);
	qsort(c->messages, c->message_count, sizeof *c->messages, by_place);
	return DB_OK;
}

static enum db_status load_binaries(struct db *db, struct catalogue *c)
{
	struct db_result *rows;
	enum db_status status = db_query(db, DB_Q_CATALOGUE_BINARIES, NULL, &rows);

	if (status != DB_OK)
		return status;
	c->binary_count = (size_t)db_rows(rows);
	c->binaries = arena_array(c->memory, c->binary_count, sizeof *c->binaries);
	for (int i = 0; i < db_rows(rows); i++)
		c->binaries[i] = (struct catalogue_binary){db_int(rows, i, 0), copy(c, rows, i, 1)};
	db_result_free(rows);
	qsort(c->binaries, c->binary_count, sizeof *c->binaries, by_file);
	return DB_OK;
}

enum db_status catalogue_load(struct db *db, struct catalogue *out)
{
	struct by_id *index = NULL;
	enum db_status status;

	*out = (struct catalogue){.memory = arena_create(CATALOGUE_MEMORY)};
	status = load_sets(db, out, &index);
	if (status == DB_OK)
		status = load_messages(db, out, index);
	if (status == DB_OK)
		status = load_binaries(db, out);
	if (status != DB_OK)
		catalogue_free(out);
	return status;
}

void catalogue_free(struct catalogue *c)
{
	arena_free(c->memory);
	*c = (struct catalogue){0};
}

const struct catalogue_set *catalogue_find_set(const struct catalogue *c, const char *name)
{
	const struct catalogue_set wanted = {.name = name};

	return bsearch(&wanted, c->sets, c->set_count, sizeof *c->sets, by_set_name);
}

const struct catalogue_message *catalogue_find_message(const struct catalogue *c, const struct catalogue_set *set, int64_t number, const char *lang)
{
	const struct catalogue_message wanted = {.set = (size_t)(set - c->sets), .number = number, .lang = lang};

	return bsearch(&wanted, c->messages, c->message_count, sizeof *c->messages, by_place);
}

const struct catalogue_binary *catalogue_find_binary(const struct catalogue *c, const char *file)
{
	size_t low = 0, high = c->binary_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(c->binaries[middle].file, file) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->binary_count && strcmp(c->binaries[low].file, file) == 0 ? &c->binaries[low] : NULL;
}
