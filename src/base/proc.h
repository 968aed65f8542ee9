#ifndef BASE_PROC_H
#define BASE_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A supervisor of child processes, for sbm-api and sbm-senderd.  Children are grouped; each group has a
 * wanted number.  A child that dies is logged (status, signal, how long it lived) and started again: at once
 * when it lived longer than 10 s, else after a wait that doubles from 100 ms to 5 s.
 *
 *   HUP   calls reload(); when that returns 0 a new generation of children is started and then the old one
 *         is asked to drain (TERM), so that there is always somebody at the socket
 *   TERM, INT  TERM to the children, wait for them up to drain_ms, then KILL
 *   a second TERM or INT  KILL at once
 *   children get TERM by the kernel when the supervisor dies (PR_SET_PDEATHSIG)
 */
struct proc_group {
	const char *name;                  /* in log lines, and of the process */
	int (*count)(void);                /* how many are wanted; asked again after a reload */
	/*
	 * Runs in the child, with all signals blocked and TERM, INT, HUP at their defaults; what it returns is
	 * the exit status. index: 0 .. count - 1.
	 */
	int (*run)(int index);
};

struct proc_config {
	const struct proc_group *groups;   /* ended by one with name NULL; borrowed */
	int (*reload)(void);               /* 0, or -1: keep all as it is */
	int64_t (*drain_ms)(void);
};

/* Blocks all signals in this process and its threads to come. Call it before the first library init. */
void proc_block_signals(void);
/*
 * Runs until it was told to end. Returns the exit status: 0 after a drain in time, 1 when it had to kill. Tells
 * the service manager of all this by proc_notify.
 */
int proc_run(const struct proc_config *);

/*
 * For children: SIGTERM (and INT) set a flag, and wake ppoll/epoll_pwait that were given proc_wait_mask().
 * Call proc_child_signals once in the child.
 */
void proc_child_signals(void);
/* For those that have nothing to lose: SIGTERM and SIGINT end them at once, with status 0, wherever they are. */
void proc_child_expendable(void);
bool proc_stopping(void);
const void *proc_wait_mask(void); /* const sigset_t *: what to unblock while waiting */

/* Gives up root for user (its group and supplementary groups too); nothing when not root or user is "". 0/-1, logged. */
int proc_drop_privileges(const char *user);
/* READY=1, STOPPING=1, RELOADING=1 to systemd when NOTIFY_SOCKET is set; else nothing. */
void proc_notify(const char *state);

#endif
