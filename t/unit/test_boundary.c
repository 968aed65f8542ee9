#include "base/boundary.h"
#include "tap.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_words(void)
{
	static const struct {
		const char *text;
		int expected;
		const char *says;
	} rows[] = {
		{"", 0, ""}, {"sender.claim", 0, ""}, {"sender.claim:3", 0, ""}, {"sender.claim:3:daemon", 0, ""}, {"api.insert:1:supervisor", 0, ""},
		{"sender.clam", -1, "there are: api.insert "}, {"sender", -1, "syncer.written"}, {"sender.claim:0", -1, "number"}, {"sender.claim:x", -1, "number"},
		{"sender.claim:", -1, "number"}, {"sender.claim:1:", -1, "process, supervisor or daemon"}, {"sender.claim:1:me", -1, "process, supervisor or daemon"},
		{"sender.claim:1:daemon:1", -1, "process, supervisor or daemon"}, {":1", -1, "names no boundary"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char error[4096] = "";

		is_int(boundary_init(rows[i].text, error, sizeof error), rows[i].expected, rows[i].text);
		ok(strstr(error, rows[i].says) != NULL, "with a word for it");
	}
}

/* A child that passes a boundary so many times: the signal that ended it, or 0. */
static int child(enum boundary boundary, int times)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		for (int i = 0; i < times; i++)
			boundary_pass(boundary);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* A supervisor with the number of a group, or without, whose child passes the boundary. */
static int supervisor(bool leads)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (leads)
			setpgid(0, 0);
		child(BOUNDARY_SENDER_CLAIM, 1);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_death(void)
{
	char error[4096];

	boundary_init("", error, sizeof error);
	is_int(child(BOUNDARY_SENDER_CLAIM, 10), 0, "without the setting nobody dies");
	boundary_init("sender.claim:3", error, sizeof error);
	is_int(child(BOUNDARY_SENDER_CLAIMED, 10), 0, "nor at another boundary");
	is_int(child(BOUNDARY_SENDER_CLAIM, 2), 0, "nor before the third time");
	is_int(child(BOUNDARY_SENDER_CLAIM, 1), SIGKILL, "which may be another process's first");
	is_int(child(BOUNDARY_SENDER_CLAIM, 10), 0, "and nobody else dies");
	boundary_init("sender.claim:1:supervisor", error, sizeof error);
	is_int(supervisor(false), SIGKILL, "the supervisor");
	boundary_init("sender.claim:1:daemon", error, sizeof error);
	is_int(supervisor(false), SIGKILL, "all of the daemon, in somebody else's group");
	boundary_init("sender.claim:1:daemon", error, sizeof error);
	is_int(supervisor(true), SIGKILL, "and in its own");
}

int main(void)
{
	test_words();
	test_death();
	return tap_done();
}
