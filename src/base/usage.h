#ifndef BASE_USAGE_H
#define BASE_USAGE_H

#include <sys/types.h>

/* What a supervisor and its children use, as the kernel tells (proc_pid_stat(5)). */
struct usage {
	double cpu_seconds; /* with children that have ended */
	double resident_bytes, virtual_bytes; /* of those that live; what they share counts for each */
	double started;     /* when the supervisor was, in seconds since 1970 */
};

/* processes: its children; those that are none, or are no more, do not count. 0, or -1 when the kernel does not tell. */
int usage_read(pid_t supervisor, const pid_t *processes, int count, struct usage *);

#endif
