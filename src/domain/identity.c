#include "domain/identity.h"

#include "base/assert.h"
#include "domain/queue.h"
#include "io/digest.h"

#define STOP_REASON "Recipient opted out"
/* What one transaction of a removal takes in hand. */
#define ERASE_SUBSCRIPTIONS 50
#define ERASE_DELIVERIES 200
#define ERASE_ANSWERS 1000
#define ERASE_STRAYS 10000

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
		db_param_id(&params, user_id);
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

static enum db_status count_strays(struct db *db, const char *address, int64_t *count)
{
	struct db_params params;

	db_params_init(&params);
	db_param_text(&params, address);
	return query_count(db, DB_Q_IDENTITY_STRAYS, &params, count);
}

enum db_status identity_count(struct db *db, const char *identity, const char *address, struct identity_counts *counts)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, identity);
	status = db_query(db, DB_Q_IDENTITY_COUNTS, &params, &result);
	if (status != DB_OK)
		return status;
	*counts = (struct identity_counts){
		.subscriptions = db_int(result, 0, 0),
		.active = db_int(result, 0, 1),
		.queued = db_int(result, 0, 2),
		.deliveries = db_int(result, 0, 3),
		.failed_tasks = db_int(result, 0, 4),
		.resend_requests = db_int(result, 0, 5),
		.behind = db_int(result, 0, 6),
		.answers = db_int(result, 0, 7),
		.put_aside = db_int(result, 0, 8),
	};
	db_result_free(result);
	return address ? count_strays(db, address, &counts->strays) : DB_OK;
}

bool identity_is_known(const struct identity_counts *counts)
{
	return counts->subscriptions + counts->answers + counts->put_aside + counts->strays > 0;
}

/* One statement in a transaction of its own; how many rows it changed. */
static enum db_status change(struct db *db, enum db_query query, const struct db_params *params, int64_t *changed)
{
	struct db_result *result = NULL;
	enum db_status status = queue_begin(db);

	*changed = 0;
	if (status != DB_OK)
		return status;
	status = db_query(db, query, params, &result);
	if (status == DB_OK) {
		*changed = db_affected(result);
		status = db_commit(db);
	} else {
		db_rollback(db);
	}
	db_result_free(result);
	return status;
}

static enum db_status change_while(struct db *db, enum db_query query, const struct db_params *params, int64_t *sum)
{
	enum db_status status;
	int64_t changed;

	do {
		status = change(db, query, params, &changed);
		if (status == DB_OK)
			*sum += changed;
	} while (status == DB_OK && changed > 0);
	return status;
}

/* Some subscriptions, each with another id for its history. */
struct batch {
	struct buf ids, pseudonyms;
	int count;
};

static enum db_status batch_find(struct db *db, const char *identity, struct batch *batch)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;
	char pseudonym[UUID_TEXT_SIZE];

	db_params_init(&params);
	db_param_text(&params, identity);
	db_param_int(&params, ERASE_SUBSCRIPTIONS);
	status = db_query(db, DB_Q_IDENTITY_SOME, &params, &result);
	if (status != DB_OK)
		return status;
	buf_reset(&batch->ids);
	buf_reset(&batch->pseudonyms);
	db_array_begin(&batch->ids);
	db_array_begin(&batch->pseudonyms);
	batch->count = db_rows(result);
	for (int i = 0; i < batch->count; i++) {
		uuid_generate(pseudonym);
		db_array_put(&batch->ids, db_text(result, i, 0));
		db_array_put(&batch->pseudonyms, pseudonym);
	}
	db_array_end(&batch->ids);
	db_array_end(&batch->pseudonyms);
	SBM_ASSERT(!batch->ids.overflow && !batch->pseudonyms.overflow);
	db_result_free(result);
	return DB_OK;
}

static enum db_status batch_erase(struct db *db, const struct batch *batch, struct identity_erased *erased, int64_t *gone)
{
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, buf_text(&batch->ids));
	db_param_text(&params, buf_text(&batch->pseudonyms));
	db_param_int(&params, ERASE_DELIVERIES);
	status = change_while(db, DB_Q_IDENTITY_ERASE_DELIVERIES, &params, &erased->deliveries);
	if (status != DB_OK)
		return status;
	db_params_init(&params);
	db_param_text(&params, buf_text(&batch->ids));
	status = change(db, DB_Q_IDENTITY_ERASE_SUBSCRIPTIONS, &params, gone);
	if (status == DB_OK)
		erased->subscriptions += *gone;
	return status;
}

enum db_status identity_erase_some(struct db *db, const char *identity, struct identity_erased *erased, int64_t *found, int64_t *gone)
{
	struct batch batch = {.count = 0};
	enum db_status status;

	*gone = 0;
	buf_init(&batch.ids, 65536);
	buf_init(&batch.pseudonyms, 65536);
	status = batch_find(db, identity, &batch);
	if (status == DB_OK && batch.count > 0)
		status = batch_erase(db, &batch, erased, gone);
	*found = batch.count;
	buf_fini(&batch.ids);
	buf_fini(&batch.pseudonyms);
	return status;
}

enum db_status identity_erase_rest(struct db *db, const char *identity, struct identity_erased *erased)
{
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, identity);
	status = change_while(db, DB_Q_IDENTITY_ERASE_PUT_ASIDE, &params, &erased->put_aside);
	db_param_int(&params, ERASE_ANSWERS);
	return status == DB_OK ? change_while(db, DB_Q_IDENTITY_ERASE_ANSWERS, &params, &erased->answers) : status;
}

enum db_status identity_erase_strays(struct db *db, const char *address, struct identity_erased *erased)
{
	struct db_result *result;
	struct db_params params;
	char salt[UUID_TEXT_SIZE];
	enum db_status status;
	int64_t changed = 0;

	uuid_generate(salt);
	db_params_init(&params);
	db_param_text(&params, address);
	db_param_text(&params, salt);
	db_param_int(&params, ERASE_STRAYS);
	/* Each is a transaction of its own, in which the planner is free: no index leads to an address. */
	do {
		status = db_query(db, DB_Q_IDENTITY_ERASE_STRAYS, &params, &result);
		if (status != DB_OK)
			return status;
		changed = db_affected(result);
		erased->deliveries += changed;
		db_result_free(result);
	} while (changed > 0);
	return DB_OK;
}
