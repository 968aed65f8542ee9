#include "config.h"

#include "base/clock.h"
#include "base/parse.h"
#include "ctl/ctl.h"
#include "ctl/messageset.h"
#include "ctl/progress.h"
#include "domain/repair.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What the original leaves behind when a worker dies while it sends. */
#define STATUS_IN_PROCESS 1
#define STATUS_READY 0
#define STATUS_COMPLETED 2

static const struct table_column columns[] = {
	{"id", TABLE_NUMBER}, {"short_name", TABLE_TEXT}, {"subscriptions", TABLE_NUMBER}, {"oldest_at", TABLE_TIME}, {"newest_at", TABLE_TIME}, {0}
};

struct reset {
	struct ctl *ctl;
	int64_t process_status, messageset_id;
	char last[UUID_TEXT_SIZE], next[UUID_TEXT_SIZE]; /* where the last chunk ended, and the one under way */
	int64_t reset_now, count, now;
	bool more;
};

static enum db_status reset_step(struct db *db, void *data)
{
	struct reset *r = data;
	struct db_params params;
	struct db_result *result;
	enum db_status status;

	db_params_init(&params);
	db_param_int(&params, r->process_status);
	db_param_id(&params, r->messageset_id);
	db_param_text(&params, r->last);
	db_param_time(&params, r->now);
	status = db_query(db, DB_Q_REPAIR_RESET, &params, &result);
	if (status != DB_OK)
		return status;
	r->reset_now = db_int(result, 0, 0);
	r->more = !db_is_null(result, 0, 1);
	if (r->more)
		snprintf(r->next, sizeof r->next, "%s", db_text(result, 0, 1));
	db_result_free(result);
	return DB_OK;
}

/* Goes over all once. Those that somebody else is at are left out. */
static enum db_status reset_pass(struct reset *r, struct progress *progress)
{
	enum db_status status = DB_OK;

	snprintf(r->last, sizeof r->last, UUID_FIRST);
	for (r->more = true; status == DB_OK && r->more;) {
		status = repair_transaction(r->ctl->db, reset_step, r);
		if (status != DB_OK)
			break;
		memcpy(r->last, r->next, sizeof r->last);
		r->count += r->reset_now;
		progress_set(progress, r->count);
	}
	return status;
}

/* Those that stand still, by message set; the result is the caller's. */
static enum db_status find_stuck(struct reset *r, struct db_result **result, int64_t *total)
{
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_int(&params, r->process_status);
	db_param_id(&params, r->messageset_id);
	status = db_query(r->ctl->db, DB_Q_REPAIR_STUCK, &params, result);
	*total = 0;
	for (int row = 0; status == DB_OK && row < db_rows(*result); row++)
		*total += db_int(*result, row, 2);
	return status;
}

static enum db_status count_left(struct reset *r, int64_t *left)
{
	struct db_result *result = NULL;
	enum db_status status = find_stuck(r, &result, left);

	db_result_free(result);
	return status;
}

static int reset_all(struct reset *r, int64_t total)
{
	enum db_status status;
	struct progress progress;
	int64_t left = 0;
	int round = 0;

	progress_begin(&progress, "subscriptions", total);
	do {
		status = reset_pass(r, &progress);
		if (status == DB_OK)
			status = count_left(r, &left);
	} while (status == DB_OK && left > 0 && repair_pause(&round));
	progress_end(&progress);
	fprintf(stderr, "sbmctl: reset %" PRId64 " subscription%s\n", r->count, r->count == 1 ? "" : "s");
	if (status != DB_OK)
		return ctl_db_failed(r->ctl, "reset the subscriptions");
	return left ? ctl_fail("%" PRId64 " are left, which somebody else has locked; try again", left) : CTL_OK;
}

/* Lists them by message set. */
static int list_stuck(struct reset *r, bool json, int64_t *total)
{
	struct db_result *result = NULL;
	struct table table;

	if (find_stuck(r, &result, total) != DB_OK)
		return ctl_db_failed(r->ctl, "read the subscriptions");
	table_init(&table, columns);
	table_add_result(&table, result);
	table_show(&table, json);
	fflush(stdout);
	table_fini(&table);
	db_result_free(result);
	return CTL_OK;
}

int ctl_subscriptions_reset(struct ctl *ctl, const struct ctl_args *args)
{
	struct reset r = {.ctl = ctl, .process_status = STATUS_IN_PROCESS};
	const char *status = ctl_value(args, "status");
	int64_t total;

	if (status && (parse_int(status, INT16_MIN, INT16_MAX, &r.process_status) || r.process_status == STATUS_READY || r.process_status == STATUS_COMPLETED))
		return ctl_usage("--status: expected a process_status other than 0, which is ready, and 2, which is completed");
	if (!ctl_db(ctl) || ctl_messageset(ctl, ctl_value(args, "message-set"), &r.messageset_id) || list_stuck(&r, ctl_has(args, "json"), &total))
		return CTL_FAILED;
	r.now = clock_now();
	if (ctl_yes(args))
		return reset_all(&r, total);
	if (total)
		return ctl_would("reset %" PRId64 " subscription%s to ready", total, total == 1 ? "" : "s");
	fprintf(stderr, "sbmctl: no active subscription has process_status %" PRId64 "\n", r.process_status);
	return CTL_OK;
}
