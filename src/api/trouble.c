#include "api/handlers.h"

#include "api/list.h"
#include "api/member.h"
#include "api/resources.h"

/* Columns of the failed_task statements. */
enum { FAILED_ID, FAILED_SUBSCRIPTION, FAILED_TASK, FAILED_INITIATED, FAILED_REASON };

static void
put_failed(struct req *r, const struct db_result *rows, int row)
{
	static const struct member ours[] = {{"id", MEMBER_NUMBER, FAILED_ID}, {0}};
	static const struct member rest[] = {
		{"subscription_id", MEMBER_TEXT, FAILED_SUBSCRIPTION},
		{"task_id", MEMBER_TEXT, FAILED_TASK},
		{"initiated_at", MEMBER_TIME, FAILED_INITIATED},
		{"reason", MEMBER_TEXT, FAILED_REASON},
		{0},
	};

	buf_putc(r->out, '{');
	member_put_link(r, "url", "failed-tasks", db_text(rows, row, FAILED_ID));
	member_put_columns(r, ours, rows, row);
	member_put_link(r, "subscription", "subscriptions", db_text(rows, row, FAILED_SUBSCRIPTION));
	member_put_columns(r, rest, rows, row);
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
	member_put_link(r, arena_printf(r->arena, "%s_messageset", which), "messageset", db_text(rows, row, column));
	member_put_key(r, arena_printf(r->arena, "%s_messageset_id", which));
	req_put_number(r, rows, row, column);
	member_put_key(r, arena_printf(r->arena, "%s_messageset_name", which));
	req_put_text(r, rows, row, column + 1);
	member_put_key(r, arena_printf(r->arena, "%s_sequence_number", which));
	req_put_number(r, rows, row, column + 2);
}

static void
put_behind(struct req *r, const struct db_result *rows, int row)
{
	buf_putc(r->out, '{');
	member_put_key(r, "id");
	req_put_number(r, rows, row, BEHIND_ID);
	member_put_link(r, "subscription", "subscriptions", db_text(rows, row, BEHIND_SUBSCRIPTION));
	member_put_key(r, "subscription_id");
	req_put_text(r, rows, row, BEHIND_SUBSCRIPTION);
	member_put_key(r, "messages_behind");
	req_put_number(r, rows, row, BEHIND_MESSAGES);
	put_set(r, rows, row, "current", BEHIND_CURRENT_SET);
	put_set(r, rows, row, "expected", BEHIND_EXPECTED_SET);
	member_put_key(r, "created_at");
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
