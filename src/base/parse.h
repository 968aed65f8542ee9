#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Strict readers: the whole text must be the value. All return 0, or -1 and leave *out alone. */

/* Decimal with an optional minus, no blanks, no plus, within min..max. */
int parse_int(const char *text, int64_t min, int64_t max, int64_t *out);
/* Bytes: digits and an optional KiB, MiB or GiB. */
int parse_size(const char *text, int64_t *out);
/* Milliseconds: digits and an optional ms, s, m, h or d; a bare number is seconds. */
int parse_duration(const char *text, int64_t *out);

/* Hours of a day, "08:00-20:00": two different times as minutes of the day, 0..1439. */
int parse_window(const char *text, int *from, int *until);

#define RATE_NAME_SIZE 65
#define RATE_MAX 1000000
struct rate {
	char name[RATE_NAME_SIZE];
	int64_t number; /* 1..RATE_MAX */
};
/* The next NAME=number at *text, which moves behind it; blanks and commas separate. 1, 0 at the end, -1 when it is none. */
int parse_rate(const char **text, struct rate *);

#define UUID_TEXT_SIZE 37
/* The first and the last in their order. */
#define UUID_FIRST "00000000-0000-0000-0000-000000000000"
#define UUID_LAST "ffffffff-ffff-ffff-ffff-ffffffffffff"
/* 32 hex digits, bare or as 8-4-4-4-12, in either case; out: lower case with hyphens and a NUL. */
int parse_uuid(const char *text, char out[UUID_TEXT_SIZE]);
/* The value of a hex digit in either case, 0 to 15, or -1 when it is none. */
int hex_digit(char c);
/* Lower-case hex digits of n bytes and a NUL: 2n+1 bytes at out. */
void hex_encode(const unsigned char *bytes, size_t n, char *out);
/* Base64 with padding, standard alphabet. out has room for 3*strlen/4+1 and is scratch on error; a NUL is added; *n without it. */
int parse_base64(const char *text, unsigned char *out, size_t *n);

/* Length of the UTF-8 sequence at text, of which n bytes are there: 1 to 4, or 0 when there is no whole valid one. */
size_t utf8_sequence(const char *text, size_t n);
/* True when the bytes are UTF-8 by RFC 3629 (no surrogates, no overlong forms) and hold no NUL. */
bool utf8_is_valid(const char *text, size_t n);
/* How many of the bytes, from the first on, are that: where a text that was cut to fit is to be cut. */
size_t utf8_valid_length(const char *text, size_t n);
/* Number of code points of valid UTF-8. */
size_t utf8_length(const char *text);

#endif
