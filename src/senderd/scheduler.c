#include "senderd/scheduler.h"

#include "base/assert.h"
#include "base/boundary.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/settings.h"
#include "domain/cron.h"
#include "domain/delivery.h"
#include "domain/tick.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A firing that is no older than this is on time, whatever delayed it. */
#define ON_TIME_MINUTES 1
/* New and changed schedules are looked for so often. */
#define LOOK_MS 1000

struct scheduler {
	int64_t looked_ms;     /* monotonic, of the last look at the table; 0: none yet */
	int64_t looked_minute; /* of the service's clock then */
};

struct scheduler *scheduler_create(void)
{
	struct scheduler *scheduler = calloc(1, sizeof *scheduler);

	SBM_ASSERT(scheduler);
	return scheduler;
}

void scheduler_free(struct scheduler *scheduler)
{
	free(scheduler);
}

/* A row of schedule_ticks. */
struct tick {
	int64_t id;
	struct cron cron;
	char definition[TICK_DEFINITION_SIZE];
	bool known;         /* seen before with this definition */
	int64_t checked_to; /* minute */
};

enum { T_ID, T_FIELDS, T_TIMEZONE = T_FIELDS + CRON_FIELD_MAX, T_DEFINITION, T_CHECKED_TO };

/* The order of schedule_ticks' columns is that of enum cron_field. */
static int read_tick(const struct db_result *result, int row, struct tick *tick)
{
	const char *texts[CRON_FIELD_MAX];
	char error[CRON_ERROR_SIZE];
	enum cron_field bad;

	tick->id = db_int(result, row, T_ID);
	for (int i = 0; i < CRON_FIELD_MAX; i++)
		texts[i] = db_text(result, row, T_FIELDS + i);
	tick_put_definition(texts, db_text(result, row, T_TIMEZONE), tick->definition);
	tick->known = strcmp(tick->definition, db_text(result, row, T_DEFINITION)) == 0;
	tick->checked_to = tick->known ? cron_minute(db_time(result, row, T_CHECKED_TO)) : 0;
	if (!cron_parse(texts, db_text(result, row, T_TIMEZONE), &tick->cron, &bad, error))
		return 0;
	/* Said once, since the tick is then known. */
	if (!tick->known)
		log_warn("schedule cannot be read and never fires", log_int("schedule", tick->id), log_str("error", error));
	return -1;
}

/* Moves the tick on and fires, or only moves it on. *won: it was us and no other daemon. */
static enum db_status move_tick(struct db *db, const struct tick *tick, int64_t to, bool fire, bool *won)
{
	struct run_firing firing = {tick->id, cron_minute_us(to), RUN_SOURCE_SCHEDULER, NULL, clock_now()};
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status = db_begin(db);
	int64_t run_id;

	if (status != DB_OK)
		return status;
	db_params_init(&params);
	db_param_int(&params, tick->id);
	db_param_text(&params, tick->definition);
	db_param_time(&params, cron_minute_us(tick->checked_to));
	db_param_time(&params, cron_minute_us(to));
	status = db_query(db, DB_Q_SCHEDULE_TICK_MOVE, &params, &result);
	*won = status == DB_OK && db_affected(result) == 1;
	db_result_free(result);
	if (*won && fire)
		status = run_fire(db, &firing, &run_id, won);
	if (status != DB_OK) {
		db_rollback(db);
		return status;
	}
	boundary_pass(BOUNDARY_DISPATCHER_TICK);
	status = db_commit(db);
	boundary_pass(BOUNDARY_DISPATCHER_TICKED);
	return status;
}

/* What becomes of the last firing before now, as a counter of its kind, and what the log says of those before it. */
static enum counter decide(const struct tick *tick, int64_t last, int64_t now)
{
	int64_t late = now - last;
	bool on_time = late <= ON_TIME_MINUTES;
	bool in_window = strcmp(setting_str(SETTING_CATCH_UP), "one") == 0 && late * 60000 <= setting_int(SETTING_CATCH_UP_WINDOW);
	int64_t first = cron_next(&tick->cron, tick->checked_to);

	if (on_time && first == last)
		return COUNTER_FIRED;
	if (on_time)
		log_info("firings were missed; the one of this minute stands for them", log_int("schedule", tick->id), log_int("since_minutes", now - first));
	else if (in_window)
		log_info("missed firing is made up", log_int("schedule", tick->id), log_int("late_minutes", late));
	else
		log_warn("missed firing is skipped", log_int("schedule", tick->id), log_int("late_minutes", late));
	return on_time ? COUNTER_FIRED_JOINED : in_window ? COUNTER_FIRED_LATE : COUNTER_FIRED_NOT;
}

static enum db_status look_at(struct db *db, const struct tick *tick, int64_t now, bool *fired)
{
	int64_t last = cron_previous(&tick->cron, now);
	enum db_status status;
	enum counter decision;
	bool fire, won;

	if (last == CRON_NEVER || last <= tick->checked_to)
		return DB_OK;
	decision = decide(tick, last, now);
	fire = decision != COUNTER_FIRED_NOT;
	status = move_tick(db, tick, last, fire, &won);
	if (status == DB_OK && won)
		counter_add(decision, 1);
	if (status == DB_OK && won && fire) {
		log_info("schedule fired", log_int("schedule", tick->id));
		*fired = true;
	}
	return status;
}

/* Since when a schedule that nobody knows counts: it was not there when we last looked. */
static int64_t new_since(const struct scheduler *scheduler, int64_t now)
{
	bool looked_lately = scheduler->looked_ms && clock_monotonic_ms() - scheduler->looked_ms < 60000;

	return looked_lately && scheduler->looked_minute < now ? scheduler->looked_minute : now;
}

static enum db_status look_at_row(struct scheduler *scheduler, struct db *db, const struct db_result *result, int row, int64_t now, bool *fired)
{
	struct tick tick;
	bool readable = read_tick(result, row, &tick) == 0;
	enum db_status status = DB_OK;

	if (!tick.known || tick.checked_to > now) {
		tick.checked_to = tick.known ? now : new_since(scheduler, now);
		status = tick_note(db, tick.id, tick.definition, tick.checked_to);
	}
	if (status == DB_OK && readable)
		status = look_at(db, &tick, now, fired);
	return status;
}

bool scheduler_tick(struct scheduler *scheduler, struct db *db)
{
	int64_t now = cron_minute(clock_now()), ms = clock_monotonic_ms();
	struct db_result *result = NULL;
	enum db_status status;
	bool fired = false;

	if (scheduler->looked_ms && now == scheduler->looked_minute && ms - scheduler->looked_ms < LOOK_MS)
		return false;
	status = db_query(db, DB_Q_SCHEDULE_TICKS, NULL, &result);
	for (int row = 0; result && row < db_rows(result); row++) {
		enum db_status of_row = look_at_row(scheduler, db, result, row, now, &fired);

		if (of_row != DB_OK)
			status = of_row;
		if (of_row == DB_UNAVAILABLE)
			break;
	}
	db_result_free(result);
	/* After a failure the same minute is looked at again. */
	if (status == DB_OK) {
		scheduler->looked_ms = ms;
		scheduler->looked_minute = now;
	}
	return fired;
}
