#include "rest/parse_authorization.h"

#include "base/arena.h"
#include "base/parse.h"
#include "io/digest.h"
#include "rest/parse_text.h"

#include <string.h>

#define BLANKS " \t\n\r\v\f"

/* Cuts the next word off *cursor; its length is 0 when there is none. */
static struct text
next_word(const char **cursor)
{
	struct text word;

	*cursor += strspn(*cursor, BLANKS);
	word = (struct text){*cursor, strcspn(*cursor, BLANKS)};
	*cursor += word.length;
	return word;
}

static void
refuse(struct authorization *out, const char *detail)
{
	out->kind = AUTHORIZATION_BAD;
	out->detail = detail;
}

static void
read_token(struct arena *arena, struct text word, struct authorization *out)
{
	if (!utf8_is_valid(word.data, word.length)) {
		refuse(out, "Invalid token header. Token string should not contain invalid characters.");
		return;
	}
	out->token = text_copy(arena, word);
	if (word.length != TOKEN_TEXT_SIZE - 1 || strspn(out->token, "0123456789abcdef") != word.length) {
		refuse(out, "Invalid token.");
		return;
	}
	out->kind = AUTHORIZATION_TOKEN;
}

/* ISO 8859-1 as UTF-8. */
static char *
from_latin1(struct arena *arena, const char *text)
{
	char *out = arena_alloc(arena, 2 * strlen(text) + 1), *put = out;

	for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
		if (*s < 0x80) {
			*put++ = (char)*s;
		} else {
			*put++ = (char)(0xc0 | *s >> 6);
			*put++ = (char)(0x80 | (*s & 0x3f));
		}
	}
	return out;
}

static void
read_basic(struct arena *arena, struct text word, struct authorization *out)
{
	char *decoded = arena_alloc(arena, 3 * word.length / 4 + 1), *colon;
	size_t n;

	if (parse_base64(text_copy(arena, word), (unsigned char *)decoded, &n) < 0) {
		refuse(out, "Invalid basic header. Credentials not correctly base64 encoded.");
		return;
	}
	if (memchr(decoded, '\0', n)) {
		refuse(out, "Invalid username/password.");
		return;
	}
	if (!utf8_is_valid(decoded, n))
		decoded = from_latin1(arena, decoded);
	out->kind = AUTHORIZATION_BASIC;
	out->username = decoded;
	colon = strchr(decoded, ':');
	out->password = colon ? colon + 1 : "";
	if (colon)
		*colon = '\0';
}

void
authorization_parse(struct arena *arena, const char *header, struct authorization *out)
{
	const char *cursor = header ? header : "";
	struct text scheme = next_word(&cursor), word = next_word(&cursor), more = next_word(&cursor);
	bool token = text_is(scheme, "token");

	*out = (struct authorization){.kind = AUTHORIZATION_NONE};
	if (!token && !text_is(scheme, "basic"))
		return;
	if (word.length == 0)
		refuse(out, token ? "Invalid token header. No credentials provided." : "Invalid basic header. No credentials provided.");
	else if (more.length > 0)
		refuse(out, token ? "Invalid token header. Token string should not contain spaces." : "Invalid basic header. Credentials string should not contain spaces.");
	else if (token)
		read_token(arena, word, out);
	else
		read_basic(arena, word, out);
}
