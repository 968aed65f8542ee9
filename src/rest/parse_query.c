#include "rest/parse_query.h"

#include "base/arena.h"
#include "base/parse.h"
#include "rest/parse_text.h"

#include <string.h>

/* Cuts the piece before the next "&" off *rest. */
static struct text
next_piece(struct text *rest)
{
	const char *end = rest->length ? memchr(rest->data, '&', rest->length) : NULL;
	struct text piece = {rest->data, end ? (size_t)(end - rest->data) : rest->length};

	rest->data += piece.length + (end != NULL);
	rest->length -= piece.length + (end != NULL);
	return piece;
}

/* Number of pieces that are not empty. */
static size_t
count_pieces(struct text text)
{
	size_t count = 0;

	while (text.length > 0)
		if (next_piece(&text).length > 0)
			count++;
	return count;
}

static struct text
decode(struct arena *arena, struct text text)
{
	char *out = arena_alloc(arena, text.length + 1);
	size_t put = 0;

	for (size_t i = 0; i < text.length; i++) {
		char c = text.data[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%' && i + 2 < text.length) {
			int high = hex_digit(text.data[i + 1]), low = hex_digit(text.data[i + 2]);

			if (high >= 0 && low >= 0) {
				c = (char)(high * 16 + low);
				i += 2;
			}
		}
		out[put++] = c;
	}
	return (struct text){out, put};
}

static const char *
read_text(struct arena *arena, struct text text, size_t *length, unsigned *flags)
{
	struct text decoded = decode(arena, text);
	bool bad;
	char *out = text_repair(arena, decoded, length, &bad);

	if (bad)
		*flags |= QUERY_BAD_UTF8;
	if (memchr(out, '\0', *length))
		*flags |= QUERY_NUL;
	return out;
}

static void
read_pair(struct arena *arena, struct text piece, struct query_pair *pair)
{
	const char *equals = memchr(piece.data, '=', piece.length);
	size_t name = equals ? (size_t)(equals - piece.data) : piece.length;
	size_t value = equals ? name + 1 : piece.length;

	pair->name = read_text(arena, (struct text){piece.data, name}, &pair->name_length, &pair->flags);
	pair->value = read_text(arena, (struct text){piece.data + value, piece.length - value}, &pair->value_length, &pair->flags);
}

int
query_parse(struct arena *arena, const char *text, size_t n, struct query *out)
{
	struct text rest = {text, n};
	size_t count = count_pieces(rest);

	if (count > QUERY_PAIRS_MAX)
		return -1;
	*out = (struct query){.pairs = arena_array(arena, count, sizeof(*out->pairs))};
	while (rest.length > 0) {
		struct text piece = next_piece(&rest);

		if (piece.length == 0)
			continue;
		read_pair(arena, piece, &out->pairs[out->count]);
		out->flags |= out->pairs[out->count].flags;
		out->count++;
	}
	return 0;
}

const struct query_pair *
query_find(const struct query *query, const char *name)
{
	size_t length = strlen(name);

	for (int i = query->count - 1; i >= 0; i--)
		if (query->pairs[i].name_length == length && memcmp(query->pairs[i].name, name, length) == 0)
			return &query->pairs[i];
	return NULL;
}

const char *
query_value(const struct query *query, const char *name)
{
	const struct query_pair *pair = query_find(query, name);

	return pair ? pair->value : NULL;
}
