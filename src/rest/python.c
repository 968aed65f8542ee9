#include "rest/python.h"

#include "base/arena.h"
#include "base/parse.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Decodes one character of valid UTF-8; *n is its length. */
static unsigned
decode(const char *text, size_t *n)
{
	const unsigned char *s = (const unsigned char *)text;

	if (s[0] < 0x80) {
		*n = 1;
		return s[0];
	}
	if (s[0] < 0xe0) {
		*n = 2;
		return (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
	}
	if (s[0] < 0xf0) {
		*n = 3;
		return (s[0] & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
	}
	*n = 4;
	return (s[0] & 0x07u) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 | (s[3] & 0x3fu);
}

static bool
is_space(unsigned c)
{
	return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	    (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

char *
python_strip(struct arena *arena, const char *text)
{
	const char *end;
	size_t n;

	while (*text && is_space(decode(text, &n)))
		text += n;
	end = text;
	for (const char *c = text; *c; c += n)
		if (!is_space(decode(c, &n)))
			end = c + n;
	return arena_strndup(arena, text, (size_t)(end - text));
}

/* "d.ddde+XX" of the shortest length that reads back. */
static int
shortest(double value, char digits[32])
{
	for (int precision = 0; precision < 17; precision++) {
		snprintf(digits, 32, "%.*e", precision, value);
		if (strtod(digits, NULL) == value)
			return precision;
	}
	return 16;
}

void
python_float(double value, char *out)
{
	char text[32];
	int precision = shortest(value, text);
	int exponent = atoi(strchr(text, 'e') + 1);

	if (exponent < -4 || exponent >= 16)
		snprintf(out, 32, "%s", text);
	else
		snprintf(out, 32, "%.*f", precision > exponent ? precision - exponent : 1, value);
}

const char *
python_str(struct arena *arena, const json_t *value, const char *raw)
{
	char *out;

	switch (json_typeof(value)) {
	case JSON_STRING:
		return json_string_value(value);
	case JSON_TRUE:
		return "True";
	case JSON_FALSE:
		return "False";
	case JSON_INTEGER:
		return raw && *raw ? raw : arena_printf(arena, "%lld", (long long)json_integer_value(value));
	case JSON_REAL:
		if (raw && *raw && !strpbrk(raw, ".eE"))
			return raw;
		out = arena_alloc(arena, 32);
		python_float(json_real_value(value), out);
		return out;
	default:
		return "None";
	}
}

enum python_int
python_int(struct arena *arena, const char *text, int64_t *out)
{
	const char *digits = python_strip(arena, text);
	bool negative = *digits == '-';
	int64_t value = 0;

	digits += *digits == '-' || *digits == '+';
	if (!*digits || digits[strspn(digits, "0123456789")])
		return PYTHON_INT_BAD;
	for (; *digits; digits++) {
		if (value > (INT64_MAX - 9) / 10)
			return negative ? PYTHON_INT_LOW : PYTHON_INT_HIGH;
		value = value * 10 + (*digits - '0');
	}
	*out = negative ? -value : value;
	return PYTHON_INT;
}
