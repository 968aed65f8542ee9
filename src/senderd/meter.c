#include "config.h"

#include "senderd/meter.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/boundary.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/proc.h"
#include "base/settings.h"
#include "io/db.h"
#include "io/digest.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STORE_MS 2000
/* Without anything new the row is touched so often: one that is a minute old counts as that of a daemon that is away. */
#define TOUCH_MS 15000
#define FOLD_MS 3600000
#define DB_WAIT_MS 1000
#define LOCK_TIMEOUT_MS 5000
#define CLOSE_TIMEOUT_MS 5000
#define NAMES_MAX 65536
/* Counting takes a tenth of the time at most. */
#define REST 9

/* What the daemon's row in daemon_total holds; it outlives the process that wrote it. */
static struct book {
	_Atomic pid_t writer;         /* the one that may store: after a reload the new one */
	bool known;                   /* there is a row */
	char id[UUID_TEXT_SIZE];
	uint64_t stored[COUNTER_MAX]; /* sums when it was last written */
	uint64_t before[COUNTER_MAX]; /* what an earlier row of this daemon has taken already */
} *book;

int meter_init(void)
{
	book = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (book == MAP_FAILED) {
		log_err("could not map memory for the counts", log_errno());
		return -1;
	}
	uuid_generate(book->id);
	return 0;
}

static void put_totals(const uint64_t *sums, struct buf *names, struct buf *totals)
{
	db_array_begin(names);
	db_array_begin(totals);
	for (size_t i = 0; i < COUNTER_MAX; i++) {
		uint64_t total = sums[i] - (counter_rows[i].type == COUNTER_TYPE_GAUGE ? 0 : book->before[i]);

		if (!(counter_rows[i].program & COUNTER_PROGRAM_SENDERD) || total == 0)
			continue;
		db_array_put(names, counter_rows[i].name);
		db_array_put_int(totals, (int64_t)total);
	}
	db_array_end(names);
	db_array_end(totals);
	SBM_ASSERT(!names->overflow && !totals->overflow);
}

static enum db_status store_row(struct db *db, const char *daemon, const uint64_t *sums, bool *stored)
{
	struct db_result *result = NULL;
	struct buf names, totals;
	struct db_params params;
	enum db_status status;

	buf_init(&names, NAMES_MAX);
	buf_init(&totals, NAMES_MAX);
	put_totals(sums, &names, &totals);
	db_params_init(&params);
	db_param_text(&params, book->id);
	db_param_text(&params, daemon);
	db_param_bool(&params, book->known);
	db_param_text(&params, buf_text(&names));
	db_param_text(&params, buf_text(&totals));
	status = db_query(db, DB_Q_DAEMON_TOTAL_STORE, &params, &result);
	boundary_pass(BOUNDARY_METER_STORED);
	*stored = status == DB_OK && db_affected(result) == 1;
	db_result_free(result);
	buf_fini(&names);
	buf_fini(&totals);
	return status;
}

/* Stores the sums as they are now; supervisor: the process whose name the daemon has. */
static enum db_status store(struct db *db, pid_t supervisor, const uint64_t *sums)
{
	char host[256] = "", daemon[300];
	enum db_status status = DB_OK;
	bool stored = false;

	gethostname(host, sizeof host - 1);
	snprintf(daemon, sizeof daemon, "%s:%ld", host, (long)supervisor);
	while (status == DB_OK && !stored) {
		status = store_row(db, daemon, sums, &stored);
		if (status == DB_OK && !stored) {
			/* We were taken for gone, and what we had stored was added to the others': we go on from there. */
			memcpy(book->before, book->stored, sizeof book->before);
			uuid_generate(book->id);
			book->known = false;
		}
	}
	if (status == DB_OK) {
		memcpy(book->stored, sums, sizeof book->stored);
		book->known = true;
	}
	return status;
}

/* Adds the counts of those that are gone together; of the one with that id in any case. */
static enum db_status fold(struct db *db, const char *id)
{
	struct db_params params;
	enum db_status status = db_begin(db);

	if (status != DB_OK)
		return status;
	db_params_init(&params);
	db_param_text(&params, id);
	status = db_query(db, DB_Q_DAEMON_TOTAL_LOCK, NULL, NULL);
	if (status == DB_OK)
		status = db_query(db, DB_Q_DAEMON_TOTAL_FOLD, &params, NULL);
	if (status != DB_OK) {
		db_rollback(db);
		return status;
	}
	boundary_pass(BOUNDARY_METER_FOLD);
	status = db_commit(db);
	boundary_pass(BOUNDARY_METER_FOLDED);
	return status;
}

/* A measurement that one daemon makes for all. */
struct task {
	const char *name; /* in measurement_turn */
	enum setting interval;
	enum db_status (*measure)(struct db *);
};

static enum db_status measure_queue(struct db *db)
{
	return db_query(db, DB_Q_MEASUREMENT_QUEUE, NULL, NULL);
}

/* One that takes too long must not keep the others from being checked. */
static enum db_status measure_invariants(struct db *db)
{
	struct db_result *rules = NULL;
	enum db_status status = db_query(db, DB_Q_MEASUREMENT_INVARIANTS, NULL, &rules), worst = status;

	for (int i = 0; status != DB_UNAVAILABLE && i < db_rows(rules); i++) {
		struct db_params params;

		db_params_init(&params);
		db_param_text(&params, db_text(rules, i, 0));
		status = db_query(db, DB_Q_MEASUREMENT_INVARIANT, &params, NULL);
		if (status != DB_OK)
			worst = status;
	}
	db_result_free(rules);
	if (worst == DB_OK)
		worst = db_query(db, DB_Q_MEASUREMENT_FORGET, NULL, NULL);
	return worst;
}

static const struct task tasks[] = {
	{"queue", SETTING_COUNT_INTERVAL, measure_queue},
	{"invariants", SETTING_COUNT_INVARIANTS, measure_invariants},
};
#define TASKS (sizeof tasks / sizeof *tasks)

static enum db_status set_turn(struct db *db, enum db_query query, const char *name, int64_t ms, bool *ours)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, name);
	db_param_int(&params, ms);
	status = db_query(db, query, &params, &result);
	*ours = status == DB_OK && db_affected(result) == 1;
	db_result_free(result);
	return status;
}

/* Measures when it is our turn. Returns in how many milliseconds to look again. */
static int64_t tend(struct db *db, const struct task *task)
{
	int64_t interval = setting_int(task->interval), began = clock_monotonic_ms(), took;
	bool ours;

	/* Should we die, somebody else has his turn after this time. */
	if (set_turn(db, DB_Q_MEASUREMENT_TURN, task->name, interval + setting_int(SETTING_COUNT_TIMEOUT), &ours) != DB_OK)
		return DB_WAIT_MS;
	if (!ours)
		return interval;
	if (task->measure(db) != DB_OK)
		counter_add(COUNTER_COUNTS_FAILED, 1);
	boundary_pass(BOUNDARY_METER_MEASURED);
	took = clock_monotonic_ms() - began;
	interval = interval - took > REST * took ? interval - took : REST * took;
	set_turn(db, DB_Q_MEASUREMENT_TURN_END, task->name, interval, &ours);
	return interval;
}

struct meter {
	struct db *db;
	uint64_t sums[COUNTER_MAX];
	int64_t next_store_ms, touch_ms, next_fold_ms;
	int64_t next_task_ms[TASKS];
};

static void store_counts(struct meter *meter, int64_t now)
{
	meter->next_store_ms = now + STORE_MS;
	if (atomic_load(&book->writer) != getpid())
		return;
	counter_sum(meter->sums);
	if (now < meter->touch_ms && memcmp(meter->sums, book->stored, sizeof book->stored) == 0)
		return;
	if (store(meter->db, getppid(), meter->sums) == DB_OK)
		meter->touch_ms = now + TOUCH_MS;
}

static int64_t step(struct meter *meter)
{
	int64_t now = clock_monotonic_ms(), next;

	if (now >= meter->next_store_ms)
		store_counts(meter, now);
	if (now >= meter->next_fold_ms)
		meter->next_fold_ms = now + (fold(meter->db, NULL) == DB_OK ? FOLD_MS : DB_WAIT_MS);
	next = meter->next_store_ms;
	for (size_t i = 0; i < TASKS; i++) {
		if (setting_int(tasks[i].interval) == 0)
			continue;
		now = clock_monotonic_ms();
		if (now >= meter->next_task_ms[i])
			meter->next_task_ms[i] = now + tend(meter->db, &tasks[i]);
		if (meter->next_task_ms[i] < next)
			next = meter->next_task_ms[i];
	}
	return next;
}

static struct db *open_db(int64_t statement_timeout_ms)
{
	const struct db_config config = {
		.conninfo = setting_str_or(SETTING_DATABASE_SENDERD, SETTING_DATABASE),
		.application_name = "sbm-senderd meter",
		.statement_timeout_ms = statement_timeout_ms,
		.lock_timeout_ms = LOCK_TIMEOUT_MS,
	};

	return db_create(&config);
}

int meter_run(void)
{
	struct meter meter = {.db = open_db(setting_int(SETTING_COUNT_TIMEOUT))};

	/* Nothing is lost when it ends in the middle of a count, and nobody should have to wait for that. */
	proc_child_expendable();
	atomic_store(&book->writer, getpid());
	/* One that is older may just be storing. */
	meter.next_store_ms = clock_monotonic_ms() + STORE_MS / 2;
	for (;;) {
		int64_t wait = step(&meter) - clock_monotonic_ms();

		if (wait > 0)
			usleep((useconds_t)(wait < STORE_MS ? wait : STORE_MS) * 1000);
	}
}

void meter_close(void)
{
	struct db *db = open_db(CLOSE_TIMEOUT_MS);
	uint64_t sums[COUNTER_MAX];

	counter_sum(sums);
	if (store(db, getpid(), sums) != DB_OK || fold(db, book->id) != DB_OK)
		log_warn("the last counts for /metrics could not be stored");
	db_free(db);
}
