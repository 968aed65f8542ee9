#include "domain/payload.h"

#include "io/json.h"

#include "tap.h"

#define TEXT_1 "Text 1 é ☃ \"q\""
#define TEXT_1_JSON "\"content\": \"Text 1 \\u00e9 \\u2603 \\\"q\\\"\""
#define HEAD "{\"to_addr\": \"+27090357424\", \"to_identity\": \"id-1\", \"delivered\": \"false\", \"resend\": \"false\", "
#define RESEND "{\"to_addr\": \"+27090357424\", \"to_identity\": \"id-1\", \"delivered\": \"false\", \"resend\": \"true\", "
#define MEDIA "http://example.com/media/"

static const struct row {
	const char *name;
	struct payload payload; /* what is left out is filled in below */
	const char *expected;   /* as the original sent it */
} rows[] = {
    {"text", {.text = TEXT_1}, HEAD "\"metadata\": {}, " TEXT_1_JSON "}"},
    {"audio", {.content_type = "audio", .binary = "20261123174858416879.mp3"},
	HEAD "\"metadata\": {\"voice_speech_url\": [\"" MEDIA "20261123174858416879.mp3\"]}}"},
    {"text with an image", {.text = "With image", .metadata = "{\"keep\": \"me\", \"image_url\": \"replaced\"}", .binary = "20261123174858435743.png"},
	HEAD "\"metadata\": {\"keep\": \"me\", \"image_url\": \"" MEDIA "20261123174858435743.png\"}, \"content\": \"With image\"}"},
    {"metadata passed on", {.text = "Meta", .metadata = "{\"ü\": \"☃\", \"template\": {\"name\": \"x\", \"vars\": [1, 2]}}"},
	HEAD "\"metadata\": {\"\\u00fc\": \"\\u2603\", \"template\": {\"name\": \"x\", \"vars\": [1, 2]}}, \"content\": \"Meta\"}"},
    {"metadata that is a list", {.text = "Meta 2", .metadata = "[1, 2]"}, HEAD "\"metadata\": [1, 2], \"content\": \"Meta 2\"}"},
    {"channel", {.text = "With channel", .channel = "JUNE_VOICE"},
	HEAD "\"metadata\": {}, \"channel\": \"JUNE_VOICE\", \"content\": \"With channel\"}"},
    {"prepended text", {.text = TEXT_1, .prepend = "Welcome é"},
	HEAD "\"metadata\": {}, \"content\": \"Welcome \\u00e9\\nText 1 \\u00e9 \\u2603 \\\"q\\\"\"}"},
    {"prepended audio", {.content_type = "audio", .binary = "20261123174858416879.mp3", .prepend = "http://example.org/w.mp3"},
	HEAD "\"metadata\": {\"voice_speech_url\": [\"http://example.org/w.mp3\", \"" MEDIA "20261123174858416879.mp3\"]}}"},
    {"identity that needs quoting elsewhere", {.identity = "a b/c?d=e&f#g%h", .to_addr = "+27250572367", .text = TEXT_1},
	"{\"to_addr\": \"+27250572367\", \"to_identity\": \"a b/c?d=e&f#g%h\", \"delivered\": \"false\", \"resend\": \"false\", \"metadata\": {}, " TEXT_1_JSON "}"},
    {"resend", {.text = TEXT_1, .resend = true}, RESEND "\"metadata\": {}, " TEXT_1_JSON "}"},
    {"resend with a prepended text", {.text = TEXT_1, .prepend = "Hello", .resend = true},
	RESEND "\"metadata\": {}, \"content\": \"Hello\\nText 1 \\u00e9 \\u2603 \\\"q\\\"\"}"},
    /* Ours from here on: what was not recorded. */
    {"empty channel and prepended text", {.text = "x", .channel = "", .prepend = ""}, HEAD "\"metadata\": {}, \"content\": \"x\"}"},
    {"picture alone", {.binary = "a.png"}, HEAD "\"metadata\": {\"image_url\": \"" MEDIA "a.png\"}, \"content\": null}"},
    {"picture alone with a prepended text", {.binary = "a.png", .prepend = "Hi"},
	HEAD "\"metadata\": {\"image_url\": \"" MEDIA "a.png\"}, \"content\": \"Hi\"}"},
    {"audio with text and channel", {.content_type = "audio", .text = "not sent", .binary = "a.mp3", .channel = "c", .metadata = "{\"a\": [1, {\"b\": \"}\"}], \"voice_speech_url\": {\"x\": [1]}}"},
	HEAD "\"channel\": \"c\", \"metadata\": {\"a\": [1, {\"b\": \"}\"}], \"voice_speech_url\": [\"" MEDIA "a.mp3\"]}}"},
    {"the key is replaced wherever it stands", {.text = "x", .binary = "a", .metadata = "{\"image_url\": \"a, \\\"}\", \"image_url2\": 1, \"x\\\"\": {\"image_url\": 2}}"},
	HEAD "\"content\": \"x\", \"metadata\": {\"image_url2\": 1, \"x\\\"\": {\"image_url\": 2}, \"image_url\": \"" MEDIA "a\"}}"},
    {"a file name is quoted", {.text = "x", .binary = "sub dir/é?#.png"}, HEAD "\"content\": \"x\", \"metadata\": {\"image_url\": \"" MEDIA "sub%20dir/%C3%A9%3F%23.png\"}}"},
    {"control characters", {.text = "tab\t, \x01 and \\"}, HEAD "\"content\": \"tab\\t, \\u0001 and \\\\\", \"metadata\": {}}"},
    {"scalar metadata passes", {.text = "x", .metadata = "null"}, HEAD "\"content\": \"x\", \"metadata\": null}"},
};

static struct payload complete(struct payload p)
{
	if (!p.to_addr)
		p.to_addr = "+27090357424";
	if (!p.identity)
		p.identity = "id-1";
	if (!p.content_type)
		p.content_type = "text";
	p.media_url = MEDIA;
	return p;
}

static bool same_json(const char *got, const char *expected)
{
	json_t *a = json_loads(got, JSON_REJECT_DUPLICATES, NULL), *b = json_loads(expected, JSON_REJECT_DUPLICATES, NULL);
	bool same = a && b && json_equal(a, b);

	json_decref(a);
	json_decref(b);
	return same;
}

static void test_payloads(void)
{
	struct buf out;

	buf_init(&out, 65536);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct payload p = complete(rows[i].payload);

		buf_reset(&out);
		is_str(payload_put(&p, &out), NULL, rows[i].name);
		if (!ok(same_json(buf_text(&out), rows[i].expected) && !out.overflow, rows[i].name))
			printf("# got      %s\n# expected %s\n", buf_text(&out), rows[i].expected);
	}
	buf_fini(&out);
}

static void test_numbers_are_kept(void)
{
	struct payload p = complete((struct payload){.text = "x", .metadata = "{\"a\": 1.10, \"b\": 123456789012345678901234567890, \"c\": 1e400}"});
	struct buf out;

	buf_init(&out, 65536);
	payload_put(&p, &out);
	is_str(buf_text(&out), "{\"to_addr\":\"+27090357424\",\"to_identity\":\"id-1\",\"delivered\":\"false\",\"resend\":\"false\",\"content\":\"x\","
	    "\"metadata\":{\"a\": 1.10, \"b\": 123456789012345678901234567890, \"c\": 1e400}}", "numbers are kept to the digit");
	buf_reset(&out);
	p.binary = "f";
	payload_put(&p, &out);
	ok(strstr(buf_text(&out), "\"metadata\":{\"a\": 1.10,\"b\": 123456789012345678901234567890,\"c\": 1e400,\"image_url\":"), "also beside a URL");
	buf_fini(&out);
}

static void test_reasons(void)
{
	static const char *const no_objects[] = {"[1, 2]", "null", "1", "\"text\"", "true", "", "{\"a\": 1", "{\"a", "{a: 1}"};
	struct buf out;
	struct payload p;

	buf_init(&out, 65536);
	for (size_t i = 0; i < sizeof no_objects / sizeof no_objects[0]; i++) {
		const char *reason;

		p = complete((struct payload){.text = "x", .binary = "f", .metadata = no_objects[i]});
		buf_reset(&out);
		reason = payload_put(&p, &out);
		ok(reason && strstr(reason, "image_url"), no_objects[i]);
		p.content_type = "audio";
		buf_reset(&out);
		reason = payload_put(&p, &out);
		ok(reason && strstr(reason, "voice_speech_url"), no_objects[i]);
	}
	p = complete((struct payload){.text = "x", .content_type = "audio"});
	ok(payload_put(&p, &out) != NULL, "audio without a file");
	buf_fini(&out);

	buf_init(&out, 100);
	p = complete((struct payload){.text = "a text that does not fit into the bound of the buffer"});
	payload_put(&p, &out);
	ok(out.overflow, "too long for its buffer");
	buf_fini(&out);
}

static void test_urls(void)
{
	static const struct {
		const char *base, *identity, *expected;
	} urls[] = {
	    {"http://is/api/v1", "id-1", "http://is/api/v1/identities/id-1/addresses/msisdn?default=True&use_communicate_through=True"},
	    {"http://is/api/v1/", "id-1", "http://is/api/v1/identities/id-1/addresses/msisdn?default=True&use_communicate_through=True"},
	    {"http://is", "a b/c?d=e&f#g%h", "http://is/identities/a%20b%2Fc%3Fd%3De%26f%23g%25h/addresses/msisdn?default=True&use_communicate_through=True"},
	    {"http://is", "..", "http://is/identities/%2E%2E/addresses/msisdn?default=True&use_communicate_through=True"},
	    {"http://is", "é\r\n", "http://is/identities/%C3%A9%0D%0A/addresses/msisdn?default=True&use_communicate_through=True"},
	};
	struct buf out;

	buf_init(&out, 1024);
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		buf_reset(&out);
		payload_put_address_url(urls[i].base, urls[i].identity, &out);
		is_str(buf_text(&out), urls[i].expected, urls[i].identity);
	}
	buf_reset(&out);
	payload_put_outbound_url("http://ms/api/v1", &out);
	is_str(buf_text(&out), "http://ms/api/v1/outbound/", "message sender");
	buf_fini(&out);
}

static void check_address(const char *body, enum payload_address expected, const char *address)
{
	char out[PAYLOAD_ADDRESS_SIZE];

	is_int(payload_parse_address(body, strlen(body), out), expected, body);
	is_str(out, address, body);
}

static void check_id(const char *body, const char *expected)
{
	char out[PAYLOAD_OUTBOUND_ID_SIZE];

	payload_parse_outbound_id(body, strlen(body), out);
	is_str(out, expected, body);
}

static void test_answers(void)
{
	check_address("{\"count\":1,\"next\":null,\"previous\":null,\"results\":[{\"address\":\"+27090357424\"}]}", PAYLOAD_ADDRESS_FOUND, "+27090357424");
	check_address("{\"results\":[{\"address\":\"+1\"},{\"address\":\"+2\"}]}", PAYLOAD_ADDRESS_FOUND, "+1");
	check_address("{\"next\":null,\"previous\":null,\"results\":[]}", PAYLOAD_ADDRESS_NONE, "");
	check_address("{\"results\":{}}", PAYLOAD_ADDRESS_BROKEN, "");
	check_address("{\"results\":[{}]}", PAYLOAD_ADDRESS_BROKEN, "");
	check_address("{\"results\":[{\"address\":null}]}", PAYLOAD_ADDRESS_BROKEN, "");
	check_address("{\"results\":[{\"address\":\"\"}]}", PAYLOAD_ADDRESS_BROKEN, "");
	check_address("{\"results\":[\"+27\"]}", PAYLOAD_ADDRESS_BROKEN, "");
	check_address("[]", PAYLOAD_ADDRESS_BROKEN, "");
	check_address("{}", PAYLOAD_ADDRESS_BROKEN, "");
	check_address("", PAYLOAD_ADDRESS_BROKEN, "");
	check_address("<h1>Server Error</h1>", PAYLOAD_ADDRESS_BROKEN, "");
	check_id("{\"id\":\"0b000000-0000-4000-8000-000000000004\",\"version\":1}", "0b000000-0000-4000-8000-000000000004");
	check_id("{\"id\":17}", "17");
	check_id("{\"id\":null}", "");
	check_id("{\"id\":{}}", "");
	check_id("{}", "");
	check_id("[1]", "");
	check_id("", "");
	check_id("this is not json", "");
	check_id("{\"id\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", "");
}

int main(void)
{
	test_payloads();
	test_numbers_are_kept();
	test_reasons();
	test_urls();
	test_answers();
	return tap_done();
}
