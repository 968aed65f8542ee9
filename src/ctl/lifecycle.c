#include "config.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "ctl/ctl.h"
#include "ctl/messageset.h"
#include "ctl/progress.h"
#include "domain/repair.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum action {
	ACTION_COUNT,
	ACTION_DIFF,
	ACTION_SEND,
	ACTION_FAST_FORWARD,
	ACTION_MAX
};
static const char *const action_words[ACTION_MAX] = {"", "diff", "send", "fast-forward"};

static const struct table_column diff_columns[] = {
	{"subscription", TABLE_TEXT}, {"identity", TABLE_TEXT}, {"lang", TABLE_TEXT}, {"messages_behind", TABLE_NUMBER}, {"current_messageset_id", TABLE_NUMBER},
	{"current_sequence_number", TABLE_NUMBER}, {"expected_messageset_id", TABLE_NUMBER}, {"expected_sequence_number", TABLE_NUMBER}, {0}
};
static const struct table_column count_columns[] = {
	{"id", TABLE_NUMBER}, {"short_name", TABLE_TEXT}, {"ready", TABLE_NUMBER}, {"behind", TABLE_NUMBER}, {"messages_behind", TABLE_NUMBER},
	{"most_behind", TABLE_NUMBER}, {0}
};

/* Of the subscriptions of one set. */
struct tally {
	int64_t ready, behind, messages, most;
};

struct lifecycle {
	struct ctl *ctl;
	enum action action;
	bool list, json, act;
	int64_t end, messageset_id;
	int64_t limit;          /* those that are farther behind stay out; 0: nobody */
	int64_t now;
	struct behind behind;
	struct table table;
	struct progress progress;
	struct repair *repair;
	struct tally all, *sets; /* sets: by place */
	int64_t left_alone;     /* by fast-forward: of chains that come back on themselves */
	struct repair_sends sends;
	struct repair_moves moves;
	int64_t under_way;      /* of a command that only tells: those that have a delivery under way */
};

/* A date is its beginning in UTC, as with the original's command. */
static int read_end(const char *text, int64_t *end)
{
	char full[64];
	int64_t us;
	size_t n = strlen(text);

	if (n == 8 && strspn(text, "0123456789") == n)
		snprintf(full, sizeof full, "%.4s-%.2s-%.2sT00:00:00Z", text, text + 4, text + 6);
	else
		snprintf(full, sizeof full, n == 10 ? "%.10sT00:00:00Z" : "%.60s", text);
	if (n > 60 || clock_parse(full, &us))
		return -1;
	*end = cron_minute(us);
	return *end < 0 || *end >= BEHIND_END_MAX ? -1 : 0;
}

static int read_arguments(struct lifecycle *l, const struct ctl_args *args)
{
	const char *end = ctl_value(args, "end-date"), *limit = ctl_value(args, "limit");

	if (args->operand_count == 1) {
		for (l->action = ACTION_DIFF; l->action < ACTION_MAX && strcmp(args->operands[0], action_words[l->action]) != 0;)
			l->action++;
		if (l->action == ACTION_MAX)
			return ctl_usage("expected diff, send or fast-forward, not \"%.64s\"", args->operands[0]);
	}
	if (end && read_end(end, &l->end))
		return ctl_usage("--end-date: expected a date like 2026-11-23 or a time like 2026-11-23T08:00:00Z, from 1970 to 2399");
	if (limit && parse_int(limit, 1, INT32_MAX, &l->limit))
		return ctl_usage("--limit: expected a number of messages, at least 1");
	if (ctl_yes(args) && l->action < ACTION_SEND)
		return ctl_usage("--yes belongs to send and fast-forward");
	l->json = ctl_has(args, "json");
	l->act = ctl_yes(args);
	l->list = l->action == ACTION_DIFF || (l->action != ACTION_COUNT && ctl_has(args, "verbose"));
	return CTL_OK;
}

static void list_row(struct lifecycle *l, const struct behind_row *row)
{
	const struct programme *p = l->behind.programme;
	char numbers[5][24];

	snprintf(numbers[0], sizeof numbers[0], "%" PRId64, row->position.behind);
	snprintf(numbers[1], sizeof numbers[1], "%d", p->sets[row->subscription.set].id);
	snprintf(numbers[2], sizeof numbers[2], "%d", row->subscription.next);
	snprintf(numbers[3], sizeof numbers[3], "%d", p->sets[row->position.set].id);
	snprintf(numbers[4], sizeof numbers[4], "%d", row->position.sequence);
	table_add(&l->table, (const char *[]){row->id, row->identity, row->subscription.lang, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]});
}

/* The plan of one that is behind: counted, and kept when it is to be carried out. */
static void plan_row(struct lifecycle *l, const struct behind_row *row)
{
	static struct lifecycle_step steps[LIFECYCLE_STEPS_MAX];
	bool loop;
	int count = lifecycle_plan(l->behind.programme, &row->subscription, l->end, steps, &loop);

	/* A part of such a plan would leave somebody without a set. */
	if (loop) {
		l->left_alone++;
		return;
	}
	for (int i = 0; i < count; i++)
		if (steps[i].schedule < 0) {
			l->moves.changed++;
			return;
		}
	if (l->act) {
		repair_add_plan(l->repair, l->behind.programme, row, steps, count);
		return;
	}
	repair_add_send(l->repair, l->behind.programme, row);
	l->moves.moved++;
	l->moves.completed += steps[0].complete;
	l->moves.made += count - 1;
}

static void take_row(struct lifecycle *l, const struct behind_row *row)
{
	struct tally *set = &l->sets[row->subscription.set];
	int64_t messages = row->position.behind;

	set->ready++;
	if (messages <= 0 || (l->limit && messages > l->limit))
		return;
	set->behind++;
	set->messages += messages;
	if (messages > set->most)
		set->most = messages;
	if (l->list)
		list_row(l, row);
	if (l->action == ACTION_FAST_FORWARD)
		plan_row(l, row);
	else if (l->action == ACTION_SEND)
		repair_add_send(l->repair, l->behind.programme, row);
}

static enum db_status act(struct lifecycle *l)
{
	if (!l->act)
		return repair_count_under_way(l->repair, &l->under_way);
	if (l->action == ACTION_SEND)
		return repair_send(l->repair, l->now, &l->sends);
	return repair_move(l->repair, l->now, &l->moves);
}

static enum db_status take_chunk(struct lifecycle *l, bool *more)
{
	struct behind_row row;
	struct db_result *chunk;
	enum db_status status = behind_next(&l->behind, &chunk);

	if (status != DB_OK)
		return status;
	*more = db_rows(chunk) > 0;
	repair_begin(l->repair);
	for (int i = 0; i < db_rows(chunk); i++)
		if (behind_look(&l->behind, chunk, i, &row))
			take_row(l, &row);
	if (l->list && l->table.count) {
		progress_hide();
		table_stream(&l->table, l->json);
	}
	progress_add(&l->progress, db_rows(chunk));
	db_result_free(chunk);
	return act(l);
}

static int go_through(struct lifecycle *l)
{
	enum db_status status = behind_begin(&l->behind, l->ctl->db, l->end, l->messageset_id);
	bool more = true;

	if (status != DB_OK)
		return ctl_db_failed(l->ctl, "read the programme");
	l->sets = calloc((size_t)l->behind.programme->sets_count + 1, sizeof *l->sets);
	if (!l->sets)
		log_fatal("out of memory");
	progress_begin(&l->progress, "subscriptions", l->behind.ready);
	while (status == DB_OK && more)
		status = take_chunk(l, &more);
	progress_end(&l->progress);
	/* Follow-on subscriptions that we make may be looked at, too, and are none of these. */
	l->all.ready = l->behind.ready;
	for (int i = 0; i < l->behind.programme->sets_count; i++) {
		l->all.behind += l->sets[i].behind;
		l->all.messages += l->sets[i].messages;
	}
	return status == DB_OK ? CTL_OK : ctl_db_failed(l->ctl, "go through the subscriptions");
}

static void show_counts(const struct lifecycle *l)
{
	struct table table;

	table_init(&table, count_columns);
	for (int i = 0; i < l->behind.programme->sets_count; i++) {
		const struct tally *set = &l->sets[i];
		char numbers[5][24];

		if (!set->ready)
			continue;
		snprintf(numbers[0], sizeof numbers[0], "%d", l->behind.programme->sets[i].id);
		snprintf(numbers[1], sizeof numbers[1], "%" PRId64, set->ready);
		snprintf(numbers[2], sizeof numbers[2], "%" PRId64, set->behind);
		snprintf(numbers[3], sizeof numbers[3], "%" PRId64, set->messages);
		snprintf(numbers[4], sizeof numbers[4], "%" PRId64, set->most);
		table_add(&table, (const char *[]){numbers[0], l->behind.programme->sets[i].short_name, numbers[1], numbers[2], numbers[3], numbers[4]});
	}
	table_show(&table, l->json);
	table_fini(&table);
}

static const char *s(int64_t n)
{
	return n == 1 ? "" : "s";
}

/* Also of a command that failed in the middle: what was done by then is done. */
static void tell_done(const struct lifecycle *l)
{
	const struct repair_sends *sends = &l->sends;
	const struct repair_moves *moves = &l->moves;

	if (l->action == ACTION_SEND)
		fprintf(stderr, "sbmctl: queued %" PRId64 " message%s; %" PRId64 " had one under way, %" PRId64 " changed meanwhile\n",
		    sends->queued, s(sends->queued), sends->under_way, sends->changed);
	else
		fprintf(stderr, "sbmctl: moved %" PRId64 " subscription%s, completed %" PRId64 " of them and made %" PRId64 " to follow; %" PRId64
		    " had a delivery under way, %" PRId64 " changed meanwhile\n", moves->moved, s(moves->moved), moves->completed, moves->made,
		    moves->under_way, moves->changed);
}

static void tell(const struct lifecycle *l)
{
	char by[64] = "";

	if (l->all.behind)
		snprintf(by, sizeof by, ", by %" PRId64 " message%s", l->all.messages, s(l->all.messages));
	fprintf(stderr, "sbmctl: %" PRId64 " of %" PRId64 " ready subscription%s %s behind%s%s\n", l->all.behind, l->all.ready, s(l->all.ready),
	    l->all.behind == 1 ? "is" : "are", l->limit ? " within the limit" : "", by);
	if (l->under_way)
		fprintf(stderr, "sbmctl: %" PRId64 " of them %s a delivery under way and would be left as they are until it has ended\n", l->under_way,
		    l->under_way == 1 ? "has" : "have");
	if (l->act)
		tell_done(l);
	else if (l->action == ACTION_SEND && l->all.behind)
		ctl_would("queue one message for each of %" PRId64 " subscription%s", l->all.behind, s(l->all.behind));
	else if (l->action == ACTION_FAST_FORWARD && l->moves.moved)
		ctl_would("move %" PRId64 " subscription%s, complete %" PRId64 " of them and make %" PRId64 " to follow", l->moves.moved, s(l->moves.moved),
		    l->moves.completed, l->moves.made);
}

/* What could not be worked out. */
static int tell_trouble(const struct lifecycle *l)
{
	const struct behind *b = &l->behind;

	if (b->loops)
		ctl_fail("message set %s leads back to itself by next_set: %" PRId64 " subscription%s there, counted once around%s",
		    b->programme->sets[b->loop_set].short_name, b->loops, s(b->loops), l->left_alone ? " and not moved" : "");
	if (b->broken)
		ctl_fail("%" PRId64 " subscription%s %s on a schedule that cannot be read; see the warnings of sbm-senderd", b->broken, s(b->broken),
		    b->broken == 1 ? "is" : "are");
	return b->loops || b->broken ? CTL_FAILED : CTL_OK;
}

static int run(struct lifecycle *l)
{
	int rc;

	l->repair = repair_create(l->ctl->db);
	table_init(&l->table, diff_columns);
	rc = go_through(l);
	if (l->list && !rc)
		table_stream_end(&l->table, l->json);
	if (l->action == ACTION_COUNT && !rc)
		show_counts(l);
	fflush(stdout);
	if (!rc)
		tell(l);
	else if (l->act)
		tell_done(l);
	if (l->sends.queued)
		ctl_wake("send");
	if (!rc)
		rc = tell_trouble(l);
	table_fini(&l->table);
	repair_free(l->repair);
	free(l->sets);
	behind_end(&l->behind);
	return rc;
}

int ctl_lifecycle(struct ctl *ctl, const struct ctl_args *args)
{
	struct lifecycle l = {.ctl = ctl, .end = -1};

	if (read_arguments(&l, args))
		return CTL_USAGE;
	if (!ctl_db(ctl) || ctl_messageset(ctl, ctl_value(args, "message-set"), &l.messageset_id))
		return CTL_FAILED;
	l.now = clock_now();
	if (l.end < 0)
		l.end = cron_minute(l.now);
	return run(&l);
}
