#ifndef BASE_BOUNDARY_H
#define BASE_BOUNDARY_H

#include <stddef.h>

/*
 * Write boundaries: the moments just before and after something becomes durable, at which a crash must lose nothing.
 * A test names one by the setting debug_die_at, and the process that passes it dies by SIGKILL, once in the life of
 * the daemon: the next process that passes goes on.
 */
enum boundary {
#define BOUNDARY(NAME, ...) BOUNDARY_##NAME,
#include "base/boundary.def"
#undef BOUNDARY
	BOUNDARY_MAX
};

/*
 * Takes debug_die_at, before the first fork: "" for none, or NAME[:N[:WHO]]. N: at which of its passages, counted
 * from 1 over all processes of the daemon. WHO dies: process (the one that passes; the default), supervisor, or
 * daemon, that is all of its processes. 0, or -1 with what was wrong in error, all names included.
 */
int boundary_init(const char *die_at, char *error, size_t error_size);
/* To be called at the boundary. Costs nothing when it is not the one to die at. */
void boundary_pass(enum boundary);

#endif
