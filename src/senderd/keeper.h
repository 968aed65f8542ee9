#ifndef SENDERD_KEEPER_H
#define SENDERD_KEEPER_H

/* The process that does the jobs that the API asks for, and the daily housekeeping. A child of the supervisor. */
int keeper_run(void);

#endif
