#include "domain/content.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Typographic characters that push an SMS out of the GSM alphabet and have a plain twin. */
static const char *const special[] = {"\u201c", "\u201d", "\u2019", "\u2013"};

/* The code point at *text (valid UTF-8), which is moved past it; 0 at the end. */
static uint32_t next_character(const char **text)
{
	const unsigned char *s = (const unsigned char *)*text;
	uint32_t c = s[0];
	int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;

	if (c == 0)
		return 0;
	if (more)
		c &= 0x3fu >> more;
	for (int i = 1; i <= more && s[i]; i++)
		c = c << 6 | (s[i] & 0x3fu);
	*text += more + 1;
	return c;
}

static const char *special_at(const char *text)
{
	for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
		if (!strncmp(text, special[i], strlen(special[i])))
			return special[i];
	return NULL;
}

int content_check_special(const char *text, struct buf *error)
{
	bool found = false;

	for (const char *s = text; *s; s++) {
		const char *c = special_at(s);

		if (!c)
			continue;
		if (!found) {
			buf_puts(error, "Text \"");
			buf_puts(error, text);
			buf_puts(error, "\" has special characters which can be replaced:");
		}
		found = true;
		buf_putc(error, ' ');
		buf_puts(error, c);
	}
	return found ? -1 : 0;
}

bool content_is_whatsapp(const char *channel)
{
	static const char word[] = "whatsapp";

	for (; channel && *channel; channel++)
		if (!strncasecmp(channel, word, strlen(word)))
			return true;
	return false;
}

/* Unicode's White_Space, and the four separators of ASCII that Python counts too. */
static bool is_space(uint32_t c)
{
	return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	    (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

const char *content_trim(const char *text, size_t *n)
{
	const char *s = text, *begin = NULL, *end = text;

	for (uint32_t c; (c = next_character(&s)) != 0; text = s) {
		if (is_space(c))
			continue;
		if (!begin)
			begin = text;
		end = s;
	}
	*n = begin ? (size_t)(end - begin) : 0;
	return begin ? begin : text;
}

bool content_fits_whatsapp(const char *text)
{
	int spaces = 0;

	for (uint32_t c; (c = next_character(&text)) != 0;) {
		spaces = is_space(c) ? spaces + 1 : 0;
		if (c == '\n' || c == '\t' || spaces == 4)
			return false;
	}
	return true;
}

/* 3GPP TS 23.038, 6.2.1: the characters of the default alphabet outside ASCII. */
static const uint32_t gsm_beyond_ascii[] = {0xa1, 0xa3, 0xa4, 0xa5, 0xa7, 0xbf, 0xc4, 0xc5, 0xc6, 0xc7, 0xc9, 0xd1, 0xd6, 0xd8,
    0xdc, 0xdf, 0xe0, 0xe4, 0xe5, 0xe6, 0xe8, 0xe9, 0xec, 0xf1, 0xf2, 0xf6, 0xf8, 0xf9, 0xfc, 0x393, 0x394, 0x398, 0x39b, 0x39e,
    0x3a0, 0x3a3, 0x3a6, 0x3a8, 0x3a9};

/* Septets of a character in the GSM alphabet: 1, 2 for the extension table, 0 when it is in neither. */
static int gsm_septets(uint32_t c)
{
	if (c == 0x20ac || (c < 0x80 && c != 0 && strchr("\f^{}\\[~]|", (int)c)))
		return 2;
	if (c == '\n' || c == '\r' || (c >= 0x20 && c < 0x7f && c != '`'))
		return 1;
	for (size_t i = 0; i < sizeof gsm_beyond_ascii / sizeof gsm_beyond_ascii[0]; i++)
		if (c == gsm_beyond_ascii[i])
			return 1;
	return 0;
}

/* Parts that the text takes when a character (its septets, its surrogates) is never cut in two. */
static int64_t count_parts(const char *text, bool ucs2, int64_t units)
{
	const int64_t single = ucs2 ? 70 : 160, several = ucs2 ? 67 : 153;
	int64_t parts = 1, used = 0;

	if (units <= single)
		return units > 0;
	for (uint32_t c; (c = next_character(&text)) != 0;) {
		int width = ucs2 ? (c > 0xffff) + 1 : gsm_septets(c);

		if (used + width > several) {
			parts++;
			used = 0;
		}
		used += width;
	}
	return parts;
}

struct content_sms content_count_sms(const char *text)
{
	struct content_sms sms = {0};
	int64_t wide = 0;
	const char *s = text, *at = text;

	for (uint32_t c; (c = next_character(&s)) != 0; at = s) {
		int septets = gsm_septets(c);

		if (septets == 0 && !sms.ucs2) {
			sms.because = at;
			sms.because_length = (size_t)(s - at);
		}
		sms.ucs2 = sms.ucs2 || septets == 0;
		sms.units += septets;
		wide += (c > 0xffff) + 1;
	}
	if (sms.ucs2)
		sms.units = wide;
	sms.parts = count_parts(text, sms.ucs2, sms.units);
	return sms;
}
