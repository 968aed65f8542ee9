#ifndef CTL_CTL_H
#define CTL_CTL_H

#include "ctl/table.h"
#include "io/db.h"

#include <stdbool.h>
#include <stdint.h>

/* Exit statuses. */
enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_INCOMPLETE = 3 /* done, but something wants a look */ };

struct ctl_option {
	const char *name;     /* without the hyphens; NULL ends a list */
	const char *argument; /* what its value is called in the help; NULL: it takes none */
	const char *help;
};

#define CTL_OPTIONS_MAX 32
#define CTL_OPERANDS_MAX 1000
struct ctl_args {
	struct {
		const char *name, *value;
	} options[CTL_OPTIONS_MAX];
	int option_count;
	const char *operands[CTL_OPERANDS_MAX + 1]; /* ended by NULL */
	int operand_count;
};

struct ctl {
	const char *config_path; /* of -c; NULL for none */
	struct db *db;           /* NULL until ctl_db was called */
};

/* One row for each command. */
struct ctl_command {
	const char *words;    /* "user add" */
	const char *operands; /* for the usage line; "" for none */
	int operands_min, operands_max;
	int (*run)(struct ctl *, const struct ctl_args *); /* returns the exit status */
	const char *summary;  /* one line */
	const char *details;  /* more for its --help; NULL for none */
	const struct ctl_option *options; /* NULL for none */
};
/* Ended by one with words NULL. */
extern const struct ctl_command ctl_commands[];

/* Columns of the statements that list runs. */
extern const struct table_column ctl_run_columns[];

/*
 * Commands that change data only tell what they would do until they are given --yes.  They have this row among
 * their options, ask ctl_yes, and end a dry run with ctl_would: "sbmctl: would TEXT; give --yes to do it" on
 * standard error, so that TEXT begins with a verb ("reset 3 subscriptions"). It returns CTL_OK.
 */
#define CTL_OPTION_YES {"yes", NULL, "do it; without it, only tell what would be done"}
bool ctl_yes(const struct ctl_args *);
int ctl_would(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "sbmctl: " and the text on standard error. Return CTL_FAILED and CTL_USAGE. */
int ctl_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int ctl_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* True when the option was given. */
bool ctl_has(const struct ctl_args *, const char *option);
/* True when an option that takes a value was given with this one. */
bool ctl_has_value(const struct ctl_args *, const char *option, const char *value);
/* The value of an option, the last when it was given more than once; NULL when it was not given. */
const char *ctl_value(const struct ctl_args *, const char *option);

/* Loads the settings. 0, or -1 after it said what is wrong. */
int ctl_settings(struct ctl *);
/* The database of the settings, whose schema is checked; NULL after it said what is wrong. Freed by main. */
struct db *ctl_db(struct ctl *);
/* The same without the check: for migrate. */
struct db *ctl_db_unchecked(struct ctl *);
/* Tells the sender daemons that there is something to do, if they can be reached at once; else their sweep finds it. */
void ctl_wake(const char *word);
/* Says why the last statement failed. Returns CTL_FAILED. */
int ctl_db_failed(struct ctl *, const char *what);
/* Whether a statement that counts finds anything. 1 or 0, or -1 after it said why it is not known. */
int ctl_known(struct ctl *, enum db_query, const struct db_params *);

int ctl_migrate(struct ctl *, const struct ctl_args *);
int ctl_user_add(struct ctl *, const struct ctl_args *);
int ctl_user_list(struct ctl *, const struct ctl_args *);
int ctl_user_activate(struct ctl *, const struct ctl_args *);
int ctl_user_deactivate(struct ctl *, const struct ctl_args *);
int ctl_user_password(struct ctl *, const struct ctl_args *);
int ctl_token_add(struct ctl *, const struct ctl_args *);
int ctl_token_list(struct ctl *, const struct ctl_args *);
int ctl_token_revoke(struct ctl *, const struct ctl_args *);
int ctl_config_check(struct ctl *, const struct ctl_args *);
int ctl_config_show(struct ctl *, const struct ctl_args *);
int ctl_config_sample(struct ctl *, const struct ctl_args *);
int ctl_config_man(struct ctl *, const struct ctl_args *);
int ctl_status(struct ctl *, const struct ctl_args *);
int ctl_verify(struct ctl *, const struct ctl_args *);
int ctl_queue_cancel(struct ctl *, const struct ctl_args *);
int ctl_run_list(struct ctl *, const struct ctl_args *);
int ctl_run_fire(struct ctl *, const struct ctl_args *);
int ctl_schedules_sync(struct ctl *, const struct ctl_args *);
int ctl_run_release(struct ctl *, const struct ctl_args *);
int ctl_run_cancel(struct ctl *, const struct ctl_args *);
int ctl_lifecycle(struct ctl *, const struct ctl_args *);
int ctl_subscriptions_duplicates(struct ctl *, const struct ctl_args *);
int ctl_subscriptions_reset(struct ctl *, const struct ctl_args *);
int ctl_subscriptions_prepend(struct ctl *, const struct ctl_args *);
int ctl_tasks_list(struct ctl *, const struct ctl_args *);
int ctl_tasks_requeue(struct ctl *, const struct ctl_args *);
int ctl_tasks_drop(struct ctl *, const struct ctl_args *);
int ctl_import_django(struct ctl *, const struct ctl_args *);
int ctl_content_export(struct ctl *, const struct ctl_args *);
int ctl_content_import(struct ctl *, const struct ctl_args *);
int ctl_content_lint(struct ctl *, const struct ctl_args *);
int ctl_content_clone(struct ctl *, const struct ctl_args *);
int ctl_identity_show(struct ctl *, const struct ctl_args *);
int ctl_identity_erase(struct ctl *, const struct ctl_args *);
int ctl_pause(struct ctl *, const struct ctl_args *);
int ctl_resume(struct ctl *, const struct ctl_args *);

#endif
