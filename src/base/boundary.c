#include "base/boundary.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/parse.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TIMES_MAX 1000000

static const char *const names[BOUNDARY_MAX] = {
#define BOUNDARY(NAME, name, description) [BOUNDARY_##NAME] = name,
#include "base/boundary.def"
#undef BOUNDARY
};

enum who { WHO_PROCESS, WHO_SUPERVISOR, WHO_DAEMON, WHO_MAX };

static const char *const who_words[WHO_MAX] = {"process", "supervisor", "daemon"};

static enum boundary die_at = BOUNDARY_MAX;
static enum who victim;
/* How often it will be passed until somebody dies; shared by all processes of the daemon. */
static int64_t *left;

static int find(const char *const *words, int count, const char *word)
{
	for (int i = 0; i < count; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return -1;
}

static int refuse_name(const char *name, char *error, size_t error_size)
{
	size_t length = (size_t)snprintf(error, error_size, "debug_die_at names no boundary: \"%s\"; there are:", name);

	for (int i = 0; i < BOUNDARY_MAX && length < error_size; i++)
		length += (size_t)snprintf(error + length, error_size - length, " %s", names[i]);
	return -1;
}

int boundary_init(const char *text, char *error, size_t error_size)
{
	char copy[128], *rest = copy, *name, *times, *who;
	int64_t number = 1;
	int found, found_who = WHO_PROCESS;

	die_at = BOUNDARY_MAX;
	if (!*text)
		return 0;
	snprintf(copy, sizeof copy, "%s", text);
	name = strsep(&rest, ":");
	times = strsep(&rest, ":");
	who = strsep(&rest, ":");
	found = find(names, BOUNDARY_MAX, name);
	if (found < 0)
		return refuse_name(name, error, error_size);
	if (times && parse_int(times, 1, TIMES_MAX, &number)) {
		snprintf(error, error_size, "debug_die_at: \"%s\" must be a number from 1 to %d", times, TIMES_MAX);
		return -1;
	}
	if (rest || (who && (found_who = find(who_words, WHO_MAX, who)) < 0)) {
		snprintf(error, error_size, "debug_die_at: what dies must be process, supervisor or daemon, in \"%s\"", text);
		return -1;
	}
	left = mmap(NULL, sizeof *left, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	SBM_ASSERT(left != MAP_FAILED);
	*left = number;
	die_at = (enum boundary)found;
	victim = (enum who)found_who;
	return 0;
}

static void die(void)
{
	log_warn("dying at a write boundary, as debug_die_at says", log_str("boundary", names[die_at]), log_str("who", who_words[victim]));
	if (victim == WHO_SUPERVISOR) {
		kill(getppid(), SIGKILL);
		return;
	}
	if (victim == WHO_DAEMON) {
		/* The supervisor leads the group of its processes, unless it was started in somebody else's. */
		if (getpgrp() == getppid())
			kill(0, SIGKILL);
		kill(getppid(), SIGKILL);
	}
	raise(SIGKILL);
}

void boundary_pass(enum boundary boundary)
{
	if (boundary == die_at && __atomic_sub_fetch(left, 1, __ATOMIC_SEQ_CST) == 0)
		die();
}
