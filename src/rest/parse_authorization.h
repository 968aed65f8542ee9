#ifndef REST_PARSE_AUTHORIZATION_H
#define REST_PARSE_AUTHORIZATION_H

struct arena;

enum authorization_kind {
	AUTHORIZATION_NONE,  /* no header, an empty one, or a scheme that is not ours */
	AUTHORIZATION_TOKEN, /* token holds 40 lower-case hex digits */
	AUTHORIZATION_BASIC, /* username and password are there: UTF-8 without NUL, either may be "" */
	AUTHORIZATION_BAD,   /* refused; detail says why, in the words that clients know */
	AUTHORIZATION_KIND_MAX
};

struct authorization {
	enum authorization_kind kind;
	const char *token;
	const char *username;
	const char *password;
	const char *detail;
};

/* Reads an Authorization header (NULL: none); texts are the arena's. Basic: UTF-8, or else taken as ISO 8859-1. */
void authorization_parse(struct arena *, const char *header, struct authorization *out);

#endif
