#include "config.h"

#include "base/parse.h"
#include "base/settings.h"
#include "ctl/ctl.h"
#include "ctl/messageset.h"
#include "domain/lint.h"
#include "domain/programme.h"
#include "io/db.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What most networks and phones put together without trouble. */
#define SMS_PARTS 3

static const struct table_column columns[] = {
	{"rule", TABLE_TEXT}, {"messageset", TABLE_TEXT}, {"sequence_number", TABLE_NUMBER}, {"lang", TABLE_TEXT}, {"detail", TABLE_TEXT}, {0}
};

struct findings {
	const struct ctl_args *args;
	const struct catalogue *content;
	int64_t sets[CTL_OPTIONS_MAX]; /* of --message-set */
	struct table table;
};

/* What belongs to no set is left out when sets are named. */
static int64_t set_of(const struct findings *findings, const struct lint_finding *finding)
{
	return finding->set ? catalogue_find_set(findings->content, finding->set)->id : -1;
}

static void keep(void *context, const struct lint_finding *finding)
{
	struct findings *findings = context;
	char number[24];

	if (ctl_has_value(findings->args, "ignore", finding->rule) || !ctl_messageset_is_wanted(findings->sets, set_of(findings, finding)))
		return;
	snprintf(number, sizeof number, "%" PRId64, finding->number);
	table_add(&findings->table, (const char *[]){finding->rule, finding->set, finding->has_number ? number : NULL, finding->lang, finding->detail});
}

static bool has_file(void *context, const char *file)
{
	char path[1024];

	(void)context;
	if (!*file || snprintf(path, sizeof path, "%s/%s", setting_str(SETTING_MEDIA_DIR), file) >= (int)sizeof path)
		return false;
	return access(path, F_OK) == 0;
}

static int check_options(const struct ctl_args *args, int64_t *sms_parts)
{
	const char *parts = ctl_value(args, "sms-parts");

	*sms_parts = SMS_PARTS;
	if (parts && parse_int(parts, 1, 255, sms_parts))
		return ctl_usage("--sms-parts: expected a number from 1 to 255");
	for (int i = 0; i < args->option_count; i++) {
		const char *const *rule = lint_rules;

		while (*rule && strcmp(*rule, args->options[i].value ? args->options[i].value : "") != 0)
			rule++;
		if (strcmp(args->options[i].name, "ignore") == 0 && !*rule)
			return ctl_usage("--ignore: \"%.64s\" is not a rule; sbmctl(8) lists them", args->options[i].value);
	}
	return CTL_OK;
}

static int show(struct findings *findings, const struct programme *programme, int64_t sms_parts)
{
	const struct lint lint = {
		.content = findings->content,
		.programme = programme,
		.sms_parts = sms_parts,
		.found = keep,
		.has_file = has_file,
		.context = findings,
	};
	bool found, json = ctl_has(findings->args, "json");

	table_init(&findings->table, columns);
	lint_run(&lint);
	found = findings->table.count > 0;
	if (found || json)
		table_show(&findings->table, json);
	else
		printf("nothing was found in %zu messages of %zu message sets\n", findings->content->message_count, findings->content->set_count);
	table_fini(&findings->table);
	return found ? CTL_FAILED : CTL_OK;
}

int ctl_content_lint(struct ctl *ctl, const struct ctl_args *args)
{
	const char *media;
	struct programme *programme = NULL;
	struct catalogue content;
	struct findings findings = {.args = args, .content = &content};
	int64_t sms_parts;
	int rc;

	if (check_options(args, &sms_parts))
		return CTL_USAGE;
	if (!ctl_db(ctl) || ctl_messagesets(ctl, args, findings.sets))
		return CTL_FAILED;
	media = setting_str(SETTING_MEDIA_DIR);
	/* Without it, each file would seem to be gone. */
	if (access(media, R_OK | X_OK) != 0)
		return ctl_fail("could not look into media_dir, \"%s\": %s; run this where the files are, as a user who may see them", media, strerror(errno));
	if (catalogue_load(ctl->db, &content) != DB_OK)
		return ctl_db_failed(ctl, "read the content");
	if (programme_load(ctl->db, &programme) != DB_OK)
		rc = ctl_db_failed(ctl, "read the schedules");
	else
		rc = show(&findings, programme, sms_parts);
	programme_free(programme);
	catalogue_free(&content);
	return rc;
}
