#include "rest/route.h"

#include "rest/kit.h"
#include "rest/resource.h"

#include <string.h>

static const char *const method_names[REQ_METHOD_MAX] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"};

const char *
route_method_name(enum req_method method)
{
	return method_names[method];
}

/* The handlers of a resource's verbs, on its list's route and on its record's. */
struct resource_method {
	unsigned verb;
	struct route_method method;
};
static const struct resource_method of_list[REQ_METHOD_MAX] = {
	[REQ_GET] = {RESOURCE_LIST, {.handle = resource_list, .status = 200}},
	[REQ_POST] = {RESOURCE_CREATE, {.handle = resource_create, .status = 201}},
};
static const struct resource_method of_record[REQ_METHOD_MAX] = {
	[REQ_GET] = {RESOURCE_RETRIEVE, {.handle = resource_retrieve, .status = 200}},
	[REQ_PUT] = {RESOURCE_UPDATE, {.handle = resource_update, .status = 200}},
	[REQ_PATCH] = {RESOURCE_UPDATE, {.handle = resource_update, .status = 200}},
	[REQ_DELETE] = {RESOURCE_DELETE, {.handle = resource_delete, .status = 204}},
};

struct route_method
route_find_method(const struct route *route, enum req_method method)
{
	const struct resource_method *own;

	if (method >= REQ_METHOD_MAX)
		return (struct route_method){0};
	if (method == REQ_HEAD)
		method = REQ_GET;
	if (route->methods[method].handle || !route->resource)
		return route->methods[method];
	own = strchr(route->pattern, '{') ? &of_record[method] : &of_list[method];
	if (!(route->resource->verbs & own->verb))
		return (struct route_method){0};
	return own->method;
}

const char *
route_allow(struct req *r, const struct route *route)
{
	struct buf b;
	const char *allow;

	buf_init(&b, 256);
	for (int m = 0; m < REQ_METHOD_MAX; m++) {
		if (m != REQ_OPTIONS && !route_find_method(route, (enum req_method)m).handle)
			continue;
		buf_puts(&b, b.length ? ", " : "");
		buf_puts(&b, method_names[m]);
	}
	allow = arena_strdup(r->arena, buf_text(&b));
	buf_fini(&b);
	return allow;
}

/* Whether the pieces are the pattern's; args are filled. *literal is the number of pieces that are literal there. */
static bool
matches(const char *pattern, const char *const *pieces, int count, const char *args[REQ_ARGS_MAX], int *literal)
{
	int piece = 0, arg = 0;

	*literal = 0;
	while (*pattern == '/')
		pattern++;
	while (*pattern) {
		size_t n = strcspn(pattern, "/");

		if (piece == count)
			return false;
		if (*pattern == '{') {
			if (!*pieces[piece])
				return false;
			args[arg++] = pieces[piece];
		} else {
			if (strncmp(pattern, pieces[piece], n) != 0 || pieces[piece][n])
				return false;
			++*literal;
		}
		piece++;
		pattern += n;
		while (*pattern == '/')
			pattern++;
	}
	return piece == count;
}

const struct route *
route_find(const struct route *routes, const char *const *pieces, int count, const char *args[REQ_ARGS_MAX])
{
	const struct route *best = NULL;
	int best_literal = -1;

	for (const struct route *route = routes; route->pattern; route++) {
		const char *found[REQ_ARGS_MAX] = {0};
		int literal;

		if (!matches(route->pattern, pieces, count, found, &literal) || literal <= best_literal)
			continue;
		best = route;
		best_literal = literal;
		memcpy(args, found, sizeof found);
	}
	return best;
}
