#ifndef API_WORKER_H
#define API_WORKER_H

#include <stdbool.h>

/*
 * A worker's life: answers requests at listener until it is told to end. Runs in a child. slow: it is of the pool for
 * slow requests. Its exit status.
 */
int worker_run(int listener, bool slow);

#endif
