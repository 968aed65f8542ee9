#include "domain/payload.h"

#include "io/json.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Only what jsonb prints is read here: valid JSON, ", " and ": " between, no needless escapes in keys. */
static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t\r\n");
}

/* Past a string whose opening quote is at s; NULL when it does not end. */
static const char *skip_string(const char *s)
{
	for (s++; *s && *s != '"'; s++)
		if (*s == '\\' && *++s == 0)
			return NULL;
	return *s ? s + 1 : NULL;
}

/* Past the value at s, up to the comma or bracket behind it; NULL when it does not end. */
static const char *skip_value(const char *s)
{
	int depth = 0;

	for (; *s; s++) {
		if (*s == '"') {
			s = skip_string(s);
			if (!s)
				return NULL;
			s--;
		} else if (*s == '{' || *s == '[') {
			depth++;
		} else if (depth == 0 && (*s == ',' || *s == '}' || *s == ']')) {
			return s;
		} else if (*s == '}' || *s == ']') {
			depth--;
		}
	}
	return NULL;
}

/* Puts "{" and all members of an object but `without`, each with a comma behind. -1 when it is no object. */
static int put_members(const char *object, const char *without, struct buf *out)
{
	const char *s = skip_blanks(object);
	size_t n = strlen(without);

	if (*s++ != '{')
		return -1;
	buf_putc(out, '{');
	for (s = skip_blanks(s); *s == '"'; s = skip_blanks(s)) {
		const char *key = s, *key_end = skip_string(s), *end = key_end ? skip_value(key_end) : NULL;

		if (!end)
			return -1;
		if ((size_t)(key_end - key) != n + 2 || memcmp(key + 1, without, n)) {
			buf_put(out, key, (size_t)(end - key));
			buf_putc(out, ',');
		}
		s = *end == ',' ? end + 1 : end;
	}
	return *s == '}' ? 0 : -1;
}

/* A path as it stands in a URL: what is neither unreserved nor a slash is percent-encoded. */
static void put_path(const char *path, struct buf *out)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;

		if (c < 0x80 && (isalnum(c) || strchr("-._~/", c))) {
			buf_putc(out, (char)c);
		} else {
			buf_putc(out, '%');
			buf_putc(out, hex[c >> 4]);
			buf_putc(out, hex[c & 15]);
		}
	}
}

static bool is_set(const char *text)
{
	return text && *text;
}

/* The absolute URL of the message's file, as a JSON string. */
static void put_file_url(const struct payload *p, struct buf *out)
{
	struct buf url;

	buf_init(&url, 8192);
	buf_puts(&url, p->media_url);
	put_path(p->binary, &url);
	buf_put_json(out, buf_text(&url));
	out->overflow = out->overflow || url.overflow;
	buf_fini(&url);
}

static void put_speech_urls(const struct payload *p, struct buf *out)
{
	buf_putc(out, '[');
	if (is_set(p->prepend)) {
		buf_put_json(out, p->prepend);
		buf_putc(out, ',');
	}
	put_file_url(p, out);
	buf_putc(out, ']');
}

/* "metadata": as stored, with the URL of the file where there is one. NULL, or a reason. */
static const char *put_metadata(const struct payload *p, bool audio, struct buf *out)
{
	const char *metadata = p->metadata ? p->metadata : "{}";

	buf_puts(out, ",\"metadata\":");
	if (!is_set(p->binary)) {
		buf_puts(out, metadata);
		return NULL;
	}
	if (put_members(metadata, audio ? "voice_speech_url" : "image_url", out))
		return audio ? "Message sending aborted, metadata of the message is not an object, so that voice_speech_url cannot be added"
			     : "Message sending aborted, metadata of the message is not an object, so that image_url cannot be added";
	buf_puts(out, audio ? "\"voice_speech_url\":" : "\"image_url\":");
	if (audio)
		put_speech_urls(p, out);
	else
		put_file_url(p, out);
	buf_putc(out, '}');
	return NULL;
}

/* "content": the text, below what is put before it. A message that is only a picture has none. */
static void put_content(const struct payload *p, struct buf *out)
{
	buf_puts(out, ",\"content\":");
	if (is_set(p->prepend) && p->text) {
		struct buf text;

		buf_init(&text, out->max);
		buf_puts(&text, p->prepend);
		buf_putc(&text, '\n');
		buf_puts(&text, p->text);
		buf_put_json(out, buf_text(&text));
		out->overflow = out->overflow || text.overflow;
		buf_fini(&text);
	} else if (is_set(p->prepend) || p->text) {
		buf_put_json(out, is_set(p->prepend) ? p->prepend : p->text);
	} else {
		buf_puts(out, "null");
	}
}

const char *payload_put(const struct payload *p, struct buf *out)
{
	bool audio = !strcmp(p->content_type, "audio");
	const char *reason;

	if (audio && !is_set(p->binary))
		return "Message sending aborted, audio message without a file";
	buf_puts(out, "{\"to_addr\":");
	buf_put_json(out, p->to_addr);
	buf_puts(out, ",\"to_identity\":");
	buf_put_json(out, p->identity);
	buf_puts(out, ",\"delivered\":\"false\",\"resend\":");
	buf_puts(out, p->resend ? "\"true\"" : "\"false\"");
	if (!audio)
		put_content(p, out);
	reason = put_metadata(p, audio, out);
	if (is_set(p->channel)) {
		buf_puts(out, ",\"channel\":");
		buf_put_json(out, p->channel);
	}
	buf_putc(out, '}');
	return reason;
}

static void put_base(const char *base, struct buf *out)
{
	size_t n = strlen(base);

	while (n > 0 && base[n - 1] == '/')
		n--;
	buf_put(out, base, n);
}

void payload_put_address_url(const char *base, const char *identity, struct buf *out)
{
	put_base(base, out);
	buf_puts(out, "/identities/");
	/* A segment of dots alone would walk up the path. */
	if (!strcmp(identity, ".") || !strcmp(identity, ".."))
		buf_puts(out, identity[1] ? "%2E%2E" : "%2E");
	else
		buf_put_url(out, identity);
	buf_puts(out, "/addresses/msisdn?default=True&use_communicate_through=True");
}

void payload_put_outbound_url(const char *base, struct buf *out)
{
	put_base(base, out);
	buf_puts(out, "/outbound/");
}

/* Copies a text that fits whole; -1 when it does not, or is empty. */
static int copy_text(const char *text, char *out, size_t size)
{
	if (!is_set(text) || strlen(text) >= size)
		return -1;
	strcpy(out, text);
	return 0;
}

enum payload_address payload_parse_address(const char *body, size_t n, char out[PAYLOAD_ADDRESS_SIZE])
{
	enum payload_address found = PAYLOAD_ADDRESS_BROKEN;
	char error[128];
	json_t *answer = NULL, *results;

	*out = 0;
	if (json_read(body, n, &answer, error, sizeof error) != JSON_FINE)
		return found;
	results = json_object_get(answer, "results");
	if (json_is_array(results)) {
		const char *address = json_string_value(json_object_get(json_array_get(results, 0), "address"));

		if (json_array_size(results) == 0)
			found = PAYLOAD_ADDRESS_NONE;
		else if (copy_text(address, out, PAYLOAD_ADDRESS_SIZE) == 0)
			found = PAYLOAD_ADDRESS_FOUND;
	}
	json_decref(answer);
	return found;
}

void payload_parse_outbound_id(const char *body, size_t n, char out[PAYLOAD_OUTBOUND_ID_SIZE])
{
	char error[128];
	json_t *answer = NULL, *id;

	*out = 0;
	if (json_read(body, n, &answer, error, sizeof error) != JSON_FINE)
		return;
	id = json_object_get(answer, "id");
	if (json_is_string(id))
		copy_text(json_string_value(id), out, PAYLOAD_OUTBOUND_ID_SIZE);
	else if (json_is_integer(id))
		snprintf(out, PAYLOAD_OUTBOUND_ID_SIZE, "%" JSON_INTEGER_FORMAT, json_integer_value(id));
	json_decref(answer);
}
