#include "domain/metric.h"

#include "base/assert.h"

#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wctype.h>

const char *const metric_fixed_keys[] = {
	"subscriptions.send_next_message_errored.sum",
	"sbm.send_next_message.connection_error.sum",
	"sbm.send_next_message.http_error.400.sum",
	"sbm.send_next_message.http_error.401.sum",
	"sbm.send_next_message.http_error.403.sum",
	"sbm.send_next_message.http_error.404.sum",
	"sbm.send_next_message.http_error.500.sum",
	"sbm.send_next_message.timeout.sum",
	"subscriptions.send.estimate.0.last",
	"subscriptions.send.estimate.1.last",
	"subscriptions.send.estimate.2.last",
	"subscriptions.send.estimate.3.last",
	"subscriptions.send.estimate.4.last",
	"subscriptions.send.estimate.5.last",
	"subscriptions.send.estimate.6.last",
	NULL,
};

void
metric_put_type_key(struct buf *out, const char *content_type)
{
	buf_printf(out, "message.%s.sum", content_type);
}

/* Reads the character at *text, which is valid UTF-8, and moves on to the next. */
static uint32_t
next_character(const unsigned char **text)
{
	uint32_t c = *(*text)++;
	int more = c < 0xc0 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

	if (more > 0)
		c &= 0x3fu >> more;
	for (; more > 0 && (**text & 0xc0) == 0x80; more--)
		c = c << 6 | (*(*text)++ & 0x3fu);
	return c;
}

/* Letters and digits of all scripts, whatever the locale of the process. */
static bool
is_word(uint32_t c)
{
	static locale_t unicode;

	if (c == '_')
		return true;
	if (!unicode) {
		unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
		SBM_ASSERT(unicode);
	}
	return iswalnum_l((wint_t)c, unicode) != 0;
}

void
metric_put_set_key(struct buf *out, const char *content_type, const char *short_name)
{
	const unsigned char *s = (const unsigned char *)short_name, *begin;
	bool any = false, in_run = false;
	int held = 0; /* underscores that a letter or digit must follow */

	buf_printf(out, "message.%s.", content_type);
	while (*s) {
		begin = s;
		if (!is_word(next_character(&s))) {
			held += !in_run;
			in_run = true;
			continue;
		}
		in_run = false;
		if (*begin == '_') {
			held++;
			continue;
		}
		for (; held > 0; held--)
			buf_puts(out, any ? "_" : "");
		buf_put(out, begin, (size_t)(s - begin));
		any = true;
	}
	buf_puts(out, ".sum");
}
