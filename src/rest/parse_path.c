#include "rest/parse_path.h"

#include "base/arena.h"
#include "base/parse.h"
#include "rest/parse_text.h"

#include <string.h>

static enum path_problem
decode_segment(struct arena *arena, const char *text, size_t n, const char **out)
{
	char *decoded = arena_alloc(arena, n + 1);
	size_t put = 0;

	for (size_t i = 0; i < n; i++) {
		int high, low;

		if (text[i] != '%') {
			decoded[put++] = text[i];
			continue;
		}
		if (n - i < 3)
			return PATH_BAD_ESCAPE;
		high = hex_digit(text[i + 1]);
		low = hex_digit(text[i + 2]);
		if (high < 0 || low < 0)
			return PATH_BAD_ESCAPE;
		decoded[put++] = (char)(high * 16 + low);
		i += 2;
	}
	decoded[put] = '\0';
	*out = decoded;
	return utf8_is_valid(decoded, put) ? PATH_FINE : PATH_BAD_TEXT;
}

enum path_problem
path_parse(struct arena *arena, const char *uri, size_t n, struct path *out)
{
	size_t end = 0, begin = 1;

	*out = (struct path){0};
	if (n == 0 || uri[0] != '/')
		return PATH_NOT_ABSOLUTE;
	while (end < n && uri[end] != '?' && uri[end] != '#')
		end++;
	out->slash = uri[end - 1] == '/';
	while (begin < end) {
		const char *slash = memchr(uri + begin, '/', end - begin);
		size_t length = slash ? (size_t)(slash - uri) - begin : end - begin;
		enum path_problem problem;

		if (out->count == PATH_SEGMENTS_MAX)
			return PATH_TOO_MANY;
		problem = decode_segment(arena, uri + begin, length, &out->segments[out->count]);
		if (problem != PATH_FINE)
			return problem;
		out->count++;
		begin += length + 1;
	}
	return PATH_FINE;
}

const char *
path_problem_text(enum path_problem problem)
{
	static const char *const texts[PATH_PROBLEM_MAX] = {
		[PATH_FINE] = "",
		[PATH_NOT_ABSOLUTE] = "The path must begin with a slash.",
		[PATH_BAD_ESCAPE] = "The path holds a percent sign without two hexadecimal digits.",
		[PATH_BAD_TEXT] = "The path is not valid UTF-8, or holds a NUL character.",
		[PATH_TOO_MANY] = "The path has too many segments.",
	};

	return texts[problem];
}
