#ifndef IO_DB_H
#define IO_DB_H

#include "base/buf.h"
#include "io/queries.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One connection to PostgreSQL: opened when first used, opened again after it was lost.  Statements are
 * prepared lazily, once for each connection, by protocol-level prepare, so that a transaction-pooling
 * PgBouncer may stand between.  Text format both ways, but for lists.  Create it after fork.
 */
struct db;
struct db_result;

struct db_stmt {
	const char *name; /* unique among all statements; NULL: run without preparing */
	const char *sql;  /* with $1, $2, ... */
};
extern const struct db_stmt db_queries[DB_Q_MAX];

enum db_status {
	DB_OK,
	DB_UNAVAILABLE, /* no connection, or it was lost; what a transaction did is unknown only for its commit */
	DB_TIMEOUT,     /* statement or lock timeout (57014, 55P03) */
	DB_RETRY,       /* serialization failure or deadlock: the whole transaction may be tried again */
	DB_UNIQUE,      /* unique violation; db_constraint tells of what */
	DB_FOREIGN_KEY, /* foreign key violation; db_constraint and db_table tell of what */
	DB_BAD_VALUE,   /* class 22 (data) or another integrity violation: the input does not fit */
	DB_ERROR,       /* anything else: our bug, logged with its statement's name */
	DB_STATUS_MAX
};

/* conninfo is copied. statement_timeout and lock_timeout in milliseconds, 0 for none. application_name is borrowed. */
struct db_config {
	const char *conninfo;
	const char *application_name;
	int64_t statement_timeout_ms;
	int64_t lock_timeout_ms;
	bool foreign; /* another service's, of any age: it is only read, and the timeouts are its own */
};
struct db *db_create(const struct db_config *);
void db_free(struct db *);

/*
 * Something else to do while the server works: run is called before each wait for its answer, and again when fd is
 * readable or the milliseconds that it returned have gone by (-1: none).  It must not use this connection.  Borrowed
 * until it is set to NULL.
 */
struct db_meanwhile {
	int fd;
	int64_t (*run)(void *context);
	void *context;
};
void db_set_meanwhile(struct db *, const struct db_meanwhile *);

/* Parameters of one statement: filled in the order of $1, $2, ...; texts are borrowed until it has run. */
#define DB_PARAMS_MAX 48
struct db_params {
	int count;
	const char *values[DB_PARAMS_MAX];
	int lengths[DB_PARAMS_MAX], formats[DB_PARAMS_MAX]; /* of binary ones; 0 for text */
	char numbers[DB_PARAMS_MAX][32];
};
void db_params_init(struct db_params *);
void db_param_text(struct db_params *, const char *); /* NULL is SQL's NULL */
void db_param_int(struct db_params *, int64_t);
void db_param_bool(struct db_params *, bool);
void db_param_time(struct db_params *, int64_t us); /* as timestamptz text */
void db_param_null(struct db_params *);
void db_param_id(struct db_params *, int64_t); /* 0 is SQL's NULL */

/*
 * Runs a statement. params may be NULL. *result (if result is not NULL) is set only with DB_OK and is the
 * caller's: db_result_free. Outside a transaction it is one of its own; a lost connection is opened again
 * and a read may simply be repeated by the caller. Errors are logged here, once.
 */
enum db_status db_exec(struct db *, const struct db_stmt *, const struct db_params *, struct db_result **result);
/* db_exec of a statement of sql/queries. */
enum db_status db_query(struct db *, enum db_query, const struct db_params *, struct db_result **result);
/* SQL of several statements without parameters: for migrations. */
enum db_status db_script(struct db *, const char *sql);

/*
 * COPY: the rows of a statement "COPY ... TO STDOUT", each with the newline at its end, go to take, which returns
 * 0, or -1 for no more of them; the line is borrowed. Rows may have come before an error.
 */
enum db_status db_copy_out(struct db *, enum db_query, int (*take)(void *context, const char *line, size_t n), void *context);
/*
 * A statement "COPY ... FROM STDIN": begin, any number of puts, which may cut lines anywhere, end. Nothing else goes
 * over the connection meanwhile. A put that fails says why; end comes then, too. With good false nothing is kept.
 */
enum db_status db_copy_in_begin(struct db *, enum db_query);
enum db_status db_copy_in_put(struct db *, const char *bytes, size_t n);
enum db_status db_copy_in_end(struct db *, bool good);

enum db_status db_begin(struct db *);
enum db_status db_commit(struct db *);
void db_rollback(struct db *); /* does nothing outside a transaction */
/* True when the connection is there now, trying once to open it when it is not. */
bool db_is_up(struct db *);
/* SQLSTATE, constraint, table and primary message of the last failed statement; "" for none. Borrowed until the next one. */
const char *db_sqlstate(const struct db *);
const char *db_constraint(const struct db *);
const char *db_table(const struct db *);
const char *db_message(const struct db *);

void db_result_free(struct db_result *); /* NULL does nothing */
int db_rows(const struct db_result *);
/* Rows that INSERT, UPDATE or DELETE touched. */
int64_t db_affected(const struct db_result *);
/* Borrowed from the result; "" for NULL. */
const char *db_text(const struct db_result *, int row, int column);
size_t db_text_length(const struct db_result *, int row, int column);
bool db_is_null(const struct db_result *, int row, int column);
/* The value as a number; 0 for NULL. Asserts that the column is one. */
int64_t db_int(const struct db_result *, int row, int column);
/* A number with a fraction; 0 for NULL. */
double db_real(const struct db_result *, int row, int column);
bool db_bool(const struct db_result *, int row, int column);
/* A timestamptz as microseconds since 1970. */
int64_t db_time(const struct db_result *, int row, int column);

/* Array literals for unnest($1::text[], ...): begin, one put for each element, end; check buf.overflow. */
void db_array_begin(struct buf *);
void db_array_put(struct buf *, const char *text); /* NULL is a NULL element */
void db_array_put_int(struct buf *, int64_t);
void db_array_end(struct buf *);

/*
 * The same in binary form, which costs the server much less to read: for many rows. The parameter's type must be an
 * array of the list's type.
 */
enum db_type { DB_TYPE_UUID, DB_TYPE_TEXT, DB_TYPE_SMALLINT, DB_TYPE_INTEGER, DB_TYPE_BIGINT, DB_TYPE_TIME, DB_TYPE_MAX };
struct db_list {
	enum db_type type;
	int count;
	bool nulls;
	struct buf bytes;
};
void db_list_init(struct db_list *, enum db_type, size_t max);
void db_list_fini(struct db_list *);
void db_list_put_null(struct db_list *);
/* Of UUIDs, as PostgreSQL writes them, or texts; NULL is a NULL element. */
void db_list_put(struct db_list *, const char *);
/* Of numbers, which fit the type, or times in microseconds since 1970. */
void db_list_put_int(struct db_list *, int64_t);
/* Ends the list and adds it to the parameters, which borrow it. False when it grew beyond its maximum. */
bool db_param_list(struct db_params *, struct db_list *);

#endif
