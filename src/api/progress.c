#include "api/handlers.h"

#include "api/arg.h"
#include "api/list.h"
#include "api/member.h"
#include "api/resources.h"
#include "base/clock.h"

#include <inttypes.h>

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

/* Columns of the run statements. */
enum {
	RUN_ID, RUN_CREATED_AT = 4, RUN_FANNED_AT, RUN_FINISHED_AT, RUN_QUEUED, RUN_SKIPPED, RUN_SENT, RUN_FAILED, RUN_CANCELLED, RUN_REQUEST_ID,
	RUN_HELD_AT, RUN_HELD_WANTED, RUN_HELD_EXPECTED, RUN_RELEASED_AT
};

/* How fast it goes since it began, and how long the rest takes at that speed, where that can be said. */
static void
put_speed(struct req *r, const struct db_result *rows, int row)
{
	bool finished = !db_is_null(rows, row, RUN_FINISHED_AT);
	int64_t began = db_time(rows, row, db_is_null(rows, row, RUN_RELEASED_AT) ? RUN_CREATED_AT : RUN_RELEASED_AT);
	int64_t took_ms = ((finished ? db_time(rows, row, RUN_FINISHED_AT) : clock_now()) - began) / 1000;
	int64_t done = db_int(rows, row, RUN_SENT) + db_int(rows, row, RUN_FAILED) + db_int(rows, row, RUN_CANCELLED);
	int64_t left = db_int(rows, row, RUN_QUEUED) - done;

	if (took_ms < 1000)
		took_ms = 1000;
	buf_printf(r->out, ",\"per_second\":%.1f,\"seconds_left\":", (double)done * 1000 / (double)took_ms);
	/* As long as its deliveries are being made nobody knows how many there will be. */
	if (finished)
		buf_putc(r->out, '0');
	else if (db_is_null(rows, row, RUN_FANNED_AT) || done == 0)
		buf_puts(r->out, "null");
	else
		buf_printf(r->out, "%" PRId64, (left * took_ms / done + 999) / 1000);
}

static void
put_run(struct req *r, const struct db_result *rows, int row)
{
	static const struct member columns[] = {
		{"id", MEMBER_NUMBER, RUN_ID}, {"schedule", MEMBER_NUMBER, 1}, {"minute", MEMBER_TIME, 2}, {"source", MEMBER_TEXT, 3},
		{"created_at", MEMBER_TIME, RUN_CREATED_AT}, {"fanned_at", MEMBER_TIME, RUN_FANNED_AT}, {"finished_at", MEMBER_TIME, RUN_FINISHED_AT},
		{"queued", MEMBER_NUMBER, RUN_QUEUED}, {"skipped", MEMBER_NUMBER, RUN_SKIPPED}, {"sent", MEMBER_NUMBER, RUN_SENT}, {"failed", MEMBER_NUMBER, RUN_FAILED},
		{"cancelled", MEMBER_NUMBER, RUN_CANCELLED}, {"request_id", MEMBER_TEXT, RUN_REQUEST_ID},
		{"held_at", MEMBER_TIME, RUN_HELD_AT}, {"held_messages", MEMBER_NUMBER, RUN_HELD_WANTED}, {"held_expected", MEMBER_NUMBER, RUN_HELD_EXPECTED},
		{"released_at", MEMBER_TIME, RUN_RELEASED_AT},
		{0},
	};

	buf_putc(r->out, '{');
	member_put_link(r, "url", "runs", db_text(rows, row, RUN_ID));
	member_put_columns(r, columns, rows, row);
	put_speed(r, rows, row);
	buf_putc(r->out, '}');
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
