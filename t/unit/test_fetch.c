#include "io/fetch.h"

#include "base/clock.h"
#include "base/log.h"
#include "tap.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * A server of HTTP/1.1 in a process of its own, one process for each connection; a counter of connections
 * goes into the answer of /connections.  What it answers depends on the path.
 */
static int port;

static void say(int s, const char *text)
{
	if (write(s, text, strlen(text)) < 0)
		_exit(0);
}

static void answer(int s, const char *request, const char *body, size_t length)
{
	char out[100200];
	int n;

	if (strstr(request, " /echo")) {
		n = snprintf(out, sizeof(out), "HTTP/1.1 201 Created\r\nContent-Length: %zu\r\n\r\n", length);
		memcpy(out + n, body, length);
		if (write(s, out, (size_t)n + length) < 0)
			_exit(0);
	} else if (strstr(request, " /head")) {
		n = snprintf(out, sizeof(out), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(request));
		say(s, out);
		say(s, request);
	} else if (strstr(request, " /pid")) {
		n = snprintf(out, sizeof(out), "%d", (int)getpid());
		n = snprintf(out, sizeof(out), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d", n, (int)getpid());
		say(s, out);
	} else if (strstr(request, " /busy-seconds")) {
		say(s, "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
	} else if (strstr(request, " /busy-date")) {
		char date[64];
		time_t then = time(NULL) + 100;

		strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime(&then));
		snprintf(out, sizeof(out), "HTTP/1.1 429 Slow\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", date);
		say(s, out);
	} else if (strstr(request, " /cut")) {
		say(s, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
		_exit(0);
	} else if (strstr(request, " /close")) {
		_exit(0);
	} else if (strstr(request, " /parting")) {
		say(s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
		_exit(0);
	} else if (strstr(request, " /slow")) {
		poll(NULL, 0, 200);
		say(s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	} else if (strstr(request, " /hang")) {
		pause();
	} else if (strstr(request, " /moved")) {
		say(s, "HTTP/1.1 302 Found\r\nLocation: /pid\r\nContent-Length: 0\r\n\r\n");
	} else if (strstr(request, " /large")) {
		say(s, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
		say(s, memset(out, 'x', 100000));
	} else if (strstr(request, " /endless")) {
		say(s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
		for (;;)
			say(s, "10\r\n0123456789abcdef\r\n");
	}
}

static _Noreturn void serve_connection(int s)
{
	char in[200001];
	size_t n = 0;

	for (;;) {
		char *end;
		const char *length_at;
		size_t length = 0;
		ssize_t got;

		in[n] = '\0';
		end = strstr(in, "\r\n\r\n");
		if (end) {
			length_at = strstr(in, "Content-Length: ");
			length = length_at && length_at < end ? strtoul(length_at + 16, NULL, 10) : 0;
		}
		if (end && n >= (size_t)(end + 4 - in) + length) {
			end[2] = '\0';
			answer(s, in, end + 4, length);
			n -= (size_t)(end + 4 - in) + length;
			memmove(in, end + 4 + length, n);
			continue;
		}
		got = read(s, in + n, sizeof(in) - 1 - n);
		if (got <= 0)
			_exit(0);
		n += (size_t)got;
	}
}

static pid_t start_server(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	pid_t pid;

	if (bind(s, (struct sockaddr *)&address, size) || listen(s, 100) || getsockname(s, (struct sockaddr *)&address, &size))
		return -1;
	port = ntohs(address.sin_port);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		signal(SIGCHLD, SIG_IGN);
		for (;;) {
			int c = accept(s, NULL, NULL);

			if (fork() == 0)
				serve_connection(c);
			close(c);
		}
	}
	setpgid(pid, pid);
	close(s);
	return pid;
}

static struct fetch_answer last;
static char last_body[200000];
static int answered;

static void done(void *context, const struct fetch_answer *a)
{
	last = *a;
	snprintf(last_body, sizeof(last_body), "%s", a->body);
	answered++;
	if (context)
		++*(int *)context;
}

/* Moves on until no call is under way, 5 s at most. */
static void run(struct fetch *f)
{
	int64_t end = clock_monotonic_ms() + 5000;

	while (fetch_active(f) && clock_monotonic_ms() < end) {
		int64_t wait = fetch_timeout_ms(f);

		poll(&(struct pollfd){.fd = fetch_fd(f), .events = POLLIN}, 1, wait < 0 || wait > 1000 ? 1000 : (int)wait);
		fetch_run(f);
	}
}

static const char *url(const char *path)
{
	static char text[200];

	snprintf(text, sizeof(text), "http://127.0.0.1:%d%s", port, path);
	return text;
}

static enum fetch_outcome call(struct fetch *f, const char *method, const char *address, const char *body, const char *const *headers)
{
	struct fetch_call c = {.method = method, .url = address, .headers = headers, .body = body, .body_length = body ? strlen(body) : 0};

	memset(&last, 0, sizeof(last));
	last.outcome = FETCH_OUTCOME_MAX;
	last_body[0] = '\0';
	if (fetch_start(f, &c, done, NULL))
		return FETCH_OUTCOME_MAX;
	run(f);
	return last.outcome;
}

static void test_calls(struct fetch *f)
{
	static const char *const headers[] = {"Authorization: Token abc", "Content-Type: application/json", NULL};
	char pid[32], *large = malloc(90001);

	is_int(call(f, "POST", url("/echo"), "{\"a\": 1}", headers), FETCH_ANSWERED, "a POST");
	is_int(last.status, 201, "its status");
	is_str(last_body, "{\"a\": 1}", "its body");
	is_int(last.retry_after_ms, -1, "no Retry-After");
	is_int(call(f, "GET", url("/head"), NULL, headers), FETCH_ANSWERED, "a GET after it");
	ok(strstr(last_body, "GET /head HTTP/1.1\r\n") == last_body && strstr(last_body, "Authorization: Token abc\r\n"), "headers go out");
	ok(!strstr(last_body, "Content-Length") && !strstr(last_body, "Expect"), "and nothing of the one before");
	is_int(call(f, "PATCH", url("/head"), "{}", NULL), FETCH_ANSWERED, "a PATCH");
	ok(strstr(last_body, "PATCH /head") == last_body && strstr(last_body, "Content-Length: 2\r\n") && !strstr(last_body, "Token"), "with its body alone");
	is_int(call(f, "DELETE", url("/head"), NULL, NULL), FETCH_ANSWERED, "a DELETE");
	ok(strstr(last_body, "DELETE /head") == last_body, "is one");
	is_int(call(f, "POST", url("/echo"), NULL, NULL), FETCH_ANSWERED, "a POST without a body");
	is_str(last_body, "", "is empty");
	memset(large, 'y', 90000);
	large[90000] = '\0';
	is_int(call(f, "POST", url("/echo"), large, NULL), FETCH_ANSWERED, "a large POST");
	ok(last.body_length == 90000 && !strcmp(last_body, large), "goes both ways");
	call(f, "GET", url("/pid"), NULL, NULL);
	strcpy(pid, last_body);
	call(f, "GET", url("/pid"), NULL, NULL);
	is_str(last_body, pid, "the connection is kept");
	free(large);
}

static void test_outcomes(struct fetch *f)
{
	int64_t begin;

	call(f, "GET", url("/busy-seconds"), NULL, NULL);
	ok(last.status == 503 && last.retry_after_ms == 7000, "Retry-After in seconds");
	call(f, "GET", url("/busy-date"), NULL, NULL);
	ok(last.status == 429 && last.retry_after_ms > 95000 && last.retry_after_ms <= 101000, "Retry-After as a date");
	call(f, "GET", url("/pid"), NULL, NULL);
	is_int(last.retry_after_ms, -1, "which is forgotten");
	is_int(call(f, "GET", url("/cut"), NULL, NULL), FETCH_BROKEN, "a cut answer");
	is_int(call(f, "POST", url("/close"), "x", NULL), FETCH_BROKEN, "a closed connection");
	begin = clock_monotonic_ms();
	is_int(call(f, "GET", url("/hang"), NULL, NULL), FETCH_TIMEOUT, "no answer");
	ok(clock_monotonic_ms() - begin < 1500, "in time");
	is_int(call(f, "GET", url("/large"), NULL, NULL), FETCH_ANSWERED, "an answer of the largest size");
	is_int(call(f, "GET", url("/endless"), NULL, NULL), FETCH_TOO_LARGE, "an answer without end");
	is_int(last.status, 200, "has a status all the same");
	is_int(call(f, "GET", url("/moved"), NULL, NULL), FETCH_ANSWERED, "a redirect");
	is_int(last.status, 302, "is not followed");
	is_int(call(f, "GET", "http://127.0.0.1:1/", NULL, NULL), FETCH_REFUSED, "nobody there");
	ok(*last.error && !strstr(last.error, "127."), "has a word about it, and no address");
	is_int(call(f, "GET", "http://name.invalid/", NULL, NULL), FETCH_REFUSED, "no such name");
	is_int(call(f, "GET", "https://127.0.0.1:1/", NULL, NULL), FETCH_REFUSED, "nobody there, with TLS");
}

static bool is_readable(const struct fetch *f, int wait_ms)
{
	return poll(&(struct pollfd){.fd = fetch_fd(f), .events = POLLIN}, 1, wait_ms) == 1;
}

/* Connections that the server closes between two calls. */
static void test_partings(struct fetch *f)
{
	bool quiet = true, good = true;

	for (int i = 0; i < 20; i++) {
		good = good && call(f, "GET", url("/parting"), NULL, NULL) == FETCH_ANSWERED && last.status == 200;
		/* Its end may have come with the answer. */
		if (is_readable(f, 200))
			fetch_run(f);
		quiet = quiet && !is_readable(f, 0);
		good = good && call(f, "GET", url("/pid"), NULL, NULL) == FETCH_ANSWERED && last.status == 200;
	}
	ok(quiet, "what was closed between calls wakes once");
	ok(good, "and the next call has another connection");
}

/* A server that takes no connection: its queue is full. Returns the descriptors to close, how many in *count. */
static int *fill_server(struct sockaddr_in *address, int *count)
{
	static int fds[8];
	socklen_t size = sizeof(*address);
	bool full = false;

	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(fds[0], (struct sockaddr *)address, size) || listen(fds[0], 0) || getsockname(fds[0], (struct sockaddr *)address, &size))
		return NULL;
	for (*count = 1; !full && *count < 8; ++*count) {
		fds[*count] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(fds[*count], (struct sockaddr *)address, size) != 0)
			full = poll(&(struct pollfd){.fd = fds[*count], .events = POLLOUT}, 1, 100) == 0;
	}
	return full ? fds : NULL;
}

/* Some versions of curl close a connection that did not come about without a word, and others have its number next. */
static void test_unconnected(struct fetch *f)
{
	struct fetch_call slow = {.method = "GET", .url = url("/slow")};
	struct sockaddr_in address;
	char there[64];
	int count = 0, *fds = fill_server(&address, &count), ended = 0;

	snprintf(there, sizeof(there), "http://127.0.0.1:%d/", ntohs(address.sin_port));
	is_int(fds ? call(f, "GET", there, NULL, NULL) : FETCH_REFUSED, FETCH_REFUSED, "a server that takes no connection");
	is_int(fetch_start(f, &slow, done, &ended), 0, "a call that takes its time");
	is_int(call(f, "GET", "http://another.invalid/", NULL, NULL), FETCH_ANSWERED, "goes on while a name is looked up");
	ok(ended == 1 && last.status == 200, "and is answered");
	for (int i = 0; fds && i < count; i++)
		close(fds[i]);
}

static void test_malformed(struct fetch *f)
{
	static const char *const injected[] = {"X: a\r\nY: b", NULL};
	static const char *const no_colon[] = {"nonsense", NULL};

	answered = 0;
	is_int(call(f, "GET", "ftp://127.0.0.1/", NULL, NULL), FETCH_OUTCOME_MAX, "not HTTP");
	is_int(call(f, "GET", "file:///etc/passwd", NULL, NULL), FETCH_OUTCOME_MAX, "a file");
	is_int(call(f, "GET", url("/a b"), NULL, NULL), FETCH_OUTCOME_MAX, "a blank in the address");
	is_int(call(f, "GET", url("/a\r\nX: y"), NULL, NULL), FETCH_OUTCOME_MAX, "a line end in the address");
	is_int(call(f, "GET", url("/pid"), NULL, injected), FETCH_OUTCOME_MAX, "a line end in a header");
	is_int(call(f, "GET", url("/pid"), NULL, no_colon), FETCH_OUTCOME_MAX, "no header");
	is_int(answered, 0, "none of them called back");
	is_int(fetch_active(f), 0, "none is under way");
}

static void test_slots(struct fetch *f, const struct fetch_config *config)
{
	struct fetch_call hang = {.method = "GET", .url = url("/hang")}, quick = {.method = "GET", .url = "http://127.0.0.1:1/"};
	struct fetch_config narrow = *config;
	int started = 0, ended = 0;

	while (fetch_start(f, &hang, done, &ended) == 0 && started < 100)
		started++;
	is_int(started, config->max_calls, "as many calls as there are places");
	run(f);
	is_int(ended, started, "all of them end");
	narrow.max_calls = 1;
	narrow.response_max = 10;
	fetch_configure(f, &narrow);
	is_int(fetch_start(f, &quick, done, NULL), 0, "one place is left");
	is_int(fetch_start(f, &quick, done, NULL), -1, "not two");
	run(f);
	is_int(call(f, "POST", url("/echo"), "01234567890", NULL), FETCH_TOO_LARGE, "a smaller largest answer counts at once");
	fetch_start(f, &hang, done, NULL);
}

int main(void)
{
	struct fetch_config config = {.max_calls = 8, .connect_timeout_ms = 1000, .call_timeout_ms = 500, .response_max = 100000};
	struct fetch *f;
	pid_t server;

	log_init("test_fetch");
	signal(SIGPIPE, SIG_IGN);
	/* A proxy of the environment must not be used. */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	is_int(fetch_check(), 0, "libcurl has what is needed");
	server = start_server();
	f = fetch_create(&config);
	if (ok(f && server > 0, "a server and a client")) {
		test_calls(f);
		test_outcomes(f);
		test_partings(f);
		test_unconnected(f);
		test_malformed(f);
		test_slots(f, &config);
		fetch_free(f);
		kill(-server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	fetch_free(NULL);
	return tap_done();
}
