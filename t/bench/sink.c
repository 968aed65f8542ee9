/*
 * sink PORT: an identity store and a message sender that take all and count, for benchmarks and as the judge
 * of crash tests.  One thread, epoll, kept-alive connections.  PORT 0 picks a free one; "port N" is printed.
 *
 *   GET  .../addresses/msisdn     an address made of the identity
 *   POST .../outbound/            201 with an id; counted by its Idempotency-Key
 *   GET  /control/stats           {"addresses", "outbound", "accepted", "keys", "repeats", "most", "cpu_ms"}
 *   GET  /control/keys            a line for each key: key, times accepted, microseconds since 1970 when first
 *   GET  /control/reset           forgets all counts
 *   GET  /control/fault?service=identity|outbound&mode=M&every=N&status=S&delay=MS&retry_after=S
 *        what the service does to each Nth request (1: all) from now on: mode none; status (answers S); reset
 *        (connection reset, nothing counted); lose (counted, then the connection is lost); cut (counted, the answer
 *        begins, then the connection is lost); hang (no answer);
 *        delay (answers after MS, like all calls of a slow service); garbage (200, not JSON)
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 16384
#define REQUEST_MAX 65536
#define KEY_SIZE 40

enum fault_mode { FAULT_NONE, FAULT_STATUS, FAULT_RESET, FAULT_LOSE, FAULT_CUT, FAULT_HANG, FAULT_DELAY, FAULT_GARBAGE, FAULT_MAX };
static const char *const fault_words[FAULT_MAX] = {"none", "status", "reset", "lose", "cut", "hang", "delay", "garbage"};

enum service { IDENTITY, OUTBOUND, SERVICES };
static const char *const service_words[SERVICES] = {"identity", "outbound"};

struct fault {
	enum fault_mode mode;
	long every, status, delay_ms, retry_after;
	long seen;
};

struct connection {
	int fd;
	char *in;
	size_t in_length;
	char *out;
	size_t out_length, out_sent;
	bool hung;          /* never answered again */
	int64_t due_ms;     /* the answer in out is sent then; 0: at once */
	struct connection *next_late;
};

struct key {
	char text[KEY_SIZE];
	unsigned times;
	int64_t first_us;
};

static struct fault faults[SERVICES];
static struct connection *connections[CONNECTIONS_MAX];
static struct connection *late; /* those with a due_ms */
static struct key *keys;
static size_t keys_size, keys_count;
static int64_t requests[SERVICES], accepted, repeats;
static unsigned most;
static int epoll;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t now_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t hash(const char *text)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
	return h ^ h >> 29;
}

static struct key *key_place(const char *text)
{
	size_t i = hash(text) & (keys_size - 1);

	while (keys[i].text[0] && strcmp(keys[i].text, text) != 0)
		i = (i + 1) & (keys_size - 1);
	return &keys[i];
}

static void keys_grow(void)
{
	struct key *old = keys;
	size_t old_size = keys_size;

	keys_size = old_size ? old_size * 2 : 65536;
	keys = calloc(keys_size, sizeof *keys);
	if (!keys)
		die("calloc");
	for (size_t i = 0; i < old_size; i++)
		if (old[i].text[0])
			*key_place(old[i].text) = old[i];
	free(old);
}

static void count_key(const char *text)
{
	struct key *key;

	if (2 * (keys_count + 1) > keys_size)
		keys_grow();
	key = key_place(text);
	accepted++;
	if (key->text[0]) {
		repeats++;
	} else {
		snprintf(key->text, sizeof key->text, "%s", text);
		key->first_us = now_us(CLOCK_REALTIME);
		keys_count++;
	}
	if (++key->times > most)
		most = key->times;
}

static void forget_all(void)
{
	free(keys);
	keys = NULL;
	keys_size = keys_count = 0;
	accepted = repeats = 0;
	most = 0;
	memset(requests, 0, sizeof requests);
	keys_grow();
}

static void put(struct connection *c, const char *text, size_t n)
{
	c->out = realloc(c->out, c->out_length + n);
	if (!c->out)
		die("realloc");
	memcpy(c->out + c->out_length, text, n);
	c->out_length += n;
}

static void answer(struct connection *c, long status, const char *extra, const char *body)
{
	char head[512];
	int n = snprintf(head, sizeof head, "HTTP/1.1 %ld X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n", status, strlen(body), extra);

	put(c, head, (size_t)n);
	put(c, body, strlen(body));
}

static void close_connection(struct connection *c, bool reset)
{
	const struct linger linger = {1, 0};

	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	for (struct connection **at = &late; *at; at = &(*at)->next_late)
		if (*at == c) {
			*at = c->next_late;
			break;
		}
	connections[c->fd] = NULL;
	close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
}

/* The value of a header, copied to out; "" when it is not there. head ends with a NUL. */
static void header(const char *head, const char *name, char *out, size_t size)
{
	size_t length = strlen(name);

	*out = '\0';
	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
		const char *value = line + 2 + length;

		if (strncasecmp(line + 2, name, length) != 0 || *value != ':')
			continue;
		value += 1 + strspn(value + 1, " ");
		snprintf(out, size, "%.*s", (int)strcspn(value, "\r\n"), value);
		return;
	}
}

static long parameter(const char *query, const char *name, long fallback)
{
	char pattern[32];
	const char *found;

	snprintf(pattern, sizeof pattern, "%s=", name);
	found = strstr(query, pattern);
	return found ? strtol(found + strlen(pattern), NULL, 10) : fallback;
}

static bool parameter_is(const char *query, const char *name, const char *word)
{
	char pattern[64];
	const char *found;

	snprintf(pattern, sizeof pattern, "%s=%s", name, word);
	found = strstr(query, pattern);
	return found && strchr("& ", found[strlen(pattern)]);
}

static void set_fault(struct connection *c, const char *path)
{
	for (int s = 0; s < SERVICES; s++)
		for (int m = 0; m < FAULT_MAX; m++)
			if (parameter_is(path, "service", service_words[s]) && parameter_is(path, "mode", fault_words[m])) {
				faults[s] = (struct fault){(enum fault_mode)m, parameter(path, "every", 1), parameter(path, "status", 500),
					parameter(path, "delay", 100), parameter(path, "retry_after", 0), 0};
				answer(c, 200, "", "{}");
				return;
			}
	answer(c, 400, "", "{\"detail\": \"which service, which mode?\"}");
}

static void put_stats(struct connection *c)
{
	struct rusage usage;
	char body[512];

	getrusage(RUSAGE_SELF, &usage);
	snprintf(body, sizeof body,
		"{\"addresses\": %" PRId64 ", \"outbound\": %" PRId64 ", \"accepted\": %" PRId64 ", \"keys\": %zu, \"repeats\": %" PRId64 ", \"most\": %u, \"cpu_ms\": %" PRId64 "}\n",
		requests[IDENTITY], requests[OUTBOUND], accepted, keys_count, repeats, most,
		(int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000);
	answer(c, 200, "", body);
}

static void put_keys(struct connection *c)
{
	size_t room = keys_count * (KEY_SIZE + 40) + 1, length = 0;
	char *body = malloc(room);

	if (!body)
		die("malloc");
	*body = '\0';
	for (size_t i = 0; i < keys_size; i++)
		if (keys[i].text[0])
			length += (size_t)snprintf(body + length, room - length, "%s %u %" PRId64 "\n", keys[i].text, keys[i].times, keys[i].first_us);
	answer(c, 200, "", body);
	free(body);
}

/* Does to a request what the fault says. True when that was all. */
static bool harm(struct connection *c, enum service service, bool *closed)
{
	struct fault *fault = &faults[service];
	char extra[64] = "";

	*closed = false;
	if (fault->mode == FAULT_NONE || fault->mode == FAULT_LOSE || fault->mode == FAULT_CUT || ++fault->seen % fault->every != 0)
		return false;
	switch (fault->mode) {
	case FAULT_STATUS:
		if (fault->retry_after)
			snprintf(extra, sizeof extra, "Retry-After: %ld\r\n", fault->retry_after);
		answer(c, fault->status, extra, "{\"detail\": \"as told\"}");
		return true;
	case FAULT_RESET:
		close_connection(c, true);
		*closed = true;
		return true;
	case FAULT_HANG:
		c->hung = true;
		return true;
	case FAULT_GARBAGE:
		answer(c, 200, "", "<html>not what you think</html>");
		return true;
	case FAULT_DELAY:
		c->due_ms = now_us(CLOCK_MONOTONIC) / 1000 + fault->delay_ms;
		c->next_late = late;
		late = c;
		return false;
	default:
		return false;
	}
}

static void give_address(struct connection *c, const char *path)
{
	const char *identity = strstr(path, "/identities/");
	char body[256];

	identity = identity ? identity + strlen("/identities/") : "";
	snprintf(body, sizeof body, "{\"next\": null, \"previous\": null, \"results\": [{\"address\": \"+27%09" PRIu64 "\"}]}",
		hash(identity) % 1000000000);
	answer(c, 200, "", body);
}

/* True when the connection is gone. */
static bool take_message(struct connection *c, const char *head)
{
	struct fault *fault = &faults[OUTBOUND];
	char key[KEY_SIZE], body[128];

	header(head, "Idempotency-Key", key, sizeof key);
	if (!*key) {
		answer(c, 400, "", "{\"detail\": \"no Idempotency-Key\"}");
		return false;
	}
	count_key(key);
	if (fault->mode == FAULT_LOSE && ++fault->seen % fault->every == 0) {
		close_connection(c, true);
		return true;
	}
	if (fault->mode == FAULT_CUT && ++fault->seen % fault->every == 0) {
		static const char begun[] = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"id\":";

		if (send(c->fd, begun, sizeof begun - 1, MSG_NOSIGNAL) < 0)
			perror("send");
		close_connection(c, false);
		return true;
	}
	snprintf(body, sizeof body, "{\"id\": \"0b%.34s\", \"attempts\": 0, \"delivered\": false}", key + 2);
	answer(c, 201, "", body);
	return false;
}

/* One request whose head is NUL-terminated. True when the connection is gone. */
static bool handle(struct connection *c, const char *head)
{
	char path[2048];
	bool closed;

	if (sscanf(head, "%*s %2047s", path) != 1) {
		answer(c, 400, "", "{}");
		return false;
	}
	if (strncmp(path, "/control/", 9) == 0) {
		if (strncmp(path, "/control/stats", 14) == 0)
			put_stats(c);
		else if (strncmp(path, "/control/keys", 13) == 0)
			put_keys(c);
		else if (strncmp(path, "/control/fault", 14) == 0)
			set_fault(c, path);
		else if (strncmp(path, "/control/reset", 14) == 0) {
			forget_all();
			answer(c, 200, "", "{}");
		} else
			answer(c, 404, "", "{}");
		return false;
	}
	if (strstr(path, "/outbound/")) {
		requests[OUTBOUND]++;
		return harm(c, OUTBOUND, &closed) ? closed : take_message(c, head);
	}
	requests[IDENTITY]++;
	if (harm(c, IDENTITY, &closed))
		return closed;
	give_address(c, path);
	return false;
}

/* True when the connection is gone. */
static bool flush(struct connection *c)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = c->fd};

	while (!c->due_ms && c->out_sent < c->out_length) {
		ssize_t n = write(c->fd, c->out + c->out_sent, c->out_length - c->out_sent);

		if (n < 0 && errno == EAGAIN) {
			event.events |= EPOLLOUT;
			break;
		}
		if (n < 0) {
			close_connection(c, false);
			return true;
		}
		c->out_sent += (size_t)n;
	}
	if (c->out_sent == c->out_length)
		c->out_sent = c->out_length = 0;
	if (event.events & EPOLLOUT)
		epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
	return false;
}

/* Handles all whole requests that came. True when the connection is gone. */
static bool take_requests(struct connection *c)
{
	for (;;) {
		char *end, length_text[32];
		size_t head, body;

		c->in[c->in_length] = '\0';
		end = strstr(c->in, "\r\n\r\n");
		if (!end || c->hung || c->due_ms)
			return false;
		head = (size_t)(end - c->in) + 4;
		end[2] = '\0';
		header(c->in, "Content-Length", length_text, sizeof length_text);
		body = (size_t)strtoul(length_text, NULL, 10);
		if (c->in_length < head + body) {
			end[2] = '\r';
			return false;
		}
		if (handle(c, c->in))
			return true;
		memmove(c->in, c->in + head + body, c->in_length - head - body);
		c->in_length -= head + body;
	}
}

static void serve(int fd, unsigned events)
{
	struct connection *c = connections[fd];
	ssize_t n;

	if (!c || ((events & EPOLLOUT) && flush(c)))
		return;
	n = read(fd, c->in + c->in_length, REQUEST_MAX - c->in_length);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		close_connection(c, false);
		return;
	}
	if (n > 0)
		c->in_length += (size_t)n;
	if (!take_requests(c))
		flush(c);
}

static void accept_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
		struct connection *c;
		int one = 1;

		if (fd >= CONNECTIONS_MAX || !(c = calloc(1, sizeof *c)) || !(c->in = malloc(REQUEST_MAX + 1))) {
			close(fd);
			continue;
		}
		c->fd = fd;
		connections[fd] = c;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	}
}

/* Sends the answers that were held back. Milliseconds until the next one, -1 for none. */
static int send_late(void)
{
	int64_t now = now_us(CLOCK_MONOTONIC) / 1000, next = INT64_MAX;

	for (struct connection **at = &late, *c; (c = *at);) {
		if (c->due_ms > now) {
			next = c->due_ms < next ? c->due_ms : next;
			at = &c->next_late;
			continue;
		}
		*at = c->next_late;
		c->due_ms = 0;
		if (!flush(c) && !take_requests(c))
			flush(c);
	}
	return next == INT64_MAX ? -1 : (int)(next - now);
}

static int listen_at(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096))
		die("bind");
	if (getsockname(fd, (struct sockaddr *)&address, &size))
		die("getsockname");
	printf("port %d\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	struct epoll_event events[256], event = {.events = EPOLLIN};
	struct rlimit limit = {CONNECTIONS_MAX, CONNECTIONS_MAX};
	int listener, wait = -1;

	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &limit);
	forget_all();
	listener = listen_at(argc > 1 ? atoi(argv[1]) : 0);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	event.data.fd = listener;
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int n = epoll_wait(epoll, events, 256, wait);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				accept_all(listener);
			else
				serve(events[i].data.fd, events[i].events);
		}
		wait = send_late();
	}
}
