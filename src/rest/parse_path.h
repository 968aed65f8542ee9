#ifndef REST_PARSE_PATH_H
#define REST_PARSE_PATH_H

#include <stdbool.h>
#include <stddef.h>

struct arena;

#define PATH_SEGMENTS_MAX 16

/*
 * The path of a request: "/api/v1/sched%75le/7/" has the segments "api", "v1", "schedule", "7", and slash.
 * Empty segments ("//") and dots (".", "..") are segments like others: they match no route.
 */
struct path {
	int count;
	bool slash; /* ended with one; also for "/" itself */
	const char *segments[PATH_SEGMENTS_MAX];
};

enum path_problem {
	PATH_FINE,
	PATH_NOT_ABSOLUTE, /* does not begin with "/" */
	PATH_BAD_ESCAPE,   /* "%" without two hex digits */
	PATH_BAD_TEXT,     /* no UTF-8, or a NUL, after decoding */
	PATH_TOO_MANY,     /* more than PATH_SEGMENTS_MAX segments */
	PATH_PROBLEM_MAX
};

/* Reads a raw REQUEST_URI of n bytes up to its "?" or "#"; segments are decoded, in the arena. */
enum path_problem path_parse(struct arena *, const char *uri, size_t n, struct path *out);
/* What was wrong, as a sentence for the answer. */
const char *path_problem_text(enum path_problem);

#endif
