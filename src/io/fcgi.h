#ifndef IO_FCGI_H
#define IO_FCGI_H

#include <stddef.h>
#include <stdint.h>

/*
 * FastCGI over fcgi2: each kept connection has a request of its own, and a worker waits at the shared
 * listener and at its connections at once, so that nginx may keep connections and nobody starves.
 */
struct fcgi_request;

/*
 * A listening unix socket at path (the old file is removed when nobody listens there), mode 0660, non-blocking,
 * close-on-exec; its group is set when group is not "" and we are root. The descriptor, or -1, logged.
 */
int fcgi_listen(const char *path, int backlog, const char *group);

/* Once in each worker, before proc_child_signals: fcgi2 installs handlers of its own. 0, or -1, logged. */
int fcgi_init(void);
/*
 * Serves until proc_stopping(): handle is called for each request and must read what it wants and write the
 * answer; the rest of the body is drained. Requests that have begun are finished. Returns 0, or -1, logged.
 */
int fcgi_serve(int listener, void (*handle)(struct fcgi_request *, void *context), void *context);

/* A parameter of the request ("REQUEST_METHOD", "HTTP_HOST"), or NULL. Borrowed until the next request. */
const char *fcgi_param(const struct fcgi_request *, const char *name);
/* All of them as "NAME=value", ended by NULL. */
const char *const *fcgi_params(const struct fcgi_request *);
/* Body bytes: how many, 0 at its end, -1 when the client or nginx went away. */
long fcgi_read(struct fcgi_request *, void *, size_t n);
/* Part of the answer (CGI headers first, "Status: 200 OK\r\n"). 0, or -1 when nginx went away. */
int fcgi_write(struct fcgi_request *, const void *, size_t n);

#endif
