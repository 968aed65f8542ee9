#include "config.h"

#include "base/log.h"
#include "base/proc.h"
#include "tap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * A supervisor runs in a process of its own; its children report into a pipe: "+pid" when they start,
 * "-pid" when they end because they were asked to.
 */
static int report[2];
static int count = 2;
static bool stubborn, crashing, bad_reload;
static int64_t drain = 10000;

static void say(char what)
{
	char text[32];

	if (write(report[1], text, (size_t)snprintf(text, sizeof(text), "%c%d\n", what, (int)getpid())) < 0)
		_exit(9);
}

static int run_child(int index)
{
	(void)index;
	proc_child_signals();
	say('+');
	if (crashing)
		return 3;
	while (!proc_stopping() || stubborn)
		ppoll(NULL, 0, NULL, proc_wait_mask());
	say('-');
	return 0;
}

static int get_count(void)
{
	return count;
}

static int reload(void)
{
	count = 3;
	return bad_reload ? -1 : 0;
}

static int64_t get_drain(void)
{
	return drain;
}

static pid_t start(void)
{
	static const struct proc_group groups[] = {{"unit-child", get_count, run_child}, {0}};
	static const struct proc_config config = {groups, reload, get_drain};
	pid_t pid;

	if (pipe(report))
		exit(99);
	pid = fork();
	if (pid == 0) {
		log_configure(LOG_LEVEL_ERR, LOG_FORMAT_LOGFMT);
		exit(proc_run(&config));
	}
	close(report[1]);
	return pid;
}

/* The next report's pid, negative when it ended; 0 when none comes in 10 s. */
static int next_report(void)
{
	struct pollfd pfd = {.fd = report[0], .events = POLLIN};
	char text[32] = "";
	size_t n = 0;

	while (n < sizeof(text) - 1) {
		if (poll(&pfd, 1, 10000) <= 0 || read(report[0], text + n, 1) != 1)
			return 0;
		if (text[n++] == '\n')
			break;
	}
	return *text == '+' ? atoi(text + 1) : -atoi(text + 1);
}

static int finish(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	close(report[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_drain(void)
{
	pid_t pid = start();
	int a = next_report(), b = next_report(), c;

	ok(a > 0 && b > 0 && a != b, "as many children as are wanted");
	kill(a, SIGKILL);
	c = next_report();
	ok(c > 0 && c != a && c != b, "a dead one is started again");
	kill(pid, SIGTERM);
	ok(next_report() < 0 && next_report() < 0, "TERM asks both to end");
	is_int(finish(pid), 0, "and the status is 0");
}

static void test_reload(void)
{
	pid_t pid;
	int a, b, started = 0;

	bad_reload = true;
	pid = start();
	a = next_report();
	b = next_report();
	kill(pid, SIGHUP);
	kill(a, SIGKILL);
	ok(next_report() > 0, "after a bad reload the old generation goes on");
	kill(pid, SIGTERM);
	finish(pid);

	bad_reload = false;
	pid = start();
	a = next_report();
	b = next_report();
	kill(pid, SIGHUP);
	while (started < 3 && next_report() > 0)
		started++;
	is_int(started, 3, "HUP starts a new generation, of the number that is wanted now");
	started = next_report();
	ok(started == -a || started == -b, "and asks the old one to end afterwards");
	next_report();
	kill(pid, SIGTERM);
	ok(next_report() < 0 && next_report() < 0 && next_report() < 0, "TERM ends the new one");
	is_int(finish(pid), 0, "with status 0");
	count = 2;
}

static void test_kill(void)
{
	pid_t pid;

	stubborn = true;
	drain = 100;
	pid = start();
	next_report();
	next_report();
	kill(pid, SIGTERM);
	is_int(finish(pid), 1, "children that do not end in time are killed, and the status is 1");

	drain = 600000;
	pid = start();
	next_report();
	next_report();
	kill(pid, SIGTERM);
	kill(pid, SIGINT);
	is_int(finish(pid), 1, "a second signal kills at once");
	stubborn = false;
	drain = 10000;
}

static void test_orphans(void)
{
	pid_t pid = start();
	int a = next_report(), b = next_report(), c, d;

	kill(pid, SIGKILL);
	c = next_report();
	d = next_report();
	ok((c == -a && d == -b) || (c == -b && d == -a), "children end when the supervisor is killed");
	is_int(finish(pid), -SIGKILL, "which it was");
}

static void test_backoff(void)
{
	pid_t pid;
	struct timespec before, after;
	int64_t took;

	crashing = true;
	count = 1;
	clock_gettime(CLOCK_MONOTONIC, &before);
	pid = start();
	for (int i = 0; i < 4; i++)
		next_report();
	clock_gettime(CLOCK_MONOTONIC, &after);
	took = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	ok(took >= 690, "a child that dies at once is started again after 100, 200, 400 ms");
	kill(pid, SIGTERM);
	is_int(finish(pid), 0, "TERM ends the supervisor when no child is there");
	crashing = false;
	count = 2;
}

static void test_notify(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "test_proc.notify"};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char text[64] = "", *path;

	unlink(address.sun_path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		exit(99);
	setenv("NOTIFY_SOCKET", "test_proc.notify", 1);
	proc_notify("READY=1");
	ok(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "a path that is not absolute is ignored");
	path = realpath("test_proc.notify", NULL);
	setenv("NOTIFY_SOCKET", path, 1);
	free(path);
	proc_notify("READY=1");
	ok(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT) > 0, "the service manager is told");
	is_str(text, "READY=1", "what it wants to hear");
	unsetenv("NOTIFY_SOCKET");
	proc_notify("READY=1");
	unlink(address.sun_path);
	close(fd);
}

int main(void)
{
	log_init("test_proc");
	proc_block_signals();
	test_drain();
	test_reload();
	test_kill();
	test_orphans();
	test_backoff();
	test_notify();
	return tap_done();
}
