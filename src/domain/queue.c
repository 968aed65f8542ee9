#include "domain/queue.h"

#include "base/assert.h"
#include "base/boundary.h"
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
	stmt->limit = number;
}

void queue_stmt_claim(struct queue_stmt *stmt, int64_t limit)
{
	stmt_with_number(stmt, DB_Q_DELIVERY_CLAIM, "500", limit);
}

void queue_stmt_claim_prompt(struct queue_stmt *stmt, int64_t limit)
{
	static const char before[] = "(q.due_at, q.id) >", prompt[] = "q.prompt AND ";
	size_t length;
	char *place;

	queue_stmt_claim(stmt, limit);
	place = strstr(stmt->sql, before);
	length = strlen(stmt->sql);
	SBM_ASSERT(place && length + strlen(prompt) < sizeof stmt->sql);
	memmove(place + strlen(prompt), place, strlen(place) + 1);
	memcpy(place, prompt, strlen(prompt));
	snprintf(stmt->name, sizeof stmt->name, "delivery_claim_prompt_%lld", (long long)limit);
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

static enum db_status run_take(struct db *db, int64_t run_id, struct db_result **run)
{
	struct db_params params;

	db_params_init(&params);
	db_param_int(&params, run_id);
	return db_query(db, DB_Q_RUN_TAKE, &params, run);
}

enum db_status queue_fan_out(struct db *db, const struct queue_stmt *stmt, int64_t run_id, int64_t now, struct run_progress *progress)
{
	struct db_result *run = NULL, *result = NULL;
	struct db_params params;
	enum db_status status = run_take(db, run_id, &run);

	*progress = (struct run_progress){0};
	if (status == DB_OK && db_rows(run) == 1) {
		db_params_init(&params);
		db_param_int(&params, run_id);
		db_param_text(&params, db_text(run, 0, 0));
		db_param_text(&params, db_text(run, 0, 3));
		db_param_text(&params, db_text(run, 0, 4));
		db_param_text(&params, db_text(run, 0, 2));
		db_param_time(&params, now);
		db_param_text(&params, db_text(run, 0, 1));
		status = db_exec(db, &stmt->stmt, &params, &result);
	}
	if (status == DB_OK && result && db_rows(result) == 1) {
		progress->looked_at = db_int(result, 0, 0);
		progress->queued = db_int(result, 0, 1);
		progress->skipped = db_int(result, 0, 2);
		progress->finished = db_bool(result, 0, 3);
	}
	db_result_free(result);
	db_result_free(run);
	return status;
}

void delivery_free(struct delivery *delivery)
{
	if (!delivery)
		return;
	free(delivery->to_addr);
	free(delivery->outbound_id);
	free(delivery->reason);
	free(delivery->gate);
	free(delivery);
}

void delivery_set_reason(struct delivery *delivery, const char *reason)
{
	free(delivery->reason);
	delivery->reason = strndup(reason, utf8_valid_length(reason, strnlen(reason, REASON_MAX)));
	SBM_ASSERT(delivery->reason);
}

void queue_cursor_reset(struct queue_cursor *cursor)
{
	*cursor = (struct queue_cursor){.due_at = "-infinity"};
}

/* Columns of the claim, in its order. */
enum {
	C_QUEUE_ID, C_DUE_AT, C_ATTEMPT, C_TRIES, C_KIND, C_ID, C_SUBSCRIPTION_ID, C_REQUEST_ID,
	C_RUN_ID, C_RESEND_REQUEST_ID, C_CREATED_AT,
	C_HAS_SUBSCRIPTION, C_ACTIVE, C_COMPLETED, C_PROCESS_STATUS, C_IDENTITY, C_LANG, C_MESSAGESET_ID,
	C_SEQUENCE_NUMBER, C_TO_ADDR, C_PREPEND, C_CONTENT_TYPE, C_CHANNEL, C_SHORT_NAME,
	C_MESSAGE_ID, C_TEXT, C_METADATA, C_BINARY, C_TIMEZONE, C_HELD, C_MAX
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
	d->run_id = db_int(result, row, C_RUN_ID);
	d->resend_request_id = db_int(result, row, C_RESEND_REQUEST_ID);
	d->created_at = db_time(result, row, C_CREATED_AT);
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
	d->timezone = take_or_null(result, row, C_TIMEZONE, &at);
	return d;
}

static void cursor_move(struct queue_cursor *cursor, const struct db_result *result, int row)
{
	snprintf(cursor->due_at, sizeof cursor->due_at, "%s", db_text(result, row, C_DUE_AT));
	cursor->id = db_int(result, row, C_QUEUE_ID);
}

enum db_status queue_claim(struct db *db, const struct queue_stmt *stmt, const struct queue_terms *terms, struct queue_cursor *cursor,
	struct delivery **out, int *count)
{
	int64_t claimed_ms = clock_monotonic_ms();
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, cursor->due_at);
	db_param_int(&params, cursor->id);
	db_param_int(&params, terms->lease_ms);
	db_param_bool(&params, stmt->with_zones);
	db_param_int(&params, terms->mark);
	db_param_bool(&params, terms->takes_over);
	status = db_exec(db, &stmt->stmt, &params, &result);
	if (status != DB_OK)
		return status;
	cursor->looked_at = db_rows(result);
	*count = 0;
	for (int i = 0; i < cursor->looked_at; i++) {
		if (db_bool(result, i, C_HELD))
			continue;
		out[*count] = delivery_read(result, i);
		out[(*count)++]->claimed_ms = claimed_ms;
	}
	if (cursor->looked_at > 0)
		cursor_move(cursor, result, cursor->looked_at - 1);
	db_result_free(result);
	return DB_OK;
}

/* Lists that are parameters of one statement. */
#define LISTS_MAX 16
#define LIST_BYTES ((size_t)64 << 20)
struct lists {
	struct db_list column[LISTS_MAX];
	int count;
};

static void lists_init(struct lists *lists, const enum db_type *types, int count)
{
	SBM_ASSERT(count <= LISTS_MAX);
	lists->count = count;
	for (int i = 0; i < count; i++)
		db_list_init(&lists->column[i], types[i], LIST_BYTES);
}

/* Adds them to the parameters, which borrow them. */
static void lists_end(struct lists *lists, struct db_params *params)
{
	for (int i = 0; i < lists->count; i++)
		SBM_ASSERT(db_param_list(params, &lists->column[i]));
}

static void lists_fini(struct lists *lists)
{
	for (int i = 0; i < lists->count; i++)
		db_list_fini(&lists->column[i]);
}

static bool is_end(const struct delivery *d)
{
	return d->outcome >= DELIVERY_SENT && d->outcome <= DELIVERY_CANCELLED;
}

static bool is_open(const struct delivery *d)
{
	return !is_end(d);
}

/* It went all the way: its subscription advances. */
static bool is_sent(const struct delivery *d)
{
	return d->outcome == DELIVERY_SENT || d->outcome == DELIVERY_DRY_RUN;
}

static bool advances(const struct delivery *d)
{
	return is_sent(d) && d->kind == DELIVERY_NEXT;
}

static const char *const outcome_words[DELIVERY_OUTCOME_MAX] = {
	[DELIVERY_SENT] = "sent",
	[DELIVERY_DRY_RUN] = "dry_run",
	[DELIVERY_FAILED] = "failed",
	[DELIVERY_NO_RECIPIENT] = "no_recipient",
	[DELIVERY_CANCELLED] = "cancelled",
};

static int by_subscription(const void *a, const void *b)
{
	const struct delivery *const *x = a, *const *y = b;

	return strcmp((*x)->subscription_id, (*y)->subscription_id);
}

/* Deliveries in the order of their subscriptions, each of which has one. */
struct list {
	struct delivery **all;
	int count;
};

/* Of these deliveries; wanted: only those for which it is true, NULL for all. */
static struct list list_make(struct delivery *const *deliveries, int count, bool (*wanted)(const struct delivery *))
{
	struct list list = {.all = calloc((size_t)count + 1, sizeof *list.all)};

	SBM_ASSERT(list.all);
	for (int i = 0; i < count; i++)
		if (!wanted || wanted(deliveries[i]))
			list.all[list.count++] = deliveries[i];
	qsort(list.all, (size_t)list.count, sizeof *list.all, by_subscription);
	return list;
}

/* What says of deliveries that they are ours. */
#define CLAIM_COLUMNS 3
static const enum db_type claim_types[CLAIM_COLUMNS] = {DB_TYPE_UUID, DB_TYPE_BIGINT, DB_TYPE_INTEGER};

static void put_claims(struct lists *lists, const struct list *list)
{
	for (int i = 0; i < list->count; i++) {
		db_list_put(&lists->column[0], list->all[i]->subscription_id);
		db_list_put_int(&lists->column[1], list->all[i]->queue_id);
		db_list_put_int(&lists->column[2], list->all[i]->attempt);
	}
}

static struct delivery *find(const struct list *list, const char *subscription_id)
{
	struct delivery wanted = {.subscription_id = subscription_id}, *key = &wanted;
	struct delivery **found = bsearch(&key, list->all, (size_t)list->count, sizeof *list->all, by_subscription);

	SBM_ASSERT(found);
	return *found;
}

/* Keeps of the list what the statement took out. */
static void keep_ours(struct list *list, const struct db_result *result)
{
	int kept = 0;

	for (int row = 0; row < db_rows(result); row++)
		find(list, db_text(result, row, 0))->taken_out = true;
	for (int i = 0; i < list->count; i++) {
		list->all[i]->stale = !list->all[i]->taken_out;
		if (list->all[i]->taken_out) {
			list->all[i]->taken_out = false;
			list->all[kept++] = list->all[i];
		}
	}
	list->count = kept;
}

static enum db_status take_out(struct db *db, struct list *list)
{
	struct db_result *result = NULL;
	struct db_params params;
	struct lists lists;
	enum db_status status;

	lists_init(&lists, claim_types, CLAIM_COLUMNS);
	put_claims(&lists, list);
	db_params_init(&params);
	lists_end(&lists, &params);
	status = db_query(db, DB_Q_DELIVERY_TAKE_OUT, &params, &result);
	if (status == DB_OK)
		keep_ours(list, result);
	db_result_free(result);
	lists_fini(&lists);
	return status;
}

/* Lists of subscriptions that the end statement changes, each in its own way. */
enum { MOVING, MOVING_SET, MOVING_SEQUENCE, ENDING, FOLLOWED, UNREACHABLE, PREPENDED, PREPENDED_TEXT, CHANGES };
static const enum db_type change_types[CHANGES] = {DB_TYPE_UUID, DB_TYPE_INTEGER, DB_TYPE_INTEGER, DB_TYPE_UUID, DB_TYPE_UUID, DB_TYPE_UUID,
	DB_TYPE_UUID, DB_TYPE_TEXT};

/* Finds which subscriptions were sent their last message. */
static enum db_status find_endings(struct db *db, const struct list *list, struct lists *changes)
{
	static const enum db_type types[] = {DB_TYPE_UUID, DB_TYPE_INTEGER, DB_TYPE_TEXT, DB_TYPE_INTEGER};
	struct db_result *result = NULL;
	struct db_params params;
	struct lists lists;
	enum db_status status;
	int sent = 0;

	lists_init(&lists, types, 4);
	for (int i = 0; i < list->count; i++) {
		const struct delivery *d = list->all[i];

		list->all[i]->ends = false;
		if (!advances(d))
			continue;
		db_list_put(&lists.column[0], d->subscription_id);
		db_list_put_int(&lists.column[1], d->messageset_id);
		db_list_put(&lists.column[2], d->lang);
		db_list_put_int(&lists.column[3], d->sequence_number);
		sent++;
	}
	db_params_init(&params);
	lists_end(&lists, &params);
	status = sent > 0 ? db_query(db, DB_Q_DELIVERY_ENDINGS, &params, &result) : DB_OK;
	for (int row = 0; result && row < db_rows(result); row++) {
		find(list, db_text(result, row, 0))->ends = true;
		db_list_put(&changes->column[ENDING], db_text(result, row, 0));
		/* Somebody who left meanwhile has no next set. */
		if (db_bool(result, row, 1))
			db_list_put(&changes->column[FOLLOWED], db_text(result, row, 0));
	}
	db_result_free(result);
	lists_fini(&lists);
	return status;
}

static void put_change(struct lists *changes, const struct delivery *d)
{
	struct db_list *column = changes->column;

	if (advances(d) && !d->ends) {
		db_list_put(&column[MOVING], d->subscription_id);
		db_list_put_int(&column[MOVING_SET], d->messageset_id);
		db_list_put_int(&column[MOVING_SEQUENCE], d->sequence_number);
	}
	if (d->outcome == DELIVERY_NO_RECIPIENT)
		db_list_put(&column[UNREACHABLE], d->subscription_id);
	if (is_sent(d) && d->prepend) {
		db_list_put(&column[PREPENDED], d->subscription_id);
		db_list_put(&column[PREPENDED_TEXT], d->prepend);
	}
}

#define END_COLUMNS 16
static const enum db_type end_types[END_COLUMNS] = {DB_TYPE_UUID, DB_TYPE_UUID, DB_TYPE_BIGINT, DB_TYPE_TEXT, DB_TYPE_INTEGER, DB_TYPE_TEXT, DB_TYPE_SMALLINT,
	DB_TYPE_TIME, DB_TYPE_TEXT, DB_TYPE_INTEGER, DB_TYPE_TEXT, DB_TYPE_TEXT, DB_TYPE_TEXT, DB_TYPE_INTEGER, DB_TYPE_INTEGER, DB_TYPE_TEXT};

static void put_int_or_null(struct db_list *column, bool known, int64_t value)
{
	if (known)
		db_list_put_int(column, value);
	else
		db_list_put_null(column);
}

static void put_end(struct lists *lists, const struct delivery *d)
{
	struct db_list *column = lists->column;

	db_list_put(&column[0], d->id);
	db_list_put(&column[1], d->subscription_id);
	put_int_or_null(&column[2], d->run_id, d->run_id);
	db_list_put(&column[3], d->kind == DELIVERY_RESEND ? "resend" : "next");
	put_int_or_null(&column[4], d->resend_request_id, d->resend_request_id);
	db_list_put(&column[5], *d->request_id ? d->request_id : NULL);
	db_list_put_int(&column[6], d->tries);
	db_list_put_int(&column[7], d->created_at);
	db_list_put(&column[8], outcome_words[d->outcome]);
	put_int_or_null(&column[9], d->has_message, d->message_id);
	db_list_put(&column[10], d->to_addr);
	db_list_put(&column[11], d->outbound_id);
	db_list_put(&column[12], d->reason);
	put_int_or_null(&column[13], d->has_subscription, d->messageset_id);
	put_int_or_null(&column[14], d->has_subscription, d->sequence_number);
	db_list_put(&column[15], d->has_subscription ? d->lang : NULL);
}

static enum db_status finish(struct db *db, const struct list *list, struct lists *changes, int64_t now)
{
	struct db_params params;
	struct lists lists;
	enum db_status status;

	lists_init(&lists, end_types, END_COLUMNS);
	for (int i = 0; i < list->count; i++) {
		put_end(&lists, list->all[i]);
		put_change(changes, list->all[i]);
	}
	db_params_init(&params);
	lists_end(&lists, &params);
	db_param_time(&params, now);
	lists_end(changes, &params);
	status = db_query(db, DB_Q_DELIVERY_FINISH, &params, NULL);
	lists_fini(&lists);
	return status;
}

/* list: deliveries that ended; those that are not ours any more leave it. */
static enum db_status write_ends(struct db *db, struct list *list, int64_t now)
{
	struct lists changes;
	enum db_status status;

	if (list->count == 0)
		return DB_OK;
	status = take_out(db, list);
	if (status != DB_OK || list->count == 0)
		return status;
	boundary_pass(BOUNDARY_SENDER_TAKEN_OUT);
	lists_init(&changes, change_types, CHANGES);
	status = find_endings(db, list, &changes);
	if (status == DB_OK)
		status = finish(db, list, &changes, now);
	boundary_pass(BOUNDARY_SENDER_ADVANCED);
	if (changes.column[FOLLOWED].count > 0)
		boundary_pass(BOUNDARY_SENDER_FOLLOWED);
	lists_fini(&changes);
	return status;
}

#define PUT_BACK_COLUMNS 7
static const enum db_type put_back_types[PUT_BACK_COLUMNS] = {DB_TYPE_UUID, DB_TYPE_BIGINT, DB_TYPE_INTEGER, DB_TYPE_BIGINT, DB_TYPE_SMALLINT,
	DB_TYPE_TEXT, DB_TYPE_TEXT};

static enum db_status put_back(struct db *db, const struct list *list, int *written)
{
	struct db_result *result = NULL;
	struct db_params params;
	struct lists lists;
	enum db_status status;

	if (list->count == 0)
		return DB_OK;
	lists_init(&lists, put_back_types, PUT_BACK_COLUMNS);
	put_claims(&lists, list);
	for (int i = 0; i < list->count; i++) {
		const struct delivery *d = list->all[i];
		bool retry = d->outcome == DELIVERY_RETRY;

		db_list_put_int(&lists.column[3], retry ? d->delay_ms : 0);
		db_list_put_int(&lists.column[4], retry && d->charged ? 1 : 0);
		db_list_put(&lists.column[5], d->reason ? d->reason : "");
		db_list_put(&lists.column[6], d->outcome == DELIVERY_GATED ? d->gate : NULL);
	}
	db_params_init(&params);
	lists_end(&lists, &params);
	status = db_query(db, DB_Q_DELIVERY_PUT_BACK, &params, &result);
	if (status == DB_OK)
		*written += (int)db_affected(result);
	db_result_free(result);
	lists_fini(&lists);
	return status;
}

enum db_status queue_write_back(struct db *db, struct delivery *const *deliveries, int count, int64_t now, int *stale)
{
	struct list ends = list_make(deliveries, count, is_end), rest = list_make(deliveries, count, is_open);
	int written = 0;
	enum db_status status = write_ends(db, &ends, now);

	if (status == DB_OK)
		status = put_back(db, &rest, &written);
	if (status == DB_OK)
		*stale = count - ends.count - written;
	free(ends.all);
	free(rest.all);
	return status;
}

enum db_status queue_renew(struct db *db, struct delivery *const *deliveries, int count, int64_t lease_ms)
{
	struct list list = list_make(deliveries, count, NULL);
	struct db_params params;
	struct lists lists;
	enum db_status status;

	lists_init(&lists, claim_types, CLAIM_COLUMNS);
	put_claims(&lists, &list);
	db_params_init(&params);
	lists_end(&lists, &params);
	db_param_int(&params, lease_ms);
	status = db_query(db, DB_Q_DELIVERY_RENEW, &params, NULL);
	lists_fini(&lists);
	free(list.all);
	return status;
}

/* Puts the deliveries of the result to the places of those that they are the news of. */
static void put_news(const struct db_result *result, int64_t read_ms, struct delivery *const *deliveries, int count, struct delivery **out)
{
	for (int row = 0; row < db_rows(result); row++)
		for (int i = 0; i < count; i++)
			if (strcmp(deliveries[i]->subscription_id, db_text(result, row, C_SUBSCRIPTION_ID)) == 0) {
				out[i] = delivery_read(result, row);
				out[i]->claimed_ms = read_ms;
			}
}

enum db_status queue_refresh(struct db *db, struct delivery *const *deliveries, int count, bool with_zones, struct delivery **out)
{
	struct list list = list_make(deliveries, count, NULL);
	int64_t read_ms = clock_monotonic_ms();
	struct db_result *result = NULL;
	struct db_params params;
	struct lists lists;
	enum db_status status;

	memset(out, 0, (size_t)count * sizeof *out);
	lists_init(&lists, claim_types, CLAIM_COLUMNS);
	put_claims(&lists, &list);
	db_params_init(&params);
	lists_end(&lists, &params);
	db_param_bool(&params, with_zones);
	status = db_query(db, DB_Q_DELIVERY_REFRESH, &params, &result);
	if (status == DB_OK)
		put_news(result, read_ms, deliveries, count, out);
	db_result_free(result);
	lists_fini(&lists);
	free(list.all);
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
