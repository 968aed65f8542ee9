#include "rest/parse_multipart.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/parse.h"
#include "rest/parse_text.h"

#include <stdbool.h>
#include <string.h>

enum state {
	STATE_PREAMBLE,  /* before the first boundary: nothing of it counts */
	STATE_BOUNDARY,  /* after a boundary: the rest of its line */
	STATE_DASH,      /* after a boundary and one hyphen */
	STATE_LINE_END,  /* after a boundary and a carriage return */
	STATE_HEAD,      /* a part's header lines, up to the empty one */
	STATE_DATA,      /* a part's data, up to the next boundary */
	STATE_EPILOGUE,  /* after the closing boundary: nothing of it counts */
	STATE_FAILED
};

struct multipart {
	/* What its strings are made in, so that parts do not pile up in the request's arena. */
	struct arena *scratch;
	const struct multipart_events *events;
	void *context;
	enum state state;
	const char *error;
	int parts;
	/* CR LF -- boundary. A CR is nowhere else in it, so after a mismatch only a CR can begin it anew. */
	char delimiter[MULTIPART_BOUNDARY_MAX + 5];
	size_t delimiter_length;
	size_t matched; /* bytes of the delimiter that were seen last, and are held back */
	size_t head_length;
	char head[MULTIPART_HEAD_MAX + 1];
};

static void
free_scratch(void *arena)
{
	arena_free(arena);
}

struct multipart *
multipart_create(struct arena *arena, const char *boundary, const struct multipart_events *events, void *context)
{
	struct multipart *m = arena_alloc(arena, sizeof(*m));
	size_t length = strlen(boundary);

	SBM_ASSERT(length > 0 && length <= MULTIPART_BOUNDARY_MAX && !strchr(boundary, '\r'));
	m->scratch = arena_create(32 * MULTIPART_HEAD_MAX);
	arena_own(arena, free_scratch, m->scratch);
	m->events = events;
	m->context = context;
	memcpy(m->delimiter, "\r\n--", 4);
	memcpy(m->delimiter + 4, boundary, length);
	m->delimiter_length = length + 4;
	/* The first boundary may stand at the very start, without a line end before it. */
	m->matched = 2;
	return m;
}

const char *
multipart_error(const struct multipart *m)
{
	return m->error;
}

/* error NULL: a callback stopped it. */
static int
fail(struct multipart *m, const char *error)
{
	m->state = STATE_FAILED;
	m->error = error;
	return -1;
}

static int
emit(struct multipart *m, const char *data, size_t n)
{
	if (m->state != STATE_DATA || n == 0)
		return 0;
	return m->events->data(m->context, data, n) < 0 ? fail(m, NULL) : 0;
}

/* A boundary was seen whole. */
static int
end_part(struct multipart *m)
{
	bool in_part = m->state == STATE_DATA;

	m->state = STATE_BOUNDARY;
	m->matched = 0;
	return in_part && m->events->end(m->context) < 0 ? fail(m, NULL) : 0;
}

/* Preamble and data: passes on all that cannot be a boundary's beginning. Returns how many bytes it took, or -1. */
static long
take_data(struct multipart *m, const char *data, size_t n)
{
	size_t i = 0, begin = 0;

	while (i < n) {
		if (m->matched == 0) {
			const char *cr = memchr(data + i, '\r', n - i);

			i = cr ? (size_t)(cr - data) : n;
			if (emit(m, data + begin, i - begin) < 0)
				return -1;
			begin = i;
			if (!cr)
				break;
		}
		if (data[i] == m->delimiter[m->matched]) {
			begin = ++i;
			if (++m->matched < m->delimiter_length)
				continue;
			return end_part(m) < 0 ? -1 : (long)i;
		}
		if (emit(m, m->delimiter, m->matched) < 0)
			return -1;
		m->matched = 0;
		begin = i;
	}
	return (long)n;
}

/*
 * The head's line that begins at *cursor, without its line end; a folded line is made one. There is always
 * one, as the head ends with an empty line.
 */
static struct text
next_line(char **cursor, const char *end)
{
	char *begin = *cursor, *s = begin;

	for (;; s++) {
		SBM_ASSERT(s + 1 < end);
		if (s[0] != '\r' || s[1] != '\n')
			continue;
		if (s + 2 == end || (s[2] != ' ' && s[2] != '\t'))
			break;
		s[0] = s[1] = ' ';
	}
	*cursor = s + 2;
	return (struct text){begin, (size_t)(s - begin)};
}

/* The last component of a path in either way of writing it, without control characters. */
static const char *
base_name(char *path, size_t n)
{
	size_t put = 0;

	for (size_t i = 0; i < n; i++) {
		if (path[i] == '/' || path[i] == '\\')
			put = 0;
		else if ((unsigned char)path[i] >= ' ' && path[i] != 0x7f)
			path[put++] = path[i];
	}
	path[put] = '\0';
	return strcmp(path, ".") == 0 || strcmp(path, "..") == 0 ? "" : path;
}

/* RFC 5987: charset'language'percent-encoded, as filename* has it. False when it is none, or not of UTF-8. */
static bool
decode_extended(struct arena *arena, struct text value, struct text *out)
{
	const char *first = memchr(value.data, '\'', value.length), *second;
	size_t left, put = 0;
	char *decoded;

	if (!first || !text_is((struct text){value.data, (size_t)(first - value.data)}, "utf-8"))
		return false;
	left = value.length - (size_t)(first + 1 - value.data);
	second = memchr(first + 1, '\'', left);
	if (!second)
		return false;
	left = value.length - (size_t)(second + 1 - value.data);
	decoded = arena_alloc(arena, left + 1);
	for (size_t i = 0; i < left; i++) {
		const char *s = second + 1 + i;

		if (*s == '%' && left - i > 2 && hex_digit(s[1]) >= 0 && hex_digit(s[2]) >= 0) {
			decoded[put++] = (char)(hex_digit(s[1]) * 16 + hex_digit(s[2]));
			i += 2;
		} else {
			decoded[put++] = *s;
		}
	}
	*out = (struct text){decoded, put};
	return true;
}

static int
read_disposition(struct multipart *m, struct text value, struct multipart_part *part)
{
	struct text_param param;
	struct text extended;
	bool has_extended = false;
	size_t n;
	char *text;

	if (!text_is(text_head(&value), "form-data"))
		return fail(m, "A part's Content-Disposition is not form-data.");
	while (text_param(&value, &param)) {
		if (text_is(param.name, "name") && !part->name) {
			text = text_repair(m->scratch, text_unquote(m->scratch, &param), &n, NULL);
			if (strlen(text) != n)
				return fail(m, "A part's name holds a NUL character.");
			part->name = text;
		} else if (text_is(param.name, "filename") && !part->filename) {
			text = text_repair(m->scratch, text_unquote(m->scratch, &param), &n, NULL);
			part->filename = base_name(text, n);
		} else if (text_is(param.name, "filename*") && !has_extended) {
			has_extended = decode_extended(m->scratch, text_unquote(m->scratch, &param), &extended);
		}
	}
	if (has_extended) {
		text = text_repair(m->scratch, extended, &n, NULL);
		part->filename = base_name(text, n);
	}
	return 0;
}

static int
read_line(struct multipart *m, struct text line, struct multipart_part *part)
{
	const char *colon = memchr(line.data, ':', line.length);
	struct text name, value;

	if (!colon)
		return fail(m, "A part has a header line without a colon.");
	name = text_trim((struct text){line.data, (size_t)(colon - line.data)});
	value = text_trim((struct text){colon + 1, line.length - (size_t)(colon + 1 - line.data)});
	if (text_is(name, "content-disposition"))
		return read_disposition(m, value, part);
	if (text_is(name, "content-type") && !part->content_type)
		part->content_type = text_repair(m->scratch, value, NULL, NULL);
	/* Nobody sends it since RFC 7578; taking its data as they are would store something else than was meant. */
	if (text_is(name, "content-transfer-encoding") && !text_is(value, "binary") && !text_is(value, "8bit") && !text_is(value, "7bit"))
		return fail(m, "A part has a Content-Transfer-Encoding other than binary, 8bit and 7bit.");
	return 0;
}

/* The head is there whole, with the empty line at its end. */
static int
begin_part(struct multipart *m)
{
	struct multipart_part part = {0};
	char *cursor = m->head;

	if (++m->parts > MULTIPART_PARTS_MAX)
		return fail(m, "There are too many parts.");
	arena_reset(m->scratch);
	for (;;) {
		struct text line = next_line(&cursor, m->head + m->head_length);

		if (line.length == 0)
			break;
		if (read_line(m, line, &part) < 0)
			return -1;
	}
	if (!part.name)
		return fail(m, "A part has no Content-Disposition with a name.");
	if (!part.content_type)
		part.content_type = "";
	m->state = STATE_DATA;
	return m->events->begin(m->context, &part) < 0 ? fail(m, NULL) : 0;
}

static int
take_head(struct multipart *m, char c)
{
	if (m->head_length == MULTIPART_HEAD_MAX)
		return fail(m, "The header lines of a part are too long.");
	m->head[m->head_length++] = c;
	if (c != '\n')
		return 0;
	if (m->head_length == 2 && memcmp(m->head, "\r\n", 2) == 0)
		return begin_part(m);
	if (m->head_length >= 4 && memcmp(m->head + m->head_length - 4, "\r\n\r\n", 4) == 0)
		return begin_part(m);
	return 0;
}

static int
take_boundary_line(struct multipart *m, char c)
{
	if (m->state == STATE_LINE_END && c == '\n') {
		m->state = STATE_HEAD;
		m->head_length = 0;
		return 0;
	}
	if (m->state == STATE_DASH && c == '-') {
		m->state = STATE_EPILOGUE;
		return 0;
	}
	if (m->state == STATE_BOUNDARY) {
		if (c == '\r')
			m->state = STATE_LINE_END;
		else if (c == '-')
			m->state = STATE_DASH;
		if (c == '\r' || c == '-' || c == ' ' || c == '\t')
			return 0;
	}
	return fail(m, "A boundary is not at the end of its line.");
}

int
multipart_feed(struct multipart *m, const char *data, size_t n)
{
	size_t i = 0;

	while (i < n) {
		long took = 1;

		switch (m->state) {
		case STATE_PREAMBLE:
		case STATE_DATA:
			took = take_data(m, data + i, n - i);
			break;
		case STATE_HEAD:
			took = take_head(m, data[i]) < 0 ? -1 : 1;
			break;
		case STATE_BOUNDARY:
		case STATE_DASH:
		case STATE_LINE_END:
			took = take_boundary_line(m, data[i]) < 0 ? -1 : 1;
			break;
		case STATE_EPILOGUE:
			return 0;
		case STATE_FAILED:
			return -1;
		}
		if (took < 0)
			return -1;
		i += (size_t)took;
	}
	return m->state == STATE_FAILED ? -1 : 0;
}

int
multipart_finish(struct multipart *m)
{
	if (m->state == STATE_EPILOGUE)
		return 0;
	if (m->state != STATE_FAILED)
		fail(m, m->state == STATE_PREAMBLE ? "There is no part: the boundary of the Content-Type does not occur." : "The closing boundary is missing.");
	return -1;
}
