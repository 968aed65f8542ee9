#include "io/fcgi.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"

#include <errno.h>
#include <fcgiapp.h>
#include <grp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Most connections that a worker keeps; over that one that is idle goes. Descriptors for all else. */
#define CONNECTIONS_MAX 1024
#define DESCRIPTORS_OTHER 32
/* Longest that nginx may take over the next bytes of a request that it has begun, or of an answer. */
#define IO_TIMEOUT_S 10
/* Milliseconds that fcgi2 waits for the other side to close after us. */
#define CLOSE_POLL_MS "50"
/* While stopping: how long nginx may take to close its connections. */
#define DRAIN_MS 2000
#define DRAIN_POLL_MS 100
#define EVENTS_MAX 16
/* Most connections taken at once. */
#define ACCEPT_MAX 64
/* From the FastCGI specification, section 8. */
#define FCGI_VERSION 1
#define FCGI_STDERR 7

/*
 * An empty record of the error stream.  While stopping it is sent where nginx expects nothing, and nginx then
 * closes the connection: an idle one as soon as it sees it, one with a request behind the end of its answer.
 * A request that crosses it on its way loses nothing, since within an answer it means nothing.  Were the
 * connection closed from here, such a request would be lost.
 */
static const char farewell[8] = {FCGI_VERSION, FCGI_STDERR, 0, 1};

/* A kept connection, and the request on it. In a list, the one used last at its head. */
struct fcgi_request {
	FCGX_Request fcgx;
	struct fcgi_request *before, *after;
};

struct server {
	int listener, epoll;
	bool listening;
	bool draining;
	int64_t drain_until_ms;
	struct fcgi_request *head, *tail;
	int count, count_max;
	int served; /* requests since connections were taken last, up to ACCEPT_MAX */
	void (*handle)(struct fcgi_request *, void *);
	void *context;
};

/* True when somebody answers at the address. */
static bool
is_served(const struct sockaddr_un *address)
{
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool served;

	if (s < 0)
		return false;
	/* A full queue is a server too. */
	served = connect(s, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN;
	close(s);
	return served;
}

/* Gives the socket to nginx's group. */
static int
set_group(const char *path, const char *group)
{
	struct group *entry;

	if (*group == '\0' || geteuid() != 0)
		return 0;
	entry = getgrnam(group);
	if (entry == NULL) {
		log_err("no such group; set api_socket_group to that of nginx", log_str("group", group));
		return -1;
	}
	if (chown(path, (uid_t)-1, entry->gr_gid) != 0) {
		log_err("could not set the group of a socket", log_str("path", path), log_errno());
		return -1;
	}
	return 0;
}

static int
bind_path(int s, const struct sockaddr_un *address, const char *group)
{
	mode_t mask = umask(0117);
	int rc = bind(s, (const struct sockaddr *)address, sizeof(*address));

	umask(mask);
	if (rc != 0) {
		log_err("could not bind a socket", log_str("path", address->sun_path), log_errno());
		return -1;
	}
	return set_group(address->sun_path, group);
}

int
fcgi_listen(const char *path, int backlog, const char *group)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int s;

	if (strlen(path) >= sizeof(address.sun_path)) {
		log_err("the path of a socket is too long; at most 107 bytes", log_str("path", path));
		return -1;
	}
	strcpy(address.sun_path, path);
	if (is_served(&address)) {
		log_err("somebody listens at this socket already; stop the other service, or give this one another path", log_str("path", path));
		return -1;
	}
	if (unlink(path) != 0 && errno != ENOENT) {
		log_err("could not remove an old socket", log_str("path", path), log_errno());
		return -1;
	}
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s < 0) {
		log_err("could not make a socket", log_errno());
		return -1;
	}
	if (bind_path(s, &address, group) != 0)
		goto err;
	if (listen(s, backlog) != 0) {
		log_err("could not listen", log_str("path", path), log_errno());
		goto err;
	}
	return s;
err:
	close(s);
	return -1;
}

int
fcgi_init(void)
{
	int rc;

	/* fcgi2 reads it once, here. */
	if (setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", CLOSE_POLL_MS, 1) != 0) {
		log_err("could not set up fcgi2", log_errno());
		return -1;
	}
	rc = FCGX_Init();
	if (rc != 0) {
		log_err("could not set up fcgi2", log_int("code", rc));
		return -1;
	}
	return 0;
}

static void
list_remove(struct server *s, struct fcgi_request *r)
{
	*(r->before != NULL ? &r->before->after : &s->head) = r->after;
	*(r->after != NULL ? &r->after->before : &s->tail) = r->before;
	r->before = r->after = NULL;
}

static void
list_insert(struct server *s, struct fcgi_request *r)
{
	r->after = s->head;
	*(s->head != NULL ? &s->head->before : &s->tail) = r;
	s->head = r;
}

static int
listen_on(struct server *s)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE};

	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &e) != 0) {
		log_err("could not wait at the listening socket", log_errno());
		return -1;
	}
	s->listening = true;
	return 0;
}

static void
listen_off(struct server *s)
{
	epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->listener, NULL);
	s->listening = false;
}

/* Closing the descriptor takes it out of epoll too. */
static void
drop(struct server *s, struct fcgi_request *r)
{
	list_remove(s, r);
	s->count--;
	if (r->fcgx.ipcFd >= 0)
		close(r->fcgx.ipcFd);
	free(r);
	/* make_room may have stopped listening when there were too many. */
	if (!s->listening && !s->draining)
		listen_on(s);
}

/* What there is to read at a connection: 1 something, 0 nothing, -1 its end. */
static int
look(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return 0;
	return n > 0 ? 1 : -1;
}

/* The connection used least lately at which no request waits; NULL when there is none. */
static struct fcgi_request *
find_idle(const struct server *s)
{
	struct fcgi_request *r = s->tail;

	while (r != NULL && look(r->fcgx.ipcFd) == 1)
		r = r->before;
	return r;
}

/* A connection's own request, which can never accept another one: its listening socket is none. */
static struct fcgi_request *
request_create(int fd)
{
	struct timeval timeout = {.tv_sec = IO_TIMEOUT_S};
	struct fcgi_request *r = calloc(1, sizeof(*r));

	if (r == NULL || FCGX_InitRequest(&r->fcgx, -1, 0) != 0) {
		free(r);
		return NULL;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	r->fcgx.ipcFd = fd;
	/* Else FCGX_Accept_r, which begins by finishing what was before, would close it. */
	r->fcgx.keepConnection = 1;
	return r;
}

static void
add_connection(struct server *s, int fd)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP};
	struct fcgi_request *r = request_create(fd);

	if (r == NULL) {
		log_err("no memory for a connection");
		close(fd);
		return;
	}
	e.data.ptr = r;
	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
		log_err("could not wait at a connection", log_errno());
		close(fd);
		free(r);
		return;
	}
	list_insert(s, r);
	s->count++;
}

/* Makes room for one more connection: closes one that is idle, or stops listening until one ends. */
static bool
make_room(struct server *s)
{
	struct fcgi_request *idle = find_idle(s);

	if (idle != NULL)
		drop(s, idle);
	else
		listen_off(s);
	return idle != NULL;
}

/* Takes one connection. False when there is none, or no room. */
static bool
accept_one(struct server *s)
{
	int fd;

	if (s->count >= s->count_max && !make_room(s))
		return false;
	fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) {
		add_connection(s, fd);
		return true;
	}
	if ((errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) && s->count > 0) {
		log_warn("could not accept a connection; closing one that is idle", log_errno());
		make_room(s);
	}
	return false;
}

/*
 * Takes new connections, and then stands at the end of the queue for the next: the kernel wakes the idle
 * worker that has waited at the socket for longest, so that kept connections spread over all workers.  An
 * idle worker takes one.  A busy one takes as many as it has served requests since: each stands for a
 * request that waits, behind others that came on kept connections later than it.
 */
static int
accept_new(struct server *s, bool busy)
{
	int most = busy && s->served > 1 ? s->served : 1;

	s->served = 0;
	while (most-- > 0 && accept_one(s))
		;
	if (!s->listening)
		return 0;
	listen_off(s);
	return listen_on(s);
}

/* What the handler left of the body would be taken for the next request. */
static void
drain_body(struct fcgi_request *r)
{
	char scrap[8192];

	while (fcgi_read(r, scrap, sizeof(scrap)) > 0)
		;
}

/* Writes what lies in file, and the farewell, to fd in one piece. */
static void
forward(int file, int fd)
{
	char bytes[65536];
	ssize_t n = pread(file, bytes, sizeof(bytes) - sizeof(farewell), 0);

	if (n < 0)
		n = 0;
	memcpy(bytes + n, farewell, sizeof(farewell));
	/* When it fails nginx has gone, and the connection's end is seen next. */
	for (char *at = bytes, *end = bytes + n + sizeof(farewell); at < end; at += n)
		if ((n = write(fd, at, (size_t)(end - at))) <= 0)
			break;
}

/*
 * Ends the last answer of a connection.  nginx must see the farewell together with the answer's end, or it
 * may have sent the next request already; so what fcgi2 has still to write, one buffer of 8 KiB and the
 * last records, takes a turn through a file in memory.
 */
static void
finish_last(struct fcgi_request *r)
{
	int file = memfd_create("answer", MFD_CLOEXEC), fd = r->fcgx.ipcFd;

	if (file < 0 || r->fcgx.keepConnection == 0) {
		FCGX_Finish_r(&r->fcgx);
	} else {
		r->fcgx.ipcFd = file;
		FCGX_Finish_r(&r->fcgx);
		if (r->fcgx.ipcFd == file) {
			forward(file, fd);
			r->fcgx.ipcFd = fd;
		} else {
			/* It failed, and closed the file. */
			file = -1;
			close(fd);
		}
	}
	if (file >= 0)
		close(file);
}

/* Serves the request that has begun on a connection. */
static void
serve_one(struct server *s, struct fcgi_request *r)
{
	/* It takes parameters that were cut off for complete ones; only the stream knows. */
	if (FCGX_Accept_r(&r->fcgx) != 0 || FCGX_GetError(r->fcgx.in) != 0) {
		FCGX_Free(&r->fcgx, 1);
		drop(s, r);
		return;
	}
	if (s->served < ACCEPT_MAX)
		s->served++;
	s->handle(r, s->context);
	drain_body(r);
	if (s->draining)
		finish_last(r);
	else
		FCGX_Finish_r(&r->fcgx);
	log_set_request_id(NULL);
	if (r->fcgx.ipcFd < 0) {
		drop(s, r);
		return;
	}
	if (s->head != r) {
		list_remove(s, r);
		list_insert(s, r);
	}
}

/* The worker was told to end: no new connections, and nginx is asked to close those that there are. */
static void
start_drain(struct server *s)
{
	s->draining = true;
	s->drain_until_ms = clock_monotonic_ms() + DRAIN_MS;
	if (s->listening)
		listen_off(s);
	for (struct fcgi_request *r = s->head; r != NULL; r = r->after)
		send(r->fcgx.ipcFd, farewell, sizeof(farewell), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* What did not take the farewell. A request that waits while another one is served is answered first. */
static void
drop_idle(struct server *s)
{
	struct fcgi_request *r, *before;

	if (clock_monotonic_ms() < s->drain_until_ms)
		return;
	for (r = s->tail; r != NULL; r = before) {
		before = r->before;
		if (look(r->fcgx.ipcFd) != 1)
			drop(s, r);
	}
}

static int
serve_events(struct server *s)
{
	struct epoll_event events[EVENTS_MAX];
	bool accept = false;
	int n = epoll_pwait(s->epoll, events, EVENTS_MAX, s->draining ? DRAIN_POLL_MS : -1, proc_wait_mask());

	if (n < 0 && errno != EINTR) {
		log_err("could not wait for requests", log_errno());
		return -1;
	}
	for (int i = 0; i < n; i++) {
		struct fcgi_request *r = events[i].data.ptr;

		if (r == NULL)
			accept = true;
		else if ((events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0 && look(r->fcgx.ipcFd) < 0)
			drop(s, r);
		else
			serve_one(s, r);
	}
	/* Last, since it may drop a connection that is among the events. */
	return accept && s->listening ? accept_new(s, n > 1) : 0;
}

static int
connections_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > CONNECTIONS_MAX + DESCRIPTORS_OTHER)
		return CONNECTIONS_MAX;
	return limit.rlim_cur > 2 * DESCRIPTORS_OTHER ? (int)limit.rlim_cur - DESCRIPTORS_OTHER : DESCRIPTORS_OTHER;
}

int
fcgi_serve(int listener, void (*handle)(struct fcgi_request *, void *context), void *context)
{
	struct server s = {.listener = listener, .count_max = connections_max(), .handle = handle, .context = context};
	int rc = 0;

	s.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s.epoll < 0) {
		log_err("could not make an epoll descriptor", log_errno());
		return -1;
	}
	rc = listen_on(&s);
	while (rc == 0 && !(s.draining && s.head == NULL)) {
		rc = serve_events(&s);
		if (!s.draining && proc_stopping())
			start_drain(&s);
		if (s.draining)
			drop_idle(&s);
	}
	while (s.head != NULL)
		drop(&s, s.head);
	close(s.epoll);
	return rc;
}

const char *
fcgi_param(const struct fcgi_request *r, const char *name)
{
	return FCGX_GetParam(name, r->fcgx.envp);
}

const char *const *
fcgi_params(const struct fcgi_request *r)
{
	return (const char *const *)r->fcgx.envp;
}

long
fcgi_read(struct fcgi_request *r, void *out, size_t n)
{
	int got;

	if (n > 1 << 30)
		n = 1 << 30;
	got = FCGX_GetStr(out, (int)n, r->fcgx.in);
	if (got >= 0 && (size_t)got < n && FCGX_GetError(r->fcgx.in) != 0)
		return -1;
	return got;
}

int
fcgi_write(struct fcgi_request *r, const void *bytes, size_t n)
{
	const char *at = bytes;

	while (n > 0) {
		int part = n > 1 << 30 ? 1 << 30 : (int)n;

		if (FCGX_PutStr(at, part, r->fcgx.out) != part)
			return -1;
		at += part;
		n -= (size_t)part;
	}
	return 0;
}
