#ifndef REST_PARSE_TEXT_H
#define REST_PARSE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct arena;

/* What the parsers of this room share. Bytes of a text are counted, not ended by NUL, unless it says so. */

struct text {
	const char *data;
	size_t length;
};

struct text text_from(const char *nul_terminated);
/* Without blanks and tabs at both ends. */
struct text text_trim(struct text);
/* Compared without case to an ASCII word. */
bool text_is(struct text, const char *word);
/* A copy with a NUL added, in the arena; the second with A to Z in lower case. */
char *text_copy(struct arena *, struct text);
char *text_copy_lower(struct arena *, struct text);
/*
 * A copy in which each byte that is not part of UTF-8 by RFC 3629 stands as U+FFFD. NULs stay. *bad (may be
 * NULL) says whether there was one, *length (may be NULL) how long it is now.
 */
char *text_repair(struct arena *, struct text, size_t *length, bool *bad);

/*
 * Header fields of the form  value; name=value; name="quoted \" value". text_head cuts the first value off
 * *rest, trimmed; text_param the next parameter, false when there is none. The value of a parameter is what
 * stands between its quotes, or trimmed; quoted tells which. text_unquote resolves \" and \\ of a quoted one
 * (other backslashes stay, for there are clients that send paths of Windows), in the arena.
 */
struct text_param {
	struct text name;
	struct text value;
	bool quoted;
};
struct text text_head(struct text *rest);
bool text_param(struct text *rest, struct text_param *out);
struct text text_unquote(struct arena *, const struct text_param *);

#endif
