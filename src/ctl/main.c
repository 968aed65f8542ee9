#include "config.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/settings.h"
#include "ctl/ctl.h"
#include "ctl/progress.h"
#include "domain/schema.h"
#include "io/db.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *command_words = "";

static void complain(const char *format, va_list ap)
{
	progress_hide();
	fputs("sbmctl: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
}

int ctl_fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	complain(format, ap);
	va_end(ap);
	return CTL_FAILED;
}

int ctl_usage(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	complain(format, ap);
	va_end(ap);
	fprintf(stderr, "Try: sbmctl %s%s--help\n", command_words, *command_words ? " " : "");
	return CTL_USAGE;
}

bool ctl_yes(const struct ctl_args *args)
{
	return ctl_has(args, "yes");
}

int ctl_would(const char *format, ...)
{
	va_list ap;

	progress_hide();
	fputs("sbmctl: would ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputs("; give --yes to do it\n", stderr);
	return CTL_OK;
}

bool ctl_has(const struct ctl_args *args, const char *option)
{
	for (int i = 0; i < args->option_count; i++)
		if (!strcmp(args->options[i].name, option))
			return true;
	return false;
}

bool ctl_has_value(const struct ctl_args *args, const char *option, const char *value)
{
	for (int i = 0; i < args->option_count; i++)
		if (!strcmp(args->options[i].name, option) && !strcmp(args->options[i].value, value))
			return true;
	return false;
}

const char *ctl_value(const struct ctl_args *args, const char *option)
{
	const char *value = NULL;

	for (int i = 0; i < args->option_count; i++)
		if (!strcmp(args->options[i].name, option))
			value = args->options[i].value;
	return value;
}

int ctl_settings(struct ctl *ctl)
{
	char error[512];
	int rc;

	log_configure(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT);
	rc = settings_load(ctl->config_path, error, sizeof(error));
	log_configure(LOG_LEVEL_ERR, LOG_FORMAT_LOGFMT);
	if (rc) {
		ctl_fail("%s", error);
		return -1;
	}
	clock_init(setting_str(SETTING_CLOCK_FILE));
	return 0;
}

struct db *ctl_db_unchecked(struct ctl *ctl)
{
	struct db_config config;

	if (ctl->db)
		return ctl->db;
	if (ctl_settings(ctl))
		return NULL;
	config = (struct db_config){.conninfo = setting_str(SETTING_DATABASE), .application_name = "sbmctl", .lock_timeout_ms = setting_int(SETTING_LOCK_TIMEOUT)};
	ctl->db = db_create(&config);
	if (!db_is_up(ctl->db)) {
		const char *message = db_message(ctl->db);

		/* Without a user in the setting, libpq takes that of the system, whom PostgreSQL does not know when it is root. */
		ctl_fail("could not connect to the database: %s%s", message, strstr(message, "\"root\"") ? "; as root: runuser -u sbm -- sbmctl ..." : "");
		return NULL;
	}
	return ctl->db;
}

struct db *ctl_db(struct ctl *ctl)
{
	struct db *db = ctl_db_unchecked(ctl);
	int version;

	if (!db)
		return NULL;
	if (schema_read(db, &version)) {
		ctl_db_failed(ctl, "read the schema's version");
		return NULL;
	}
	if (version < SCHEMA_NEEDED) {
		ctl_fail("the database's schema is at version %d, this program needs %d; run: sbmctl migrate", version, SCHEMA_NEEDED);
		return NULL;
	}
	return db;
}

int ctl_db_failed(struct ctl *ctl, const char *what)
{
	const char *message = db_message(ctl->db);

	return ctl_fail("could not %s: %s", what, *message ? message : "the database did not answer");
}

int ctl_known(struct ctl *ctl, enum db_query query, const struct db_params *params)
{
	struct db_result *result;
	int known;

	if (db_query(ctl->db, query, params, &result) != DB_OK) {
		ctl_db_failed(ctl, "read the database");
		return -1;
	}
	known = db_int(result, 0, 0) > 0;
	db_result_free(result);
	return known;
}

static void print_usage(const struct ctl_command *command, const char *before)
{
	printf("%ssbmctl [-c FILE] %s", before, command->words);
	for (const struct ctl_option *o = command->options; o && o->name; o++)
		printf(o->argument ? " [--%s %s]" : " [--%s]", o->name, o->argument);
	printf("%s%s\n", *command->operands ? " " : "", command->operands);
}

static int help_command(const struct ctl_command *command)
{
	print_usage(command, "usage: ");
	printf("\n%c%s.\n", toupper((unsigned char)*command->summary), command->summary + 1);
	if (command->details)
		printf("%s\n", command->details);
	if (command->options)
		printf("\n");
	for (const struct ctl_option *o = command->options; o && o->name; o++) {
		char text[64];

		snprintf(text, sizeof(text), "--%s %s", o->name, o->argument ? o->argument : "");
		printf("  %-24s %s\n", text, o->help);
	}
	return CTL_OK;
}

/* All commands, or those whose first word is group. */
static void list_commands(FILE *out, const char *group)
{
	size_t n = strlen(group);

	for (const struct ctl_command *command = ctl_commands; command->words; command++) {
		if (n && (strncmp(command->words, group, n) || command->words[n] != ' '))
			continue;
		fprintf(out, "  %-25s %s\n", command->words, command->summary);
	}
}

static int help_all(void)
{
	printf("usage: sbmctl [-c FILE] COMMAND [OPTION]... [ARGUMENT]...\n"
	       "       sbmctl COMMAND --help\n"
	       "       sbmctl --version\n\n"
	       "Administers the stage-based messaging store.\n\n");
	list_commands(stdout, "");
	printf("\n  -c, --config FILE   settings, in place of %s/sbm.conf\n", SBM_SYSCONFDIR);
	printf("\nExit status: 0 done, 1 failed or found something wrong, 2 wrong usage. sbmctl(8) has the details.\n");
	return CTL_OK;
}

/* How many of the words are those of the command; 0 when it is another one. */
static int match_words(const struct ctl_command *command, int argc, char **argv)
{
	const char *words = command->words;
	int count = 0;

	while (*words) {
		size_t n = strcspn(words, " ");

		if (count >= argc || strlen(argv[count]) != n || strncmp(argv[count], words, n))
			return 0;
		count++;
		words += n + (words[n] == ' ');
	}
	return count;
}

static const struct ctl_command *find_command(int *argc, char ***argv)
{
	for (const struct ctl_command *command = ctl_commands; command->words; command++) {
		int count = match_words(command, *argc, *argv);

		if (count) {
			*argc -= count;
			*argv += count;
			return command;
		}
	}
	return NULL;
}

static bool is_group(const char *word)
{
	size_t n = strlen(word);

	for (const struct ctl_command *command = ctl_commands; command->words; command++)
		if (!strncmp(command->words, word, n) && command->words[n] == ' ')
			return true;
	return false;
}

static int unknown_command(int argc, char **argv)
{
	if (!is_group(argv[0]))
		return ctl_usage("\"%s\" is not a command", argv[0]);
	if (argc > 1 && argv[1][0] != '-') {
		ctl_fail("\"%s %s\" is not a command; there are:", argv[0], argv[1]);
		list_commands(stderr, argv[0]);
		return CTL_USAGE;
	}
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		list_commands(stdout, argv[0]);
		return CTL_OK;
	}
	ctl_fail("\"%s\" is not a whole command; there are:", argv[0]);
	list_commands(stderr, argv[0]);
	return CTL_USAGE;
}

static const struct ctl_option *find_option(const struct ctl_command *command, const char *name, size_t n)
{
	for (const struct ctl_option *o = command->options; o && o->name; o++)
		if (strlen(o->name) == n && !strncmp(o->name, name, n))
			return o;
	return NULL;
}

/* Takes an option and its value. Returns how many words they were, or -1 after saying what is wrong. */
static int take_option(const struct ctl_command *command, struct ctl_args *args, int argc, char **argv)
{
	const char *name = argv[0] + 2, *equals = strchr(name, '=');
	size_t n = equals ? (size_t)(equals - name) : strlen(name);
	const struct ctl_option *option = find_option(command, name, n);
	const char *value = equals ? equals + 1 : option && option->argument && argc > 1 ? argv[1] : NULL;

	if (argv[0][1] != '-' || !option)
		ctl_usage("%s: no such option", argv[0]);
	else if (option->argument && !value)
		ctl_usage("--%s: its value is missing", option->name);
	else if (!option->argument && equals)
		ctl_usage("--%s takes no value", option->name);
	else if (args->option_count == CTL_OPTIONS_MAX)
		ctl_usage("too many options");
	else {
		args->options[args->option_count].name = option->name;
		args->options[args->option_count++].value = value;
		return option->argument && !equals ? 2 : 1;
	}
	return -1;
}

/* Options and operands in any order; -- ends the options; a lone - is an operand. */
static int take_arguments(const struct ctl_command *command, struct ctl_args *args, int argc, char **argv)
{
	bool options = true;

	while (argc) {
		int taken = 1;

		if (options && !strcmp(argv[0], "--"))
			options = false;
		else if (options && argv[0][0] == '-' && argv[0][1])
			taken = take_option(command, args, argc, argv);
		else if (args->operand_count < command->operands_max)
			args->operands[args->operand_count++] = argv[0];
		else {
			ctl_usage("unexpected argument \"%s\"", argv[0]);
			return -1;
		}
		if (taken < 0)
			return -1;
		argc -= taken;
		argv += taken;
	}
	if (args->operand_count < command->operands_min) {
		ctl_usage("expected %s", command->operands);
		return -1;
	}
	return 0;
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

static int run_command(struct ctl *ctl, int argc, char **argv)
{
	const struct ctl_command *command = find_command(&argc, &argv);
	struct ctl_args args = {0};
	int status;

	if (!command)
		return unknown_command(argc, argv);
	command_words = command->words;
	if (wants_help(argc, argv))
		return help_command(command);
	if (take_arguments(command, &args, argc, argv))
		return CTL_USAGE;
	status = command->run(ctl, &args);
	db_free(ctl->db);
	return status;
}

/* Takes the options before the command. -1: go on; else the exit status. */
static int take_global(struct ctl *ctl, int *argc, char ***argv)
{
	for (; *argc && (*argv)[0][0] == '-'; ++*argv, --*argc) {
		const char *word = (*argv)[0];

		if (!strcmp(word, "-h") || !strcmp(word, "--help"))
			return help_all();
		if (!strcmp(word, "-V") || !strcmp(word, "--version")) {
			puts("sbmctl " PACKAGE_VERSION);
			return CTL_OK;
		}
		if (!strncmp(word, "--config=", 9)) {
			ctl->config_path = word + 9;
			continue;
		}
		if (strcmp(word, "-c") && strcmp(word, "--config"))
			return ctl_usage("%s: no such option", word);
		if (*argc < 2)
			return ctl_usage("%s: the file's name is missing", word);
		ctl->config_path = (*argv)[1];
		++*argv;
		--*argc;
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct ctl ctl = {0};
	int status;

	log_init("sbmctl");
	/* What went wrong is said in words of our own; the log is for what nobody expects, and for warnings about settings. */
	log_configure(LOG_LEVEL_ERR, LOG_FORMAT_LOGFMT);
	argc--;
	argv++;
	status = take_global(&ctl, &argc, &argv);
	if (status < 0 && !argc)
		status = ctl_usage("a command is missing");
	else if (status < 0)
		status = run_command(&ctl, argc, argv);
	if ((fflush(stdout) || ferror(stdout)) && status == CTL_OK)
		status = ctl_fail("could not write to standard output");
	return status;
}
