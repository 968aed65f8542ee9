#include "base/buf.h"

#include "base/assert.h"
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 256

void buf_init(struct buf *buf, size_t max)
{
	*buf = (struct buf){.max = max};
}

void buf_fini(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){.max = buf->max};
}

void buf_reset(struct buf *buf)
{
	buf->length = 0;
	buf->overflow = false;
	if (buf->data)
		buf->data[0] = '\0';
}

const char *buf_text(const struct buf *buf)
{
	return buf->data ? buf->data : "";
}

/* Makes room for n more bytes and a NUL. False when that would go over the maximum. */
static bool reserve(struct buf *buf, size_t n)
{
	size_t size;
	char *data;

	/* size is never more than max and a NUL. */
	if (!buf->overflow && n < buf->size - buf->length)
		return true;
	if (buf->overflow || n > buf->max - buf->length) {
		buf->overflow = true;
		return false;
	}
	size = buf->size ? buf->size : FIRST_SIZE;
	while (size <= buf->length + n)
		size *= 2;
	if (size > buf->max + 1)
		size = buf->max + 1;
	data = realloc(buf->data, size);
	if (!data) {
		log_err("out of memory", log_int("bytes", (int64_t)size));
		abort();
	}
	buf->data = data;
	buf->size = size;
	return true;
}

void buf_put(struct buf *buf, const void *bytes, size_t n)
{
	if (!reserve(buf, n))
		return;
	if (n)
		memcpy(buf->data + buf->length, bytes, n);
	buf->length += n;
	buf->data[buf->length] = '\0';
}

void buf_puts(struct buf *buf, const char *text)
{
	buf_put(buf, text, strlen(text));
}

void buf_putc(struct buf *buf, char c)
{
	/* Mostly there is room: answers are made of single characters and short pieces. */
	if (!buf->overflow && buf->length + 1 < buf->size) {
		buf->data[buf->length++] = c;
		buf->data[buf->length] = '\0';
		return;
	}
	buf_put(buf, &c, 1);
}

void buf_put_int(struct buf *buf, int64_t number)
{
	char text[20], *p = text + sizeof(text);
	uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

	do
		*--p = (char)('0' + rest % 10);
	while (rest /= 10);
	if (number < 0)
		*--p = '-';
	buf_put(buf, p, (size_t)(text + sizeof(text) - p));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	size_t room = buf->overflow || !buf->data ? 0 : buf->size - buf->length;
	va_list ap, again;
	int n;

	va_start(ap, format);
	va_copy(again, ap);
	/* Mostly it fits into what is there. */
	n = vsnprintf(room ? buf->data + buf->length : NULL, room, format, ap);
	va_end(ap);
	SBM_ASSERT(n >= 0);
	if (!reserve(buf, (size_t)n)) {
		if (room)
			buf->data[buf->length] = '\0';
	} else {
		if ((size_t)n >= room)
			vsnprintf(buf->data + buf->length, (size_t)n + 1, format, again);
		buf->length += (size_t)n;
	}
	va_end(again);
}

void buf_put_json(struct buf *buf, const char *text)
{
	buf_put_json_n(buf, text, strlen(text));
}

static void put_json_escape(struct buf *buf, unsigned char c)
{
	static const char short_forms[] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['"'] = '"', ['\\'] = '\\'};

	if (c < sizeof(short_forms) && short_forms[c]) {
		buf_putc(buf, '\\');
		buf_putc(buf, short_forms[c]);
	} else
		buf_printf(buf, "\\u%04x", (unsigned)c);
}

/* Opening quote, text and closing quote go in together or not at all, as any other put. */
void buf_put_json_n(struct buf *buf, const char *text, size_t n)
{
	size_t start = buf->length, from = 0;

	buf_putc(buf, '"');
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_put(buf, text + from, i - from);
		put_json_escape(buf, c);
		from = i + 1;
	}
	buf_put(buf, text + from, n - from);
	buf_putc(buf, '"');
	if (buf->overflow && buf->data) {
		buf->length = start;
		buf->data[start] = '\0';
	}
}

void buf_put_url(struct buf *buf, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t start = buf->length;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c))
			buf_putc(buf, (char)c);
		else
			buf_put(buf, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
	}
	if (buf->overflow && buf->data) {
		buf->length = start;
		buf->data[start] = '\0';
	}
}
