#include "config.h"

#include "base/counter.h"

#include "base/assert.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINE 64

const struct counter_row counter_rows[COUNTER_MAX] = {
#define COUNTER(NAME, METRIC, TYPE, PROGRAM, LABELS, HELP) {#NAME, METRIC, COUNTER_TYPE_##TYPE, COUNTER_PROGRAM_##PROGRAM, LABELS, HELP},
#include "base/counter.def"
#undef COUNTER
};

/* In lines of their own, so that processes do not fight for them. */
struct slot {
	_Atomic pid_t process; /* 0: nobody has been here */
	_Alignas(LINE) _Atomic uint64_t values[];
};

/* Where a process counts that has joined no slot. */
static _Alignas(LINE) char lonely[sizeof(struct slot) + COUNTER_MAX * sizeof(uint64_t)];
#define LONELY ((struct slot *)(void *)lonely)

static char *shared;
static size_t stride, count = COUNTER_MAX;
static int slots;
static struct slot *own = LONELY;

static struct slot *slot_at(int i)
{
	return shared ? (struct slot *)(void *)(shared + (size_t)i * stride) : LONELY;
}

int counter_init(int slots_wanted, size_t more)
{
	size_t size = sizeof(struct slot) + (COUNTER_MAX + more) * sizeof(own->values[0]);

	SBM_ASSERT(!shared && slots_wanted > 0);
	stride = (size + LINE - 1) / LINE * LINE;
	/* Only pages that are used take memory. */
	shared = mmap(NULL, (size_t)slots_wanted * stride, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (shared == MAP_FAILED) {
		shared = NULL;
		log_err("could not map memory for the counters", log_errno());
		return -1;
	}
	slots = slots_wanted;
	count = COUNTER_MAX + more;
	return 0;
}

void counter_join(int slot)
{
	SBM_ASSERT(shared && slot >= 0 && slot < slots);
	own = slot_at(slot);
	/* From here on the one that was here before sets no gauge any more. */
	atomic_store_explicit(&own->process, getpid(), memory_order_relaxed);
	for (size_t i = 0; i < COUNTER_MAX; i++)
		if (counter_rows[i].type == COUNTER_TYPE_GAUGE)
			counter_set(i, 0);
	counter_add(COUNTER_PROCESS_STARTS, 1);
}

void counter_add(size_t counter, uint64_t n)
{
	/* At a reload the old process and the new one count in the same slot for a while, so a plain store would not do. */
	if (counter < (own == LONELY ? COUNTER_MAX : count))
		atomic_fetch_add_explicit(&own->values[counter], n, memory_order_relaxed);
}

void counter_set(size_t counter, uint64_t value)
{
	/* After a reload the old process ends in the slot of the new one, and its helpers are in it too. */
	if (own != LONELY && atomic_load_explicit(&own->process, memory_order_relaxed) != getpid())
		return;
	if (counter < (own == LONELY ? COUNTER_MAX : count))
		atomic_store_explicit(&own->values[counter], value, memory_order_relaxed);
}

size_t counter_count(void)
{
	return count;
}

void counter_sum(uint64_t *sums)
{
	memset(sums, 0, count * sizeof *sums);
	for (int i = 0; i < slots; i++) {
		const struct slot *slot = slot_at(i);
		pid_t process = atomic_load_explicit(&slot->process, memory_order_relaxed);
		bool gone = process != 0 && kill(process, 0) != 0 && errno == ESRCH;

		if (process == 0)
			continue;
		/* What one that is gone had in hand is in nobody's. */
		for (size_t n = 0; n < count; n++)
			if (!gone || n >= COUNTER_MAX || counter_rows[n].type != COUNTER_TYPE_GAUGE)
				sums[n] += atomic_load_explicit(&slot->values[n], memory_order_relaxed);
	}
}

int counter_processes(pid_t *out, int max)
{
	int found = 0;

	for (int i = 0; i < slots && found < max; i++) {
		pid_t process = atomic_load_explicit(&slot_at(i)->process, memory_order_relaxed);

		if (process != 0)
			out[found++] = process;
	}
	return found;
}
