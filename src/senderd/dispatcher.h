#ifndef SENDERD_DISPATCHER_H
#define SENDERD_DISPATCHER_H

/*
 * The process that hears triggers, fans runs out, adds their counts up and is the scheduler. To be run as a
 * child of the supervisor; generation: how many reloads there were, since the dispatcher before may still
 * hold the trigger socket.
 */
int dispatcher_run(int generation);

#endif
