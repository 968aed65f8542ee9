#include "domain/lifecycle.h"

#include "base/clock.h"

#include "tap.h"

#include <stdlib.h>

/*
 * The programme of these tests. Schedules: 0 daily at 06:00, 1 Mondays and Thursdays at 06:00, 2 broken.
 * Sets (id, messages in eng_ZA): 0 (10) 3 -> 1 (20) 4 -> 2 (30) 2; 3 (40) 2 -> 4 (50) 2 -> 3; 5 (60) none -> 2;
 * 6 (70) 5 -> 6 itself; 7 (80) 1, schedule broken; 8 (90) 2 -> 7.
 */
static struct lifecycle_schedule schedules[] = {{.id = 7}, {.id = 9}, {.id = 11, .broken = true}};
#define SIZE(n) (struct lifecycle_size[]){{"eng_ZA", (n), NULL, 0}, {"zul_ZA", 1, NULL, 0}}, 2
static struct lifecycle_set sets[] = {
    {10, "first", 1, 0, SIZE(3)},
    {20, "second", 2, 1, SIZE(4)},
    {30, "third", -1, 0, SIZE(2)},
    {40, "tick", 4, 0, SIZE(2)},
    {50, "tock", 3, 0, SIZE(2)},
    {60, "empty", 2, 0, NULL, 0},
    {70, "itself", 6, 0, SIZE(5)},
    {80, "broken", -1, 2, SIZE(1)},
    {90, "before broken", 7, 0, SIZE(2)},
};
static struct programme programme = {.schedules = schedules, .schedules_count = 3, .sets = sets, .sets_count = sizeof sets / sizeof sets[0]};

static int64_t at(int year, int month, int day, int hour, int minute)
{
	return clock_days_from_civil(year, month, day) * 1440 + hour * 60 + minute;
}

static void prepare(void)
{
	static const char *const daily[] = {"0", "6", "*", "*", "*"}, *const twice[] = {"0", "6", "1,4", "*", "*"};
	enum cron_field bad;
	char error[CRON_ERROR_SIZE];

	cron_parse(daily, "UTC", &schedules[0].cron, &bad, error);
	cron_parse(twice, "UTC", &schedules[1].cron, &bad, error);
	lifecycle_prepare(&programme, at(2026, 1, 1, 0, 0), at(2027, 1, 1, 0, 0));
}

static void check_position(int set, int initial, int next, int64_t created, int64_t end, struct lifecycle_position expected, const char *name)
{
	struct lifecycle_subscription s = {.set = set, .schedule = set == 1 ? 1 : set == 7 ? 2 : 0, .lang = "eng_ZA", .initial = initial, .next = next, .ready = true, .created = created};
	struct lifecycle_position got = lifecycle_find_position(&programme, &s, end);

	ok(got.set == expected.set && got.sequence == expected.sequence && got.complete == expected.complete && got.behind == expected.behind &&
	    got.loop == expected.loop, name);
	if (got.set != expected.set || got.sequence != expected.sequence || got.complete != expected.complete || got.behind != expected.behind || got.loop != expected.loop)
		printf("# got set %d sequence %d complete %d behind %d loop %d\n", got.set, got.sequence, got.complete, (int)got.behind, got.loop);
}

static void test_position(void)
{
	/* 2026-11-02 is a Monday. */
	int64_t monday = at(2026, 11, 2, 12, 0);

	check_position(0, 1, 1, monday, monday, (struct lifecycle_position){0, 1, false, 0, false}, "just made");
	check_position(0, 1, 1, monday, at(2026, 11, 3, 5, 59), (struct lifecycle_position){0, 1, false, 0, false}, "a minute before the first run");
	check_position(0, 1, 1, monday, at(2026, 11, 3, 6, 0), (struct lifecycle_position){0, 2, false, 1, false}, "at the first run");
	check_position(0, 1, 2, monday, at(2026, 11, 3, 6, 0), (struct lifecycle_position){0, 2, false, 0, false}, "which was sent");
	check_position(0, 1, 1, at(2026, 11, 3, 6, 0), at(2026, 11, 3, 6, 0), (struct lifecycle_position){0, 1, false, 0, false}, "made in the minute of a run");
	check_position(0, 2, 2, monday, at(2026, 11, 3, 6, 0), (struct lifecycle_position){0, 3, false, 1, false}, "begun in the middle");
	check_position(0, 1, 1, monday, at(2026, 11, 4, 6, 0), (struct lifecycle_position){0, 3, false, 2, false}, "before the last message");
	/* Third run on Thursday the 5th: complete; the follow-on counts from then: first run on Monday the 9th. */
	check_position(0, 1, 1, monday, at(2026, 11, 5, 6, 0), (struct lifecycle_position){1, 1, false, 3, false}, "the set is over");
	check_position(0, 1, 3, monday, at(2026, 11, 5, 6, 0), (struct lifecycle_position){1, 1, false, 1, false}, "and its last message missing");
	check_position(0, 1, 1, monday, at(2026, 11, 9, 6, 0), (struct lifecycle_position){1, 2, false, 4, false}, "one run into the next set");
	/* Second set: 9, 12, 16, 19 November; third: 20, 21. */
	check_position(0, 1, 1, monday, at(2026, 11, 20, 6, 0), (struct lifecycle_position){2, 2, false, 8, false}, "in the third set");
	check_position(0, 1, 1, monday, at(2026, 12, 24, 6, 0), (struct lifecycle_position){2, 2, true, 9, false}, "the whole chain is over");
	check_position(1, 3, 3, monday, at(2026, 11, 9, 6, 0), (struct lifecycle_position){2, 1, false, 2, false}, "another schedule, begun at 3: runs on the 5th and the 9th");
	check_position(0, 1, 9, monday, at(2026, 11, 4, 6, 0), (struct lifecycle_position){0, 3, false, 0, false}, "further than expected is not behind");
	check_position(0, 1, 1, at(2026, 12, 1, 0, 0), monday, (struct lifecycle_position){0, 1, false, 0, false}, "made after the end date");
	check_position(5, 1, 1, monday, monday, (struct lifecycle_position){2, 1, false, 0, false}, "a set without messages is passed at once");
	check_position(5, 1, 1, monday, at(2026, 11, 3, 6, 0), (struct lifecycle_position){2, 2, false, 1, false}, "and the next one counts from the beginning");
	check_position(3, 1, 1, monday, at(2026, 11, 4, 6, 0), (struct lifecycle_position){4, 1, false, 2, false}, "a loop that is not closed yet");
	check_position(3, 1, 1, monday, at(2026, 12, 24, 6, 0), (struct lifecycle_position){4, 2, true, 4, true}, "a loop ends with an error");
	check_position(6, 1, 1, monday, at(2026, 12, 24, 6, 0), (struct lifecycle_position){6, 5, true, 5, true}, "a set that follows itself");
	check_position(7, 1, 1, monday, at(2026, 12, 24, 6, 0), (struct lifecycle_position){7, 1, false, 0, false}, "a schedule that cannot be read never fires");
	check_position(8, 1, 1, monday, at(2026, 12, 24, 6, 0), (struct lifecycle_position){7, 1, false, 2, false}, "nor does that of a next set");
	check_position(2, 4, 4, monday, monday, (struct lifecycle_position){2, 2, true, 1, false}, "begun beyond the end");
}

/* As recorded: every minute, three messages in the first set; one and then one in the chain. */
static void test_recorded(void)
{
	static const char *const always[] = {"*", "*", "*", "*", "*"};
	static struct lifecycle_schedule minutely[] = {{.id = 1}};
	struct lifecycle_set recorded[] = {{1, "text_set", -1, 0, SIZE(3)}, {5, "first_set", 2, 0, SIZE(1)}, {6, "last_set", -1, 0, SIZE(1)}};
	struct programme p = {.schedules = minutely, .schedules_count = 1, .sets = recorded, .sets_count = 3};
	struct lifecycle_subscription s = {.set = programme_set(&p, 1), .lang = "eng_ZA", .initial = 1, .next = 1, .ready = true};
	int64_t now = at(2026, 11, 23, 17, 50);
	struct lifecycle_position position;
	enum cron_field bad;
	char error[CRON_ERROR_SIZE];

	cron_parse(always, NULL, &minutely[0].cron, &bad, error);
	lifecycle_prepare(&p, now - 14400, now);
	s.created = now - 14400;
	position = lifecycle_find_position(&p, &s, now);
	ok(position.set == 0 && position.sequence == 3 && position.behind == 3, "recorded: \"behind\" is 3 behind, expected at 3 of its set");
	s.set = programme_set(&p, 5);
	position = lifecycle_find_position(&p, &s, now);
	ok(recorded[position.set].id == 6 && position.sequence == 1 && position.behind == 2, "recorded: \"chain\" is 2 behind, expected at 1 of the next set");
	s.set = programme_set(&p, 1);
	s.created = now;
	position = lifecycle_find_position(&p, &s, now);
	ok(position.behind == 0, "recorded: \"fresh\" is not behind");
	firings_free(minutely[0].firings);
}

static void test_plan(void)
{
	struct lifecycle_subscription s = {.set = 0, .schedule = 0, .lang = "eng_ZA", .initial = 1, .next = 2, .ready = true, .created = at(2026, 11, 2, 12, 0)};
	struct lifecycle_step steps[LIFECYCLE_STEPS_MAX];
	bool loop;

	is_int(lifecycle_plan(&programme, &s, at(2026, 11, 4, 6, 0), steps, &loop), 1, "within the set: one step");
	ok(steps[0].set == 0 && steps[0].sequence == 3 && !steps[0].complete && !loop, "to its expected position");
	s.next = 3;
	lifecycle_plan(&programme, &s, at(2026, 11, 3, 6, 0), steps, &loop);
	is_int(steps[0].sequence, 3, "never back");
	is_int(lifecycle_plan(&programme, &s, at(2026, 11, 10, 6, 0), steps, &loop), 2, "over the end of the set: a follow-on");
	ok(steps[0].complete && steps[0].sequence == 3, "the first is completed");
	ok(steps[1].set == 1 && steps[1].schedule == 1 && steps[1].sequence == 2 && !steps[1].complete, "the follow-on stands where it should");
	is_int(steps[1].created, at(2026, 11, 5, 6, 1), "made a minute after the last run");
	is_int(lifecycle_plan(&programme, &s, at(2026, 12, 24, 6, 0), steps, &loop), 3, "the whole chain");
	ok(steps[2].set == 2 && steps[2].complete && steps[2].sequence == 2 && steps[2].created == at(2026, 11, 19, 6, 1), "to its end");
	s.set = 3;
	s.next = 1;
	is_int(lifecycle_plan(&programme, &s, at(2026, 12, 24, 6, 0), steps, &loop), 2, "a loop is planned once around");
	ok(loop, "and said so");
	s.set = 5;
	is_int(lifecycle_plan(&programme, &s, at(2026, 11, 2, 12, 0), steps, &loop), 2, "an empty set is passed");
	ok(steps[0].complete && steps[0].sequence == 1 && steps[1].created == s.created && steps[1].sequence == 1, "at once");
	s.ready = false;
	is_int(lifecycle_plan(&programme, &s, at(2026, 12, 24, 6, 0), steps, &loop), 1, "not ready: no plan");
	ok(!steps[0].complete && steps[0].sequence == 1, "and no change");
}

static void test_upcoming(void)
{
	static const struct {
		int set, sequence, month, day;
	} expected[] = {{0, 2, 11, 3}, {0, 3, 11, 4}, {1, 1, 11, 5}, {1, 2, 11, 9}, {1, 3, 11, 12}, {1, 4, 11, 16}, {2, 1, 11, 17}, {2, 2, 11, 18}};
	struct lifecycle_subscription s = {.set = 0, .schedule = 0, .lang = "eng_ZA", .initial = 1, .next = 2, .ready = true};
	struct lifecycle_upcoming u;
	int64_t now = at(2026, 11, 2, 12, 0), end = at(2026, 12, 24, 0, 0);
	int n = 0;

	lifecycle_upcoming_init(&u, &s, now);
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
		ok(lifecycle_upcoming_next(&programme, &u, end) && u.set == expected[i].set && u.sequence == expected[i].sequence &&
		    u.minute == at(2026, expected[i].month, expected[i].day, 6, 0), "a message to come");
	ok(!lifecycle_upcoming_next(&programme, &u, end), "and then none");

	lifecycle_upcoming_init(&u, &s, now);
	while (lifecycle_upcoming_next(&programme, &u, at(2026, 11, 5, 6, 0)))
		n++;
	is_int(n, 3, "up to and including the end");
	s.next = 4;
	lifecycle_upcoming_init(&u, &s, now);
	ok(!lifecycle_upcoming_next(&programme, &u, end), "a missing message holds it");
	sets[1].sizes[0].missing = (int[]){1, 3};
	sets[1].sizes[0].missing_count = 2;
	s.set = 1;
	s.next = 2;
	lifecycle_upcoming_init(&u, &s, now);
	for (n = 0; lifecycle_upcoming_next(&programme, &u, end); n++)
		;
	is_int(n, 1, "also one in the midst of a set");
	sets[1].sizes[0].missing_count = 0;
	s.set = 0;
	s.next = 1;
	s.lang = "fra_FR";
	lifecycle_upcoming_init(&u, &s, now);
	ok(!lifecycle_upcoming_next(&programme, &u, end), "no message in the language");
	s.lang = "eng_ZA";
	s.ready = false;
	lifecycle_upcoming_init(&u, &s, now);
	ok(!lifecycle_upcoming_next(&programme, &u, end), "nothing for one that is not ready");
	s.ready = true;
	s.set = 6;
	lifecycle_upcoming_init(&u, &s, now);
	for (n = 0; lifecycle_upcoming_next(&programme, &u, at(2026, 11, 30, 12, 0)); n++)
		;
	is_int(n, 28, "a set that follows itself goes on, up to the end");
	s.set = 8;
	lifecycle_upcoming_init(&u, &s, now);
	for (n = 0; lifecycle_upcoming_next(&programme, &u, end); n++)
		;
	is_int(n, 2, "ends before a set whose schedule cannot be read");
}

static void test_forecast(void)
{
	struct lifecycle_subscription s = {.set = 0, .schedule = 0, .lang = "eng_ZA", .initial = 1, .next = 3, .ready = true};
	struct lifecycle_forecast f = {0};
	int64_t now = at(2026, 11, 2, 12, 0), total = 0, rows = 0;

	lifecycle_forecast_add(&f, &programme, &s, 10, now, at(2026, 11, 6, 0, 0));
	s.next = 2;
	lifecycle_forecast_add(&f, &programme, &s, 5, now, at(2026, 11, 6, 0, 0));
	s.lang = "zul_ZA";
	s.next = 1;
	lifecycle_forecast_add(&f, &programme, &s, 1, now, at(2026, 11, 4, 0, 0));
	lifecycle_forecast_sort(&f);
	/* 3rd: 15 English, 1 isiZulu of the first set; 4th: 5 of the first; 5th: 15 of the second. */
	is_int((int64_t)f.count, 4, "rows by day, set and language");
	ok(f.count == 4 && f.rows[0].messages == 15 && !strcmp(f.rows[0].lang, "eng_ZA") && f.rows[0].day == clock_days_from_civil(2026, 11, 3), "first day");
	ok(f.count == 4 && f.rows[1].messages == 1 && !strcmp(f.rows[1].lang, "zul_ZA"), "the other language");
	ok(f.count == 4 && f.rows[2].messages == 5 && f.rows[2].set == 0, "second day");
	ok(f.count == 4 && f.rows[3].messages == 15 && f.rows[3].set == 1 && f.rows[3].day == clock_days_from_civil(2026, 11, 5), "third day, the next set");
	lifecycle_forecast_fini(&f);

	s.lang = "eng_ZA";
	s.set = 6;
	for (int i = 0; i < 500; i++) {
		s.next = 1 + i % 5;
		lifecycle_forecast_add(&f, &programme, &s, 1000, now, at(2027, 11, 2, 12, 0));
	}
	ok(f.size <= 2048, "many additions take little room");
	lifecycle_forecast_sort(&f);
	for (size_t i = 0; i < f.count; i++) {
		total += f.rows[i].messages;
		rows += f.rows[i].messages == 500000;
	}
	is_int(rows, 365, "a row for each day");
	is_int(total, INT64_C(365) * 500000, "and nothing lost");
	lifecycle_forecast_fini(&f);
}

/* Positions against counting one run after the other. */
static void test_against_counting(void)
{
	int64_t list[400], wrong = 0;

	srand(3);
	for (int i = 0; i < 20000; i++) {
		int schedule = rand() % 2, n = 1 + rand() % 3, seen = 0;
		struct lifecycle_subscription s = {.set = rand() % 3, .schedule = schedule, .lang = "eng_ZA", .initial = n, .next = n, .ready = true,
		    .created = at(2026, 1, 1, 0, 0) + rand() % 300000};
		int64_t end = s.created + rand() % 20000, behind = 0, created = s.created;
		struct lifecycle_position got = lifecycle_find_position(&programme, &s, end);
		int set = s.set;
		bool complete;

		for (int number = n;;) {
			size_t runs = cron_list(&schedules[schedule].cron, created, end, list, 400);
			int max = sets[set].sizes[0].messages, first = number;

			for (seen = 0; seen < (int)runs && number <= max; seen++)
				number++;
			complete = number > max;
			behind += complete ? (max - first > 0 ? max - first : 0) + 1 : number - first;
			if (!complete || sets[set].next < 0) {
				wrong += got.set != set || got.behind != behind || got.complete != complete || got.sequence != (complete ? max : number);
				break;
			}
			if (seen > 0)
				created = list[seen - 1];
			set = sets[set].next;
			schedule = sets[set].schedule;
			number = 1;
		}
	}
	is_int(wrong, 0, "20,000 positions as counted one run after the other");
}

int main(void)
{
	prepare();
	is_int(programme_set(&programme, 30), 2, "place of a set");
	is_int(programme_set(&programme, 31), -1, "no such set");
	is_int(programme_schedule(&programme, 11), 2, "place of a schedule");
	is_int(programme_schedule(&programme, 12), -1, "no such schedule");
	is_int(lifecycle_set_max(&programme, 0, "zul_ZA"), 1, "set_max");
	is_int(lifecycle_set_max(&programme, 0, "xxx"), 0, "set_max of an unknown language");
	test_position();
	test_recorded();
	test_plan();
	test_upcoming();
	test_forecast();
	test_against_counting();
	for (int i = 0; i < 3; i++)
		firings_free(schedules[i].firings);
	return tap_done();
}
