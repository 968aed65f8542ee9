#include "io/fetch.h"

#include "base/clock.h"
#include "base/log.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Seconds after which a kept connection is not used again, so that a service that moved is noticed. */
#define CONNECTION_LIFETIME_S 600L
#define CONNECTION_IDLE_S 60L
#define EVENTS_MAX 64
#define SERVICE_SIZE 512
/* From such a size on some versions of curl ask before they send a body. */
#define LARGE_BODY 1024

/* A call under way, or a place for one: its handle stays for the next call. */
struct call {
	struct fetch *fetch;
	CURL *easy;
	unsigned configured; /* generation of the configuration that the handle has */
	struct curl_slist *headers;
	char *body;
	struct buf answer;
	bool too_large;
	int64_t started_ms;
	void (*done)(void *context, const struct fetch_answer *);
	void *context;
	struct call *next_free;
};

/*
 * What epoll waits for at a descriptor. curl ends its interest after each answer and has it anew at the next call; that
 * of a connection between calls stays with epoll, which spares two system calls for each. Only of a connection that came
 * about: curl 7.88 closes others by itself, without on_close, and what has their number next may not be ours.
 */
struct watch {
	uint32_t events; /* 0: epoll does not have it */
	bool wanted;     /* by curl */
	bool kept;       /* we opened it, and on_close will tell of its end */
};

struct fetch {
	struct fetch_config config;
	unsigned generation;
	CURLM *multi;
	int epoll;
	struct watch *watches; /* by descriptor */
	size_t watch_count;
	int64_t deadline_ms; /* when curl wants to be called; -1: not */
	struct call **calls; /* all that were ever needed */
	int count, active;
	struct call *free;
};

int
fetch_check(void)
{
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);

	if ((v->features & CURL_VERSION_ASYNCHDNS) == 0) {
		log_err("libcurl resolves names synchronously here; install one with AsynchDNS", log_str("version", v->version));
		return -1;
	}
	return 0;
}

/* NULL: there is no memory. */
static struct watch *
watch_of(struct fetch *f, curl_socket_t s)
{
	size_t count = f->watch_count > 0 ? f->watch_count : 64;
	struct watch *all;

	while (count <= (size_t)s)
		count *= 2;
	if (count != f->watch_count) {
		all = realloc(f->watches, count * sizeof(*all));
		if (all == NULL)
			return NULL;
		memset(all + f->watch_count, 0, (count - f->watch_count) * sizeof(*all));
		f->watches = all;
		f->watch_count = count;
	}
	return &f->watches[s];
}

/* Tells epoll what to wait for; 0 for nothing. */
static int
watch_set(struct fetch *f, curl_socket_t s, struct watch *w, uint32_t events)
{
	struct epoll_event e = {.data.fd = s, .events = events};
	int op = events == 0 ? EPOLL_CTL_DEL : w->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	if (w->events == events)
		return 0;
	w->events = events;
	if (epoll_ctl(f->epoll, op, s, &e) == 0)
		return 0;
	/* Another one than we knew by that number. */
	w->kept = false;
	return op == EPOLL_CTL_MOD && errno == ENOENT ? epoll_ctl(f->epoll, EPOLL_CTL_ADD, s, &e) : -1;
}

static int
on_socket(CURL *easy, curl_socket_t s, int what, void *context, void *known)
{
	struct fetch *f = context;
	struct watch *w = watch_of(f, s);
	uint32_t events = ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0u) | ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0u);

	(void)easy;
	(void)known;
	if (w == NULL)
		return -1;
	w->wanted = what != CURL_POLL_REMOVE;
	if (!w->wanted) {
		/* Writing is waited for while it connects. */
		w->kept = w->kept && w->events == EPOLLIN;
		if (!w->kept)
			watch_set(f, s, w, 0);
		return 0;
	}
	if (watch_set(f, s, w, events) != 0) {
		log_err("could not wait at a connection", log_errno());
		return -1;
	}
	return 0;
}

static curl_socket_t
on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct fetch *f = context;
	int s = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	struct watch *w = s >= 0 ? watch_of(f, s) : NULL;

	(void)purpose;
	if (w == NULL) {
		if (s >= 0)
			close(s);
		return CURL_SOCKET_BAD;
	}
	*w = (struct watch){.kept = true};
	return s;
}

static int
on_close(void *context, curl_socket_t s)
{
	struct fetch *f = context;

	/* epoll forgets it by itself. */
	f->watches[s] = (struct watch){0};
	return close(s);
}

static int
on_timer(CURLM *multi, long timeout_ms, void *context)
{
	struct fetch *f = context;

	(void)multi;
	f->deadline_ms = timeout_ms < 0 ? -1 : clock_monotonic_ms() + timeout_ms;
	return 0;
}

struct fetch *
fetch_create(const struct fetch_config *config)
{
	struct fetch *f = calloc(1, sizeof(*f));

	if (f == NULL)
		goto err0;
	f->deadline_ms = -1;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (f->multi = curl_multi_init()) == NULL)
		goto err1;
	if ((f->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
		goto err2;
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	fetch_configure(f, config);
	return f;
err2:
	curl_multi_cleanup(f->multi);
err1:
	free(f);
err0:
	log_err("could not set up libcurl", log_errno());
	return NULL;
}

void
fetch_configure(struct fetch *f, const struct fetch_config *config)
{
	f->config = *config;
	f->generation++;
	/* Fewer than there are calls would make curl open a connection for each. */
	curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, (long)config->max_calls);
}

static void
call_clear(struct call *c)
{
	curl_slist_free_all(c->headers);
	c->headers = NULL;
	free(c->body);
	c->body = NULL;
	buf_fini(&c->answer);
}

static void
call_free(struct call *c)
{
	call_clear(c);
	curl_multi_remove_handle(c->fetch->multi, c->easy);
	curl_easy_cleanup(c->easy);
	free(c);
}

void
fetch_free(struct fetch *f)
{
	if (f == NULL)
		return;
	for (int i = 0; i < f->count; i++)
		call_free(f->calls[i]);
	free(f->calls);
	curl_multi_cleanup(f->multi);
	close(f->epoll);
	free(f->watches);
	free(f);
}

static size_t
on_body(char *bytes, size_t size, size_t n, void *context)
{
	struct call *c = context;

	buf_put(&c->answer, bytes, size * n);
	if (c->answer.overflow) {
		c->too_large = true;
		return 0;
	}
	return size * n;
}

/* What is the same for all calls. */
static void
configure_easy(struct call *c)
{
	const struct fetch_config *config = &c->fetch->config;

	if (c->configured == c->fetch->generation)
		return;
	c->configured = c->fetch->generation;
	curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
	curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(c->easy, CURLOPT_OPENSOCKETDATA, c->fetch);
	curl_easy_setopt(c->easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	curl_easy_setopt(c->easy, CURLOPT_CLOSESOCKETDATA, c->fetch);
	curl_easy_setopt(c->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c->easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(c->easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(c->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c->easy, CURLOPT_MAXAGE_CONN, CONNECTION_IDLE_S);
	curl_easy_setopt(c->easy, CURLOPT_MAXLIFETIME_CONN, CONNECTION_LIFETIME_S);
	curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)config->connect_timeout_ms);
	curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, (long)config->call_timeout_ms);
	curl_easy_setopt(c->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)config->response_max);
	curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
}

/* A place for a call: a used one, or one more. */
static struct call *
call_take(struct fetch *f)
{
	struct call *c = f->free;
	struct call **calls;

	if (c != NULL) {
		f->free = c->next_free;
		return c;
	}
	calls = realloc(f->calls, (size_t)(f->count + 1) * sizeof(*calls));
	if (calls == NULL)
		return NULL;
	f->calls = calls;
	c = calloc(1, sizeof(*c));
	if (c == NULL || (c->easy = curl_easy_init()) == NULL) {
		free(c);
		return NULL;
	}
	c->fetch = f;
	f->calls[f->count++] = c;
	return c;
}

static void
call_give_back(struct call *c)
{
	call_clear(c);
	c->next_free = c->fetch->free;
	c->fetch->free = c;
}

static bool
is_well_formed(const struct fetch_call *call)
{
	if (strncasecmp(call->url, "http://", 7) != 0 && strncasecmp(call->url, "https://", 8) != 0)
		return false;
	for (const char *p = call->url; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return false;
	for (const char *const *h = call->headers; h != NULL && *h != NULL; h++)
		if (strpbrk(*h, "\r\n") != NULL || strchr(*h, ':') == NULL)
			return false;
	return *call->method != '\0' && strpbrk(call->method, " \r\n") == NULL;
}

static bool
add_header(struct call *c, const char *line)
{
	struct curl_slist *list = curl_slist_append(c->headers, line);

	if (list == NULL)
		return false;
	c->headers = list;
	return true;
}

static bool
set_headers(struct call *c, const struct fetch_call *call)
{
	/* Without this, it asks and waits. Each header costs something, so only where it is needed. */
	if (call->body_length >= LARGE_BODY && !add_header(c, "Expect:"))
		return false;
	for (const char *const *h = call->headers; h != NULL && *h != NULL; h++)
		if (!add_header(c, *h))
			return false;
	return curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers) == CURLE_OK;
}

static bool
set_method(struct call *c, const struct fetch_call *call)
{
	bool get = strcmp(call->method, "GET") == 0, post = strcmp(call->method, "POST") == 0;
	const char *body = call->body != NULL ? call->body : "";
	size_t n = call->body != NULL ? call->body_length : 0;

	curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, NULL);
	curl_easy_setopt(c->easy, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(c->easy, CURLOPT_NOBODY, strcmp(call->method, "HEAD") == 0 ? 1L : 0L);
	curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, get || post ? NULL : call->method);
	if (!post && call->body == NULL)
		return true;
	c->body = malloc(n + 1);
	if (c->body == NULL)
		return false;
	memcpy(c->body, body, n);
	curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n);
	curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->body);
	return true;
}

/*
 * Service and what is asked of it, apart: curl takes a URL to pieces and puts it together again byte by byte, for each
 * call, but sends the target as it stands.
 */
static bool
set_url(struct call *c, const char *url)
{
	const char *host = strstr(url, "://") + 3, *target = host + strcspn(host, "/?#");
	char service[SERVICE_SIZE];
	size_t n = (size_t)(target - url);

	if (*target != '/' || strchr(target, '#') != NULL || n + 2 > sizeof(service))
		return curl_easy_setopt(c->easy, CURLOPT_REQUEST_TARGET, NULL) == CURLE_OK && curl_easy_setopt(c->easy, CURLOPT_URL, url) == CURLE_OK;
	memcpy(service, url, n);
	memcpy(service + n, "/", 2);
	return curl_easy_setopt(c->easy, CURLOPT_REQUEST_TARGET, target) == CURLE_OK && curl_easy_setopt(c->easy, CURLOPT_URL, service) == CURLE_OK;
}

int
fetch_start(struct fetch *f, const struct fetch_call *call, void (*done)(void *context, const struct fetch_answer *), void *context)
{
	struct call *c;

	if (f->active >= f->config.max_calls || !is_well_formed(call) || (c = call_take(f)) == NULL)
		return -1;
	buf_init(&c->answer, (size_t)f->config.response_max);
	c->too_large = false;
	c->done = done;
	c->context = context;
	c->started_ms = clock_monotonic_ms();
	configure_easy(c);
	curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, call->fresh ? 1L : 0L);
	if (!set_method(c, call) || !set_headers(c, call) || !set_url(c, call->url)
	    || curl_easy_setopt(c->easy, CURLOPT_USERPWD, call->userpwd) != CURLE_OK || curl_multi_add_handle(f->multi, c->easy) != CURLM_OK) {
		call_give_back(c);
		return -1;
	}
	f->active++;
	return 0;
}

int
fetch_active(const struct fetch *f)
{
	return f->active;
}

int
fetch_fd(const struct fetch *f)
{
	return f->epoll;
}

int64_t
fetch_timeout_ms(const struct fetch *f)
{
	int64_t left;

	if (f->deadline_ms < 0)
		return -1;
	left = f->deadline_ms - clock_monotonic_ms();
	return left > 0 ? left : 0;
}

static enum fetch_outcome
outcome_of(const struct call *c, CURLcode code)
{
	curl_off_t pretransfer_us = 0;

	if (code == CURLE_OK)
		return FETCH_ANSWERED;
	if (c->too_large || code == CURLE_FILESIZE_EXCEEDED)
		return FETCH_TOO_LARGE;
	/* Before that moment nothing of the request was sent: also when it was connecting that took too long. */
	curl_easy_getinfo(c->easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer_us);
	if (pretransfer_us == 0)
		return FETCH_REFUSED;
	return code == CURLE_OPERATION_TIMEDOUT ? FETCH_TIMEOUT : FETCH_BROKEN;
}

static void
call_end(struct call *c, CURLcode code)
{
	struct fetch *f = c->fetch;
	struct fetch_answer answer = {.outcome = outcome_of(c, code), .retry_after_ms = -1};
	curl_off_t retry_after_s = 0;

	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &answer.status);
	/* Both forms of the header come as seconds from now. */
	curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
	if (retry_after_s > 0)
		answer.retry_after_ms = (int64_t)retry_after_s * 1000;
	answer.body = buf_text(&c->answer);
	answer.body_length = c->answer.length;
	answer.error = code == CURLE_OK ? "" : curl_easy_strerror(code);
	answer.took_ms = clock_monotonic_ms() - c->started_ms;
	curl_multi_remove_handle(f->multi, c->easy);
	/* The callback may start the next call: in another place, since this one's answer is still being read. */
	f->active--;
	c->done(c->context, &answer);
	call_give_back(c);
}

static void
end_calls(struct fetch *f)
{
	const CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(f->multi, &left)) != NULL)
		if (message->msg == CURLMSG_DONE) {
			CURLcode code = message->data.result;
			struct call *c = NULL;

			curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &c);
			call_end(c, code);
		}
}

static void
run_timer(struct fetch *f)
{
	int running;

	if (f->deadline_ms < 0 || f->deadline_ms > clock_monotonic_ms())
		return;
	f->deadline_ms = -1; /* curl sets it anew when it wants */
	curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

void
fetch_run(struct fetch *f)
{
	struct epoll_event events[EVENTS_MAX];
	int n, running;

	run_timer(f);
	n = epoll_wait(f->epoll, events, EVENTS_MAX, 0);
	for (int i = 0; i < n; i++) {
		struct watch *w = &f->watches[events[i].data.fd];
		unsigned e = events[i].events;
		int what = ((e & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) | ((e & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0)
		    | ((e & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);

		/* A connection between calls has ended, or says what nobody asked: curl looks before it uses it again. */
		if (!w->wanted)
			watch_set(f, events[i].data.fd, w, 0);
		else
			curl_multi_socket_action(f->multi, events[i].data.fd, what, &running);
	}
	end_calls(f);
}
