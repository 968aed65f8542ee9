#include "fields.h"
#include "rest/parse_query.h"

/* An application/x-www-form-urlencoded body, as the kit makes an object of it. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = fuzz_arena();
	struct req r = {.arena = arena, .is_form = true};
	struct query form;

	if (size == 0)
		return 0;
	r.raw = arena_strndup(arena, (const char *)data + 1, size - 1);
	r.raw_length = size - 1;
	if (query_parse(arena, r.raw, r.raw_length, &form) < 0 || (form.flags & QUERY_NUL))
		return 0;
	r.body = json_object();
	for (int i = 0; i < form.count; i++)
		SBM_ASSERT(json_object_set_new(r.body, form.pairs[i].name, json_string(form.pairs[i].value)) == 0);
	fuzz_read_body(&r, data[0]);
	json_decref(r.body);
	return 0;
}
