#include "rest/parse_text.h"

#include "base/arena.h"
#include "base/parse.h"

#include <string.h>
#include <strings.h>

struct text
text_from(const char *nul_terminated)
{
	return (struct text){nul_terminated, strlen(nul_terminated)};
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct text
text_trim(struct text text)
{
	while (text.length > 0 && is_blank(text.data[0])) {
		text.data++;
		text.length--;
	}
	while (text.length > 0 && is_blank(text.data[text.length - 1]))
		text.length--;
	return text;
}

bool
text_is(struct text text, const char *word)
{
	return strlen(word) == text.length && strncasecmp(text.data, word, text.length) == 0;
}

char *
text_copy(struct arena *arena, struct text text)
{
	return arena_strndup(arena, text.data, text.length);
}

char *
text_copy_lower(struct arena *arena, struct text text)
{
	char *copy = text_copy(arena, text);

	for (size_t i = 0; i < text.length; i++)
		if (copy[i] >= 'A' && copy[i] <= 'Z')
			copy[i] = (char)(copy[i] + ('a' - 'A'));
	return copy;
}

static size_t
count_bad(struct text text)
{
	size_t bad = 0, step;

	for (size_t i = 0; i < text.length; i += step) {
		step = utf8_sequence(text.data + i, text.length - i);
		if (step == 0) {
			bad++;
			step = 1;
		}
	}
	return bad;
}

char *
text_repair(struct arena *arena, struct text text, size_t *length, bool *bad)
{
	size_t count = count_bad(text), put = 0, step;
	char *out = arena_alloc(arena, text.length + 2 * count + 1);

	for (size_t i = 0; i < text.length; i += step) {
		step = utf8_sequence(text.data + i, text.length - i);
		if (step > 0) {
			memcpy(out + put, text.data + i, step);
			put += step;
		} else {
			memcpy(out + put, "\xef\xbf\xbd", 3);
			put += 3;
			step = 1;
		}
	}
	out[put] = '\0';
	if (length)
		*length = put;
	if (bad)
		*bad = count > 0;
	return out;
}

static void
skip(struct text *text, size_t n)
{
	text->data += n;
	text->length -= n;
}

struct text
text_head(struct text *rest)
{
	const char *end = rest->length ? memchr(rest->data, ';', rest->length) : NULL;
	struct text head = {rest->data, end ? (size_t)(end - rest->data) : rest->length};

	skip(rest, head.length);
	return text_trim(head);
}

/* Length of what stands from an opening quote to before the closing one, or to the end when there is none. */
static size_t
quoted_length(struct text text)
{
	size_t i = 1;

	while (i < text.length && text.data[i] != '"')
		i += text.data[i] == '\\' && i + 1 < text.length && (text.data[i + 1] == '"' || text.data[i + 1] == '\\') ? 2 : 1;
	return i - 1;
}

static size_t
find(struct text text, const char *any)
{
	size_t i = 0;

	while (i < text.length && !strchr(any, text.data[i]))
		i++;
	return i;
}

bool
text_param(struct text *rest, struct text_param *out)
{
	size_t n;

	while (rest->length > 0 && (rest->data[0] == ';' || is_blank(rest->data[0])))
		skip(rest, 1);
	if (rest->length == 0)
		return false;
	n = find(*rest, "=;");
	out->name = text_trim((struct text){rest->data, n});
	out->value = (struct text){rest->data + n, 0};
	out->quoted = false;
	skip(rest, n);
	if (rest->length == 0 || rest->data[0] == ';')
		return true;
	skip(rest, 1);
	while (rest->length > 0 && is_blank(rest->data[0]))
		skip(rest, 1);
	if (rest->length > 0 && rest->data[0] == '"') {
		out->quoted = true;
		out->value = (struct text){rest->data + 1, quoted_length(*rest)};
		skip(rest, out->value.length + 1);
		skip(rest, find(*rest, ";"));
		return true;
	}
	n = find(*rest, ";");
	out->value = text_trim((struct text){rest->data, n});
	skip(rest, n);
	return true;
}

struct text
text_unquote(struct arena *arena, const struct text_param *param)
{
	const char *s = param->value.data;
	size_t n = param->value.length, put = 0;
	char *out = text_copy(arena, param->value);

	if (!param->quoted)
		return (struct text){out, n};
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\\' && i + 1 < n && (s[i + 1] == '"' || s[i + 1] == '\\'))
			i++;
		out[put++] = s[i];
	}
	out[put] = '\0';
	return (struct text){out, put};
}
