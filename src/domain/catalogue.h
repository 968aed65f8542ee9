#ifndef DOMAIN_CATALOGUE_H
#define DOMAIN_CATALOGUE_H

#include "io/db.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All content at once, for those who look at it as a whole: message sets, their messages, and files. */

struct arena;

struct catalogue_set {
	int64_t id;
	const char *name;    /* short_name */
	bool audio;
	const char *channel; /* NULL for none */
	const struct catalogue_set *next; /* NULL for none */
};

struct catalogue_message {
	int64_t id;
	size_t set;           /* place */
	int64_t number;       /* in the sequence */
	const char *lang;
	const char *text;     /* NULL for none */
	int64_t binary_id;    /* 0 for none */
	const char *file;     /* name of the binary content's file; NULL for none */
	const char *metadata; /* JSON as PostgreSQL writes it */
};

struct catalogue_binary {
	int64_t id;
	const char *file;
};

struct catalogue {
	struct arena *memory; /* of all that is below */
	struct catalogue_set *sets;         /* by name, in the order of strcmp */
	size_t set_count;
	struct catalogue_message *messages; /* by set, number, language */
	size_t message_count;
	struct catalogue_binary *binaries;  /* by file, then id */
	size_t binary_count;
};

/* With DB_OK, *out is the caller's: catalogue_free. */
enum db_status catalogue_load(struct db *, struct catalogue *out);
void catalogue_free(struct catalogue *);

/* NULL when there is none; of several files of that name, the one with the lowest id. */
const struct catalogue_set *catalogue_find_set(const struct catalogue *, const char *name);
const struct catalogue_message *catalogue_find_message(const struct catalogue *, const struct catalogue_set *, int64_t number, const char *lang);
const struct catalogue_binary *catalogue_find_binary(const struct catalogue *, const char *file);

#endif
