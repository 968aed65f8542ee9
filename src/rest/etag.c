#include "rest/kit.h"

#include <string.h>

const char *
etag_make(struct req *r)
{
	char hex[DIGEST_HEX_SIZE];

	digest_sha256_hex(buf_text(r->out), r->out->length, hex);
	hex[32] = '\0';
	return arena_printf(r->arena, "\"%s\"", hex);
}

/* Whether a list of entity tags names etag. A proxy that compresses makes ours weak, so W/ does not matter. */
static bool
names(const char *list, const char *etag)
{
	size_t n = strlen(etag);

	for (;;) {
		list += strspn(list, " \t,");
		if (!*list)
			return false;
		if (*list == '*')
			return true;
		if (strncmp(list, "W/", 2) == 0)
			list += 2;
		if (strncmp(list, etag, n) == 0)
			return true;
		list += strcspn(list, ",");
	}
}

bool
etag_not_modified(const struct req *r, const char *etag)
{
	const char *list = req_header(r, "HTTP_IF_NONE_MATCH");

	return list && names(list, etag);
}

bool
etag_mismatch(const struct req *r, const char *etag)
{
	const char *list = req_header(r, "HTTP_IF_MATCH");

	return list && *list && !names(list, etag);
}
