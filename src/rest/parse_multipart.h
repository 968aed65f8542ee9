#ifndef REST_PARSE_MULTIPART_H
#define REST_PARSE_MULTIPART_H

#include <stddef.h>

struct arena;

/*
 * multipart/form-data (RFC 7578) as a stream: fed with pieces of any size, it calls back for each part's
 * head, its data in pieces, and its end.  It holds one head (MULTIPART_HEAD_MAX bytes) and never the data.
 */
#define MULTIPART_BOUNDARY_MAX 200
#define MULTIPART_HEAD_MAX 8192
#define MULTIPART_PARTS_MAX 1000

struct multipart_part {
	const char *name;         /* UTF-8 without NUL; bad bytes stand as U+FFFD */
	const char *filename;     /* its last path component without control characters; "" when nothing is left of it; NULL: a plain field */
	const char *content_type; /* "" when there is none */
};

/* Each returns 0, or -1 to stop: multipart_feed then returns -1. The part is borrowed until its end. */
struct multipart_events {
	int (*begin)(void *context, const struct multipart_part *);
	int (*data)(void *context, const char *data, size_t n);
	int (*end)(void *context);
};

struct multipart;

/* boundary as content_type_parse gives it. events and context are borrowed; the memory is the arena's. */
struct multipart *multipart_create(struct arena *, const char *boundary, const struct multipart_events *events, void *context);
/* 0, or -1: malformed (multipart_error says why) or stopped by a callback. After -1 it takes nothing more. */
int multipart_feed(struct multipart *, const char *data, size_t n);
/* After the last piece: 0 when the closing boundary was there, else -1. */
int multipart_finish(struct multipart *);
/* What was malformed, as a sentence; NULL when nothing was, or a callback stopped it. */
const char *multipart_error(const struct multipart *);

#endif
