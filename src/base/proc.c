#include "config.h"

#include "base/proc.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LONG_LIVED_MS 10000
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000
/* The new generation gets so much of a start before the old one is asked to go. */
#define HANDOVER_MS 200

/* A place for one child. All times are clock_monotonic_ms. */
struct child {
	const struct proc_group *group;
	int index;
	pid_t pid;          /* 0: not running */
	bool old;           /* of a generation before: not started again */
	int64_t started_ms;
	int64_t wait_ms;    /* the last wait before a start; 0: none */
	int64_t start_ms;   /* when to start it, when it is not running */
	int64_t term_ms;    /* when to send TERM; 0: never */
	int64_t kill_ms;    /* when to send KILL; 0: never */
};

struct supervisor {
	const struct proc_config *config;
	struct child *children;
	int count;
	bool stopping;
	bool killed; /* a child did not end in time */
};

static volatile sig_atomic_t stopping;
static sigset_t wait_mask;

static void fill_signals(sigset_t *set)
{
	/* A fault of our own must not be blocked: it would kill without the core's being where it happened. */
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};

	sigfillset(set);
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++)
		sigdelset(set, faults[i]);
}

void proc_block_signals(void)
{
	static const int defaults[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
	sigset_t set;

	fill_signals(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	/* An inherited SIG_IGN of SIGCHLD would take the children's statuses away. */
	for (size_t i = 0; i < sizeof(defaults) / sizeof(*defaults); i++)
		signal(defaults[i], SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
}

static void note_stop(int number)
{
	(void)number;
	stopping = 1;
}

/* Handles what ends a child. Returns the mask that lets it in. */
static sigset_t handle_ends(void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler};
	sigset_t mask;

	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	fill_signals(&mask);
	sigdelset(&mask, SIGTERM);
	sigdelset(&mask, SIGINT);
	return mask;
}

void proc_child_signals(void)
{
	sigset_t set;

	wait_mask = handle_ends(note_stop);
	fill_signals(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

static void end_at_once(int number)
{
	(void)number;
	_exit(0);
}

void proc_child_expendable(void)
{
	sigset_t mask = handle_ends(end_at_once);

	sigprocmask(SIG_SETMASK, &mask, NULL);
}

bool proc_stopping(void)
{
	sigset_t pending;

	/* A child that is busy need not wait to be told. */
	if (!stopping && !sigpending(&pending) && (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1))
		stopping = 1;
	return stopping;
}

const void *proc_wait_mask(void)
{
	return &wait_mask;
}

static _Noreturn void run_child(const struct child *child, pid_t parent)
{
	char name[16];

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	/* The supervisor may have died before that. */
	if (getppid() != parent)
		_exit(1);
	snprintf(name, sizeof(name), "%s", child->group->name);
	prctl(PR_SET_NAME, name);
	exit(child->group->run(child->index));
}

/* The wait before the next start of a child that lived for so long. */
static int64_t next_wait(int64_t wait_ms, int64_t lived_ms)
{
	if (lived_ms > LONG_LIVED_MS)
		return 0;
	if (!wait_ms)
		return BACKOFF_MIN_MS;
	return wait_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : wait_ms * 2;
}

static void start_child(struct child *child)
{
	pid_t parent = getpid();
	int64_t now = clock_monotonic_ms();

	child->pid = fork();
	if (child->pid == 0)
		run_child(child, parent);
	if (child->pid < 0) {
		log_err("could not fork", log_str("group", child->group->name), log_errno());
		child->pid = 0;
		child->wait_ms = next_wait(child->wait_ms, 0);
		child->start_ms = now + child->wait_ms;
		return;
	}
	child->started_ms = now;
	log_debug("child started", log_str("group", child->group->name), log_int("index", child->index), log_int("child", child->pid));
}

static int wanted(const struct proc_config *config)
{
	int n = 0;

	for (const struct proc_group *group = config->groups; group->name; group++)
		n += group->count();
	return n;
}

/* Adds a place for each wanted child of a new generation, and starts them. */
static void start_generation(struct supervisor *s)
{
	int n = s->count + wanted(s->config);
	struct child *children = realloc(s->children, (size_t)(n ? n : 1) * sizeof(*children));

	if (!children)
		log_fatal("out of memory");
	s->children = children;
	for (const struct proc_group *group = s->config->groups; group->name; group++)
		for (int i = 0, count = group->count(); i < count; i++) {
			SBM_ASSERT(s->count < n);
			s->children[s->count] = (struct child){.group = group, .index = i};
			start_child(&s->children[s->count++]);
		}
}

static void log_obituary(const struct child *child, int status, int64_t lived_ms)
{
	struct log_field fields[] = {
		log_str("group", child->group->name), log_int("index", child->index), log_int("child", child->pid),
		WIFSIGNALED(status) ? log_str("signal", sigabbrev_np(WTERMSIG(status))) : log_int("status", WEXITSTATUS(status)),
		log_int("lived_ms", lived_ms), {0}
	};
	bool expected = child->term_ms && WIFEXITED(status) && WEXITSTATUS(status) == 0;

	/* The child said itself why it gave up; what a signal did nobody else tells. */
	log_write(expected ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "child ended", fields);
}

static void bury(struct supervisor *s, struct child *child, int status)
{
	int64_t now = clock_monotonic_ms(), lived_ms = now - child->started_ms;

	log_obituary(child, status, lived_ms);
	child->pid = 0;
	child->wait_ms = next_wait(child->wait_ms, lived_ms);
	child->start_ms = now + child->wait_ms;
	if (child->wait_ms && !child->old && !s->stopping)
		log_info("child starts again after a wait", log_str("group", child->group->name), log_int("index", child->index), log_int("wait_ms", child->wait_ms));
}

static void reap(struct supervisor *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < s->count; i++)
			if (s->children[i].pid == pid)
				bury(s, &s->children[i], status);
}

static void drop_ended(struct supervisor *s)
{
	int kept = 0;

	for (int i = 0; i < s->count; i++)
		if (s->children[i].pid || !(s->children[i].old || s->stopping))
			s->children[kept++] = s->children[i];
	s->count = kept;
}

static void kill_child(struct supervisor *s, struct child *child)
{
	s->killed = true;
	log_warn("child did not end in time; killing it", log_str("group", child->group->name), log_int("index", child->index), log_int("child", child->pid));
	kill(child->pid, SIGKILL);
	child->kill_ms = 0;
}

/* Does what is due for a child. Returns when the next thing is, or INT64_MAX. */
static int64_t tend_child(struct supervisor *s, struct child *child, int64_t now)
{
	int64_t next = INT64_MAX;

	if (!child->pid && child->start_ms <= now)
		start_child(child);
	if (!child->pid)
		return child->start_ms;
	if (child->term_ms && child->term_ms <= now) {
		kill(child->pid, SIGTERM);
		child->term_ms = INT64_MAX;
	}
	if (child->kill_ms && child->kill_ms <= now)
		kill_child(s, child);
	if (child->term_ms && child->term_ms < next)
		next = child->term_ms;
	if (child->kill_ms && child->kill_ms < next)
		next = child->kill_ms;
	return next;
}

static int64_t tend(struct supervisor *s)
{
	int64_t now = clock_monotonic_ms(), next = INT64_MAX;

	drop_ended(s);
	for (int i = 0; i < s->count; i++) {
		int64_t due = tend_child(s, &s->children[i], now);

		next = due < next ? due : next;
	}
	return next;
}

static void drain(struct supervisor *s, struct child *child, int64_t term_ms)
{
	child->old = true;
	if (!child->term_ms || child->term_ms > term_ms)
		child->term_ms = term_ms;
	if (!child->kill_ms)
		child->kill_ms = term_ms + s->config->drain_ms();
}

static void on_hup(struct supervisor *s)
{
	char state[64];
	struct timespec now;
	int old = s->count;

	if (s->stopping)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRId64, (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	proc_notify(state);
	if (s->config->reload && s->config->reload())
		log_err("could not reload; all stays as it was");
	else {
		start_generation(s);
		for (int i = 0; i < old; i++)
			drain(s, &s->children[i], clock_monotonic_ms() + HANDOVER_MS);
		log_info("reloaded", log_int("children", s->count - old));
	}
	proc_notify("READY=1");
}

static void on_term(struct supervisor *s)
{
	int64_t now = clock_monotonic_ms();

	if (!s->stopping) {
		log_info("stopping", log_int("children", s->count));
		proc_notify("STOPPING=1");
	}
	for (int i = 0; i < s->count; i++) {
		if (s->stopping && s->children[i].pid)
			kill_child(s, &s->children[i]);
		else if (s->children[i].pid)
			drain(s, &s->children[i], now);
	}
	s->stopping = true;
}

/* Waits for a signal until next. */
static void wait_and_act(struct supervisor *s, int64_t next)
{
	int64_t wait_ms = next == INT64_MAX ? 3600000 : next - clock_monotonic_ms();
	struct timespec timeout;
	sigset_t set;
	int number;

	if (wait_ms < 0)
		wait_ms = 0;
	timeout = (struct timespec){wait_ms / 1000, wait_ms % 1000 * 1000000};
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	number = sigtimedwait(&set, NULL, &timeout);
	if (number == SIGHUP)
		on_hup(s);
	else if (number == SIGTERM || number == SIGINT)
		on_term(s);
	reap(s);
}

int proc_run(const struct proc_config *config)
{
	struct supervisor s = {.config = config};

	proc_block_signals();
	start_generation(&s);
	log_info("started", log_int("children", s.count));
	proc_notify("READY=1");
	for (;;) {
		int64_t next = tend(&s);

		if (s.stopping && !s.count)
			break;
		wait_and_act(&s, next);
	}
	free(s.children);
	log_info("stopped");
	return s.killed ? 1 : 0;
}

int proc_drop_privileges(const char *user)
{
	struct passwd *entry;

	if (geteuid() != 0 || !*user)
		return 0;
	errno = 0;
	entry = getpwnam(user);
	if (!entry) {
		log_err("could not find the user to run as; make it or change the setting \"user\"", log_str("user", user));
		return -1;
	}
	if (initgroups(user, entry->pw_gid) || setgid(entry->pw_gid) || setuid(entry->pw_uid)) {
		log_err("could not give up root", log_str("user", user), log_errno());
		return -1;
	}
	if (entry->pw_uid != 0 && setuid(0) == 0) {
		log_err("root could be had again after it was given up", log_str("user", user));
		return -1;
	}
	return 0;
}

void proc_notify(const char *state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path ? strlen(path) : 0;
	int fd;

	if (n < 2 || n >= sizeof(address.sun_path) || (*path != '/' && *path != '@'))
		return;
	memcpy(address.sun_path, path, n);
	if (*path == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		log_warn("could not notify the service manager", log_errno());
	close(fd);
}
