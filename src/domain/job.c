#include "domain/job.h"

#include "base/boundary.h"
#include "base/clock.h"
#include "base/log.h"
#include "domain/behind.h"
#include "domain/programme.h"

#include <stdio.h>
#include <string.h>

#define ARRAY_MAX (1 << 20)

/* The rows of one chunk that are behind, as arrays for unnest. */
enum behind_column { BEHIND_ID, BEHIND_MESSAGES, BEHIND_SET, BEHIND_NUMBER, BEHIND_EXPECTED_SET, BEHIND_EXPECTED_NUMBER, BEHIND_COLUMN_MAX };

struct find_behind {
	struct db *db;
	struct behind behind;
	int64_t now;      /* microseconds */
	struct buf columns[BEHIND_COLUMN_MAX];
	int64_t pending;  /* rows in columns */
	struct find_behind_result *result;
};

static void begin_chunk(struct find_behind *f)
{
	f->pending = 0;
	for (int i = 0; i < BEHIND_COLUMN_MAX; i++) {
		buf_reset(&f->columns[i]);
		db_array_begin(&f->columns[i]);
	}
}

static void add_behind(struct find_behind *f, const struct behind_row *row)
{
	const struct programme *p = f->behind.programme;
	const struct lifecycle_position *position = &row->position;

	db_array_put(&f->columns[BEHIND_ID], row->id);
	db_array_put_int(&f->columns[BEHIND_MESSAGES], position->behind > INT32_MAX ? INT32_MAX : position->behind);
	db_array_put_int(&f->columns[BEHIND_SET], p->sets[row->subscription.set].id);
	db_array_put_int(&f->columns[BEHIND_NUMBER], row->subscription.next);
	db_array_put_int(&f->columns[BEHIND_EXPECTED_SET], p->sets[position->set].id);
	db_array_put_int(&f->columns[BEHIND_EXPECTED_NUMBER], position->sequence);
	f->pending++;
}

static enum db_status store_chunk(struct find_behind *f)
{
	struct db_params params;
	struct db_result *inserted;
	enum db_status status;

	if (f->pending == 0)
		return DB_OK;
	db_params_init(&params);
	for (int i = 0; i < BEHIND_COLUMN_MAX; i++) {
		db_array_end(&f->columns[i]);
		db_param_text(&params, buf_text(&f->columns[i]));
	}
	db_param_time(&params, f->now);
	status = db_query(f->db, DB_Q_FIND_BEHIND_INSERT, &params, &inserted);
	if (status == DB_OK) {
		f->result->behind += db_affected(inserted);
		db_result_free(inserted);
	}
	return status;
}

/* Sets *more to false after the last chunk. */
static enum db_status run_chunk(struct find_behind *f, bool *more)
{
	struct behind_row row;
	struct db_result *rows;
	enum db_status status = behind_next(&f->behind, &rows);

	if (status != DB_OK)
		return status;
	*more = db_rows(rows) > 0;
	begin_chunk(f);
	for (int i = 0; i < db_rows(rows); i++)
		if (behind_look(&f->behind, rows, i, &row) && row.position.behind > 0)
			add_behind(f, &row);
	db_result_free(rows);
	return store_chunk(f);
}

static enum db_status drop_orphans(struct find_behind *f)
{
	struct db_result *gone = NULL;
	enum db_status status = db_query(f->db, DB_Q_FIND_BEHIND_DROP_ORPHANS, NULL, &gone);

	if (status == DB_OK)
		f->result->behind -= db_affected(gone);
	db_result_free(gone);
	return status;
}

static enum db_status replace_rows(struct find_behind *f)
{
	bool more = true;
	enum db_status status = db_query(f->db, DB_Q_FIND_BEHIND_LOCK, NULL, NULL);

	if (status == DB_OK)
		status = behind_begin(&f->behind, f->db, cron_minute(f->now), 0);
	if (status == DB_OK)
		status = db_query(f->db, DB_Q_FIND_BEHIND_CLEAR, NULL, NULL);
	while (status == DB_OK && more)
		status = run_chunk(f, &more);
	return status == DB_OK ? drop_orphans(f) : status;
}

enum db_status find_behind_run(struct db *db, int64_t now, struct find_behind_result *result)
{
	struct find_behind f = {.db = db, .now = now, .result = result};
	enum db_status status;

	*result = (struct find_behind_result){0};
	for (int i = 0; i < BEHIND_COLUMN_MAX; i++)
		buf_init(&f.columns[i], ARRAY_MAX);
	status = db_begin(db);
	if (status == DB_OK)
		status = replace_rows(&f);
	boundary_pass(BOUNDARY_KEEPER_BEHIND);
	if (status == DB_OK)
		status = db_commit(db);
	if (status != DB_OK)
		db_rollback(db);
	result->looked_at = f.behind.looked_at;
	result->skipped = f.behind.broken + f.behind.loops;
	if (f.behind.loops)
		log_err("message sets form a loop by next_set; messages behind are counted once around",
		    log_str("messageset", f.behind.programme->sets[f.behind.loop_set].short_name), log_int("subscriptions", f.behind.loops));
	behind_end(&f.behind);
	for (int i = 0; i < BEHIND_COLUMN_MAX; i++)
		buf_fini(&f.columns[i]);
	return status;
}

static int64_t day_of(int64_t us)
{
	return us / CLOCK_DAY - (us % CLOCK_DAY < 0);
}

/* Ids of the schedules that fire on a day, as an array. */
static void put_firing_schedules(const struct programme *p, int64_t day, struct buf *out)
{
	db_array_begin(out);
	for (int i = 0; i < p->schedules_count; i++)
		if (!p->schedules[i].broken && cron_matches_day(&p->schedules[i].cron, day))
			db_array_put_int(out, p->schedules[i].id);
	db_array_end(out);
}

static enum db_status store_estimates(struct db *db, const char *date, const char *schedules, int64_t *sets)
{
	struct db_params params;
	struct db_result *stored;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, date);
	status = db_query(db, DB_Q_ESTIMATE_CLEAR, &params, NULL);
	if (status != DB_OK)
		return status;
	db_param_text(&params, schedules);
	status = db_query(db, DB_Q_ESTIMATE_STORE, &params, &stored);
	if (status == DB_OK) {
		*sets = db_affected(stored);
		db_result_free(stored);
	}
	return status;
}

enum db_status estimate_run(struct db *db, int64_t now, int64_t *sets)
{
	struct programme *p;
	struct buf schedules;
	char date[32];
	int year, month, day;
	enum db_status status = programme_load(db, &p);

	*sets = 0;
	if (status != DB_OK)
		return status;
	clock_civil_from_days(day_of(now), &year, &month, &day);
	snprintf(date, sizeof date, "%04d-%02d-%02d", year, month, day);
	buf_init(&schedules, 64 << 20);
	put_firing_schedules(p, day_of(now), &schedules);
	status = db_begin(db);
	if (status == DB_OK)
		status = store_estimates(db, date, buf_text(&schedules), sets);
	boundary_pass(BOUNDARY_KEEPER_ESTIMATE);
	if (status == DB_OK)
		status = db_commit(db);
	if (status != DB_OK)
		db_rollback(db);
	buf_fini(&schedules);
	programme_free(p);
	return status;
}

enum db_status weekly_estimate(struct db *db, int64_t now, int64_t counts[WEEKLY_DAYS])
{
	/* 1970-01-01 was a Thursday. */
	int64_t today = day_of(now), weekday = ((today + 3) % 7 + 7) % 7;
	struct programme *p;
	struct db_result *rows;
	enum db_status status = programme_load(db, &p);

	for (int64_t d = 0; d < WEEKLY_DAYS; d++)
		counts[d] = d < weekday ? -1 : 0;
	if (status != DB_OK)
		return status;
	status = db_query(db, DB_Q_ESTIMATE_BY_SCHEDULE, NULL, &rows);
	for (int i = 0; status == DB_OK && i < db_rows(rows); i++) {
		int schedule = programme_schedule(p, (int)db_int(rows, i, 0));

		if (schedule < 0 || p->schedules[schedule].broken)
			continue;
		for (int64_t d = weekday; d < WEEKLY_DAYS; d++)
			if (cron_matches_day(&p->schedules[schedule].cron, today + d - weekday))
				counts[d] += db_int(rows, i, 1);
	}
	if (status == DB_OK)
		db_result_free(rows);
	programme_free(p);
	return status;
}
