#include "base/arena.h"
#include "rest/parse_accept.h"
#include "tap.h"

static struct arena *arena;

static void
test_accept(void)
{
	static const struct {
		const char *header;
		bool allowed;
	} cases[] = {
		{NULL, true},
		{"", false},
		{"*/*", true},
		{"application/json", true},
		{"APPLICATION/Json", true},
		{"application/*", true},
		{"application/json; indent=4", true},
		{"application/json;charset=utf-8", true},
		{"application/json; version=1", true},
		{"application/json, */*", true},
		{"application/json;q=0.5,text/html;q=0.1", true},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true},
		{"text/html", false},
		{"text/*", false},
		{"application/xml", false},
		{"text/plain", false},
		{"image/png", false},
		{"application/openapi", false},
		{"garbage", false},
		{"*", false},
		{"*/json", false},
		{",,,", false},
		{" , application/json ,", true},
		{"application/json;q=0", false},
		{"application/json;q=0.000", false},
		{"application/json;q=0.001", true},
		{"application/json;q=0, */*", false},
		{"*/*;q=0, application/json", true},
		{"application/*;q=0, */*;q=1", false},
		{"application/json;q=nonsense", true},
		{"text/plain;x=\"a,application/json\"", false},
		{"text/plain;x=\"a\\\",b\", application/json", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ok(accept_allows_json(cases[i].header) == cases[i].allowed, cases[i].header ? cases[i].header : "no header");
}

static void
test_content_type(void)
{
	static const struct {
		const char *header;
		enum media media;
		const char *charset, *boundary;
	} cases[] = {
		{NULL, MEDIA_NONE, NULL, NULL},
		{"", MEDIA_NONE, NULL, NULL},
		{"  ; charset=utf-8", MEDIA_NONE, "utf-8", NULL},
		{"application/json", MEDIA_JSON, NULL, NULL},
		{"APPLICATION/JSON; Charset=UTF-8", MEDIA_JSON, "utf-8", NULL},
		{"application/json;charset=\"Latin-1\"", MEDIA_JSON, "latin-1", NULL},
		{"application/json, application/json", MEDIA_OTHER, NULL, NULL},
		{"application/x-www-form-urlencoded", MEDIA_FORM, NULL, NULL},
		{"text/plain", MEDIA_OTHER, NULL, NULL},
		{"garbage", MEDIA_OTHER, NULL, NULL},
		{"multipart/form-data", MEDIA_MULTIPART, NULL, NULL},
		{"multipart/form-data; boundary=", MEDIA_MULTIPART, NULL, NULL},
		{"multipart/form-data; boundary=xyz", MEDIA_MULTIPART, NULL, "xyz"},
		{"multipart/form-data; BOUNDARY=\"a b;c\"", MEDIA_MULTIPART, NULL, "a b;c"},
		{"multipart/form-data; boundary=\"a\\\"b\"", MEDIA_MULTIPART, NULL, "a\"b"},
		{"multipart/form-data; boundary=\"open", MEDIA_MULTIPART, NULL, "open"},
		{"multipart/form-data; boundary=\"ends in blank \"", MEDIA_MULTIPART, NULL, NULL},
		{"multipart/form-data; boundary=\xc3\xa9", MEDIA_MULTIPART, NULL, NULL},
		{"multipart/form-data; boundary=a; boundary=b", MEDIA_MULTIPART, NULL, "a"},
		{"application/json; boundary=a", MEDIA_JSON, NULL, NULL},
		{"multipart/form-data; boundary=----baselineboundary7MA4YWxk", MEDIA_MULTIPART, NULL, "----baselineboundary7MA4YWxk"},
	};
	static char longest[300] = "multipart/form-data; boundary=";
	struct content_type type;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		content_type_parse(arena, cases[i].header, &type);
		is_int(type.media, cases[i].media, cases[i].header ? cases[i].header : "no header");
		is_str(type.charset, cases[i].charset, "its charset");
		is_str(type.boundary, cases[i].boundary, "its boundary");
	}
	memset(longest + 30, 'x', 200);
	content_type_parse(arena, longest, &type);
	ok(type.boundary && strlen(type.boundary) == 200, "the longest boundary");
	longest[230] = 'x';
	content_type_parse(arena, longest, &type);
	is_str(type.boundary, NULL, "one that is too long");
}

int
main(void)
{
	arena = arena_create(1 << 20);
	test_accept();
	test_content_type();
	arena_free(arena);
	return tap_done();
}
