#include "domain/programme.h"

#include "base/arena.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

/* Sets and schedules are made by people: this is room for hundreds of thousands. */
#define PROGRAMME_MEMORY (INT64_C(256) << 20)

static void copy_lang(const char *from, char to[LIFECYCLE_LANG_SIZE])
{
	strncpy(to, from, LIFECYCLE_LANG_SIZE - 1);
	to[LIFECYCLE_LANG_SIZE - 1] = 0;
}

static enum db_status load_schedules(struct db *db, struct programme *p)
{
	struct db_result *rows;
	enum db_status status = db_query(db, DB_Q_PROGRAMME_SCHEDULES, NULL, &rows);

	if (status != DB_OK)
		return status;
	p->schedules_count = db_rows(rows);
	p->schedules = arena_array(p->memory, (size_t)p->schedules_count, sizeof *p->schedules);
	for (int i = 0; i < p->schedules_count; i++) {
		struct lifecycle_schedule *schedule = &p->schedules[i];
		const char *texts[CRON_FIELD_MAX];
		char error[CRON_ERROR_SIZE];
		enum cron_field bad;

		for (int field = 0; field < CRON_FIELD_MAX; field++)
			texts[field] = db_text(rows, i, 1 + field);
		schedule->id = (int)db_int(rows, i, 0);
		schedule->broken = cron_parse(texts, db_text(rows, i, 1 + CRON_FIELD_MAX), &schedule->cron, &bad, error) != 0;
		if (schedule->broken)
			log_warn("schedule never fires", log_int("schedule", schedule->id),
			    log_str("field", bad < CRON_FIELD_MAX ? cron_field_names[bad] : "timezone"), log_str("error", error));
	}
	db_result_free(rows);
	return DB_OK;
}

static enum db_status load_sets(struct db *db, struct programme *p)
{
	struct db_result *rows;
	enum db_status status = db_query(db, DB_Q_PROGRAMME_SETS, NULL, &rows);

	if (status != DB_OK)
		return status;
	p->sets_count = db_rows(rows);
	p->sets = arena_array(p->memory, (size_t)p->sets_count, sizeof *p->sets);
	for (int i = 0; i < p->sets_count; i++) {
		p->sets[i].id = (int)db_int(rows, i, 0);
		p->sets[i].short_name = arena_strdup(p->memory, db_text(rows, i, 1));
		p->sets[i].schedule = programme_schedule(p, (int)db_int(rows, i, 3));
	}
	for (int i = 0; i < p->sets_count; i++)
		p->sets[i].next = db_is_null(rows, i, 2) ? -1 : programme_set(p, (int)db_int(rows, i, 2));
	db_result_free(rows);
	return DB_OK;
}

/* The rows come by set: those of one set are one stretch of a single array. */
static enum db_status load_sizes(struct db *db, struct programme *p)
{
	struct db_result *rows;
	struct lifecycle_size *sizes;
	enum db_status status = db_query(db, DB_Q_PROGRAMME_SIZES, NULL, &rows);

	if (status != DB_OK)
		return status;
	sizes = arena_array(p->memory, (size_t)db_rows(rows), sizeof *sizes);
	for (int i = 0; i < db_rows(rows); i++) {
		int set = programme_set(p, (int)db_int(rows, i, 0));

		copy_lang(db_text(rows, i, 1), sizes[i].lang);
		sizes[i].messages = (int)db_int(rows, i, 2);
		if (set >= 0 && p->sets[set].sizes_count++ == 0)
			p->sets[set].sizes = &sizes[i];
	}
	db_result_free(rows);
	return DB_OK;
}

/* Ordered as the sizes, so that those of one size are one stretch, too. */
static enum db_status load_gaps(struct db *db, struct programme *p)
{
	struct db_result *rows;
	int *missing;
	enum db_status status = db_query(db, DB_Q_PROGRAMME_GAPS, NULL, &rows);

	if (status != DB_OK)
		return status;
	missing = arena_array(p->memory, (size_t)db_rows(rows), sizeof *missing);
	for (int i = 0; i < db_rows(rows); i++) {
		int set = programme_set(p, (int)db_int(rows, i, 0));
		struct lifecycle_size *size;
		char lang[LIFECYCLE_LANG_SIZE];

		copy_lang(db_text(rows, i, 1), lang);
		missing[i] = (int)db_int(rows, i, 2);
		size = set < 0 ? NULL : programme_size(p, set, lang);
		if (size && size->missing_count++ == 0)
			size->missing = &missing[i];
	}
	db_result_free(rows);
	return DB_OK;
}

enum db_status programme_load(struct db *db, struct programme **out)
{
	struct arena *memory = arena_create(PROGRAMME_MEMORY);
	struct programme *p = arena_alloc(memory, sizeof *p);
	enum db_status status;

	p->memory = memory;
	status = load_schedules(db, p);
	if (status == DB_OK)
		status = load_sets(db, p);
	if (status == DB_OK)
		status = load_sizes(db, p);
	if (status == DB_OK)
		status = load_gaps(db, p);
	if (status == DB_OK)
		*out = p;
	else
		programme_free(p);
	return status;
}

void programme_free(struct programme *p)
{
	if (!p)
		return;
	for (int i = 0; i < p->schedules_count; i++)
		firings_free(p->schedules[i].firings);
	arena_free(p->memory);
}

enum db_status programme_load_subscription(struct db *db, const struct programme *p, const char *uuid,
    struct lifecycle_subscription *out, char lang[LIFECYCLE_LANG_SIZE], bool *found)
{
	struct db_params params;
	struct db_result *rows;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, uuid);
	status = db_query(db, DB_Q_PROGRAMME_SUBSCRIPTION, &params, &rows);
	if (status != DB_OK)
		return status;
	*found = db_rows(rows) > 0;
	if (*found) {
		copy_lang(db_text(rows, 0, 2), lang);
		*out = (struct lifecycle_subscription){
		    .set = programme_set(p, (int)db_int(rows, 0, 0)),
		    .schedule = programme_schedule(p, (int)db_int(rows, 0, 1)),
		    .lang = lang,
		    .initial = (int)db_int(rows, 0, 3),
		    .next = (int)db_int(rows, 0, 4),
		    .ready = db_bool(rows, 0, 5),
		    .created = cron_minute(db_time(rows, 0, 6)),
		};
		/* Made since the programme was loaded: as if it were not there yet. */
		*found = out->set >= 0 && out->schedule >= 0;
	}
	db_result_free(rows);
	return DB_OK;
}

enum db_status programme_forecast(struct db *db, const struct programme *p, int64_t now, int64_t until, struct lifecycle_forecast *out)
{
	struct db_result *rows;
	enum db_status status = db_query(db, DB_Q_PROGRAMME_POSITIONS, NULL, &rows);

	if (status != DB_OK)
		return status;
	for (int i = 0; i < db_rows(rows); i++) {
		char lang[LIFECYCLE_LANG_SIZE];
		struct lifecycle_subscription s = {
		    .set = programme_set(p, (int)db_int(rows, i, 0)),
		    .schedule = programme_schedule(p, (int)db_int(rows, i, 1)),
		    .lang = lang,
		    .next = (int)db_int(rows, i, 3),
		    .ready = true,
		};

		copy_lang(db_text(rows, i, 2), lang);
		if (s.set >= 0 && s.schedule >= 0)
			lifecycle_forecast_add(out, p, &s, db_int(rows, i, 4), now, until);
	}
	db_result_free(rows);
	lifecycle_forecast_sort(out);
	return DB_OK;
}
