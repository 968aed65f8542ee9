#include "api/handlers.h"

#include "api/arg.h"
#include "api/resources.h"
#include "base/clock.h"
#include "domain/delivery.h"
#include "domain/programme.h"

#define DAYS_MAX 366
#define DAYS_DEFAULT 30
/* Most messages that one answer of upcoming tells of: a schedule may fire each minute. */
#define UPCOMING_MAX 1000

const struct route_param outlook_params[] = {
	{"days", "How many days to look ahead.", 1, DAYS_MAX},
	{0},
};

static void
release_programme(void *programme)
{
	programme_free(programme);
}

static int
load_programme(struct req *r, struct programme **programme)
{
	enum db_status status = programme_load(r->db, programme);

	if (status != DB_OK)
		return req_fail_db(r, status);
	arena_own(r->arena, release_programme, *programme);
	return 0;
}

/* The messages to come of one subscription, without their texts. */
struct upcoming {
	const struct programme *programme;
	struct lifecycle_upcoming items[UPCOMING_MAX];
	int count;
	bool more;
};

static int
collect(struct req *r, const char *uuid, int64_t now, int64_t until, struct upcoming *upcoming)
{
	struct lifecycle_subscription subscription;
	struct lifecycle_upcoming walk;
	struct programme *programme;
	enum db_status status;
	char *lang = arena_alloc(r->arena, LIFECYCLE_LANG_SIZE);
	bool found;

	if (load_programme(r, &programme) < 0)
		return -1;
	status = programme_load_subscription(r->db, programme, uuid, &subscription, lang, &found);
	if (status != DB_OK)
		return req_fail_db(r, status);
	if (!found)
		return req_fail(r, 404, "Not found.");
	upcoming->programme = programme;
	lifecycle_upcoming_init(&walk, &subscription, now);
	while (lifecycle_upcoming_next(programme, &walk, until)) {
		if (upcoming->count == UPCOMING_MAX) {
			upcoming->more = true;
			break;
		}
		upcoming->items[upcoming->count++] = walk;
	}
	return 0;
}

/* One row for each message to come, in order. */
static int
find_texts(struct req *r, const struct upcoming *upcoming, struct db_result **rows)
{
	struct buf sets, sequences;
	struct db_params params;
	int result;

	buf_init(&sets, 32 * UPCOMING_MAX);
	buf_init(&sequences, 32 * UPCOMING_MAX);
	db_array_begin(&sets);
	db_array_begin(&sequences);
	for (int i = 0; i < upcoming->count; i++) {
		db_array_put_int(&sets, upcoming->programme->sets[upcoming->items[i].set].id);
		db_array_put_int(&sequences, upcoming->items[i].sequence);
	}
	db_array_end(&sets);
	db_array_end(&sequences);
	db_params_init(&params);
	db_param_text(&params, buf_text(&sets));
	db_param_text(&params, buf_text(&sequences));
	db_param_text(&params, upcoming->count > 0 ? upcoming->items[0].lang : "");
	result = req_sql(r, DB_Q_OUTLOOK_TEXTS, &params, rows);
	buf_fini(&sets);
	buf_fini(&sequences);
	return result;
}

static void
put_minute(struct req *r, int64_t minute)
{
	char text[CLOCK_TEXT_SIZE];

	clock_format(cron_minute_us(minute), text);
	buf_put_json(r->out, text);
}

/* Columns of outlook_texts. */
enum { TEXT_MESSAGE, TEXT_CONTENT, TEXT_BINARY, TEXT_FILE };

static void
put_upcoming(struct req *r, const struct upcoming *upcoming, const struct db_result *texts, int i)
{
	const struct lifecycle_upcoming *item = &upcoming->items[i];
	const struct lifecycle_set *set = &upcoming->programme->sets[item->set];

	buf_puts(r->out, i > 0 ? ",{\"date\":" : "{\"date\":");
	put_minute(r, item->minute);
	buf_printf(r->out, ",\"schedule\":%d,\"messageset\":%d,\"messageset_name\":", upcoming->programme->schedules[item->schedule].id, set->id);
	buf_put_json(r->out, set->short_name);
	buf_printf(r->out, ",\"sequence_number\":%d,\"lang\":", item->sequence);
	buf_put_json(r->out, item->lang);
	buf_puts(r->out, ",\"message\":");
	req_put_number(r, texts, i, TEXT_MESSAGE);
	buf_puts(r->out, ",\"text_content\":");
	req_put_text(r, texts, i, TEXT_CONTENT);
	buf_puts(r->out, ",\"binary_content\":");
	binarycontent_put(r, texts, i, TEXT_BINARY, TEXT_FILE);
	buf_putc(r->out, '}');
}

int
outlook_list_upcoming(struct req *r)
{
	struct upcoming *upcoming = arena_alloc(r->arena, sizeof(*upcoming));
	char uuid[UUID_TEXT_SIZE], reason[DELIVERY_REASON_SIZE];
	struct db_result *row, *texts;
	int64_t days, now = cron_minute(clock_now()), until;
	const char *why_not;

	if (arg_subscription(r, uuid, &row) < 0 || arg_number(r, "days", 1, DAYS_MAX, DAYS_DEFAULT, &days) < 0)
		return -1;
	until = now + days * 1440;
	why_not = delivery_not_ready(db_bool(row, 0, 0), db_bool(row, 0, 1), db_int(row, 0, 2), reason);
	if (!why_not && collect(r, uuid, now, until, upcoming) < 0)
		return -1;
	if (find_texts(r, upcoming, &texts) < 0)
		return -1;
	buf_printf(r->out, "{\"subscription\":\"%s\",\"until\":", uuid);
	put_minute(r, until);
	buf_printf(r->out, ",\"ready\":%s,\"reason\":", why_not ? "false" : "true");
	if (why_not)
		buf_put_json(r->out, why_not);
	else
		buf_puts(r->out, "null");
	buf_printf(r->out, ",\"count\":%d,\"more\":%s,\"results\":[", upcoming->count, upcoming->more ? "true" : "false");
	for (int i = 0; i < upcoming->count; i++)
		put_upcoming(r, upcoming, texts, i);
	buf_puts(r->out, "]}");
	return req_answer(r, 200);
}

static void
put_forecast(struct req *r, const struct programme *programme, const struct lifecycle_forecast *forecast)
{
	int64_t total = 0;

	buf_puts(r->out, ",\"results\":[");
	for (size_t i = 0; i < forecast->count; i++) {
		const struct lifecycle_forecast_row *row = &forecast->rows[i];
		int year, month, day;

		clock_civil_from_days(row->day, &year, &month, &day);
		buf_printf(r->out, "%s{\"date\":\"%04d-%02d-%02d\",\"messageset\":%d,\"messageset_name\":", i > 0 ? "," : "", year, month, day,
		    programme->sets[row->set].id);
		buf_put_json(r->out, programme->sets[row->set].short_name);
		buf_puts(r->out, ",\"lang\":");
		buf_put_json(r->out, row->lang);
		buf_printf(r->out, ",\"messages\":%lld}", (long long)row->messages);
		total += row->messages;
	}
	buf_printf(r->out, "],\"messages\":%lld}", (long long)total);
}

int
outlook_forecast(struct req *r)
{
	struct lifecycle_forecast forecast = {0};
	struct programme *programme;
	enum db_status status;
	int64_t days, now = cron_minute(clock_now());

	if (arg_number(r, "days", 1, DAYS_MAX, DAYS_DEFAULT, &days) < 0 || load_programme(r, &programme) < 0)
		return -1;
	status = programme_forecast(r->db, programme, now, now + days * 1440, &forecast);
	if (status != DB_OK) {
		lifecycle_forecast_fini(&forecast);
		return req_fail_db(r, status);
	}
	lifecycle_forecast_sort(&forecast);
	buf_puts(r->out, "{\"from\":");
	put_minute(r, now);
	buf_puts(r->out, ",\"until\":");
	put_minute(r, now + days * 1440);
	put_forecast(r, programme, &forecast);
	lifecycle_forecast_fini(&forecast);
	return req_answer(r, 200);
}
