#ifndef IO_BUS_H
#define IO_BUS_H

#include <stddef.h>

/*
 * Triggers over ZeroMQ. A trigger carries nothing worth keeping: what is to be done stands in the database,
 * and who listens sweeps it anyway.  Create sockets after fork.
 */
struct bus_push;
struct bus_pull;

/* endpoints: separated by commas; each gets its own connection. NULL on a bad endpoint, logged. */
struct bus_push *bus_push_create(const char *endpoints);
void bus_push_free(struct bus_push *);
/*
 * Wakes whoever listens, at every endpoint. Never blocks. Returns how many took it: 0 when nobody is there,
 * which is no error. word: a short word for the log ("run", "send").
 */
int bus_push_wake(struct bus_push *, const char *word);

/* Binds to endpoint. For ipc a lock file beside the socket refuses a second daemon. NULL, logged. */
struct bus_pull *bus_pull_create(const char *endpoint);
void bus_pull_free(struct bus_pull *); /* removes an ipc socket's file */
/* A descriptor for epoll: readable when there may be something. Call bus_pull_drain after each wake-up. */
int bus_pull_fd(struct bus_pull *);
/* Takes all that is there. Number of triggers taken. */
int bus_pull_drain(struct bus_pull *);

#endif
