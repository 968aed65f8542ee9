#include "rest/route.h"
#include "rest/resource.h"
#include "tap.h"

static int
handle(struct req *r)
{
	(void)r;
	return 0;
}

static const struct field fields[] = {{.name = "id", .column = "id"}, {.name = NULL}};
static const struct resource thing = {
	.name = "thing", .table = "thing", .fields = fields, .verbs = RESOURCE_LIST | RESOURCE_RETRIEVE | RESOURCE_DELETE};

static const struct route routes[] = {
	{.pattern = "/", .methods = {[REQ_GET] = {.handle = handle}}},
	{.pattern = "/things/", .resource = &thing, .methods = {[REQ_POST] = {.handle = handle}}},
	{.pattern = "/things/{id}/", .resource = &thing},
	{.pattern = "/things/special/", .methods = {[REQ_POST] = {.handle = handle}}},
	{.pattern = "/things/{id}/parts/{part}/", .methods = {[REQ_GET] = {.handle = handle}}},
	{.pattern = NULL},
};

static const struct route *
find(const char *const *pieces, const char *args[REQ_ARGS_MAX])
{
	int count = 0;

	while (pieces[count])
		count++;
	args[0] = args[1] = NULL;
	return route_find(routes, pieces, count, args);
}

static void
test_find(void)
{
	const char *args[REQ_ARGS_MAX];

	ok(find((const char *[]){NULL}, args) == &routes[0], "the root");
	ok(find((const char *[]){"things", NULL}, args) == &routes[1], "a list");
	ok(find((const char *[]){"things", "7", NULL}, args) == &routes[2], "a record");
	is_str(args[0], "7", "and its id");
	ok(find((const char *[]){"things", "special", NULL}, args) == &routes[3], "a literal piece wins");
	is_str(args[0], NULL, "and is no argument");
	ok(find((const char *[]){"things", "7", "parts", "8", NULL}, args) == &routes[4], "two arguments");
	is_str(args[0], "7", "the first");
	is_str(args[1], "8", "the second");
	ok(!find((const char *[]){"things", "", NULL}, args), "an empty piece is no argument");
	ok(!find((const char *[]){"thing", NULL}, args), "a shorter word");
	ok(!find((const char *[]){"thingss", NULL}, args), "a longer word");
	ok(!find((const char *[]){"things", "7", "parts", NULL}, args), "a part of a path");
	ok(!find((const char *[]){"things", "7", "parts", "8", "9", NULL}, args), "more than a path");
	ok(!find((const char *[]){"", "things", NULL}, args), "an empty piece before it");
}

static void
test_methods(void)
{
	ok(route_find_method(&routes[1], REQ_GET).handle == resource_list, "a verb of the resource");
	ok(route_find_method(&routes[1], REQ_HEAD).handle == resource_list, "HEAD is GET");
	ok(route_find_method(&routes[1], REQ_POST).handle == handle, "a handler in a verb's place");
	ok(route_find_method(&routes[2], REQ_GET).handle == resource_retrieve, "a record is retrieved");
	ok(route_find_method(&routes[2], REQ_DELETE).handle == resource_delete, "and deleted");
	ok(!route_find_method(&routes[2], REQ_PUT).handle, "a verb that the resource does not have");
	ok(!route_find_method(&routes[2], REQ_POST).handle, "a record is not created");
	ok(!route_find_method(&routes[1], REQ_DELETE).handle, "a list is not deleted");
	ok(!route_find_method(&routes[3], REQ_GET).handle, "no resource, no verbs");
	ok(!route_find_method(&routes[1], REQ_METHOD_MAX).handle, "a method that nobody knows");
}

int
main(void)
{
	test_find();
	test_methods();
	return tap_done();
}
