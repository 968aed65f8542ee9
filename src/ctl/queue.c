#include "base/clock.h"
#include "ctl/ctl.h"
#include "ctl/progress.h"
#include "domain/repair.h"

#include <inttypes.h>
#include <stdio.h>

#define CHUNK 2000
#define REASON "Cancelled by an administrator"

struct cancel {
	int64_t last; /* of the queue; what comes after it stays */
	int64_t taken;
};

static enum db_status cancel_step(struct db *db, void *data)
{
	struct cancel *cancel = data;
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_int(&params, cancel->last);
	db_param_int(&params, CHUNK);
	db_param_text(&params, REASON);
	db_param_time(&params, clock_now());
	status = db_query(db, DB_Q_QUEUE_CANCEL, &params, &result);
	cancel->taken = status == DB_OK ? db_int(result, 0, 0) : 0;
	db_result_free(result);
	return status;
}

static int cancel_all(struct ctl *ctl, int64_t total, int64_t last)
{
	struct cancel cancel = {.last = last, .taken = -1};
	enum db_status status = DB_OK;
	struct progress progress;
	int64_t done = 0;

	progress_begin(&progress, "deliveries", total);
	while (status == DB_OK && cancel.taken != 0) {
		status = repair_transaction(ctl->db, cancel_step, &cancel);
		if (status == DB_OK)
			done += cancel.taken;
		progress_set(&progress, done);
	}
	progress_end(&progress);
	fprintf(stderr, "sbmctl: cancelled %" PRId64 " deliver%s\n", done, done == 1 ? "y" : "ies");
	return status == DB_OK ? CTL_OK : ctl_db_failed(ctl, "go through the queue");
}

int ctl_queue_cancel(struct ctl *ctl, const struct ctl_args *args)
{
	struct db_result *result;
	int64_t total, last;

	if (!ctl_db(ctl))
		return CTL_FAILED;
	if (db_query(ctl->db, DB_Q_QUEUE_LAST, NULL, &result) != DB_OK)
		return ctl_db_failed(ctl, "read the queue");
	total = db_int(result, 0, 0);
	last = db_int(result, 0, 1);
	db_result_free(result);
	if (ctl_yes(args))
		return cancel_all(ctl, total, last);
	if (total)
		return ctl_would("cancel %" PRId64 " deliver%s; their subscriptions stay where they are", total, total == 1 ? "y" : "ies");
	fprintf(stderr, "sbmctl: nothing is queued\n");
	return CTL_OK;
}
