#include "base/settings.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "SBM_"
#define NAME_SIZE 64

const struct setting_row settings_rows[SETTING_MAX] = {
#define SETTING(NAME, name, TYPE, fallback, min, max, flags, description) \
	[SETTING_##NAME] = {name, SETTING_TYPE_##TYPE, fallback, min, max, flags, description},
#include "base/settings.def"
#undef SETTING
};

struct value {
	char *text; /* as it was written; owned */
	int64_t number;
	const char *source;
	int line; /* of the file; 0 elsewhere */
};

struct value_set {
	struct value values[SETTING_MAX];
};

/* What a value was read from, for the message when it is wrong. */
struct origin {
	const char *source;
	const char *path;
	int line;
};

struct error {
	char *text;
	size_t size;
};

extern char **environ;

static struct value_set current;
static char *current_path;
static bool loaded;

static char *copy_text(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		log_fatal("out of memory");
	return copy;
}

static int fail(struct error *error, const struct origin *origin, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int fail(struct error *error, const struct origin *origin, const char *format, ...)
{
	char what[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	if (origin->line)
		snprintf(error->text, error->size, "%s:%d: %s", origin->path, origin->line, what);
	else
		snprintf(error->text, error->size, "%s: %s", origin->path, what);
	return -1;
}

static void value_set_free(struct value_set *set)
{
	for (int i = 0; i < SETTING_MAX; i++)
		free(set->values[i].text);
	*set = (struct value_set){0};
}

/* The words of an ENUM row without its default in front. */
static const char *enum_words(const struct setting_row *row)
{
	return strchr(row->fallback, '|') + 1;
}

static int find_word(const char *words, const char *word, int64_t *index)
{
	size_t length = strlen(word);

	for (int64_t i = 0;; i++) {
		size_t n = strcspn(words, "|");

		if (n == length && !strncmp(words, word, n)) {
			*index = i;
			return 0;
		}
		if (!words[n])
			return -1;
		words += n + 1;
	}
}

static void show_size(int64_t bytes, char *out, size_t size)
{
	static const char *const units[] = {"", "KiB", "MiB", "GiB"};
	int i = 0;

	for (; i < 3 && bytes && bytes % 1024 == 0; i++)
		bytes /= 1024;
	snprintf(out, size, "%" PRId64 "%s", bytes, units[i]);
}

static void show_duration(int64_t ms, char *out, size_t size)
{
	static const struct {
		int64_t ms;
		const char *unit;
	} units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
	int i = 0;

	while (ms % units[i].ms)
		i++;
	snprintf(out, size, "%" PRId64 "%s", ms / units[i].ms, ms ? units[i].unit : "");
}

static void show_bound(const struct setting_row *row, int64_t bound, char *out, size_t size)
{
	if (row->type == SETTING_TYPE_SIZE)
		show_size(bound, out, size);
	else if (row->type == SETTING_TYPE_DURATION)
		show_duration(bound, out, size);
	else
		snprintf(out, size, "%" PRId64, bound);
}

/* A URL row's default has a scheme of its own: with nothing behind it, "direct:", or with an absolute path, "log:/...". */
static size_t own_scheme(const struct setting_row *row)
{
	size_t n = strcspn(row->fallback, ":");

	return *row->fallback && strncmp(row->fallback, "http", 4) && row->fallback[n] ? n + 1 : 0;
}

static bool own_scheme_has_path(const struct setting_row *row)
{
	return row->fallback[own_scheme(row)] == '/';
}

static bool url_is_fine(const struct setting_row *row, const char *text)
{
	size_t n = strlen(text), own = own_scheme(row), host;

	if ((int64_t)n < row->min || (int64_t)n > row->max)
		return false;
	if (n == 0)
		return true;
	if (own && !strncmp(text, row->fallback, own))
		return own_scheme_has_path(row) ? text[own] == '/' && n > own + 1 : n == own;
	if (strncmp(text, "http://", 7) && strncmp(text, "https://", 8))
		return false;
	host = strcspn(text, "/") + 2;
	return text[host] && text[host] != '/' && text[n - 1] != '/' && !strpbrk(text, " \"<>\\?#");
}

const char *setting_allowed(enum setting setting, char *out, size_t size)
{
	const struct setting_row *row = &settings_rows[setting];
	char min[32], max[32];

	show_bound(row, row->min, min, sizeof(min));
	show_bound(row, row->max, max, sizeof(max));
	switch (row->type) {
	case SETTING_TYPE_INT:
		snprintf(out, size, "a number from %s to %s", min, max);
		break;
	case SETTING_TYPE_SIZE:
		snprintf(out, size, "a size from %s to %s (bytes, or with KiB, MiB, GiB)", min, max);
		break;
	case SETTING_TYPE_DURATION:
		snprintf(out, size, "a duration from %s to %s (seconds, or with ms, s, m, h, d)", min, max);
		break;
	case SETTING_TYPE_STRING:
		snprintf(out, size, "a text of %s%s%s bytes", row->min ? min : "at most", row->min ? " to " : " ", max);
		break;
	case SETTING_TYPE_URL:
		snprintf(out, size, "%san http or https URL without a slash at its end%s%.*s%s", row->min ? "" : "nothing, or ", own_scheme(row) ? ", or " : "",
			 (int)own_scheme(row), row->fallback, own_scheme(row) && own_scheme_has_path(row) ? " and an absolute path" : "");
		break;
	case SETTING_TYPE_WINDOW:
		snprintf(out, size, "two different times of a day, as in 08:00-20:00, or nothing");
		break;
	case SETTING_TYPE_RATES:
		snprintf(out, size, "names with a number from 1 to %d each, as in WHATSAPP=20 SMS=80", RATE_MAX);
		break;
	case SETTING_TYPE_ENUM:
		snprintf(out, size, "one of ");
		for (const char *p = enum_words(row); *p; p++) {
			size_t n = strlen(out);

			if (*p == '|')
				snprintf(out + n, size - n, ", ");
			else
				snprintf(out + n, size - n, "%c", *p);
		}
		break;
	}
	return out;
}

static int parse_number(const struct setting_row *row, const char *text, int64_t *out)
{
	int64_t number;

	switch (row->type) {
	case SETTING_TYPE_INT:
		return parse_int(text, row->min, row->max, out);
	case SETTING_TYPE_SIZE:
		if (parse_size(text, &number))
			return -1;
		break;
	case SETTING_TYPE_DURATION:
		if (parse_duration(text, &number))
			return -1;
		break;
	case SETTING_TYPE_ENUM:
		return find_word(enum_words(row), text, out);
	default:
		return -1;
	}
	if (number < row->min || number > row->max)
		return -1;
	*out = number;
	return 0;
}

static bool window_is_fine(const char *text)
{
	int from, until;

	return !*text || !parse_window(text, &from, &until);
}

static bool rates_are_fine(const struct setting_row *row, const char *text)
{
	int64_t length = (int64_t)strlen(text);
	struct rate rate;
	int rc;

	while ((rc = parse_rate(&text, &rate)) > 0)
		;
	return rc == 0 && length >= row->min && length <= row->max;
}

static bool is_printable(const char *text)
{
	if (!utf8_is_valid(text, strlen(text)))
		return false;
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

static int set_value(struct value_set *set, enum setting setting, const char *text, const struct origin *origin, struct error *error)
{
	const struct setting_row *row = &settings_rows[setting];
	struct value *value = &set->values[setting];
	char allowed[160];
	int64_t length = (int64_t)strlen(text);
	bool fine;

	if (!is_printable(text))
		return fail(error, origin, "%s: the value has control characters or is not UTF-8", row->name);
	if (row->type == SETTING_TYPE_STRING)
		fine = length >= row->min && length <= row->max;
	else if (row->type == SETTING_TYPE_URL)
		fine = url_is_fine(row, text);
	else if (row->type == SETTING_TYPE_WINDOW)
		fine = window_is_fine(text);
	else if (row->type == SETTING_TYPE_RATES)
		fine = rates_are_fine(row, text);
	else
		fine = !parse_number(row, text, &value->number);
	if (!fine && row->flags & SETTING_SECRET)
		return fail(error, origin, "%s: bad value; allowed: %s", row->name, setting_allowed(setting, allowed, sizeof(allowed)));
	if (!fine)
		return fail(error, origin, "%s: bad value \"%.64s\"; allowed: %s", row->name, text, setting_allowed(setting, allowed, sizeof(allowed)));
	free(value->text);
	value->text = copy_text(text);
	value->source = origin->source;
	value->line = origin->line;
	return 0;
}

static void set_defaults(struct value_set *set)
{
	static const struct origin origin = {.source = "default", .path = "settings.def"};
	char message[256];
	struct error error = {message, sizeof(message)};

	for (int i = 0; i < SETTING_MAX; i++) {
		const struct setting_row *row = &settings_rows[i];
		char word[64];

		snprintf(word, sizeof(word), "%.*s", (int)strcspn(row->fallback, "|"), row->fallback);
		if (set_value(set, (enum setting)i, row->type == SETTING_TYPE_ENUM ? word : row->fallback, &origin, &error))
			log_fatal("bad default of a setting", log_str("error", message));
	}
}

int setting_find(const char *name)
{
	for (int i = 0; i < SETTING_MAX; i++)
		if (!strcmp(settings_rows[i].name, name))
			return i;
	return -1;
}

static char *skip_blanks(char *p)
{
	return p + strspn(p, " \t");
}

/* Takes a value in double quotes, in which \" and \\ stand for themselves. NULL when the closing one is missing. */
static char *take_quoted(char *p, char **value)
{
	char *out = ++p;

	*value = out;
	for (; *p && *p != '"'; p++) {
		if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
		*out++ = *p;
	}
	if (!*p)
		return NULL;
	*out = '\0';
	return p + 1;
}

static char *take_word(char *p, char **value)
{
	char *end = p + strcspn(p, " \t");

	*value = p;
	if (!*end)
		return end;
	*end = '\0';
	return end + 1;
}

static int read_value(struct value_set *set, enum setting setting, char *p, const struct origin *origin, struct error *error)
{
	const char *name = settings_rows[setting].name;
	char *value, *rest;

	if (!*p || *p == '#')
		return fail(error, origin, "%s: the value is missing; write \"\" for an empty one", name);
	rest = *p == '"' ? take_quoted(p, &value) : take_word(p, &value);
	if (!rest)
		return fail(error, origin, "%s: the closing double quote is missing", name);
	if (*rest && *rest != ' ' && *rest != '\t' && *p == '"')
		return fail(error, origin, "%s: text after the value", name);
	rest = skip_blanks(rest);
	if (*rest && *rest != '#')
		return fail(error, origin, "%s: text after the value; put a value with blanks into double quotes", name);
	return set_value(set, setting, value, origin, error);
}

static int read_line(struct value_set *set, char *line, const struct origin *origin, struct error *error)
{
	char *name = skip_blanks(line);
	char *end = name + strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789");
	char *p = skip_blanks(end);
	int setting;

	if (!*name || *name == '#')
		return 0;
	if (end == name || *p != '=')
		return fail(error, origin, "expected \"name = value\"");
	*end = '\0';
	setting = setting_find(name);
	if (setting < 0)
		return fail(error, origin, "\"%.64s\" is not a setting; sbm.conf(5) has them all", name);
	if (set->values[setting].line)
		return fail(error, origin, "%s: already set in line %d", name, set->values[setting].line);
	return read_value(set, (enum setting)setting, skip_blanks(p + 1), origin, error);
}

static int read_lines(struct value_set *set, FILE *file, const char *path, struct error *error)
{
	struct origin origin = {.source = "file", .path = path};
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	int rc = 0;

	while (!rc && (n = getline(&line, &size, file)) >= 0) {
		origin.line++;
		if (strlen(line) != (size_t)n)
			rc = fail(error, &origin, "NUL byte");
		else {
			line[strcspn(line, "\r\n")] = '\0';
			rc = read_line(set, line, &origin, error);
		}
	}
	if (!rc && ferror(file)) {
		origin.line = 0;
		rc = fail(error, &origin, "could not read: %s", strerror(errno));
	}
	free(line);
	return rc;
}

/* required: a missing file is an error. *found tells whether there was one. */
static int read_file(struct value_set *set, const char *path, bool required, bool *found, struct error *error)
{
	struct origin origin = {.path = path};
	FILE *file = fopen(path, "re");
	int rc;

	*found = file;
	if (!file && errno == ENOENT && !required)
		return 0;
	if (!file)
		return fail(error, &origin, "could not open: %s", strerror(errno));
	rc = read_lines(set, file, path, error);
	fclose(file);
	return rc;
}

/* Variables with our prefix that are not settings: where the file is, what the stack's env file sets for its reader, and those of the tests. */
static bool is_foreign(const char *name)
{
	static const char *const names[] = {"conf", "admin_token", "psql", "build", NULL};

	for (int i = 0; names[i]; i++)
		if (!strcmp(names[i], name))
			return true;
	return !strncmp(name, "test_", 5) || !strncmp(name, "stack_", 6);
}

static int read_variable(struct value_set *set, const char *variable, struct error *error)
{
	struct origin origin = {.source = "environment"};
	const char *equals = strchr(variable, '=');
	char full[NAME_SIZE], name[NAME_SIZE];
	size_t i;
	int setting;

	if (!equals || (size_t)(equals - variable) >= sizeof(full))
		return 0;
	snprintf(full, sizeof(full), "%.*s", (int)(equals - variable), variable);
	for (i = 0; full[strlen(PREFIX) + i]; i++)
		name[i] = (char)tolower((unsigned char)full[strlen(PREFIX) + i]);
	name[i] = '\0';
	setting = is_foreign(name) ? -1 : setting_find(name);
	origin.path = full;
	if (setting >= 0)
		return set_value(set, (enum setting)setting, equals + 1, &origin, error);
	if (!is_foreign(name) && !loaded)
		log_warn("environment variable is not a setting", log_str("name", full));
	return 0;
}

static int read_environment(struct value_set *set, struct error *error)
{
	for (char **p = environ; *p; p++)
		if (!strncmp(*p, PREFIX, strlen(PREFIX)) && read_variable(set, *p, error))
			return -1;
	return 0;
}

/* Where two settings must fit each other. */
static int check_pairs(const struct value_set *set, struct error *error)
{
	static const struct {
		enum setting less, more;
	} pairs[] = {{SETTING_PAGE_SIZE, SETTING_PAGE_SIZE_MAX}, {SETTING_RETRY_BASE, SETTING_RETRY_MAX}, {SETTING_PROBE_MIN, SETTING_PROBE_MAX}};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		const struct value *less = &set->values[pairs[i].less], *more = &set->values[pairs[i].more];

		if (less->number > more->number) {
			snprintf(error->text, error->size, "%s (%s, from %s) is more than %s (%s, from %s)", settings_rows[pairs[i].less].name, less->text, less->source,
				 settings_rows[pairs[i].more].name, more->text, more->source);
			return -1;
		}
	}
	return 0;
}

static int load(struct value_set *set, const char *path, bool required, bool *found, struct error *error)
{
	*set = (struct value_set){0};
	set_defaults(set);
	if (read_file(set, path, required, found, error) || read_environment(set, error) || check_pairs(set, error)) {
		value_set_free(set);
		return -1;
	}
	return 0;
}

int settings_load(const char *path, char *error_text, size_t error_size)
{
	struct error error = {error_text, error_size};
	struct value_set set;
	bool found, required = true;

	if (!path)
		path = getenv("SBM_CONF");
	if (!path) {
		path = SBM_SYSCONFDIR "/sbm.conf";
		required = false;
	}
	if (load(&set, path, required, &found, &error))
		return -1;
	value_set_free(&current);
	current = set;
	path = copy_text(found ? path : "");
	free(current_path);
	current_path = (char *)path;
	loaded = true;
	return 0;
}

/* Takes over what may change and says what may not. */
static void take_over(struct value_set *set)
{
	for (int i = 0; i < SETTING_MAX; i++) {
		struct value *old = &current.values[i], *new = &set->values[i], kept;

		if (settings_rows[i].flags & SETTING_RELOAD) {
			kept = *old;
			*old = *new;
			*new = kept;
		} else if (strcmp(old->text, new->text))
			log_warn("setting changed; it needs a restart", log_str("setting", settings_rows[i].name));
	}
}

int settings_reload(char *error_text, size_t error_size)
{
	struct error error = {error_text, error_size};
	struct value_set set;
	bool found;

	SBM_ASSERT(loaded);
	if (load(&set, *current_path ? current_path : SBM_SYSCONFDIR "/sbm.conf", *current_path, &found, &error))
		return -1;
	take_over(&set);
	value_set_free(&set);
	return 0;
}

const char *settings_path(void)
{
	return current_path ? current_path : "";
}

int64_t setting_int(enum setting setting)
{
	SBM_ASSERT(loaded && (settings_rows[setting].type < SETTING_TYPE_STRING || settings_rows[setting].type == SETTING_TYPE_ENUM));
	return current.values[setting].number;
}

const char *setting_str(enum setting setting)
{
	SBM_ASSERT(loaded && settings_rows[setting].type >= SETTING_TYPE_STRING);
	return current.values[setting].text;
}

const char *setting_str_or(enum setting setting, enum setting other)
{
	const char *text = setting_str(setting);

	return *text ? text : setting_str(other);
}

const char *setting_source(enum setting setting)
{
	SBM_ASSERT(loaded);
	return current.values[setting].source;
}

const char *setting_show(enum setting setting, char *out, size_t size)
{
	const char *text;
	size_t n = 0;

	SBM_ASSERT(loaded);
	text = current.values[setting].text;
	if (settings_rows[setting].flags & SETTING_SECRET && *text)
		text = "(secret)";
	else if (!*text || strpbrk(text, " \t\"#")) {
		/* Quoted as read_value takes it; what does not fit is cut before the closing quote. */
		out[n++] = '"';
		for (; *text && n + 4 < size; text++) {
			if (*text == '"' || *text == '\\')
				out[n++] = '\\';
			out[n++] = *text;
		}
		out[n++] = '"';
		out[n] = '\0';
		return out;
	}
	snprintf(out, size, "%s", text);
	return out;
}
