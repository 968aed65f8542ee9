#include "config.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/settings.h"
#include "domain/scheduler_call.h"
#include "domain/schema.h"
#include "domain/zone.h"
#include "io/db.h"
#include "io/fetch.h"
#include "senderd/dispatcher.h"
#include "senderd/keeper.h"
#include "senderd/sender.h"
#include "senderd/syncer.h"
#include "senderd/wake.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* Descriptors beside those of calls under way. libzmq aborts when it runs out of them. */
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

static void take_settings(void)
{
	clock_init(setting_str(SETTING_CLOCK_FILE));
	log_configure((enum log_level)setting_int(SETTING_LOG_LEVEL), (enum log_format)setting_int(SETTING_LOG_FORMAT));
}

static int reload(void)
{
	char error[512];

	if (settings_reload(error, sizeof error) != 0) {
		log_err("bad configuration", log_str("error", error));
		return -1;
	}
	take_settings();
	generation++;
	return 0;
}

/* A database that is away is no reason not to start: all waits for it. One whose schema is too old is. */
static int check_schema(void)
{
	const struct db_config config = {.conninfo = setting_str(SETTING_DATABASE), .application_name = "sbm-senderd", .statement_timeout_ms = 5000};
	struct db *db = db_create(&config);
	int rc = 0;

	if (db_is_up(db))
		rc = schema_check(db);
	else
		log_warn("the database is away; starting all the same, and waiting for it");
	/* Before the fork: a connection must not be shared. */
	db_free(db);
	return rc;
}

static void raise_file_limit(void)
{
	rlim_t wanted = (rlim_t)(2 * setting_int(SETTING_CONCURRENCY) + FILES_BESIDE);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
		log_warn("the limit of open files is low for this concurrency", log_int("limit", (int64_t)limit.rlim_cur), log_int("wanted", (int64_t)wanted));
}

static int supervise(void)
{
	static const struct proc_group groups[] = {
		{"dispatcher", one, run_dispatcher},
		{"keeper", one, run_keeper},
		{"sender", count_senders, sender_run},
		{"syncer", count_syncers, run_syncer},
		{0},
	};
	const struct proc_config config = {.groups = groups, .reload = reload, .drain_ms = drain_ms};

	raise_file_limit();
	if (fetch_check() != 0 || wake_init() != 0 || proc_drop_privileges(setting_str(SETTING_USER)) != 0 || check_schema() != 0)
		return 1;
	zone_check();
	log_info("starting", log_str("version", PACKAGE_VERSION), log_str("settings", settings_path()));
	return proc_run(&config);
}

static int usage(void)
{
	fputs("usage: sbm-senderd [-c file] [-t]\n       sbm-senderd -V\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const char *path = NULL;
	bool test = false;
	char error[512];
	int option;

	proc_block_signals();
	log_init("sbm-senderd");
	while ((option = getopt(argc, argv, "c:tV")) != -1)
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 't':
			test = true;
			break;
		case 'V':
			puts("sbm-senderd " PACKAGE_VERSION);
			return 0;
		default:
			return usage();
		}
	if (optind != argc)
		return usage();
	if (settings_load(path, error, sizeof error) != 0)
		log_fatal("bad configuration", log_str("error", error));
	if (test) {
		printf("configuration %s is good\n", *settings_path() != '\0' ? settings_path() : "(defaults)");
		return 0;
	}
	take_settings();
	return supervise();
}
