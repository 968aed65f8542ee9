#include "api/resources.h"

#define URL_FIELD 1

static const struct field fields[] = {
	{.name = "id", .column = "id", .type = FIELD_UUID, .flags = FIELD_READ_ONLY, .label = "Id"},
	{.name = "url", .column = "id", .type = FIELD_TEXT, .flags = FIELD_READ_ONLY, .label = "Url"},
	{.name = "version", .column = "version", .type = FIELD_INT, .min = INT32_MIN, .max = INT32_MAX, .label = "Version"},
	{.name = "identity", .column = "identity", .type = FIELD_TEXT, .flags = FIELD_REQUIRED, .max = 36, .label = "Identity"},
	{.name = "messageset", .column = "messageset_id", .type = FIELD_REF, .flags = FIELD_REQUIRED, .table = "messageset",
	    .label = "Messageset"},
	{.name = "next_sequence_number", .column = "next_sequence_number", .type = FIELD_INT, .min = INT32_MIN,
	    .max = INT32_MAX, .label = "Next sequence number"},
	{.name = "lang", .column = "lang", .type = FIELD_TEXT, .flags = FIELD_REQUIRED, .max = 6, .label = "Lang"},
	{.name = "active", .column = "active", .type = FIELD_BOOL, .label = "Active"},
	{.name = "completed", .column = "completed", .type = FIELD_BOOL, .label = "Completed"},
	{.name = "schedule", .column = "schedule_id", .type = FIELD_REF, .flags = FIELD_REQUIRED, .table = "schedule",
	    .label = "Schedule"},
	{.name = "process_status", .column = "process_status", .type = FIELD_INT, .min = INT32_MIN, .max = INT32_MAX,
	    .label = "Process status"},
	{.name = "metadata", .column = "metadata", .type = FIELD_JSON, .flags = FIELD_NULL, .label = "Metadata"},
	{.name = "created_at", .column = "created_at", .type = FIELD_TIME, .flags = FIELD_READ_ONLY | FIELD_CREATED,
	    .label = "Created at"},
	{.name = "updated_at", .column = "updated_at", .type = FIELD_TIME, .flags = FIELD_READ_ONLY | FIELD_UPDATED,
	    .label = "Updated at"},
	{.name = "initial_sequence_number", .column = "initial_sequence_number", .type = FIELD_INT, .min = INT32_MIN,
	    .max = INT32_MAX, .label = "Initial sequence number"},
	{.name = "messageset_label", .column = "messageset_label", .type = FIELD_TEXT, .flags = FIELD_READ_ONLY,
	    .label = "Messageset label"},
	{.name = "created_by", .column = "created_by_id", .type = FIELD_REF, .flags = FIELD_HIDDEN, .table = "api_user"},
	{.name = "updated_by", .column = "updated_by_id", .type = FIELD_REF, .flags = FIELD_HIDDEN, .table = "api_user"},
	{0},
};

static const struct filter filters[] = {
	{.name = "id", .kind = FILTER_UUID, .column = "id"},
	{.name = "identity", .kind = FILTER_TEXT, .column = "identity"},
	{.name = "version", .kind = FILTER_NUMBER, .column = "version"},
	{.name = "messageset", .kind = FILTER_REF, .column = "messageset_id", .table = "messageset"},
	{.name = "initial_sequence_number", .kind = FILTER_NUMBER, .column = "initial_sequence_number"},
	{.name = "next_sequence_number", .kind = FILTER_NUMBER, .column = "next_sequence_number"},
	{.name = "lang", .kind = FILTER_TEXT, .column = "lang"},
	{.name = "active", .kind = FILTER_BOOL, .column = "active"},
	{.name = "completed", .kind = FILTER_BOOL, .column = "completed"},
	{.name = "schedule", .kind = FILTER_REF, .column = "schedule_id", .table = "schedule"},
	{.name = "process_status", .kind = FILTER_NUMBER, .column = "process_status"},
	{.name = "metadata", .kind = FILTER_JSON, .column = "metadata"},
	{.name = "created_at", .kind = FILTER_TIME, .column = "created_at"},
	{.name = "updated_at", .kind = FILTER_TIME, .column = "updated_at"},
	{.name = "created_by", .kind = FILTER_REF, .column = "created_by_id", .table = "api_user"},
	{.name = "updated_by", .kind = FILTER_REF, .column = "updated_by_id", .table = "api_user"},
	{.name = "created_after", .kind = FILTER_AFTER, .column = "created_at"},
	{.name = "created_before", .kind = FILTER_BEFORE, .column = "created_at"},
	{.name = "metadata_has_key", .kind = FILTER_HAS_KEY, .column = "metadata"},
	{.name = "metadata_not_has_key", .kind = FILTER_NOT_HAS_KEY, .column = "metadata"},
	{.name = "messageset_contains", .kind = FILTER_CUSTOM,
	    .sql = "messageset_id IN (SELECT id FROM messageset WHERE position($%d IN short_name) > 0)"},
	{0},
};

static int
check(struct req *r, struct resource_change *change)
{
	struct value user = {
		.state = VALUE_SET, .number = r->user.id, .text = arena_printf(r->arena, "%lld", (long long)r->user.id)};

	if (change->verb == RESOURCE_DOES_CREATE)
		change->values[resource_column(change->resource, "created_by")] = user;
	change->values[resource_column(change->resource, "updated_by")] = user;
	return 0;
}

static bool
put_field(struct req *r, const struct field *f, const struct db_result *result, int row, int column)
{
	(void)f;
	if (column != URL_FIELD)
		return false;
	buf_putc(r->out, '"');
	req_put_url(r, r->out, "/api/v1/subscriptions/");
	buf_puts(r->out, db_text(result, row, column));
	buf_puts(r->out, "/\"");
	return true;
}

const struct resource subscription_resource = {
	.name = "subscription",
	.table = "subscription_labelled",
	.label = "subscription",
	.fields = fields,
	.uuid_key = true,
	.order = RESOURCE_NEWEST,
	.verbs = RESOURCE_ALL,
	.filters = filters,
	.check = check,
	.put_field = put_field,
};
