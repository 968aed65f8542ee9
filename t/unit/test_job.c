#include "domain/job.h"

#include "base/clock.h"
#include "base/log.h"
#include "domain/programme.h"
#include "tap.h"

#include <stdlib.h>

/*
 * Run against the database that SBM_TEST_DB names, with a schema of its own that begins as a copy of the
 * service's tables. With SBM_TEST_SUBSCRIPTIONS set, also over so many subscriptions, with the time taken.
 */

static struct db *db;
/* 2026-11-23 17:50 UTC, a Monday. */
static int64_t now;

static bool run(const char *sql)
{
	return db_script(db, sql) == DB_OK;
}

static const char *ask(const char *sql)
{
	static char out[4096];
	struct db_result *r;

	if (db_exec(db, &(struct db_stmt){NULL, sql}, NULL, &r) != DB_OK)
		return "error";
	snprintf(out, sizeof out, "%s", db_rows(r) ? db_text(r, 0, 0) : "nothing");
	db_result_free(r);
	return out;
}

static const char *const behind_rows =
    "SELECT coalesce(string_agg(concat_ws(' ', s.identity, b.messages_behind, b.current_messageset_id, b.current_sequence_number, "
    "b.expected_messageset_id, b.expected_sequence_number), ', ' ORDER BY s.identity), '') "
    "FROM behind_subscription b JOIN subscription s ON s.id = b.subscription_id";

/* The content of the recorded scenarios "find behind subscriptions" and "runsendestimate". */
static void fill(void)
{
	ok(run("TRUNCATE schedule, subscription, message, messageset RESTART IDENTITY CASCADE;"
	       "INSERT INTO schedule (id, minute, day_of_week, month_of_year) VALUES (1, '*', '*', '*'), (2, 'banana', '*', '*'), (3, '0', '3-5', '*'), (4, '0', '*', '12');"
	       "INSERT INTO messageset (id, short_name, default_schedule_id) VALUES (1, 'text_set', 1), (5, 'first_set', 1), (6, 'last_set', 1), (7, 'tick', 1), (8, 'tock', 1);"
	       "UPDATE messageset SET next_set_id = 6 WHERE id = 5;"
	       "UPDATE messageset SET next_set_id = 15 - id WHERE id IN (7, 8);"
	       "INSERT INTO message (messageset_id, sequence_number, lang, text_content) VALUES (1, 1, 'eng_ZA', 'a'), (1, 2, 'eng_ZA', 'b'), (1, 3, 'eng_ZA', 'c'),"
	       " (5, 1, 'eng_ZA', 'd'), (6, 1, 'eng_ZA', 'e'), (7, 1, 'eng_ZA', 'f'), (8, 1, 'eng_ZA', 'g')"),
	    "content");
	ok(run("INSERT INTO subscription (identity, messageset_id, schedule_id, lang, created_at) VALUES"
	       " ('behind', 1, 1, 'eng_ZA', '2026-11-20 10:00+00'), ('chain', 5, 1, 'eng_ZA', '2026-11-20 10:00+00'), ('fresh', 1, 1, 'eng_ZA', '2026-11-23 17:50:00.5+00')"),
	    "subscriptions");
}

static void test_find_behind(void)
{
	struct find_behind_result found;

	fill();
	is_int(find_behind_run(db, now, &found), DB_OK, "find behind");
	is_int(found.looked_at, 3, "all are looked at");
	is_int(found.behind, 2, "two are behind");
	is_str(ask(behind_rows), "behind 3 1 1 1 3, chain 2 5 1 6 1", "as recorded");
	is_str(ask("SELECT count(*) FROM behind_subscription WHERE created_at = '2026-11-23 17:50:30+00'"), "2", "at the time of the service");
	run("UPDATE subscription SET next_sequence_number = 3 WHERE identity = 'behind'; UPDATE subscription SET active = false WHERE identity = 'chain'");
	find_behind_run(db, now, &found);
	is_str(ask(behind_rows), "behind 1 1 3 1 3", "a second run replaces the rows of the first");
	run("UPDATE subscription SET messageset_id = 7, next_sequence_number = 1 WHERE identity = 'behind'; UPDATE subscription SET schedule_id = 2 WHERE identity = 'fresh'");
	is_int(find_behind_run(db, now, &found), DB_OK, "a loop of sets and a schedule that cannot be read");
	is_int(found.skipped, 2, "are told");
	is_str(ask(behind_rows), "behind 2 7 1 8 1", "and the loop is counted once around");
	run("DELETE FROM messageset WHERE id = 8");
	is_str(ask(behind_rows), "", "a message set that is deleted takes its rows with it");
	run("UPDATE subscription SET messageset_id = 1");
	find_behind_run(db, now, &found);
	is_str(ask("SELECT count(*) > 0 FROM behind_subscription"), "t", "somebody is behind");
	run("DELETE FROM subscription");
	is_str(ask("SELECT count(*) FROM behind_subscription"), "0", "and so does a subscription");
	is_int(find_behind_run(db, now, &found), DB_OK, "no subscription at all");
	is_int(found.looked_at + found.behind, 0, "none behind");
}

static void test_estimates(void)
{
	static const char *const rows = "SELECT coalesce(string_agg(concat_ws('|', send_date, message_set_id, estimate_subscriptions, estimate_identities), ' ' ORDER BY send_date, message_set_id), '') FROM estimated_send";
	int64_t sets, counts[WEEKLY_DAYS];

	fill();
	run("DELETE FROM subscription; INSERT INTO subscription (identity, messageset_id, schedule_id, lang) SELECT 'm' || n, 1, 1, 'eng_ZA' FROM generate_series(0, 2) n");
	is_int(weekly_estimate(db, now, counts), DB_OK, "weekly estimate");
	for (int d = 0; d < WEEKLY_DAYS; d++)
		is_int(counts[d], 3, "recorded: 3 on each day of the week, on a Monday");
	is_int(estimate_run(db, now, &sets), DB_OK, "estimate");
	is_int(sets, 1, "of one set");
	is_str(ask(rows), "2026-11-23|1|3|3", "as recorded");
	run("INSERT INTO subscription (identity, messageset_id, schedule_id, lang) VALUES ('m0', 1, 1, 'eng_ZA')");
	is_int(estimate_run(db, now, &sets), DB_OK, "a second one of the same day");
	is_str(ask(rows), "2026-11-23|1|4|3", "updates the row: four subscriptions of three identities");
	run("UPDATE subscription SET schedule_id = 3 WHERE identity = 'm1'; UPDATE subscription SET schedule_id = 4 WHERE identity = 'm2';"
	    "INSERT INTO subscription (identity, messageset_id, schedule_id, lang, completed) VALUES ('x', 5, 1, 'eng_ZA', true)");
	estimate_run(db, now, &sets);
	is_str(ask(rows), "2026-11-23|1|2|1", "days of the week and months count");
	run("UPDATE subscription SET process_status = -1");
	estimate_run(db, now, &sets);
	is_str(ask(rows), "2026-11-23|1|0|0", "a set that sends no more");
	run("UPDATE subscription SET process_status = 0");
	is_int(estimate_run(db, now + 2 * CLOCK_DAY, &sets), DB_OK, "another day");
	is_str(ask(rows), "2026-11-23|1|0|0 2026-11-25|1|3|2", "another row");
	/* Wednesday, with the range 3-5. */
	weekly_estimate(db, now + 2 * CLOCK_DAY, counts);
	ok(counts[0] == -1 && counts[1] == -1 && counts[2] == 3 && counts[4] == 3 && counts[5] == 2 && counts[6] == 2, "from today to Sunday");
	weekly_estimate(db, now + 13 * CLOCK_DAY, counts);
	ok(counts[5] == -1 && counts[6] == 3, "a Sunday in December");
}

static void test_programme(void)
{
	struct programme *p = NULL;
	struct lifecycle_subscription s;
	struct lifecycle_forecast f = {0};
	char lang[LIFECYCLE_LANG_SIZE], id[64];
	bool found;

	fill();
	is_int(programme_load(db, &p), DB_OK, "the programme is loaded");
	is_int(p->schedules_count, 4, "its schedules");
	ok(p->schedules[1].broken && !p->schedules[2].broken, "one cannot be read");
	is_int(p->sets_count, 5, "its sets");
	is_int(lifecycle_set_max(p, programme_set(p, 1), "eng_ZA"), 3, "their sizes");
	is_int(p->sets[programme_set(p, 5)].next, programme_set(p, 6), "their chain");
	is_int(p->sets[programme_set(p, 6)].next, -1, "its end");
	snprintf(id, sizeof id, "%s", ask("SELECT id FROM subscription WHERE identity = 'chain'"));
	is_int(programme_load_subscription(db, p, id, &s, lang, &found), DB_OK, "a subscription");
	ok(found && s.ready && s.set == programme_set(p, 5) && s.next == 1 && !strcmp(s.lang, "eng_ZA"), "is found");
	is_int(programme_load_subscription(db, p, "00000000-0000-4000-8000-00000000dead", &s, lang, &found), DB_OK, "another one");
	ok(!found, "is not");
	is_int(programme_forecast(db, p, cron_minute(now), cron_minute(now) + 10, &f), DB_OK, "forecast");
	ok(f.count == 3 && f.rows[0].messages == 6 && f.rows[1].messages == 1 && f.rows[2].messages == 1, "two of three messages each, one, and one of its next set");
	lifecycle_forecast_fini(&f);
	programme_free(p);
}

static void measure(int64_t subscriptions)
{
	struct find_behind_result found;
	struct programme *p = NULL;
	struct lifecycle_forecast f = {0};
	char sql[1024], name[160];
	int64_t begin, sets, counts[WEEKLY_DAYS];

	fill();
	run("DELETE FROM subscription; DELETE FROM message; INSERT INTO schedule (id, minute, hour, day_of_week, timezone) SELECT 10 + n, '0', '8', n || ',' || n + 2, 'Africa/Johannesburg' FROM generate_series(1, 5) n;"
	    "INSERT INTO messageset (id, short_name, default_schedule_id) SELECT 100 + n, 's' || n, 11 + n % 5 FROM generate_series(1, 20) n;"
	    "UPDATE messageset SET next_set_id = id + 1 WHERE id BETWEEN 101 AND 119;"
	    "INSERT INTO message (messageset_id, sequence_number, lang, text_content) SELECT 100 + n, m, l, 'x' FROM generate_series(1, 20) n, generate_series(1, 30) m, unnest('{eng_ZA,zul_ZA,fra_FR}'::text[]) l");
	snprintf(sql, sizeof sql, "INSERT INTO subscription (identity, messageset_id, schedule_id, lang, created_at, next_sequence_number) SELECT gen_random_uuid()::text, 101 + n %% 20, 11 + n %% 5,"
	    " (array['eng_ZA','zul_ZA','fra_FR'])[1 + n %% 3], '2026-11-23'::timestamptz - n %% 700 * interval '1 day', 1 + n %% 30 FROM generate_series(1, %d) n", (int)subscriptions);
	ok(run(sql), "subscriptions");
	run("ANALYZE subscription");
	begin = clock_monotonic_ms();
	is_int(find_behind_run(db, now, &found), DB_OK, "find behind");
	snprintf(name, sizeof name, "%d subscriptions looked at, %d behind: %d ms", (int)found.looked_at, (int)found.behind, (int)(clock_monotonic_ms() - begin));
	is_int(found.looked_at, subscriptions, name);
	run("UPDATE subscription SET next_sequence_number = 30, messageset_id = 120 WHERE right(id::text, 1) <> '0'");
	run("VACUUM ANALYZE subscription");
	begin = clock_monotonic_ms();
	find_behind_run(db, now, &found);
	snprintf(name, sizeof name, "again, %d behind: %d ms", (int)found.behind, (int)(clock_monotonic_ms() - begin));
	ok(found.looked_at == subscriptions, name);
	begin = clock_monotonic_ms();
	estimate_run(db, now, &sets);
	snprintf(name, sizeof name, "estimate: %d ms", (int)(clock_monotonic_ms() - begin));
	ok(sets > 0, name);
	begin = clock_monotonic_ms();
	weekly_estimate(db, now, counts);
	snprintf(name, sizeof name, "weekly estimate: %d ms", (int)(clock_monotonic_ms() - begin));
	ok(counts[0] > 0, name);
	begin = clock_monotonic_ms();
	is_int(programme_load(db, &p), DB_OK, "load");
	programme_forecast(db, p, cron_minute(now), cron_minute(now + 365 * CLOCK_DAY), &f);
	snprintf(name, sizeof name, "forecast of a year, %d rows: %d ms", (int)f.count, (int)(clock_monotonic_ms() - begin));
	ok(f.count > 0, name);
	lifecycle_forecast_fini(&f);
	programme_free(p);
}

int main(void)
{
	const char *conninfo = getenv("SBM_TEST_DB"), *subscriptions = getenv("SBM_TEST_SUBSCRIPTIONS");
	struct db_config config = {.conninfo = conninfo, .application_name = "test"};

	log_configure(LOG_LEVEL_ERR, LOG_FORMAT_LOGFMT);
	now = clock_days_from_civil(2026, 11, 23) * CLOCK_DAY + INT64_C(64230) * 1000000;
	if (!conninfo) {
		tap_ok(true, "what needs a server # SKIP SBM_TEST_DB is not set", __FILE__, __LINE__);
		return tap_done();
	}
	db = db_create(&config);
	if (!ok(run("DROP SCHEMA IF EXISTS sbm_job CASCADE; CREATE SCHEMA sbm_job; SET search_path = sbm_job"), "a schema of its own"))
		return tap_done();
	{
		char sql[65536];
		FILE *file = fopen(SRCDIR "/sql/migrations/0001_base.sql", "r");
		size_t n = file ? fread(sql, 1, sizeof sql - 1, file) : 0;

		sql[n] = 0;
		ok(n > 0 && run(sql), "with the service's tables");
		if (file)
			fclose(file);
	}
	test_find_behind();
	test_estimates();
	test_programme();
	if (subscriptions)
		measure(atoll(subscriptions));
	run("DROP SCHEMA sbm_job CASCADE");
	db_free(db);
	return tap_done();
}
