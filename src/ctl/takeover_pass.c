#include "config.h"

#include "ctl/takeover.h"

#include "base/parse.h"
#include "ctl/ctl.h"
#include "domain/cron.h"
#include "io/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Rows that are told one by one on standard error. */
#define TOLD_MAX 20
/* The checksum of no rows: the first digits of the MD5 of "0". */
#define SUM_OF_NONE "cfcd208495d5"
/* No statement. */
#define NONE DB_Q_MAX

/* Bounds of ids. */
#define INT_FIRST "-2147483648"
#define INT_LAST "2147483647"

struct batch;

/* A table, in the order in which they come: what is referred to stands first. */
struct takeover_entity {
	const char *name, *table;
	const char *original; /* its table there, where an older one does not have it; NULL: it has */
	enum db_query copy, sum_there, stage, check, sum_here;
	enum db_query gone, park, change, add;
	bool gone_late; /* others here refer to what is gone until their own pass */
	bool add_first; /* those that change may come to refer to new ones */
	const char *first, *last;           /* all ids lie between; NULL: it comes in one batch */
	enum db_query clear;                /* for those in batches */
	int (*line)(struct batch *, const char *, size_t);
	int (*examine)(struct takeover *, const struct takeover_entity *);
};

/* Rows on their way. The statements that read a long table stop at 20000. */
#define BATCH_ROWS 20000
#define ID_SIZE 64
struct batch {
	struct takeover *takeover;
	const struct takeover_entity *entity;
	int64_t rows;
	char last[ID_SIZE]; /* id of the last row; "" for none */
	enum db_status status; /* of ours */
};

static int line_token(struct batch *, const char *, size_t);
static int examine_schedules(struct takeover *, const struct takeover_entity *);

static const struct takeover_entity entities[TAKEOVER_ENTITIES] = {
	{
		.name = "users", .table = "api_user", .copy = DB_Q_ORIGINAL_USER_COPY, .sum_there = DB_Q_ORIGINAL_USER_SUM,
		.stage = DB_Q_TAKEOVER_USER_STAGE, .check = DB_Q_TAKEOVER_USER_CHECK, .sum_here = DB_Q_TAKEOVER_USER_SUM,
		.gone = DB_Q_TAKEOVER_USER_GONE, .park = DB_Q_TAKEOVER_USER_PARK,
		.change = DB_Q_TAKEOVER_USER_CHANGE, .add = DB_Q_TAKEOVER_USER_ADD,
	}, {
		.name = "tokens", .table = "api_token", .copy = DB_Q_ORIGINAL_TOKEN_COPY, .sum_there = NONE,
		.stage = DB_Q_TAKEOVER_TOKEN_STAGE, .check = DB_Q_TAKEOVER_TOKEN_CHECK, .sum_here = DB_Q_TAKEOVER_TOKEN_SUM,
		.gone = DB_Q_TAKEOVER_TOKEN_GONE, .park = NONE,
		.change = DB_Q_TAKEOVER_TOKEN_CHANGE, .add = DB_Q_TAKEOVER_TOKEN_ADD, .line = line_token,
	}, {
		.name = "schedules", .table = "schedule", .copy = DB_Q_ORIGINAL_SCHEDULE_COPY, .sum_there = DB_Q_ORIGINAL_SCHEDULE_SUM,
		.stage = DB_Q_TAKEOVER_SCHEDULE_STAGE, .check = NONE, .sum_here = DB_Q_TAKEOVER_SCHEDULE_SUM,
		.gone = DB_Q_TAKEOVER_SCHEDULE_GONE, .park = NONE,
		.change = DB_Q_TAKEOVER_SCHEDULE_CHANGE, .add = DB_Q_TAKEOVER_SCHEDULE_ADD, .gone_late = true, .examine = examine_schedules,
	}, {
		.name = "message sets", .table = "messageset", .copy = DB_Q_ORIGINAL_MESSAGESET_COPY, .sum_there = DB_Q_ORIGINAL_MESSAGESET_SUM,
		.stage = DB_Q_TAKEOVER_MESSAGESET_STAGE, .check = DB_Q_TAKEOVER_MESSAGESET_CHECK, .sum_here = DB_Q_TAKEOVER_MESSAGESET_SUM,
		.gone = DB_Q_TAKEOVER_MESSAGESET_GONE, .park = DB_Q_TAKEOVER_MESSAGESET_PARK,
		.change = DB_Q_TAKEOVER_MESSAGESET_CHANGE, .add = DB_Q_TAKEOVER_MESSAGESET_ADD, .gone_late = true, .add_first = true,
	}, {
		.name = "binary contents", .table = "binarycontent", .copy = DB_Q_ORIGINAL_BINARYCONTENT_COPY, .sum_there = DB_Q_ORIGINAL_BINARYCONTENT_SUM,
		.stage = DB_Q_TAKEOVER_BINARYCONTENT_STAGE, .check = NONE, .sum_here = DB_Q_TAKEOVER_BINARYCONTENT_SUM,
		.gone = DB_Q_TAKEOVER_BINARYCONTENT_GONE, .park = NONE,
		.change = DB_Q_TAKEOVER_BINARYCONTENT_CHANGE, .add = DB_Q_TAKEOVER_BINARYCONTENT_ADD,
	}, {
		.name = "messages", .table = "message", .copy = DB_Q_ORIGINAL_MESSAGE_COPY, .sum_there = DB_Q_ORIGINAL_MESSAGE_SUM,
		.stage = DB_Q_TAKEOVER_MESSAGE_STAGE, .check = DB_Q_TAKEOVER_MESSAGE_CHECK, .sum_here = DB_Q_TAKEOVER_MESSAGE_SUM,
		.gone = DB_Q_TAKEOVER_MESSAGE_GONE, .park = DB_Q_TAKEOVER_MESSAGE_PARK,
		.change = DB_Q_TAKEOVER_MESSAGE_CHANGE, .add = DB_Q_TAKEOVER_MESSAGE_ADD,
	}, {
		.name = "subscriptions", .table = "subscription", .copy = DB_Q_ORIGINAL_SUBSCRIPTION_COPY, .sum_there = DB_Q_ORIGINAL_SUBSCRIPTION_SUM,
		.stage = DB_Q_TAKEOVER_SUBSCRIPTION_STAGE, .check = DB_Q_TAKEOVER_SUBSCRIPTION_CHECK, .sum_here = DB_Q_TAKEOVER_SUBSCRIPTION_SUM,
		.gone = DB_Q_TAKEOVER_SUBSCRIPTION_GONE, .park = NONE,
		.change = DB_Q_TAKEOVER_SUBSCRIPTION_CHANGE, .add = DB_Q_TAKEOVER_SUBSCRIPTION_ADD,
		.first = UUID_FIRST, .last = UUID_LAST, .clear = DB_Q_TAKEOVER_CLEAR_SUBSCRIPTION,
	}, {
		.name = "failed tasks", .table = "failed_task", .original = "subscriptions_subscriptionsendfailure",
		.copy = DB_Q_ORIGINAL_FAILED_TASK_COPY, .sum_there = DB_Q_ORIGINAL_FAILED_TASK_SUM,
		.stage = DB_Q_TAKEOVER_FAILED_TASK_STAGE, .check = DB_Q_TAKEOVER_FAILED_TASK_CHECK, .sum_here = DB_Q_TAKEOVER_FAILED_TASK_SUM,
		.gone = DB_Q_TAKEOVER_FAILED_TASK_GONE, .park = NONE,
		.change = DB_Q_TAKEOVER_FAILED_TASK_CHANGE, .add = DB_Q_TAKEOVER_FAILED_TASK_ADD,
		.first = INT_FIRST, .last = INT_LAST, .clear = DB_Q_TAKEOVER_CLEAR_FAILED_TASK,
	}, {
		.name = "resend requests", .table = "resend_request", .original = "subscriptions_resendrequest",
		.copy = DB_Q_ORIGINAL_RESEND_REQUEST_COPY, .sum_there = DB_Q_ORIGINAL_RESEND_REQUEST_SUM,
		.stage = DB_Q_TAKEOVER_RESEND_REQUEST_STAGE, .check = DB_Q_TAKEOVER_RESEND_REQUEST_CHECK, .sum_here = DB_Q_TAKEOVER_RESEND_REQUEST_SUM,
		.gone = DB_Q_TAKEOVER_RESEND_REQUEST_GONE, .park = NONE,
		.change = DB_Q_TAKEOVER_RESEND_REQUEST_CHANGE, .add = DB_Q_TAKEOVER_RESEND_REQUEST_ADD,
		.first = INT_FIRST, .last = INT_LAST, .clear = DB_Q_TAKEOVER_CLEAR_RESEND_REQUEST,
	}, {
		.name = "estimates", .table = "estimated_send", .original = "subscriptions_estimatedsend",
		.copy = DB_Q_ORIGINAL_ESTIMATED_SEND_COPY, .sum_there = DB_Q_ORIGINAL_ESTIMATED_SEND_SUM,
		.stage = DB_Q_TAKEOVER_ESTIMATED_SEND_STAGE, .check = DB_Q_TAKEOVER_ESTIMATED_SEND_CHECK, .sum_here = DB_Q_TAKEOVER_ESTIMATED_SEND_SUM,
		.gone = DB_Q_TAKEOVER_ESTIMATED_SEND_GONE, .park = NONE,
		.change = DB_Q_TAKEOVER_ESTIMATED_SEND_CHANGE, .add = DB_Q_TAKEOVER_ESTIMATED_SEND_ADD,
	},
};

const char *takeover_name(int entity)
{
	return entities[entity].name;
}

static struct takeover_count *count_of(struct takeover *t, const struct takeover_entity *entity)
{
	return &t->counts[entity - entities];
}

static int failed_there(const struct takeover *t, const struct takeover_entity *entity)
{
	return ctl_fail("the original's %s: %s", entity->name, *db_message(t->there) ? db_message(t->there) : "its database did not answer");
}

static int failed_here(const struct takeover *t, const struct takeover_entity *entity)
{
	return ctl_fail("%s: %s; nothing of this batch was taken over: mend it and begin again", entity->name,
			*db_message(t->here) ? db_message(t->here) : "our database did not answer");
}

/* ---- rows on their way */

/* The first field is the id. */
static void note_last(struct batch *batch, const char *line, size_t n)
{
	size_t length = 0;

	while (length < n && line[length] != '\t' && line[length] != '\n')
		length++;
	snprintf(batch->last, sizeof(batch->last), "%.*s", (int)length, line);
}

/*
 * "key TAB user TAB time": the key leaves this process as its digest alone. One that nobody could come in with gets
 * half a digest, which is how the check knows it.
 */
static int line_token(struct batch *batch, const char *line, size_t n)
{
	const char *tab = memchr(line, '\t', n);
	size_t length = tab ? (size_t)(tab - line) : n;
	char hex[DIGEST_HEX_SIZE], key[TOKEN_TEXT_SIZE] = "";
	struct db *here = batch->takeover->here;

	if (length == TOKEN_TEXT_SIZE - 1)
		memcpy(key, line, length);
	digest_sha256_hex(line, length, hex);
	if (strspn(key, "0123456789abcdef") != TOKEN_TEXT_SIZE - 1)
		hex[DIGEST_SIZE] = '\0';
	batch->status = db_copy_in_put(here, "\\\\x", 3);
	if (batch->status == DB_OK)
		batch->status = db_copy_in_put(here, hex, strlen(hex));
	if (batch->status == DB_OK)
		batch->status = db_copy_in_put(here, line + length, n - length);
	return batch->status == DB_OK ? 0 : -1;
}

static int take_line(void *context, const char *line, size_t n)
{
	struct batch *batch = context;

	batch->rows++;
	if (batch->entity->line)
		return batch->entity->line(batch, line, n);
	if (batch->entity->first)
		note_last(batch, line, n);
	batch->status = db_copy_in_put(batch->takeover->here, line, n);
	return batch->status == DB_OK ? 0 : -1;
}

/* Reads the next rows of the original into the table that takes them in. */
static int stage(struct takeover *t, struct batch *batch)
{
	const struct takeover_entity *entity = batch->entity;
	enum db_status there, here;

	batch->status = db_copy_in_begin(t->here, entity->stage);
	if (batch->status != DB_OK)
		return failed_here(t, entity);
	there = db_copy_out(t->there, entity->copy, take_line, batch);
	here = db_copy_in_end(t->here, there == DB_OK && batch->status == DB_OK);
	if (there != DB_OK)
		return failed_there(t, entity);
	return here == DB_OK && batch->status == DB_OK ? CTL_OK : failed_here(t, entity);
}

/* ---- rows that have no place here */

/* Tells of rows that were just put aside; they stop the pass unless they may be. */
static int tell_refused(const struct takeover *t, const struct takeover_entity *entity, const struct db_result *result)
{
	int rows = db_rows(result);

	progress_hide();
	for (int i = 0; i < rows && i < TOLD_MAX; i++)
		fprintf(stderr, "%s %s: %s\n", entity->table, db_text(result, i, 0), db_text(result, i, 1));
	if (rows > TOLD_MAX)
		fprintf(stderr, "%s: %d more like these\n", entity->table, rows - TOLD_MAX);
	if (rows && !t->put_aside)
		return ctl_fail("%d of the %s cannot be taken over as they are; mend them at the original, or give --put-aside to leave them, and what needs them, out",
				rows, entity->name);
	return CTL_OK;
}

/* Until nothing more is found: a row may have no place because another one has none. */
static int check(struct takeover *t, const struct takeover_entity *entity)
{
	struct db_result *result;
	int rc = CTL_OK, found = entity->check == NONE ? 0 : 1;

	while (found && rc == CTL_OK) {
		if (db_query(t->here, entity->check, NULL, &result) != DB_OK)
			return failed_here(t, entity);
		found = db_rows(result);
		rc = tell_refused(t, entity, result);
		db_result_free(result);
	}
	return rc;
}

static int refuse_schedule(struct takeover *t, const struct takeover_entity *entity, const char *id, const char *field, const char *why)
{
	struct db_result *result;
	struct db_params params;
	char reason[CRON_ERROR_SIZE + 64];
	int rc;

	snprintf(reason, sizeof(reason), "%s: %s", field, why);
	db_params_init(&params);
	db_param_text(&params, id);
	db_param_text(&params, reason);
	if (db_query(t->here, DB_Q_TAKEOVER_SCHEDULE_REFUSE, &params, &result) != DB_OK)
		return ctl_db_failed(t->ctl, "put a schedule aside");
	rc = tell_refused(t, entity, result);
	db_result_free(result);
	return rc;
}

/* The original knows cron fields that the service does not. */
static int examine_schedules(struct takeover *t, const struct takeover_entity *entity)
{
	struct db_result *result;
	int rc = CTL_OK;

	if (db_query(t->here, DB_Q_TAKEOVER_SCHEDULE_FIELDS, NULL, &result) != DB_OK)
		return ctl_db_failed(t->ctl, "read the schedules that came");
	for (int i = 0; i < db_rows(result) && rc == CTL_OK; i++) {
		const char *fields[CRON_FIELD_MAX];
		char error[CRON_ERROR_SIZE];
		enum cron_field bad = CRON_FIELD_MAX;
		struct cron cron;

		for (int field = 0; field < CRON_FIELD_MAX; field++)
			fields[field] = db_text(result, i, 1 + field);
		if (cron_parse(fields, NULL, &cron, &bad, error))
			rc = refuse_schedule(t, entity, db_text(result, i, 0), cron_field_names[bad], error);
	}
	db_result_free(result);
	return rc;
}

/* ---- a batch */

/* Runs one of a batch's statements; NONE does nothing. *rows is added to, where it is given. */
static int run(struct takeover *t, const struct takeover_entity *entity, enum db_query query, const char *const *range, int64_t *rows)
{
	struct db_result *result;
	struct db_params params;

	if (query == NONE)
		return CTL_OK;
	db_params_init(&params);
	if (entity->first) {
		db_param_text(&params, range[0]);
		db_param_text(&params, range[1]);
	}
	if (db_query(t->here, query, &params, &result) != DB_OK)
		return failed_here(t, entity);
	if (rows)
		*rows += db_affected(result);
	db_result_free(result);
	return CTL_OK;
}

/* Makes the rows with ids from range[0] to range[1] as those that came. */
static int merge(struct takeover *t, const struct takeover_entity *entity, const char *const *range)
{
	struct takeover_count *count = count_of(t, entity);
	enum db_query gone = entity->gone_late ? NONE : entity->gone;

	if (run(t, entity, gone, range, &count->removed) || run(t, entity, entity->park, range, NULL))
		return CTL_FAILED;
	if (entity->add_first && run(t, entity, entity->add, range, &count->added))
		return CTL_FAILED;
	if (run(t, entity, entity->change, range, &count->changed))
		return CTL_FAILED;
	return entity->add_first ? CTL_OK : run(t, entity, entity->add, range, &count->added);
}

static int set_from(struct takeover *t, const struct takeover_entity *entity, const char *from)
{
	struct db_params params;

	db_params_init(&params);
	db_param_text(&params, from);
	return db_query(t->there, DB_Q_ORIGINAL_FROM, &params, NULL) == DB_OK ? CTL_OK : failed_there(t, entity);
}

/* Whether the original has the table at all. */
static int is_there(struct takeover *t, const struct takeover_entity *entity, bool *out)
{
	struct db_result *result;
	struct db_params params;

	*out = true;
	if (!entity->original)
		return CTL_OK;
	db_params_init(&params);
	db_param_text(&params, entity->original);
	if (db_query(t->there, DB_Q_ORIGINAL_HAS, &params, &result) != DB_OK)
		return failed_there(t, entity);
	*out = db_bool(result, 0, 0);
	db_result_free(result);
	return CTL_OK;
}

/* Before the first rows of a table: what was put aside of it comes again, or does not. */
static int forget_refused(struct takeover *t, const struct takeover_entity *entity)
{
	struct db_params params;

	db_params_init(&params);
	db_param_text(&params, entity->table);
	return db_query(t->here, DB_Q_TAKEOVER_ASIDE_FORGET, &params, NULL) == DB_OK ? CTL_OK : failed_here(t, entity);
}

/* Readies the table that takes rows in, and where they are read from. A table that comes whole is empty already. */
static int begin_batch(struct takeover *t, const struct takeover_entity *entity, const char *from)
{
	bool first = !entity->first || !strcmp(from, entity->first);

	if (db_query(t->here, DB_Q_TAKEOVER_LOCK, NULL, NULL) != DB_OK)
		return failed_here(t, entity);
	if (entity->first && db_query(t->here, entity->clear, NULL, NULL) != DB_OK)
		return failed_here(t, entity);
	if (entity->first && set_from(t, entity, from))
		return CTL_FAILED;
	return first ? forget_refused(t, entity) : CTL_OK;
}

/* One batch within its transaction. from: where it begins, and then where the next one does; "" at the end. */
static int bring_batch(struct takeover *t, const struct takeover_entity *entity, bool there, char from[ID_SIZE])
{
	struct batch batch = {.takeover = t, .entity = entity};
	bool more;

	if (begin_batch(t, entity, from) || (there && stage(t, &batch)))
		return CTL_FAILED;
	more = entity->first && batch.rows == BATCH_ROWS;
	if ((entity->examine && entity->examine(t, entity)) || check(t, entity))
		return CTL_FAILED;
	if (merge(t, entity, (const char *[]){from, more ? batch.last : entity->last}))
		return CTL_FAILED;
	/* A batch begins with the last row of the one before. */
	progress_add(&t->progress, batch.rows - more);
	snprintf(from, ID_SIZE, "%s", more ? batch.last : "");
	return CTL_OK;
}

static int begin_here(struct takeover *t)
{
	return db_begin(t->here) == DB_OK ? CTL_OK : ctl_db_failed(t->ctl, "begin a transaction");
}

static int end_here(struct takeover *t, int rc)
{
	if (rc != CTL_OK) {
		db_rollback(t->here);
		return rc;
	}
	return db_commit(t->here) == DB_OK ? CTL_OK : ctl_db_failed(t->ctl, "commit; begin again");
}

static int bring(struct takeover *t, const struct takeover_entity *entity)
{
	char from[ID_SIZE] = "";
	bool there;
	int rc;

	if (is_there(t, entity, &there))
		return CTL_FAILED;
	if (entity->first)
		snprintf(from, sizeof(from), "%s", entity->first);
	do {
		rc = begin_here(t);
		if (rc == CTL_OK)
			rc = end_here(t, bring_batch(t, entity, there, from));
	} while (rc == CTL_OK && *from);
	return rc;
}

/* Sets and schedules that the original has no more go when nothing refers to them any more. */
static int remove_late(struct takeover *t)
{
	for (int i = TAKEOVER_ENTITIES - 1; i >= 0; i--) {
		const struct takeover_entity *entity = &entities[i];

		if (entity->gone_late && run(t, entity, entity->gone, NULL, &count_of(t, entity)->removed))
			return CTL_FAILED;
	}
	return CTL_OK;
}

/* Empties the tables of batches, where a pass that was killed may have left something. */
static int clear(struct takeover *t)
{
	if (db_query(t->here, DB_Q_TAKEOVER_LOCK, NULL, NULL) != DB_OK || db_query(t->here, DB_Q_TAKEOVER_CLEAR, NULL, NULL) != DB_OK)
		return ctl_db_failed(t->ctl, "empty the tables of batches");
	return CTL_OK;
}

/* Many rows come in faster without the indexes that only serve readers, and the foreign keys. */
static int drop_indexes(struct takeover *t)
{
	return db_query(t->here, DB_Q_TAKEOVER_INDEXES_DROP, NULL, NULL) == DB_OK ? CTL_OK : ctl_db_failed(t->ctl, "drop indexes and foreign keys for a while");
}

static int make_indexes(struct takeover *t)
{
	return db_query(t->here, DB_Q_TAKEOVER_INDEXES_MAKE, NULL, NULL) == DB_OK ? CTL_OK : ctl_db_failed(t->ctl, "make indexes and foreign keys again");
}

/* Runs a part of the pass in a transaction of its own. */
static int in_transaction(struct takeover *t, int (*part)(struct takeover *))
{
	int rc = begin_here(t);

	return rc == CTL_OK ? end_here(t, part(t)) : rc;
}

int takeover_pass(struct takeover *t)
{
	int rc = in_transaction(t, clear);

	if (rc == CTL_OK)
		rc = in_transaction(t, drop_indexes);
	for (int i = 0; i < TAKEOVER_ENTITIES && rc == CTL_OK; i++) {
		const struct takeover_entity *entity = &entities[i];

		progress_begin(&t->progress, entity->name, entity->copy == DB_Q_ORIGINAL_SUBSCRIPTION_COPY ? t->subscriptions : 0);
		rc = bring(t, entity);
		progress_end(&t->progress);
	}
	if (rc == CTL_OK)
		rc = in_transaction(t, make_indexes);
	if (rc == CTL_OK)
		rc = in_transaction(t, remove_late);
	return rc == CTL_OK ? in_transaction(t, clear) : rc;
}

/* ---- comparing */

/* Tokens are compared by their digests, which only we can make: they come once more, and go again. */
static int sum_tokens(struct takeover *t, const struct takeover_entity *entity, struct db_result **result)
{
	struct batch batch = {.takeover = t, .entity = entity};
	int rc = begin_here(t);

	if (rc != CTL_OK)
		return rc;
	if (db_query(t->here, DB_Q_TAKEOVER_CLEAR, NULL, NULL) != DB_OK)
		rc = failed_here(t, entity);
	if (rc == CTL_OK)
		rc = stage(t, &batch);
	if (rc == CTL_OK && db_query(t->here, DB_Q_TAKEOVER_TOKEN_SUM_STAGED, NULL, result) != DB_OK)
		rc = failed_here(t, entity);
	db_rollback(t->here);
	return rc;
}

static int sum_there(struct takeover *t, const struct takeover_entity *entity, struct takeover_count *count)
{
	struct db_result *result = NULL;
	bool there;

	snprintf(count->sum_there, sizeof(count->sum_there), "%s", SUM_OF_NONE);
	if (is_there(t, entity, &there))
		return CTL_FAILED;
	if (!there)
		return CTL_OK;
	if (entity->sum_there == NONE ? sum_tokens(t, entity, &result) : db_query(t->there, entity->sum_there, NULL, &result) != DB_OK)
		return entity->sum_there == NONE ? CTL_FAILED : failed_there(t, entity);
	count->there = db_int(result, 0, 0);
	snprintf(count->sum_there, sizeof(count->sum_there), "%s", db_text(result, 0, 1));
	db_result_free(result);
	return CTL_OK;
}

static int sum_here(struct takeover *t, const struct takeover_entity *entity, struct takeover_count *count)
{
	struct db_result *result;

	if (db_query(t->here, entity->sum_here, NULL, &result) != DB_OK)
		return ctl_db_failed(t->ctl, "add up our rows");
	count->here = db_int(result, 0, 0);
	count->aside = db_int(result, 0, 1);
	snprintf(count->sum_here, sizeof(count->sum_here), "%s", db_text(result, 0, 2));
	db_result_free(result);
	return CTL_OK;
}

int takeover_compare(struct takeover *t)
{
	int rc = CTL_OK;

	progress_begin(&t->progress, "tables compared", TAKEOVER_ENTITIES);
	for (int i = 0; i < TAKEOVER_ENTITIES && rc == CTL_OK; i++) {
		const struct takeover_entity *entity = &entities[i];
		struct takeover_count *count = &t->counts[i];

		rc = sum_there(t, entity, count);
		if (rc == CTL_OK)
			rc = sum_here(t, entity, count);
		count->equal = count->there == count->here + count->aside && !strcmp(count->sum_there, count->sum_here);
		progress_add(&t->progress, 1);
	}
	progress_end(&t->progress);
	return rc;
}
