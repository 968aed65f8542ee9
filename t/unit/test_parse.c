#include "base/parse.h"
#include "tap.h"

static void test_int(void)
{
	static const struct {
		const char *text;
		int64_t min, max;
		int rc;
		int64_t value;
	} cases[] = {
		{"0", 0, 10, 0, 0}, {"10", 0, 10, 0, 10}, {"11", 0, 10, -1, 0}, {"-1", 0, 10, -1, 0}, {"-5", -5, 10, 0, -5},
		{"", 0, 10, -1, 0}, {"-", -9, 10, -1, 0}, {"+1", 0, 10, -1, 0}, {" 1", 0, 10, -1, 0}, {"1 ", 0, 10, -1, 0},
		{"0x1", 0, 10, -1, 0}, {"1.0", 0, 10, -1, 0}, {"007", 0, 10, 0, 7}, {"-0", 0, 10, 0, 0},
		{"9223372036854775807", INT64_MIN, INT64_MAX, 0, INT64_MAX}, {"9223372036854775808", INT64_MIN, INT64_MAX, -1, 0},
		{"-9223372036854775808", INT64_MIN, INT64_MAX, 0, INT64_MIN}, {"-9223372036854775809", INT64_MIN, INT64_MAX, -1, 0},
		{"99999999999999999999999", INT64_MIN, INT64_MAX, -1, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int64_t value = 77;
		int rc = parse_int(cases[i].text, cases[i].min, cases[i].max, &value);

		ok(rc == cases[i].rc && value == (rc ? 77 : cases[i].value), cases[i].text);
	}
}

static void test_units(void)
{
	static const struct {
		const char *text;
		int64_t size, duration; /* -1: refused */
	} cases[] = {
		{"0", 0, 0}, {"5", 5, 5000}, {"64KiB", 65536, -1}, {"50MiB", 52428800, -1}, {"2GiB", INT64_C(2147483648), -1}, {"1kib", -1, -1},
		{"250ms", -1, 250}, {"5s", -1, 5000}, {"2m", -1, 120000}, {"1h", -1, 3600000}, {"7d", -1, 604800000}, {"1 s", -1, -1}, {"s", -1, -1},
		{"", -1, -1}, {"-1", -1, -1}, {"1.5s", -1, -1}, {"9223372036854775807d", -1, -1}, {"9223372036854775807GiB", -1, -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int64_t size = -1, duration = -1;

		parse_size(cases[i].text, &size);
		parse_duration(cases[i].text, &duration);
		is_int(size, cases[i].size, cases[i].text);
		is_int(duration, cases[i].duration, cases[i].text);
	}
}

static void test_uuid(void)
{
	static const struct {
		const char *text, *uuid;
	} cases[] = {
		{"6f4a2c1e-0b3d-4e5f-8a9b-0c1d2e3f4a5b", "6f4a2c1e-0b3d-4e5f-8a9b-0c1d2e3f4a5b"},
		{"6F4A2C1E0B3D4E5F8A9B0C1D2E3F4A5B", "6f4a2c1e-0b3d-4e5f-8a9b-0c1d2e3f4a5b"},
		{"6f4a2c1e-0b3d-4e5f-8a9b-0c1d2e3f4a5", NULL}, {"6f4a2c1e-0b3d-4e5f-8a9b-0c1d2e3f4a5bb", NULL}, {"", NULL},
		{"6f4a2c1e0-b3d-4e5f-8a9b-0c1d2e3f4a5b", NULL}, {"{6f4a2c1e0b3d4e5f8a9b0c1d2e3f4a5b}", NULL},
		{"6f4a2c1e-0b3d4e5f8a9b0c1d2e3f4a5b", NULL}, {"6g4a2c1e0b3d4e5f8a9b0c1d2e3f4a5b", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char uuid[UUID_TEXT_SIZE] = "untouched";
		int rc = parse_uuid(cases[i].text, uuid);

		is_str(rc ? NULL : uuid, cases[i].uuid, cases[i].text);
		if (rc)
			is_str(uuid, "untouched", "out is left alone");
	}
}

static void test_base64(void)
{
	static const struct {
		const char *text, *plain;
	} cases[] = {
		{"", ""}, {"YQ==", "a"}, {"YWI=", "ab"}, {"YWJj", "abc"}, {"YWJjZA==", "abcd"}, {"/+8=", "\xff\xef"},
		{"YQ=", NULL}, {"YQ", NULL}, {"Y===", NULL}, {"YR==", NULL}, {"YQ==YQ==", NULL}, {"YW J", NULL}, {"====", NULL}, {"YW=j", NULL}, {"_-8=", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		unsigned char out[32];
		size_t n;
		int rc = parse_base64(cases[i].text, out, &n);

		is_str(rc ? NULL : (char *)out, cases[i].plain, cases[i].text);
		if (!rc)
			is_int((int64_t)n, (int64_t)strlen(cases[i].plain), "length");
	}
}

static void test_utf8(void)
{
	static const struct {
		const char *text;
		size_t n;
		bool valid;
		const char *name;
	} cases[] = {
		{"", 0, true, "nothing"}, {"abc", 3, true, "ASCII"}, {"é", 2, true, "two bytes"}, {"€", 3, true, "three bytes"}, {"😀", 4, true, "four bytes"},
		{"\0", 1, false, "NUL"}, {"\xc0\x80", 2, false, "overlong NUL"}, {"\xc1\xbf", 2, false, "overlong, two bytes"}, {"\xe0\x9f\xbf", 3, false, "overlong, three bytes"},
		{"\xf0\x8f\xbf\xbf", 4, false, "overlong, four bytes"}, {"\xed\xa0\x80", 3, false, "surrogate"}, {"\xed\x9f\xbf", 3, true, "last before the surrogates"},
		{"\xf4\x8f\xbf\xbf", 4, true, "U+10FFFF"}, {"\xf4\x90\x80\x80", 4, false, "over U+10FFFF"}, {"\xf5\x80\x80\x80", 4, false, "F5"},
		{"\x80", 1, false, "continuation alone"}, {"\xe2\x82", 2, false, "cut short"}, {"\xe2\x28\xa1", 3, false, "bad second byte"}, {"\xf0\x9f\x98", 3, false, "four bytes cut short"},
	};
	char hex[9];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ok(utf8_is_valid(cases[i].text, cases[i].n) == cases[i].valid, cases[i].name);
	is_int((int64_t)utf8_length("aé€😀"), 4, "code points");
	is_int((int64_t)utf8_valid_length("aé€😀", 10), 10, "all of it is valid");
	is_int((int64_t)utf8_valid_length("aé€😀", 9), 6, "cut within a character");
	is_int((int64_t)utf8_valid_length("aé\0b", 5), 3, "valid up to a NUL");
	is_int((int64_t)utf8_valid_length("\xff", 1), 0, "nothing of it is valid");
	hex_encode((const unsigned char *)"\x00\x1f\xa0\xff", 4, hex);
	is_str(hex, "001fa0ff", "hex digits");
}

static void test_window(void)
{
	static const struct {
		const char *text;
		int rc, from, until;
	} cases[] = {
		{"08:00-20:00", 0, 480, 1200}, {"20:30-06:05", 0, 1230, 365}, {"00:00-23:59", 0, 0, 1439},
		{"", -1, 0, 0}, {"8:00-20:00", -1, 0, 0}, {"08:00-24:00", -1, 0, 0}, {"08:60-20:00", -1, 0, 0}, {"08:00-08:00", -1, 0, 0},
		{"08:00 20:00", -1, 0, 0}, {"08:00-20:00 ", -1, 0, 0}, {"08-00-20:00", -1, 0, 0}, {"ab:cd-ef:gh", -1, 0, 0}, {"08:00-20:0", -1, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int from = 0, until = 0;
		int rc = parse_window(cases[i].text, &from, &until);

		ok(rc == cases[i].rc && from == cases[i].from && until == cases[i].until, cases[i].text);
	}
}

static void test_rate(void)
{
	static const struct {
		const char *text;
		int count; /* of rates; -1: refused */
		int64_t sum;
	} cases[] = {
		{"", 0, 0}, {" , ", 0, 0}, {"WHATSAPP=20", 1, 20}, {"WHATSAPP=20 SMS=80", 2, 100}, {"A=1,B=2 ,\tC=1000000", 3, 1000003},
		{"WHATSAPP", -1, 0}, {"=20", -1, 0}, {"A=", -1, 0}, {"A=0", -1, 0}, {"A=1000001", -1, 0}, {"A=-1", -1, 0}, {"A = 1", -1, 0}, {"A=1=2", -1, 0},
		{"A=99999999999999999999", -1, 0},
		{"0123456789012345678901234567890123456789012345678901234567890123=1", 1, 1},
		{"01234567890123456789012345678901234567890123456789012345678901234=1", -1, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *rest = cases[i].text;
		struct rate rate;
		int64_t sum = 0;
		int rc, count = 0;

		while ((rc = parse_rate(&rest, &rate)) > 0) {
			sum += rate.number;
			count++;
		}
		ok(cases[i].count < 0 ? rc < 0 : rc == 0 && count == cases[i].count && sum == cases[i].sum, cases[i].text);
	}
}

int main(void)
{
	test_window();
	test_rate();
	test_int();
	test_units();
	test_uuid();
	test_base64();
	test_utf8();
	return tap_done();
}
