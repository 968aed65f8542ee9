#include "io/bus.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

/* Milliseconds between attempts to reach a daemon that is away: a trigger is of use only when it is quick. */
#define RECONNECT_MS 20
#define RECONNECT_MAX_MS 200
#define ENDPOINTS_MAX 16
#define ENDPOINT_SIZE 256
/* Triggers that wait to be read: one is as good as many. */
#define RECEIVE_HWM 64
#define MESSAGE_MAX 64

struct bus_push {
	void *context;
	void *sockets[ENDPOINTS_MAX];
	int count;
};

struct bus_pull {
	void *context;
	void *socket;
	int lock; /* -1: not of a kind that needs one */
	char path[ENDPOINT_SIZE];
};

static struct log_field
zmq_error(void)
{
	return log_str("error", zmq_strerror(zmq_errno()));
}

static void
set_option(void *socket, int option, int value)
{
	if (zmq_setsockopt(socket, option, &value, sizeof(value)) != 0)
		log_err("could not set an option of a trigger socket", log_int("option", option), zmq_error());
}

static int
push_connect(struct bus_push *push, const char *endpoint)
{
	void *socket = zmq_socket(push->context, ZMQ_PUSH);

	if (socket == NULL) {
		log_err("could not make a trigger socket", zmq_error());
		return -1;
	}
	push->sockets[push->count++] = socket;
	set_option(socket, ZMQ_LINGER, 0);
	/* Nothing is kept for a daemon that is away: it finds its work by itself. */
	set_option(socket, ZMQ_IMMEDIATE, 1);
	set_option(socket, ZMQ_SNDHWM, 1);
	set_option(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
	set_option(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
	if (zmq_connect(socket, endpoint) != 0) {
		log_err("could not connect to trigger_endpoint", log_str("endpoint", endpoint), zmq_error());
		return -1;
	}
	return 0;
}

/* The next endpoint of a list, without blanks around it. *list moves on; false at its end. -1 in *rc: too long. */
static bool
next_endpoint(const char **list, char out[ENDPOINT_SIZE], int *rc)
{
	const char *begin = *list + strspn(*list, ", \t");
	size_t n = strcspn(begin, ",");

	*list = begin + n;
	while (n > 0 && strchr(" \t", begin[n - 1]) != NULL)
		n--;
	*rc = n < ENDPOINT_SIZE ? 0 : -1;
	if (*rc == 0) {
		memcpy(out, begin, n);
		out[n] = '\0';
	}
	return n > 0;
}

struct bus_push *
bus_push_create(const char *endpoints)
{
	struct bus_push *push = calloc(1, sizeof(*push));
	char endpoint[ENDPOINT_SIZE];
	int rc;

	if (push == NULL || (push->context = zmq_ctx_new()) == NULL) {
		log_err("could not set up ZeroMQ", log_errno());
		free(push);
		return NULL;
	}
	while (next_endpoint(&endpoints, endpoint, &rc)) {
		if (rc != 0 || push->count == ENDPOINTS_MAX) {
			log_err("bad trigger_endpoint: at most 16 endpoints of 255 bytes");
			goto err;
		}
		if (push_connect(push, endpoint) != 0)
			goto err;
	}
	return push;
err:
	bus_push_free(push);
	return NULL;
}

void
bus_push_free(struct bus_push *push)
{
	if (push == NULL)
		return;
	for (int i = 0; i < push->count; i++)
		zmq_close(push->sockets[i]);
	zmq_ctx_term(push->context);
	free(push);
}

int
bus_push_wake(struct bus_push *push, const char *word)
{
	size_t n = strnlen(word, MESSAGE_MAX);
	int taken = 0;

	for (int i = 0; i < push->count; i++)
		if (zmq_send(push->sockets[i], word, n, ZMQ_DONTWAIT) >= 0)
			taken++;
	log_debug("trigger", log_str("word", word), log_int("taken", taken));
	return taken;
}

/* Guards an ipc socket: a bind would take it away from a daemon that has it. */
static int
take_lock(struct bus_pull *pull, const char *endpoint)
{
	char lock[ENDPOINT_SIZE + 8];

	if (strncmp(endpoint, "ipc://", 6) != 0 || endpoint[6] == '@')
		return 0;
	snprintf(pull->path, sizeof(pull->path), "%s", endpoint + 6);
	snprintf(lock, sizeof(lock), "%s.lock", pull->path);
	pull->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0660);
	if (pull->lock < 0) {
		log_err("could not open a lock file", log_str("path", lock), log_errno());
		return -1;
	}
	if (flock(pull->lock, LOCK_EX | LOCK_NB) != 0) {
		log_err("another daemon listens at this endpoint; give each its own trigger_bind", log_str("endpoint", endpoint), log_errno());
		/* The file of the socket is the other's. */
		pull->path[0] = '\0';
		return -1;
	}
	return 0;
}

static int
pull_bind(struct bus_pull *pull, const char *endpoint)
{
	mode_t mask;
	int rc;

	pull->socket = zmq_socket(pull->context, ZMQ_PULL);
	if (pull->socket == NULL) {
		log_err("could not make a trigger socket", zmq_error());
		return -1;
	}
	set_option(pull->socket, ZMQ_LINGER, 0);
	set_option(pull->socket, ZMQ_RCVHWM, RECEIVE_HWM);
	if (zmq_setsockopt(pull->socket, ZMQ_MAXMSGSIZE, &(int64_t){MESSAGE_MAX}, sizeof(int64_t)) != 0)
		log_err("could not bound the size of a trigger", zmq_error());
	/* The permissions of an ipc socket come from the umask alone. */
	mask = umask(007);
	rc = zmq_bind(pull->socket, endpoint);
	umask(mask);
	if (rc != 0)
		log_err("could not listen for triggers", log_str("endpoint", endpoint), zmq_error());
	return rc;
}

struct bus_pull *
bus_pull_create(const char *endpoint)
{
	struct bus_pull *pull = calloc(1, sizeof(*pull));

	if (pull == NULL || (pull->context = zmq_ctx_new()) == NULL) {
		log_err("could not set up ZeroMQ", log_errno());
		free(pull);
		return NULL;
	}
	pull->lock = -1;
	if (strlen(endpoint) >= ENDPOINT_SIZE) {
		log_err("bad trigger_bind: longer than 255 bytes");
		goto err;
	}
	if (take_lock(pull, endpoint) != 0 || pull_bind(pull, endpoint) != 0)
		goto err;
	return pull;
err:
	bus_pull_free(pull);
	return NULL;
}

void
bus_pull_free(struct bus_pull *pull)
{
	if (pull == NULL)
		return;
	if (pull->socket != NULL)
		zmq_close(pull->socket);
	zmq_ctx_term(pull->context);
	/* Under the lock still; its own file stays, since removing it would let two hold it. */
	if (pull->path[0] != '\0')
		unlink(pull->path);
	if (pull->lock >= 0)
		close(pull->lock);
	free(pull);
}

int
bus_pull_fd(struct bus_pull *pull)
{
	int fd = -1;
	size_t n = sizeof(fd);

	if (zmq_getsockopt(pull->socket, ZMQ_FD, &fd, &n) != 0)
		log_err("could not get the descriptor of a trigger socket", zmq_error());
	return fd;
}

int
bus_pull_drain(struct bus_pull *pull)
{
	char word[MESSAGE_MAX];
	int taken = 0;

	/* The descriptor tells of changes only, so all must be taken. */
	while (zmq_recv(pull->socket, word, sizeof(word), ZMQ_DONTWAIT) >= 0)
		taken++;
	return taken;
}
