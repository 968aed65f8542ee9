#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/arena.h"
#include "base/assert.h"
#include "base/settings.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* One harness for each parser: libFuzzer calls it with one input after the other. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An empty arena. Each allocation of it is a malloc, so that AddressSanitizer sees every overrun. */
static inline struct arena *
fuzz_arena(void)
{
	static struct arena *arena;

	if (!arena)
		arena = arena_create((size_t)64 << 20);
	arena_reset(arena);
	return arena;
}

/* The settings of a fresh install, for what asks them. */
static inline void
fuzz_settings(void)
{
	static bool loaded;
	char error[256];

	if (!loaded)
		SBM_ASSERT(settings_load(NULL, error, sizeof(error)) == 0);
	loaded = true;
}

/* The input as text, up to its first NUL, in memory that ends where it ends. */
static inline const char *
fuzz_text(struct arena *arena, const uint8_t *data, size_t size)
{
	const void *nul = size ? memchr(data, '\0', size) : NULL;

	return arena_strndup(arena, (const char *)data, nul ? (size_t)((const uint8_t *)nul - data) : size);
}

#endif
