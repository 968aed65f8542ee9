#include "api/handlers.h"

#include "api/arg.h"
#include "api/list.h"
#include "api/resources.h"

/* {"key":value for each column, in order; times, texts and numbers as the letter says: t, s, n. */
struct column {
	const char *key;
	char kind;
	int column;
};

static void
put_columns(struct req *r, const struct column *columns, const struct db_result *rows, int row)
{
	for (; columns->key; columns++) {
		buf_printf(r->out, "%s\"%s\":", r->out->data[r->out->length - 1] == '{' ? "" : ",", columns->key);
		if (columns->kind == 't')
			req_put_time(r, rows, row, columns->column);
		else if (columns->kind == 's')
			req_put_text(r, rows, row, columns->column);
		else
			req_put_number(r, rows, row, columns->column);
	}
}

static void
put_delivery(struct req *r, const struct db_result *rows, int row)
{
	/* Columns 0 and 1 are the key; the time is infinite as long as it is under way. */
	static const struct column columns[] = {
		{"id", 's', 1}, {"state", 's', 2}, {"kind", 's', 3}, {"messageset", 'n', 4}, {"sequence_number", 'n', 5},
		{"lang", 's', 6}, {"message", 'n', 7}, {"to_addr", 's', 8}, {"outbound_id", 's', 9}, {"reason", 's', 10},
		{"run", 'n', 11}, {"tries", 'n', 12}, {"request_id", 's', 13}, {"created_at", 't', 14}, {"finished_at", 't', 15},
		{0},
	};

	buf_putc(r->out, '{');
	put_columns(r, columns, rows, row);
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
	static const struct column columns[] = {
		{"id", 'n', RUN_ID}, {"schedule", 'n', 1}, {"minute", 't', 2}, {"source", 's', 3}, {"created_at", 't', 4},
		{"fanned_at", 't', 5}, {"finished_at", 't', 6}, {"queued", 'n', 7}, {"skipped", 'n', 8},
		{"sent", 'n', RUN_SENT}, {"failed", 'n', RUN_FAILED}, {"cancelled", 'n', 11}, {"request_id", 's', 12},
		{"held_at", 't', RUN_HELD_AT}, {"held_messages", 'n', RUN_HELD_WANTED}, {"held_expected", 'n', RUN_HELD_EXPECTED},
		{"released_at", 't', RUN_RELEASED_AT},
		{0},
	};
	int64_t done = db_int(rows, row, RUN_SENT) + db_int(rows, row, RUN_FAILED), took = db_int(rows, row, RUN_TOOK);

	buf_puts(r->out, "{\"url\":\"");
	req_put_url(r, r->out, arena_printf(r->arena, "/api/v1/runs/%s/", db_text(rows, row, RUN_ID)));
	buf_putc(r->out, '"');
	put_columns(r, columns, rows, row);
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
