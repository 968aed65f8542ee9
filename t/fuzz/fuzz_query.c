#include "base/parse.h"
#include "fuzz.h"
#include "rest/parse_query.h"

/* The text without its NULs is UTF-8, and a NUL is where the flag says so. */
static void
check_text(struct arena *arena, const char *text, size_t n, unsigned flags)
{
	char *copy = arena_strndup(arena, text, n);
	size_t put = 0;

	SBM_ASSERT(text[n] == '\0');
	for (size_t i = 0; i < n; i++)
		if (text[i] != '\0')
			copy[put++] = text[i];
	SBM_ASSERT(utf8_is_valid(copy, put));
	SBM_ASSERT(put == n || (flags & QUERY_NUL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = fuzz_arena();
	struct query query;
	unsigned flags = 0;

	if (query_parse(arena, (const char *)data, size, &query) < 0)
		return 0;
	SBM_ASSERT(query.count >= 0 && query.count <= QUERY_PAIRS_MAX);
	for (int i = 0; i < query.count; i++) {
		const struct query_pair *pair = &query.pairs[i];

		check_text(arena, pair->name, pair->name_length, pair->flags);
		check_text(arena, pair->value, pair->value_length, pair->flags);
		/* Of some only: each is a walk over all. */
		if (i < 16 && strlen(pair->name) == pair->name_length)
			SBM_ASSERT(query_find(&query, pair->name) >= pair);
		flags |= pair->flags;
	}
	SBM_ASSERT(flags == query.flags);
	return 0;
}
