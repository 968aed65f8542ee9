/*
 * calls PORT MESSAGES CONCURRENCY: the calls of a sender process and nothing else: for each message an address look-up
 * and then a POST, at t/bench/sink on this machine, so many messages under way.  What a sender reaches beside the
 * database is a share of this.  Prints one line: messages a second, microseconds of CPU a message.
 */
#include "base/clock.h"
#include "base/log.h"
#include "io/fetch.h"

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct message {
	char id[37]; /* made up, but of the right form and different for each */
	bool asked;
};

static struct fetch *fetch;
static long port, left, under_way; /* messages */
static const char body[] = "{\"to_addr\": \"+27123456789\", \"to_identity\": \"00000000-0000-4000-8000-000000000000\", \"delivered\": \"false\", "
	"\"resend\": \"false\", \"content\": \"Message 1 of the set.\", \"metadata\": {}}";

static void on_answer(void *, const struct fetch_answer *);

static _Noreturn void fail(const char *why)
{
	fprintf(stderr, "calls: %s\n", why);
	exit(1);
}

static void start(struct message *m, bool ask)
{
	char url[256], key[64];
	const char *headers[] = {ask ? "Authorization: Token identity-token" : "Authorization: Token sender-token", "User-Agent: sbm",
		"Content-Type: application/json", ask ? NULL : key, NULL};
	const struct fetch_call call = {.method = ask ? "GET" : "POST", .url = url, .headers = headers, .body = ask ? NULL : body, .body_length = ask ? 0 : sizeof body - 1};

	if (ask)
		snprintf(url, sizeof url, "http://127.0.0.1:%ld/identity/api/v1/identities/%s/addresses/msisdn?default=True&use_communicate_through=True", port, m->id);
	else
		snprintf(url, sizeof url, "http://127.0.0.1:%ld/sender/api/v1/outbound/", port);
	snprintf(key, sizeof key, "Idempotency-Key: %s", m->id);
	m->asked = ask;
	if (fetch_start(fetch, &call, on_answer, m))
		fail("a call could not be started");
}

static void next(struct message *m)
{
	under_way--;
	if (left == 0)
		return;
	snprintf(m->id, sizeof m->id, "%08lx-0000-4000-8000-000000000000", left--);
	under_way++;
	start(m, true);
}

static void on_answer(void *context, const struct fetch_answer *answer)
{
	struct message *m = context;

	if (answer->outcome != FETCH_ANSWERED || answer->status / 100 != 2)
		fail("a call failed");
	if (m->asked)
		start(m, false);
	else
		next(m);
}

static int64_t cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

int main(int argc, char **argv)
{
	long messages = argc == 4 ? atol(argv[2]) : 0, concurrency = argc == 4 ? atol(argv[3]) : 0;
	struct fetch_config config = {.max_calls = (int)(2 * concurrency), .connect_timeout_ms = 5000, .call_timeout_ms = 30000, .response_max = 65536};
	struct message *all;
	int64_t began_ms;

	if (messages < 1 || concurrency < 1 || concurrency > 1000 || (port = atol(argv[1])) < 1)
		fail("usage: calls PORT MESSAGES CONCURRENCY");
	log_init("calls");
	signal(SIGPIPE, SIG_IGN);
	fetch = fetch_create(&config);
	all = calloc((size_t)concurrency, sizeof *all);
	if (!fetch || !all)
		fail("out of memory");
	left = messages;
	under_way = concurrency;
	began_ms = clock_monotonic_ms();
	for (long i = 0; i < concurrency; i++)
		next(&all[i]);
	while (under_way > 0) {
		int64_t wait = fetch_timeout_ms(fetch);

		poll(&(struct pollfd){.fd = fetch_fd(fetch), .events = POLLIN}, 1, wait < 0 || wait > 1000 ? 1000 : (int)wait);
		fetch_run(fetch);
	}
	printf("rate=%.0f cpu_us=%.1f\n", (double)messages * 1000 / (double)(clock_monotonic_ms() - began_ms), (double)cpu_us() / (double)messages);
	fetch_free(fetch);
	free(all);
	return 0;
}
