#include "base/arena.h"
#include "rest/parse_path.h"
#include "tap.h"

static struct arena *arena;

static enum path_problem
parse(const char *text, struct path *path)
{
	return path_parse(arena, text, strlen(text), path);
}

static void
test_segments(void)
{
	struct path p;

	is_int(parse("/", &p), PATH_FINE, "the root");
	is_int(p.count, 0, "has no segments");
	ok(p.slash, "and a slash");
	is_int(parse("/api/v1/sched%75le/7/?limit=1", &p), PATH_FINE, "an escaped path with a query");
	is_int(p.count, 4, "four segments");
	is_str(p.segments[2], "schedule", "decoded");
	is_str(p.segments[3], "7", "up to the query");
	ok(p.slash, "the slash before the query counts");
	parse("/api/v1", &p);
	is_int(p.count, 2, "without a slash");
	ok(!p.slash, "that is known");
	parse("/a//b/", &p);
	is_int(p.count, 3, "a double slash makes a segment");
	is_str(p.segments[1], "", "that is empty");
	parse("/a//", &p);
	is_int(p.count, 2, "also at the end");
	parse("/a%2Fb/..", &p);
	is_str(p.segments[0], "a/b", "an escaped slash parts nothing");
	is_str(p.segments[1], "..", "dots are kept");
	parse("/a+b", &p);
	is_str(p.segments[0], "a+b", "a plus is no blank here");
	parse("/%D9%A1/", &p);
	is_str(p.segments[0], "\xd9\xa1", "UTF-8");
}

static void
test_refusals(void)
{
	static const struct {
		const char *text;
		enum path_problem problem;
	} cases[] = {
		{"", PATH_NOT_ABSOLUTE},
		{"api", PATH_NOT_ABSOLUTE},
		{"*", PATH_NOT_ABSOLUTE},
		{"?", PATH_NOT_ABSOLUTE},
		{"/%", PATH_BAD_ESCAPE},
		{"/%4", PATH_BAD_ESCAPE},
		{"/%4/1", PATH_BAD_ESCAPE},
		{"/%zz", PATH_BAD_ESCAPE},
		{"/%00/", PATH_BAD_TEXT},
		{"/%ff/", PATH_BAD_TEXT},
		{"/\xc3/", PATH_BAD_TEXT},
		{"/%c0%af/", PATH_BAD_TEXT},
		{"/%ed%a0%80/", PATH_BAD_TEXT},
		{"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/", PATH_FINE},
		{"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", PATH_TOO_MANY},
	};
	struct path p;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		is_int(parse(cases[i].text, &p), cases[i].problem, cases[i].text);
		ok(path_problem_text(cases[i].problem) != NULL, "there are words for it");
	}
	is_int(path_parse(arena, "/a%41", 3, &p), PATH_BAD_ESCAPE, "an escape cut by the length");
}

int
main(void)
{
	arena = arena_create(1 << 20);
	test_segments();
	test_refusals();
	arena_free(arena);
	return tap_done();
}
