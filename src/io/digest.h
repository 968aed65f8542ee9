#ifndef IO_DIGEST_H
#define IO_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

/* Digests and secrets: libcrypto and crypt(3). */

#define DIGEST_SIZE 32
#define DIGEST_HEX_SIZE 65
void digest_sha256(const void *data, size_t n, unsigned char out[DIGEST_SIZE]);
void digest_sha256_hex(const void *data, size_t n, char out[DIGEST_HEX_SIZE]);

#define TOKEN_TEXT_SIZE 41
/* A new token: 40 lower-case hex digits of 20 random bytes. */
void token_generate(char out[TOKEN_TEXT_SIZE]);
/* A random UUID (version 4), lower case; out has room for 37 bytes. */
void uuid_generate(char *out);

#define PASSWORD_HASH_SIZE 384
/* crypt(3), yescrypt, with a salt of its own. 0, or -1, logged. */
int password_hash(const char *password, char out[PASSWORD_HASH_SIZE]);
/*
 * True when password fits hash: crypt(3), or pbkdf2_sha256$iterations$salt$base64 of the original service.
 * A hash that is NULL or "" takes as long as a yescrypt one and is never true, so that an unknown user cannot be told by time.
 */
bool password_verify(const char *password, const char *hash);

#endif
