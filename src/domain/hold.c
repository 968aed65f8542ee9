#include "domain/hold.h"

const char *const hold_scope_words[HOLD_SCOPE_MAX] = {
	[HOLD_ALL] = "all",
	[HOLD_SCHEDULE] = "schedule",
	[HOLD_MESSAGESET] = "messageset",
};

static void param_id(struct db_params *params, bool wanted, int64_t id)
{
	if (wanted)
		db_param_int(params, id);
	else
		db_param_null(params);
}

enum db_status hold_place(struct db *db, enum hold_scope scope, int64_t id, const char *reason, int64_t now, bool *made)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, hold_scope_words[scope]);
	param_id(&params, scope == HOLD_SCHEDULE, id);
	param_id(&params, scope == HOLD_MESSAGESET, id);
	db_param_text(&params, reason);
	db_param_time(&params, now);
	status = db_query(db, DB_Q_HOLD_PLACE, &params, &result);
	*made = status == DB_OK && db_rows(result) > 0;
	db_result_free(result);
	return status;
}

enum db_status hold_lift(struct db *db, enum hold_scope scope, int64_t id, bool *lifted)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, hold_scope_words[scope]);
	param_id(&params, scope != HOLD_ALL, id);
	status = db_query(db, DB_Q_HOLD_LIFT, &params, &result);
	*lifted = status == DB_OK && db_rows(result) > 0;
	db_result_free(result);
	return status;
}

static enum db_status decide(struct db *db, enum db_query query, int64_t run_id, int64_t now, bool *done)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_int(&params, run_id);
	db_param_time(&params, now);
	status = db_query(db, query, &params, &result);
	*done = status == DB_OK && db_affected(result) > 0;
	db_result_free(result);
	return status;
}

enum db_status run_release(struct db *db, int64_t run_id, int64_t now, bool *done)
{
	return decide(db, DB_Q_RUN_RELEASE, run_id, now, done);
}

enum db_status run_cancel(struct db *db, int64_t run_id, int64_t now, bool *done)
{
	return decide(db, DB_Q_RUN_CANCEL, run_id, now, done);
}
