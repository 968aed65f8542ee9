#include "ctl/ctl.h"

#include <stddef.h>

static const struct ctl_option yes_option[] = {CTL_OPTION_YES, {0}};
static const struct ctl_option json_option[] = {
	{"json", NULL, "as JSON"},
	{0},
};

static const struct ctl_option migrate_options[] = {
	{"status", NULL, "only tell what is applied and what is not; exit status 1 unless all is"},
	{"dir", "DIR", "directory of the migrations"},
	{"json", NULL, "with --status: as JSON"},
	{0},
};

#define PASSWORD_OPTIONS \
	{"password-file", "FILE", "the password is the first line of FILE; - is standard input"}, \
	{"password-stdin", NULL, "the same as --password-file -"}, \
	{"no-password", NULL, "no password at all: only tokens let the user in"}

static const struct ctl_option user_add_options[] = {
	{"staff", NULL, "may make tokens for others, and do what the permissions allow"},
	{"permission", "NAME", "view_behindsubscription or can_find_behind_subscriptions; may be repeated"},
	{"email", "ADDRESS", "e-mail address; without: the user name when it is one"},
	PASSWORD_OPTIONS,
	{0},
};

static const struct ctl_option password_options[] = {
	PASSWORD_OPTIONS,
	{0},
};

static const struct ctl_option token_list_options[] = {
	{"all", NULL, "revoked ones too"},
	{"json", NULL, "as JSON"},
	{0},
};

static const struct ctl_option run_list_options[] = {
	{"schedule", "ID", "only those of this schedule"},
	{"unfinished", NULL, "only those under way"},
	{"limit", "N", "the newest N; 20 when not given"},
	{"json", NULL, "as JSON"},
	{0},
};

static const struct ctl_option schedules_sync_options[] = {
	CTL_OPTION_YES,
	{"all", NULL, "for those that are in step too"},
	{"json", NULL, "as JSON"},
	{0},
};

static const struct ctl_option lifecycle_options[] = {
	{"end-date", "DATE", "where they should be then, not now: a date (its beginning in UTC) or a time"},
	{"message-set", "SET", "only those of this message set, by its id or short name"},
	{"limit", "N", "leave out those that are more than N messages behind"},
	{"verbose", NULL, "list those that are behind, as diff does"},
	{"json", NULL, "the list as JSON"},
	CTL_OPTION_YES,
	{0},
};

static const struct ctl_option duplicates_options[] = {
	{"fields", "NAMES", "in which they are alike: identity,version,messageset,schedule,lang when not given"},
	{"within", "SECONDS", "made within so many seconds of another one; 60 when not given"},
	{"json", NULL, "as JSON"},
	{"fix", NULL, "the same as --yes"},
	CTL_OPTION_YES,
	{0},
};

static const struct ctl_option reset_options[] = {
	{"message-set", "SET", "only those of this message set, by its id or short name"},
	{"status", "N", "those with this process_status; 1 when not given"},
	{"json", NULL, "as JSON"},
	CTL_OPTION_YES,
	{0},
};

static const struct ctl_option prepend_options[] = {
	{"audio", "URL", "address of a recording, for subscriptions to audio"},
	{"text", "TEXT", "a text, for subscriptions to texts"},
	{"message-set", "SET", "only those of this message set, by its short name or id"},
	CTL_OPTION_YES,
	{0},
};

#define TASK_OPTIONS \
	{"message-set", "SET", "only those of this message set, by its id or short name"}, \
	{"reason", "TEXT", "only those with exactly this reason"}

static const struct ctl_option tasks_list_options[] = {
	TASK_OPTIONS,
	{"count", NULL, "how many there are, by message set and reason"},
	{"limit", "N", "the newest N; 20 when not given"},
	{"json", NULL, "as JSON"},
	{0},
};

static const struct ctl_option tasks_options[] = {
	TASK_OPTIONS,
	CTL_OPTION_YES,
	{0},
};

#define SEPARATOR_OPTION {"separator", "NAME", "of the columns: comma (when not given), semicolon or tab"}

static const struct ctl_option content_export_options[] = {
	{"message-set", "SET", "only this message set, by its id or short name; may be repeated"},
	{"lang", "LANG", "only this language; may be repeated"},
	{"add-lang", "LANG", "rows to be filled in for messages that this language lacks; may be repeated"},
	SEPARATOR_OPTION,
	{"bom", NULL, "begin with a byte order mark, by which some spreadsheets know UTF-8"},
	{"output", "FILE", "write to FILE in place of standard output"},
	{0},
};

static const struct ctl_option content_import_options[] = {
	CTL_OPTION_YES,
	{"remove", NULL, "remove messages of the sheet's message sets and languages that have no row"},
	SEPARATOR_OPTION,
	{"json", NULL, "the list of changes as JSON"},
	{0},
};

static const struct ctl_option content_lint_options[] = {
	{"message-set", "SET", "only findings of this message set, by its id or short name; may be repeated"},
	{"ignore", "RULE", "no findings of this rule; may be repeated"},
	{"sms-parts", "N", "most SMS that a text may take; 3 when not given"},
	{"json", NULL, "as JSON"},
	{0},
};

static const struct ctl_option content_clone_options[] = {
	CTL_OPTION_YES,
	{"label", "TEXT", "label of the new one; without: the same"},
	{0},
};

#define ADDRESS_OPTION {"address", "ADDRESS", "deliveries to it, too, whose subscriptions were deleted before"}

static const struct ctl_option identity_show_options[] = {
	ADDRESS_OPTION,
	{"limit", "N", "of each list the newest N; 100 when not given"},
	{"json", NULL, "as JSON"},
	{0},
};

static const struct ctl_option identity_erase_options[] = {
	CTL_OPTION_YES,
	ADDRESS_OPTION,
	{0},
};

static const struct ctl_option pause_options[] = {
	{"reason", "TEXT", "why, for those who look at the status"},
	{0},
};

static const struct ctl_option import_django_options[] = {
	CTL_OPTION_YES,
	{"put-aside", NULL, "leave out rows that have no place here, and what needs them; the table takeover_aside keeps them"},
	{"fired-until", "TIME", "the original fires nothing after this time; without it: after that of the data"},
	{"json", NULL, "the table as JSON"},
	{0},
};

const struct ctl_command ctl_commands[] = {
	{"migrate", "", 0, 0, ctl_migrate, "bring the database's schema up to date",
	 "Applies the migrations that the database does not have, in order, each in a transaction\nof its own. Several may be started at once; one of them does it.", migrate_options},
	{"user add", "NAME", 1, 1, ctl_user_add, "add a user of the API",
	 "Without a --password option a password is generated and printed.", user_add_options},
	{"user list", "", 0, 0, ctl_user_list, "list the users", NULL, json_option},
	{"user activate", "NAME", 1, 1, ctl_user_activate, "let a user in again", NULL, NULL},
	{"user deactivate", "NAME", 1, 1, ctl_user_deactivate, "let a user in no more; nothing is deleted",
	 "Workers may trust a token that they know for the time of the setting token_cache.", NULL},
	{"user password", "NAME", 1, 1, ctl_user_password, "give a user a new password",
	 "Without an option a password is generated and printed.", password_options},
	{"token add", "USER", 1, 1, ctl_token_add, "make a token for a user and print it",
	 "The token is kept nowhere and cannot be shown again.", NULL},
	{"token list", "[USER]", 0, 1, ctl_token_list, "list the tokens, by id and the start of their digests", NULL, token_list_options},
	{"token revoke", "ID|-", 1, 1, ctl_token_revoke, "revoke a token, by its id or, with -, by itself on standard input",
	 "Workers may trust a token that they know for the time of the setting token_cache.", NULL},
	{"config check", "", 0, 0, ctl_config_check, "check the settings", NULL, NULL},
	{"config show", "[NAME]", 0, 1, ctl_config_show, "show the settings and where they come from", NULL, json_option},
	{"config sample", "", 0, 0, ctl_config_sample, "print a sample sbm.conf, with all settings at their defaults", NULL, NULL},
	{"config man", "", 0, 0, ctl_config_man, "print the list of settings for sbm.conf(5), in mdoc", NULL, NULL},
	{"status", "", 0, 0, ctl_status, "show daemons, pauses, queue, runs, schedules, failed tasks, jobs and calls of the scheduler", NULL, json_option},
	{"verify", "", 0, 0, ctl_verify, "check what must hold of the data at any time",
	 "Exit status 1 when a rule is broken; the example says where.", json_option},
	{"queue cancel", "", 0, 0, ctl_queue_cancel, "cancel the deliveries that are queued",
	 "Those that a sender process has in hand are left alone. Subscriptions stay where they are.", yes_option},
	{"run list", "", 0, 0, ctl_run_list, "list runs, the newest first", NULL, run_list_options},
	{"run fire", "SCHEDULE", 1, 1, ctl_run_fire, "fire a schedule now, by its id, and print the run",
	 "A schedule has one run for each minute, whoever fires it.", NULL},
	{"schedules sync", "", 0, 0, ctl_schedules_sync, "bring the external scheduler in step with the schedules",
	 "Lists the schedules and whether the scheduler of the setting scheduler_url has them as they\nare. With --yes, a call is recorded for each that it has not; sbm-senderd makes it.", schedules_sync_options},
	{"run release", "RUN", 1, 1, ctl_run_release, "let a run be sent that is held because it is far larger than expected", NULL, NULL},
	{"run cancel", "RUN", 1, 1, ctl_run_cancel, "end such a run; it sends nothing", NULL, NULL},
	{"lifecycle", "[diff|send|fast-forward]", 0, 1, ctl_lifecycle, "find subscriptions that are behind their schedules, and catch up",
	 "Without a word, counts them by message set. diff lists them, and where they should be; send\nqueues the next message of each; fast-forward moves each to where it should be, along the chain\nof message sets, and sends nothing.", lifecycle_options},
	{"subscriptions duplicates", "", 0, 0, ctl_subscriptions_duplicates, "find subscriptions that were made twice, and remove them",
	 "Of those that are alike and were made shortly one after the other the first is kept.", duplicates_options},
	{"subscriptions reset", "", 0, 0, ctl_subscriptions_reset, "make subscriptions ready again that stand still",
	 "Counts by message set the active ones with process_status 1, that of a worker that died.", reset_options},
	{"subscriptions prepend", "", 0, 0, ctl_subscriptions_prepend, "put a notice before the next message of each subscription, once",
	 "{id}, {identity}, {lang}, {messageset} (its short name) and {number} (of the message) are filled in\nfor each; {{ and }} are braces. A notice that waits already is kept.", prepend_options},
	{"tasks list", "[ID]...", 0, CTL_OPERANDS_MAX, ctl_tasks_list, "list failed tasks, the newest first", NULL, tasks_list_options},
	{"tasks requeue", "[ID]...", 0, CTL_OPERANDS_MAX, ctl_tasks_requeue, "try what failed again: make deliveries of failed tasks",
	 "Of all, or of those with these ids. Those whose subscription is not ready any more are dropped.", tasks_options},
	{"tasks drop", "[ID]...", 0, CTL_OPERANDS_MAX, ctl_tasks_drop, "drop failed tasks; they are not tried again", NULL, tasks_options},
	{"import-django", "CONNINFO", 1, 1, ctl_import_django, "take over from the original service",
	 "Makes an empty database equal to that of the original, named by a connection string of libpq.\nOnce begun, it may be killed and run again, and each further run brings what has changed there\nsince. Sending is paused from the beginning on. sbm-takeover(7) has the steps.", import_django_options},
	{"content export", "", 0, 0, ctl_content_export, "write all messages as a CSV sheet",
	 "One row for each message, for translators to fill in; sbm-content(5) describes it.", content_export_options},
	{"content import", "FILE", 1, 1, ctl_content_import, "make the messages as a CSV sheet has them",
	 "Lists what is new, changed or removed. All of it is written, or nothing; - is standard input.", content_import_options},
	{"content lint", "", 0, 0, ctl_content_lint, "look for what is wrong with the content, or may be",
	 "Exit status 1 when anything is found.", content_lint_options},
	{"content clone", "SET NEW", 2, 2, ctl_content_clone, "make a message set with the messages of another", NULL, content_clone_options},
	{"identity show", "ID", 1, 1, ctl_identity_show, "show all that is kept about one identity", NULL, identity_show_options},
	{"identity erase", "ID", 1, 1, ctl_identity_erase, "erase all that is kept about one identity",
	 "Its subscriptions are stopped and erased. Its deliveries are kept for the statistics, without\nwhat tells of a person.", identity_erase_options},
	{"pause", "all|schedule ID|messageset SET", 1, 2, ctl_pause, "send no more: nothing at all, or nothing of a schedule or message set",
	 "Within a second no call begins any more on any daemon; those under way end. What is due, and\nwhat falls due meanwhile, waits.", pause_options},
	{"resume", "all|schedule ID|messageset SET", 1, 2, ctl_resume, "go on with what was paused", NULL, NULL},
	{0},
};
