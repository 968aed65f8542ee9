#include "domain/breaker.h"
#include "domain/retry.h"

#include "tap.h"

#include <stdlib.h>

static const struct breaker_config config = {1000, 60000};

static void test_classify(void)
{
	static const struct {
		enum fetch_outcome outcome;
		long status;
		enum retry_outcome expected;
		const char *name;
	} rows[] = {
	    {FETCH_ANSWERED, 200, RETRY_DONE, "200"},
	    {FETCH_ANSWERED, 201, RETRY_DONE, "201"},
	    {FETCH_ANSWERED, 204, RETRY_DONE, "204"},
	    {FETCH_BROKEN, 201, RETRY_DONE, "201, then the connection lost"},
	    {FETCH_TIMEOUT, 200, RETRY_DONE, "200, then nothing"},
	    {FETCH_TOO_LARGE, 200, RETRY_DONE, "200 with an endless body"},
	    {FETCH_TOO_LARGE, 500, RETRY_UNSURE, "500 with an endless body"},
	    {FETCH_TOO_LARGE, 400, RETRY_PERMANENT, "400 with an endless body"},
	    {FETCH_ANSWERED, 301, RETRY_OUTAGE, "301"},
	    {FETCH_ANSWERED, 400, RETRY_PERMANENT, "400"},
	    {FETCH_ANSWERED, 401, RETRY_OUTAGE, "401"},
	    {FETCH_ANSWERED, 403, RETRY_OUTAGE, "403"},
	    {FETCH_ANSWERED, 404, RETRY_PERMANENT, "404"},
	    {FETCH_ANSWERED, 408, RETRY_UNSURE, "408"},
	    {FETCH_ANSWERED, 409, RETRY_PERMANENT, "409"},
	    {FETCH_ANSWERED, 413, RETRY_PERMANENT, "413"},
	    {FETCH_ANSWERED, 422, RETRY_PERMANENT, "422"},
	    {FETCH_ANSWERED, 429, RETRY_OUTAGE, "429"},
	    {FETCH_ANSWERED, 500, RETRY_UNSURE, "500"},
	    {FETCH_ANSWERED, 502, RETRY_UNSURE, "502"},
	    {FETCH_ANSWERED, 503, RETRY_UNSURE, "503"},
	    {FETCH_REFUSED, 0, RETRY_OUTAGE, "refused"},
	    {FETCH_BROKEN, 0, RETRY_UNSURE, "reset"},
	    {FETCH_TIMEOUT, 0, RETRY_UNSURE, "timeout"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		is_int(retry_classify(rows[i].outcome, rows[i].status), rows[i].expected, rows[i].name);
}

static void test_wait(void)
{
	is_int(retry_wait_ms(1, 2000, 900000, 0), 2000, "first wait");
	is_int(retry_wait_ms(2, 2000, 900000, 0), 4000, "second wait");
	is_int(retry_wait_ms(10, 2000, 900000, 0), 900000, "the most");
	is_int(retry_wait_ms(100, 2000, 900000, 0), 900000, "far beyond");
	is_int(retry_wait_ms(0, 2000, 900000, 0), 2000, "none charged yet");
	is_int(retry_wait_ms(5, 2000, 1000, 0), 1000, "base over max");
	is_int(retry_wait_ms(100, INT64_C(86400000), INT64_C(86400000), 0), INT64_C(86400000), "no overflow");
	is_int(retry_wait_longer_ms(3000, 2000, 900000, 0), 6000, "twice as long");
	is_int(retry_wait_longer_ms(500, 2000, 900000, 0), 2000, "at least base");
	is_int(retry_wait_longer_ms(500, 2000, 1000, 0), 1000, "base over max");
	is_int(retry_wait_longer_ms(INT64_MAX, 2000, 900000, 0), 900000, "at most max");
	is_int(retry_wait_longer_ms(4000, 2000, 900000, UINT32_MAX / 2 + 1), 6000, "with jitter");
	is_int(retry_wait_ms(1, 2000, 900000, UINT32_MAX), 1001, "jitter takes away up to a half");
	is_int(retry_wait_ms(1, 2000, 900000, UINT32_MAX / 2 + 1), 1500, "half the jitter");
}

/* One call with its end at once. Returns whether it was let out. */
static bool call(struct breaker *b, enum retry_outcome outcome, bool charged_before, int64_t retry_after, int64_t now)
{
	struct breaker_ticket ticket;
	struct breaker_result result = {outcome, charged_before, retry_after};

	if (!breaker_start(b, now, &ticket))
		return false;
	breaker_report(b, &config, ticket, &result, now);
	return true;
}

static void test_outage_at_once(void)
{
	struct breaker b;
	struct breaker_ticket old, probe, other;
	struct breaker_result done = {RETRY_DONE, false, -1}, refused = {RETRY_OUTAGE, false, -1};
	int64_t now = 5000, waits[] = {2000, 4000, 8000, 16000, 32000, 60000, 60000};

	breaker_init(&b);
	is_str(breaker_state_name(&b), "closed", "begins closed");
	ok(breaker_start(&b, now, &old), "a call goes out");
	call(&b, RETRY_OUTAGE, false, -1, now);
	is_str(breaker_state_name(&b), "open", "401 or a refused connection opens it");
	is_int(breaker_wait_ms(&b, now), 1000, "for probe_min");
	ok(!breaker_start(&b, now + 999, &other), "no call before that");
	ok(!breaker_report(&b, &config, old, &done, now + 10), "an older call's success is no news");
	is_str(breaker_state_name(&b), "open", "and changes nothing");
	ok(!breaker_charges(&b, old, BREAKER_FIRST_TRY, now), "what was under way is not charged");
	ok(!breaker_charges(&b, old, 4000, now), "whoever it was");
	now += 1000;
	ok(breaker_start(&b, now, &probe), "then one probe goes out");
	is_str(breaker_state_name(&b), "probing", "probing");
	ok(!breaker_start(&b, now, &other), "and no second");
	is_int(breaker_wait_ms(&b, now), -1, "the probe decides");
	for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
		ok(breaker_report(&b, &config, probe, &refused, now), "a failed probe opens it again");
		is_int(breaker_wait_ms(&b, now), waits[i], "for twice as long, at most probe_max");
		ok(!breaker_charges(&b, probe, BREAKER_FIRST_TRY, now), "a probe is never charged");
		now += waits[i];
		ok(breaker_start(&b, now, &probe), "next probe");
	}
	is_int((int64_t)b.openings, 1, "one outage");
	is_int(b.opened_at, 5000, "since its beginning");
	breaker_cancel(&b, probe);
	ok(breaker_start(&b, now, &probe), "a cancelled probe makes room for another");
	ok(breaker_report(&b, &config, probe, &done, now), "an answered probe is news");
	is_str(breaker_state_name(&b), "closed", "and closes it");
	call(&b, RETRY_OUTAGE, false, -1, now);
	is_int(breaker_wait_ms(&b, now), 1000, "the next outage begins small again");
}

static void test_retry_after(void)
{
	struct breaker b;

	breaker_init(&b);
	call(&b, RETRY_OUTAGE, false, 90000, 0);
	is_int(breaker_wait_ms(&b, 0), 90000, "Retry-After beyond probe_max");
	ok(!call(&b, RETRY_DONE, false, -1, 89999), "is kept");
	call(&b, RETRY_OUTAGE, false, 100, 90000);
	is_int(breaker_wait_ms(&b, 90000), 2000, "a shorter one does not shorten the wait");
	call(&b, RETRY_OUTAGE, false, INT64_MAX, 92000);
	is_int(breaker_wait_ms(&b, 92000), 86400000, "a day at most");
	breaker_init(&b);
	call(&b, RETRY_UNSURE, true, 5000, 0);
	is_int(breaker_wait_ms(&b, 0), 5000, "503 with Retry-After speaks for the service");
}

static void test_all_fail(void)
{
	struct breaker b;
	struct breaker_ticket first;
	struct breaker_result failed = {RETRY_UNSURE, false, -1};

	breaker_init(&b);
	call(&b, RETRY_DONE, false, -1, 0);
	breaker_start(&b, 10, &first);
	breaker_report(&b, &config, first, &failed, 10);
	for (int i = 1; i < BREAKER_STREAK; i++) {
		is_str(breaker_state_name(&b), "closed", "not yet open");
		ok(call(&b, RETRY_UNSURE, false, -1, 20), "failure");
	}
	is_str(breaker_state_name(&b), "open", "500 for all opens it");
	ok(!breaker_charges(&b, first, BREAKER_FIRST_TRY, 200), "and none of them is charged");
}

static void test_few_fail_in_an_outage(void)
{
	struct breaker b;
	struct breaker_ticket t[BREAKER_DOUBT];
	struct breaker_result failed = {RETRY_UNSURE, false, -1};

	breaker_init(&b);
	call(&b, RETRY_DONE, false, -1, 0);
	for (int i = 0; i < BREAKER_DOUBT; i++) {
		breaker_start(&b, 10, &t[i]);
		breaker_report(&b, &config, t[i], &failed, 10);
	}
	for (int i = 0; i < BREAKER_DOUBT; i++)
		ok(!breaker_charges(&b, t[i], BREAKER_FIRST_TRY, 200), "some in a row are not charged");
	for (int i = 0; i < BREAKER_STREAK - BREAKER_DOUBT; i++)
		call(&b, RETRY_UNSURE, false, -1, 2000 + i);
	is_str(breaker_state_name(&b), "open", "and open it when they are tried again");
}

static void test_one_bad(void)
{
	struct breaker b;
	struct breaker_ticket bad;
	struct breaker_result failed = {RETRY_UNSURE, false, -1}, again = {RETRY_UNSURE, true, -1};

	breaker_init(&b);
	breaker_start(&b, 0, &bad);
	breaker_report(&b, &config, bad, &failed, 0);
	ok(!breaker_charges(&b, bad, BREAKER_FIRST_TRY, 0), "nothing is known of the service: not charged");
	call(&b, RETRY_DONE, false, -1, 100);
	ok(breaker_charges(&b, bad, BREAKER_FIRST_TRY, 200), "others pass: charged");
	for (int i = 0; i < 50; i++) {
		breaker_start(&b, 1000000 + i, &bad);
		breaker_report(&b, &config, bad, &again, 1000000 + i);
	}
	is_str(breaker_state_name(&b), "closed", "a delivery that was charged says nothing about the service");
	ok(!breaker_charges(&b, bad, 1000, 1000100), "alone, it is not charged again: the service may be out since");
	breaker_hear(&b, 900);
	ok(!breaker_charges(&b, bad, 1000, 1000100), "nor for an answer before its last try");
	breaker_hear(&b, 1001);
	ok(breaker_charges(&b, bad, 1000, 1000100), "but once another process had an answer since");
	breaker_hear(&b, 500);
	ok(breaker_charges(&b, bad, 1000, 1000100), "older news changes nothing");
	breaker_start(&b, 2000000, &bad);
	breaker_report(&b, &config, bad, &failed, 2000000);
	ok(!breaker_charges(&b, bad, BREAKER_FIRST_TRY, 2000000), "an answer long ago is none");
	call(&b, RETRY_PERMANENT, false, -1, 2000001);
	ok(breaker_charges(&b, bad, BREAKER_FIRST_TRY, 2000002), "400 for another is an answer");
}

/* A sink that fails one call in ten at random: how often does it open, and how many failures are charged? */
static void test_one_in_ten(void)
{
	struct breaker b;
	int64_t failures = 0, charged = 0;

	srand(1);
	breaker_init(&b);
	for (int i = 0; i < 1000000; i++) {
		struct breaker_ticket ticket;
		struct breaker_result result = {rand() % 10 ? RETRY_DONE : RETRY_UNSURE, false, -1};

		if (!breaker_start(&b, i, &ticket))
			break;
		breaker_report(&b, &config, ticket, &result, i);
		if (result.outcome != RETRY_UNSURE)
			continue;
		failures++;
		charged += breaker_charges(&b, ticket, BREAKER_FIRST_TRY, i);
	}
	is_int((int64_t)b.openings, 0, "one in ten: never opens");
	ok(charged > failures * 98 / 100, "and the failures are charged");
}

/* An hour of 500 for all, with deliveries in their backoff: how many tries does it use up? */
static void test_long_outage(void)
{
	enum { N = 200, CONCURRENCY = 16 };
	struct breaker b;
	static int64_t due[N], tried[N];
	static int tries[N], sent[N];
	int64_t calls = 0, most = 0, repeated = 0;

	breaker_init(&b);
	for (int64_t now = 0; now < 3 * 3600 * 1000; now += 250) {
		bool out = now >= 500 && now < 3600 * 1000;
		struct breaker_ticket tickets[CONCURRENCY];
		int which[CONCURRENCY], n = 0;

		for (int i = 0; i < N && n < CONCURRENCY; i++)
			if (!sent[i] && due[i] <= now && breaker_start(&b, now, &tickets[n]))
				which[n++] = i;
		for (int i = 0; i < n; i++) {
			struct breaker_result result = {out ? RETRY_UNSURE : RETRY_DONE, tries[which[i]] > 0, -1};

			calls++;
			breaker_report(&b, &config, tickets[i], &result, now);
			repeated += !out && sent[which[i]]++ > 0;
		}
		for (int i = 0; out && i < n; i++) {
			tries[which[i]] += breaker_charges(&b, tickets[i], tries[which[i]] ? tried[which[i]] : BREAKER_FIRST_TRY, now);
			tried[which[i]] = now;
			due[which[i]] = now + retry_wait_ms(tries[which[i]], 2000, 900000, (uint32_t)rand());
		}
	}
	for (int i = 0; i < N; i++) {
		most = tries[i] > most ? tries[i] : most;
		repeated += sent[i] != 1;
	}
	is_int(most, 0, "an hour's outage uses up no try");
	is_int(repeated, 0, "and each is sent once in the end");
	ok(calls < N + 100, "with few probes");
}

/* One that others have passed by once, and then hours of 500 for it, alone: how many tries does that use up? */
static void test_lonely_in_an_outage(void)
{
	struct breaker b;
	int64_t now = 0, tried = BREAKER_FIRST_TRY, due = 0;
	int tries = 0, calls = 0;

	breaker_init(&b);
	call(&b, RETRY_DONE, false, -1, now);
	for (; now < 6 * 3600 * 1000; now = due) {
		struct breaker_ticket ticket;
		struct breaker_result result = {RETRY_UNSURE, tries > 0, -1};
		bool charged;

		if (!breaker_start(&b, now, &ticket)) {
			due = b.open_until;
			continue;
		}
		calls++;
		breaker_report(&b, &config, ticket, &result, now);
		charged = breaker_charges(&b, ticket, tries ? tried : BREAKER_FIRST_TRY, now);
		due = now + (charged || !tries ? retry_wait_ms(tries + 1, 2000, 900000, (uint32_t)rand())
			: retry_wait_longer_ms(now - tried, 2000, 900000, (uint32_t)rand()));
		tries += charged;
		tried = now;
	}
	is_int(tries, 1, "no more than the one it had");
	ok(calls > 20 && calls < 80, "and it is tried at growing intervals");
}

int main(void)
{
	test_classify();
	test_wait();
	test_outage_at_once();
	test_retry_after();
	test_all_fail();
	test_few_fail_in_an_outage();
	test_one_bad();
	test_one_in_ten();
	test_long_outage();
	test_lonely_in_an_outage();
	return tap_done();
}
