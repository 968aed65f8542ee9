#include "fuzz.h"
#include "rest/parse_accept.h"
#include "rest/parse_multipart.h"

/* Accept, and Content-Type, which shares its way of reading parameters. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = fuzz_arena();
	const char *text = fuzz_text(arena, data, size);
	struct content_type type;

	if (!accept_allows_json(text)) {
		/* What refuses JSON must do so with a further range that says nothing of it. */
		SBM_ASSERT(!accept_allows_json(arena_printf(arena, "image/png,%s", text)));
	}
	content_type_parse(arena, text, &type);
	SBM_ASSERT(type.media < MEDIA_MAX);
	if (type.boundary) {
		size_t length = strlen(type.boundary);

		SBM_ASSERT(type.media == MEDIA_MULTIPART);
		SBM_ASSERT(length > 0 && length <= MULTIPART_BOUNDARY_MAX && strcspn(type.boundary, "\r\n") == length);
	}
	return 0;
}
