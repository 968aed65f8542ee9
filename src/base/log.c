#include "base/log.h"

#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_SIZE 4096
/* What is kept free for the closing quote, brace and newline. */
#define LINE_RESERVE 4
#define REQUEST_ID_SIZE 65
/* "<30>Nov 23 19:40:00 sbm-senderd[4194304]: " */
#define SYSLOG_HEAD_SIZE 128

struct line {
	char text[LINE_SIZE];
	size_t length;
	bool first;
};

static const char *const level_words[LOG_LEVEL_MAX] = {"err", "warn", "info", "debug"};
static const char *program = "sbm";
static enum log_level least_level = LOG_LEVEL_INFO;
static enum log_format line_format = LOG_FORMAT_LOGFMT;
static char request_id[REQUEST_ID_SIZE];

static const int severities[LOG_LEVEL_MAX] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
static enum log_target target = LOG_TARGET_STDERR;
static struct sockaddr_un syslog_address = {.sun_family = AF_UNIX};
static int syslog_fd = -1;

struct log_field log_errno(void)
{
	return log_str("error", strerror(errno));
}

void log_init(const char *name)
{
	program = name;
}

void log_configure(enum log_level least, enum log_format format)
{
	least_level = least;
	line_format = format;
}

static void syslog_close(void)
{
	if (syslog_fd >= 0)
		close(syslog_fd);
	syslog_fd = -1;
}

void log_to(enum log_target to, const char *socket_path)
{
	syslog_close();
	target = to;
	snprintf(syslog_address.sun_path, sizeof(syslog_address.sun_path), "%s", socket_path);
}

void log_set_request_id(const char *id)
{
	snprintf(request_id, sizeof(request_id), "%s", id ? id : "");
}

const char *log_request_id(void)
{
	return request_id;
}

static bool line_fits(const struct line *line, size_t n)
{
	return line->length + n + LINE_RESERVE <= LINE_SIZE;
}

static void line_put(struct line *line, const char *text, size_t n)
{
	if (!line_fits(line, n))
		return;
	memcpy(line->text + line->length, text, n);
	line->length += n;
}

static void line_puts(struct line *line, const char *text)
{
	line_put(line, text, strlen(text));
}

/* Writes one character of text, escaped where it must be, and returns how many bytes of text it was. */
static size_t line_put_char(struct line *line, const char *text)
{
	char escape[8];
	size_t n = utf8_sequence(text, strnlen(text, 4));

	if (*text == '"' || *text == '\\')
		snprintf(escape, sizeof(escape), "\\%c", *text);
	else if (*text == '\n')
		snprintf(escape, sizeof(escape), "\\n");
	else if (n == 0)
		snprintf(escape, sizeof(escape), "\\ufffd");
	else if ((unsigned char)*text < 0x20 || *text == 0x7f)
		snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)(unsigned char)*text);
	else {
		line_put(line, text, n);
		return n;
	}
	line_puts(line, escape);
	return n ? n : 1;
}

static void line_put_quoted(struct line *line, const char *text)
{
	line_put(line, "\"", 1);
	while (*text && line_fits(line, 8))
		text += line_put_char(line, text);
	/* In the reserve: a text that was cut is closed too. */
	line->text[line->length++] = '"';
}

/* Words that logfmt takes without quotes. */
static bool is_plain(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f || *text == '"' || *text == '=' || *text == '\\')
			return false;
	return true;
}

static void line_put_field(struct line *line, const struct log_field *field, bool quote)
{
	char number[24];

	if (!line_fits(line, strlen(field->key) + 40))
		return;
	if (line_format == LOG_FORMAT_JSON) {
		line_puts(line, line->first ? "\"" : ",\"");
		line_puts(line, field->key);
		line_puts(line, "\":");
	} else {
		line_puts(line, line->first ? "" : " ");
		line_puts(line, field->key);
		line_puts(line, "=");
	}
	line->first = false;
	if (!field->text) {
		snprintf(number, sizeof(number), "%" PRId64, field->number);
		line_puts(line, number);
	} else if (quote || line_format == LOG_FORMAT_JSON || !is_plain(field->text))
		line_put_quoted(line, field->text);
	else if (line_fits(line, strlen(field->text)))
		line_puts(line, field->text);
	else
		line_put_quoted(line, field->text);
}

static void line_put_time(struct line *line)
{
	char text[40];
	struct timespec now;
	struct tm tm;
	size_t n;

	/* The system's own time, so that lines can be set beside those of other programs. */
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03dZ", (int)(now.tv_nsec / 1000000));
	line_put_field(line, &(struct log_field){"ts", text, 0}, false);
}

static void write_all(const char *text, size_t n)
{
	ssize_t done;

	do
		done = write(STDERR_FILENO, text, n);
	while (done < 0 && errno == EINTR);
}

static int syslog_connect(void)
{
	if (syslog_fd >= 0)
		return 0;
	syslog_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (syslog_fd < 0)
		return -1;
	if (connect(syslog_fd, (const struct sockaddr *)&syslog_address, sizeof(syslog_address)) == 0)
		return 0;
	syslog_close();
	return -1;
}

/* The form of syslog(3): priority, local time, program and process in front of the line. */
static size_t syslog_head(char out[SYSLOG_HEAD_SIZE], enum log_level level)
{
	time_t now = time(NULL);
	char stamp[32];
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &tm);
	return (size_t)snprintf(out, SYSLOG_HEAD_SIZE, "<%d>%s %.32s[%ld]: ", LOG_DAEMON | severities[level], stamp, program, (long)getpid());
}

/* -1 when the system's log does not take it now. */
static int syslog_send(enum log_level level, const struct line *line)
{
	char text[SYSLOG_HEAD_SIZE + LINE_SIZE];
	size_t n = syslog_head(text, level);

	/* Without the newline. */
	memcpy(text + n, line->text, line->length - 1);
	n += line->length - 1;
	/* It may have been started anew since the last line: then its socket is another one. */
	for (int tries = 0; tries < 2 && syslog_connect() == 0; tries++) {
		if (send(syslog_fd, text, n, MSG_NOSIGNAL) == (ssize_t)n)
			return 0;
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return -1;
		syslog_close();
	}
	return -1;
}

bool log_is_on(enum log_level level)
{
	return level <= least_level;
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
	struct line line = {.first = true};
	int saved_errno = errno;

	if (!log_is_on(level))
		return;
	if (line_format == LOG_FORMAT_JSON)
		line_puts(&line, "{");
	line_put_time(&line);
	line_put_field(&line, &(struct log_field){"level", level_words[level], 0}, false);
	line_put_field(&line, &(struct log_field){"prog", program, 0}, false);
	line_put_field(&line, &(struct log_field){"pid", NULL, getpid()}, false);
	if (*request_id)
		line_put_field(&line, &(struct log_field){"rid", request_id, 0}, false);
	line_put_field(&line, &(struct log_field){"msg", message, 0}, true);
	for (; fields->key; fields++)
		line_put_field(&line, fields, false);
	if (line_format == LOG_FORMAT_JSON)
		line.text[line.length++] = '}';
	line.text[line.length++] = '\n';
	if (target != LOG_TARGET_SYSLOG || syslog_send(level, &line) != 0)
		write_all(line.text, line.length);
	errno = saved_errno;
}

void log_die(const char *message, const struct log_field *fields)
{
	log_write(LOG_LEVEL_ERR, message, fields);
	exit(1);
}
