#ifndef SENDERD_METER_H
#define SENDERD_METER_H

/*
 * The process that takes the daemon's numbers to the database, where /metrics reads them: what its processes have
 * counted, every few seconds, and now and then, one daemon for all, the queue and the invariants.
 */

/* Before the first fork. 0, or -1, logged. */
int meter_init(void);
/* To be run as a child of the supervisor. It can be ended at any moment. */
int meter_run(void);
/* When the other processes have ended: takes the last counts to the database, as those of a daemon that is gone. */
void meter_close(void);

#endif
