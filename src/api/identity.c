#include "api/handlers.h"

#include "base/clock.h"
#include "base/parse.h"
#include "domain/identity.h"
#include "domain/queue.h"

/* The kit's transaction, in which the planner keeps to the queue's indexes as in queue_begin. */
static int
begin(struct req *r)
{
	struct db_result *ignored;

	return req_begin(r) < 0 ? -1 : req_sql(r, DB_Q_PLANNER_KEEP_TO_INDEXES, NULL, &ignored);
}

int
identity_opt_out(struct req *r)
{
	const char *identity = r->args[0];
	struct identity_stop stop;
	enum db_status status;

	if (utf8_length(identity) > IDENTITY_MAX)
		return req_fail(r, 400, "An identity has at most %d characters.", IDENTITY_MAX);
	if (begin(r) < 0)
		return -1;
	status = identity_stop(r->db, identity, r->user.id, INT32_MAX, clock_now(), &stop);
	if (status != DB_OK)
		return req_fail_db(r, status);
	buf_puts(r->out, "{\"identity\":");
	buf_put_json(r->out, identity);
	buf_printf(r->out, ",\"subscriptions\":%lld,\"deactivated\":%lld,\"cancelled\":%lld,\"under_way\":%lld}",
	    (long long)stop.subscriptions, (long long)stop.deactivated, (long long)stop.cancelled, (long long)stop.under_way);
	return req_answer(r, 200);
}
