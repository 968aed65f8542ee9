#include "base/counter.h"

#include "tap.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS 3
#define MORE 5
#define TIMES 20000
#define LAST (COUNTER_MAX + MORE - 1)

static uint64_t sums[COUNTER_MAX + MORE];

static uint64_t sum(size_t counter)
{
	counter_sum(sums);
	return sums[counter];
}

/* A process that counts in a slot. */
static pid_t start(int slot, int times)
{
	pid_t child = fork();

	if (child != 0)
		return child;
	counter_join(slot);
	for (int i = 0; i < times; i++) {
		counter_add(COUNTER_DB_STATEMENTS, 1);
		counter_add(LAST, 2);
	}
	counter_set(COUNTER_HTTP_BUSY, 1);
	_exit(0);
}

static void table_is_whole(void)
{
	const char *metric = "";
	int bad = 0;

	for (size_t i = 0; i < COUNTER_MAX; i++) {
		const struct counter_row *row = &counter_rows[i];
		size_t length = strlen(row->metric);
		bool is_total = length > 6 && strcmp(row->metric + length - 6, "_total") == 0;

		/* The first row of a metric, and no other, says what it is. */
		bad += (strcmp(row->metric, metric) != 0) != (*row->help != '\0');
		bad += is_total != (row->type != COUNTER_TYPE_GAUGE);
		for (size_t k = 0; k < i; k++)
			bad += strcmp(row->metric, counter_rows[k].metric) == 0 && strcmp(row->labels, counter_rows[k].labels) == 0;
		metric = row->metric;
	}
	is_int(bad, 0, "each row of the table says what it is, once");
}

int main(void)
{
	pid_t children[4], processes[SLOTS + 1];

	table_is_whole();
	counter_add(COUNTER_DB_STATEMENTS, 7);
	counter_add(LAST, 7);
	ok(counter_count() == COUNTER_MAX, "by itself a process has the counters of the table");
	ok(counter_init(SLOTS, MORE) == 0, "memory for all");
	ok(counter_count() == COUNTER_MAX + MORE, "and for more");
	ok(sum(COUNTER_DB_STATEMENTS) == 0, "what was counted before is the process's own");

	/* Two at once in one slot, as at a reload. */
	for (int i = 0; i < 4; i++)
		children[i] = start(i % SLOTS, TIMES);
	for (int i = 0; i < 4; i++)
		waitpid(children[i], NULL, 0);
	is_int((int64_t)sum(COUNTER_DB_STATEMENTS), 4 * TIMES, "nothing is lost, with two in one slot either");
	is_int((int64_t)sum(LAST), 8 * TIMES, "behind the table neither");
	is_int((int64_t)sum(COUNTER_PROCESS_STARTS), 4, "processes that have joined");
	is_int((int64_t)sum(COUNTER_HTTP_BUSY), 0, "gauges of those that have ended count no more");
	is_int(counter_processes(processes, SLOTS + 1), SLOTS, "the processes of all slots");

	children[0] = start(0, TIMES);
	waitpid(children[0], NULL, 0);
	is_int((int64_t)sum(COUNTER_DB_STATEMENTS), 5 * TIMES, "who takes the place of another goes on there");
	children[0] = fork();
	if (children[0] == 0) {
		counter_join(0);
		counter_add(COUNTER_MAX + MORE, 1);
		raise(SIGKILL);
	}
	waitpid(children[0], NULL, 0);
	is_int((int64_t)sum(COUNTER_DB_STATEMENTS), 5 * TIMES, "and when it is killed, what it counted stays");
	counter_join(1);
	is_int((int64_t)sum(COUNTER_HTTP_BUSY), 0, "who takes a place begins with nothing in hand");
	counter_set(COUNTER_HTTP_BUSY, 1);
	is_int((int64_t)sum(COUNTER_HTTP_BUSY), 1, "and shows what it has");
	children[0] = fork();
	if (children[0] == 0) {
		counter_set(COUNTER_HTTP_BUSY, 0);
		counter_add(COUNTER_DB_STATEMENTS, 1);
		_exit(0);
	}
	waitpid(children[0], NULL, 0);
	is_int((int64_t)sum(COUNTER_HTTP_BUSY), 1, "another process in its place sets no gauge");
	is_int((int64_t)sum(COUNTER_DB_STATEMENTS), 5 * TIMES + 1, "but counts");
	return tap_done();
}
