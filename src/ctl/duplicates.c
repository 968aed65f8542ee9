#include "config.h"

#include "base/parse.h"
#include "ctl/ctl.h"
#include "ctl/messageset.h"
#include "ctl/progress.h"
#include "domain/repair.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WITHIN 60
#define WITHIN_MAX (366 * INT64_C(86400))
#define ARRAY_MAX ((size_t)64 << 20)
#define IDENTITY_SIZE 145 /* 36 characters of UTF-8 and a NUL */

/* Fields that may be compared, and which of them are when nothing is said. The first is, in any case. */
enum field {
	FIELD_IDENTITY, FIELD_VERSION, FIELD_MESSAGESET, FIELD_SCHEDULE, FIELD_LANG, FIELD_INITIAL, FIELD_NEXT, FIELD_STATUS, FIELD_ACTIVE,
	FIELD_COMPLETED, FIELD_MAX
};
static const struct {
	const char *name;
	bool usual;
} fields[FIELD_MAX] = {
	[FIELD_IDENTITY] = {"identity", true},
	[FIELD_VERSION] = {"version", true},
	[FIELD_MESSAGESET] = {"messageset", true},
	[FIELD_SCHEDULE] = {"schedule", true},
	[FIELD_LANG] = {"lang", true},
	[FIELD_INITIAL] = {"initial_sequence_number", false},
	[FIELD_NEXT] = {"next_sequence_number", false},
	[FIELD_STATUS] = {"process_status", false},
	/* Only those that are active and not completed are looked at, so that they are always alike in these. */
	[FIELD_ACTIVE] = {"active", true},
	[FIELD_COMPLETED] = {"completed", true},
};

/* Columns of the statement. */
enum { LOOKED_AT, LAST, ID, KEPT, SECONDS_AFTER };
static const struct table_column columns[] = {
	{"subscription", TABLE_TEXT}, {"duplicate_of", TABLE_TEXT}, {"seconds_after", TABLE_NUMBER}, {"identity", TABLE_TEXT}, {"messageset", TABLE_NUMBER},
	{"schedule", TABLE_NUMBER}, {"lang", TABLE_TEXT}, {"next_sequence_number", TABLE_NUMBER}, {"created_at", TABLE_TIME}, {0}
};

struct duplicates {
	struct ctl *ctl;
	bool compare[FIELD_MAX], json, act;
	int64_t within;
	char last[IDENTITY_SIZE];
	struct buf ids, kept;
	struct table table;
	struct progress progress;
	int64_t found, removed, removed_now, locked;
};

static int read_fields(const char *text, bool compare[FIELD_MAX])
{
	for (int i = 0; i < FIELD_MAX; i++)
		compare[i] = text ? false : fields[i].usual;
	while (text && *text) {
		size_t n = strcspn(text, ", ");
		int i = 0;

		while (i < FIELD_MAX && (strlen(fields[i].name) != n || strncmp(text, fields[i].name, n) != 0))
			i++;
		if (n > 0 && i == FIELD_MAX)
			return ctl_usage("--fields: \"%.*s\" is not one of identity, version, messageset, schedule, lang, initial_sequence_number, "
			    "next_sequence_number, process_status, active, completed", (int)n, text);
		if (n > 0)
			compare[i] = true;
		text += n + (text[n] != 0);
	}
	if (!compare[FIELD_IDENTITY])
		return ctl_usage("--fields: identity must be among them; subscriptions of two people are no duplicates");
	return CTL_OK;
}

static enum db_status remove_step(struct db *db, void *data)
{
	struct duplicates *d = data;
	struct db_params params;
	struct db_result *result;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, buf_text(&d->ids));
	db_param_text(&params, buf_text(&d->kept));
	status = db_query(db, DB_Q_REPAIR_REMOVE_DUPLICATES, &params, &result);
	if (status == DB_OK) {
		d->removed_now = db_int(result, 0, 0);
		d->locked = db_int(result, 0, 1);
		db_result_free(result);
	}
	return status;
}

/* Those that somebody else is at are tried again. */
static enum db_status remove_found(struct duplicates *d)
{
	enum db_status status;
	int round = 0;

	do {
		status = repair_transaction(d->ctl->db, remove_step, d);
		if (status == DB_OK)
			d->removed += d->removed_now;
	} while (status == DB_OK && d->locked && repair_pause(&round));
	return status;
}

static void take_rows(struct duplicates *d, const struct db_result *rows)
{
	buf_reset(&d->ids);
	buf_reset(&d->kept);
	db_array_begin(&d->ids);
	db_array_begin(&d->kept);
	for (int row = 0; row < db_rows(rows); row++) {
		const char *cells[sizeof columns / sizeof *columns];

		if (db_is_null(rows, row, ID))
			continue;
		for (int i = 0; columns[i].name; i++)
			cells[i] = db_text(rows, row, ID + i);
		table_add(&d->table, cells);
		db_array_put(&d->ids, db_text(rows, row, ID));
		db_array_put(&d->kept, db_text(rows, row, KEPT));
		d->found++;
	}
	db_array_end(&d->ids);
	db_array_end(&d->kept);
}

static enum db_status take_chunk(struct duplicates *d, bool *more)
{
	struct db_params params;
	struct db_result *rows;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, d->last);
	db_param_int(&params, d->within);
	for (int i = FIELD_VERSION; i <= FIELD_STATUS; i++)
		db_param_bool(&params, d->compare[i]);
	status = db_query(d->ctl->db, DB_Q_REPAIR_DUPLICATES, &params, &rows);
	if (status != DB_OK)
		return status;
	*more = db_int(rows, 0, LOOKED_AT) > 0;
	snprintf(d->last, sizeof d->last, "%s", db_text(rows, 0, LAST));
	take_rows(d, rows);
	progress_add(&d->progress, db_int(rows, 0, LOOKED_AT));
	db_result_free(rows);
	if (d->act && d->table.count > 0)
		status = remove_found(d);
	if (d->table.count > 0) {
		progress_hide();
		table_stream(&d->table, d->json);
	}
	return status;
}

static int go_through(struct duplicates *d)
{
	enum db_status status = DB_OK;
	bool more = true;
	int64_t total;

	if (ctl_active(d->ctl, 0, &total))
		return CTL_FAILED;
	progress_begin(&d->progress, "subscriptions", total);
	while (status == DB_OK && more)
		status = take_chunk(d, &more);
	progress_end(&d->progress);
	if (status != DB_OK)
		ctl_db_failed(d->ctl, "go through the subscriptions");
	else
		table_stream_end(&d->table, d->json);
	fflush(stdout);
	return status == DB_OK ? CTL_OK : CTL_FAILED;
}

int ctl_subscriptions_duplicates(struct ctl *ctl, const struct ctl_args *args)
{
	struct duplicates d = {.ctl = ctl, .within = WITHIN, .json = ctl_has(args, "json"), .act = ctl_yes(args) || ctl_has(args, "fix")};
	const char *within = ctl_value(args, "within");
	int rc;

	if (read_fields(ctl_value(args, "fields"), d.compare))
		return CTL_USAGE;
	if (within && parse_int(within, 0, WITHIN_MAX, &d.within))
		return ctl_usage("--within: expected a number of seconds, at most a year");
	if (!ctl_db(ctl))
		return CTL_FAILED;
	buf_init(&d.ids, ARRAY_MAX);
	buf_init(&d.kept, ARRAY_MAX);
	table_init(&d.table, columns);
	rc = go_through(&d);
	if (d.act)
		fprintf(stderr, "sbmctl: removed %" PRId64 " of %" PRId64 " duplicate%s\n", d.removed, d.found, d.found == 1 ? "" : "s");
	else if (!rc && d.found)
		ctl_would("remove %" PRId64 " duplicate%s and keep the oldest of each group", d.found, d.found == 1 ? "" : "s");
	else if (!rc)
		fprintf(stderr, "sbmctl: there are no duplicates\n");
	table_fini(&d.table);
	buf_fini(&d.ids);
	buf_fini(&d.kept);
	return rc;
}
