#include "io/bus.h"

#include "base/clock.h"
#include "base/log.h"
#include "tap.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[64], endpoint[80];

/* Wakes until somebody takes it or 2 s are over; how many did. */
static int wake(struct bus_push *push)
{
	int64_t end = clock_monotonic_ms() + 2000;
	int taken;

	while ((taken = bus_push_wake(push, "run")) == 0 && clock_monotonic_ms() < end)
		poll(NULL, 0, 5);
	return taken;
}

/* Waits up to 2 s for triggers; how many came. */
static int drain(struct bus_pull *pull)
{
	int64_t end = clock_monotonic_ms() + 2000;
	int taken;

	while ((taken = bus_pull_drain(pull)) == 0 && clock_monotonic_ms() < end)
		poll(&(struct pollfd){.fd = bus_pull_fd(pull), .events = POLLIN}, 1, 100);
	return taken;
}

static void test_nobody(void)
{
	int64_t begin = clock_monotonic_ms();
	struct bus_push *push = bus_push_create(endpoint);
	int taken = 0;

	if (!ok(push, "a socket towards nobody"))
		return;
	for (int i = 0; i < 10000; i++)
		taken += bus_push_wake(push, "run");
	is_int(taken, 0, "nobody takes a trigger");
	bus_push_free(push);
	ok(clock_monotonic_ms() - begin < 2000, "and it does not block, nor when it is closed");
}

static void test_meet(void)
{
	struct bus_push *push = bus_push_create(endpoint);
	struct bus_pull *pull = bus_pull_create(endpoint);
	struct stat st;
	int taken;

	if (!ok(push && pull, "both sides"))
		return;
	ok(stat(path, &st) == 0 && (st.st_mode & 07) == 0 && (st.st_mode & 070) == 070, "the socket is for owner and group");
	is_int(wake(push), 1, "a daemon that comes later is woken");
	ok(drain(pull) > 0, "and sees it");
	is_int(bus_pull_drain(pull), 0, "once");
	ok(!bus_pull_create(endpoint), "a second daemon at the same endpoint is refused");
	taken = 0;
	for (int i = 0; i < 100000; i++)
		taken += bus_push_wake(push, "run");
	ok(taken > 0 && taken < 100000, "a flood is cut off, not queued");
	ok(drain(pull) > 0, "what came of it is drained");
	bus_pull_free(pull);
	ok(stat(path, &st) != 0, "the socket's file is gone");
	pull = bus_pull_create(endpoint);
	ok(pull, "a daemon takes the place of the first");
	is_int(wake(push), 1, "it is found");
	ok(drain(pull) > 0, "and woken");
	bus_pull_free(pull);
	bus_push_free(push);
}

static void test_several(void)
{
	char both[200], second[100];
	struct bus_pull *a = bus_pull_create(endpoint), *b;
	struct bus_push *push;
	bool at_a = false, at_b = false;

	snprintf(second, sizeof(second), "%s.2", endpoint);
	snprintf(both, sizeof(both), " %s , %s", endpoint, second);
	b = bus_pull_create(second);
	push = bus_push_create(both);
	if (!ok(a && b && push, "two daemons"))
		return;
	for (int i = 0; i < 200 && !(at_a && at_b); i++) {
		bus_push_wake(push, "run");
		poll(NULL, 0, 5);
		at_a = bus_pull_drain(a) > 0 || at_a;
		at_b = bus_pull_drain(b) > 0 || at_b;
	}
	ok(at_a && at_b, "both are woken");
	bus_push_free(push);
	bus_pull_free(a);
	bus_pull_free(b);
}

static void test_bad(void)
{
	ok(!bus_push_create("nonsense"), "no endpoint");
	ok(!bus_push_create("ipc:///tmp/x,nonsense://x"), "one good, one bad");
	ok(!bus_pull_create("tcp://nonsense"), "no address");
	ok(!bus_pull_create("ipc:///nonexistent/directory/x"), "no directory");
	bus_push_free(NULL);
	bus_pull_free(NULL);
}

int main(void)
{
	char lock[100];

	log_init("test_bus");
	snprintf(path, sizeof(path), "/tmp/test_bus.%d", (int)getpid());
	snprintf(endpoint, sizeof(endpoint), "ipc://%s", path);
	test_nobody();
	test_meet();
	test_several();
	test_bad();
	snprintf(lock, sizeof(lock), "%s.lock", path);
	unlink(lock);
	snprintf(lock, sizeof(lock), "%s.2.lock", path);
	unlink(lock);
	return tap_done();
}
