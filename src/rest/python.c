#include "rest/python.h"

#include "base/arena.h"
#include "base/parse.h"
#include "domain/content.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *
python_strip(struct arena *arena, const char *text)
{
	size_t n;
	const char *stripped = content_trim(text, &n);

	return arena_strndup(arena, stripped, n);
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
