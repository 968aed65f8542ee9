/* The document says what the tables say, all of it, and nothing else. */
#include "api/resources.h"
#include "api/routes.h"
#include "rest/openapi.h"
#include "tap.h"

#include <ctype.h>

static const char *const words[REQ_METHOD_MAX] = {"get", "post", "put", "patch", "delete", "head", "options"};

static json_t *document, *paths, *schemas;
static char name[512];

static const char *
called(const char *what, const char *which)
{
	snprintf(name, sizeof name, "%s %s", what, which);
	return name;
}

static json_t *
resolve(const char *pointer)
{
	json_t *at = document;
	char part[128];

	if (strncmp(pointer, "#/", 2) != 0)
		return NULL;
	for (pointer += 2; at && *pointer;) {
		size_t n = strcspn(pointer, "/");

		snprintf(part, sizeof part, "%.*s", (int)n, pointer);
		at = json_object_get(at, part);
		pointer += n + (pointer[n] == '/');
	}
	return at;
}

/* Counts references that lead nowhere; those that do are noted in seen. */
static int
count_dangling(const json_t *value, json_t *seen)
{
	const char *key;
	json_t *item;
	size_t i;
	int count = 0;

	json_object_foreach ((json_t *)(uintptr_t)value, key, item) {
		if (strcmp(key, "$ref") == 0 && json_is_string(item)) {
			count += resolve(json_string_value(item)) == NULL;
			json_object_set_new(seen, json_string_value(item), json_true());
		} else {
			count += count_dangling(item, seen);
		}
	}
	json_array_foreach (value, i, item)
		count += count_dangling(item, seen);
	return count;
}

static void
test_references(void)
{
	json_t *seen = json_object(), *item;
	const char *key;

	is_int(count_dangling(document, seen), 0, "every reference leads to something");
	json_object_foreach (schemas, key, item) {
		char pointer[160];

		snprintf(pointer, sizeof pointer, "#/components/schemas/%s", key);
		ok(json_object_get(seen, pointer) != NULL, called("something refers to the schema", key));
	}
	json_decref(seen);
}

/* Split as a request's path is. */
static int
split(const char *path, char *copy, const char *pieces[16])
{
	int count = 0;

	strcpy(copy, path);
	for (char *piece = strtok(copy, "/"); piece; piece = strtok(NULL, "/"))
		pieces[count++] = piece;
	return count;
}

static void
test_routes(void)
{
	json_t *ids = json_object(), *item, *operation;
	const char *pattern, *word, *pieces[16], *args[REQ_ARGS_MAX];
	char copy[256];

	for (const struct route *route = api_routes; route->pattern; route++) {
		item = json_object_get(paths, route->pattern);
		ok(item != NULL, called("the document has the route", route->pattern));
		for (int m = 0; m < REQ_METHOD_MAX; m++) {
			struct route_method method = route_find_method(route, (enum req_method)m);
			char status[12];

			if (m == REQ_HEAD || m == REQ_OPTIONS || !method.handle)
				continue;
			operation = json_object_get(item, words[m]);
			ok(operation != NULL, called(words[m], route->pattern));
			snprintf(status, sizeof status, "%d", method.status);
			ok(json_object_get(json_object_get(operation, "responses"), status) != NULL, called("its success is", status));
		}
	}
	json_object_foreach (paths, pattern, item) {
		const struct route *route = route_find(api_routes, pieces, split(pattern, copy, pieces), args);

		ok(route && strcmp(route->pattern, pattern) == 0, called("there is a route for the document's", pattern));
		json_object_foreach (item, word, operation) {
			const char *id = json_string_value(json_object_get(operation, "operationId"));
			int m = 0;

			while (m < REQ_METHOD_MAX && strcmp(words[m], word) != 0)
				m++;
			ok(m < REQ_METHOD_MAX && route && route_find_method(route, (enum req_method)m).handle, called("it takes", word));
			ok(id && !json_object_get(ids, id), called("no other operation is called", id ? id : "NULL"));
			json_object_set_new(ids, id, json_true());
		}
	}
	json_decref(ids);
}

static const struct field *
find_field(const struct field *fields, const char *wanted)
{
	for (; fields->name; fields++)
		if (strcmp(fields->name, wanted) == 0)
			return fields;
	return NULL;
}

static bool
is_required(const json_t *schema, const char *wanted)
{
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(schema, "required"), i, item)
		if (strcmp(json_string_value(item), wanted) == 0)
			return true;
	return false;
}

/* input: the schema of a body that makes a record; else of an answer. */
static void
test_fields(const struct field *fields, const json_t *schema, bool input)
{
	json_t *properties = json_object_get(schema, "properties"), *item;
	const char *key;

	ok(properties != NULL, "there are properties");
	for (const struct field *f = fields; f->name; f++) {
		bool wanted = !(f->flags & FIELD_HIDDEN) && !(input && (f->flags & FIELD_READ_ONLY));

		ok((json_object_get(properties, f->name) != NULL) == wanted, called(wanted ? "it has" : "it does not have", f->name));
		if (wanted)
			ok(is_required(schema, f->name) == (!input || (f->flags & FIELD_REQUIRED) != 0), called("as the table requires it:", f->name));
	}
	json_object_foreach (properties, key, item)
		ok(find_field(fields, key) != NULL, called("the table has", key));
}

static void
test_filters(const struct resource *resource, const char *pattern)
{
	json_t *parameters = json_object_get(json_object_get(json_object_get(paths, pattern), "get"), "parameters"), *item;
	size_t i, own = 0, count = 0;

	json_array_foreach (parameters, i, item) {
		const char *in = json_string_value(json_object_get(item, "in")), *key = json_string_value(json_object_get(item, "name"));

		if (!in || strcmp(in, "query") != 0)
			continue;
		own++;
		for (const struct filter *f = resource->filters; f && f->name; f++)
			if (strcmp(f->name, key) == 0)
				count++;
	}
	is_int((int64_t)count, (int64_t)own, called("every query parameter is a filter of", pattern));
	for (const struct filter *f = resource->filters; f && f->name; f++)
		count--;
	is_int((int64_t)count, 0, called("and the other way round", pattern));
}

static void
test_resources(void)
{
	for (const struct route *route = api_routes; route->pattern; route++) {
		char answer[128], input[sizeof answer + sizeof "Input"];

		if (!route->resource || strchr(route->pattern, '{'))
			continue;
		snprintf(answer, sizeof answer, "%c%s", toupper((unsigned char)route->resource->name[0]), route->resource->name + 1);
		snprintf(input, sizeof input, "%sInput", answer);
		ok(json_object_get(schemas, answer) != NULL, called("the schema", answer));
		test_fields(route->resource->fields, json_object_get(schemas, answer), false);
		test_fields(route->resource->fields, json_object_get(schemas, input), true);
		test_filters(route->resource, route->pattern);
	}
	for (const struct route *route = api_routes; route->pattern; route++) {
		for (int m = 0; m < REQ_METHOD_MAX; m++) {
			const struct field *fields = route->methods[m].fields;
			json_t *operation = json_object_get(json_object_get(paths, route->pattern), words[m]);
			json_t *content = json_object_get(json_object_get(operation, "requestBody"), "content");

			if (fields)
				test_fields(fields, json_object_get(json_object_get(content, "application/json"), "schema"), true);
		}
	}
}

int
main(void)
{
	document = openapi_document(api_routes, api_schemas);
	paths = json_object_get(document, "paths");
	schemas = json_object_get(json_object_get(document, "components"), "schemas");
	is_str(json_string_value(json_object_get(document, "openapi")), "3.1.0", "the version of OpenAPI");
	test_references();
	test_routes();
	test_resources();
	json_decref(document);
	return tap_done();
}
