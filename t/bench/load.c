/*
 * load [-c clients] [-d seconds | -n requests] [-m method] [-H header]... [-b body] [-s status] http://host:port/path
 *
 * Each client keeps one connection and sends its next request when it has the answer to the last one.  -n:
 * so many requests for each client.  "%d" in the body becomes a number of its own for each request.  -s: the
 * status that counts as a success, by default any 2xx.  What is counted is answers for each connection, since
 * a mean over all of them hides the one that got none.  Prints one line:
 *
 *   requests failed rate unserved least most p50_us p99_us p999_us max_us bytes
 *
 * unserved: clients that got no answer; least and most: answers of the client that got the fewest and the
 * most; bytes: the body of the last answer.  At the end no further request is sent, and answers are waited for
 * up to 5 s; the time of one that never came counts into max_us.  The exit status is 1 when one failed or a client was not served.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEADER_MAX 16384
#define REQUEST_MAX 65536

struct client {
	int fd;
	int64_t begin_us; /* of the request under way */
	char header[HEADER_MAX];
	size_t header_length;
	bool in_body, chunked;
	bool closing; /* the server said that it closes after this answer */
	int status;
	int64_t body_left;     /* of the body, or of the chunk with its line end */
	char chunk_line[32];
	size_t chunk_line_length;
	bool last_chunk;
	int64_t body_bytes;
	int64_t answers, sent;
	bool done;
};

static const char *host, *method = "GET", *body = NULL;
static char port[8] = "80", path[4096], headers[8192];
static int client_count = 32, wanted_status;
static int64_t seconds = 5, requests_each;
static struct client *clients;
static struct addrinfo *address;
static int epoll;
static int64_t failed, last_bytes, numbers;
static uint32_t *times;
static size_t time_count, time_size;
static bool ending;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(2);
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void parse_url(char *url)
{
	char *slash, *colon;

	if (strncmp(url, "http://", 7) != 0) {
		fprintf(stderr, "load: the address must begin with http://\n");
		exit(2);
	}
	url += 7;
	slash = strchr(url, '/');
	snprintf(path, sizeof(path), "%s", slash ? slash : "/");
	if (slash)
		*slash = '\0';
	colon = strchr(url, ':');
	if (colon) {
		*colon = '\0';
		snprintf(port, sizeof(port), "%s", colon + 1);
	}
	host = url;
}

static void open_client(struct client *c)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
	int one = 1;

	c->fd = socket(address->ai_family, SOCK_STREAM, 0);
	if (c->fd < 0 || connect(c->fd, address->ai_addr, address->ai_addrlen) != 0)
		die("could not connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
		die("epoll_ctl");
}

/* The body with its own number in place of "%d". */
static size_t make_body(char *out, size_t size)
{
	const char *mark = body ? strstr(body, "%d") : NULL;

	if (!body)
		return 0;
	if (!mark)
		return (size_t)snprintf(out, size, "%s", body);
	return (size_t)snprintf(out, size, "%.*s%lld%s", (int)(mark - body), body, (long long)numbers++, mark + 2);
}

static void send_request(struct client *c)
{
	static char text[2 * REQUEST_MAX], content[REQUEST_MAX];
	size_t length = make_body(content, sizeof(content)), n;
	char length_line[64] = "";

	if (body)
		snprintf(length_line, sizeof(length_line), "Content-Length: %zu\r\n", length);
	n = (size_t)snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: %s:%s\r\n%s%s\r\n%s", method, path, host, port, headers, length_line,
		body ? content : "");
	if (n >= sizeof(text) || length >= sizeof(content)) {
		fprintf(stderr, "load: the request is too long\n");
		exit(2);
	}
	c->begin_us = now_us();
	c->sent++;
	/* It fits the socket's buffer, which is empty. */
	if (send(c->fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
		die("could not send");
}

static void note_time(int64_t us)
{
	if (time_count == time_size) {
		time_size = time_size ? 2 * time_size : 1 << 20;
		times = realloc(times, time_size * sizeof(*times));
		if (!times)
			die("out of memory");
	}
	times[time_count++] = (uint32_t)us;
}

static bool is_success(int status)
{
	return wanted_status ? status == wanted_status : status >= 200 && status < 300;
}

static void end_answer(struct client *c)
{
	note_time(now_us() - c->begin_us);
	c->answers++;
	if (!is_success(c->status) && failed++ == 0)
		fprintf(stderr, "load: first failure: status %d\n", c->status);
	last_bytes = c->body_bytes;
	c->header_length = 0;
	c->in_body = c->chunked = c->last_chunk = false;
	c->body_left = c->body_bytes = 0;
	c->chunk_line_length = 0;
	c->done = ending || (requests_each && c->sent >= requests_each);
	if (c->closing) {
		close(c->fd);
		open_client(c);
		c->closing = false;
	}
	if (!c->done)
		send_request(c);
}

static const char *find_header(const struct client *c, const char *name)
{
	for (const char *line = c->header; (line = strstr(line, "\r\n")); ) {
		line += 2;
		if (strncasecmp(line, name, strlen(name)) == 0)
			return line + strlen(name);
	}
	return NULL;
}

static void begin_body(struct client *c)
{
	const char *length = find_header(c, "content-length:");
	const char *connection = find_header(c, "connection:");

	c->status = atoi(c->header + 9);
	c->closing = connection && strncasecmp(connection + strspn(connection, " "), "close", 5) == 0;
	c->in_body = true;
	c->chunked = find_header(c, "transfer-encoding:") != NULL;
	c->body_left = length && !c->chunked ? strtoll(length, NULL, 10) : 0;
	c->body_bytes = c->body_left;
	if (!c->chunked && c->body_left == 0)
		end_answer(c);
}

/* Takes header bytes; returns how many were of it. */
static size_t take_header(struct client *c, const char *bytes, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (c->header_length == HEADER_MAX - 1) {
			fprintf(stderr, "load: the answer's header is too long\n");
			exit(2);
		}
		c->header[c->header_length++] = bytes[i];
		if (c->header_length >= 4 && memcmp(c->header + c->header_length - 4, "\r\n\r\n", 4) == 0) {
			c->header[c->header_length] = '\0';
			begin_body(c);
			return i + 1;
		}
	}
	return n;
}

/* Takes bytes of the line before a chunk; returns how many were of it. */
static size_t take_chunk_line(struct client *c, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (c->chunk_line_length < sizeof(c->chunk_line) - 1)
			c->chunk_line[c->chunk_line_length++] = bytes[i];
		if (bytes[i] == '\n') {
			c->chunk_line[c->chunk_line_length] = '\0';
			c->chunk_line_length = 0;
			c->body_left = strtoll(c->chunk_line, NULL, 16) + 2;
			c->body_bytes += c->body_left - 2;
			c->last_chunk = c->body_left == 2;
			return i + 1;
		}
	}
	return n;
}

static size_t take_body(struct client *c, const char *bytes, size_t n)
{
	size_t part;

	if (c->chunked && c->body_left == 0)
		return take_chunk_line(c, bytes, n);
	part = (int64_t)n < c->body_left ? n : (size_t)c->body_left;
	c->body_left -= (int64_t)part;
	if (c->body_left == 0 && (!c->chunked || c->last_chunk))
		end_answer(c);
	return part;
}

static void read_client(struct client *c)
{
	static char bytes[1 << 18];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

	if (n <= 0 && c->done) {
		close(c->fd);
		return;
	}
	if (n <= 0) {
		/* An idle connection that is closed is nobody's failure, but one in the middle of a request is. */
		if (failed++ == 0)
			fprintf(stderr, "load: first failure: the connection was closed\n");
		close(c->fd);
		c->header_length = 0;
		c->in_body = c->chunked = c->last_chunk = false;
		c->body_left = c->body_bytes = 0;
		c->chunk_line_length = 0;
		open_client(c);
		send_request(c);
		return;
	}
	for (size_t at = 0; at < (size_t)n;)
		at += c->in_body ? take_body(c, bytes + at, (size_t)n - at) : take_header(c, bytes + at, (size_t)n - at);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint32_t percentile(double part)
{
	return time_count ? times[(size_t)(part * (double)(time_count - 1))] : 0;
}

static int report(int64_t begin_us, int64_t end_us, int64_t in_time)
{
	int64_t answers = 0, least = INT64_MAX, most = 0, longest;
	int unserved = 0;

	qsort(times, time_count, sizeof(*times), compare);
	longest = percentile(1);
	for (int i = 0; i < client_count; i++) {
		const struct client *c = &clients[i];

		answers += c->answers;
		unserved += c->answers == 0;
		least = c->answers < least ? c->answers : least;
		most = c->answers > most ? c->answers : most;
		if (!c->done && now_us() - c->begin_us > longest)
			longest = now_us() - c->begin_us;
	}
	printf("requests=%lld failed=%lld rate=%.0f unserved=%d least=%lld most=%lld p50_us=%u p99_us=%u p999_us=%u max_us=%lld bytes=%lld\n",
		(long long)answers, (long long)failed, (double)in_time * 1e6 / (double)(end_us - begin_us), unserved, (long long)least,
		(long long)most, percentile(0.5), percentile(0.99), percentile(0.999), (long long)longest, (long long)last_bytes);
	return failed || unserved ? 1 : 0;
}

static bool all_done(void)
{
	for (int i = 0; i < client_count; i++)
		if (!clients[i].done)
			return false;
	return true;
}

/* Moves on until the given moment, or until all have their answers when there are to be no more requests. */
static void run(int64_t until_us)
{
	struct epoll_event events[256];

	for (;;) {
		int64_t left_us = until_us - now_us();
		int n;

		if (left_us <= 0 || ((ending || requests_each) && all_done()))
			return;
		n = epoll_wait(epoll, events, 256, (int)(left_us / 1000) + 1);
		for (int i = 0; i < n; i++)
			read_client(events[i].data.ptr);
	}
}

static void parse_options(int argc, char **argv)
{
	size_t used = 0;
	int option;

	while ((option = getopt(argc, argv, "c:d:n:m:H:b:s:")) != -1)
		switch (option) {
		case 'c': client_count = atoi(optarg); break;
		case 'd': seconds = atoll(optarg); break;
		case 'n': requests_each = atoll(optarg); break;
		case 'm': method = optarg; break;
		case 'b': body = optarg; break;
		case 's': wanted_status = atoi(optarg); break;
		case 'H':
			used += (size_t)snprintf(headers + used, sizeof(headers) - used, "%s\r\n", optarg);
			if (used >= sizeof(headers))
				exit(2);
			break;
		default: exit(2);
		}
	if (requests_each)
		seconds = 3600;
	if (optind != argc - 1 || client_count < 1 || seconds < 1) {
		fprintf(stderr, "usage: load [-c clients] [-d seconds | -n requests] [-m method] [-H header]... [-b body] [-s status] url\n");
		exit(2);
	}
	parse_url(argv[optind]);
}

int main(int argc, char **argv)
{
	const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct rlimit limit;
	int64_t begin_us, end_us;
	size_t in_time;

	parse_options(argc, argv);
	numbers = now_us();
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (getaddrinfo(host, port, &hints, &address) != 0)
		die("could not find the host");
	clients = calloc((size_t)client_count, sizeof(*clients));
	epoll = epoll_create1(0);
	if (!clients || epoll < 0)
		die("could not start");
	for (int i = 0; i < client_count; i++)
		open_client(&clients[i]);
	begin_us = now_us();
	for (int i = 0; i < client_count; i++)
		send_request(&clients[i]);
	run(begin_us + seconds * 1000000);
	end_us = now_us();
	in_time = time_count;
	ending = true;
	run(end_us + 5000000);
	return report(begin_us, end_us, (int64_t)in_time);
}
