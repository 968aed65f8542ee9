#ifndef API_WORKER_H
#define API_WORKER_H

/* A worker's life: answers requests at listener until it is told to end. Runs in a child. Its exit status. */
int worker_run(int listener);

#endif
