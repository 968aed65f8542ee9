#include "api/resources.h"

#include "api/member.h"
#include "domain/content.h"

#define UNIQUE_TOGETHER "The fields messageset, sequence_number, lang must make a unique set."

static const struct field fields[] = {
	{.name = "id", .column = "id", .type = FIELD_INT, .flags = FIELD_READ_ONLY, .min = 1, .max = INT32_MAX, .label = "ID"},
	{.name = "messageset", .column = "messageset_id", .type = FIELD_REF, .flags = FIELD_REQUIRED, .table = "messageset",
	    .label = "Messageset"},
	{.name = "sequence_number", .column = "sequence_number", .type = FIELD_INT, .flags = FIELD_REQUIRED, .min = INT32_MIN,
	    .max = INT32_MAX, .label = "Sequence number"},
	{.name = "lang", .column = "lang", .type = FIELD_TEXT, .flags = FIELD_REQUIRED, .max = 6, .label = "Lang"},
	{.name = "metadata", .column = "metadata", .type = FIELD_JSON, .label = "Metadata"},
	{.name = "text_content", .column = "text_content", .type = FIELD_TEXT, .flags = FIELD_NULL | FIELD_BLANK,
	    .label = "Text content"},
	{.name = "binary_content", .column = "binary_content_id", .type = FIELD_REF, .flags = FIELD_NULL,
	    .table = "binarycontent", .label = "Binary content"},
	{.name = "created_at", .column = "created_at", .type = FIELD_TIME, .flags = FIELD_READ_ONLY | FIELD_CREATED,
	    .label = "Created at"},
	{.name = "updated_at", .column = "updated_at", .type = FIELD_TIME, .flags = FIELD_READ_ONLY | FIELD_UPDATED,
	    .label = "Updated at"},
	{0},
};

static const struct filter filters[] = {
	{.name = "messageset", .kind = FILTER_REF, .column = "messageset_id", .table = "messageset"},
	{.name = "sequence_number", .kind = FILTER_NUMBER, .column = "sequence_number"},
	{.name = "lang", .kind = FILTER_TEXT, .column = "lang"},
	{0},
};

static void
check_fields(struct req *r, struct resource_change *change)
{
	const struct value *text = &change->values[resource_column(change->resource, "text_content")];
	struct buf error;

	if (text->state != VALUE_SET)
		return;
	buf_init(&error, (size_t)32 << 20);
	if (content_check_special(text->text, &error) != 0)
		req_fail_field(r, "text_content", "%s", buf_text(&error));
	buf_fini(&error);
}

/* The original's model refuses with a bare list. */
static int
refuse(struct req *r, const char *message)
{
	return req_fail_json(r, 400, json_pack("[s]", message));
}

static int
check(struct req *r, struct resource_change *change)
{
	const char *text = resource_value(change, "text_content");
	struct db_params params;
	struct db_result *row;

	db_params_init(&params);
	db_param_text(&params, resource_value(change, "messageset"));
	db_param_text(&params, resource_value(change, "lang"));
	db_param_text(&params, resource_value(change, "sequence_number"));
	db_param_text(&params, change->id ? change->id : "0");
	if (req_sql(r, DB_Q_MESSAGE_CHECK, &params, &row) != 0)
		return -1;
	if (db_bool(row, 0, 0))
		return req_fail_field(r, "non_field_errors", UNIQUE_TOGETHER);
	if ((!text || !*text) && !resource_value(change, "binary_content"))
		return refuse(r, "Messages must have text or file attached");
	if (text && content_is_whatsapp(db_text(row, 0, 1)) && !content_fits_whatsapp(text))
		return refuse(r, CONTENT_WHATSAPP_ERROR);
	return 0;
}

const struct resource message_resource = {
	.name = "message",
	.table = "message",
	.label = "message",
	.fields = fields,
	.order = RESOURCE_BY_ID,
	.verbs = RESOURCE_ALL,
	.filters = filters,
	.unique_together = UNIQUE_TOGETHER,
	.check_fields = check_fields,
	.check = check,
};

/* Columns of message_content and messageset_contents. */
enum {
	CONTENT_ID, CONTENT_MESSAGESET, CONTENT_SEQUENCE_NUMBER, CONTENT_LANG, CONTENT_TEXT, CONTENT_BINARY_ID,
	CONTENT_BINARY_NAME, CONTENT_CREATED_AT, CONTENT_UPDATED_AT
};

void
message_put_content(struct req *r, const struct db_result *result, int row)
{
	static const struct member head[] = {
		{"id", MEMBER_NUMBER, CONTENT_ID},
		{"messageset", MEMBER_NUMBER, CONTENT_MESSAGESET},
		{"sequence_number", MEMBER_NUMBER, CONTENT_SEQUENCE_NUMBER},
		{"lang", MEMBER_TEXT, CONTENT_LANG},
		{"text_content", MEMBER_TEXT, CONTENT_TEXT},
		{0},
	};
	static const struct member times[] = {
		{"created_at", MEMBER_TIME, CONTENT_CREATED_AT},
		{"updated_at", MEMBER_TIME, CONTENT_UPDATED_AT},
		{0},
	};

	buf_putc(r->out, '{');
	member_put_columns(r, head, result, row);
	member_put_key(r, "binary_content");
	binarycontent_put(r, result, row, CONTENT_BINARY_ID, CONTENT_BINARY_NAME);
	member_put_columns(r, times, result, row);
	buf_putc(r->out, '}');
}

int
message_content(struct req *r)
{
	const char *id = path_id(r, 0);
	struct db_params params;
	struct db_result *row;

	if (!id)
		return -1;
	db_params_init(&params);
	db_param_text(&params, id);
	if (req_sql(r, DB_Q_MESSAGE_CONTENT, &params, &row) != 0)
		return -1;
	if (db_rows(row) == 0)
		return req_fail(r, 404, "Not found.");
	message_put_content(r, row, 0);
	return req_answer(r, 200);
}
