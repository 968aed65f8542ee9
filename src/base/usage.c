#include "config.h"

#include "base/usage.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* One process, in clock ticks and pages. */
struct stat_line {
	pid_t parent;
	int64_t user, system, gone_user, gone_system; /* the latter two of children that it has waited for */
	int64_t started;                              /* since the machine was */
	int64_t virtual_bytes, resident_pages;
};

static int read_stat(pid_t process, struct stat_line *stat)
{
	char path[64], line[1024] = "";
	const char *behind;
	FILE *in;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
	in = fopen(path, "re");
	if (!in)
		return -1;
	/* The name in parentheses may hold anything. */
	behind = fgets(line, sizeof line, in) ? strrchr(line, ')') : NULL;
	fclose(in);
	if (!behind)
		return -1;
	return sscanf(behind, ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
		" %*d %*d %*d %*d %" SCNd64 " %" SCNd64 " %" SCNd64, &stat->parent, &stat->user, &stat->system, &stat->gone_user,
		&stat->gone_system, &stat->started, &stat->virtual_bytes, &stat->resident_pages) == 8 ? 0 : -1;
}

static void add(struct usage *usage, const struct stat_line *stat)
{
	usage->cpu_seconds += (double)(stat->user + stat->system) / (double)sysconf(_SC_CLK_TCK);
	usage->resident_bytes += (double)stat->resident_pages * (double)sysconf(_SC_PAGESIZE);
	usage->virtual_bytes += (double)stat->virtual_bytes;
}

static double now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* False when a child ended meanwhile, which then counts twice or not at all. */
static bool read_once(pid_t supervisor, const pid_t *processes, int count, struct usage *usage, int *rc)
{
	double ticks = (double)sysconf(_SC_CLK_TCK);
	struct stat_line first, last, child;

	*rc = read_stat(supervisor, &first);
	if (*rc != 0)
		return true;
	*usage = (struct usage){0};
	add(usage, &first);
	usage->cpu_seconds += (double)(first.gone_user + first.gone_system) / ticks;
	usage->started = now(CLOCK_REALTIME) - now(CLOCK_BOOTTIME) + (double)first.started / ticks;
	for (int i = 0; i < count; i++)
		if (read_stat(processes[i], &child) == 0 && child.parent == supervisor)
			add(usage, &child);
	*rc = read_stat(supervisor, &last);
	return *rc != 0 || (first.gone_user == last.gone_user && first.gone_system == last.gone_system);
}

int usage_read(pid_t supervisor, const pid_t *processes, int count, struct usage *usage)
{
	int rc;

	for (int tries = 0; tries < 10; tries++)
		if (read_once(supervisor, processes, count, usage, &rc))
			break;
	return rc;
}
