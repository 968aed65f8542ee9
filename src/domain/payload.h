#ifndef DOMAIN_PAYLOAD_H
#define DOMAIN_PAYLOAD_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* The outbound calls of one delivery: what is sent, and how the answers are read. */

struct payload {
	const char *to_addr;
	const char *identity;
	const char *content_type; /* of the message set: "text" or "audio" */
	const char *text;         /* of the message; may be NULL */
	const char *metadata;     /* of the message: jsonb as PostgreSQL gives it; NULL is {} */
	const char *binary;       /* file name below the media directory; NULL or "" when it has none */
	const char *channel;      /* of the message set; NULL or "" for none */
	const char *prepend;      /* prepend_next_delivery of the subscription; NULL or "" for none */
	const char *media_url;    /* what the addresses of files begin with */
	bool resend;
};

/*
 * Puts the body of POST {message_sender_url}/outbound/. NULL, or why the delivery fails for good (a text for
 * its record; out then holds nothing of use). Check out->overflow.
 */
const char *payload_put(const struct payload *, struct buf *out);

/* Puts the address of the identity store's look-up; base is identity_store_url, with or without a slash at its end. */
void payload_put_address_url(const char *base, const char *identity, struct buf *out);
/* Puts {message_sender_url}/outbound/. */
void payload_put_outbound_url(const char *base, struct buf *out);

enum payload_address {
	PAYLOAD_ADDRESS_FOUND,
	PAYLOAD_ADDRESS_NONE,   /* an empty list: no valid recipient */
	PAYLOAD_ADDRESS_BROKEN, /* not the answer of an identity store */
};
#define PAYLOAD_ADDRESS_SIZE 256
/* Reads the body of a 2xx answer of the identity store; the address into out with FOUND. */
enum payload_address payload_parse_address(const char *body, size_t n, char out[PAYLOAD_ADDRESS_SIZE]);

#define PAYLOAD_OUTBOUND_ID_SIZE 128
/* The id in the body of a 2xx answer of the message sender, "" when there is none (that is fine). */
void payload_parse_outbound_id(const char *body, size_t n, char out[PAYLOAD_OUTBOUND_ID_SIZE]);

#endif
