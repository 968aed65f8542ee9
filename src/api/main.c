#include "config.h"

#include "api/worker.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/settings.h"
#include "domain/schema.h"
#include "domain/zone.h"
#include "io/db.h"
#include "io/fcgi.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* Descriptors that a worker may need: its kept connections and some more. */
#define FILES_WANTED 4096

/*
 * The supervisor: binds both sockets, gives up root and keeps the workers.  Workers are forked, not executed
 * anew, so that one that is started again has the settings that the supervisor holds to be good, not those
 * of a file that somebody is just editing.
 */
static int listener, listener_slow;

static int count_workers(void)
{
	return (int)setting_int(SETTING_API_WORKERS);
}

static int count_slow_workers(void)
{
	return (int)setting_int(SETTING_API_WORKERS_SLOW);
}

static int run_worker(int index)
{
	(void)index;
	return worker_run(listener);
}

static int run_slow_worker(int index)
{
	(void)index;
	return worker_run(listener_slow);
}

static int64_t drain_ms(void)
{
	return setting_int(SETTING_DRAIN_TIMEOUT);
}

/* After each load: the clock borrows its setting. */
static void take_settings(void)
{
	clock_init(setting_str(SETTING_CLOCK_FILE));
	log_configure((enum log_level)setting_int(SETTING_LOG_LEVEL), (enum log_format)setting_int(SETTING_LOG_FORMAT));
}

static int reload(void)
{
	char error[512];

	if (settings_reload(error, sizeof(error)) != 0) {
		log_err("bad configuration", log_str("error", error));
		return -1;
	}
	take_settings();
	return 0;
}

static int listen_both(void)
{
	int backlog = (int)setting_int(SETTING_API_BACKLOG);
	const char *group = setting_str(SETTING_API_SOCKET_GROUP);

	listener = fcgi_listen(setting_str(SETTING_API_SOCKET), backlog, group);
	if (listener < 0)
		return -1;
	listener_slow = fcgi_listen(setting_str(SETTING_API_SOCKET_SLOW), backlog, group);
	return listener_slow < 0 ? -1 : 0;
}

/*
 * A database that is away is no reason not to start: workers answer 503 until it is there. One whose schema
 * is too old is.
 */
static int check_schema(void)
{
	struct db_config config = {.conninfo = setting_str(SETTING_DATABASE), .application_name = "sbm-api", .statement_timeout_ms = 5000};
	struct db *db = db_create(&config);
	int rc = 0;

	if (db_is_up(db))
		rc = schema_check(db);
	else
		log_warn("the database is away; starting all the same, and answering 503 until it is there");
	/* Before the fork: a connection must not be shared with workers. */
	db_free(db);
	return rc;
}

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= FILES_WANTED)
		return;
	limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max : FILES_WANTED;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		log_warn("could not raise the limit of open files", log_errno());
}

static int supervise(void)
{
	static const struct proc_group groups[] = {
		{"api", count_workers, run_worker},
		{"api-slow", count_slow_workers, run_slow_worker},
		{0},
	};
	const struct proc_config config = {.groups = groups, .reload = reload, .drain_ms = drain_ms};

	raise_file_limit();
	if (listen_both() != 0 || proc_drop_privileges(setting_str(SETTING_USER)) != 0 || check_schema() != 0)
		return 1;
	zone_check();
	log_info("starting", log_str("version", PACKAGE_VERSION), log_str("settings", settings_path()));
	return proc_run(&config);
}

static int usage(void)
{
	fputs("usage: sbm-api [-c file] [-t]\n       sbm-api -V\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const char *path = NULL;
	bool test = false;
	char error[512];
	int option;

	proc_block_signals();
	log_init("sbm-api");
	while ((option = getopt(argc, argv, "c:tV")) != -1)
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 't':
			test = true;
			break;
		case 'V':
			puts("sbm-api " PACKAGE_VERSION);
			return 0;
		default:
			return usage();
		}
	if (optind != argc)
		return usage();
	if (settings_load(path, error, sizeof(error)) != 0)
		log_fatal("bad configuration", log_str("error", error));
	if (test) {
		printf("configuration %s is good\n", *settings_path() != '\0' ? settings_path() : "(defaults)");
		return 0;
	}
	take_settings();
	return supervise();
}
