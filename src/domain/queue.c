#include "domain/queue.h"

#include "base/assert.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASON_MAX 500

/* Copies a statement of ours with another number of rows in its text. */
static void stmt_with_number(struct queue_stmt *stmt, enum db_query query, const char *was, int64_t number)
{
	const struct db_stmt *template = &db_queries[query];
	const char *from = template->sql;
	size_t length = 0;
	const char *found;

	while ((found = strstr(from, was))) {
		length += (size_t)snprintf(stmt->sql + length, sizeof stmt->sql - length, "%.*s%lld",
			(int)(found - from), from, (long long)number);
		SBM_ASSERT(length < sizeof stmt->sql);
		from = found + strlen(was);
	}
	SBM_ASSERT(from != template->sql);
	SBM_ASSERT(length + strlen(from) < sizeof stmt->sql);
	memcpy(stmt->sql + length, from, strlen(from) + 1);
	snprintf(stmt->name, sizeof stmt->name, "%s_%lld", template->name, (long long)number);
	stmt->stmt = (struct db_stmt){stmt->name, stmt->sql};
}

void queue_stmt_claim(struct queue_stmt *stmt, int64_t limit)
{
	stmt_with_number(stmt, DB_Q_DELIVERY_CLAIM, "500", limit);
}

void queue_stmt_fan_out(struct queue_stmt *stmt, int64_t limit)
{
	stmt_with_number(stmt, DB_Q_RUN_FAN_OUT, "5000", limit);
}

enum db_status queue_begin(struct db *db)
{
	enum db_status status = db_begin(db);

	if (status != DB_OK)
		return status;
	status = db_query(db, DB_Q_PLANNER_KEEP_TO_INDEXES, NULL, NULL);
	if (status != DB_OK)
		db_rollback(db);
	return status;
}

enum db_status queue_fan_out(struct db *db, const struct queue_stmt *stmt, int64_t run_id, int64_t now, struct run_progress *progress)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_int(&params, run_id);
	db_param_time(&params, now);
	status = db_exec(db, &stmt->stmt, &params, &result);
	if (status != DB_OK)
		return status;
	*progress = (struct run_progress){0};
	if (db_rows(result) > 0) {
		progress->looked_at = db_int(result, 0, 0);
		progress->queued = db_int(result, 0, 1);
		progress->skipped = db_int(result, 0, 2);
		progress->finished = db_bool(result, 0, 3);
	}
	db_result_free(result);
	return DB_OK;
}

void delivery_free(struct delivery *delivery)
{
	if (!delivery)
		return;
	free(delivery->to_addr);
	free(delivery->outbound_id);
	free(delivery->reason);
	free(delivery);
}

void delivery_set_reason(struct delivery *delivery, const char *reason)
{
	size_t length = strnlen(reason, REASON_MAX);

	while (length > 0 && !utf8_is_valid(reason, length))
		length--;
	free(delivery->reason);
	delivery->reason = strndup(reason, length);
	SBM_ASSERT(delivery->reason);
}

void queue_cursor_reset(struct queue_cursor *cursor)
{
	*cursor = (struct queue_cursor){.due_at = "-infinity"};
}

/* Columns of the claim, in its order. */
enum {
	C_QUEUE_ID, C_DUE_AT, C_ATTEMPT, C_TRIES, C_KIND, C_ID, C_SUBSCRIPTION_ID, C_REQUEST_ID,
	C_HAS_SUBSCRIPTION, C_ACTIVE, C_COMPLETED, C_PROCESS_STATUS, C_IDENTITY, C_LANG, C_MESSAGESET_ID,
	C_SEQUENCE_NUMBER, C_TO_ADDR, C_PREPEND, C_CONTENT_TYPE, C_CHANNEL, C_SHORT_NAME,
	C_MESSAGE_ID, C_TEXT, C_METADATA, C_BINARY, C_MAX
};

/* Copies a column's text to *at, which moves behind it. */
static const char *take(const struct db_result *result, int row, int column, char **at)
{
	size_t size = db_text_length(result, row, column) + 1;
	char *text = *at;

	memcpy(text, db_text(result, row, column), size);
	*at += size;
	return text;
}

static const char *take_or_null(const struct db_result *result, int row, int column, char **at)
{
	return db_is_null(result, row, column) ? NULL : take(result, row, column, at);
}

static struct delivery *delivery_read(const struct db_result *result, int row)
{
	size_t size = sizeof(struct delivery);
	struct delivery *d;
	char *at;

	for (int column = 0; column < C_MAX; column++)
		size += db_text_length(result, row, column) + 1;
	d = calloc(1, size);
	SBM_ASSERT(d);
	at = (char *)(d + 1);
	d->queue_id = db_int(result, row, C_QUEUE_ID);
	d->attempt = db_int(result, row, C_ATTEMPT);
	d->tries = db_int(result, row, C_TRIES);
	d->kind = strcmp(db_text(result, row, C_KIND), "resend") == 0 ? DELIVERY_RESEND : DELIVERY_NEXT;
	d->id = take(result, row, C_ID, &at);
	d->subscription_id = take(result, row, C_SUBSCRIPTION_ID, &at);
	d->request_id = take(result, row, C_REQUEST_ID, &at);
	d->has_subscription = db_bool(result, row, C_HAS_SUBSCRIPTION);
	d->active = db_bool(result, row, C_ACTIVE);
	d->completed = db_bool(result, row, C_COMPLETED);
	d->process_status = db_int(result, row, C_PROCESS_STATUS);
	d->identity = take(result, row, C_IDENTITY, &at);
	d->lang = take(result, row, C_LANG, &at);
	d->messageset_id = db_int(result, row, C_MESSAGESET_ID);
	d->sequence_number = db_int(result, row, C_SEQUENCE_NUMBER);
	d->to_addr_own = take_or_null(result, row, C_TO_ADDR, &at);
	d->prepend = take_or_null(result, row, C_PREPEND, &at);
	d->content_type = take(result, row, C_CONTENT_TYPE, &at);
	d->channel = take(result, row, C_CHANNEL, &at);
	d->short_name = take(result, row, C_SHORT_NAME, &at);
	d->has_message = !db_is_null(result, row, C_MESSAGE_ID);
	d->message_id = db_int(result, row, C_MESSAGE_ID);
	d->has_text = !db_is_null(result, row, C_TEXT);
	d->text = take(result, row, C_TEXT, &at);
	d->metadata = take(result, row, C_METADATA, &at);
	d->binary = take(result, row, C_BINARY, &at);
	return d;
}

static void cursor_move(struct queue_cursor *cursor, const struct db_result *result, int row)
{
	snprintf(cursor->due_at, sizeof cursor->due_at, "%s", db_text(result, row, C_DUE_AT));
	cursor->id = db_int(result, row, C_QUEUE_ID);
}

enum db_status queue_claim(struct db *db, const struct queue_stmt *stmt, int64_t lease_ms, struct queue_cursor *cursor, struct delivery **out, int *count)
{
	int64_t claimed_ms = clock_monotonic_ms();
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, cursor->due_at);
	db_param_int(&params, cursor->id);
	db_param_int(&params, lease_ms);
	status = db_exec(db, &stmt->stmt, &params, &result);
	if (status != DB_OK)
		return status;
	*count = db_rows(result);
	for (int i = 0; i < *count; i++) {
		out[i] = delivery_read(result, i);
		out[i]->claimed_ms = claimed_ms;
	}
	if (*count > 0)
		cursor_move(cursor, result, *count - 1);
	db_result_free(result);
	return DB_OK;
}

/* Array parameters of one statement. */
#define ARRAYS_MAX 11
#define ARRAY_BYTES ((size_t)64 << 20)
struct arrays {
	struct buf column[ARRAYS_MAX];
	int count;
};

static void arrays_init(struct arrays *arrays, int count)
{
	arrays->count = count;
	for (int i = 0; i < count; i++) {
		buf_init(&arrays->column[i], ARRAY_BYTES);
		db_array_begin(&arrays->column[i]);
	}
}

static void arrays_end(struct arrays *arrays, struct db_params *params)
{
	db_params_init(params);
	for (int i = 0; i < arrays->count; i++) {
		db_array_end(&arrays->column[i]);
		SBM_ASSERT(!arrays->column[i].overflow);
		db_param_text(params, buf_text(&arrays->column[i]));
	}
}

static void arrays_fini(struct arrays *arrays)
{
	for (int i = 0; i < arrays->count; i++)
		buf_fini(&arrays->column[i]);
}

static bool is_end(enum delivery_outcome outcome)
{
	return outcome >= DELIVERY_SENT && outcome <= DELIVERY_CANCELLED;
}

static const char *const outcome_words[DELIVERY_OUTCOME_MAX] = {
	[DELIVERY_SENT] = "sent",
	[DELIVERY_DRY_RUN] = "dry_run",
	[DELIVERY_FAILED] = "failed",
	[DELIVERY_NO_RECIPIENT] = "no_recipient",
	[DELIVERY_CANCELLED] = "cancelled",
};

static void put_int_or_null(struct buf *column, bool known, int64_t value)
{
	if (known)
		db_array_put_int(column, value);
	else
		db_array_put(column, NULL);
}

static void put_end(struct arrays *arrays, const struct delivery *d)
{
	struct buf *column = arrays->column;

	db_array_put_int(&column[0], d->queue_id);
	db_array_put_int(&column[1], d->attempt);
	db_array_put(&column[2], outcome_words[d->outcome]);
	put_int_or_null(&column[3], d->has_message, d->message_id);
	db_array_put(&column[4], d->to_addr);
	db_array_put(&column[5], d->outbound_id);
	db_array_put(&column[6], d->reason);
	put_int_or_null(&column[7], d->has_subscription, d->messageset_id);
	put_int_or_null(&column[8], d->has_subscription, d->sequence_number);
	db_array_put(&column[9], d->has_subscription ? d->lang : NULL);
	db_array_put(&column[10], d->prepend);
}

static enum db_status write_ends(struct db *db, struct delivery *const *deliveries, int count, int64_t now, int *written)
{
	struct db_result *result = NULL;
	struct db_params params;
	struct arrays arrays;
	enum db_status status;
	int ends = 0;

	arrays_init(&arrays, 11);
	for (int i = 0; i < count; i++) {
		if (!is_end(deliveries[i]->outcome))
			continue;
		put_end(&arrays, deliveries[i]);
		ends++;
	}
	arrays_end(&arrays, &params);
	db_param_time(&params, now);
	status = ends > 0 ? db_query(db, DB_Q_DELIVERY_FINISH, &params, &result) : DB_OK;
	if (status == DB_OK && result)
		*written += (int)db_int(result, 0, 0);
	db_result_free(result);
	arrays_fini(&arrays);
	return status;
}

static void put_rest(struct arrays *arrays, const struct delivery *d)
{
	struct buf *column = arrays->column;
	bool retry = d->outcome == DELIVERY_RETRY;

	db_array_put_int(&column[0], d->queue_id);
	db_array_put_int(&column[1], d->attempt);
	db_array_put_int(&column[2], retry ? d->delay_ms : 0);
	db_array_put_int(&column[3], retry && d->charged ? 1 : 0);
	db_array_put(&column[4], d->reason ? d->reason : "");
}

static enum db_status put_back(struct db *db, struct delivery *const *deliveries, int count, int *written)
{
	struct db_result *result = NULL;
	struct db_params params;
	struct arrays arrays;
	enum db_status status;
	int rest = 0;

	arrays_init(&arrays, 5);
	for (int i = 0; i < count; i++) {
		if (is_end(deliveries[i]->outcome))
			continue;
		put_rest(&arrays, deliveries[i]);
		rest++;
	}
	arrays_end(&arrays, &params);
	status = rest > 0 ? db_query(db, DB_Q_DELIVERY_PUT_BACK, &params, &result) : DB_OK;
	if (status == DB_OK && result)
		*written += (int)db_affected(result);
	db_result_free(result);
	arrays_fini(&arrays);
	return status;
}

enum db_status queue_write_back(struct db *db, struct delivery *const *deliveries, int count, int64_t now, int *stale)
{
	int written = 0;
	enum db_status status = write_ends(db, deliveries, count, now, &written);

	if (status == DB_OK)
		status = put_back(db, deliveries, count, &written);
	if (status == DB_OK)
		*stale = count - written;
	return status;
}

enum db_status queue_renew(struct db *db, struct delivery *const *deliveries, int count, int64_t lease_ms)
{
	struct db_params params;
	struct arrays arrays;
	enum db_status status;

	arrays_init(&arrays, 2);
	for (int i = 0; i < count; i++) {
		db_array_put_int(&arrays.column[0], deliveries[i]->queue_id);
		db_array_put_int(&arrays.column[1], deliveries[i]->attempt);
	}
	arrays_end(&arrays, &params);
	db_param_int(&params, lease_ms);
	status = db_query(db, DB_Q_DELIVERY_RENEW, &params, NULL);
	arrays_fini(&arrays);
	return status;
}

enum db_status queue_next_due(struct db *db, int64_t *wait_ms)
{
	struct db_result *result = NULL;
	enum db_status status = db_query(db, DB_Q_DELIVERY_NEXT_DUE, NULL, &result);

	if (status != DB_OK)
		return status;
	*wait_ms = db_rows(result) > 0 ? db_int(result, 0, 0) : -1;
	db_result_free(result);
	return DB_OK;
}
