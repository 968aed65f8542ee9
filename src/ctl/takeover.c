#include "config.h"

#include "ctl/takeover.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/settings.h"
#include "ctl/ctl.h"
#include "domain/cron.h"
#include "domain/hold.h"
#include "domain/tick.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HOLD_REASON "taking over from the original; sbm-takeover(7) says when to resume"
/* How long a pass may take at most; the server gives a transaction twice that. */
#define PASS_MS (INT64_C(7) * 86400000)
/* Files that are named when they are missing. */
#define FILES_MAX 20
#define NAMES_MAX 1024

/* What the database says of a take-over that was begun. */
struct state {
	bool begun;
	char original[64];
	int64_t passes;
};

/* ---- may it be done? */

/* The texts of a result in one line; frees it. Returns how many they are. */
static int join_rows(struct db_result *result, char out[NAMES_MAX])
{
	int rows = db_rows(result);
	struct buf names;

	buf_init(&names, NAMES_MAX - 8);
	for (int i = 0; i < rows; i++)
		buf_printf(&names, "%s%s", i ? ", " : "", db_text(result, i, 0));
	snprintf(out, NAMES_MAX, "%s%s", buf_text(&names), names.overflow ? ", ..." : "");
	buf_fini(&names);
	db_result_free(result);
	return rows;
}

static int read_state(struct ctl *ctl, struct state *state)
{
	struct db_result *result;

	*state = (struct state){0};
	if (db_query(ctl->db, DB_Q_TAKEOVER_STATE, NULL, &result) != DB_OK)
		return ctl_db_failed(ctl, "read how far the take-over is");
	state->begun = db_rows(result) > 0;
	if (state->begun) {
		snprintf(state->original, sizeof(state->original), "%s", db_text(result, 0, 0));
		state->passes = db_int(result, 0, 1);
	}
	db_result_free(result);
	return CTL_OK;
}

/* Refuses while somebody could send, or when somebody did. */
static int refuse_sending(struct ctl *ctl)
{
	struct db_result *result;
	char names[NAMES_MAX];

	if (db_query(ctl->db, DB_Q_TAKEOVER_DAEMONS, NULL, &result) != DB_OK)
		return ctl_db_failed(ctl, "look for daemons");
	if (join_rows(result, names))
		return ctl_fail("sbm-senderd runs: %s; stop it until the take-over has ended (one that was killed counts for a minute)", names);
	if (db_query(ctl->db, DB_Q_TAKEOVER_SENDING, NULL, &result) != DB_OK)
		return ctl_db_failed(ctl, "look whether something was sent");
	if (join_rows(result, names))
		return ctl_fail("the database has been used for sending: there are %s; a take-over ends before the first of them", names);
	return CTL_OK;
}

static int refuse_content(struct ctl *ctl)
{
	struct db_result *result;
	char names[NAMES_MAX];

	if (db_query(ctl->db, DB_Q_TAKEOVER_CONTENT, NULL, &result) != DB_OK)
		return ctl_db_failed(ctl, "look for content");
	if (join_rows(result, names))
		return ctl_fail("the database is not empty: there are %s; take over into a new one, and add users of your own afterwards", names);
	return CTL_OK;
}

static int refuse_resumed(struct ctl *ctl)
{
	struct db_result *result;
	bool held;

	if (db_query(ctl->db, DB_Q_TAKEOVER_IS_HELD, NULL, &result) != DB_OK)
		return ctl_db_failed(ctl, "look for the pause");
	held = db_bool(result, 0, 0);
	db_result_free(result);
	if (!held)
		return ctl_fail("sending was resumed, so the take-over has ended: another pass would undo what happened since; if nothing did, "
				"sbmctl pause all lets it go on");
	return CTL_OK;
}

static int refuse(struct ctl *ctl, const struct state *state, const char *original)
{
	if (refuse_sending(ctl))
		return CTL_FAILED;
	if (!state->begun)
		return refuse_content(ctl);
	if (strcmp(state->original, original))
		return ctl_fail("the database was begun to be taken over from another original; take this one over into a new database");
	return refuse_resumed(ctl);
}

/*
 * Two passes at once would empty each other's tables of batches, and take rows for ones that have no place. The lock
 * has a connection of its own, since each batch ends its transaction; it goes with this process.
 */
static int keep_others_out(struct takeover *t)
{
	struct db_config config = {.conninfo = setting_str(SETTING_DATABASE), .application_name = "sbmctl lock", .statement_timeout_ms = PASS_MS};
	struct db_result *result;
	bool alone;

	t->alone = db_create(&config);
	if (db_begin(t->alone) != DB_OK || db_query(t->alone, DB_Q_TAKEOVER_ALONE, NULL, &result) != DB_OK)
		return ctl_fail("could not look for another import: %s", *db_message(t->alone) ? db_message(t->alone) : "the database did not answer");
	alone = db_bool(result, 0, 0);
	db_result_free(result);
	return alone ? CTL_OK : ctl_fail("another import-django is at this database; let it end, or end it, and begin again");
}

/* ---- the original */

static int failed_there(struct db *there, const char *what)
{
	return ctl_fail("the original: could not %s: %s", what, *db_message(there) ? db_message(there) : "its database did not answer");
}

/* Connects and begins the snapshot that the whole pass sees. */
static int open_original(struct takeover *t, const char *conninfo)
{
	struct db_config config = {.conninfo = conninfo, .application_name = "sbmctl import-django", .foreign = true};

	t->there = db_create(&config);
	if (!db_is_up(t->there))
		return ctl_fail("could not connect to the original's database: %s", db_message(t->there));
	if (db_query(t->there, DB_Q_ORIGINAL_PATIENCE, NULL, NULL) != DB_OK)
		return failed_there(t->there, "prepare the session");
	if (db_begin(t->there) != DB_OK || db_script(t->there, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY") != DB_OK)
		return failed_there(t->there, "begin a snapshot");
	return CTL_OK;
}

static int check_tables(struct takeover *t)
{
	struct db_result *result;
	char names[NAMES_MAX];

	if (db_query(t->there, DB_Q_ORIGINAL_MISSING, NULL, &result) != DB_OK)
		return failed_there(t->there, "look at its tables");
	if (join_rows(result, names))
		return ctl_fail("this is no database of the original with all its migrations, or one that this user may not read; missing: %s", names);
	return CTL_OK;
}

static int look_at_original(struct takeover *t, char original[64])
{
	struct db_result *result;

	if (check_tables(t))
		return CTL_FAILED;
	if (db_query(t->there, DB_Q_ORIGINAL_IDENTITY, NULL, &result) != DB_OK)
		return failed_there(t->there, "read its migrations");
	snprintf(original, 64, "%s", db_text(result, 0, 0));
	t->data_of = db_time(result, 0, 1);
	db_result_free(result);
	if (!*original)
		return ctl_fail("this is no database of the original: its table django_migrations does not have its first migrations");
	if (db_query(t->there, DB_Q_ORIGINAL_COUNT, NULL, &result) != DB_OK)
		return failed_there(t->there, "count its subscriptions");
	t->subscriptions = db_int(result, 0, 0);
	db_result_free(result);
	return CTL_OK;
}

/* ---- beginning and end */

/* From here on nothing is sent until somebody resumes. */
static int begin(struct takeover *t, const char *original)
{
	struct ctl *ctl = t->ctl;
	struct db_params params;
	bool made;

	db_params_init(&params);
	db_param_text(&params, original);
	db_param_time(&params, clock_now());
	if (db_begin(ctl->db) != DB_OK || hold_place(ctl->db, HOLD_ALL, 0, HOLD_REASON, clock_now(), &made) != DB_OK
	    || db_query(ctl->db, DB_Q_TAKEOVER_BEGIN, &params, NULL) != DB_OK || db_commit(ctl->db) != DB_OK) {
		db_rollback(ctl->db);
		return ctl_db_failed(ctl, "begin the take-over");
	}
	return CTL_OK;
}

/* The original has fired a schedule up to `until`: the built-in scheduler goes on from there. */
static int set_tick(struct ctl *ctl, const struct db_result *result, int row, int64_t until)
{
	char definition[TICK_DEFINITION_SIZE];
	const char *fields[CRON_FIELD_MAX];
	struct db_params params;

	for (int i = 0; i < CRON_FIELD_MAX; i++)
		fields[i] = db_text(result, row, 1 + i);
	tick_put_definition(fields, db_text(result, row, 1 + CRON_FIELD_MAX), definition);
	db_params_init(&params);
	db_param_text(&params, db_text(result, row, 0));
	db_param_text(&params, definition);
	db_param_time(&params, cron_minute_us(cron_minute(until)));
	return db_query(ctl->db, DB_Q_TAKEOVER_TICK, &params, NULL) == DB_OK ? CTL_OK : ctl_db_failed(ctl, "set how far a schedule has fired");
}

static int set_ticks(struct ctl *ctl, int64_t until)
{
	struct db_result *result;
	int rc = CTL_OK;

	/* An external scheduler knows itself what it has fired. */
	if (*setting_str(SETTING_SCHEDULER_URL))
		return CTL_OK;
	if (db_query(ctl->db, DB_Q_TAKEOVER_SCHEDULES, NULL, &result) != DB_OK)
		return ctl_db_failed(ctl, "read the schedules");
	for (int i = 0; i < db_rows(result) && rc == CTL_OK; i++)
		rc = set_tick(ctl, result, i, until);
	db_result_free(result);
	return rc;
}

static int end_within(struct takeover *t, int64_t fired_until)
{
	struct db_params params;

	if (set_ticks(t->ctl, fired_until))
		return CTL_FAILED;
	db_params_init(&params);
	db_param_time(&params, t->data_of);
	if (db_query(t->here, DB_Q_TAKEOVER_SEQUENCES, NULL, NULL) != DB_OK || db_query(t->here, DB_Q_TAKEOVER_END, &params, NULL) != DB_OK)
		return ctl_db_failed(t->ctl, "end the pass");
	return CTL_OK;
}

static int end(struct takeover *t, int64_t fired_until)
{
	int rc;

	if (db_begin(t->here) != DB_OK)
		return ctl_db_failed(t->ctl, "begin a transaction");
	rc = end_within(t, fired_until);
	if (rc != CTL_OK)
		db_rollback(t->here);
	else if (db_commit(t->here) != DB_OK)
		rc = ctl_db_failed(t->ctl, "end the pass");
	return rc;
}

/* ---- what came of it */

static void add_row(struct table *table, const char *name, const struct takeover_count *count, bool compared_only)
{
	char numbers[6][24];
	const int64_t values[] = {count->there, count->here, count->aside, count->added, count->changed, count->removed};

	for (int i = 0; i < 6; i++)
		snprintf(numbers[i], sizeof(numbers[i]), "%" PRId64, values[i]);
	table_add(table, (const char *[]){name, numbers[0], numbers[1], numbers[2], compared_only ? NULL : numbers[3], compared_only ? NULL : numbers[4],
			compared_only ? NULL : numbers[5], count->sum_there, count->sum_here, count->equal ? "t" : "f"});
}

/* Prints the table. True when all is equal. */
static bool show(const struct takeover *t, bool compared_only, bool json)
{
	static const struct table_column columns[] = {
		{"what", TABLE_TEXT}, {"original", TABLE_NUMBER}, {"here", TABLE_NUMBER}, {"aside", TABLE_NUMBER}, {"added", TABLE_NUMBER}, {"changed", TABLE_NUMBER},
		{"removed", TABLE_NUMBER}, {"sum_original", TABLE_TEXT}, {"sum_here", TABLE_TEXT}, {"equal", TABLE_BOOL}, {0}
	};
	struct table table;
	bool equal = true;

	table_init(&table, columns);
	for (int i = 0; i < TAKEOVER_ENTITIES; i++) {
		add_row(&table, takeover_name(i), &t->counts[i], compared_only);
		equal = equal && t->counts[i].equal;
	}
	table_show(&table, json);
	table_fini(&table);
	fflush(stdout);
	return equal;
}

/* The names of files that come from a database may not lead out of the directory. */
static bool file_is_there(const char *name)
{
	char path[1024];
	struct stat st;

	if (!*name || *name == '/' || strstr(name, "..") || snprintf(path, sizeof(path), "%s/%s", setting_str(SETTING_MEDIA_DIR), name) >= (int)sizeof(path))
		return false;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Names the files that are not there yet. How many, or -1. */
static int64_t tell_files(struct ctl *ctl)
{
	struct db_result *result;
	int64_t missing = 0;

	if (db_query(ctl->db, DB_Q_TAKEOVER_FILES, NULL, &result) != DB_OK) {
		ctl_db_failed(ctl, "read the names of files");
		return -1;
	}
	for (int i = 0; i < db_rows(result); i++)
		if (!file_is_there(db_text(result, i, 1)) && ++missing <= FILES_MAX)
			fprintf(stderr, "binary content %s: there is no file \"%s\" in %s\n", db_text(result, i, 0), db_text(result, i, 1), setting_str(SETTING_MEDIA_DIR));
	if (missing > FILES_MAX)
		fprintf(stderr, "binary contents: %" PRId64 " more like these\n", missing - FILES_MAX);
	db_result_free(result);
	return missing;
}

/* Where the built-in scheduler goes on. */
static void tell_fired(int64_t until)
{
	char text[CLOCK_TEXT_SIZE];

	if (*setting_str(SETTING_SCHEDULER_URL))
		return;
	clock_format(cron_minute_us(cron_minute(until)), text);
	fprintf(stderr, "all schedules count as fired up to %s\n", text);
}

/* Seed Scheduler fires these on other days than the built-in scheduler. */
static int tell_both_days(struct ctl *ctl)
{
	struct db_result *result;

	if (*setting_str(SETTING_SCHEDULER_URL))
		return CTL_OK;
	if (db_query(ctl->db, DB_Q_TAKEOVER_BOTH_DAYS, NULL, &result) != DB_OK)
		return ctl_db_failed(ctl, "look at the schedules");
	for (int i = 0; i < db_rows(result); i++)
		fprintf(stderr, "schedule %s (%s): it restricts day_of_month and day_of_week; here it fires on days that fit either, while Seed Scheduler wants both\n",
			db_text(result, i, 0), db_text(result, i, 1));
	db_result_free(result);
	return CTL_OK;
}

static int read_numbers(struct ctl *ctl, enum db_query query, int64_t *first, int64_t *second)
{
	struct db_result *result;

	if (db_query(ctl->db, query, NULL, &result) != DB_OK)
		return ctl_db_failed(ctl, "count what wants a look");
	*first = db_int(result, 0, 0);
	if (second)
		*second = db_int(result, 0, 1);
	db_result_free(result);
	return CTL_OK;
}

/* What an administrator has to know of a pass that succeeded. */
static int tell_rest(struct takeover *t, int64_t fired_until)
{
	int64_t refused, deleted, in_process, missing = tell_files(t->ctl);

	tell_fired(fired_until);
	if (missing < 0 || tell_both_days(t->ctl) || read_numbers(t->ctl, DB_Q_TAKEOVER_ASIDE_COUNT, &refused, &deleted)
	    || read_numbers(t->ctl, DB_Q_TAKEOVER_IN_PROCESS, &in_process, NULL))
		return CTL_FAILED;
	if (in_process)
		fprintf(stderr, "%" PRId64 " subscriptions are in the midst of a send (process_status 1): their message may be out or not, "
			"and they get none until sbmctl subscriptions reset\n", in_process);
	if (deleted)
		fprintf(stderr, "%" PRId64 " rows of earlier passes were removed; the table takeover_aside keeps them\n", deleted);
	if (refused)
		fprintf(stderr, "%" PRId64 " rows were put aside into the table takeover_aside, each with the reason\n", refused);
	if (missing)
		fprintf(stderr, "%" PRId64 " files are missing; copy the original's media directory\n", missing);
	return refused || missing ? CTL_INCOMPLETE : CTL_OK;
}

static int64_t rows_of(const struct takeover *t)
{
	int64_t rows = 0;

	for (int i = 0; i < TAKEOVER_ENTITIES; i++)
		rows += t->counts[i].there;
	return rows;
}

/* ---- the command */

static int compare_only(struct takeover *t, bool json)
{
	int rc = takeover_compare(t);

	if (rc != CTL_OK)
		return rc;
	if (show(t, true, json))
		return CTL_OK;
	return ctl_would("take over %" PRId64 " rows as they differ, and pause all sending until sbmctl resume all", rows_of(t));
}

static int run_pass(struct takeover *t, const struct state *state, const char *original, int64_t fired_until, bool json)
{
	int64_t began_ms = clock_monotonic_ms(), copied_ms;

	if (!fired_until)
		fired_until = t->data_of;
	if (!state->begun && begin(t, original))
		return CTL_FAILED;
	if (takeover_pass(t) || end(t, fired_until))
		return CTL_FAILED;
	copied_ms = clock_monotonic_ms();
	if (takeover_compare(t))
		return CTL_FAILED;
	if (!show(t, false, json))
		return ctl_fail("not all is equal; was something changed here meanwhile? Begin again");
	fprintf(stderr, "pass %" PRId64 ": %" PRId64 " rows in %.1f s (%.0f a second), compared in %.1f s\n", state->passes + 1, rows_of(t),
		(double)(copied_ms - began_ms) / 1000, (double)rows_of(t) * 1000 / (double)(copied_ms - began_ms + 1), (double)(clock_monotonic_ms() - copied_ms) / 1000);
	/* A daemon that was started meanwhile could have sent. */
	return refuse_sending(t->ctl) ? CTL_FAILED : tell_rest(t, fired_until);
}

static int read_time(const struct ctl_args *args, int64_t *out)
{
	const char *text = ctl_value(args, "fired-until");

	*out = 0;
	if (text && clock_parse(text, out))
		return ctl_usage("--fired-until: expected a time with its offset from UTC, as 2026-11-23T09:00:00Z, not \"%.64s\"", text);
	return CTL_OK;
}

/* What was fired after the snapshot cannot have come with it; a slip of the pen would keep all schedules from firing until then. */
static int refuse_time_to_come(const struct takeover *t, int64_t fired_until)
{
	char until[CLOCK_TEXT_SIZE], data_of[CLOCK_TEXT_SIZE];

	if (fired_until <= t->data_of)
		return CTL_OK;
	clock_format(fired_until, until);
	clock_format(t->data_of, data_of);
	return ctl_fail("--fired-until: %s is to come: the original's data is of %s", until, data_of);
}

static int import(struct takeover *t, const struct ctl_args *args)
{
	char original[64];
	struct state state;
	int64_t fired_until;

	if (read_time(args, &fired_until))
		return CTL_USAGE;
	t->here = ctl_db(t->ctl);
	if (!t->here || (ctl_yes(args) && keep_others_out(t)) || open_original(t, args->operands[0]) || look_at_original(t, original))
		return CTL_FAILED;
	if (refuse_time_to_come(t, fired_until))
		return CTL_FAILED;
	if (read_state(t->ctl, &state) || refuse(t->ctl, &state, original))
		return CTL_FAILED;
	t->put_aside = ctl_has(args, "put-aside");
	if (!ctl_yes(args))
		return compare_only(t, ctl_has(args, "json"));
	return run_pass(t, &state, original, fired_until, ctl_has(args, "json"));
}

int ctl_import_django(struct ctl *ctl, const struct ctl_args *args)
{
	struct takeover takeover = {.ctl = ctl};
	int rc = import(&takeover, args);

	db_free(takeover.there);
	db_free(takeover.alone);
	return rc;
}
