#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

/*
 * Memory that lives as long as one request: everything is freed at once by arena_reset.  Nothing here
 * returns NULL: running out of memory, or over the arena's maximum (our bug: what comes from outside is
 * bounded before), logs and aborts.  With SBM_ARENA_MALLOC each allocation is a malloc of its own.
 */
struct arena;

/* max: most bytes that it may hold at a time. Freed by arena_free; arena_free(NULL) does nothing. */
struct arena *arena_create(size_t max);
void arena_free(struct arena *);
/* Frees all allocations and calls the owners' functions, last first; keeps one block for the next request. */
void arena_reset(struct arena *);

/* Zeroed memory, aligned for any type. n may be 0. */
void *arena_alloc(struct arena *, size_t n);
/* Zeroed array; the product is checked. */
void *arena_array(struct arena *, size_t count, size_t size);
char *arena_strdup(struct arena *, const char *);
/* Copy of n bytes with a NUL added. */
char *arena_strndup(struct arena *, const char *, size_t n);
char *arena_printf(struct arena *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Calls release(object) at the next reset: the arena owns the object from now on. object may be NULL. */
void arena_own(struct arena *, void (*release)(void *), void *object);

#endif
