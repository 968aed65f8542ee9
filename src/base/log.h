#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

/*
 * One line for each event on standard error, or to the system's log, as logfmt or JSON:
 *   ts=2026-11-23T19:40:00.123Z level=info prog=sbm-api pid=17 rid=ab12 msg="worker exited" status=1
 * No tokens, addresses or message texts in any of them.
 */

enum log_level { LOG_LEVEL_ERR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_MAX };
enum log_target { LOG_TARGET_STDERR, LOG_TARGET_SYSLOG, LOG_TARGET_MAX };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON, LOG_FORMAT_MAX };

struct log_field {
	const char *key;   /* NULL ends a list */
	const char *text;  /* NULL: the field is the number */
	int64_t number;
};

/* Fields of a line. Texts are borrowed until the line is written; NULL is written as "". */
static inline struct log_field log_str(const char *key, const char *text) { return (struct log_field){key, text ? text : "", 0}; }
static inline struct log_field log_int(const char *key, int64_t number) { return (struct log_field){key, 0, number}; }
/* The text of errno, under the key "error". */
struct log_field log_errno(void);

/* Name of the program in each line; borrowed for good. Call it once, before the first line. */
void log_init(const char *program);
void log_configure(enum log_level least, enum log_format format);
/*
 * Where lines go; before it, to standard error. For LOG_TARGET_SYSLOG: the unix datagram socket of the system's log
 * (copied), facility daemon. It is never waited for: a line that it does not take at once goes to standard error.
 */
void log_to(enum log_target, const char *socket_path);
/* Request id that goes into each line from now on; NULL or "" for none. Copied; 64 bytes at most. */
void log_set_request_id(const char *request_id);
const char *log_request_id(void);

/* False when a line of that level would not be written. */
bool log_is_on(enum log_level);
/* Writes one line, at most 4096 bytes, in one write. Keeps errno. */
void log_write(enum log_level level, const char *message, const struct log_field *fields);

#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(,) {0}})
#define log_err(message, ...) log_write(LOG_LEVEL_ERR, (message), LOG_FIELDS(__VA_ARGS__))
#define log_warn(message, ...) log_write(LOG_LEVEL_WARN, (message), LOG_FIELDS(__VA_ARGS__))
#define log_info(message, ...) log_write(LOG_LEVEL_INFO, (message), LOG_FIELDS(__VA_ARGS__))
#define log_debug(message, ...) log_write(LOG_LEVEL_DEBUG, (message), LOG_FIELDS(__VA_ARGS__))
/* Logs at level err and exits with status 1: for what cannot go on, at start. */
#define log_fatal(message, ...) log_die((message), LOG_FIELDS(__VA_ARGS__))
_Noreturn void log_die(const char *message, const struct log_field *fields);

#endif
