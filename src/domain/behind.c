#include "domain/behind.h"

#include "domain/programme.h"

#include <stdio.h>

/* The firings are worked out from the oldest ready subscription on. */
static enum db_status prepare(struct behind *b)
{
	struct db_params params;
	struct db_result *rows;
	int64_t from = b->end;
	enum db_status status;

	db_params_init(&params);
	db_param_id(&params, b->messageset_id);
	status = db_query(b->db, DB_Q_FIND_BEHIND_OLDEST, &params, &rows);
	if (status != DB_OK)
		return status;
	if (!db_is_null(rows, 0, 0) && cron_minute(db_time(rows, 0, 0)) < from)
		from = cron_minute(db_time(rows, 0, 0));
	b->ready = db_int(rows, 0, 1);
	db_result_free(rows);
	/* Nobody was sent a message before there were any. */
	lifecycle_prepare(b->programme, from < 0 ? 0 : from, b->end);
	return DB_OK;
}

enum db_status behind_begin(struct behind *b, struct db *db, int64_t end, int64_t messageset_id)
{
	enum db_status status;

	*b = (struct behind){.db = db, .end = end, .messageset_id = messageset_id, .last = UUID_FIRST, .loop_set = -1};
	status = programme_load(db, &b->programme);
	return status == DB_OK ? prepare(b) : status;
}

enum db_status behind_next(struct behind *b, struct db_result **chunk)
{
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, b->last);
	db_param_id(&params, b->messageset_id);
	status = db_query(b->db, DB_Q_FIND_BEHIND_CHUNK, &params, chunk);
	if (status == DB_OK && db_rows(*chunk) > 0)
		snprintf(b->last, sizeof b->last, "%s", db_text(*chunk, db_rows(*chunk) - 1, 0));
	return status;
}

bool behind_look(struct behind *b, const struct db_result *chunk, int row, struct behind_row *out)
{
	const struct programme *p = b->programme;
	struct lifecycle_subscription *s = &out->subscription;

	*out = (struct behind_row){.id = db_text(chunk, row, 0), .identity = db_text(chunk, row, 7)};
	*s = (struct lifecycle_subscription){
	    .set = programme_set(p, (int)db_int(chunk, row, 1)),
	    .schedule = programme_schedule(p, (int)db_int(chunk, row, 2)),
	    .lang = db_text(chunk, row, 3),
	    .initial = (int)db_int(chunk, row, 4),
	    .next = (int)db_int(chunk, row, 5),
	    .ready = true,
	    .created = cron_minute(db_time(chunk, row, 6)),
	};
	b->looked_at++;
	if (s->set < 0 || s->schedule < 0)
		return false;
	if (s->created < p->from)
		s->created = p->from;
	/* Made after the time that is asked for: it has had no firing by then. */
	if (s->created > b->end)
		s->created = b->end;
	b->broken += p->schedules[s->schedule].broken;
	out->position = lifecycle_find_position(p, s, b->end);
	if (out->position.loop) {
		b->loop_set = s->set;
		b->loops++;
	}
	return true;
}

void behind_end(struct behind *b)
{
	programme_free(b->programme);
	b->programme = NULL;
}
