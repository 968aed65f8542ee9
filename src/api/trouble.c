#include "api/handlers.h"

#include "api/list.h"
#include "api/resources.h"

static void
put_key(struct req *r, const char *key)
{
	buf_printf(r->out, "%s\"%s\":", r->out->length > 0 && r->out->data[r->out->length - 1] != '{' ? "," : "", key);
}

/* The address of a row of another list. */
static void
put_link(struct req *r, const char *key, const char *list, const char *id)
{
	put_key(r, key);
	buf_putc(r->out, '"');
	req_put_url(r, r->out, arena_printf(r->arena, "/api/v1/%s/%s/", list, id));
	buf_putc(r->out, '"');
}

/* Columns of the failed_task statements. */
enum { FAILED_ID, FAILED_SUBSCRIPTION, FAILED_TASK, FAILED_INITIATED, FAILED_REASON };

static void
put_failed(struct req *r, const struct db_result *rows, int row)
{
	buf_putc(r->out, '{');
	put_link(r, "url", "failed-tasks", db_text(rows, row, FAILED_ID));
	put_key(r, "id");
	req_put_number(r, rows, row, FAILED_ID);
	put_link(r, "subscription", "subscriptions", db_text(rows, row, FAILED_SUBSCRIPTION));
	put_key(r, "subscription_id");
	req_put_text(r, rows, row, FAILED_SUBSCRIPTION);
	put_key(r, "task_id");
	req_put_text(r, rows, row, FAILED_TASK);
	put_key(r, "initiated_at");
	req_put_time(r, rows, row, FAILED_INITIATED);
	put_key(r, "reason");
	req_put_text(r, rows, row, FAILED_REASON);
	buf_putc(r->out, '}');
}

/* Columns of the behind_subscription statements. */
enum {
	BEHIND_CREATED, BEHIND_ID, BEHIND_SUBSCRIPTION, BEHIND_MESSAGES,
	BEHIND_CURRENT_SET, BEHIND_CURRENT_NAME, BEHIND_CURRENT_SEQUENCE,
	BEHIND_EXPECTED_SET, BEHIND_EXPECTED_NAME, BEHIND_EXPECTED_SEQUENCE
};

static void
put_set(struct req *r, const struct db_result *rows, int row, const char *which, int column)
{
	put_link(r, arena_printf(r->arena, "%s_messageset", which), "messageset", db_text(rows, row, column));
	put_key(r, arena_printf(r->arena, "%s_messageset_id", which));
	req_put_number(r, rows, row, column);
	put_key(r, arena_printf(r->arena, "%s_messageset_name", which));
	req_put_text(r, rows, row, column + 1);
	put_key(r, arena_printf(r->arena, "%s_sequence_number", which));
	req_put_number(r, rows, row, column + 2);
}

static void
put_behind(struct req *r, const struct db_result *rows, int row)
{
	buf_putc(r->out, '{');
	put_key(r, "id");
	req_put_number(r, rows, row, BEHIND_ID);
	put_link(r, "subscription", "subscriptions", db_text(rows, row, BEHIND_SUBSCRIPTION));
	put_key(r, "subscription_id");
	req_put_text(r, rows, row, BEHIND_SUBSCRIPTION);
	put_key(r, "messages_behind");
	req_put_number(r, rows, row, BEHIND_MESSAGES);
	put_set(r, rows, row, "current", BEHIND_CURRENT_SET);
	put_set(r, rows, row, "expected", BEHIND_EXPECTED_SET);
	put_key(r, "created_at");
	req_put_time(r, rows, row, BEHIND_CREATED);
	buf_putc(r->out, '}');
}

static int
show(struct req *r, enum db_query query, void (*put_row)(struct req *, const struct db_result *, int))
{
	struct db_params params;
	struct db_result *row;
	const char *id = path_id(r, 0);

	if (!id)
		return -1;
	db_params_init(&params);
	db_param_text(&params, id);
	if (req_sql(r, query, &params, &row) < 0)
		return -1;
	if (db_rows(row) == 0)
		return req_fail(r, 404, "Not found.");
	put_row(r, row, 0);
	return req_answer(r, 200);
}

int
trouble_list_failed(struct req *r)
{
	static const struct list list = {
		.order = LIST_BY_ID,
		.count = DB_Q_FAILED_TASK_COUNT,
		.after = DB_Q_FAILED_TASK_AFTER,
		.before = DB_Q_FAILED_TASK_BEFORE,
		.put_row = put_failed,
	};

	return list_answer(r, &list);
}

int
trouble_show_failed(struct req *r)
{
	return show(r, DB_Q_FAILED_TASK_SHOW, put_failed);
}

int
trouble_list_behind(struct req *r)
{
	static const struct list list = {
		.order = LIST_BY_TIME_ID,
		.count = DB_Q_BEHIND_COUNT,
		.after = DB_Q_BEHIND_AFTER,
		.before = DB_Q_BEHIND_BEFORE,
		.put_row = put_behind,
	};

	return list_answer(r, &list);
}

int
trouble_show_behind(struct req *r)
{
	return show(r, DB_Q_BEHIND_SHOW, put_behind);
}
