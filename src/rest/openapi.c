#include "config.h"

#include "rest/openapi.h"

#include "base/assert.h"
#include "rest/resource.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Longest name of a schema, an operation or a path in the document. */
#define NAME_MAX_SIZE 128

/* The document under way. */
struct draft {
	const struct route *routes;
	json_t *paths;
	json_t *schemas;
};

/* What a body is written for. */
enum body_kind { BODY_ANSWER, BODY_WHOLE, BODY_PARTIAL };

static void
put(json_t *object, const char *key, json_t *value)
{
	SBM_ASSERT(json_object_set_new(object, key, value) == 0);
}

static void
add(json_t *array, json_t *value)
{
	SBM_ASSERT(json_array_append_new(array, value) == 0);
}

static json_t *
refer(const char *kind, const char *name)
{
	return json_sprintf("#/components/%s/%s", kind, name);
}

static json_t *
reference(const char *kind, const char *name)
{
	return json_pack("{s:o}", "$ref", refer(kind, name));
}

/* "schedule" and "List" make "ScheduleList". */
static const char *
schema_name(char out[NAME_MAX_SIZE], const char *resource, const char *suffix)
{
	snprintf(out, NAME_MAX_SIZE, "%c%s%s", toupper((unsigned char)resource[0]), resource + 1, suffix);
	return out;
}

static json_t *
choices_of(const char *const *choices)
{
	json_t *all = json_array();

	for (; *choices; choices++)
		add(all, json_string(*choices));
	return all;
}

static json_t *
type_of(const struct field *f, enum body_kind kind)
{
	switch (f->type) {
	case FIELD_TEXT:
		return json_pack("{s:s}", "type", "string");
	case FIELD_INT:
		return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)f->min, "maximum", (json_int_t)f->max);
	case FIELD_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case FIELD_UUID:
		return json_pack("{s:s, s:s}", "type", "string", "format", "uuid");
	case FIELD_TIME:
		return json_pack("{s:s, s:s}", "type", "string", "format", "date-time");
	case FIELD_CHOICE:
		return json_pack("{s:s, s:o}", "type", "string", "enum", choices_of(f->choices));
	case FIELD_JSON:
		return json_pack("{s:s}", "description", "Any JSON value.");
	case FIELD_REF:
		return f->uuid_key ? json_pack("{s:s, s:s}", "type", "string", "format", "uuid") : json_pack("{s:s}", "type", "integer");
	case FIELD_FILE:
		return json_pack("{s:s, s:s}", "type", "string", "format", kind == BODY_ANSWER ? "uri" : "binary");
	case FIELD_TYPE_MAX:
		break;
	}
	SBM_ASSERT(f->type < FIELD_TYPE_MAX);
	return NULL;
}

static json_t *
describe_field(const struct field *f, enum body_kind kind)
{
	json_t *schema = type_of(f, kind);

	if (f->type == FIELD_TEXT && f->max > 0)
		put(schema, "maxLength", json_integer(f->max));
	if (f->type == FIELD_TEXT && kind != BODY_ANSWER && !(f->flags & FIELD_BLANK))
		put(schema, "minLength", json_integer(1));
	if (f->type == FIELD_TEXT && (f->flags & FIELD_EMAIL))
		put(schema, "format", json_string("email"));
	if (f->label)
		put(schema, "title", json_string(f->label));
	if (kind == BODY_ANSWER && (f->flags & FIELD_READ_ONLY))
		put(schema, "readOnly", json_true());
	if ((f->flags & FIELD_NULL) && f->type != FIELD_JSON)
		put(schema, "type", json_pack("[o, s]", json_incref(json_object_get(schema, "type")), "null"));
	return schema;
}

static json_t *
describe_fields(const struct field *fields, enum body_kind kind)
{
	json_t *properties = json_object(), *required = json_array();

	for (const struct field *f = fields; f->name; f++) {
		if ((f->flags & FIELD_HIDDEN) || (kind != BODY_ANSWER && (f->flags & FIELD_READ_ONLY)))
			continue;
		put(properties, f->name, describe_field(f, kind));
		if (kind == BODY_ANSWER || (kind == BODY_WHOLE && (f->flags & FIELD_REQUIRED)))
			add(required, json_string(f->name));
	}
	return json_pack("{s:s, s:o, s:o}", "type", "object", "properties", properties, "required", required);
}

/* A page of a list: the name without "List" is the schema of its rows. */
static json_t *
describe_page(const char *rows)
{
	return json_pack("{s:s, s:[s, s, s, s], s:{s:{s:s, s:i}, s:{s:[s, s], s:s}, s:{s:[s, s], s:s}, s:{s:s, s:o}}}", "type", "object",
	    "required", "count", "next", "previous", "results", "properties", "count", "type", "integer", "minimum", 0, "next", "type",
	    "string", "null", "format", "uri", "previous", "type", "string", "null", "format", "uri", "results", "type", "array", "items",
	    reference("schemas", rows));
}

static void
need_page(struct draft *draft, const char *name)
{
	char rows[NAME_MAX_SIZE];
	size_t n = strlen(name);

	if (json_object_get(draft->schemas, name))
		return;
	SBM_ASSERT(n > 4 && n < NAME_MAX_SIZE && strcmp(name + n - 4, "List") == 0);
	snprintf(rows, sizeof rows, "%.*s", (int)n - 4, name);
	SBM_ASSERT(json_object_get(draft->schemas, rows));
	put(draft->schemas, name, describe_page(rows));
}

static void
describe_resource(struct draft *draft, const struct resource *resource)
{
	char name[NAME_MAX_SIZE];

	put(draft->schemas, schema_name(name, resource->name, ""), describe_fields(resource->fields, BODY_ANSWER));
	put(draft->schemas, schema_name(name, resource->name, "Input"), describe_fields(resource->fields, BODY_WHOLE));
	if (resource->verbs & RESOURCE_UPDATE)
		put(draft->schemas, schema_name(name, resource->name, "Patch"), describe_fields(resource->fields, BODY_PARTIAL));
	if (resource->verbs & RESOURCE_LIST)
		need_page(draft, schema_name(name, resource->name, "List"));
}

/* The schema of an operation's answer, or NULL when it has no body. */
static const char *
answer_schema(struct draft *draft, const struct route *route, enum req_method method, const struct route_method *m, char name[NAME_MAX_SIZE])
{
	bool list = !strchr(route->pattern, '{');

	if (m->answer) {
		if (!json_object_get(draft->schemas, m->answer))
			need_page(draft, m->answer);
		return m->answer;
	}
	if (!route->resource || method == REQ_DELETE)
		return NULL;
	return schema_name(name, route->resource->name, list && method == REQ_GET ? "List" : "");
}

static json_t *
content_of(const char *type, const char *schema)
{
	return json_pack("{s:{s:o}}", type, "schema", reference("schemas", schema));
}

static json_t *
describe_success(struct draft *draft, const struct route *route, enum req_method method, const struct route_method *m)
{
	char name[NAME_MAX_SIZE];
	const char *schema = answer_schema(draft, route, method, m, name);
	json_t *answer = json_pack("{s:s, s:{s:o}}", "description", m->summary ? m->summary : "Success", "headers", "X-Request-ID",
	    reference("headers", "RequestId"));

	if (route->resource && strchr(route->pattern, '{') && method != REQ_DELETE)
		put(json_object_get(answer, "headers"), "ETag", reference("headers", "ETag"));
	if (schema)
		put(answer, "content", content_of(strcmp(schema, "Text") == 0 ? "text/plain" : "application/json", schema));
	return answer;
}

/* Refusals, by what an operation has that can be refused. */
static void
describe_refusals(const struct route *route, enum req_method method, bool body, json_t *responses)
{
	bool record = strchr(route->pattern, '{') != NULL;
	const struct {
		const char *status;
		bool when;
	} refusals[] = {
		{"304", route->resource && record && method == REQ_GET},
		{"400", true},
		{"401", route->permission != ROUTE_OPEN},
		{"403", route->permission == ROUTE_STAFF || route->permission == ROUTE_VIEW_BEHIND || route->permission == ROUTE_FIND_BEHIND},
		{"404", record},
		{"406", route->permission != ROUTE_OPEN},
		{"409", (route->resource && method != REQ_GET) || method == REQ_POST},
		{"412", route->resource && record && method != REQ_GET},
		{"413", body},
		{"415", body},
		{"422", method == REQ_POST},
		{"503", true},
	};

	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
		if (refusals[i].when)
			put(responses, refusals[i].status, reference("responses", refusals[i].status));
}

static bool
has_file(const struct field *fields)
{
	for (; fields->name; fields++)
		if (fields->type == FIELD_FILE)
			return true;
	return false;
}

/* The body that an operation takes, or NULL. */
static json_t *
describe_body(const struct route *route, enum req_method method, const struct route_method *m)
{
	char name[NAME_MAX_SIZE];
	json_t *content, *schema;

	if (m->request)
		schema = reference("schemas", m->request);
	else if (m->fields)
		schema = describe_fields(m->fields, BODY_WHOLE);
	else if (route->resource && !m->answer && (method == REQ_POST || method == REQ_PUT || method == REQ_PATCH))
		schema = reference("schemas", schema_name(name, route->resource->name, method == REQ_PATCH ? "Patch" : "Input"));
	else
		return NULL;
	content = json_object();
	put(content, "multipart/form-data", json_pack("{s:O}", "schema", schema));
	if (!route->resource || !has_file(route->resource->fields)) {
		put(content, "application/json", json_pack("{s:O}", "schema", schema));
		put(content, "application/x-www-form-urlencoded", json_pack("{s:O}", "schema", schema));
	}
	json_decref(schema);
	return json_pack("{s:b, s:o}", "required", method != REQ_PATCH, "content", content);
}

/* A parameter in a route's braces is a UUID where the record's own route has one. */
static bool
is_uuid_path(const struct draft *draft, const char *pattern)
{
	size_t n = strcspn(pattern, "}");

	for (const struct route *route = draft->routes; route->pattern; route++)
		if (route->resource && route->resource->uuid_key && strncmp(route->pattern, pattern, n) == 0 && strcmp(route->pattern + n, "}/") == 0)
			return true;
	return false;
}

static json_t *
parameter(const char *name, const char *in, bool required, json_t *schema)
{
	return json_pack("{s:s, s:s, s:b, s:o}", "name", name, "in", in, "required", required, "schema", schema);
}

/* An {id} is a row's: a number or a UUID. What is called otherwise is a text. */
static json_t *
describe_path_parameter(const char *name, bool uuid)
{
	if (strcmp(name, "id") != 0)
		return json_pack("{s:s}", "type", "string");
	return uuid ? json_pack("{s:s, s:s}", "type", "string", "format", "uuid") : json_pack("{s:s, s:i}", "type", "integer", "minimum", 1);
}

static void
add_path_parameters(const struct draft *draft, const char *pattern, json_t *parameters)
{
	bool uuid = is_uuid_path(draft, pattern);

	for (const char *open = strchr(pattern, '{'); open; open = strchr(open + 1, '{')) {
		char name[NAME_MAX_SIZE];

		snprintf(name, sizeof name, "%.*s", (int)strcspn(open + 1, "}"), open + 1);
		add(parameters, parameter(name, "path", true, describe_path_parameter(name, uuid)));
	}
}

static json_t *
describe_filter(const struct filter *f)
{
	switch (f->kind) {
	case FILTER_NUMBER:
	case FILTER_REF:
		return json_pack("{s:s}", "type", "integer");
	case FILTER_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case FILTER_UUID:
		return json_pack("{s:s, s:s}", "type", "string", "format", "uuid");
	case FILTER_TIME:
	case FILTER_AFTER:
	case FILTER_BEFORE:
		return json_pack("{s:s, s:s}", "type", "string", "format", "date-time");
	case FILTER_TEXT:
		if (f->choices)
			return json_pack("{s:s, s:o}", "type", "string", "enum", choices_of(f->choices));
		break;
	case FILTER_HAS_KEY:
	case FILTER_NOT_HAS_KEY:
	case FILTER_JSON:
	case FILTER_CUSTOM:
	case FILTER_KIND_MAX:
		break;
	}
	return json_pack("{s:s}", "type", "string");
}

static bool
is_list(const struct route *route, enum req_method method, const struct route_method *m)
{
	size_t n = m->answer ? strlen(m->answer) : 0;

	if (method != REQ_GET)
		return false;
	return m->answer ? n > 4 && strcmp(m->answer + n - 4, "List") == 0 : !strchr(route->pattern, '{');
}

static void
add_query_parameters(const struct route *route, enum req_method method, const struct route_method *m, json_t *parameters)
{
	if (is_list(route, method, m)) {
		add(parameters, reference("parameters", "Limit"));
		add(parameters, reference("parameters", "Offset"));
		for (const struct filter *f = route->resource ? route->resource->filters : NULL; f && f->name; f++)
			add(parameters, parameter(f->name, "query", false, describe_filter(f)));
	}
	for (const struct route_param *p = m->params; p && p->name; p++) {
		json_t *about = parameter(p->name, "query", false,
		    json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)p->min, "maximum", (json_int_t)p->max));

		put(about, "description", json_string(p->description));
		add(parameters, about);
	}
}

static void
add_header_parameters(const struct route *route, enum req_method method, json_t *parameters)
{
	bool record = route->resource && strchr(route->pattern, '{');

	if (method == REQ_POST && !route->secret)
		add(parameters, reference("parameters", "IdempotencyKey"));
	if (record && method == REQ_GET)
		add(parameters, reference("parameters", "IfNoneMatch"));
	else if (record)
		add(parameters, reference("parameters", "IfMatch"));
}

/* "get /api/v1/schedule/{id}/" makes get_api_v1_schedule_id. */
static json_t *
operation_id(const char *method, const char *pattern)
{
	char id[NAME_MAX_SIZE];
	size_t n = (size_t)snprintf(id, sizeof id, "%s", method);

	for (; *pattern && n + 2 < sizeof id; pattern++) {
		if (isalnum((unsigned char)*pattern) || *pattern == '_')
			id[n++] = *pattern;
		else if (id[n - 1] != '_')
			id[n++] = '_';
	}
	id[n] = '\0';
	while (n > 0 && id[n - 1] == '_')
		id[--n] = '\0';
	return json_string(id);
}

/* The word that says what a route is about: the first one after /api/ and /api/v1/. */
static json_t *
tag_of(const char *pattern)
{
	if (strncmp(pattern, "/api/v1/", 8) == 0)
		pattern += 8;
	else if (strncmp(pattern, "/api/", 5) == 0)
		pattern += 5;
	pattern += *pattern == '/';
	return *pattern ? json_stringn(pattern, strcspn(pattern, "/")) : json_string("root");
}

static json_t *
describe_operation(struct draft *draft, const struct route *route, enum req_method method, const struct route_method *m, const char *word)
{
	json_t *parameters = json_array(), *responses = json_object(), *operation, *body = describe_body(route, method, m);
	char status[12];

	snprintf(status, sizeof status, "%d", m->status);
	put(responses, status, describe_success(draft, route, method, m));
	describe_refusals(route, method, body != NULL, responses);
	add_path_parameters(draft, route->pattern, parameters);
	add_query_parameters(route, method, m, parameters);
	add_header_parameters(route, method, parameters);
	operation = json_pack("{s:o, s:[o], s:s, s:o, s:o}", "operationId", operation_id(word, route->pattern), "tags", tag_of(route->pattern),
	    "summary", m->summary ? m->summary : route->name, "parameters", parameters, "responses", responses);
	if (route->description && *route->description)
		put(operation, "description", json_string(route->description));
	if (body)
		put(operation, "requestBody", body);
	if (route->permission == ROUTE_OPEN || route->permission == ROUTE_ANYBODY)
		put(operation, "security", json_array());
	return operation;
}

static void
describe_route(struct draft *draft, const struct route *route)
{
	static const char *const words[REQ_METHOD_MAX] = {
		[REQ_GET] = "get", [REQ_POST] = "post", [REQ_PUT] = "put", [REQ_PATCH] = "patch", [REQ_DELETE] = "delete",
	};
	json_t *item = json_object();

	for (int method = 0; method < REQ_METHOD_MAX; method++) {
		struct route_method m = route_find_method(route, (enum req_method)method);

		if (words[method] && m.handle)
			put(item, words[method], describe_operation(draft, route, (enum req_method)method, &m, words[method]));
	}
	put(draft->paths, route->pattern, item);
}

static json_t *
describe_responses(void)
{
	static const struct {
		const char *status, *description, *schema;
	} all[] = {
		{"304", "The record is still what If-None-Match names.", NULL},
		{"400", "The request is not acceptable; each field with its errors, or a detail.", "Errors"},
		{"401", "Nobody is logged in, or the credentials are wrong.", "Error"},
		{"403", "The user may not do this.", "Error"},
		{"404", "There is no such thing.", "Error"},
		{"406", "The Accept header does not allow application/json.", "Error"},
		{"409", "Something else stands against it; the detail says what.", "Error"},
		{"412", "The record is no longer what If-Match names.", "Error"},
		{"413", "The body is too large.", "Error"},
		{"415", "The body is of no type that is taken.", "Error"},
		{"422", "The Idempotency-Key was used with another request.", "Error"},
		{"503", "The database cannot be reached at the moment; try again.", "Error"},
	};
	json_t *responses = json_object();

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		json_t *response = json_pack("{s:s}", "description", all[i].description);

		if (all[i].schema)
			put(response, "content", content_of("application/json", all[i].schema));
		put(responses, all[i].status, response);
	}
	return responses;
}

static json_t *
describe_parameters(void)
{
	json_t *all = json_object();

	put(all, "Limit", parameter("limit", "query", false, json_pack("{s:s, s:i}", "type", "integer", "minimum", 1)));
	put(all, "Offset", parameter("offset", "query", false, json_pack("{s:s, s:i}", "type", "integer", "minimum", 0)));
	put(all, "IdempotencyKey", parameter("Idempotency-Key", "header", false, json_pack("{s:s}", "type", "string")));
	put(all, "IfMatch", parameter("If-Match", "header", false, json_pack("{s:s}", "type", "string")));
	put(all, "IfNoneMatch", parameter("If-None-Match", "header", false, json_pack("{s:s}", "type", "string")));
	return all;
}

static json_t *
describe_components(json_t *schemas)
{
	json_t *components = json_pack("{s:o, s:o, s:o}", "schemas", schemas, "responses", describe_responses(), "parameters", describe_parameters());

	put(components, "headers", json_pack("{s:{s:s, s:{s:s}}, s:{s:s, s:{s:s}}}", "RequestId", "description", "The id of this request in the logs.",
	    "schema", "type", "string", "ETag", "description", "Changes when the record does.", "schema", "type", "string"));
	put(components, "securitySchemes", json_pack("{s:{s:s, s:s, s:s, s:s}, s:{s:s, s:s}}", "token", "type", "apiKey", "in", "header", "name",
	    "Authorization", "description", "The word Token, a space, and the 40 hexadecimal digits of a token.", "basic", "type", "http", "scheme", "basic"));
	return components;
}

static void
read_schemas(struct draft *draft, const struct openapi_schema *schemas)
{
	for (; schemas->name; schemas++) {
		json_t *schema = json_loads(schemas->json, JSON_REJECT_DUPLICATES, NULL);

		SBM_ASSERT(schema);
		put(draft->schemas, schemas->name, schema);
	}
}

json_t *
openapi_document(const struct route *routes, const struct openapi_schema *schemas)
{
	struct draft draft = {routes, json_object(), json_object()};
	char name[NAME_MAX_SIZE];
	json_t *document;

	read_schemas(&draft, schemas);
	for (const struct route *route = routes; route->pattern; route++)
		if (route->resource && !json_object_get(draft.schemas, schema_name(name, route->resource->name, "")))
			describe_resource(&draft, route->resource);
	for (const struct route *route = routes; route->pattern; route++)
		describe_route(&draft, route);
	document = json_pack("{s:s, s:{s:s, s:s, s:s, s:{s:s, s:s}}, s:[{s:s}], s:[{s:[]}, {s:[]}], s:o}", "openapi", "3.1.0", "info", "title",
	    "Seed Stage-Based Messaging Store", "version", PACKAGE_VERSION, "description",
	    "Every path works with and without its trailing slash.", "license", "name", "BSD-3-Clause", "identifier", "BSD-3-Clause", "servers",
	    "url", "/", "security", "token", "basic", "paths", draft.paths);
	SBM_ASSERT(document);
	put(document, "components", describe_components(draft.schemas));
	return document;
}
