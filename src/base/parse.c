#include "base/parse.h"

#include <string.h>

/* Reads digits up to the first other character. 0, or -1 when there are none or the value is over limit. */
static int parse_digits(const char **text, uint64_t limit, uint64_t *out)
{
	const char *p = *text;
	uint64_t value = 0;

	if (*p < '0' || *p > '9')
		return -1;
	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (value > (limit - digit) / 10)
			return -1;
		value = value * 10 + digit;
	}
	*text = p;
	*out = value;
	return 0;
}

int parse_int(const char *text, int64_t min, int64_t max, int64_t *out)
{
	bool negative = *text == '-';
	uint64_t magnitude;
	int64_t value;

	text += negative;
	if (parse_digits(&text, (uint64_t)INT64_MAX + (negative ? 1 : 0), &magnitude) || *text)
		return -1;
	value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	if (value < min || value > max)
		return -1;
	*out = value;
	return 0;
}

struct unit {
	const char *word;
	int64_t factor;
};

/* Digits and one of the words of units, which end with a NULL one. */
static int parse_units(const char *text, const struct unit *units, int64_t *out)
{
	uint64_t number;

	if (parse_digits(&text, INT64_MAX, &number))
		return -1;
	for (; units->word; units++) {
		if (strcmp(text, units->word))
			continue;
		if (number > (uint64_t)(INT64_MAX / units->factor))
			return -1;
		*out = (int64_t)number * units->factor;
		return 0;
	}
	return -1;
}

int parse_size(const char *text, int64_t *out)
{
	static const struct unit units[] = {{"", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024 * 1024 * 1024}, {0}};

	return parse_units(text, units, out);
}

int parse_duration(const char *text, int64_t *out)
{
	static const struct unit units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {0}};

	return parse_units(text, units, out);
}

int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int parse_time_of_day(const char *text, int *minute)
{
	for (int i = 0; i < 5; i++)
		if (i == 2 ? text[i] != ':' : text[i] < '0' || text[i] > '9')
			return -1;
	*minute = ((text[0] - '0') * 10 + text[1] - '0') * 60 + (text[3] - '0') * 10 + text[4] - '0';
	return text[3] < '6' && *minute < 24 * 60 ? 0 : -1;
}

int parse_window(const char *text, int *from, int *until)
{
	int a, b;

	if (strlen(text) != strlen("08:00-20:00") || text[5] != '-' || parse_time_of_day(text, &a) || parse_time_of_day(text + 6, &b) || a == b)
		return -1;
	*from = a;
	*until = b;
	return 0;
}

int parse_rate(const char **text, struct rate *rate)
{
	const char *p = *text + strspn(*text, ", \t");
	size_t name = strcspn(p, "=, \t"), number;
	char digits[16];

	*text = p;
	if (!*p)
		return 0;
	if (name == 0 || name >= sizeof(rate->name) || p[name] != '=')
		return -1;
	number = strcspn(p + name + 1, ", \t");
	if (number >= sizeof(digits))
		return -1;
	memcpy(digits, p + name + 1, number);
	digits[number] = '\0';
	if (parse_int(digits, 1, RATE_MAX, &rate->number))
		return -1;
	memcpy(rate->name, p, name);
	rate->name[name] = '\0';
	*text = p + name + 1 + number;
	return 1;
}

int parse_uuid(const char *text, char out[UUID_TEXT_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	char uuid[UUID_TEXT_SIZE] = {0};
	bool hyphens = strnlen(text, UUID_TEXT_SIZE) == UUID_TEXT_SIZE - 1;

	for (int i = 0; i < UUID_TEXT_SIZE - 1; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (hyphens && *text++ != '-')
				return -1;
			uuid[i] = '-';
			continue;
		}
		if (hex_digit(*text) < 0)
			return -1;
		uuid[i] = hex[hex_digit(*text++)];
	}
	if (*text)
		return -1;
	memcpy(out, uuid, sizeof(uuid));
	return 0;
}

void hex_encode(const unsigned char *bytes, size_t n, char *out)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = hex[bytes[i] >> 4];
		out[2 * i + 1] = hex[bytes[i] & 15];
	}
	out[2 * n] = '\0';
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters to up to three bytes. Returns how many, or -1; only the last group may have padding. */
static int parse_base64_group(const char *text, bool last, unsigned char bytes[3])
{
	uint32_t bits = 0;
	int padding = 0;

	for (int i = 0; i < 4; i++) {
		int digit = base64_digit(text[i]);

		if (last && i >= 2 && text[i] == '=') {
			padding++;
			digit = 0;
		} else if (digit < 0 || padding)
			return -1;
		bits = bits << 6 | (uint32_t)digit;
	}
	if (bits & ((UINT32_C(1) << 8 * padding) - 1))
		return -1;
	for (int i = 0; i < 3; i++)
		bytes[i] = (unsigned char)(bits >> (16 - 8 * i));
	return 3 - padding;
}

int parse_base64(const char *text, unsigned char *out, size_t *n)
{
	size_t length = strlen(text), done = 0;

	if (length % 4)
		return -1;
	for (size_t i = 0; i < length; i += 4) {
		unsigned char bytes[3];
		int count = parse_base64_group(text + i, i + 4 == length, bytes);

		if (count < 0)
			return -1;
		memcpy(out + done, bytes, (size_t)count);
		done += (size_t)count;
	}
	out[done] = '\0';
	*n = done;
	return 0;
}

size_t utf8_sequence(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t length;

	if (n == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	/* RFC 3629, section 4: the second byte bounds out overlong forms, surrogates and what is over U+10FFFF. */
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	length = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n < length)
		return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

size_t utf8_valid_length(const char *text, size_t n)
{
	size_t at = 0, length;

	while (at < n && text[at] && (length = utf8_sequence(text + at, n - at)) > 0)
		at += length;
	return at;
}

bool utf8_is_valid(const char *text, size_t n)
{
	return utf8_valid_length(text, n) == n;
}

size_t utf8_length(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}
