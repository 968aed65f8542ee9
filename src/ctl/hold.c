#include "base/clock.h"
#include "base/parse.h"
#include "ctl/ctl.h"
#include "ctl/messageset.h"
#include "domain/hold.h"
#include "io/db.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct target {
	enum hold_scope scope;
	int64_t id; /* 0 for all */
	char name[128];
};

/* Connects, and finds the message set that the operand names. */
static int find_messageset(struct ctl *ctl, const char *name, struct target *target)
{
	if (!name)
		return ctl_usage("expected the id or short name of a message set");
	return ctl_db(ctl) && !ctl_messageset(ctl, name, &target->id) ? CTL_OK : CTL_FAILED;
}

/* "all", "schedule ID", "messageset SET". CTL_OK with a database, or what it said. */
static int read_target(struct ctl *ctl, const struct ctl_args *args, struct target *target)
{
	const char *word = args->operands[0], *id = args->operands[1];

	*target = (struct target){.scope = HOLD_ALL};
	while (target->scope < HOLD_SCOPE_MAX && strcmp(word, hold_scope_words[target->scope]) != 0)
		target->scope++;
	if (target->scope == HOLD_SCOPE_MAX)
		return ctl_usage("expected all, schedule or messageset, not \"%.64s\"", word);
	if (target->scope == HOLD_ALL && id)
		return ctl_usage("nothing may follow all");
	if (target->scope == HOLD_SCHEDULE && (!id || parse_int(id, 1, INT32_MAX, &target->id)))
		return ctl_usage("expected the id of a schedule");
	snprintf(target->name, sizeof target->name, "%s%s%.100s", word, id ? " " : "", id ? id : "");
	if (target->scope == HOLD_MESSAGESET)
		return find_messageset(ctl, id, target);
	return ctl_db(ctl) ? CTL_OK : CTL_FAILED;
}

int ctl_pause(struct ctl *ctl, const struct ctl_args *args)
{
	const char *reason = ctl_value(args, "reason");
	struct target target;
	enum db_status status;
	bool made;
	int rc;

	if (reason && (!utf8_is_valid(reason, strlen(reason)) || utf8_length(reason) > 500))
		return ctl_usage("--reason: expected at most 500 characters of UTF-8");
	rc = read_target(ctl, args, &target);
	if (rc)
		return rc;
	status = hold_place(ctl->db, target.scope, target.id, reason ? reason : "", clock_now(), &made);
	if (status == DB_FOREIGN_KEY)
		return ctl_fail("there is no %s", target.name);
	if (status != DB_OK)
		return ctl_db_failed(ctl, "pause");
	printf(made ? "%s is paused\n" : "%s was paused before\n", target.name);
	return CTL_OK;
}

int ctl_resume(struct ctl *ctl, const struct ctl_args *args)
{
	struct target target;
	bool lifted;
	int rc;

	rc = read_target(ctl, args, &target);
	if (rc)
		return rc;
	if (hold_lift(ctl->db, target.scope, target.id, &lifted) != DB_OK)
		return ctl_db_failed(ctl, "resume");
	if (!lifted)
		return ctl_fail("%s is not paused", target.name);
	ctl_wake("hold");
	printf("%s is resumed\n", target.name);
	return CTL_OK;
}
