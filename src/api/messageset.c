#include "api/member.h"
#include "api/resources.h"

static const char *const content_types[] = {"text", "audio", NULL};

static const struct field fields[] = {
	{.name = "id", .column = "id", .type = FIELD_INT, .flags = FIELD_READ_ONLY, .min = 1, .max = INT32_MAX, .label = "ID"},
	{.name = "short_name", .column = "short_name", .type = FIELD_TEXT, .flags = FIELD_REQUIRED | FIELD_UNIQUE, .max = 100,
	    .unique = "message set with this Short name already exists.", .label = "Short name"},
	{.name = "label", .column = "label", .type = FIELD_TEXT, .flags = FIELD_BLANK, .max = 100, .label = "User-readable name"},
	{.name = "content_type", .column = "content_type", .type = FIELD_CHOICE, .choices = content_types, .label = "Content type"},
	{.name = "notes", .column = "notes", .type = FIELD_TEXT, .flags = FIELD_NULL | FIELD_BLANK, .label = "Notes"},
	{.name = "next_set", .column = "next_set_id", .type = FIELD_REF, .flags = FIELD_NULL, .table = "messageset",
	    .label = "Next set"},
	{.name = "default_schedule", .column = "default_schedule_id", .type = FIELD_REF, .flags = FIELD_REQUIRED,
	    .table = "schedule", .label = "Default schedule"},
	{.name = "channel", .column = "channel", .type = FIELD_TEXT, .flags = FIELD_NULL | FIELD_BLANK, .max = 64,
	    .label = "Channel"},
	{.name = "created_at", .column = "created_at", .type = FIELD_TIME, .flags = FIELD_READ_ONLY | FIELD_CREATED,
	    .label = "Created at"},
	{.name = "updated_at", .column = "updated_at", .type = FIELD_TIME, .flags = FIELD_READ_ONLY | FIELD_UPDATED,
	    .label = "Updated at"},
	{0},
};

static const struct filter filters[] = {
	{.name = "short_name", .kind = FILTER_TEXT, .column = "short_name"},
	{.name = "content_type", .kind = FILTER_TEXT, .column = "content_type", .choices = content_types},
	{0},
};

static const struct resource_use uses[] = {
	{"subscription", "messageset_id", "subscriptions"},
	{0},
};

const struct resource messageset_resource = {
	.name = "messageset",
	.table = "messageset",
	.label = "message set",
	.fields = fields,
	.order = RESOURCE_BY_ID,
	.verbs = RESOURCE_ALL,
	.filters = filters,
	.uses = uses,
};

/* Columns of messageset_head. */
enum { SET_ID, SET_SHORT_NAME, SET_NOTES, SET_NEXT_SET, SET_DEFAULT_SCHEDULE, SET_CREATED_AT, SET_UPDATED_AT };

static void
put_set(struct req *r, const struct db_result *set, const struct db_result *messages)
{
	static const struct member head[] = {
		{"id", MEMBER_NUMBER, SET_ID},
		{"short_name", MEMBER_TEXT, SET_SHORT_NAME},
		{"notes", MEMBER_TEXT, SET_NOTES},
		{"next_set", MEMBER_NUMBER, SET_NEXT_SET},
		{"default_schedule", MEMBER_NUMBER, SET_DEFAULT_SCHEDULE},
		{0},
	};
	static const struct member times[] = {
		{"created_at", MEMBER_TIME, SET_CREATED_AT},
		{"updated_at", MEMBER_TIME, SET_UPDATED_AT},
		{0},
	};

	buf_putc(r->out, '{');
	member_put_columns(r, head, set, 0);
	member_put_key(r, "messages");
	buf_putc(r->out, '[');
	for (int i = 0; i < db_rows(messages); i++) {
		buf_puts(r->out, i ? "," : "");
		message_put_content(r, messages, i);
	}
	buf_putc(r->out, ']');
	member_put_columns(r, times, set, 0);
	buf_putc(r->out, '}');
}

int
messageset_messages(struct req *r)
{
	const char *id = path_id(r, 0);
	struct db_result *set, *messages;
	struct db_params params;

	if (!id)
		return -1;
	db_params_init(&params);
	db_param_text(&params, id);
	if (req_sql(r, DB_Q_MESSAGESET_HEAD, &params, &set) != 0)
		return -1;
	if (db_rows(set) == 0)
		return req_fail(r, 404, "Not found.");
	if (req_sql(r, DB_Q_MESSAGESET_CONTENTS, &params, &messages) != 0)
		return -1;
	put_set(r, set, messages);
	return req_answer(r, 200);
}

int
messageset_languages(struct req *r)
{
	struct db_result *rows;

	if (req_sql(r, DB_Q_MESSAGESET_LANGUAGES, NULL, &rows) != 0)
		return -1;
	buf_putc(r->out, '{');
	for (int i = 0; i < db_rows(rows); i++)
		buf_printf(r->out, "%s\"%s\":%s", i ? "," : "", db_text(rows, i, 0), db_text(rows, i, 1));
	buf_putc(r->out, '}');
	return req_answer(r, 200);
}
