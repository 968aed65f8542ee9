#include "io/db.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/parse.h"

#include <errno.h>
#include <libpq-fe.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Seconds in which a server must answer to a connection attempt. */
#define CONNECT_TIMEOUT "3"
/* Milliseconds that sent data may go unacknowledged, and the keep-alive that finds a silent death. */
#define TCP_USER_TIMEOUT "15000"
#define KEEPALIVES_IDLE "10"
#define KEEPALIVES_INTERVAL "5"
#define KEEPALIVES_COUNT "3"
/*
 * After a failed attempt no other is made for so long, doubled from the first to the last; and never for less
 * than three times as long as it took, so that most requests are refused at once, not after a wait.
 */
#define BACKOFF_FIRST_MS 50
#define BACKOFF_LAST_MS 500
/* A connection that was idle for so long is looked at before it is used: the server may have gone. */
#define IDLE_CHECK_MS 10

#define TABLE_FIRST 64
#define STATEMENT_NAME_SIZE 80

/* A statement that this connection has prepared; name is ours, prepared the server's. */
struct prepared {
	char *name;
	char prepared[STATEMENT_NAME_SIZE];
};

struct db {
	char *conninfo;
	const char *application_name;
	char options[1024];
	PGconn *connection;
	const struct db_meanwhile *meanwhile;
	bool in_transaction;
	int64_t last_use_ms;
	int64_t backoff_ms, next_try_ms;
	struct prepared *table; /* open addressing; size is a power of two */
	size_t table_size, table_count;
	unsigned generation; /* part of the names at the server, so that a statement can be prepared anew */
	char sqlstate[6];
	char constraint[128];
	char relation[128];
	char message[512];
};

/* Aborts when there is no memory: all that is allocated here is small and made early. */
static void *
must(void *p)
{
	if (p == NULL) {
		log_err("out of memory");
		abort();
	}
	return p;
}

/* The options that the administrator's connection string has itself; "" for none. Freed by the caller. */
static char *
conninfo_options(const char *conninfo)
{
	PQconninfoOption *all, *o;
	char *found = NULL;

	all = PQconninfoParse(conninfo, NULL);
	for (o = all; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, "options") == 0 && o->val != NULL)
			found = must(strdup(o->val));
	PQconninfoFree(all);
	return found != NULL ? found : must(strdup(""));
}

struct db *
db_create(const struct db_config *config)
{
	struct db *db = must(calloc(1, sizeof(*db)));
	char *own = conninfo_options(config->conninfo);
	int64_t idle_ms = config->statement_timeout_ms > 30000 ? 2 * config->statement_timeout_ms : 60000;

	db->conninfo = must(strdup(config->conninfo));
	db->application_name = config->application_name;
	db->table_size = TABLE_FIRST;
	db->table = must(calloc(db->table_size, sizeof(*db->table)));
	/* Servers of any age know these. */
	if (config->foreign)
		snprintf(db->options, sizeof(db->options), "-c TimeZone=UTC -c DateStyle=ISO -c default_transaction_read_only=on %s", own);
	else
		snprintf(db->options, sizeof(db->options),
		    "-c TimeZone=UTC -c DateStyle=ISO -c jit=off -c statement_timeout=%lld -c lock_timeout=%lld "
		    "-c idle_in_transaction_session_timeout=%lld %s",
		    (long long)config->statement_timeout_ms, (long long)config->lock_timeout_ms, (long long)idle_ms, own);
	free(own);
	return db;
}

static void
table_clear(struct db *db)
{
	for (size_t i = 0; i < db->table_size; i++)
		free(db->table[i].name);
	memset(db->table, 0, db->table_size * sizeof(*db->table));
	db->table_count = 0;
}

static void
disconnect(struct db *db)
{
	PQfinish(db->connection);
	db->connection = NULL;
	table_clear(db);
	counter_set(COUNTER_DB_OPEN, 0);
}

void
db_free(struct db *db)
{
	if (db == NULL)
		return;
	disconnect(db);
	free(db->table);
	free(db->conninfo);
	free(db);
}

static size_t
table_hash(const char *name)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(1099511628211);
	return (size_t)(h ^ h >> 32);
}

/* The place of name in the table: its own, or the free one where it belongs. */
static struct prepared *
table_find(struct db *db, const char *name)
{
	size_t i = table_hash(name) & (db->table_size - 1);

	while (db->table[i].name != NULL && strcmp(db->table[i].name, name) != 0)
		i = (i + 1) & (db->table_size - 1);
	return &db->table[i];
}

static void
table_grow(struct db *db)
{
	struct prepared *old = db->table;
	size_t old_size = db->table_size;

	db->table_size *= 2;
	db->table = must(calloc(db->table_size, sizeof(*db->table)));
	for (size_t i = 0; i < old_size; i++)
		if (old[i].name != NULL)
			*table_find(db, old[i].name) = old[i];
	free(old);
}

static void
log_notice(void *context, const char *text)
{
	char line[512];

	(void)context;
	snprintf(line, sizeof(line), "%s", text);
	line[strcspn(line, "\n")] = '\0';
	log_debug("notice from PostgreSQL", log_str("notice", line));
}

static void
clear_error(struct db *db)
{
	db->sqlstate[0] = db->constraint[0] = db->relation[0] = db->message[0] = '\0';
}

static void
copy_field(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text != NULL ? text : "");
}

/* First line of libpq's own words about the connection: it may name the host, so it stays in the log. */
static void
copy_connection_error(struct db *db)
{
	copy_field(db->message, sizeof(db->message), PQerrorMessage(db->connection));
	db->message[strcspn(db->message, "\n")] = '\0';
}

static bool
connect_now(struct db *db)
{
	const char *keywords[] = {"connect_timeout", "tcp_user_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count",
	    "fallback_application_name", "client_encoding", "dbname", "options", NULL};
	const char *values[] = {CONNECT_TIMEOUT, TCP_USER_TIMEOUT, KEEPALIVES_IDLE, KEEPALIVES_INTERVAL, KEEPALIVES_COUNT,
	    db->application_name, "UTF8", db->conninfo, db->options, NULL};
	int64_t begin_ms = clock_monotonic_ms(), now_ms;

	/* What stands in the connection string comes after our own values, so the administrator's word counts. */
	db->connection = PQconnectdbParams(keywords, values, 1);
	if (PQstatus(db->connection) == CONNECTION_OK) {
		PQsetNoticeProcessor(db->connection, log_notice, NULL);
		if (db->backoff_ms != 0)
			log_info("connected to the database again");
		counter_set(COUNTER_DB_OPEN, 1);
		counter_add(COUNTER_DB_CONNECTS, 1);
		db->backoff_ms = 0;
		db->last_use_ms = clock_monotonic_ms();
		return true;
	}
	copy_connection_error(db);
	counter_add(COUNTER_DB_CONNECT_ERRORS, 1);
	if (db->backoff_ms == 0)
		log_warn("could not connect to the database", log_str("error", db->message));
	disconnect(db);
	db->backoff_ms = db->backoff_ms == 0 ? BACKOFF_FIRST_MS : db->backoff_ms * 2;
	if (db->backoff_ms > BACKOFF_LAST_MS)
		db->backoff_ms = BACKOFF_LAST_MS;
	now_ms = clock_monotonic_ms();
	db->next_try_ms = now_ms + db->backoff_ms;
	if (db->next_try_ms < now_ms + 3 * (now_ms - begin_ms))
		db->next_try_ms = now_ms + 3 * (now_ms - begin_ms);
	return false;
}

/* Drops a connection whose other end has gone while it was idle. */
static void
check_idle(struct db *db)
{
	if (clock_monotonic_ms() - db->last_use_ms < IDLE_CHECK_MS)
		return;
	/* The first call takes the server's farewell, the second one sees the end behind it. */
	if (PQconsumeInput(db->connection) == 0 || PQconsumeInput(db->connection) == 0 || PQstatus(db->connection) != CONNECTION_OK) {
		log_info("the database closed an idle connection");
		counter_add(COUNTER_DB_LOST, 1);
		disconnect(db);
	}
}

/* Makes sure of a connection, trying once. Within a transaction a lost one stays lost. */
static bool
ensure(struct db *db)
{
	if (db->in_transaction)
		return db->connection != NULL;
	if (db->connection != NULL)
		check_idle(db);
	if (db->connection != NULL)
		return true;
	if (db->backoff_ms != 0 && clock_monotonic_ms() < db->next_try_ms) {
		copy_field(db->message, sizeof(db->message), "the database could not be reached a moment ago");
		return false;
	}
	return connect_now(db);
}

static enum db_status
classify(const char *sqlstate)
{
	static const struct {
		const char *prefix;
		enum db_status status;
	} classes[] = {
	    {"23505", DB_UNIQUE},
	    {"23P01", DB_UNIQUE},
	    {"23503", DB_FOREIGN_KEY},
	    {"23", DB_BAD_VALUE},
	    {"22", DB_BAD_VALUE},
	    {"54000", DB_BAD_VALUE}, /* a value too large for an index or a row */
	    {"40001", DB_RETRY},
	    {"40P01", DB_RETRY},
	    {"57014", DB_TIMEOUT},
	    {"55P03", DB_TIMEOUT},
	    {"08", DB_UNAVAILABLE},
	    {"57P", DB_UNAVAILABLE},
	    {"53", DB_UNAVAILABLE},    /* out of connections, memory or disk */
	    {"25006", DB_UNAVAILABLE}, /* a standby, or a primary that is being demoted */
	    {"25P03", DB_UNAVAILABLE}, /* the session idled too long in a transaction and was closed */
	};

	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
		if (strncmp(sqlstate, classes[i].prefix, strlen(classes[i].prefix)) == 0)
			return classes[i].status;
	return DB_ERROR;
}

/* Counts one that failed, and logs it. */
static void
note_failure(const struct db *db, enum db_status status, bool connected, const char *name)
{
	static const enum log_level levels[DB_STATUS_MAX] = {
	    [DB_UNAVAILABLE] = LOG_LEVEL_WARN,
	    [DB_TIMEOUT] = LOG_LEVEL_WARN,
	    [DB_RETRY] = LOG_LEVEL_INFO,
	    [DB_UNIQUE] = LOG_LEVEL_DEBUG,
	    [DB_FOREIGN_KEY] = LOG_LEVEL_DEBUG,
	    [DB_BAD_VALUE] = LOG_LEVEL_DEBUG,
	    [DB_ERROR] = LOG_LEVEL_ERR,
	};

	counter_add(COUNTER_DB_UNAVAILABLE + (unsigned)(status - DB_UNAVAILABLE), 1);
	/* That there is no connection was said when it was lost, or could not be had. */
	log_write(connected ? levels[status] : LOG_LEVEL_DEBUG, "statement failed",
	    LOG_FIELDS(log_str("statement", name), log_str("sqlstate", db->sqlstate), log_str("constraint", db->constraint),
	        log_str("error", status == DB_BAD_VALUE ? "" : db->message)));
}

/* Keeps what a failed result says, and drops the connection when it is gone. */
static enum db_status
take_error(struct db *db, const PGresult *result)
{
	const char *sqlstate = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	enum db_status status;

	copy_field(db->sqlstate, sizeof(db->sqlstate), sqlstate);
	copy_field(db->constraint, sizeof(db->constraint), PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME));
	copy_field(db->relation, sizeof(db->relation), PQresultErrorField(result, PG_DIAG_TABLE_NAME));
	copy_field(db->message, sizeof(db->message), PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
	status = sqlstate != NULL ? classify(sqlstate) : DB_ERROR;
	if (PQstatus(db->connection) != CONNECTION_OK) {
		if (db->message[0] == '\0')
			copy_connection_error(db);
		counter_add(COUNTER_DB_LOST, 1);
		disconnect(db);
		status = DB_UNAVAILABLE;
	} else if (sqlstate == NULL) {
		copy_connection_error(db);
	}
	return status;
}

/* Takes over result: hands it out with DB_OK, else frees it. Does not log. */
static enum db_status
take_result(struct db *db, PGresult *result, struct db_result **out)
{
	ExecStatusType s = PQresultStatus(result);
	enum db_status status = DB_OK;

	counter_add(COUNTER_DB_STATEMENTS, 1);
	if (s != PGRES_COMMAND_OK && s != PGRES_TUPLES_OK && s != PGRES_EMPTY_QUERY)
		status = take_error(db, result);
	if (status == DB_OK && out != NULL)
		*out = (struct db_result *)result;
	else
		PQclear(result);
	if (db->connection != NULL)
		db->last_use_ms = clock_monotonic_ms();
	return status;
}

/* Waits until the server has said something, or the other thing to do wants its turn. */
static bool
wait_meanwhile(struct db *db)
{
	const struct db_meanwhile *m = db->meanwhile;
	int64_t wait_ms = m->run(m->context);
	struct pollfd fds[] = {{.fd = PQsocket(db->connection), .events = POLLIN}, {.fd = m->fd, .events = POLLIN}};
	int n = poll(fds, 2, wait_ms < 0 || wait_ms > INT_MAX ? -1 : (int)wait_ms);

	if (n < 0 && errno != EINTR)
		return false;
	return n <= 0 || fds[0].revents == 0 || PQconsumeInput(db->connection) != 0;
}

/* The last result of what was sent, as PQexec would give it; something else is done until it is there. */
static PGresult *
result_meanwhile(struct db *db)
{
	PGresult *last = NULL, *next;

	do {
		/* Should the connection fail, PQgetResult tells. */
		while (PQisBusy(db->connection) != 0 && wait_meanwhile(db))
			;
		next = PQgetResult(db->connection);
		if (next != NULL) {
			PQclear(last);
			last = next;
		}
	} while (next != NULL && PQstatus(db->connection) == CONNECTION_OK);
	return last;
}

/* prepared: the server's name of the statement, NULL to run its text. */
static PGresult *
run_statement(struct db *db, const char *prepared, const char *sql, const struct db_params *p)
{
	int sent;

	if (db->meanwhile == NULL)
		return prepared != NULL ? PQexecPrepared(db->connection, prepared, p->count, p->values, p->lengths, p->formats, 0)
		                        : PQexecParams(db->connection, sql, p->count, NULL, p->values, p->lengths, p->formats, 0);
	sent = prepared != NULL ? PQsendQueryPrepared(db->connection, prepared, p->count, p->values, p->lengths, p->formats, 0)
	                        : PQsendQueryParams(db->connection, sql, p->count, NULL, p->values, p->lengths, p->formats, 0);
	return sent != 0 ? result_meanwhile(db) : NULL;
}

static PGresult *
run_simple(struct db *db, const char *sql)
{
	if (db->meanwhile == NULL)
		return PQexec(db->connection, sql);
	return PQsendQuery(db->connection, sql) != 0 ? result_meanwhile(db) : NULL;
}

/* The server's name of a statement, prepared now when it was not yet; NULL with *status. */
static const char *
prepare(struct db *db, const struct db_stmt *stmt, enum db_status *status)
{
	struct prepared *p = table_find(db, stmt->name);

	if (p->name != NULL)
		return p->prepared;
	if (4 * (db->table_count + 1) > 3 * db->table_size) {
		table_grow(db);
		p = table_find(db, stmt->name);
	}
	snprintf(p->prepared, sizeof(p->prepared), "%.64s_%u", stmt->name, db->generation);
	*status = take_result(db, PQprepare(db->connection, p->prepared, stmt->sql, 0, NULL), NULL);
	if (*status != DB_OK)
		return NULL;
	p->name = must(strdup(stmt->name));
	db->table_count++;
	return p->prepared;
}

static enum db_status
exec_once(struct db *db, const struct db_stmt *stmt, const struct db_params *params, struct db_result **result)
{
	static const struct db_params none;
	const struct db_params *p = params != NULL ? params : &none;
	enum db_status status = DB_OK;
	const char *name = NULL;

	if (stmt->name != NULL && (name = prepare(db, stmt, &status)) == NULL)
		return status;
	return take_result(db, run_statement(db, name, stmt->sql, p), result);
}

/*
 * True when the server no longer knows the statement as we prepared it: 0A000 (cached plan must not change
 * result type, after a migration), 26000 (unknown) and 42P05 (known already; behind a pooler).
 */
static bool
is_stale(const struct db *db, const struct db_stmt *stmt)
{
	return stmt->name != NULL
	    && (strcmp(db->sqlstate, "0A000") == 0 || strcmp(db->sqlstate, "26000") == 0 || strcmp(db->sqlstate, "42P05") == 0);
}

enum db_status
db_exec(struct db *db, const struct db_stmt *stmt, const struct db_params *params, struct db_result **result)
{
	enum db_status status = DB_UNAVAILABLE;
	bool connected;

	clear_error(db);
	connected = ensure(db);
	if (connected)
		status = exec_once(db, stmt, params, result);
	if (status == DB_ERROR && db->connection != NULL && is_stale(db, stmt)) {
		table_clear(db);
		db->generation++;
		/* The transaction has failed already; begun again, it goes through. */
		status = db->in_transaction ? DB_RETRY : exec_once(db, stmt, params, result);
	}
	if (status != DB_OK)
		note_failure(db, status, connected, stmt->name != NULL ? stmt->name : "");
	return status;
}

enum db_status
db_query(struct db *db, enum db_query query, const struct db_params *params, struct db_result **result)
{
	return db_exec(db, &db_queries[query], params, result);
}

static enum db_status
simple(struct db *db, const char *sql, const char *name)
{
	enum db_status status = DB_UNAVAILABLE;
	bool connected;

	clear_error(db);
	connected = ensure(db);
	if (connected)
		status = take_result(db, run_simple(db, sql), NULL);
	if (status != DB_OK)
		note_failure(db, status, connected, name);
	return status;
}

enum db_status
db_script(struct db *db, const char *sql)
{
	return simple(db, sql, "script");
}

/* Begins a COPY, after which the server is in the state `wanted`. */
static enum db_status
copy_begin(struct db *db, enum db_query query, ExecStatusType wanted)
{
	enum db_status status = DB_UNAVAILABLE;
	bool connected;
	PGresult *result;

	clear_error(db);
	connected = ensure(db);
	if (connected) {
		result = PQexec(db->connection, db_queries[query].sql);
		status = PQresultStatus(result) == wanted ? DB_OK : take_error(db, result);
		PQclear(result);
	}
	if (status != DB_OK)
		note_failure(db, status, connected, db_queries[query].name);
	return status;
}

/* What became of a COPY whose last byte has gone: the first result says it. */
static enum db_status
copy_finish(struct db *db, const char *name)
{
	enum db_status status = take_result(db, PQgetResult(db->connection), NULL);
	PGresult *more;

	while (db->connection != NULL && (more = PQgetResult(db->connection)) != NULL)
		PQclear(more);
	if (status != DB_OK)
		note_failure(db, status, true, name);
	return status;
}

enum db_status
db_copy_out(struct db *db, enum db_query query, int (*take)(void *context, const char *line, size_t n), void *context)
{
	enum db_status status = copy_begin(db, query, PGRES_COPY_OUT);
	bool wanted = true;
	char *line;
	int n;

	if (status != DB_OK)
		return status;
	while ((n = PQgetCopyData(db->connection, &line, 0)) > 0) {
		wanted = wanted && take(context, line, (size_t)n) == 0;
		PQfreemem(line);
	}
	return copy_finish(db, db_queries[query].name);
}

enum db_status
db_copy_in_begin(struct db *db, enum db_query query)
{
	return copy_begin(db, query, PGRES_COPY_IN);
}

enum db_status
db_copy_in_put(struct db *db, const char *bytes, size_t n)
{
	enum db_status status;

	if (db->connection == NULL)
		return DB_UNAVAILABLE;
	if (PQputCopyData(db->connection, bytes, (int)n) == 1)
		return DB_OK;
	status = take_error(db, NULL);
	note_failure(db, status, true, "copy");
	return status;
}

enum db_status
db_copy_in_end(struct db *db, bool good)
{
	if (db->connection == NULL)
		return DB_UNAVAILABLE;
	PQputCopyEnd(db->connection, good ? NULL : "given up");
	return copy_finish(db, "copy");
}

enum db_status
db_begin(struct db *db)
{
	enum db_status status;

	SBM_ASSERT(!db->in_transaction);
	status = simple(db, "BEGIN", "begin");
	db->in_transaction = status == DB_OK;
	return status;
}

enum db_status
db_commit(struct db *db)
{
	enum db_status status;
	bool failed;

	SBM_ASSERT(db->in_transaction);
	/* COMMIT of a failed transaction is answered as if all were well: by a rollback. */
	failed = db->connection != NULL && PQtransactionStatus(db->connection) == PQTRANS_INERROR;
	status = simple(db, "COMMIT", "commit");
	db->in_transaction = false;
	SBM_ASSERT(!failed);
	return status;
}

void
db_rollback(struct db *db)
{
	char keep_sqlstate[sizeof(db->sqlstate)], keep_constraint[sizeof(db->constraint)];
	char keep_relation[sizeof(db->relation)], keep_message[sizeof(db->message)];

	if (!db->in_transaction)
		return;
	/* What failed is still asked for after the rollback. */
	memcpy(keep_sqlstate, db->sqlstate, sizeof(keep_sqlstate));
	memcpy(keep_constraint, db->constraint, sizeof(keep_constraint));
	memcpy(keep_relation, db->relation, sizeof(keep_relation));
	memcpy(keep_message, db->message, sizeof(keep_message));
	if (db->connection != NULL && simple(db, "ROLLBACK", "rollback") != DB_OK && db->connection != NULL)
		disconnect(db);
	db->in_transaction = false;
	memcpy(db->sqlstate, keep_sqlstate, sizeof(keep_sqlstate));
	memcpy(db->constraint, keep_constraint, sizeof(keep_constraint));
	memcpy(db->relation, keep_relation, sizeof(keep_relation));
	memcpy(db->message, keep_message, sizeof(keep_message));
}

void
db_set_meanwhile(struct db *db, const struct db_meanwhile *meanwhile)
{
	db->meanwhile = meanwhile;
}

bool
db_is_up(struct db *db)
{
	return ensure(db);
}

const char *
db_sqlstate(const struct db *db)
{
	return db->sqlstate;
}

const char *
db_constraint(const struct db *db)
{
	return db->constraint;
}

const char *
db_table(const struct db *db)
{
	return db->relation;
}

const char *
db_message(const struct db *db)
{
	return db->message;
}

void
db_params_init(struct db_params *p)
{
	p->count = 0;
}

/* A place for one more value. */
static int
param_next(struct db_params *p)
{
	SBM_ASSERT(p->count < DB_PARAMS_MAX);
	p->lengths[p->count] = p->formats[p->count] = 0;
	return p->count++;
}

void
db_param_text(struct db_params *p, const char *text)
{
	int i = param_next(p);

	p->values[i] = text;
}

void
db_param_int(struct db_params *p, int64_t number)
{
	int i = param_next(p);
	char *end = p->numbers[i] + sizeof(p->numbers[i]) - 1;
	uint64_t u = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

	*end = '\0';
	do
		*--end = (char)('0' + u % 10);
	while ((u /= 10) != 0);
	if (number < 0)
		*--end = '-';
	p->values[i] = end;
}

void
db_param_bool(struct db_params *p, bool truth)
{
	db_param_text(p, truth ? "t" : "f");
}

void
db_param_time(struct db_params *p, int64_t us)
{
	int i = param_next(p);

	_Static_assert(CLOCK_TEXT_SIZE <= sizeof(p->numbers[0]), "a time fits the place of a number");
	clock_format(us, p->numbers[i]);
	p->values[i] = p->numbers[i];
}

void
db_param_null(struct db_params *p)
{
	db_param_text(p, NULL);
}

void
db_param_id(struct db_params *p, int64_t id)
{
	if (id != 0)
		db_param_int(p, id);
	else
		db_param_null(p);
}

/* A struct db_result is libpq's PGresult under our name: no memory of its own. */
static const PGresult *
pg(const struct db_result *r)
{
	return (const PGresult *)r;
}

void
db_result_free(struct db_result *r)
{
	PQclear((PGresult *)r);
}

int
db_rows(const struct db_result *r)
{
	return PQntuples(pg(r));
}

int64_t
db_affected(const struct db_result *r)
{
	return strtoll(PQcmdTuples((PGresult *)(uintptr_t)r), NULL, 10);
}

const char *
db_text(const struct db_result *r, int row, int column)
{
	SBM_ASSERT(row >= 0 && row < PQntuples(pg(r)) && column >= 0 && column < PQnfields(pg(r)));
	return PQgetvalue(pg(r), row, column);
}

size_t
db_text_length(const struct db_result *r, int row, int column)
{
	return (size_t)PQgetlength(pg(r), row, column);
}

bool
db_is_null(const struct db_result *r, int row, int column)
{
	return PQgetisnull(pg(r), row, column) != 0;
}

int64_t
db_int(const struct db_result *r, int row, int column)
{
	int64_t number = 0;

	if (!db_is_null(r, row, column))
		SBM_ASSERT(parse_int(db_text(r, row, column), INT64_MIN, INT64_MAX, &number) == 0);
	return number;
}

double
db_real(const struct db_result *r, int row, int column)
{
	return strtod(db_text(r, row, column), NULL);
}

bool
db_bool(const struct db_result *r, int row, int column)
{
	return db_text(r, row, column)[0] == 't';
}

int64_t
db_time(const struct db_result *r, int row, int column)
{
	int64_t us = 0;

	if (!db_is_null(r, row, column))
		SBM_ASSERT(clock_parse(db_text(r, row, column), &us) == 0);
	return us;
}

void
db_array_begin(struct buf *b)
{
	buf_putc(b, '{');
}

static void
array_separate(struct buf *b)
{
	if (b->length != 0 && b->data[b->length - 1] != '{')
		buf_putc(b, ',');
}

void
db_array_put(struct buf *b, const char *text)
{
	array_separate(b);
	if (text == NULL) {
		buf_puts(b, "NULL");
		return;
	}
	buf_putc(b, '"');
	while (*text != '\0') {
		size_t plain = strcspn(text, "\"\\");

		buf_put(b, text, plain);
		text += plain;
		if (*text != '\0') {
			buf_putc(b, '\\');
			buf_putc(b, *text++);
		}
	}
	buf_putc(b, '"');
}

void
db_array_put_int(struct buf *b, int64_t number)
{
	array_separate(b);
	buf_put_int(b, number);
}

void
db_array_end(struct buf *b)
{
	buf_putc(b, '}');
}

/* Types that are built into PostgreSQL: their ids never change. */
static const struct {
	uint32_t id;
	size_t size; /* of a number */
} types[DB_TYPE_MAX] = {
    [DB_TYPE_UUID] = {2950, 0},
    [DB_TYPE_TEXT] = {25, 0},
    [DB_TYPE_SMALLINT] = {21, 2},
    [DB_TYPE_INTEGER] = {23, 4},
    [DB_TYPE_BIGINT] = {20, 8},
    [DB_TYPE_TIME] = {1184, 8},
};
/* PostgreSQL counts microseconds from the year 2000. */
#define EPOCH_2000_US INT64_C(946684800000000)
/* One dimension, whether there are NULLs, the type; the number of elements and the first one's place. */
#define LIST_HEAD 20

/* The lowest `size` bytes of a number, the highest of them first. */
static void
encode(uint64_t number, size_t size, char *out)
{
	for (size_t i = 0; i < size; i++)
		out[i] = (char)(number >> 8 * (size - 1 - i) & 0xff);
}

static void
list_put_number(struct db_list *list, uint64_t number, size_t size)
{
	char bytes[8];

	encode(number, size, bytes);
	buf_put(&list->bytes, bytes, size);
}

void
db_list_init(struct db_list *list, enum db_type type, size_t max)
{
	static const char head[LIST_HEAD];

	*list = (struct db_list){.type = type};
	buf_init(&list->bytes, max);
	buf_put(&list->bytes, head, sizeof(head));
}

void
db_list_fini(struct db_list *list)
{
	buf_fini(&list->bytes);
}

void
db_list_put_null(struct db_list *list)
{
	list->count++;
	list->nulls = true;
	list_put_number(list, UINT32_MAX, 4);
}

static void
list_put_uuid(struct db_list *list, const char *text)
{
	char bytes[4 + 16] = {[3] = 16};
	int digits = 0;

	for (; *text != '\0' && digits < 32; text++)
		if (*text != '-') {
			int digit = hex_digit(*text);

			SBM_ASSERT(digit >= 0);
			bytes[4 + digits / 2] = (char)(bytes[4 + digits / 2] << 4 | digit);
			digits++;
		}
	SBM_ASSERT(digits == 32 && *text == '\0');
	buf_put(&list->bytes, bytes, sizeof(bytes));
}

void
db_list_put(struct db_list *list, const char *text)
{
	if (text == NULL) {
		db_list_put_null(list);
		return;
	}
	list->count++;
	if (list->type == DB_TYPE_UUID) {
		list_put_uuid(list, text);
		return;
	}
	SBM_ASSERT(list->type == DB_TYPE_TEXT);
	list_put_number(list, strlen(text), 4);
	buf_puts(&list->bytes, text);
}

void
db_list_put_int(struct db_list *list, int64_t number)
{
	size_t size = types[list->type].size;

	SBM_ASSERT(size != 0);
	if (list->type == DB_TYPE_TIME)
		number -= EPOCH_2000_US;
	SBM_ASSERT(size == 8 || (number >= -(INT64_C(1) << (8 * size - 1)) && number < INT64_C(1) << (8 * size - 1)));
	list->count++;
	list_put_number(list, size, 4);
	list_put_number(list, (uint64_t)number, size);
}

bool
db_param_list(struct db_params *p, struct db_list *list)
{
	int i = param_next(p);

	if (list->bytes.overflow || list->bytes.length < LIST_HEAD)
		return false;
	/* An array without elements has no dimension. */
	encode(list->count > 0, 4, list->bytes.data);
	encode(list->nulls, 4, list->bytes.data + 4);
	encode(types[list->type].id, 4, list->bytes.data + 8);
	encode((uint64_t)list->count, 4, list->bytes.data + 12);
	encode(1, 4, list->bytes.data + 16);
	p->values[i] = list->bytes.data;
	p->lengths[i] = list->count > 0 ? (int)list->bytes.length : 12;
	p->formats[i] = 1;
	return true;
}
