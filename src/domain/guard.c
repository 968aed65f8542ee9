#include "domain/guard.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000000)

static void copy(char *out, size_t size, const struct db_result *result, int column)
{
	snprintf(out, size, "%s", db_text(result, 0, column));
}

enum db_status guard_read(struct db *db, struct guard *guard)
{
	struct db_result *result = NULL;
	enum db_status status = db_query(db, DB_Q_GUARD_READ, NULL, &result);

	*guard = (struct guard){0};
	/* Without its row nothing is known of the database, and it counts as a new one. */
	if (status == DB_OK && db_rows(result) > 0) {
		copy(guard->at.lineage, sizeof guard->at.lineage, result, 0);
		guard->at.mark = db_int(result, 0, 1);
		copy(guard->at.nonce, sizeof guard->at.nonce, result, 2);
		guard->at.sent = db_int(result, 0, 3);
		guard->at.marked_at = db_time(result, 0, 4);
		copy(guard->place, sizeof guard->place, result, 5);
		copy(guard->here, sizeof guard->here, result, 6);
		copy(guard->timeline, sizeof guard->timeline, result, 7);
		copy(guard->timeline_here, sizeof guard->timeline_here, result, 8);
		guard->held = db_bool(result, 0, 9);
	}
	db_result_free(result);
	return status;
}

static bool is_of(const struct guard_mark *seen, const struct guard *guard)
{
	return *seen->lineage && strcmp(seen->lineage, guard->at.lineage) == 0;
}

enum guard_verdict guard_judge(const struct guard *guard, const struct guard_mark *seen)
{
	bool known = is_of(seen, guard);

	if (known && seen->mark > guard->at.mark)
		return GUARD_OLDER;
	if (known && seen->mark == guard->at.mark && strcmp(seen->nonce, guard->at.nonce) != 0)
		return GUARD_FORKED;
	if (!*guard->place)
		return GUARD_FINE;
	if (strcmp(guard->place, guard->here) != 0)
		return GUARD_MOVED;
	/* A standby that took over has all marks that its daemons saw; a recovery to a point in time may lack some. */
	if (!known && strcmp(guard->timeline, guard->timeline_here) != 0)
		return GUARD_MOVED;
	return GUARD_FINE;
}

void guard_explain(const struct guard *guard, const struct guard_mark *seen, enum guard_verdict verdict, char out[GUARD_REASON_SIZE])
{
	char from[CLOCK_TEXT_SIZE], to[CLOCK_TEXT_SIZE];
	int64_t since = seen->sent - guard->at.sent;

	clock_format(guard->at.marked_at / SECOND * SECOND, from);
	clock_format((seen->marked_at + SECOND - 1) / SECOND * SECOND, to);
	*out = '\0';
	if (verdict == GUARD_OLDER)
		snprintf(out, GUARD_REASON_SIZE, "the database is an older copy: about %" PRId64 " messages, sent from %s to %s, "
			"are not in it and would be sent again; see sbm-backup(7)", since > 0 ? since : 0, from, to);
	else if (verdict == GUARD_FORKED)
		snprintf(out, GUARD_REASON_SIZE, "the database is an older copy that went on elsewhere: what was sent from before %s to %s "
			"may not be in it and would be sent again; see sbm-backup(7)", from, to);
	else if (verdict == GUARD_MOVED)
		snprintf(out, GUARD_REASON_SIZE, "the database is a copy in a new place, last at work at %s: what was sent since, "
			"from the one that it was copied from, is not in it and would be sent again; see sbm-backup(7)", from);
}

enum db_status guard_next(struct db *db, int64_t sent, int64_t known, bool *done)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_int(&params, sent);
	db_param_int(&params, known);
	status = db_query(db, DB_Q_GUARD_MARK, &params, &result);
	*done = status == DB_OK && db_affected(result) > 0;
	db_result_free(result);
	return status;
}

enum db_status guard_hold(struct db *db, int64_t seen_mark, const char *reason, int64_t now)
{
	struct db_params params;

	db_params_init(&params);
	db_param_int(&params, seen_mark);
	db_param_text(&params, reason);
	db_param_time(&params, now);
	return db_query(db, DB_Q_GUARD_HOLD, &params, NULL);
}

void guard_format(const struct guard_mark *mark, char out[GUARD_TEXT_SIZE])
{
	snprintf(out, GUARD_TEXT_SIZE, "lineage %s\nnonce %s\nmark %" PRId64 "\nsent %" PRId64 "\nmarked_at %" PRId64 "\nend\n",
		mark->lineage, mark->nonce, mark->mark, mark->sent, mark->marked_at);
}

int guard_parse(const char *text, struct guard_mark *out)
{
	struct guard_mark mark = {0};
	char lineage[UUID_TEXT_SIZE], nonce[UUID_TEXT_SIZE], numbers[3][24];
	int end = 0;

	if (sscanf(text, "lineage %36s\nnonce %36s\nmark %23s\nsent %23s\nmarked_at %23s\nend\n%n", lineage, nonce, numbers[0], numbers[1], numbers[2], &end) != 5
	    || end == 0 || text[end])
		return -1;
	if (parse_uuid(lineage, mark.lineage) || parse_uuid(nonce, mark.nonce) || parse_int(numbers[0], 0, INT64_MAX, &mark.mark)
	    || parse_int(numbers[1], 0, INT64_MAX, &mark.sent) || parse_int(numbers[2], 0, INT64_MAX, &mark.marked_at))
		return -1;
	*out = mark;
	return 0;
}
