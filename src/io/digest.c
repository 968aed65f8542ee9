#include "io/digest.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/parse.h"

#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* A setting of yescrypt's usual cost, for the time that it takes. */
#define DUMMY_SETTING "$y$j9T$7cYkYqeBM4Yx1d0vXN9hH1$"
#define PBKDF2_PREFIX "pbkdf2_sha256$"
#define PBKDF2_ITERATIONS_MAX 10000000

void
digest_sha256(const void *data, size_t n, unsigned char out[DIGEST_SIZE])
{
	/* Made once: searching the algorithm and making a context cost more than a short digest. */
	static EVP_MD *sha256;
	static EVP_MD_CTX *context;

	if (context == NULL) {
		sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
		context = EVP_MD_CTX_new();
		SBM_ASSERT(sha256 != NULL && context != NULL);
	}
	SBM_ASSERT(EVP_DigestInit_ex2(context, sha256, NULL) == 1 && EVP_DigestUpdate(context, data, n) == 1
	    && EVP_DigestFinal_ex(context, out, NULL) == 1);
}

void
digest_sha256_hex(const void *data, size_t n, char out[DIGEST_HEX_SIZE])
{
	unsigned char digest[DIGEST_SIZE];

	digest_sha256(data, n, digest);
	hex_encode(digest, sizeof(digest), out);
}

static void
random_bytes(unsigned char *out, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t part = getrandom(out + got, n - got, 0);

		SBM_ASSERT(part > 0 || errno == EINTR);
		if (part > 0)
			got += (size_t)part;
	}
}

void
token_generate(char out[TOKEN_TEXT_SIZE])
{
	unsigned char bytes[20];

	random_bytes(bytes, sizeof(bytes));
	hex_encode(bytes, sizeof(bytes), out);
}

void
uuid_generate(char *out)
{
	unsigned char bytes[16];
	char hex[33];

	random_bytes(bytes, sizeof(bytes));
	/* RFC 9562: version 4, variant 10. */
	bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
	bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
	hex_encode(bytes, sizeof(bytes), hex);
	for (int i = 0; i < 32; i++) {
		if (i == 8 || i == 12 || i == 16 || i == 20)
			*out++ = '-';
		*out++ = hex[i];
	}
	*out = '\0';
}

/* crypt(3) of password under setting, or NULL. The text lies in *data, which the caller wipes and frees. */
static const char *
crypt_text(const char *password, const char *setting, struct crypt_data **data)
{
	*data = calloc(1, sizeof(**data));
	if (*data == NULL)
		return NULL;
	return crypt_rn(password, setting, *data, (int)sizeof(**data));
}

static void
crypt_done(struct crypt_data *data)
{
	if (data != NULL)
		OPENSSL_cleanse(data, sizeof(*data));
	free(data);
}

int
password_hash(const char *password, char out[PASSWORD_HASH_SIZE])
{
	struct crypt_data *data = NULL;
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *text = NULL;
	int rc = -1;

	_Static_assert(PASSWORD_HASH_SIZE >= CRYPT_OUTPUT_SIZE, "a hash of crypt(3) fits");
	if (crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof(setting)) != NULL)
		text = crypt_text(password, setting, &data);
	if (text != NULL) {
		strcpy(out, text);
		rc = 0;
	} else {
		log_err("could not hash a password; it may have at most 511 bytes", log_errno());
	}
	crypt_done(data);
	return rc;
}

static bool
verify_crypt(const char *password, const char *hash)
{
	struct crypt_data *data = NULL;
	const char *text = crypt_text(password, hash, &data);
	size_t n = strlen(hash);
	bool same = text != NULL && strlen(text) == n && CRYPTO_memcmp(text, hash, n) == 0;

	crypt_done(data);
	return same;
}

/* iterations$salt$base64, as the original service kept it. */
static bool
verify_pbkdf2(const char *password, const char *fields)
{
	unsigned char want[3 * PASSWORD_HASH_SIZE / 4 + 1], got[DIGEST_SIZE];
	char copy[PASSWORD_HASH_SIZE];
	char *salt, *digest;
	int64_t iterations;
	size_t n;

	if (strlen(fields) >= sizeof(copy))
		return false;
	strcpy(copy, fields);
	salt = strchr(copy, '$');
	digest = salt != NULL ? strchr(salt + 1, '$') : NULL;
	if (digest == NULL)
		return false;
	*salt++ = '\0';
	*digest++ = '\0';
	if (parse_int(copy, 1, PBKDF2_ITERATIONS_MAX, &iterations) != 0 || parse_base64(digest, want, &n) != 0 || n != sizeof(got))
		return false;
	if (PKCS5_PBKDF2_HMAC(password, (int)strlen(password), (const unsigned char *)salt, (int)strlen(salt), (int)iterations, EVP_sha256(),
	        sizeof(got), got)
	    != 1)
		return false;
	return CRYPTO_memcmp(want, got, sizeof(got)) == 0;
}

bool
password_verify(const char *password, const char *hash)
{
	if (hash != NULL && strncmp(hash, PBKDF2_PREFIX, strlen(PBKDF2_PREFIX)) == 0)
		return verify_pbkdf2(password, hash + strlen(PBKDF2_PREFIX));
	if (hash != NULL && *hash == '$')
		return verify_crypt(password, hash);
	/* No hash, or one that says that there is no password. */
	verify_crypt(password, DUMMY_SETTING);
	return false;
}
