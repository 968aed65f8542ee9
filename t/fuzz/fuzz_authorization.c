#include "base/parse.h"
#include "fuzz.h"
#include "rest/parse_authorization.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = fuzz_arena();
	struct authorization a;

	authorization_parse(arena, fuzz_text(arena, data, size), &a);
	switch (a.kind) {
	case AUTHORIZATION_TOKEN:
		SBM_ASSERT(strlen(a.token) == 40 && strspn(a.token, "0123456789abcdef") == 40);
		break;
	case AUTHORIZATION_BASIC:
		SBM_ASSERT(utf8_is_valid(a.username, strlen(a.username)) && !strchr(a.username, ':'));
		SBM_ASSERT(utf8_is_valid(a.password, strlen(a.password)));
		break;
	case AUTHORIZATION_BAD:
		SBM_ASSERT(a.detail && *a.detail);
		break;
	case AUTHORIZATION_NONE:
		break;
	case AUTHORIZATION_KIND_MAX:
		SBM_ASSERT(a.kind < AUTHORIZATION_KIND_MAX);
	}
	return 0;
}
