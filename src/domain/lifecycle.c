#include "domain/lifecycle.h"

#include "base/assert.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MINUTES 1440

int programme_set(const struct programme *programme, int id)
{
	int low = 0, high = programme->sets_count;

	while (low < high) {
		int middle = low + (high - low) / 2;

		if (programme->sets[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < programme->sets_count && programme->sets[low].id == id ? low : -1;
}

int programme_schedule(const struct programme *programme, int id)
{
	int low = 0, high = programme->schedules_count;

	while (low < high) {
		int middle = low + (high - low) / 2;

		if (programme->schedules[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < programme->schedules_count && programme->schedules[low].id == id ? low : -1;
}

struct lifecycle_size *programme_size(const struct programme *programme, int set, const char *lang)
{
	const struct lifecycle_set *s = &programme->sets[set];

	for (int i = 0; i < s->sizes_count; i++)
		if (!strcmp(s->sizes[i].lang, lang))
			return &s->sizes[i];
	return NULL;
}

int lifecycle_set_max(const struct programme *programme, int set, const char *lang)
{
	const struct lifecycle_size *size = programme_size(programme, set, lang);

	return size ? size->messages : 0;
}

void lifecycle_prepare(struct programme *programme, int64_t from, int64_t until)
{
	programme->from = from;
	programme->until = until;
	for (int i = 0; i < programme->schedules_count; i++) {
		struct lifecycle_schedule *schedule = &programme->schedules[i];

		firings_free(schedule->firings);
		schedule->firings = schedule->broken ? NULL : firings_create(&schedule->cron, from, until);
	}
}

/* The firings of a schedule; NULL when it never fires. */
static const struct firings *firings_of(const struct programme *programme, int schedule)
{
	return schedule < 0 ? NULL : programme->schedules[schedule].firings;
}

static int64_t runs(const struct programme *programme, int schedule, int64_t after, int64_t until)
{
	const struct firings *firings = firings_of(programme, schedule);

	return firings ? firings_count(firings, after, until) : 0;
}

/* Where a subscription stands in its own set at `end`. */
struct standing {
	int set_max;
	int sequence;
	bool complete;
};

static struct standing stand(const struct programme *programme, const struct lifecycle_subscription *s, int64_t end)
{
	struct standing standing = {.set_max = lifecycle_set_max(programme, s->set, s->lang)};
	int64_t n = runs(programme, s->schedule, s->created, end) + s->initial - 1;

	standing.complete = n >= standing.set_max;
	standing.sequence = standing.complete ? standing.set_max : (int)n + 1;
	return standing;
}

/* When a set that should be complete sent its last message; CRON_NEVER when there was none to send. */
static int64_t last_run(const struct programme *programme, const struct lifecycle_subscription *s, int set_max)
{
	const struct firings *firings = firings_of(programme, s->schedule);
	int64_t n = (int64_t)set_max - s->initial + 1;

	return firings && n > 0 ? firings_nth(firings, s->created, n) : CRON_NEVER;
}

/* Whether a set is among the first `length` of the chain that begins with `first`. */
static bool in_chain(const struct programme *programme, int first, int length, int set)
{
	for (; length > 0; length--, first = programme->sets[first].next)
		if (first == set)
			return true;
	return false;
}

static struct lifecycle_subscription follow_on(const struct programme *programme, const struct lifecycle_subscription *s, int64_t created)
{
	int next = programme->sets[s->set].next;

	return (struct lifecycle_subscription){.set = next, .schedule = programme->sets[next].schedule, .lang = s->lang,
	    .initial = 1, .next = 1, .ready = true, .created = created};
}

struct lifecycle_position lifecycle_find_position(const struct programme *programme, const struct lifecycle_subscription *subscription, int64_t end)
{
	struct lifecycle_subscription s = *subscription;
	struct lifecycle_position position = {0};

	for (int length = 1;; length++) {
		struct standing standing = stand(programme, &s, end);
		int64_t run;

		position.set = s.set;
		position.sequence = standing.sequence;
		position.complete = standing.complete;
		if (standing.sequence > s.next)
			position.behind += standing.sequence - s.next;
		position.behind += standing.complete && standing.set_max != 0;
		if (!standing.complete || programme->sets[s.set].next < 0)
			return position;
		position.loop = in_chain(programme, subscription->set, length, programme->sets[s.set].next);
		if (position.loop)
			return position;
		run = last_run(programme, &s, standing.set_max);
		s = follow_on(programme, &s, run == CRON_NEVER ? s.created : run);
	}
}

int lifecycle_plan(const struct programme *programme, const struct lifecycle_subscription *subscription, int64_t end,
    struct lifecycle_step steps[LIFECYCLE_STEPS_MAX], bool *loop)
{
	struct lifecycle_subscription s = *subscription;

	*loop = false;
	if (!s.ready) {
		steps[0] = (struct lifecycle_step){s.set, s.schedule, s.next, false, s.created};
		return 1;
	}
	for (int n = 0;;) {
		struct standing standing = stand(programme, &s, end);
		int64_t run;

		steps[n++] = (struct lifecycle_step){s.set, s.schedule, standing.sequence > s.next ? standing.sequence : s.next,
		    standing.complete, s.created};
		if (!standing.complete || programme->sets[s.set].next < 0)
			return n;
		*loop = n == LIFECYCLE_STEPS_MAX || in_chain(programme, subscription->set, n, programme->sets[s.set].next);
		if (*loop)
			return n;
		run = last_run(programme, &s, standing.set_max);
		s = follow_on(programme, &s, run == CRON_NEVER ? s.created : run + 1);
	}
}

void lifecycle_upcoming_init(struct lifecycle_upcoming *upcoming, const struct lifecycle_subscription *subscription, int64_t now)
{
	*upcoming = (struct lifecycle_upcoming){.set = subscription->set, .schedule = subscription->schedule,
	    .sequence = subscription->ready ? subscription->next : 0, .minute = now, .lang = subscription->lang};
}

/* Past the message that the last call named; false when the chain ends with it. */
static bool pass_message(const struct programme *programme, struct lifecycle_upcoming *upcoming)
{
	const struct lifecycle_set *set = &programme->sets[upcoming->set];

	if (upcoming->sequence != lifecycle_set_max(programme, upcoming->set, upcoming->lang)) {
		upcoming->sequence++;
		return true;
	}
	if (set->next < 0)
		return false;
	upcoming->set = set->next;
	upcoming->schedule = programme->sets[set->next].schedule;
	upcoming->sequence = 1;
	return true;
}

static bool has_message(const struct programme *programme, int set, const char *lang, int sequence)
{
	const struct lifecycle_size *size = programme_size(programme, set, lang);

	if (!size || sequence < 1 || sequence > size->messages)
		return false;
	for (int i = 0; i < size->missing_count; i++)
		if (size->missing[i] == sequence)
			return false;
	return true;
}

bool lifecycle_upcoming_next(const struct programme *programme, struct lifecycle_upcoming *upcoming, int64_t until)
{
	const struct lifecycle_schedule *schedule;

	if (upcoming->begun && !pass_message(programme, upcoming))
		return false;
	upcoming->begun = true;
	if (!has_message(programme, upcoming->set, upcoming->lang, upcoming->sequence) || upcoming->schedule < 0)
		return false;
	schedule = &programme->schedules[upcoming->schedule];
	if (schedule->broken)
		return false;
	upcoming->minute = cron_next(&schedule->cron, upcoming->minute);
	return upcoming->minute != CRON_NEVER && upcoming->minute <= until;
}

static int compare_rows(const void *a, const void *b)
{
	const struct lifecycle_forecast_row *x = a, *y = b;

	if (x->day != y->day)
		return x->day < y->day ? -1 : 1;
	if (x->set != y->set)
		return x->set < y->set ? -1 : 1;
	return strcmp(x->lang, y->lang);
}

void lifecycle_forecast_sort(struct lifecycle_forecast *forecast)
{
	size_t n = 0;

	if (forecast->count == 0)
		return;
	qsort(forecast->rows, forecast->count, sizeof *forecast->rows, compare_rows);
	for (size_t i = 1; i < forecast->count; i++) {
		if (compare_rows(&forecast->rows[n], &forecast->rows[i]) == 0)
			forecast->rows[n].messages += forecast->rows[i].messages;
		else
			forecast->rows[++n] = forecast->rows[i];
	}
	forecast->count = n + 1;
}

/* Equal rows are added up before more room is taken, so that it holds what differs and not what was added. */
static void make_room(struct lifecycle_forecast *forecast)
{
	if (forecast->count < forecast->size)
		return;
	lifecycle_forecast_sort(forecast);
	if (forecast->size && forecast->count < forecast->size / 2)
		return;
	forecast->size = forecast->size ? forecast->size * 2 : 1024;
	forecast->rows = realloc(forecast->rows, forecast->size * sizeof *forecast->rows);
	if (!forecast->rows)
		log_fatal("out of memory");
}

void lifecycle_forecast_add(struct lifecycle_forecast *forecast, const struct programme *programme,
    const struct lifecycle_subscription *subscription, int64_t subscriptions, int64_t now, int64_t until)
{
	struct lifecycle_upcoming upcoming;

	lifecycle_upcoming_init(&upcoming, subscription, now);
	while (lifecycle_upcoming_next(programme, &upcoming, until)) {
		struct lifecycle_forecast_row *row;

		make_room(forecast);
		row = &forecast->rows[forecast->count++];
		*row = (struct lifecycle_forecast_row){.day = (upcoming.minute - (upcoming.minute % DAY_MINUTES + DAY_MINUTES) % DAY_MINUTES) / DAY_MINUTES,
		    .set = upcoming.set, .messages = subscriptions};
		SBM_ASSERT(strlen(upcoming.lang) < sizeof row->lang);
		strcpy(row->lang, upcoming.lang);
	}
}

void lifecycle_forecast_fini(struct lifecycle_forecast *forecast)
{
	free(forecast->rows);
	*forecast = (struct lifecycle_forecast){0};
}
