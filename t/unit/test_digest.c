#include "io/digest.h"

#include "tap.h"

#include <stdlib.h>

#define DJANGO_HASH "pbkdf2_sha256$1000$saltsalt$"

static bool is_hex(const char *text, size_t n)
{
	return strlen(text) == n && strspn(text, "0123456789abcdef") == n;
}

static void test_digest(void)
{
	char hex[DIGEST_HEX_SIZE];

	digest_sha256_hex("abc", 3, hex);
	/* FIPS 180-2, appendix B.1. */
	is_str(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "SHA-256 of abc");
	digest_sha256_hex("", 0, hex);
	is_str(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "SHA-256 of nothing");
}

static void test_random(void)
{
	char a[TOKEN_TEXT_SIZE], b[TOKEN_TEXT_SIZE], uuid[37];

	token_generate(a);
	token_generate(b);
	ok(is_hex(a, 40), "a token is 40 hex digits");
	ok(strcmp(a, b) != 0, "two differ");
	uuid_generate(uuid);
	ok(strlen(uuid) == 36 && uuid[8] == '-' && uuid[23] == '-', "form of a UUID");
	ok(uuid[14] == '4' && strchr("89ab", uuid[19]), "version and variant");
}

static void test_password(void)
{
	char a[PASSWORD_HASH_SIZE], b[PASSWORD_HASH_SIZE], *oversized;

	is_int(password_hash("correct horse", a), 0, "a password is hashed");
	ok(strncmp(a, "$y$", 3) == 0, "by yescrypt");
	is_int(password_hash("correct horse", b), 0, "once more");
	ok(strcmp(a, b) != 0, "with another salt");
	ok(password_verify("correct horse", a) && password_verify("correct horse", b), "it fits both");
	ok(!password_verify("correct hors", a), "another one does not");
	ok(!password_verify("", a), "nor an empty one");
	ok(!password_verify("x", NULL) && !password_verify("", ""), "no hash, no entry");
	ok(!password_verify("*0", "*0") && !password_verify("!", "!abc"), "nor one that says there is no password");
	ok(!password_verify("x", "$y$broken"), "nor a broken one");
	oversized = malloc(5000);
	memset(oversized, 'a', 4999);
	oversized[4999] = '\0';
	ok(!password_verify(oversized, a), "nor a password of 5,000 bytes");
	free(oversized);
}

static void test_imported(void)
{
	/* Python: base64.b64encode(hashlib.pbkdf2_hmac("sha256", b"sesame", b"saltsalt", 1000)) */
	static const char hash[] = DJANGO_HASH "b1sSN7v0pV6yqCwkohsSs5IT/7joKePbt3l5oxs1ch4=";

	ok(password_verify("sesame", hash), "a hash of the original service fits");
	ok(!password_verify("sesam", hash), "only its password");
	ok(!password_verify("sesame", DJANGO_HASH), "no digest");
	ok(!password_verify("sesame", DJANGO_HASH "AAAA"), "a short digest");
	ok(!password_verify("sesame", DJANGO_HASH "!!"), "no base64");
	ok(!password_verify("sesame", "pbkdf2_sha256$1000"), "no salt");
	ok(!password_verify("sesame", "pbkdf2_sha256$99999999999$s$AAAA"), "iterations without end");
	ok(!password_verify("sesame", "pbkdf2_sha256$0$s$AAAA"), "no iterations");
}

int main(void)
{
	test_digest();
	test_random();
	test_password();
	test_imported();
	return tap_done();
}
