#include "config.h"

#include "base/counter.h"
#include "base/proc.h"
#include "base/settings.h"
#include "domain/program.h"
#include "domain/scheduler_call.h"
#include "io/fetch.h"
#include "senderd/audio.h"
#include "senderd/dispatcher.h"
#include "senderd/keeper.h"
#include "senderd/meter.h"
#include "senderd/metrics.h"
#include "senderd/sender.h"
#include "senderd/syncer.h"
#include "senderd/tally.h"
#include "senderd/wake.h"
#include "senderd/watch.h"

#include <stddef.h>
#include <stdint.h>

/* Descriptors beside those of calls under way. */
#define FILES_BESIDE 128

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

/* The slots of the counters. */
enum { SLOT_DISPATCHER, SLOT_KEEPER, SLOT_SYNCER, SLOT_METER, SLOT_AUDIO, SLOT_METRICS, SLOT_SENDERS, SLOTS = SLOT_SENDERS + WAKE_SENDERS };

static int run_dispatcher(int index)
{
	counter_join(SLOT_DISPATCHER + index);
	return dispatcher_run(generation);
}

static int run_keeper(int index)
{
	counter_join(SLOT_KEEPER + index);
	return keeper_run();
}

static int count_syncers(void)
{
	return scheduler_is_external();
}

static int run_syncer(int index)
{
	counter_join(SLOT_SYNCER + index);
	return syncer_run();
}

static int run_meter(int index)
{
	counter_join(SLOT_METER + index);
	return meter_run();
}

static int run_sender(int index)
{
	counter_join(SLOT_SENDERS + index);
	return sender_run(index);
}

static int count_audio(void)
{
	return audio_is_copied();
}

static int run_audio(int index)
{
	counter_join(SLOT_AUDIO + index);
	return audio_run();
}

static int count_metrics(void)
{
	return metrics_are_posted();
}

static int run_metrics(int index)
{
	counter_join(SLOT_METRICS + index);
	return metrics_run();
}

static int64_t drain_ms(void)
{
	return setting_int(SETTING_DRAIN_TIMEOUT) + SENDER_WRITE_BACK_MS;
}

static int reload(void)
{
	if (program_reload() != 0)
		return -1;
	generation++;
	tally_count_reload();
	return 0;
}

static int supervise(const struct program *program)
{
	static const struct proc_group groups[] = {
		{"dispatcher", one, run_dispatcher},
		{"keeper", one, run_keeper},
		{"sender", count_senders, run_sender},
		{"syncer", count_syncers, run_syncer},
		{"meter", one, run_meter},
		{"audio", count_audio, run_audio},
		{"metrics", count_metrics, run_metrics},
		{0},
	};
	const struct proc_config config = {.groups = groups, .reload = reload, .drain_ms = drain_ms};
	int rc;

	/* libzmq aborts when it runs out of them. */
	program_raise_file_limit((rlim_t)(2 * setting_int(SETTING_CONCURRENCY) + FILES_BESIDE));
	if (fetch_check() != 0 || wake_init() != 0 || counter_init(SLOTS, 0) != 0 || meter_init() != 0 || tally_init() != 0
	    || watch_init() != 0 || program_begin(program) != 0)
		return 1;
	rc = proc_run(&config);
	meter_close();
	return rc;
}

int main(int argc, char **argv)
{
	static const struct program program = {"sbm-senderd", SETTING_DATABASE_SENDERD, "waiting for it", supervise};

	return program_main(&program, argc, argv);
}
