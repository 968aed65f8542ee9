#ifndef SENDERD_SYNCER_H
#define SENDERD_SYNCER_H

/*
 * The process that keeps schedules in step with an external scheduler: it makes the calls that scheduler_call
 * says are owed, one after the other.  A child of the supervisor, there only while scheduler_url is set.
 */
int syncer_run(void);

#endif
