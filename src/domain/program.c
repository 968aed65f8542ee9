#include "config.h"

#include "domain/program.h"

#include "base/boundary.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/settings.h"
#include "domain/schema.h"
#include "domain/zone.h"
#include "io/db.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

/* Room for the names of all boundaries. */
#define ERROR_SIZE 4096
#define STATEMENT_TIMEOUT_MS 5000

/* After each load: the clock borrows its setting. */
static void take_settings(void)
{
	clock_init(setting_str(SETTING_CLOCK_FILE));
	log_configure((enum log_level)setting_int(SETTING_LOG_LEVEL), (enum log_format)setting_int(SETTING_LOG_FORMAT));
	log_to((enum log_target)setting_int(SETTING_LOG_TO), setting_str(SETTING_SYSLOG_SOCKET));
}

int program_reload(void)
{
	char error[ERROR_SIZE];

	if (settings_reload(error, sizeof error) != 0) {
		log_err("bad configuration", log_str("error", error));
		return -1;
	}
	take_settings();
	return 0;
}

/* A database that is away is no reason not to start. One whose schema is too old is. */
static int check_schema(const struct program *program)
{
	const struct db_config config = {
		.conninfo = setting_str_or(program->database, SETTING_DATABASE),
		.application_name = program->name,
		.statement_timeout_ms = STATEMENT_TIMEOUT_MS,
	};
	struct db *db = db_create(&config);
	int rc = 0;

	if (db_is_up(db))
		rc = schema_check(db);
	else
		log_warn("the database is away; starting all the same", log_str("meanwhile", program->meanwhile));
	/* Before the fork: a connection must not be shared. */
	db_free(db);
	return rc;
}

int program_begin(const struct program *program)
{
	if (proc_drop_privileges(setting_str(SETTING_USER)) != 0 || check_schema(program) != 0)
		return -1;
	zone_check();
	log_info("starting", log_str("version", PACKAGE_VERSION), log_str("settings", settings_path()));
	return 0;
}

void program_raise_file_limit(rlim_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
		log_warn("the limit of open files is lower than wanted", log_int("limit", (int64_t)limit.rlim_cur), log_int("wanted", (int64_t)wanted));
}

static int usage(const struct program *program)
{
	fprintf(stderr, "usage: %s [-c file] [-t]\n       %s -V\n", program->name, program->name);
	return 2;
}

int program_main(const struct program *program, int argc, char **argv)
{
	const char *path = NULL;
	bool test = false;
	char error[ERROR_SIZE];
	int option;

	proc_block_signals();
	log_init(program->name);
	while ((option = getopt(argc, argv, "c:tV")) != -1)
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 't':
			test = true;
			break;
		case 'V':
			printf("%s %s\n", program->name, PACKAGE_VERSION);
			return 0;
		default:
			return usage(program);
		}
	if (optind != argc)
		return usage(program);
	if (settings_load(path, error, sizeof error) != 0)
		log_fatal("bad configuration", log_str("error", error));
	if (boundary_init(setting_str(SETTING_DEBUG_DIE_AT), error, sizeof error) != 0)
		log_fatal("bad configuration", log_str("error", error));
	if (test) {
		printf("configuration %s is good\n", *settings_path() != '\0' ? settings_path() : "(defaults)");
		return 0;
	}
	take_settings();
	return program->run(program);
}
