#include "config.h"

#include "base/arena.h"

#include "base/assert.h"
#include "base/log.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)32 * 1024)
#define ALIGNMENT _Alignof(max_align_t)

struct block {
	struct block *next;
	size_t size, used;
	_Alignas(max_align_t) unsigned char data[];
};

struct owned {
	struct owned *next;
	void (*release)(void *);
	void *object;
};

struct arena {
	size_t max, held;
	struct block *blocks; /* the newest first */
	struct owned *owned;  /* the newest first */
};

static _Noreturn void out_of_memory(size_t n)
{
	log_err("out of memory", log_int("bytes", (int64_t)n));
	abort();
}

static void *checked_malloc(size_t n)
{
	void *p = malloc(n);

	if (!p)
		out_of_memory(n);
	return p;
}

struct arena *arena_create(size_t max)
{
	struct arena *arena = checked_malloc(sizeof(*arena));

	*arena = (struct arena){.max = max};
	return arena;
}

void arena_free(struct arena *arena)
{
	if (!arena)
		return;
	arena_reset(arena);
	free(arena->blocks);
	free(arena);
}

#ifdef SBM_ARENA_MALLOC
static bool is_kept(const struct block *block)
{
	(void)block;
	return false;
}

static struct block *find_room(struct arena *arena, size_t n)
{
	struct block *block = checked_malloc(sizeof(*block) + n);

	*block = (struct block){.next = arena->blocks, .size = n};
	return arena->blocks = block;
}
#else
static bool is_kept(const struct block *block)
{
	return !block->next && block->size == BLOCK_SIZE;
}

static struct block *find_room(struct arena *arena, size_t n)
{
	struct block *block = arena->blocks;
	size_t size = n > BLOCK_SIZE ? n : BLOCK_SIZE;

	if (block && block->size - block->used >= n)
		return block;
	block = checked_malloc(sizeof(*block) + size);
	*block = (struct block){.next = arena->blocks, .size = size};
	return arena->blocks = block;
}
#endif

void arena_reset(struct arena *arena)
{
	struct owned *owned = arena->owned;

	arena->owned = NULL;
	for (; owned; owned = owned->next)
		owned->release(owned->object);
	while (arena->blocks && !is_kept(arena->blocks)) {
		struct block *next = arena->blocks->next;

		free(arena->blocks);
		arena->blocks = next;
	}
	if (arena->blocks)
		arena->blocks->used = 0;
	arena->held = 0;
}

void *arena_alloc(struct arena *arena, size_t n)
{
	struct block *block;
	void *p;

	SBM_ASSERT(n <= arena->max - arena->held);
	arena->held += n;
#ifndef SBM_ARENA_MALLOC
	/* Exact sizes are kept only where AddressSanitizer looks at them. */
	n = (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
#endif
	block = find_room(arena, n);
	p = block->data + block->used;
	block->used += n;
	return memset(p, 0, n);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
	SBM_ASSERT(size == 0 || count <= SIZE_MAX / size);
	return arena_alloc(arena, count * size);
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return arena_strndup(arena, text, strlen(text));
}

char *arena_strndup(struct arena *arena, const char *text, size_t n)
{
	char *copy = arena_alloc(arena, n + 1);

	memcpy(copy, text, n);
	return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list ap, again;
	char *text;
	int n;

	va_start(ap, format);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	SBM_ASSERT(n >= 0);
	text = arena_alloc(arena, (size_t)n + 1);
	vsnprintf(text, (size_t)n + 1, format, again);
	va_end(again);
	return text;
}

void arena_own(struct arena *arena, void (*release)(void *), void *object)
{
	struct owned *owned;

	if (!object)
		return;
	owned = arena_alloc(arena, sizeof(*owned));
	*owned = (struct owned){arena->owned, release, object};
	arena->owned = owned;
}
