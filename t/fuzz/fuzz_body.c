#include "fields.h"

/* A JSON body. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = fuzz_arena();
	struct req r = {.arena = arena};
	char error[256];

	if (size == 0)
		return 0;
	r.raw = arena_strndup(arena, (const char *)data + 1, size - 1);
	r.raw_length = size - 1;
	if (json_read(r.raw, r.raw_length, &r.body, error, sizeof(error)) != JSON_FINE) {
		SBM_ASSERT(memchr(error, '\0', sizeof(error)));
		return 0;
	}
	fuzz_read_body(&r, data[0]);
	json_decref(r.body);
	return 0;
}
