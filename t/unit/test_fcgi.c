#include "io/fcgi.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"
#include "tap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* A worker in a process of its own, and a client that speaks FastCGI (records as in its specification, section 3.3). */
#define BEGIN_REQUEST 1
#define END_REQUEST 3
#define PARAMS 4
#define STDIN 5
#define STDOUT 6

static char path[64];
static int listener;

/* "/echo" gives the body back, "/ignore" leaves it unread, "/large" answers 1 MiB, "/pid" the worker's pid. */
static void handle(struct fcgi_request *r, void *context)
{
	const char *what = fcgi_param(r, "PATH");
	char bytes[1000];
	long n;

	(void)context;
	fcgi_write(r, "Status: 200 OK\r\n\r\n", 18);
	if (!strcmp(what, "/echo"))
		while ((n = fcgi_read(r, bytes, sizeof(bytes))) > 0)
			fcgi_write(r, bytes, (size_t)n);
	else if (!strcmp(what, "/large"))
		for (int i = 0; i < 1024; i++)
			fcgi_write(r, memset(bytes, 'x', sizeof(bytes)), sizeof(bytes));
	else if (!strcmp(what, "/pid"))
		fcgi_write(r, bytes, (size_t)snprintf(bytes, sizeof(bytes), "%d", (int)getpid()));
	else
		fcgi_write(r, "done", 4);
}

static pid_t start_worker(rlim_t files)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (files)
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){files, files});
	proc_block_signals();
	if (fcgi_init())
		_exit(9);
	proc_child_signals();
	_exit(fcgi_serve(listener, handle, NULL) ? 1 : 0);
}

/* Exit status after TERM; what took longer than 4 s is killed, -1. */
static int stop_worker(pid_t pid)
{
	int status;

	kill(pid, SIGTERM);
	for (int i = 0; i < 400; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		poll(NULL, 0, 10);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

static int client(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, path);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){5, 0}, sizeof(struct timeval));
	if (connect(s, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(s);
		return -1;
	}
	return s;
}

static size_t put_record(char *out, int type, const void *content, size_t n)
{
	const unsigned char header[8] = {1, (unsigned char)type, 0, 1, (unsigned char)(n >> 8), (unsigned char)n, 0, 0};

	memcpy(out, header, 8);
	memcpy(out + 8, content, n);
	return 8 + n;
}

/* Records of a request up to its body's first part, which is not ended. */
static size_t put_request(char *out, const char *what, bool keep, const char *body)
{
	const char begin[8] = {0, 1, (char)keep};
	char params[64];
	size_t n, w = strlen(what);

	n = put_record(out, BEGIN_REQUEST, begin, 8);
	params[0] = 4;
	params[1] = (char)w;
	memcpy(params + 2, "PATH", 4);
	memcpy(params + 6, what, w);
	n += put_record(out + n, PARAMS, params, 6 + w);
	n += put_record(out + n, PARAMS, "", 0);
	if (*body)
		n += put_record(out + n, STDIN, body, strlen(body));
	return n;
}

static bool read_all(int s, void *out, size_t n)
{
	for (char *at = out; n > 0;) {
		ssize_t got = read(s, at, n);

		if (got <= 0)
			return false;
		at += got;
		n -= (size_t)got;
	}
	return true;
}

/* The answer without its header; NULL when the connection failed. */
static const char *answer(int s)
{
	static char text[2000000];
	unsigned char header[8];
	size_t n = 0;
	char *body;

	for (;;) {
		size_t length;
		char scrap[256];

		if (!read_all(s, header, 8))
			return NULL;
		length = (size_t)(header[4] << 8 | header[5]);
		if (!read_all(s, text + n, length) || !read_all(s, scrap, header[6]))
			return NULL;
		if (header[1] == STDOUT)
			n += length;
		if (header[1] == END_REQUEST)
			break;
	}
	text[n] = '\0';
	body = strstr(text, "\r\n\r\n");
	return body ? body + 4 : NULL;
}

static const char *ask(int s, const char *what, bool keep, const char *body)
{
	static char out[100000];
	size_t n = put_request(out, what, keep, body);

	n += put_record(out + n, STDIN, "", 0);
	return write(s, out, n) == (ssize_t)n ? answer(s) : NULL;
}

/* True when the other side closes within 3 s. */
static bool is_closed(int s)
{
	struct pollfd p = {.fd = s, .events = POLLIN};
	char c;

	return poll(&p, 1, 3000) == 1 && read(s, &c, 1) == 0;
}

/* True when what nginx takes as a farewell comes within 3 s: a record where none is expected. */
static bool is_farewell(int s)
{
	static const char empty[8] = {1, 7, 0, 1};
	struct pollfd p = {.fd = s, .events = POLLIN};
	char got[9];

	return poll(&p, 1, 3000) == 1 && recv(s, got, 9, MSG_DONTWAIT) == 8 && !memcmp(got, empty, 8);
}

static void test_listen(void)
{
	struct stat st;

	ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0660, "the socket has mode 0660");
	is_int(fcgi_listen(path, 5, ""), -1, "one that is listened at is not taken away");
	is_int(fcgi_listen("/nonexistent/directory/socket", 5, ""), -1, "no such directory");
	is_int(fcgi_listen("/tmp/01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789", 5, ""), -1,
		"a path that is too long");
}

static void test_keep(void)
{
	int a = client(), b, c;

	is_str(ask(a, "/echo", true, "one"), "one", "a request");
	is_str(ask(a, "/echo", true, "two"), "two", "another on the same connection");
	is_str(ask(a, "/ignore", true, "a body that the handler does not read"), "done", "a handler that does not read the body");
	is_str(ask(a, "/echo", true, "three"), "three", "the next request is whole");
	b = client();
	is_str(ask(b, "/echo", true, "b"), "b", "a second connection is served while the first is kept");
	c = client();
	is_str(ask(c, "/echo", false, "c"), "c", "a connection that is not kept");
	ok(is_closed(c), "is closed after the answer");
	is_str(ask(a, "/echo", true, "four"), "four", "the first one still works");
	is_int((int64_t)strlen(ask(b, "/large", true, "")), 1024000, "a large answer");
	close(a);
	close(b);
	close(c);
}

static void test_bad_clients(void)
{
	char out[1000];
	size_t n = put_request(out, "/echo", true, "half");
	int silent = client(), cut = client(), gone = client(), good = client(), nonsense = client();
	int64_t begin = clock_monotonic_ms();

	ok(write(cut, out, 20) == 20, "a client sends a part of a request");
	close(cut);
	ok(write(gone, out, n) == (ssize_t)n, "another goes in the middle of its body");
	close(gone);
	ok(write(nonsense, "GET / HTTP/1.0\r\n\r\n", 18) == 18, "another speaks HTTP");
	is_str(ask(good, "/echo", true, "x"), "x", "a good one is served");
	ok(is_closed(nonsense), "the one that speaks HTTP is closed");
	ok(clock_monotonic_ms() - begin < 1000, "at once, with a silent one beside it");
	close(silent);
	close(good);
	close(nonsense);
}

/* A request that has begun is finished when TERM comes in its middle. */
static void test_term(pid_t pid)
{
	char out[1000];
	size_t n = put_request(out, "/echo", true, "first ");
	int s = client(), idle = client(), crossing = client(), deaf = client();
	int64_t begin;

	is_str(ask(idle, "/echo", true, "x"), "x", "an idle kept connection");
	is_str(ask(crossing, "/echo", true, "x"), "x", "another one");
	is_str(ask(deaf, "/echo", true, "x"), "x", "and one more");
	ok(write(s, out, n) == (ssize_t)n, "a request begins");
	poll(NULL, 0, 50); /* so that the worker is in the middle of it; the test holds either way */
	kill(pid, SIGTERM);
	poll(NULL, 0, 50);
	n = put_record(out, STDIN, "second", 6);
	n += put_record(out + n, STDIN, "", 0);
	ok(write(s, out, n) == (ssize_t)n, "TERM, then the rest of its body");
	is_str(answer(s), "first second", "it is answered whole");
	ok(is_farewell(s) && is_farewell(idle), "nginx is asked to close that connection and the idle one");
	close(s);
	close(idle);
	is_str(ask(crossing, "/echo", true, "late"), "late", "a request that crosses the farewell is answered");
	ok(is_farewell(crossing), "and is the last one");
	close(crossing);
	begin = clock_monotonic_ms();
	is_int(stop_worker(pid), 0, "the worker ends");
	ok(clock_monotonic_ms() - begin < 3000, "also when one does not heed it");
	close(deaf);
}

static void test_many(void)
{
	pid_t pid = start_worker(64);
	int clients[200];
	int served = 0;

	for (int i = 0; i < 200; i++) {
		clients[i] = client();
		served += ask(clients[i], "/echo", true, "x") != NULL;
	}
	is_int(served, 200, "more connections than descriptors: each new one is served");
	ok(is_closed(clients[0]), "the one idle for longest was closed");
	is_str(ask(clients[199], "/echo", true, "x"), "x", "the newest was not");
	for (int i = 0; i < 200; i++)
		close(clients[i]);
	is_int(stop_worker(pid), 0, "the worker ends");
}

/* Waits until each of two workers has answered: one that is still starting takes no connections. */
static void wait_for_both(const pid_t workers[2])
{
	int64_t until = clock_monotonic_ms() + 10000;
	bool seen[2] = {false, false};

	while (!(seen[0] && seen[1]) && clock_monotonic_ms() < until) {
		int s = client();
		const char *pid = ask(s, "/pid", true, "");

		for (int i = 0; i < 2; i++)
			seen[i] = seen[i] || (pid && atoi(pid) == workers[i]);
		close(s);
	}
}

/* How many of 20 connections, made one after the other and kept, a worker takes. */
static int share_of(pid_t worker)
{
	int clients[20], share = 0;

	for (int i = 0; i < 20; i++) {
		const char *pid;

		clients[i] = client();
		pid = ask(clients[i], "/pid", true, "");
		share += pid && atoi(pid) == worker;
	}
	for (int i = 0; i < 20; i++)
		close(clients[i]);
	return share;
}

/*
 * Connections that come one after the other, while both workers are idle, go to both.  On a machine that is
 * busy otherwise, one of them may not get a CPU meanwhile: so there are some rounds.
 */
static void test_spread(void)
{
	pid_t workers[2] = {start_worker(0), start_worker(0)};
	int first = 0;

	wait_for_both(workers);
	for (int round = 0; round < 10 && (first < 6 || first > 14); round++)
		first = share_of(workers[0]);
	ok(first >= 6 && first <= 14, "kept connections spread over the workers");
	printf("# %d and %d\n", first, 20 - first);
	is_int(stop_worker(workers[0]) + stop_worker(workers[1]), 0, "both end");
}

int main(void)
{
	pid_t pid;

	log_init("test_fcgi");
	snprintf(path, sizeof(path), "/tmp/test_fcgi.%d.sock", (int)getpid());
	listener = fcgi_listen(path, 128, "");
	if (!ok(listener >= 0, "listening"))
		return tap_done();
	test_listen();
	pid = start_worker(0);
	test_keep();
	test_bad_clients();
	test_term(pid);
	test_many();
	test_spread();
	close(listener);
	listener = fcgi_listen(path, 128, "");
	ok(listener >= 0, "a socket that nobody listens at is replaced");
	unlink(path);
	return tap_done();
}
