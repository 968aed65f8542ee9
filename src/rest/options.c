#include "rest/kit.h"

#include "rest/resource.h"

#include <string.h>

static const char *
type_of(const struct field *f)
{
	static const char *const types[FIELD_TYPE_MAX] = {
		[FIELD_TEXT] = "string", [FIELD_INT] = "integer", [FIELD_BOOL] = "boolean", [FIELD_UUID] = "string",
		[FIELD_TIME] = "datetime", [FIELD_CHOICE] = "choice", [FIELD_JSON] = "field", [FIELD_REF] = "field",
		[FIELD_FILE] = "file upload",
	};

	return types[f->type];
}

static json_t *
describe_field(const struct field *f)
{
	json_t *about = json_pack("{s:s, s:b, s:b}", "type", type_of(f), "required", (f->flags & FIELD_REQUIRED) != 0,
	    "read_only", (f->flags & FIELD_READ_ONLY) != 0);

	if (f->label)
		json_object_set_new(about, "label", json_string(f->label));
	if (f->type == FIELD_TEXT && f->max > 0)
		json_object_set_new(about, "max_length", json_integer(f->max));
	if (f->type == FIELD_INT) {
		json_object_set_new(about, "min_value", json_integer(f->min));
		json_object_set_new(about, "max_value", json_integer(f->max));
	}
	for (const char *const *choice = f->choices; choice && *choice; choice++) {
		json_t *choices = json_object_get(about, "choices");

		if (!choices) {
			choices = json_array();
			json_object_set_new(about, "choices", choices);
		}
		json_array_append_new(choices, json_pack("{s:s, s:s}", "value", *choice, "display_name", *choice));
	}
	return about;
}

static json_t *
describe_fields(const struct field *fields)
{
	json_t *all = json_object();

	for (const struct field *f = fields; f->name; f++)
		if (!(f->flags & FIELD_HIDDEN))
			json_object_set_new(all, f->name, describe_field(f));
	return all;
}

static void
describe_actions(const struct req *r, json_t *about)
{
	static const struct {
		enum req_method method;
		const char *name;
	} actions[] = {{REQ_POST, "POST"}, {REQ_PUT, "PUT"}};
	json_t *all = json_object();

	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
		struct route_method method = route_find_method(r->route, actions[i].method);
		const struct field *fields = method.fields;

		if (method.handle == resource_create || method.handle == resource_update)
			fields = r->route->resource->fields;
		if (method.handle && fields)
			json_object_set_new(all, actions[i].name, describe_fields(fields));
	}
	if (json_object_size(all) > 0)
		json_object_set(about, "actions", all);
	json_decref(all);
}

int
options_answer(struct req *r)
{
	json_t *about = json_pack("{s:s, s:s, s:[s], s:[s,s,s]}", "name", r->route->name ? r->route->name : "", "description",
	    r->route->description ? r->route->description : "", "renders", "application/json", "parses", "application/json",
	    "application/x-www-form-urlencoded", "multipart/form-data");

	describe_actions(r, about);
	req_put_header(r, "Allow", route_allow(r, r->route));
	return req_answer_json(r, 200, about);
}
