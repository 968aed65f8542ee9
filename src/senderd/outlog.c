#include "senderd/outlog.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define LINES_MAX ((size_t)1 << 30)

struct outlog {
	char *path;
	int fd;
	struct buf lines;
};

struct outlog *outlog_create(const char *path)
{
	struct outlog *log = calloc(1, sizeof *log);

	SBM_ASSERT(log);
	log->path = strdup(path);
	SBM_ASSERT(log->path);
	log->fd = -1;
	buf_init(&log->lines, LINES_MAX);
	return log;
}

void outlog_free(struct outlog *log)
{
	if (!log)
		return;
	if (log->fd >= 0)
		close(log->fd);
	buf_fini(&log->lines);
	free(log->path);
	free(log);
}

void outlog_put(struct outlog *log, const char *delivery_id, int64_t time, const char *payload)
{
	char text[CLOCK_TEXT_SIZE];

	clock_format(time, text);
	buf_printf(&log->lines, "{\"time\": \"%s\", \"delivery\": \"%s\", \"payload\": ", text, delivery_id);
	buf_puts(&log->lines, payload);
	buf_puts(&log->lines, "}\n");
}

size_t outlog_pending(const struct outlog *log)
{
	return log->lines.length;
}

static int write_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		data += n;
		length -= (size_t)n;
	}
	return 0;
}

/* A line that a crash of the machine cut short gets its end, so that the next one stands by itself. */
static int end_last_line(int fd, off_t size)
{
	char last = '\n';

	if (size > 0 && pread(fd, &last, 1, size - 1) != 1)
		return -1;
	return last == '\n' ? 0 : write_all(fd, "\n", 1);
}

/* Appends under the file's lock; what did not fit is taken away again, with nobody else in between. */
static int append(int fd, const struct buf *lines)
{
	off_t size = lseek(fd, 0, SEEK_END);
	int failed;

	if (size < 0 || end_last_line(fd, size))
		return -1;
	if (!write_all(fd, lines->data, lines->length) && !fdatasync(fd))
		return 0;
	failed = errno;
	if (ftruncate(fd, size))
		failed = errno;
	errno = failed;
	return -1;
}

static int open_file(struct outlog *log)
{
	if (log->fd < 0)
		log->fd = open(log->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	return log->fd < 0 ? -1 : 0;
}

static int flush_locked(struct outlog *log)
{
	int status, failed;

	while (flock(log->fd, LOCK_EX))
		if (errno != EINTR)
			return -1;
	status = append(log->fd, &log->lines);
	failed = errno;
	flock(log->fd, LOCK_UN);
	errno = failed;
	return status;
}

int outlog_flush(struct outlog *log, char *error, size_t error_size)
{
	int status = 0;

	if (log->lines.overflow)
		errno = EFBIG;
	if (log->lines.overflow || (log->lines.length > 0 && (open_file(log) || flush_locked(log)))) {
		snprintf(error, error_size, "could not write \"%s\": %s", log->path, strerror(errno));
		if (log->fd >= 0)
			close(log->fd);
		log->fd = -1;
		status = -1;
	}
	buf_reset(&log->lines);
	return status;
}
