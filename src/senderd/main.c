#include "config.h"

#include "base/proc.h"
#include "base/settings.h"
#include "domain/program.h"
#include "domain/scheduler_call.h"
#include "io/fetch.h"
#include "senderd/dispatcher.h"
#include "senderd/keeper.h"
#include "senderd/sender.h"
#include "senderd/syncer.h"
#include "senderd/wake.h"
#include "senderd/watch.h"

#include <stddef.h>
#include <stdint.h>

/* Descriptors beside those of calls under way. */
#define FILES_BESIDE 128
/* A sender gives up its calls by itself at the end of drain_timeout, and then still writes back. */
#define WRITE_BACK_MS 5000

/* Reloads so far. */
static int generation;

static int one(void)
{
	return 1;
}

static int count_senders(void)
{
	return (int)setting_int(SETTING_WORKERS);
}

static int run_dispatcher(int index)
{
	(void)index;
	return dispatcher_run(generation);
}

static int run_keeper(int index)
{
	(void)index;
	return keeper_run();
}

static int count_syncers(void)
{
	return scheduler_is_external();
}

static int run_syncer(int index)
{
	(void)index;
	return syncer_run();
}

static int64_t drain_ms(void)
{
	return setting_int(SETTING_DRAIN_TIMEOUT) + WRITE_BACK_MS;
}

static int reload(void)
{
	if (program_reload() != 0)
		return -1;
	generation++;
	return 0;
}

static int supervise(const struct program *program)
{
	static const struct proc_group groups[] = {
		{"dispatcher", one, run_dispatcher},
		{"keeper", one, run_keeper},
		{"sender", count_senders, sender_run},
		{"syncer", count_syncers, run_syncer},
		{0},
	};
	const struct proc_config config = {.groups = groups, .reload = reload, .drain_ms = drain_ms};

	/* libzmq aborts when it runs out of them. */
	program_raise_file_limit((rlim_t)(2 * setting_int(SETTING_CONCURRENCY) + FILES_BESIDE));
	if (fetch_check() != 0 || wake_init() != 0 || watch_init() != 0 || program_begin(program) != 0)
		return 1;
	return proc_run(&config);
}

int main(int argc, char **argv)
{
	static const struct program program = {"sbm-senderd", SETTING_DATABASE_SENDERD, "waiting for it", supervise};

	return program_main(&program, argc, argv);
}
