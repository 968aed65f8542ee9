#include "config.h"

#include "base/buf.h"
#include "base/settings.h"
#include "ctl/ctl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define VALUE_SIZE 4200
#define LINE_WIDTH 78

int ctl_config_check(struct ctl *ctl, const struct ctl_args *args)
{
	(void)args;
	if (ctl_settings(ctl))
		return CTL_FAILED;
	if (*settings_path())
		printf("%s is fine\n", settings_path());
	else
		puts("there is no file; the defaults and the environment are fine");
	return CTL_OK;
}

int ctl_config_show(struct ctl *ctl, const struct ctl_args *args)
{
	static const struct table_column columns[] = {{"name", TABLE_TEXT}, {"value", TABLE_TEXT}, {"source", TABLE_TEXT}, {0}};
	const char *name = args->operands[0];
	int wanted = name ? setting_find(name) : -1;
	struct table table;

	if (name && wanted < 0)
		return ctl_usage("\"%s\" is not a setting", name);
	if (ctl_settings(ctl))
		return CTL_FAILED;
	table_init(&table, columns);
	for (int i = 0; i < SETTING_MAX; i++) {
		char value[VALUE_SIZE];

		if (wanted < 0 || wanted == i)
			table_add(&table, (const char *[]){settings_rows[i].name, setting_show((enum setting)i, value, sizeof(value)), setting_source((enum setting)i)});
	}
	table_show(&table, ctl_has(args, "json"));
	table_fini(&table);
	return CTL_OK;
}

/* The default as the file would have it. */
static void show_fallback(const struct setting_row *row, char *out, size_t size)
{
	int n = row->type == SETTING_TYPE_ENUM ? (int)strcspn(row->fallback, "|") : (int)strlen(row->fallback);

	if (!n || ((row->type == SETTING_TYPE_STRING || row->type == SETTING_TYPE_URL) && strpbrk(row->fallback, " #\"")))
		snprintf(out, size, "\"%s\"", row->fallback);
	else
		snprintf(out, size, "%.*s", n, row->fallback);
}

/* Prints text in lines of a width that reads well, each with the prefix. */
static void print_folded(const char *prefix, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t n = strcspn(text, " ");

		if (column && column + 1 + n > LINE_WIDTH - strlen(prefix)) {
			putchar('\n');
			column = 0;
		}
		printf("%s%.*s", column ? " " : prefix, (int)n, text);
		column += n + (column > 0);
		text += n + (text[n] == ' ');
	}
	putchar('\n');
}

int ctl_config_sample(struct ctl *ctl, const struct ctl_args *args)
{
	(void)ctl;
	(void)args;
	puts("# Settings of sbm-api, sbm-senderd and sbmctl; sbm.conf(5) explains them.\n"
	     "# These are the defaults; take away a # and change what follows it.");
	for (int i = 0; i < SETTING_MAX; i++) {
		const struct setting_row *row = &settings_rows[i];
		char text[1024], allowed[160], fallback[256];

		show_fallback(row, fallback, sizeof(fallback));
		snprintf(text, sizeof(text), "%s; %s%s.", row->description, setting_allowed((enum setting)i, allowed, sizeof(allowed)),
			 row->flags & SETTING_RELOAD ? "" : "; a change needs a restart");
		text[0] = (char)toupper((unsigned char)text[0]);
		putchar('\n');
		print_folded("# ", text);
		printf("#%s = %s\n", row->name, fallback);
	}
	return CTL_OK;
}

/* The text for roff: what it would take for a request or a hyphen is escaped. */
static void put_roff(struct buf *buf, const char *text)
{
	for (const char *p = text; *p; p++) {
		bool first = p == text || p[-1] == ' ';

		if (first && (*p == '.' || *p == '\''))
			buf_puts(buf, "\\&");
		if (*p == '\\')
			buf_puts(buf, "\\e");
		else if (*p == '-')
			buf_puts(buf, "\\-");
		else if (*p == '"')
			buf_puts(buf, "\\(dq");
		else
			buf_putc(buf, *p);
	}
}

static void print_man_sentence(const char *before, const char *text)
{
	struct buf buf;

	buf_init(&buf, 4096);
	buf_puts(&buf, before);
	put_roff(&buf, text);
	buf_putc(&buf, '.');
	if (islower((unsigned char)*buf.data))
		*buf.data = (char)toupper((unsigned char)*buf.data);
	print_folded("", buf.data);
	buf_fini(&buf);
}

static void print_man_row(enum setting setting)
{
	const struct setting_row *row = &settings_rows[setting];
	char text[256];
	struct buf buf;

	buf_init(&buf, 4096);
	show_fallback(row, text, sizeof(text));
	put_roff(&buf, text);
	/* A colon at the end would be taken for punctuation. */
	printf(".It Ic %s No = Li %s\\&\n", row->name, buf_text(&buf));
	buf_fini(&buf);
	print_man_sentence("", row->description);
	print_man_sentence("Allowed: ", setting_allowed(setting, text, sizeof(text)));
	if (!(row->flags & SETTING_RELOAD))
		puts("A change needs a restart.");
	if (row->flags & SETTING_SECRET)
		puts("It is never shown.");
}

int ctl_config_man(struct ctl *ctl, const struct ctl_args *args)
{
	(void)ctl;
	(void)args;
	puts(".Bl -tag -width Ds");
	for (int i = 0; i < SETTING_MAX; i++)
		print_man_row((enum setting)i);
	puts(".El");
	return CTL_OK;
}
