#include "config.h"

#include "base/clock.h"
#include "base/parse.h"
#include "ctl/ctl.h"
#include "ctl/messageset.h"
#include "ctl/progress.h"
#include "domain/delivery.h"
#include "domain/repair.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CHUNK 2000
#define LIST_MAX 100000
#define IDS_MAX (16 * CTL_OPERANDS_MAX)

static const struct table_column list_columns[] = {
	{"id", TABLE_NUMBER}, {"task_id", TABLE_TEXT}, {"subscription", TABLE_TEXT}, {"messageset", TABLE_NUMBER}, {"kind", TABLE_TEXT}, {"initiated_at", TABLE_TIME},
	{"reason", TABLE_TEXT}, {0}
};
static const struct table_column count_columns[] = {
	{"messageset", TABLE_NUMBER}, {"reason", TABLE_TEXT}, {"count", TABLE_NUMBER}, {"oldest_at", TABLE_TIME}, {"newest_at", TABLE_TIME}, {0}
};

struct tasks {
	struct ctl *ctl;
	struct failed_task_filter filter;
	struct buf ids;
	bool drop;
	struct failed_task_counts counts, before; /* before: without the chunk under way */
	int64_t total, ready;
};

static int read_ids(struct tasks *t, const struct ctl_args *args)
{
	int64_t id;

	db_array_begin(&t->ids);
	for (int i = 0; i < args->operand_count; i++) {
		if (parse_int(args->operands[i], 1, INT32_MAX, &id))
			return ctl_usage("expected ids of failed tasks, not \"%.64s\"", args->operands[i]);
		db_array_put_int(&t->ids, id);
	}
	db_array_end(&t->ids);
	if (args->operand_count)
		t->filter.ids = buf_text(&t->ids);
	return CTL_OK;
}

/* What is asked for; CTL_OK, or what it said. */
static int read_filter(struct tasks *t, const struct ctl_args *args)
{
	int rc = read_ids(t, args);

	t->filter.reason = ctl_value(args, "reason");
	if (!rc && t->filter.reason && !utf8_is_valid(t->filter.reason, strlen(t->filter.reason)))
		rc = ctl_usage("--reason: expected UTF-8");
	if (!rc && (!ctl_db(t->ctl) || ctl_messageset(t->ctl, ctl_value(args, "message-set"), &t->filter.messageset_id)))
		rc = CTL_FAILED;
	return rc;
}

static enum db_status query(struct tasks *t, enum db_query statement, int64_t limit, struct db_result **result)
{
	struct db_params params;

	db_params_init(&params);
	db_param_id(&params, t->filter.messageset_id);
	db_param_text(&params, t->filter.reason);
	db_param_text(&params, t->filter.ids);
	if (limit)
		db_param_int(&params, limit);
	return db_query(t->ctl->db, statement, &params, result);
}

static int list(struct tasks *t, const struct ctl_args *args, int64_t limit)
{
	bool counts = ctl_has(args, "count");
	struct db_result *result;
	struct table table;

	if (query(t, counts ? DB_Q_REPAIR_TASK_COUNTS : DB_Q_REPAIR_TASK_LIST, counts ? 0 : limit, &result) != DB_OK)
		return ctl_db_failed(t->ctl, "read the failed tasks");
	table_init(&table, counts ? count_columns : list_columns);
	table_add_result(&table, result);
	table_show(&table, ctl_has(args, "json"));
	table_fini(&table);
	db_result_free(result);
	return CTL_OK;
}

int ctl_tasks_list(struct ctl *ctl, const struct ctl_args *args)
{
	struct tasks t = {.ctl = ctl};
	const char *limit_text = ctl_value(args, "limit");
	int64_t limit = 20;
	int rc;

	if (limit_text && parse_int(limit_text, 1, LIST_MAX, &limit))
		return ctl_usage("--limit: expected a number from 1 to %d", LIST_MAX);
	buf_init(&t.ids, IDS_MAX);
	rc = read_filter(&t, args);
	if (!rc)
		rc = list(&t, args, limit);
	buf_fini(&t.ids);
	return rc;
}

static enum db_status take_step(struct db *db, void *data)
{
	struct tasks *t = data;

	t->counts = t->before;
	if (t->drop)
		return failed_task_drop(db, &t->filter, CHUNK, &t->counts);
	return failed_task_requeue(db, &t->filter, CHUNK, clock_now(), &t->counts);
}

static int take_all(struct tasks *t)
{
	enum db_status status = DB_OK;
	struct progress progress;
	bool more = true;

	progress_begin(&progress, "failed tasks", t->total);
	while (status == DB_OK && more) {
		status = repair_transaction(t->ctl->db, take_step, t);
		if (status != DB_OK)
			break;
		more = t->counts.taken > t->before.taken;
		t->filter.after = t->counts.last;
		t->before = t->counts;
		progress_set(&progress, t->counts.taken);
	}
	progress_end(&progress);
	if (t->before.queued)
		ctl_wake("send");
	if (t->drop)
		fprintf(stderr, "sbmctl: dropped %" PRId64 " failed task%s\n", t->before.taken, t->before.taken == 1 ? "" : "s");
	else
		fprintf(stderr, "sbmctl: requeued %" PRId64 " failed task%s as %" PRId64 " deliver%s; %" PRId64 " had one under way, %" PRId64 " not ready any more\n",
		    t->before.taken, t->before.taken == 1 ? "" : "s", t->before.queued, t->before.queued == 1 ? "y" : "ies", t->before.under_way, t->before.not_ready);
	return status == DB_OK ? CTL_OK : ctl_db_failed(t->ctl, "go through the failed tasks");
}

static int take(struct ctl *ctl, const struct ctl_args *args, bool drop)
{
	struct tasks t = {.ctl = ctl, .drop = drop};
	struct db_result *result;
	int rc;

	buf_init(&t.ids, IDS_MAX);
	rc = read_filter(&t, args);
	if (!rc && query(&t, DB_Q_REPAIR_TASK_TOTAL, 0, &result) != DB_OK)
		rc = ctl_db_failed(ctl, "read the failed tasks");
	if (!rc) {
		t.total = db_int(result, 0, 0);
		t.ready = db_int(result, 0, 1);
		t.filter.last = db_int(result, 0, 2);
		db_result_free(result);
		if (ctl_yes(args))
			rc = take_all(&t);
		else if (!t.total)
			fprintf(stderr, "sbmctl: there are no such failed tasks\n");
		else if (drop)
			ctl_would("drop %" PRId64 " failed task%s, whose messages are not tried again", t.total, t.total == 1 ? "" : "s");
		else
			ctl_would("requeue %" PRId64 " failed task%s, of which %" PRId64 " belong to subscriptions that are ready", t.total, t.total == 1 ? "" : "s", t.ready);
	}
	buf_fini(&t.ids);
	return rc;
}

int ctl_tasks_requeue(struct ctl *ctl, const struct ctl_args *args)
{
	return take(ctl, args, false);
}

int ctl_tasks_drop(struct ctl *ctl, const struct ctl_args *args)
{
	return take(ctl, args, true);
}
