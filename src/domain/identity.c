#include "domain/identity.h"

#define STOP_REASON "Recipient opted out"

static void param_user(struct db_params *params, int64_t user_id)
{
	if (user_id)
		db_param_int(params, user_id);
	else
		db_param_null(params);
}

static enum db_status deactivate(struct db *db, const char *identity, int64_t user_id, int64_t most, int64_t now, struct identity_stop *stop)
{
	enum db_status status;
	int64_t before;

	do {
		struct db_result *result = NULL;
		struct db_params params;

		before = stop->subscriptions;
		db_params_init(&params);
		db_param_text(&params, identity);
		param_user(&params, user_id);
		db_param_time(&params, now);
		db_param_int(&params, most - stop->deactivated);
		status = db_query(db, DB_Q_IDENTITY_DEACTIVATE, &params, &result);
		if (status != DB_OK)
			return status;
		stop->deactivated += db_int(result, 0, 0);
		stop->subscriptions = db_int(result, 0, 1);
		db_result_free(result);
		/* The first one may have waited for a send that completed a subscription and made the next. */
	} while (stop->subscriptions != before && stop->deactivated < most);
	return DB_OK;
}

static enum db_status query_count(struct db *db, enum db_query query, const struct db_params *params, int64_t *count)
{
	struct db_result *result = NULL;
	enum db_status status = db_query(db, query, params, &result);

	if (status == DB_OK)
		*count = db_int(result, 0, 0);
	db_result_free(result);
	return status;
}

enum db_status identity_stop(struct db *db, const char *identity, int64_t user_id, int64_t most, int64_t now, struct identity_stop *stop)
{
	struct db_params params;
	enum db_status status;

	*stop = (struct identity_stop){0};
	status = deactivate(db, identity, user_id, most, now, stop);
	if (status != DB_OK)
		return status;
	db_params_init(&params);
	db_param_text(&params, identity);
	db_param_text(&params, STOP_REASON);
	db_param_time(&params, now);
	db_param_int(&params, most);
	status = query_count(db, DB_Q_IDENTITY_CANCEL, &params, &stop->cancelled);
	if (status != DB_OK)
		return status;
	db_params_init(&params);
	db_param_text(&params, identity);
	return query_count(db, DB_Q_IDENTITY_UNDER_WAY, &params, &stop->under_way);
}
