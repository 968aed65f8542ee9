#include "config.h"

#include "base/clock.h"
#include "base/parse.h"
#include "base/settings.h"
#include "ctl/parts.h"
#include "ctl/progress.h"
#include "domain/identity.h"
#include "domain/queue.h"
#include "io/db.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* Rows of each list when nobody says how many. */
#define LIMIT 100
#define LIMIT_MAX 1000000
/* Subscriptions and deliveries that one transaction stops. */
#define STOP_ROWS 1000
#define POLL_MS 200
/* Beyond a lease, which is the longest that a delivery can be in the hands of a process that died. */
#define WAIT_MS 10000

static const struct table_column count_columns[] = {
	{"subscriptions", TABLE_NUMBER}, {"active", TABLE_NUMBER}, {"queued", TABLE_NUMBER}, {"deliveries", TABLE_NUMBER}, {"failed_tasks", TABLE_NUMBER},
	{"resend_requests", TABLE_NUMBER}, {"behind", TABLE_NUMBER}, {"answers", TABLE_NUMBER}, {"put_aside", TABLE_NUMBER}, {0}
};
static const struct table_column subscription_columns[] = {
	{"id", TABLE_TEXT}, {"messageset", TABLE_TEXT}, {"lang", TABLE_TEXT}, {"next", TABLE_NUMBER}, {"initial", TABLE_NUMBER}, {"schedule", TABLE_NUMBER},
	{"active", TABLE_BOOL}, {"completed", TABLE_BOOL}, {"process_status", TABLE_NUMBER}, {"version", TABLE_NUMBER}, {"metadata", TABLE_TEXT},
	{"hub_request", TABLE_TEXT}, {"created_at", TABLE_TIME}, {"updated_at", TABLE_TIME}, {0}
};
static const struct table_column queue_columns[] = {
	{"delivery", TABLE_TEXT}, {"subscription", TABLE_TEXT}, {"kind", TABLE_TEXT}, {"run", TABLE_NUMBER}, {"state", TABLE_TEXT}, {"tries", TABLE_NUMBER},
	{"request_id", TABLE_TEXT}, {"created_at", TABLE_TIME}, {"last_error", TABLE_TEXT}, {0}
};
static const struct table_column delivery_columns[] = {
	{"delivery", TABLE_TEXT}, {"subscription", TABLE_TEXT}, {"messageset", TABLE_TEXT}, {"sequence_number", TABLE_NUMBER}, {"lang", TABLE_TEXT},
	{"kind", TABLE_TEXT}, {"state", TABLE_TEXT}, {"to_addr", TABLE_TEXT}, {"outbound_id", TABLE_TEXT}, {"reason", TABLE_TEXT}, {"run", TABLE_NUMBER},
	{"request_id", TABLE_TEXT}, {"created_at", TABLE_TIME}, {"finished_at", TABLE_TIME}, {0}
};
static const struct table_column task_columns[] = {
	{"id", TABLE_NUMBER}, {"subscription", TABLE_TEXT}, {"task", TABLE_TEXT}, {"kind", TABLE_TEXT}, {"reason", TABLE_TEXT}, {"initiated_at", TABLE_TIME}, {0}
};
static const struct table_column resend_columns[] = {
	{"id", TABLE_NUMBER}, {"subscription", TABLE_TEXT}, {"message", TABLE_NUMBER}, {"outbound_id", TABLE_TEXT}, {"received_at", TABLE_TIME}, {0}
};
static const struct table_column behind_columns[] = {
	{"id", TABLE_NUMBER}, {"subscription", TABLE_TEXT}, {"messages_behind", TABLE_NUMBER}, {"current_messageset", TABLE_NUMBER}, {"current_number", TABLE_NUMBER},
	{"expected_messageset", TABLE_NUMBER}, {"expected_number", TABLE_NUMBER}, {"created_at", TABLE_TIME}, {0}
};
static const struct table_column answer_columns[] = {
	{"user", TABLE_TEXT}, {"key", TABLE_TEXT}, {"status", TABLE_NUMBER}, {"location", TABLE_TEXT}, {"created_at", TABLE_TIME}, {0}
};
static const struct table_column aside_columns[] = {
	{"row", TABLE_TEXT}, {"kind", TABLE_TEXT}, {"reason", TABLE_TEXT}, {"content", TABLE_TEXT}, {"put_at", TABLE_TIME}, {0}
};

static const struct part parts[] = {
	{"counts", "Kept", "", DB_Q_IDENTITY_COUNTS, 1, true, count_columns},
	{"subscriptions", "Subscriptions", "none", DB_Q_IDENTITY_SUBSCRIPTIONS, 2, false, subscription_columns},
	{"queue", "Deliveries in the queue", "none", DB_Q_IDENTITY_QUEUE, 2, false, queue_columns},
	{"deliveries", "Deliveries that ended", "none", DB_Q_IDENTITY_DELIVERIES, 2, false, delivery_columns},
	{"failed_tasks", "Failed tasks", "none", DB_Q_IDENTITY_FAILED_TASKS, 2, false, task_columns},
	{"resend_requests", "Resend requests", "none", DB_Q_IDENTITY_RESEND_REQUESTS, 2, false, resend_columns},
	{"behind", "Behind", "not at the last look", DB_Q_IDENTITY_BEHIND, 2, false, behind_columns},
	{"answers", "Answers stored for an Idempotency-Key", "none", DB_Q_IDENTITY_ANSWERS, 2, false, answer_columns},
	{"strays", "Deliveries to the address, of subscriptions that are there no more", "none", DB_Q_IDENTITY_STRAY_LIST, 3, false, delivery_columns},
	{"put_aside", "Put aside at a take-over", "nothing", DB_Q_IDENTITY_PUT_ASIDE, 2, false, aside_columns},
};

/* What no statement reaches. */
static void tell_outside(void)
{
	fputs("sbmctl: outside of the database there may be: logs of nginx (paths with the identity) and of PostgreSQL, the file\n"
	      "sbmctl: of message_sender_url = log:, backups, and what the identity store and the message sender keep\n", stderr);
}

/* CTL_OK when anything is kept. */
static int find(struct ctl *ctl, const struct ctl_args *args, struct identity_counts *counts)
{
	const char *identity = args->operands[0], *address = ctl_value(args, "address");

	if (!*identity || !utf8_is_valid(identity, strlen(identity)) || utf8_length(identity) > IDENTITY_MAX)
		return ctl_usage("an identity is UTF-8 of 1 to %d characters", IDENTITY_MAX);
	if (address && (!*address || !utf8_is_valid(address, strlen(address))))
		return ctl_usage("--address: expected an address");
	if (!ctl_db(ctl))
		return CTL_FAILED;
	if (identity_count(ctl->db, identity, address, counts) != DB_OK)
		return ctl_db_failed(ctl, "look for the identity");
	return identity_is_known(counts) ? CTL_OK : ctl_fail("nothing is kept about the identity \"%s\"", identity);
}

int ctl_identity_show(struct ctl *ctl, const struct ctl_args *args)
{
	const char *text = ctl_value(args, "limit");
	struct identity_counts counts;
	struct db_params params;
	int64_t limit = LIMIT;
	int rc;

	if (text && parse_int(text, 1, LIMIT_MAX, &limit))
		return ctl_usage("--limit: expected a number from 1 to %d", LIMIT_MAX);
	rc = find(ctl, args, &counts);
	if (rc)
		return rc;
	db_params_init(&params);
	db_param_text(&params, args->operands[0]);
	db_param_int(&params, limit);
	db_param_text(&params, ctl_value(args, "address"));
	rc = parts_show(ctl, parts, sizeof parts / sizeof *parts, &params, "read what is kept about the identity", ctl_has(args, "json"));
	if (!rc && (counts.deliveries > limit || counts.subscriptions > limit))
		fprintf(stderr, "sbmctl: of each list these are the newest %" PRId64 "; --limit takes more\n", limit);
	if (!rc)
		tell_outside();
	return rc;
}

static int stop_some(struct ctl *ctl, const char *identity, struct identity_stop *stop)
{
	enum db_status status = queue_begin(ctl->db);

	if (status == DB_OK)
		status = identity_stop(ctl->db, identity, 0, STOP_ROWS, clock_now(), stop);
	if (status == DB_OK)
		status = db_commit(ctl->db);
	else
		db_rollback(ctl->db);
	/* Two that were after the same rows: the next time one of them is first. */
	if (status == DB_RETRY) {
		*stop = (struct identity_stop){.deactivated = 1};
		return CTL_OK;
	}
	return status == DB_OK ? CTL_OK : ctl_db_failed(ctl, "stop the subscriptions");
}

/* Stops all subscriptions; *under_way: deliveries in the hands of a sender process now. */
static int stop_all(struct ctl *ctl, const char *identity, int64_t *under_way)
{
	struct identity_stop stop;
	int rc;

	do
		rc = stop_some(ctl, identity, &stop);
	while (!rc && stop.deactivated + stop.cancelled > 0);
	*under_way = stop.under_way;
	return rc;
}

/* Erases what can be erased now; *left: not all. */
static int erase_now(struct ctl *ctl, const char *identity, struct identity_erased *erased, struct progress *progress, bool *left)
{
	int64_t found, gone;

	do {
		if (identity_erase_some(ctl->db, identity, erased, &found, &gone) != DB_OK)
			return ctl_db_failed(ctl, "erase the subscriptions");
		progress_set(progress, erased->subscriptions);
	} while (found > 0 && gone > 0);
	*left = found > 0;
	return CTL_OK;
}

/* Until nothing is left: what is under way ends first, or its sender process is found to be dead. */
static int erase_subscriptions(struct ctl *ctl, const char *identity, struct identity_erased *erased, struct progress *progress)
{
	int64_t until = clock_monotonic_ms() + setting_int(SETTING_LEASE) + WAIT_MS, under_way;
	bool left = true;

	for (;;) {
		if (stop_all(ctl, identity, &under_way))
			return CTL_FAILED;
		if (!under_way && erase_now(ctl, identity, erased, progress, &left))
			return CTL_FAILED;
		if (!left)
			return CTL_OK;
		if (clock_monotonic_ms() > until)
			return ctl_fail("not all is erased: deliveries are still under way, or subscriptions are made; run this again");
		poll(NULL, 0, POLL_MS);
	}
}

static int erase_all(struct ctl *ctl, const char *identity, const char *address, int64_t subscriptions, struct identity_erased *erased)
{
	struct progress progress;
	int rc;

	progress_begin(&progress, "subscriptions", subscriptions);
	rc = erase_subscriptions(ctl, identity, erased, &progress);
	progress_end(&progress);
	if (!rc && identity_erase_rest(ctl->db, identity, erased) != DB_OK)
		rc = ctl_db_failed(ctl, "erase the identity");
	if (!rc && address && identity_erase_strays(ctl->db, address, erased) != DB_OK)
		rc = ctl_db_failed(ctl, "erase the address");
	return rc;
}

int ctl_identity_erase(struct ctl *ctl, const struct ctl_args *args)
{
	const char *identity = args->operands[0], *address = ctl_value(args, "address");
	struct identity_erased erased = {0};
	struct identity_counts counts;
	int rc = find(ctl, args, &counts);

	if (rc)
		return rc;
	if (!ctl_yes(args)) {
		ctl_would("erase %" PRId64 " subscriptions, of which %" PRId64 " are active, with %" PRId64 " failed tasks and %" PRId64 " resend requests, cancel %" PRId64
			" deliveries, take address and ids out of %" PRId64 ", and erase %" PRId64 " stored answers and %" PRId64 " rows put aside",
			counts.subscriptions, counts.active, counts.failed_tasks, counts.resend_requests, counts.queued,
			counts.deliveries + counts.strays, counts.answers, counts.put_aside);
		return CTL_OK;
	}
	rc = erase_all(ctl, identity, address, counts.subscriptions, &erased);
	printf("erased: %" PRId64 " subscriptions, %" PRId64 " stored answers, %" PRId64 " rows put aside; %" PRId64 " deliveries are kept without address and ids\n",
		erased.subscriptions, erased.answers, erased.put_aside, erased.deliveries);
	if (!rc)
		tell_outside();
	return rc;
}
