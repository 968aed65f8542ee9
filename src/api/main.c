#include "config.h"

#include "api/routes.h"
#include "api/worker.h"
#include "base/counter.h"
#include "base/proc.h"
#include "base/settings.h"
#include "domain/program.h"
#include "io/fcgi.h"
#include "rest/account.h"

#include <stddef.h>
#include <stdint.h>

/* Descriptors that a worker may need: its kept connections and some more. */
#define FILES_WANTED 4096
/* Bound of the settings api_workers and api_workers_slow. */
#define WORKERS_MAX 256

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
	counter_join(index);
	return worker_run(listener, false);
}

static int run_slow_worker(int index)
{
	counter_join(WORKERS_MAX + index);
	return worker_run(listener_slow, true);
}

static int64_t drain_ms(void)
{
	return setting_int(SETTING_DRAIN_TIMEOUT);
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

static int supervise(const struct program *program)
{
	static const struct proc_group groups[] = {
		{"api", count_workers, run_worker},
		{"api-slow", count_slow_workers, run_slow_worker},
		{0},
	};
	const struct proc_config config = {.groups = groups, .reload = program_reload, .drain_ms = drain_ms};

	program_raise_file_limit(FILES_WANTED);
	if (counter_init(2 * WORKERS_MAX, account_counters(api_routes)) != 0 || listen_both() != 0 || program_begin(program) != 0)
		return 1;
	return proc_run(&config);
}

int main(int argc, char **argv)
{
	static const struct program program = {"sbm-api", SETTING_DATABASE_API, "answering 503 until it is there", supervise};

	return program_main(&program, argc, argv);
}
