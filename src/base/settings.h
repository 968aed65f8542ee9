#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The settings of all three programs: rows in settings.def, values from the defaults, then the file, then
 * the environment.  One set for the process.
 */

enum setting {
#define SETTING(NAME, ...) SETTING_##NAME,
#include "base/settings.def"
#undef SETTING
	SETTING_MAX
};

enum setting_type { SETTING_TYPE_INT, SETTING_TYPE_SIZE, SETTING_TYPE_DURATION, SETTING_TYPE_STRING, SETTING_TYPE_URL, SETTING_TYPE_WINDOW, SETTING_TYPE_RATES, SETTING_TYPE_ENUM };
#define SETTING_RELOAD 1u /* SIGHUP takes it over */
#define SETTING_SECRET 2u /* never printed */

struct setting_row {
	const char *name;
	enum setting_type type;
	const char *fallback; /* default; for ENUM the default and then all words, separated by | */
	int64_t min, max;     /* numbers: bounds; texts: length in bytes */
	unsigned flags;
	const char *description;
};
extern const struct setting_row settings_rows[SETTING_MAX];

/*
 * Loads defaults, then path, then the environment. path NULL: the file named by SBM_CONF, else
 * SYSCONFDIR/sbm.conf, which then may be missing. 0, or -1 with what was wrong, where, and what is allowed
 * in error, and the settings as they were before.
 */
int settings_load(const char *path, char *error, size_t error_size);
/*
 * The same again, at SIGHUP: a bad file changes nothing and gives -1. Settings without SETTING_RELOAD keep
 * their value; each that differs is logged as needing a restart.
 */
int settings_reload(char *error, size_t error_size);
/* Path of the file that was read, or "" for none. */
const char *settings_path(void);

/* INT, SIZE (bytes), DURATION (milliseconds), ENUM (index of the word, from 0 in the order of the row). */
int64_t setting_int(enum setting);
/* STRING, URL, WINDOW, RATES, and ENUM as its word. Borrowed until the next reload. */
const char *setting_str(enum setting);
/* The same; that of the other setting when it is "". */
const char *setting_str_or(enum setting, enum setting other);
/* Where the value came from: "default", "file" or "environment". */
const char *setting_source(enum setting);
/* The value as text, as it would stand in the file; "(secret)" for a secret that is set. */
const char *setting_show(enum setting, char *out, size_t size);
/* What a value may be, in words: "a number from 1 to 64". Fits into 160 bytes. Returns out. */
const char *setting_allowed(enum setting, char *out, size_t size);
/* The setting of that name, or -1. */
int setting_find(const char *name);

#endif
