#ifndef IO_FETCH_H
#define IO_FETCH_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * HTTP calls over libcurl multi in one thread: kept-alive connections, bounded answers, timeouts on
 * everything, TLS verified, no redirects, no proxy.  Create it after fork; one for a process.
 */
struct fetch;

enum fetch_outcome {
	FETCH_ANSWERED, /* status and body are there */
	FETCH_REFUSED,  /* no connection: refused, unreachable, name not found, TLS */
	FETCH_BROKEN,   /* the connection was lost after the request had begun: it may have been carried out */
	FETCH_TIMEOUT,
	FETCH_TOO_LARGE, /* more than response_max; status is there */
	FETCH_OUTCOME_MAX
};

struct fetch_answer {
	enum fetch_outcome outcome;
	long status;            /* 0 when there was none */
	const char *body;       /* NUL-terminated; borrowed until the callback returns */
	size_t body_length;
	int64_t retry_after_ms; /* of a Retry-After header, seconds or date; -1 without */
	const char *error;      /* what was wrong, for the log; "" with FETCH_ANSWERED. No addresses. */
	int64_t took_ms;
};

struct fetch_call {
	const char *method;
	const char *url;
	/* "Name: value" lines, ended by NULL; refused when one holds CR or LF. May be NULL. */
	const char *const *headers;
	const char *body; /* NULL for none */
	size_t body_length;
	const char *userpwd; /* HTTP Basic "user:password", or NULL */
	/*
	 * On a new connection. A call on a kept one that turns out to be lost goes out again by itself, unless an
	 * answer had begun: what must not be carried out twice wants this.
	 */
	bool fresh;
};

struct fetch_config {
	int max_calls;          /* slots; more are never under way */
	int64_t connect_timeout_ms, call_timeout_ms;
	int64_t response_max;   /* bytes */
};
struct fetch *fetch_create(const struct fetch_config *);
void fetch_free(struct fetch *); /* ends calls under way without their callbacks */
void fetch_configure(struct fetch *, const struct fetch_config *);

/*
 * Starts a call; all of it is copied. done is called once, from fetch_run. 0, or -1 when no slot is free or
 * the call is malformed (nothing is called then).
 */
int fetch_start(struct fetch *, const struct fetch_call *, void (*done)(void *context, const struct fetch_answer *), void *context);
int fetch_active(const struct fetch *);

/* For the caller's epoll: a descriptor that is readable when fetch_run has something to do, and its wait at most. */
int fetch_fd(const struct fetch *);
int64_t fetch_timeout_ms(const struct fetch *); /* -1: none */
/* Moves all calls on and calls back for those that ended; never blocks. */
void fetch_run(struct fetch *);

/* 0 when libcurl here has all that is needed (AsynchDNS); else -1, logged. Call once at start. */
int fetch_check(void);

#endif
