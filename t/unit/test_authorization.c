#include "base/arena.h"
#include "rest/parse_authorization.h"
#include "tap.h"

#define TOKEN "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"

static struct arena *arena;

static void
test_token(void)
{
	static const struct {
		const char *header;
		enum authorization_kind kind;
		const char *detail;
	} cases[] = {
		{NULL, AUTHORIZATION_NONE, NULL},
		{"", AUTHORIZATION_NONE, NULL},
		{"   ", AUTHORIZATION_NONE, NULL},
		{"abc", AUTHORIZATION_NONE, NULL},
		{"Bearer " TOKEN, AUTHORIZATION_NONE, NULL},
		{"Tokenx " TOKEN, AUTHORIZATION_NONE, NULL},
		{"Token " TOKEN, AUTHORIZATION_TOKEN, NULL},
		{"token " TOKEN, AUTHORIZATION_TOKEN, NULL},
		{"TOKEN   " TOKEN " ", AUTHORIZATION_TOKEN, NULL},
		{"Token", AUTHORIZATION_BAD, "Invalid token header. No credentials provided."},
		{"Token ", AUTHORIZATION_BAD, "Invalid token header. No credentials provided."},
		{"Token aaa bbb", AUTHORIZATION_BAD, "Invalid token header. Token string should not contain spaces."},
		{"Token \xc3\xa9\xc3\xa9", AUTHORIZATION_BAD, "Invalid token."},
		{"Token \xff\xfe", AUTHORIZATION_BAD, "Invalid token header. Token string should not contain invalid characters."},
		{"Token 9944B09199C62BCF9418AD846DD0E4BBDFC6EE4B", AUTHORIZATION_BAD, "Invalid token."},
		{"Token " TOKEN "0", AUTHORIZATION_BAD, "Invalid token."},
		{"Token nope", AUTHORIZATION_BAD, "Invalid token."},
	};
	struct authorization a;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		authorization_parse(arena, cases[i].header, &a);
		is_int(a.kind, cases[i].kind, cases[i].header ? cases[i].header : "no header");
		is_str(a.detail, cases[i].detail, "its refusal");
		if (a.kind == AUTHORIZATION_TOKEN)
			is_str(a.token, TOKEN, "its token");
	}
}

static void
test_basic(void)
{
	static const struct {
		const char *header, *username, *password, *detail;
	} cases[] = {
		{"Basic YWRtaW46c2VjcmV0", "admin", "secret", NULL},
		{"basic YWRtaW46c2VjcmV0", "admin", "secret", NULL},
		{"Basic YWRtaW46YTpi", "admin", "a:b", NULL},
		{"Basic YWRtaW4=", "admin", "", NULL},
		{"Basic Og==", "", "", NULL},
		{"Basic YWRtaW46w6k=", "admin", "\xc3\xa9", NULL},
		{"Basic YWRtaW466Q==", "admin", "\xc3\xa9", NULL},
		{"Basic", NULL, NULL, "Invalid basic header. No credentials provided."},
		{"Basic abc def", NULL, NULL, "Invalid basic header. Credentials string should not contain spaces."},
		{"Basic %%%%", NULL, NULL, "Invalid basic header. Credentials not correctly base64 encoded."},
		{"Basic abc", NULL, NULL, "Invalid basic header. Credentials not correctly base64 encoded."},
		{"Basic YQBiOmM=", NULL, NULL, "Invalid username/password."},
	};
	struct authorization a;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		authorization_parse(arena, cases[i].header, &a);
		is_int(a.kind, cases[i].detail ? AUTHORIZATION_BAD : AUTHORIZATION_BASIC, cases[i].header);
		is_str(a.username, cases[i].username, "its user name");
		is_str(a.password, cases[i].password, "its password");
		is_str(a.detail, cases[i].detail, "its refusal");
	}
}

int
main(void)
{
	arena = arena_create(1 << 20);
	test_token();
	test_basic();
	arena_free(arena);
	return tap_done();
}
