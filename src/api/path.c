#include "api/resources.h"

#include "rest/python.h"

const char *
path_id(struct req *r, int arg)
{
	int64_t id;

	if (python_int(r->arena, r->args[arg], &id) != PYTHON_INT || id < 1 || id > INT32_MAX) {
		req_fail(r, 404, "Not found.");
		return NULL;
	}
	return arena_printf(r->arena, "%lld", (long long)id);
}
