#ifndef BASE_COUNTER_H
#define BASE_COUNTER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Counters of all processes of a program, in memory that they share: each process has a slot of its own, to which it
 * adds without a lock, and anybody sums over the slots.  A process that takes the place of one that died goes on in
 * its slot, so a sum of counters never goes back as long as the supervisor lives.
 */

enum counter {
#define COUNTER(NAME, ...) COUNTER_##NAME,
#include "base/counter.def"
#undef COUNTER
	COUNTER_MAX
};

enum counter_type { COUNTER_TYPE_COUNT, COUNTER_TYPE_SECONDS, COUNTER_TYPE_GAUGE };
enum counter_program { COUNTER_PROGRAM_API = 1, COUNTER_PROGRAM_SENDERD = 2, COUNTER_PROGRAM_BOTH = 3 };

struct counter_row {
	const char *name;
	const char *metric;
	enum counter_type type;
	enum counter_program program;
	const char *labels; /* as in the exposition: service="scheduler"; "" for none */
	const char *help;   /* "" but in the first row of a metric */
};
extern const struct counter_row counter_rows[COUNTER_MAX];

/*
 * Call it in the supervisor before the first fork: room for slots processes, each with the counters of the table and
 * `more` behind them, whose meaning is the caller's. 0, or -1, logged. Without it a process counts for itself.
 */
int counter_init(int slots, size_t more);
/*
 * In a child: from now on it counts in this slot, 0 .. slots - 1. Its gauges are 0, and it alone sets them: what the
 * process before it says of itself at its end, or one that it forks, is not heard.
 */
void counter_join(int slot);

/* May be called with any number below COUNTER_MAX plus `more`; others are not counted. */
void counter_add(size_t counter, uint64_t n);
void counter_set(size_t counter, uint64_t value);

/* How many there are, with those behind the table. */
size_t counter_count(void);
/* Adds the values of all slots up into sums, which has counter_count() places; gauges of processes that live. */
void counter_sum(uint64_t *sums);
/* The processes that counted last in each slot, at most max; they need not live any more. How many. */
int counter_processes(pid_t *out, int max);

#endif
