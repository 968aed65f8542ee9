#include "domain/repair.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* Room for the arrays of 5000 subscriptions, each with the longest plan. */
#define ARRAY_MAX ((size_t)64 << 20)
/* How often and for how long those who have locked something are waited for: some seconds in all. */
#define PAUSES 250
#define PAUSE_MS 20

/* Where a subscription was seen, and where it goes. */
enum { ID, SET, SCHEDULE, NUMBER, BECOMES, COMPLETE, FOLLOW_PLACE, FOLLOW_SET, FOLLOW_SCHEDULE, FOLLOW_NUMBER, FOLLOW_COMPLETE, FOLLOW_CREATED, COLUMN_MAX };

struct repair {
	struct db *db;
	struct buf columns[COLUMN_MAX];
	int64_t count, now;
	struct repair_sends sends; /* of this chunk */
	struct repair_moves moves;
};

struct repair *repair_create(struct db *db)
{
	struct repair *repair = calloc(1, sizeof *repair);

	if (!repair)
		log_fatal("out of memory");
	repair->db = db;
	for (int i = 0; i < COLUMN_MAX; i++)
		buf_init(&repair->columns[i], ARRAY_MAX);
	repair_begin(repair);
	return repair;
}

void repair_free(struct repair *repair)
{
	if (!repair)
		return;
	for (int i = 0; i < COLUMN_MAX; i++)
		buf_fini(&repair->columns[i]);
	free(repair);
}

void repair_begin(struct repair *repair)
{
	repair->count = 0;
	for (int i = 0; i < COLUMN_MAX; i++) {
		buf_reset(&repair->columns[i]);
		db_array_begin(&repair->columns[i]);
	}
}

static void add_seen(struct repair *repair, const struct programme *p, const struct behind_row *row)
{
	const struct lifecycle_subscription *s = &row->subscription;

	db_array_put(&repair->columns[ID], row->id);
	db_array_put_int(&repair->columns[SET], p->sets[s->set].id);
	db_array_put_int(&repair->columns[SCHEDULE], p->schedules[s->schedule].id);
	db_array_put_int(&repair->columns[NUMBER], s->next);
	repair->count++;
}

void repair_add_send(struct repair *repair, const struct programme *p, const struct behind_row *row)
{
	add_seen(repair, p, row);
}

static const char *bool_text(bool value)
{
	return value ? "t" : "f";
}

void repair_add_plan(struct repair *repair, const struct programme *p, const struct behind_row *row, const struct lifecycle_step *steps, int count)
{
	struct buf *columns = repair->columns;

	add_seen(repair, p, row);
	db_array_put_int(&columns[BECOMES], steps[0].sequence);
	db_array_put(&columns[COMPLETE], bool_text(steps[0].complete));
	for (int i = 1; i < count; i++) {
		char created[CLOCK_TEXT_SIZE];

		clock_format(cron_minute_us(steps[i].created), created);
		db_array_put_int(&columns[FOLLOW_PLACE], repair->count);
		db_array_put_int(&columns[FOLLOW_SET], p->sets[steps[i].set].id);
		db_array_put_int(&columns[FOLLOW_SCHEDULE], p->schedules[steps[i].schedule].id);
		db_array_put_int(&columns[FOLLOW_NUMBER], steps[i].sequence);
		db_array_put(&columns[FOLLOW_COMPLETE], bool_text(steps[i].complete));
		db_array_put(&columns[FOLLOW_CREATED], created);
	}
}

static enum db_status try_step(struct db *db, enum db_status (*step)(struct db *, void *), void *data)
{
	enum db_status status = db_begin(db);

	if (status == DB_OK)
		status = db_query(db, DB_Q_REPAIR_HURRY, NULL, NULL);
	if (status == DB_OK)
		status = step(db, data);
	if (status == DB_OK)
		status = db_commit(db);
	if (status != DB_OK)
		db_rollback(db);
	return status;
}

enum db_status repair_transaction(struct db *db, enum db_status (*step)(struct db *, void *), void *data)
{
	enum db_status status = try_step(db, step, data);

	for (int round = 0; (status == DB_RETRY || status == DB_TIMEOUT) && repair_pause(&round);)
		status = try_step(db, step, data);
	return status;
}

bool repair_pause(int *round)
{
	if (++*round > PAUSES)
		return false;
	poll(NULL, 0, PAUSE_MS);
	return true;
}

/* The arrays from first to last as parameters. */
static void put_columns(struct repair *repair, struct db_params *params, int first, int last)
{
	for (int i = first; i <= last; i++) {
		SBM_ASSERT(!repair->columns[i].overflow);
		db_param_text(params, buf_text(&repair->columns[i]));
	}
}

static void end_columns(struct repair *repair)
{
	for (int i = 0; i < COLUMN_MAX; i++)
		db_array_end(&repair->columns[i]);
}

/*
 * Once its row is in the queue, no other delivery can move a subscription. One that moved just before is seen
 * only after that, so those that did are taken out again.
 */
static enum db_status withdraw(struct repair *repair, const char *queued)
{
	struct db_params params;
	struct db_result *result;
	enum db_status status;

	db_params_init(&params);
	put_columns(repair, &params, ID, NUMBER);
	db_param_text(&params, queued);
	status = db_query(repair->db, DB_Q_REPAIR_WITHDRAW, &params, &result);
	if (status == DB_OK) {
		repair->sends.queued -= db_affected(result);
		repair->sends.changed += db_affected(result);
		db_result_free(result);
	}
	return status;
}

static enum db_status send_step(struct db *db, void *data)
{
	struct repair *repair = data;
	struct db_params params;
	struct db_result *result;
	int64_t wanted, queued;
	enum db_status status;

	db_params_init(&params);
	put_columns(repair, &params, ID, NUMBER);
	db_param_time(&params, repair->now);
	status = db_query(db, DB_Q_REPAIR_ENQUEUE, &params, &result);
	if (status != DB_OK)
		return status;
	wanted = db_int(result, 0, 0);
	queued = db_int(result, 0, 1);
	repair->sends = (struct repair_sends){.queued = queued, .under_way = wanted - queued, .changed = repair->count - wanted};
	status = withdraw(repair, db_text(result, 0, 2));
	db_result_free(result);
	return status;
}

enum db_status repair_send(struct repair *repair, int64_t now, struct repair_sends *sends)
{
	enum db_status status;

	if (repair->count == 0)
		return DB_OK;
	end_columns(repair);
	repair->now = now;
	status = repair_transaction(repair->db, send_step, repair);
	if (status == DB_OK) {
		sends->queued += repair->sends.queued;
		sends->under_way += repair->sends.under_way;
		sends->changed += repair->sends.changed;
	}
	return status;
}

static enum db_status move_step(struct db *db, void *data)
{
	struct repair *repair = data;
	struct db_params params;
	struct db_result *result;
	enum db_status status;

	db_params_init(&params);
	put_columns(repair, &params, ID, FOLLOW_CREATED);
	db_param_time(&params, repair->now);
	status = db_query(db, DB_Q_REPAIR_FORWARD, &params, &result);
	if (status != DB_OK)
		return status;
	repair->moves = (struct repair_moves){
		.moved = db_int(result, 0, 0),
		.completed = db_int(result, 0, 1),
		.made = db_int(result, 0, 2),
		.under_way = db_int(result, 0, 3),
	};
	repair->moves.changed = repair->count - repair->moves.moved - repair->moves.under_way;
	db_result_free(result);
	return DB_OK;
}

enum db_status repair_move(struct repair *repair, int64_t now, struct repair_moves *moves)
{
	enum db_status status;

	if (repair->count == 0)
		return DB_OK;
	end_columns(repair);
	repair->now = now;
	status = repair_transaction(repair->db, move_step, repair);
	if (status == DB_OK) {
		moves->moved += repair->moves.moved;
		moves->completed += repair->moves.completed;
		moves->made += repair->moves.made;
		moves->under_way += repair->moves.under_way;
		moves->changed += repair->moves.changed;
	}
	return status;
}

enum db_status repair_count_under_way(struct repair *repair, int64_t *count)
{
	struct db_params params;
	struct db_result *result;
	enum db_status status;

	if (repair->count == 0)
		return DB_OK;
	end_columns(repair);
	db_params_init(&params);
	put_columns(repair, &params, ID, ID);
	status = db_query(repair->db, DB_Q_REPAIR_UNDER_WAY, &params, &result);
	if (status == DB_OK) {
		*count += db_int(result, 0, 0);
		db_result_free(result);
	}
	return status;
}
