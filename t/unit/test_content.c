#include "domain/content.h"

#include "tap.h"

#include <stdlib.h>

static void check_special(const char *text, const char *expected)
{
	struct buf error;

	buf_init(&error, 4096);
	is_int(content_check_special(text, &error), *expected ? -1 : 0, text);
	is_str(buf_text(&error), expected, text);
	buf_fini(&error);
}

static void repeat(char *out, const char *unit, int times)
{
	for (*out = 0; times > 0; times--)
		strcat(out, unit);
}

static void check_sms(const char *unit, int times, const char *tail, bool ucs2, int64_t units, int64_t parts)
{
	char text[4096], name[96];
	struct content_sms sms;

	repeat(text, unit, times);
	strcat(text, tail);
	sms = content_count_sms(text);
	snprintf(name, sizeof name, "%d times \"%s\" and \"%s\"", times, unit, tail);
	is_int(sms.ucs2, ucs2, name);
	is_int(sms.units, units, name);
	is_int(sms.parts, parts, name);
}

static void check_trim(const char *text, const char *expected)
{
	char got[64];
	size_t n;
	const char *trimmed = content_trim(text, &n);

	snprintf(got, sizeof got, "%.*s", (int)n, trimmed);
	is_str(got, expected, "trimmed");
}

static void check_because(const char *text, const char *expected)
{
	struct content_sms sms = content_count_sms(text);
	char got[8];

	snprintf(got, sizeof got, "%.*s", (int)sms.because_length, sms.because ? sms.because : "");
	is_str(got, expected, text);
}

int main(void)
{
	check_special("plain 'text' - \"quoted\"", "");
	check_special("", "");
	check_special("‘left single — em dash … ellipsis é 🙂", "");
	check_special("It“s", "Text \"It“s\" has special characters which can be replaced: “");
	check_special("It’s", "Text \"It’s\" has special characters which can be replaced: ’");
	check_special("“x”", "Text \"“x”\" has special characters which can be replaced: “ ”");
	check_special("–a’b”c“d–e", "Text \"–a’b”c“d–e\" has special characters which can be replaced: – ’ ” “ –");

	ok(content_is_whatsapp("WhatsApp_main"), "a channel with WhatsApp in it");
	ok(content_is_whatsapp("x_WHATSAPP"), "in any case, anywhere");
	ok(!content_is_whatsapp("JUNE_VOICE"), "another channel");
	ok(!content_is_whatsapp(""), "an empty channel");
	ok(!content_is_whatsapp(NULL), "no channel");

	ok(!content_fits_whatsapp("a\nb"), "newline");
	ok(!content_fits_whatsapp("a\tb"), "tab");
	ok(content_fits_whatsapp("a\rb"), "a carriage return alone");
	ok(content_fits_whatsapp("a   b   c"), "three spaces, twice");
	ok(!content_fits_whatsapp("a    b"), "four spaces");
	ok(!content_fits_whatsapp("a\u2003\u2003\u2003\u2003b"), "four wide spaces");
	ok(!content_fits_whatsapp("a\r\v\f\u00a0b"), "four kinds of white space");
	ok(content_fits_whatsapp("a\u200b\u200b\u200b\u200b\u200bb"), "zero width is no white space");
	ok(content_fits_whatsapp(""), "empty");

	check_trim("", "");
	check_trim(" \t\n", "");
	check_trim("a", "a");
	check_trim("\u00a0 a \u3000b\u2028\r\n", "a \u3000b");
	check_trim("\u200ba\u200b", "\u200ba\u200b");

	check_because("plain", "");
	check_because("€ and é are in it, ê and ë are not", "ê");
	check_because("🙂ê", "🙂");

	check_sms("", 0, "", false, 0, 0);
	check_sms("a", 160, "", false, 160, 1);
	check_sms("a", 161, "", false, 161, 2);
	check_sms("a", 306, "", false, 306, 2);
	check_sms("a", 307, "", false, 307, 3);
	check_sms("€", 80, "", false, 160, 1);
	check_sms("é", 160, "", false, 160, 1);
	check_sms("a", 152, "€bcdefghi", false, 162, 2);
	check_sms("€", 153, "", false, 306, 3);
	check_sms("a", 69, "’", true, 70, 1);
	check_sms("a", 70, "’", true, 71, 2);
	check_sms("ê", 134, "", true, 134, 2);
	check_sms("🙂", 35, "", true, 70, 1);
	check_sms("🙂", 67, "", true, 134, 3);
	check_sms("`", 1, "", true, 1, 1);
	return tap_done();
}
