#ifndef SENDERD_JOBS_H
#define SENDERD_JOBS_H

#include "domain/delivery.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The jobs that the API asks for, as one process of the daemon does them. A job is claimed for the time of the
 * setting lease. A process of its own renews that while the job is worked at, so that neither a long statement nor a
 * long transfer lets it run out; it ends with the worker, whatever ends that. Who has lost its lease all the same
 * cannot write the job's end.
 */

/* What a job came to. */
struct job_end {
	enum db_status status; /* the database's trouble means that the job is done again */
	bool unfinished;       /* it broke off because we are to stop, or the job is not ours any more: it is done again */
	char error[400];       /* not "": the job failed, for this reason */
	char outcome[200];     /* what was done */
};

struct job; /* one that is worked at */
/* False when the lease was lost to another process. */
bool job_is_ours(struct job *);
/* The job's UUID. */
const char *job_id(const struct job *);

struct job_kinds {
	const char *only; /* the kind's word; NULL: all kinds but `but` */
	const char *but;  /* NULL: none */
	/* What does a job of each kind; NULL fails it. */
	void (*const *functions)(void *context, struct job *, struct job_end *); /* JOB_KIND_MAX of them */
	void *context;
	const char *application_name; /* of the connection that renews */
};
/* Does the oldest job of these kinds. False when there was none, or the database is to be left alone for a moment. */
bool jobs_do_one(struct db *, const struct job_kinds *);

#endif
