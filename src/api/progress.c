#include "api/handlers.h"

#include "api/arg.h"
#include "api/list.h"
#include "api/member.h"
#include "api/resources.h"

static void
put_delivery(struct req *r, const struct db_result *rows, int row)
{
	/* Columns 0 and 1 are the key; the time is infinite as long as it is under way. */
	static const struct member columns[] = {
		{"id", MEMBER_TEXT, 1}, {"state", MEMBER_TEXT, 2}, {"kind", MEMBER_TEXT, 3}, {"messageset", MEMBER_NUMBER, 4}, {"sequence_number", MEMBER_NUMBER, 5},
		{"lang", MEMBER_TEXT, 6}, {"message", MEMBER_NUMBER, 7}, {"to_addr", MEMBER_TEXT, 8}, {"outbound_id", MEMBER_TEXT, 9}, {"reason", MEMBER_TEXT, 10},
		{"run", MEMBER_NUMBER, 11}, {"tries", MEMBER_NUMBER, 12}, {"request_id", MEMBER_TEXT, 13}, {"created_at", MEMBER_TIME, 14}, {"finished_at", MEMBER_TIME, 15},
		{0},
	};

	buf_putc(r->out, '{');
	member_put_columns(r, columns, rows, row);
	buf_putc(r->out, '}');
}

int
progress_list_deliveries(struct req *r)
{
	char uuid[UUID_TEXT_SIZE];
	struct list list = {
		.order = LIST_BY_TIME_UUID,
		.count = DB_Q_PROGRESS_DELIVERY_COUNT,
		.after = DB_Q_PROGRESS_DELIVERY_AFTER,
		.before = DB_Q_PROGRESS_DELIVERY_BEFORE,
		.parent = uuid,
		.put_row = put_delivery,
	};
	struct db_result *row;

	return arg_subscription(r, uuid, &row) < 0 ? -1 : list_answer(r, &list);
}

/* Columns of the run statements; RUN_TOOK is its duration in microseconds. */
enum { RUN_ID, RUN_SENT = 9, RUN_FAILED = 10, RUN_TOOK = 13, RUN_HELD_AT, RUN_HELD_WANTED, RUN_HELD_EXPECTED, RUN_RELEASED_AT };

static void
put_run(struct req *r, const struct db_result *rows, int row)
{
	static const struct member columns[] = {
		{"id", MEMBER_NUMBER, RUN_ID}, {"schedule", MEMBER_NUMBER, 1}, {"minute", MEMBER_TIME, 2}, {"source", MEMBER_TEXT, 3}, {"created_at", MEMBER_TIME, 4},
		{"fanned_at", MEMBER_TIME, 5}, {"finished_at", MEMBER_TIME, 6}, {"queued", MEMBER_NUMBER, 7}, {"skipped", MEMBER_NUMBER, 8},
		{"sent", MEMBER_NUMBER, RUN_SENT}, {"failed", MEMBER_NUMBER, RUN_FAILED}, {"cancelled", MEMBER_NUMBER, 11}, {"request_id", MEMBER_TEXT, 12},
		{"held_at", MEMBER_TIME, RUN_HELD_AT}, {"held_messages", MEMBER_NUMBER, RUN_HELD_WANTED}, {"held_expected", MEMBER_NUMBER, RUN_HELD_EXPECTED},
		{"released_at", MEMBER_TIME, RUN_RELEASED_AT},
		{0},
	};
	int64_t done = db_int(rows, row, RUN_SENT) + db_int(rows, row, RUN_FAILED), took = db_int(rows, row, RUN_TOOK);

	buf_putc(r->out, '{');
	member_put_link(r, "url", "runs", db_text(rows, row, RUN_ID));
	member_put_columns(r, columns, rows, row);
	buf_printf(r->out, ",\"per_second\":%.1f}", took > 0 ? (double)done * 1e6 / (double)took : 0.0);
}

int
progress_list_runs(struct req *r)
{
	struct list list = {
		.order = LIST_BY_ID,
		.count = DB_Q_PROGRESS_RUN_COUNT,
		.after = DB_Q_PROGRESS_RUN_AFTER,
		.before = DB_Q_PROGRESS_RUN_BEFORE,
		.put_row = put_run,
	};
	struct db_params params;
	struct db_result *row;

	list.parent = path_id(r, 0);
	if (!list.parent)
		return -1;
	db_params_init(&params);
	db_param_text(&params, list.parent);
	if (req_sql(r, DB_Q_PROGRESS_SCHEDULE, &params, &row) < 0)
		return -1;
	if (db_rows(row) == 0)
		return req_fail(r, 404, "Not found.");
	return list_answer(r, &list);
}

int
progress_show_run(struct req *r)
{
	struct db_params params;
	struct db_result *row;
	int64_t id;

	if (parse_int(r->args[0], 1, INT64_MAX, &id) < 0)
		return req_fail(r, 404, "Not found.");
	db_params_init(&params);
	db_param_int(&params, id);
	if (req_sql(r, DB_Q_PROGRESS_RUN_SHOW, &params, &row) < 0)
		return -1;
	if (db_rows(row) == 0)
		return req_fail(r, 404, "Not found.");
	put_run(r, row, 0);
	return req_answer(r, 200);
}
