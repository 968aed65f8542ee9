#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A growing buffer with a maximum. When a put would go over it, nothing is written, `overflow` is set and
 * stays so, and all further puts do nothing: check once, at the end. Out of memory logs and aborts.
 */
struct buf {
	char *data;    /* always NUL-terminated once something was put; NULL before */
	size_t length; /* without the NUL */
	size_t size;
	size_t max;
	bool overflow;
};

void buf_init(struct buf *, size_t max);
void buf_fini(struct buf *);
/* Empties it and clears overflow; keeps the memory. */
void buf_reset(struct buf *);
/* The text, "" when nothing was put. Borrowed until the next put. */
const char *buf_text(const struct buf *);

void buf_put(struct buf *, const void *, size_t n);
void buf_puts(struct buf *, const char *);
void buf_putc(struct buf *, char);
void buf_put_int(struct buf *, int64_t);
void buf_printf(struct buf *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The text as a JSON string with its quotes; escapes ", \ and control characters only. */
void buf_put_json(struct buf *, const char *text);
void buf_put_json_n(struct buf *, const char *text, size_t n);
/* Percent-encoded as a path segment or query value: all but RFC 3986's unreserved characters. */
void buf_put_url(struct buf *, const char *text);

#endif
