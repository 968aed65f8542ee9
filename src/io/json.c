#include "io/json.h"

#include "base/parse.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Integers of more digits are refused, as the original does. */
#define DIGITS_MAX 4300

/* A place in a text. What is read is never NUL-terminated for sure. */
struct scan {
	const char *text;
	size_t at, n;
};

/* What stands at the place; -1 at the end. */
static int
peek(const struct scan *s)
{
	return s->at < s->n ? (unsigned char)s->text[s->at] : -1;
}

static void
skip_space(struct scan *s)
{
	while (s->at < s->n && strchr(" \t\r\n", s->text[s->at]) != NULL && s->text[s->at] != '\0')
		s->at++;
}

static size_t
skip_digits(struct scan *s)
{
	size_t begin = s->at;

	while (peek(s) >= '0' && peek(s) <= '9')
		s->at++;
	return s->at - begin;
}

/* Moves over a number as far as it is one, as JSON's grammar has it. False when there is none. */
static bool
skip_number(struct scan *s, bool *integer)
{
	struct scan t = *s, u;

	if (peek(&t) == '-')
		t.at++;
	if (peek(&t) == '0')
		t.at++;
	else if (skip_digits(&t) == 0)
		return false;
	*integer = true;
	u = t;
	if (peek(&u) == '.') {
		u.at++;
		if (skip_digits(&u) != 0) {
			t = u;
			*integer = false;
		}
	}
	u = t;
	if (peek(&u) == 'e' || peek(&u) == 'E') {
		u.at++;
		if (peek(&u) == '+' || peek(&u) == '-')
			u.at++;
		if (skip_digits(&u) != 0) {
			t = u;
			*integer = false;
		}
	}
	s->at = t.at;
	return true;
}

/* Where and why a text is no JSON; problem NULL while all is well. */
struct fault {
	const char *problem;
	size_t at;
	bool bare; /* the problem is said without its place */
};

static bool
fail(struct fault *f, const char *problem, size_t at)
{
	f->problem = problem;
	f->at = at;
	return false;
}

static bool
check_escape(struct scan *s, struct fault *f)
{
	size_t begin = s->at++;
	int c = peek(s);

	if (c < 0 || strchr("\"\\/bfnrtu", c) == NULL || c == '\0')
		return fail(f, "Invalid \\escape", begin);
	s->at++;
	if (c == 'u')
		for (int i = 0; i < 4; i++, s->at++)
			if (peek(s) < 0 || peek(s) == '\0' || strchr("0123456789abcdefABCDEF", peek(s)) == NULL)
				return fail(f, "Invalid \\uXXXX escape", begin + 1);
	return true;
}

/* Moves over a string; the place is at its first quote. */
static bool
check_string(struct scan *s, struct fault *f)
{
	size_t begin = s->at++;

	for (;;) {
		int c = peek(s);

		if (c < 0)
			return fail(f, "Unterminated string starting at", begin);
		if (c < 0x20)
			return fail(f, "Invalid control character at", s->at);
		if (c == '\\') {
			if (!check_escape(s, f))
				return false;
			continue;
		}
		s->at++;
		if (c == '"')
			return true;
	}
}

static bool
skip_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if (s->n - s->at < n || memcmp(s->text + s->at, word, n) != 0)
		return false;
	s->at += n;
	return true;
}

/* Moves over a value that is neither an array nor an object. */
static bool
check_scalar(struct scan *s, struct fault *f)
{
	static const char *const words[] = {"true", "false", "null"};
	static const char *const not_finite[][2] = {
	    {"NaN", "Out of range float values are not JSON compliant: 'NaN'"},
	    {"Infinity", "Out of range float values are not JSON compliant: 'Infinity'"},
	    {"-Infinity", "Out of range float values are not JSON compliant: '-Infinity'"},
	};
	size_t begin = s->at;
	bool integer;

	if (peek(s) == '"')
		return check_string(s, f);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (skip_word(s, words[i]))
			return true;
	for (size_t i = 0; i < sizeof(not_finite) / sizeof(*not_finite); i++)
		if (skip_word(s, not_finite[i][0])) {
			f->bare = true;
			return fail(f, not_finite[i][1], begin);
		}
	if (!skip_number(s, &integer))
		return fail(f, "Expecting value", begin);
	if (integer && s->at - begin > DIGITS_MAX) {
		f->bare = true;
		return fail(f, "Exceeds the limit (4300 digits) for integers", begin);
	}
	return true;
}

/* Moves over a key and its colon. */
static bool
check_key(struct scan *s, struct fault *f)
{
	skip_space(s);
	if (peek(s) != '"')
		return fail(f, "Expecting property name enclosed in double quotes", s->at);
	if (!check_string(s, f))
		return false;
	skip_space(s);
	if (peek(s) != ':')
		return fail(f, "Expecting ':' delimiter", s->at);
	s->at++;
	return true;
}

/* Closes what ends here, and moves over the comma before a further value: into its key. False at a fault. */
static bool
check_after_value(struct scan *s, const char *closers, size_t *depth, struct fault *f)
{
	while (*depth > 0) {
		skip_space(s);
		if (peek(s) == closers[*depth - 1]) {
			s->at++;
			--*depth;
			continue;
		}
		if (peek(s) != ',')
			return fail(f, "Expecting ',' delimiter", s->at);
		s->at++;
		return closers[*depth - 1] == ']' || check_key(s, f);
	}
	return true;
}

/* Opens what begins here. *empty: it ended at once. False at a fault. */
static bool
check_open(struct scan *s, char *closers, size_t *depth, bool *empty, struct fault *f)
{
	char closer = peek(s) == '{' ? '}' : ']';

	s->at++;
	skip_space(s);
	*empty = peek(s) == closer;
	if (*empty) {
		s->at++;
		return true;
	}
	closers[(*depth)++] = closer;
	return closer == ']' || check_key(s, f);
}

/*
 * Reads a document for its faults alone, and says them in the words and at the places in which the
 * original's parser does. Needs no stack: what is too deep ends it.
 */
static enum json_problem
find_fault(const char *text, size_t n, struct fault *f)
{
	struct scan s = {text, 0, n};
	char closers[JSON_DEPTH_MAX];
	size_t depth = 0;

	*f = (struct fault){0};
	for (;;) {
		bool empty = true;

		skip_space(&s);
		if (peek(&s) == '{' || peek(&s) == '[') {
			if (depth == JSON_DEPTH_MAX)
				return JSON_TOO_DEEP;
			if (!check_open(&s, closers, &depth, &empty, f))
				return JSON_SYNTAX;
			if (!empty)
				continue;
		} else if (!check_scalar(&s, f)) {
			return JSON_SYNTAX;
		}
		if (!check_after_value(&s, closers, &depth, f))
			return JSON_SYNTAX;
		if (depth == 0)
			break;
	}
	skip_space(&s);
	if (s.at < n) {
		fail(f, "Extra data", s.at);
		return JSON_SYNTAX;
	}
	return JSON_FINE;
}

static void
say_fault(const char *text, const struct fault *f, char *error, size_t error_size)
{
	size_t line = 1, column = 1, place = 0;

	if (f->bare) {
		snprintf(error, error_size, "%s", f->problem);
		return;
	}
	for (size_t i = 0; i < f->at; i++) {
		if (((unsigned char)text[i] & 0xc0) == 0x80)
			continue;
		place++;
		column++;
		if (text[i] == '\n') {
			line++;
			column = 1;
		}
	}
	snprintf(error, error_size, "%s: line %zu column %zu (char %zu)", f->problem, line, column, place);
}

/* Bytes at the beginning that are UTF-8. Only for a text of which some are not. */
static size_t
utf8_prefix(const char *text, size_t n)
{
	size_t at = 0, length = 0;

	while (at < n) {
		for (length = 1; length <= 4 && at + length <= n; length++)
			if (text[at] == '\0' || utf8_is_valid(text + at, length))
				break;
		if (length > 4 || at + length > n)
			break;
		at += length;
	}
	return at;
}

/* Sets error when text is no UTF-8. */
static bool
check_utf8(const char *text, size_t n, char *error, size_t error_size)
{
	size_t at;

	if (utf8_is_valid(text, n))
		return true;
	at = utf8_prefix(text, n);
	if (at == n)
		return true; /* it holds a NUL, which is no fault of its encoding */
	snprintf(error, error_size, "'utf-8' codec can't decode byte 0x%02x in position %zu: invalid start byte", (unsigned char)text[at],
	    at);
	return false;
}

/* True when a number fits neither an int64 nor a double. */
static bool
is_out_of_range(const char *token, size_t n, bool integer)
{
	char copy[32];

	if (!integer)
		return true; /* strtod decides, in put_number */
	if (n < 19)
		return false;
	if (n >= sizeof(copy))
		return true;
	memcpy(copy, token, n);
	copy[n] = '\0';
	return parse_int(copy, INT64_MIN, INT64_MAX, &(int64_t){0}) != 0;
}

/* Writes a number as jansson can take it: one that it cannot as the real nearest to it. */
static void
put_number(struct buf *out, const char *token, size_t n, bool integer)
{
	char *copy;
	double d;

	if (!is_out_of_range(token, n, integer)) {
		buf_put(out, token, n);
		return;
	}
	copy = strndup(token, n);
	d = copy != NULL ? strtod(copy, NULL) : 0;
	free(copy);
	if (d > DBL_MAX)
		d = DBL_MAX;
	if (d < -DBL_MAX)
		d = -DBL_MAX;
	if (integer || d == DBL_MAX || d == -DBL_MAX)
		buf_printf(out, "%.17e", d);
	else
		buf_put(out, token, n);
}

/* A copy of a faultless document in which all numbers are such as jansson takes. */
static void
tame_numbers(const char *text, size_t n, struct buf *out)
{
	struct scan s = {text, 0, n};
	struct fault f;

	while (s.at < n) {
		size_t begin = s.at;
		bool integer;

		if (peek(&s) == '"') {
			check_string(&s, &f);
			buf_put(out, text + begin, s.at - begin);
		} else if (skip_number(&s, &integer)) {
			put_number(out, text + begin, s.at - begin, integer);
		} else {
			buf_putc(out, text[s.at++]);
		}
	}
}

static json_t *
load(const char *text, size_t n, json_error_t *e)
{
	/* jansson loses a NUL that stands right behind a number or a word. */
	if (memchr(text, '\0', n) != NULL) {
		memset(e, 0, sizeof(*e));
		snprintf(e->text, sizeof(e->text), "NUL characters are not allowed");
		return NULL;
	}
	return json_loadb(text, n, JSON_DECODE_ANY, e);
}

static json_t *
load_tamed(const char *text, size_t n, json_error_t *e)
{
	struct buf tame;
	json_t *value;

	buf_init(&tame, 32 * n + 64);
	tame_numbers(text, n, &tame);
	value = load(buf_text(&tame), tame.length, e);
	buf_fini(&tame);
	return value;
}

/* Levels of arrays and objects; looks no further than one over the limit. */
static int
depth_of(json_t *value, int levels_left)
{
	const char *key;
	json_t *child;
	size_t i;
	int deepest = 0, d;

	if (!json_is_object(value) && !json_is_array(value))
		return 0;
	if (levels_left == 0)
		return 1;
	json_object_foreach (value, key, child) {
		d = depth_of(child, levels_left - 1);
		deepest = d > deepest ? d : deepest;
	}
	json_array_foreach (value, i, child) {
		d = depth_of(child, levels_left - 1);
		deepest = d > deepest ? d : deepest;
	}
	return deepest + 1;
}

/* Why jansson did not take a document: our own words for it, or jansson's where we see no fault. */
static enum json_problem
explain(const char *text, size_t n, const json_error_t *e, char *error, size_t error_size)
{
	struct fault f;
	enum json_problem problem;

	if (!check_utf8(text, n, error, error_size))
		return JSON_SYNTAX;
	problem = find_fault(text, n, &f);
	if (problem == JSON_SYNTAX)
		say_fault(text, &f, error, error_size);
	else if (problem == JSON_FINE)
		snprintf(error, error_size, "%s", e->text);
	return problem == JSON_TOO_DEEP ? JSON_TOO_DEEP : JSON_SYNTAX;
}

enum json_problem
json_read(const char *text, size_t n, json_t **out, char *error, size_t error_size)
{
	json_error_t e;
	struct fault f;
	json_t *value = load(text, n, &e);

	if (value == NULL && json_error_code(&e) == json_error_numeric_overflow && find_fault(text, n, &f) == JSON_FINE)
		value = load_tamed(text, n, &e);
	if (value == NULL)
		return explain(text, n, &e, error, error_size);
	if (depth_of(value, JSON_DEPTH_MAX) > JSON_DEPTH_MAX) {
		json_decref(value);
		return JSON_TOO_DEEP;
	}
	*out = value;
	return JSON_FINE;
}

/* Moves over any value of a faultless document. */
static void
skip_value(struct scan *s)
{
	struct fault f;
	size_t depth = 0;

	do {
		int c;

		skip_space(s);
		c = peek(s);
		if (c == '"') {
			check_string(s, &f);
		} else if (c == '{' || c == '[') {
			depth++;
			s->at++;
		} else if (c == '}' || c == ']') {
			depth--;
			s->at++;
		} else if (c == ',' || c == ':') {
			s->at++;
		} else {
			while (s->at < s->n && strchr(" \t\r\n,:]}", s->text[s->at]) == NULL)
				s->at++;
		}
	} while (depth > 0 && s->at < s->n);
}

/* True when the string token (with its quotes) reads as key. */
static bool
token_is(const char *token, size_t n, const char *key)
{
	json_t *string;
	bool same;

	if (memchr(token, '\\', n) == NULL)
		return strlen(key) == n - 2 && memcmp(token + 1, key, n - 2) == 0;
	string = load(token, n, NULL);
	same = string != NULL && strcmp(json_string_value(string), key) == 0;
	json_decref(string);
	return same;
}

/* Narrows the scan from an object to the value of its last member key. */
static int
enter(struct scan *s, const char *key)
{
	struct scan in = *s;
	int found = -1;

	skip_space(&in);
	if (peek(&in) != '{')
		return -1;
	in.at++;
	for (;;) {
		struct fault f;
		size_t name, name_end;

		skip_space(&in);
		if (peek(&in) == ',') {
			in.at++;
			skip_space(&in);
		}
		if (peek(&in) != '"')
			return found;
		name = in.at;
		check_string(&in, &f);
		name_end = in.at;
		skip_space(&in);
		in.at++;
		skip_space(&in);
		if (token_is(in.text + name, name_end - name, key)) {
			s->at = in.at;
			skip_value(&in);
			s->n = in.at;
			found = 0;
		} else {
			skip_value(&in);
		}
	}
}

int
json_raw_value(const char *text, size_t n, const char *const *keys, struct buf *out)
{
	struct scan s = {text, 0, n};

	for (; *keys != NULL; keys++)
		if (enter(&s, *keys) != 0)
			return -1;
	skip_space(&s);
	while (s.n > s.at && strchr(" \t\r\n", s.text[s.n - 1]) != NULL)
		s.n--;
	buf_put(out, s.text + s.at, s.n - s.at);
	return 0;
}

static int
put_chunk(const char *chunk, size_t n, void *out)
{
	buf_put(out, chunk, n);
	return 0;
}

void
json_write(const json_t *value, struct buf *out)
{
	/* 17 digits would write 0.1 as 0.10000000000000001 with jansson before 2.14.1. */
	json_dump_callback(value, put_chunk, out, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
}

bool
json_has_infinite(const json_t *json)
{
	const char *key;
	json_t *value;
	size_t i;

	if (json_is_real(json))
		return fabs(json_real_value(json)) >= DBL_MAX;
	json_array_foreach (json, i, value)
		if (json_has_infinite(value))
			return true;
	json_object_foreach ((json_t *)(uintptr_t)json, key, value)
		if (json_has_infinite(value))
			return true;
	return false;
}

const char *
json_python_type(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "dict";
	case JSON_ARRAY:
		return "list";
	case JSON_STRING:
		return "str";
	case JSON_INTEGER:
		return "int";
	case JSON_REAL:
		return "float";
	case JSON_TRUE:
	case JSON_FALSE:
		return "bool";
	case JSON_NULL:
		break;
	}
	return "NoneType";
}
