#include "api/resources.h"

/* The lists of /api/v1/, by name. */
int
root_list(struct req *r)
{
	static const char *const lists[] = {"schedule", "messageset", "messageset_languages", "message", "binarycontent",
		"subscriptions", "failed-tasks", "behind-subscriptions"};
	json_t *all = json_object();

	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		json_object_set_new(all, lists[i], json_string(req_url(r, arena_printf(r->arena, "/api/v1/%s/", lists[i]))));
	return req_answer_json(r, 200, all);
}
