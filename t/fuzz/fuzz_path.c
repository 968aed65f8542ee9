#include "base/parse.h"
#include "fuzz.h"
#include "rest/parse_path.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = fuzz_arena();
	struct path path;
	enum path_problem problem = path_parse(arena, (const char *)data, size, &path);

	SBM_ASSERT(path_problem_text(problem));
	if (problem != PATH_FINE)
		return 0;
	SBM_ASSERT(path.count >= 0 && path.count <= PATH_SEGMENTS_MAX);
	for (int i = 0; i < path.count; i++)
		SBM_ASSERT(utf8_is_valid(path.segments[i], strlen(path.segments[i])));
	return 0;
}
