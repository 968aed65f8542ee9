#ifndef DOMAIN_CONTENT_H
#define DOMAIN_CONTENT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is checked of a message's text when it is written. Texts are valid UTF-8, trimmed already. */

/*
 * 0, or -1 and the sentence for text_content in error: `Text "It’s" has special characters which can be
 * replaced: ’`. error has room for the text and some hundred bytes more.
 */
int content_check_special(const char *text, struct buf *error);
/* The text without white space at both ends, as Python's str.strip() has it: where it begins, and its length. */
const char *content_trim(const char *text, size_t *n);
/* A set with this channel is for WhatsApp. channel may be NULL. */
bool content_is_whatsapp(const char *channel);
/* Whether the text may go out over WhatsApp; else say CONTENT_WHATSAPP_ERROR. */
bool content_fits_whatsapp(const char *text);
/* The body of a template message, which is what may be sent to people who did not write first. */
#define CONTENT_WHATSAPP_MAX 1024
#define CONTENT_WHATSAPP_ERROR "Text for WhatsApp must not include newline, tabs, or 4 consecutive spaces."

/*
 * How many SMS a text takes (3GPP TS 23.038, 23.040): in the GSM 7-bit alphabet 160 septets, 153 each when
 * there are several; with any other character UCS-2, 70 and 67 units.
 */
struct content_sms {
	bool ucs2;
	int64_t units; /* septets, or UTF-16 units */
	int64_t parts; /* 0 for an empty text */
	/* Of UCS-2: the first character that is not in the GSM alphabet, where it stands in the text; its bytes. */
	const char *because;
	size_t because_length;
};
struct content_sms content_count_sms(const char *text);

#endif
