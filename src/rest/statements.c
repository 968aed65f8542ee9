#include "rest/kit.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

#define STATEMENTS_MAX 1024 /* a power of two; at most half of it is used */

struct statements {
	int count;
	struct db_stmt slots[STATEMENTS_MAX];
};

static size_t
slot_of(const char *name)
{
	size_t hash = 14695981039346656037u;

	while (*name)
		hash = (hash ^ (unsigned char)*name++) * 1099511628211u;
	return hash & (STATEMENTS_MAX - 1);
}

struct statements *
statements_create(void)
{
	struct statements *s = calloc(1, sizeof *s);

	SBM_ASSERT(s);
	return s;
}

void
statements_free(struct statements *s)
{
	for (int i = 0; s && i < STATEMENTS_MAX; i++) {
		free((char *)(uintptr_t)s->slots[i].name);
		free((char *)(uintptr_t)s->slots[i].sql);
	}
	free(s);
}

const struct db_stmt *
statements_find(const struct statements *s, const char *name)
{
	for (size_t i = slot_of(name); s->slots[i].name; i = (i + 1) & (STATEMENTS_MAX - 1))
		if (strcmp(s->slots[i].name, name) == 0)
			return &s->slots[i];
	return NULL;
}

const struct db_stmt *
statements_keep(struct req *r, const char *name, const char *sql)
{
	struct statements *s = r->rest->statements;
	size_t i = slot_of(name);

	if (s->count == STATEMENTS_MAX / 2) {
		struct db_stmt *once = arena_alloc(r->arena, sizeof *once);

		once->sql = arena_strdup(r->arena, sql);
		return once;
	}
	while (s->slots[i].name)
		i = (i + 1) & (STATEMENTS_MAX - 1);
	s->slots[i] = (struct db_stmt){strdup(name), strdup(sql)};
	SBM_ASSERT(s->slots[i].name && s->slots[i].sql);
	s->count++;
	return &s->slots[i];
}
