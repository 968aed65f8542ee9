#include "senderd/watch.h"

#include "base/assert.h"
#include "base/boundary.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/settings.h"
#include "domain/guard.h"
#include "senderd/wake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A copy of the database that was made since the last mark cannot be told from the database itself. */
#define LOOK_MS 1000

/* Shared by all processes of the daemon. */
static struct {
	_Atomic int64_t known; /* the last mark that was seen */
	_Atomic int64_t sent;  /* messages since the last mark that was set here */
} *shared;

struct watch {
	struct guard_mark seen; /* in the file, or before it could be written */
	bool checked, held, unwritten;
	int64_t next_ms;
};

int watch_init(void)
{
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		log_err("could not get shared memory", log_errno());
		return -1;
	}
	atomic_store(&shared->known, INT64_MAX);
	return 0;
}

int64_t watch_mark(void)
{
	return atomic_load(&shared->known);
}

void watch_count(int64_t messages)
{
	atomic_fetch_add(&shared->sent, messages);
}

static void read_file(struct watch *watch, const char *path)
{
	FILE *file = fopen(path, "re");
	char text[GUARD_TEXT_SIZE + 1];
	size_t n;

	if (!file) {
		if (errno != ENOENT)
			log_warn("could not read the state file; an older copy of the database is told by its place only", log_str("path", path), log_errno());
		return;
	}
	n = fread(text, 1, GUARD_TEXT_SIZE, file);
	fclose(file);
	text[n] = '\0';
	if (guard_parse(text, &watch->seen) != 0)
		log_warn("the state file is none; an older copy of the database is told by its place only", log_str("path", path));
}

/* Written aside and renamed, on the disk before it counts. */
static int replace_file(const char *path, const char *text)
{
	size_t n = strlen(text);
	char new[1024];
	int fd, rc;

	snprintf(new, sizeof new, "%s.%ld", path, (long)getpid());
	fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (fd < 0)
		return -1;
	rc = write(fd, text, n) == (ssize_t)n && fsync(fd) == 0 ? 0 : -1;
	if (close(fd) != 0 || rc != 0 || rename(new, path) != 0) {
		int saved_errno = errno;

		unlink(new);
		errno = saved_errno;
		return -1;
	}
	return 0;
}

static void write_file(struct watch *watch)
{
	const char *path = setting_str(SETTING_STATE_FILE);
	char text[GUARD_TEXT_SIZE];

	if (!*path)
		return;
	guard_format(&watch->seen, text);
	if (replace_file(path, text) == 0) {
		boundary_pass(BOUNDARY_DISPATCHER_STATE_FILE);
		watch->unwritten = false;
		return;
	}
	if (!watch->unwritten)
		log_warn("could not write the state file; an older copy of the database would be told by its place only", log_str("path", path), log_errno());
	watch->unwritten = true;
}

struct watch *watch_create(void)
{
	struct watch *watch = calloc(1, sizeof *watch);

	SBM_ASSERT(watch);
	if (*setting_str(SETTING_STATE_FILE))
		read_file(watch, setting_str(SETTING_STATE_FILE));
	return watch;
}

void watch_free(struct watch *watch)
{
	free(watch);
}

/* The database is the one that was left: what it stands at is what is known from here on. */
static void follow(struct watch *watch, const struct guard *guard)
{
	bool news = watch->seen.mark != guard->at.mark || strcmp(watch->seen.nonce, guard->at.nonce) != 0;

	watch->seen = guard->at;
	if (news || watch->unwritten)
		write_file(watch);
	if (watch->held)
		log_info("the database was accepted as it is; sending goes on");
	watch->held = false;
	atomic_store(&shared->known, guard->at.mark);
}

/* It is not. What was seen stays in the file until somebody has resumed all. */
static enum db_status hold(struct watch *watch, struct db *db, const struct guard *guard, enum guard_verdict verdict)
{
	char reason[GUARD_REASON_SIZE];
	enum db_status status;

	if (watch->held && guard->held)
		return DB_OK;
	guard_explain(guard, &watch->seen, verdict, reason);
	status = guard_hold(db, watch->seen.mark, reason, clock_now());
	if (status != DB_OK)
		return status;
	if (!watch->held)
		log_err("all sending is held; look at it, then: sbmctl resume all", log_str("reason", reason));
	watch->held = true;
	/* From here on the hold keeps deliveries from being claimed. */
	atomic_store(&shared->known, guard->at.mark);
	return DB_OK;
}

static enum db_status look(struct watch *watch, struct db *db)
{
	struct guard guard;
	enum db_status status = guard_read(db, &guard);
	enum guard_verdict verdict;

	if (status != DB_OK)
		return status;
	verdict = guard_judge(&guard, &watch->seen);
	if (verdict != GUARD_FINE)
		return hold(watch, db, &guard, verdict);
	follow(watch, &guard);
	return DB_OK;
}

/* With the first look too: a database that no daemon was at gets its place. */
static enum db_status set_mark(struct watch *watch, struct db *db)
{
	int64_t sent = atomic_load(&shared->sent);
	enum db_status status;
	bool done;

	if (watch->held || (watch->checked && sent == 0))
		return DB_OK;
	status = guard_next(db, sent, watch_mark(), &done);
	if (status != DB_OK || !done)
		return status;
	boundary_pass(BOUNDARY_DISPATCHER_MARKED);
	atomic_fetch_sub(&shared->sent, sent);
	return look(watch, db);
}

enum db_status watch_tend(struct watch *watch, struct db *db, int64_t now_ms)
{
	enum db_status status;

	if (watch->checked && now_ms < watch->next_ms)
		return DB_OK;
	status = look(watch, db);
	if (status == DB_OK)
		status = set_mark(watch, db);
	if (status != DB_OK)
		return status;
	if (!watch->checked)
		wake_senders();
	watch->checked = true;
	watch->next_ms = now_ms + LOOK_MS;
	return DB_OK;
}
