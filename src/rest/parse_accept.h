#ifndef REST_PARSE_ACCEPT_H
#define REST_PARSE_ACCEPT_H

#include <stdbool.h>

struct arena;

/*
 * True when application/json may be sent to a client with this Accept header (NULL: it sent none, which
 * allows everything; "" allows nothing).  Of the ranges that match, the most specific one decides, and it
 * does unless its q is 0; other parameters of a range do not count.  RFC 9110, 12.5.1.
 */
bool accept_allows_json(const char *header);

enum media {
	MEDIA_NONE,      /* no Content-Type, or an empty one */
	MEDIA_JSON,      /* application/json */
	MEDIA_FORM,      /* application/x-www-form-urlencoded */
	MEDIA_MULTIPART, /* multipart/form-data */
	MEDIA_OTHER,
	MEDIA_MAX
};

struct content_type {
	enum media media;
	const char *charset;  /* lower case, or NULL */
	const char *boundary; /* of multipart/form-data: 1 to MULTIPART_BOUNDARY_MAX printable ASCII characters; else NULL */
};

/*
 * Reads a Content-Type header (NULL: none). Names are compared without case, values may be quoted, the first
 * parameter of a name counts. Texts are the arena's.
 */
void content_type_parse(struct arena *, const char *header, struct content_type *out);

#endif
