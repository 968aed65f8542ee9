#include "base/arena.h"
#include "rest/parse_query.h"
#include "tap.h"

static struct arena *arena;

static int
parse(const char *text, struct query *query)
{
	return query_parse(arena, text, strlen(text), query);
}

static void
test_pairs(void)
{
	struct query q;

	is_int(parse("", &q), 0, "empty text");
	is_int(q.count, 0, "has no pairs");
	is_int(parse("&&&", &q), 0, "only separators");
	is_int(q.count, 0, "have no pairs");
	parse("a=1&b=2&a=3", &q);
	is_int(q.count, 3, "three pairs");
	is_str(q.pairs[0].value, "1", "in their order");
	is_str(query_value(&q, "a"), "3", "the last of a name counts");
	is_str(query_value(&q, "c"), NULL, "a name that is not there");
	parse("a&b=&=c&d=e=f", &q);
	is_int(q.count, 4, "odd pairs");
	is_str(query_value(&q, "a"), "", "a name without =");
	is_str(query_value(&q, "b"), "", "an empty value");
	is_str(query_value(&q, ""), "c", "an empty name");
	is_str(query_value(&q, "d"), "e=f", "a value with =");
}

static void
test_escapes(void)
{
	struct query q;

	parse("na%6De=a+b%20c%2B%c3%A9", &q);
	is_str(query_value(&q, "name"), "a b c+\xc3\xa9", "blanks and escapes");
	is_int(q.flags, 0, "nothing is odd about them");
	parse("a=%&b=%4&c=%zz&d=100%", &q);
	is_str(query_value(&q, "a"), "%", "a lone %");
	is_str(query_value(&q, "b"), "%4", "half an escape");
	is_str(query_value(&q, "c"), "%zz", "no hex digits");
	is_str(query_value(&q, "d"), "100%", "% at the end");
	parse("a=b%26c%3Dd", &q);
	is_str(query_value(&q, "a"), "b&c=d", "an escaped separator separates nothing");
}

static void
test_odd_text(void)
{
	struct query q;

	parse("a=x%00y&b=1", &q);
	is_int(q.flags, QUERY_NUL, "a NUL is seen");
	is_int((int64_t)query_find(&q, "a")->value_length, 3, "and counted");
	is_int(query_find(&q, "b")->flags, 0, "the other pair has none");
	parse("a=%ff&b=%F0%9F&c=%ed%a0%80", &q);
	is_int(q.flags, QUERY_BAD_UTF8, "bad UTF-8 is seen");
	is_str(query_value(&q, "a"), "\xef\xbf\xbd", "and replaced");
	is_str(query_value(&q, "b"), "\xef\xbf\xbd\xef\xbf\xbd", "a cut sequence too");
	is_str(query_value(&q, "c"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "a surrogate too");
	parse("a=\xc3\xa9", &q);
	is_str(query_value(&q, "a"), "\xc3\xa9", "raw UTF-8");
	is_int(q.flags, 0, "is fine");
	parse("a%00=1", &q);
	is_str(query_value(&q, "a"), NULL, "a name with a NUL is another name");
}

static void
test_bounds(void)
{
	static char many[4 * (QUERY_PAIRS_MAX + 1)];
	struct query q;
	size_t n = 0;

	for (int i = 0; i < QUERY_PAIRS_MAX; i++) {
		memcpy(many + n, "a=1&", 4);
		n += 4;
	}
	is_int(query_parse(arena, many, n, &q), 0, "as many pairs as may be");
	is_int(q.count, QUERY_PAIRS_MAX, "are all there");
	memcpy(many + n, "a", 1);
	is_int(query_parse(arena, many, n + 1, &q), -1, "one more is refused");
	is_int(query_parse(arena, "a=1&b=2", 5, &q), 0, "the length counts");
	is_str(query_value(&q, "b"), "", "not what follows");
}

int
main(void)
{
	arena = arena_create(1 << 20);
	test_pairs();
	test_escapes();
	test_odd_text();
	test_bounds();
	arena_free(arena);
	return tap_done();
}
