#include "io/db.h"

#include "base/clock.h"
#include "base/log.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What needs a server is run against the connection string in SBM_TEST_DB, in a schema of its own. */

static void test_arrays(void)
{
	struct buf b;

	buf_init(&b, 200);
	db_array_begin(&b);
	db_array_end(&b);
	is_str(buf_text(&b), "{}", "an empty array");
	buf_reset(&b);
	db_array_begin(&b);
	db_array_put(&b, "plain");
	db_array_put(&b, "");
	db_array_put(&b, NULL);
	db_array_put(&b, "a\"b\\c,{d}");
	db_array_put(&b, "NULL");
	db_array_end(&b);
	is_str(buf_text(&b), "{\"plain\",\"\",NULL,\"a\\\"b\\\\c,{d}\",\"NULL\"}", "texts");
	buf_reset(&b);
	db_array_begin(&b);
	db_array_put_int(&b, 1);
	db_array_put_int(&b, -2);
	db_array_end(&b);
	is_str(buf_text(&b), "{1,-2}", "numbers");
	buf_fini(&b);
}

static void test_params(void)
{
	struct db_params p;

	db_params_init(&p);
	db_param_int(&p, 0);
	db_param_int(&p, INT64_MIN);
	db_param_int(&p, INT64_MAX);
	db_param_bool(&p, true);
	db_param_null(&p);
	db_param_time(&p, 0);
	is_int(p.count, 6, "six parameters");
	is_str(p.values[0], "0", "nought");
	is_str(p.values[1], "-9223372036854775808", "the least");
	is_str(p.values[2], "9223372036854775807", "the largest");
	is_str(p.values[3], "t", "true");
	ok(p.values[4] == NULL, "NULL");
	is_str(p.values[5], "1970-01-01T00:00:00Z", "a time");
}

static void test_away(void)
{
	struct db_config config = {.conninfo = "host=/nonexistent dbname=x", .application_name = "test"};
	struct db *db = db_create(&config);
	int64_t begin = clock_monotonic_ms();

	is_int(db_begin(db), DB_UNAVAILABLE, "no server: no transaction");
	for (int i = 0; i < 1000; i++)
		if (db_exec(db, &(struct db_stmt){NULL, "SELECT 1"}, NULL, NULL) != DB_UNAVAILABLE)
			ok(false, "no server: no answer");
	ok(clock_monotonic_ms() - begin < 2000, "a thousand requests do not hang");
	ok(!db_is_up(db), "it is not up");
	db_free(db);
	db_free(NULL);
	config.conninfo = "this is = not a connection = string";
	db = db_create(&config);
	ok(!db_is_up(db), "nor is one with a bad connection string");
	db_free(db);
}

static enum db_status run(struct db *db, const char *sql)
{
	return db_exec(db, &(struct db_stmt){NULL, sql}, NULL, NULL);
}

static int64_t number(struct db *db, const struct db_stmt *stmt, int64_t parameter)
{
	struct db_params p;
	struct db_result *r = NULL;
	int64_t n;

	db_params_init(&p);
	db_param_int(&p, parameter);
	if (db_exec(db, stmt, &p, &r) != DB_OK)
		return -1;
	n = db_int(r, 0, 0);
	db_result_free(r);
	return n;
}

static void test_values(struct db *db)
{
	struct db_params p;
	struct db_result *r = NULL;
	static const struct db_stmt values = {"values", "SELECT $1::int8, $2::text, $3::bool, $4::timestamptz, NULL::text, repeat('x', 3)"};

	db_params_init(&p);
	db_param_int(&p, -5);
	db_param_text(&p, "\xc3\xa9'\"\\");
	db_param_bool(&p, true);
	db_param_time(&p, INT64_C(1764000000123456));
	if (!ok(db_exec(db, &values, &p, &r) == DB_OK, "a statement with all types"))
		return;
	is_int(db_rows(r), 1, "one row");
	is_int(db_int(r, 0, 0), -5, "number");
	is_str(db_text(r, 0, 1), "\xc3\xa9'\"\\", "text");
	ok(db_bool(r, 0, 2), "boolean");
	is_int(db_time(r, 0, 3), INT64_C(1764000000123456), "time");
	ok(db_is_null(r, 0, 4) && !*db_text(r, 0, 4) && db_int(r, 0, 4) == 0, "NULL");
	is_int((int64_t)db_text_length(r, 0, 5), 3, "length");
	db_result_free(r);
}

static const struct {
	enum db_type type;
	const char *elements[3]; /* numbers for types of numbers */
	const char *sql, *expected;
} lists[] = {
	{DB_TYPE_UUID, {"00112233-4455-6677-8899-aabbccddeeff", NULL, "ffffffff-ffff-ffff-ffff-ffffffffffff"}, "SELECT $1::uuid[]::text",
		"{00112233-4455-6677-8899-aabbccddeeff,NULL,ffffffff-ffff-ffff-ffff-ffffffffffff}"},
	{DB_TYPE_TEXT, {"", "a\"b,{\\}", "\xc3\xa9"}, "SELECT array_to_string($1::text[], '|')", "|a\"b,{\\}|\xc3\xa9"},
	{DB_TYPE_SMALLINT, {"-32768", "0", "32767"}, "SELECT $1::smallint[]::text", "{-32768,0,32767}"},
	{DB_TYPE_INTEGER, {"-2147483648", "-1", "2147483647"}, "SELECT $1::integer[]::text", "{-2147483648,-1,2147483647}"},
	{DB_TYPE_BIGINT, {"-9223372036854775808", "-1", "9223372036854775807"}, "SELECT $1::bigint[]::text", "{-9223372036854775808,-1,9223372036854775807}"},
	{DB_TYPE_TIME, {"0", NULL, "1764000000123456"}, "SELECT $1::timestamptz[]::text", "{\"1970-01-01 00:00:00+00\",NULL,\"2025-11-24 16:00:00.123456+00\"}"},
};

static void test_lists(struct db *db)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		for (int count = 3; count >= 0; count -= 3) {
			struct db_params p;
			struct db_result *r = NULL;
			struct db_list list;

			db_list_init(&list, lists[i].type, 1000);
			for (int e = 0; e < count; e++) {
				const char *element = lists[i].elements[e];

				if (!element || lists[i].type == DB_TYPE_UUID || lists[i].type == DB_TYPE_TEXT)
					db_list_put(&list, element);
				else
					db_list_put_int(&list, strtoll(element, NULL, 10));
			}
			db_params_init(&p);
			ok(db_param_list(&p, &list), "a list");
			if (ok(db_exec(db, &(struct db_stmt){NULL, lists[i].sql}, &p, &r) == DB_OK, "is understood"))
				is_str(db_text(r, 0, 0), count ? lists[i].expected : strstr(lists[i].sql, "to_string") ? "" : "{}", "as it is");
			db_result_free(r);
			db_list_fini(&list);
		}
}

static void test_list_bounds(void)
{
	struct db_params p;
	struct db_list list;

	db_list_init(&list, DB_TYPE_TEXT, 30);
	db_list_put(&list, "more than there is room for");
	db_params_init(&p);
	ok(!db_param_list(&p, &list), "a list that grew too long is refused");
	db_list_fini(&list);
}

/* Does its turns while the server works, and asks to be called again at once. */
static int64_t take_turn(void *context)
{
	++*(int *)context;
	return 1;
}

static void test_meanwhile(struct db *db)
{
	int turns = 0, fds[2];
	struct db_meanwhile meanwhile;

	if (pipe(fds))
		return;
	meanwhile = (struct db_meanwhile){fds[0], take_turn, &turns};
	db_set_meanwhile(db, &meanwhile);
	is_int(db_begin(db), DB_OK, "a transaction with something else to do");
	is_int(run(db, "SELECT pg_sleep(0.2)"), DB_OK, "a statement that takes its time");
	is_int(number(db, &(struct db_stmt){"meanwhile", "SELECT $1::int8 + 1"}, 41), 42, "a prepared one");
	is_int(run(db, "SELECT 1/0"), DB_BAD_VALUE, "one that fails");
	db_rollback(db);
	ok(turns > 10, "other turns meanwhile");
	is_int(run(db, "SELECT pg_terminate_backend(pg_backend_pid())"), DB_UNAVAILABLE, "a connection that is lost");
	db_set_meanwhile(db, NULL);
	is_int(run(db, "SELECT 1"), DB_OK, "and opened again");
	turns = 0;
	is_int(run(db, "SELECT 1"), DB_OK, "without it");
	is_int(turns, 0, "no other turns");
	close(fds[0]);
	close(fds[1]);
}

static const struct {
	const char *sql;
	enum db_status status;
	const char *constraint, *name;
} failures[] = {
	{"INSERT INTO sbm_test.a VALUES (1)", DB_UNIQUE, "a_pkey", "unique"},
	{"INSERT INTO sbm_test.b VALUES (9)", DB_FOREIGN_KEY, "b_a_fkey", "foreign key"},
	{"DELETE FROM sbm_test.a WHERE id = 1", DB_FOREIGN_KEY, "b_a_fkey", "foreign key of another table"},
	{"INSERT INTO sbm_test.a VALUES (NULL)", DB_BAD_VALUE, "", "not null"},
	{"INSERT INTO sbm_test.a VALUES (-1)", DB_BAD_VALUE, "positive", "check"},
	{"SELECT 'x'::int4", DB_BAD_VALUE, "", "no number"},
	{"SELECT 99999999999::int4", DB_BAD_VALUE, "", "out of range"},
	{"SELECT 1/0", DB_BAD_VALUE, "", "division by zero"},
	{"SELEC 1", DB_ERROR, "", "syntax"},
	{"SELECT pg_sleep(5)", DB_TIMEOUT, "", "statement timeout"},
	{"SELECT * FROM sbm_test.none", DB_ERROR, "", "no such table"},
};

static void test_failures(struct db *db)
{
	for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++) {
		is_int(run(db, failures[i].sql), failures[i].status, failures[i].name);
		is_str(db_constraint(db), failures[i].constraint, failures[i].name);
	}
	is_int(run(db, "SELECT 1"), DB_OK, "and it goes on");
	is_str(db_sqlstate(db), "", "the error is forgotten");
}

static void test_transactions(struct db *db, struct db *other)
{
	is_int(db_begin(db), DB_OK, "begin");
	is_int(run(db, "INSERT INTO sbm_test.a VALUES (2)"), DB_OK, "insert");
	is_int(db_commit(db), DB_OK, "commit");
	is_int(db_begin(db), DB_OK, "begin");
	is_int(run(db, "INSERT INTO sbm_test.a VALUES (2)"), DB_UNIQUE, "a failure in a transaction");
	db_rollback(db);
	is_str(db_constraint(db), "a_pkey", "the rollback keeps what failed");
	db_rollback(db);
	is_int(db_begin(db), DB_OK, "begin after it");
	is_int(db_begin(other), DB_OK, "begin elsewhere");
	is_int(run(other, "SELECT 1 FROM sbm_test.a WHERE id = 2 FOR UPDATE"), DB_OK, "a lock elsewhere");
	is_int(run(db, "SELECT 1 FROM sbm_test.a WHERE id = 2 FOR UPDATE"), DB_TIMEOUT, "lock timeout");
	db_rollback(db);
	db_rollback(other);
}

static void kill_backend(struct db *victim, struct db *other)
{
	static const struct db_stmt pid = {NULL, "SELECT pg_backend_pid() + $1::int"};
	static const struct db_stmt kill = {"kill", "SELECT pg_terminate_backend($1::int, 5000)::int"};

	is_int(number(other, &kill, number(victim, &pid, 0)), 1, "the server closes the connection");
}

static void test_lost(struct db *db, struct db *other)
{
	static const struct db_stmt twice = {"twice", "SELECT 2 * $1::int8"};

	is_int(number(db, &twice, 4), 8, "a prepared statement");
	kill_backend(db, other);
	usleep(20000); /* longer than a connection is trusted without a look */
	is_int(number(db, &twice, 4), 8, "an idle connection that was lost is opened again, and statements with it");
	is_int(db_begin(db), DB_OK, "begin");
	kill_backend(db, other);
	is_int(number(db, &twice, 4), -1, "a transaction's lost connection fails the statement");
	is_int(number(db, &twice, 4), -1, "the next statement of it is not run elsewhere");
	is_int(db_commit(db), DB_UNAVAILABLE, "nor is its commit a success");
	is_int(number(db, &twice, 4), 8, "then it goes on");
	is_int(db_begin(db), DB_OK, "begin");
	kill_backend(db, other);
	db_rollback(db);
	is_int(number(db, &twice, 5), 10, "a rollback without a connection does no harm");
}

static void test_stale(struct db *db)
{
	static const struct db_stmt star = {"star", "SELECT * FROM sbm_test.c WHERE id = $1::int8"};

	is_int(number(db, &star, 7), 7, "a statement is prepared");
	is_int(run(db, "ALTER TABLE sbm_test.c ADD COLUMN more text"), DB_OK, "its result changes");
	is_int(number(db, &star, 7), 7, "it is prepared anew");
	is_int(run(db, "ALTER TABLE sbm_test.c ADD COLUMN most text"), DB_OK, "again");
	is_int(db_begin(db), DB_OK, "in a transaction");
	is_int(number(db, &star, 7), -1, "it fails");
	is_str(db_sqlstate(db), "0A000", "with a changed result");
	db_rollback(db);
	is_int(db_begin(db), DB_OK, "in another transaction");
	is_int(number(db, &star, 7), 7, "it goes through");
	is_int(db_commit(db), DB_OK, "and is committed");
	is_int(run(db, "DEALLOCATE ALL"), DB_OK, "all statements are gone");
	is_int(number(db, &star, 7), 7, "and come back");
}

static void test_many(struct db *db)
{
	char name[32];
	struct db_stmt stmt = {name, "SELECT $1::int8"};
	int right = 0;

	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "many_%d", i % 200);
		right += number(db, &stmt, i) == i;
	}
	is_int(right, 400, "200 statements, each twice");
	is_int(number(db, &(struct db_stmt){NULL, "SELECT count(*) + $1::int8 FROM pg_prepared_statements WHERE name LIKE 'many%'"}, 0), 200,
		"are prepared once");
}

static void test_queries(struct db *db)
{
	struct db_result *r = NULL;

	is_int(db_query(db, DB_Q_SCHEMA_TABLE, NULL, &r), DB_OK, "a statement of sql/queries");
	db_result_free(r);
	is_int(db_script(db, "BEGIN; SELECT 1; COMMIT; SELECT 2"), DB_OK, "a script");
	is_int(db_script(db, "SELECT 1; SELECT 1/0"), DB_BAD_VALUE, "a script that fails");
}

static int take_first(void *context, const char *line, size_t n)
{
	struct buf *lines = context;

	buf_put(lines, line, n);
	return -1;
}

static int take_all(void *context, const char *line, size_t n)
{
	take_first(context, line, n);
	return 0;
}

/* Puts the pieces, and ends. */
static enum db_status copy_in(struct db *db, const char *const *pieces, bool good)
{
	if (db_copy_in_begin(db, DB_Q_TAKEOVER_ESTIMATED_SEND_STAGE) != DB_OK)
		return DB_STATUS_MAX;
	for (; *pieces; pieces++)
		if (db_copy_in_put(db, *pieces, strlen(*pieces)) != DB_OK)
			break;
	return db_copy_in_end(db, good);
}

/* The statements are those of a take-over, on tables of our own that go with the transaction. */
static void test_copy(struct db *db)
{
	static const struct db_stmt count = {NULL, "SELECT count(*) + $1::int8 FROM takeover_estimated_send"};
	struct buf lines;

	buf_init(&lines, 1000);
	is_int(db_begin(db), DB_OK, "a transaction");
	is_int(db_script(db, "CREATE TEMP TABLE takeover_estimated_send (id int4, day date, a int4, b int4, c int4) ON COMMIT DROP;"
			"CREATE TEMP VIEW subscriptions_estimatedsend AS SELECT id, day AS send_date, a AS messageset_id, b AS estimate_subscriptions, c AS estimate_identities "
			"FROM takeover_estimated_send ORDER BY id"), DB_OK, "tables for copies");
	is_int(copy_in(db, (const char *[]){"1\t2026-01-01\t2\t3\t4\n2\t2026", "-01-02\t2\t\\N\t4\n", NULL}, true), DB_OK, "rows in, cut anywhere");
	is_int(number(db, &count, 0), 2, "are there");
	is_int(db_copy_out(db, DB_Q_ORIGINAL_ESTIMATED_SEND_COPY, take_all, &lines), DB_OK, "rows out");
	is_str(buf_text(&lines), "1\t2026-01-01\t2\t3\t4\n2\t2026-01-02\t2\t\\N\t4\n", "as they came");
	buf_reset(&lines);
	is_int(db_copy_out(db, DB_Q_ORIGINAL_ESTIMATED_SEND_COPY, take_first, &lines), DB_OK, "rows out, of which one is wanted");
	is_str(buf_text(&lines), "1\t2026-01-01\t2\t3\t4\n", "no more come");
	is_int(db_script(db, "SAVEPOINT here"), DB_OK, "the connection is fit for more");
	is_int(copy_in(db, (const char *[]){"3\tnever\t2\t3\t4\n", NULL}, true), DB_BAD_VALUE, "a row that does not fit");
	is_int(db_script(db, "ROLLBACK TO here"), DB_OK, "goes back");
	ok(copy_in(db, (const char *[]){"3\t2026-01-01\t2\t3\t4\n", NULL}, false) != DB_OK, "rows that are given up");
	is_int(db_script(db, "ROLLBACK TO here"), DB_OK, "go back");
	is_int(number(db, &count, 0), 2, "and none of them stays");
	db_rollback(db);
	is_int(db_copy_in_put(db, "x", 1), DB_ERROR, "a row outside of a copy");
	buf_fini(&lines);
}

static void test_server(const char *conninfo)
{
	struct db_config config = {.conninfo = conninfo, .application_name = "sbm-test", .statement_timeout_ms = 700, .lock_timeout_ms = 200};
	struct db *db = db_create(&config), *other = db_create(&config);

	if (!ok(db_is_up(db) && db_is_up(other), "connected"))
		exit(tap_done());
	is_int(db_script(db, "DROP SCHEMA IF EXISTS sbm_test CASCADE; CREATE SCHEMA sbm_test;"
			"CREATE TABLE sbm_test.a (id int8 PRIMARY KEY CONSTRAINT positive CHECK (id > 0));"
			"CREATE TABLE sbm_test.b (a int8 REFERENCES sbm_test.a);"
			"CREATE TABLE sbm_test.c (id int8); INSERT INTO sbm_test.c VALUES (7);"
			"INSERT INTO sbm_test.a VALUES (1); INSERT INTO sbm_test.b VALUES (1)"), DB_OK, "tables");
	test_lists(db);
	test_meanwhile(db);
	test_values(db);
	test_failures(db);
	test_transactions(db, other);
	test_lost(db, other);
	test_stale(db);
	test_many(db);
	test_queries(db);
	test_copy(db);
	is_int(db_script(db, "DROP SCHEMA sbm_test CASCADE"), DB_OK, "cleaned up");
	db_free(db);
	db_free(other);
}

int main(void)
{
	const char *conninfo = getenv("SBM_TEST_DB");

	log_init("test_db");
	test_arrays();
	test_list_bounds();
	test_params();
	test_away();
	if (conninfo && *conninfo)
		test_server(conninfo);
	else
		tap_ok(true, "what needs a server # SKIP SBM_TEST_DB is not set", __FILE__, __LINE__);
	return tap_done();
}
