#include "config.h"

#include "base/buf.h"
#include "base/clock.h"
#include "ctl/ctl.h"
#include "io/db.h"
#include "io/digest.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The key of the advisory lock under which migrations are applied: "sbmm" in ASCII. */
#define LOCK_KEY 0x73626d6d
#define MIGRATION_MAX ((size_t)16 << 20)
#define VERSION_MAX 9999

struct migration {
	char name[256];              /* the file's */
	struct buf sql;
	char checksum[DIGEST_HEX_SIZE];
	const char *state;           /* "applied", "pending", "edited" */
	char applied_at[64];
};

/* Files beside the directory that go with the newest schema: applied anew each time, in this order. */
static const char *const scripts[] = {"invariants.sql", "grants.sql"};
#define SCRIPTS ((int)(sizeof(scripts) / sizeof(*scripts)))

/* The migrations of a directory: number n is at n - 1. */
struct migrations {
	const char *dir;
	int count;
	struct migration rows[VERSION_MAX];
	int newest_applied;
	struct buf scripts[SCRIPTS];
};

static int is_migration(const struct dirent *entry)
{
	const char *name = entry->d_name;
	size_t n = strlen(name);

	return n > 9 && strspn(name, "0123456789") == 4 && name[4] == '_' && !strcmp(name + n - 4, ".sql");
}

static int read_whole(const char *path, struct buf *out)
{
	FILE *file = fopen(path, "re");
	char chunk[4096];
	size_t n;
	int rc = 0;

	if (!file)
		return -1;
	while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0)
		buf_put(out, chunk, n);
	if (out->overflow || strlen(buf_text(out)) != out->length)
		errno = out->overflow ? EFBIG : EILSEQ;
	if (ferror(file) || errno)
		rc = -1;
	fclose(file);
	return rc;
}

static int read_migration(struct migrations *all, const char *name)
{
	struct migration *m = &all->rows[all->count];
	char path[1024];

	if (atoi(name) != all->count + 1)
		return ctl_fail("%s: %s: expected number %04d here; numbers have no gap and none is there twice", all->dir, name, all->count + 1);
	snprintf(m->name, sizeof(m->name), "%s", name);
	snprintf(path, sizeof(path), "%s/%s", all->dir, name);
	buf_init(&m->sql, MIGRATION_MAX);
	all->count++;
	errno = 0;
	if (read_whole(path, &m->sql))
		return ctl_fail("could not read \"%s\": %s", path, strerror(errno));
	digest_sha256_hex(buf_text(&m->sql), m->sql.length, m->checksum);
	m->state = "pending";
	return CTL_OK;
}

static int read_scripts(struct migrations *all)
{
	char path[1024];

	for (int i = 0; i < SCRIPTS; i++) {
		snprintf(path, sizeof(path), "%s/../%s", all->dir, scripts[i]);
		errno = 0;
		if (read_whole(path, &all->scripts[i]))
			return ctl_fail("could not read \"%s\": %s", path, strerror(errno));
	}
	return CTL_OK;
}

static int read_directory(struct migrations *all)
{
	struct dirent **entries;
	int n = scandir(all->dir, &entries, is_migration, alphasort), rc = CTL_OK;

	if (n < 0)
		return ctl_fail("could not read the directory \"%s\": %s; --dir names another one", all->dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		if (!rc && i < VERSION_MAX)
			rc = read_migration(all, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	if (!rc && !n)
		rc = ctl_fail("no migrations in \"%s\"; --dir names another directory", all->dir);
	return rc ? rc : read_scripts(all);
}

static void note_applied(struct migration *m, const char *checksum, const char *applied_at)
{
	m->state = strcmp(m->checksum, checksum) ? "edited" : "applied";
	snprintf(m->applied_at, sizeof(m->applied_at), "%s", applied_at);
}

/* Compares with what the database has. A database that has more than the directory is an error. */
static int read_applied(struct ctl *ctl, struct migrations *all)
{
	struct db_result *result;
	int rc = CTL_OK;

	if (db_query(ctl->db, DB_Q_MIGRATIONS_APPLIED, NULL, &result) != DB_OK)
		return ctl_db_failed(ctl, "read the applied migrations");
	for (int i = 0; i < db_rows(result) && !rc; i++) {
		int64_t version = db_int(result, i, 0);

		if (version > all->count)
			rc = ctl_fail("the database has migration %d (%s), which is not in \"%s\"; use the sbmctl that applied it",
				      (int)version, db_text(result, i, 1), all->dir);
		else {
			note_applied(&all->rows[version - 1], db_text(result, i, 2), db_text(result, i, 3));
			all->newest_applied = (int)version;
		}
	}
	db_result_free(result);
	return rc;
}

static int refuse_edited(const struct migrations *all)
{
	for (int i = 0; i < all->count; i++) {
		if (!strcmp(all->rows[i].state, "edited"))
			return ctl_fail("%s/%s differs from what was applied at %s; an applied migration must not be edited: put it back, and make a new one",
					all->dir, all->rows[i].name, all->rows[i].applied_at);
		if (i < all->newest_applied && !strcmp(all->rows[i].state, "pending"))
			return ctl_fail("%s/%s was not applied, though number %d was; the table schema_migration was tampered with",
					all->dir, all->rows[i].name, all->newest_applied);
	}
	return CTL_OK;
}

static int record(struct ctl *ctl, int version, const struct migration *m)
{
	struct db_params params;

	db_params_init(&params);
	db_param_int(&params, version);
	db_param_text(&params, m->name);
	db_param_text(&params, m->checksum);
	db_param_time(&params, clock_now());
	if (db_query(ctl->db, DB_Q_MIGRATION_RECORD, &params, NULL) != DB_OK)
		return ctl_db_failed(ctl, "record the migration");
	return CTL_OK;
}

/* Inside a transaction: takes the lock, makes the table, and looks what others did meanwhile. */
static int lock_and_read(struct ctl *ctl, struct migrations *all)
{
	struct db_params params;

	db_params_init(&params);
	db_param_int(&params, LOCK_KEY);
	if (db_query(ctl->db, DB_Q_MIGRATION_LOCK, &params, NULL) != DB_OK)
		return ctl_db_failed(ctl, "take the lock of migrations (is another migrate running?)");
	if (db_query(ctl->db, DB_Q_MIGRATION_TABLE, NULL, NULL) != DB_OK)
		return ctl_db_failed(ctl, "make the table schema_migration");
	if (read_applied(ctl, all))
		return CTL_FAILED;
	return refuse_edited(all);
}

static int apply_in_transaction(struct ctl *ctl, struct migrations *all, bool *done)
{
	struct migration *m;

	if (lock_and_read(ctl, all))
		return CTL_FAILED;
	*done = all->newest_applied >= all->count;
	if (*done)
		return CTL_OK;
	m = &all->rows[all->newest_applied];
	if (db_script(ctl->db, buf_text(&m->sql)) != DB_OK)
		return ctl_fail("%s/%s: %s; nothing of it was applied", all->dir, m->name, db_message(ctl->db));
	return record(ctl, all->newest_applied + 1, m);
}

/* Applies the next one that is missing, in one transaction. */
static int apply_next(struct ctl *ctl, struct migrations *all, bool *done)
{
	if (db_begin(ctl->db) != DB_OK)
		return ctl_db_failed(ctl, "begin a transaction");
	if (apply_in_transaction(ctl, all, done)) {
		db_rollback(ctl->db);
		return CTL_FAILED;
	}
	if (db_commit(ctl->db) != DB_OK)
		return ctl_db_failed(ctl, "commit the migration; look with: sbmctl migrate --status");
	if (!*done)
		printf("applied %s\n", all->rows[all->newest_applied].name);
	return CTL_OK;
}

/* The lock keeps two from applying them at once. */
static int apply_scripts(struct ctl *ctl, const struct migrations *all)
{
	struct db_params params;

	db_params_init(&params);
	db_param_int(&params, LOCK_KEY);
	if (db_begin(ctl->db) != DB_OK || db_query(ctl->db, DB_Q_MIGRATION_LOCK, &params, NULL) != DB_OK)
		return ctl_db_failed(ctl, "take the lock of migrations (is another migrate running?)");
	for (int i = 0; i < SCRIPTS; i++)
		if (db_script(ctl->db, buf_text(&all->scripts[i])) != DB_OK)
			return ctl_fail("%s/../%s: %s; views and rights are as they were", all->dir, scripts[i], db_message(ctl->db));
	if (db_commit(ctl->db) != DB_OK)
		return ctl_db_failed(ctl, "commit the views and rights; run migrate again");
	return CTL_OK;
}

static int apply_all(struct ctl *ctl, struct migrations *all)
{
	bool done = false;
	int applied = -1;

	while (!done) {
		if (apply_next(ctl, all, &done))
			return CTL_FAILED;
		applied++;
		fflush(stdout);
	}
	if (apply_scripts(ctl, all))
		return CTL_FAILED;
	if (!applied)
		printf("nothing to do; the schema is at version %d\n", all->count);
	return CTL_OK;
}

static int read_if_there(struct ctl *ctl, struct migrations *all)
{
	struct db_result *result;
	bool there;

	if (db_query(ctl->db, DB_Q_SCHEMA_TABLE, NULL, &result) != DB_OK)
		return ctl_db_failed(ctl, "look for the table schema_migration");
	there = db_int(result, 0, 0) > 0;
	db_result_free(result);
	return there ? read_applied(ctl, all) : CTL_OK;
}

static int show_status(struct ctl *ctl, struct migrations *all, bool json)
{
	static const struct table_column columns[] = {{"version", TABLE_NUMBER}, {"name", TABLE_TEXT}, {"state", TABLE_TEXT}, {"applied_at", TABLE_TIME}, {0}};
	struct table table;
	int rc = CTL_OK;

	if (read_if_there(ctl, all))
		return CTL_FAILED;
	table_init(&table, columns);
	for (int i = 0; i < all->count; i++) {
		const struct migration *m = &all->rows[i];
		char version[16];

		snprintf(version, sizeof(version), "%d", i + 1);
		table_add(&table, (const char *[]){version, m->name, m->state, *m->applied_at ? m->applied_at : NULL});
		if (strcmp(m->state, "applied"))
			rc = CTL_FAILED;
	}
	table_show(&table, json);
	table_fini(&table);
	return rc;
}

static void free_migrations(struct migrations *all)
{
	for (int i = 0; i < all->count; i++)
		buf_fini(&all->rows[i].sql);
	for (int i = 0; i < SCRIPTS; i++)
		buf_fini(&all->scripts[i]);
	free(all);
}

int ctl_migrate(struct ctl *ctl, const struct ctl_args *args)
{
	struct migrations *all;
	int rc = CTL_FAILED;

	if (ctl_has(args, "json") && !ctl_has(args, "status"))
		return ctl_usage("--json goes with --status");
	all = calloc(1, sizeof(*all));
	if (!all)
		return ctl_fail("out of memory");
	for (int i = 0; i < SCRIPTS; i++)
		buf_init(&all->scripts[i], MIGRATION_MAX);
	all->dir = ctl_value(args, "dir") ? ctl_value(args, "dir") : SBM_DATADIR "/sql/migrations";
	if (!read_directory(all) && ctl_db_unchecked(ctl))
		rc = ctl_has(args, "status") ? show_status(ctl, all, ctl_has(args, "json")) : apply_all(ctl, all);
	free_migrations(all);
	return rc;
}
