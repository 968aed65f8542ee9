#ifndef DOMAIN_DELIVERY_H
#define DOMAIN_DELIVERY_H

#include "base/parse.h"
#include "io/db.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The queue of deliveries: what asks for a send.  Each of these runs inside the caller's transaction and
 * what it wrote is as durable as that; after the commit the caller wakes the daemon (bus_push_wake), which
 * finds the rows by itself should nobody be listening.  `now` is clock_now() everywhere.
 */

enum run_source { RUN_SOURCE_API, RUN_SOURCE_SCHEDULER, RUN_SOURCE_ADMIN, RUN_SOURCE_MAX };

struct run_firing {
	int64_t schedule_id;
	int64_t minute; /* any time within the cron minute that it stands for; cut to the minute */
	enum run_source source;
	const char *request_id; /* NULL or "" for none */
	int64_t now;
};
/*
 * Fires a schedule: one run for each schedule and minute, whoever asks. *run_id is that run's id, whether it
 * was made now or before (*made tells; made may be NULL), or 0 when there is no such schedule.
 */
enum db_status run_fire(struct db *, const struct run_firing *, int64_t *run_id, bool *made);

enum delivery_kind {
	DELIVERY_NEXT,   /* sends the next message and advances */
	DELIVERY_RESEND, /* sends the one before again; a resend_request records what it was */
	DELIVERY_KIND_MAX
};

enum delivery_verdict {
	DELIVERY_QUEUED,
	DELIVERY_UNDER_WAY, /* it has a delivery under way already; no second one is made, which is no error */
	DELIVERY_UNKNOWN,   /* no such subscription */
	DELIVERY_NOT_READY, /* inactive, completed, or process_status other than 0 */
	DELIVERY_VERDICT_MAX
};

struct delivery_request {
	const char *subscription_id; /* a valid UUID, as parse_uuid gives it */
	enum delivery_kind kind;
	const char *request_id; /* NULL or "" for none */
	int64_t now;
};

#define DELIVERY_REASON_SIZE 80
struct delivery_answer {
	enum delivery_verdict verdict;
	char id[UUID_TEXT_SIZE];           /* of the delivery queued, or of the one under way; else "" */
	char reason[DELIVERY_REASON_SIZE]; /* why not, for DELIVERY_UNKNOWN and DELIVERY_NOT_READY; else "" */
};
/* Asks for one message for one subscription. *answer is set only with DB_OK. */
enum db_status delivery_enqueue(struct db *, const struct delivery_request *, struct delivery_answer *answer);

/*
 * The reason for which a subscription is not ready, as people read it: "Subscription has completed" or
 * "Message sending aborted, status N". NULL when it is ready. out has room for DELIVERY_REASON_SIZE bytes.
 */
const char *delivery_not_ready(bool active, bool completed, int64_t process_status, char *out);

/* What else the API asks of the daemon; the daemon does it once and keeps the row, with what went wrong. */
enum job_kind {
	JOB_REQUEUE_FAILED, /* all failed tasks become deliveries again */
	JOB_FIND_BEHIND,
	JOB_ESTIMATE,
	JOB_METRICS,
	JOB_SYNC_AUDIO,
	JOB_KIND_MAX
};
/* The word of a kind in the table. */
const char *job_kind_word(enum job_kind);
/* out: the job's UUID, which is the task_id of the answer. */
enum db_status job_create(struct db *, enum job_kind, const char *request_id, int64_t now, char out[UUID_TEXT_SIZE]);

/* Which failed tasks. */
struct failed_task_filter {
	int64_t after, last;    /* ids above `after`, up to and including `last` */
	int64_t messageset_id;  /* of this set; 0 of any */
	const char *reason;     /* with exactly this reason; NULL with any */
	const char *ids;        /* with one of these, an array literal; NULL with any */
};
/*
 * Turns up to limit failed tasks, oldest first, into deliveries and removes their rows, or just removes them.
 * Call it, each time in a transaction of its own, until it took none. Those that somebody else is at are left
 * alone. Counts are added to.
 */
struct failed_task_counts {
	int64_t taken;     /* rows removed */
	int64_t last;      /* the highest id of the last call; 0 when it took none; set, not added */
	int64_t queued;    /* fresh deliveries */
	int64_t under_way; /* had a delivery under way already */
	int64_t not_ready; /* no longer ready: no delivery */
};
enum db_status failed_task_requeue(struct db *, const struct failed_task_filter *, int64_t limit, int64_t now, struct failed_task_counts *);
enum db_status failed_task_drop(struct db *, const struct failed_task_filter *, int64_t limit, struct failed_task_counts *);

#endif
