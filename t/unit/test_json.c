#include "io/json.h"

#include "tap.h"

#include <float.h>
#include <stdlib.h>

static const struct {
	const char *text, *error, *name;
} refused[] = {
	{"", "Expecting value: line 1 column 1 (char 0)", "nothing"},
	{"  ", "Expecting value: line 1 column 3 (char 2)", "only white space"},
	{"{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)", "an open object"},
	{"{\"data\": ", "Expecting value: line 1 column 10 (char 9)", "a value is missing"},
	{"{\"minute\": \"1\"", "Expecting ',' delimiter: line 1 column 15 (char 14)", "a cut object"},
	{"{\"minute\": \"1\"} x", "Extra data: line 1 column 17 (char 16)", "trailing text"},
	{"{\"minute\": \"1\"}{}", "Extra data: line 1 column 16 (char 15)", "two documents"},
	{"{\"minute\": \"1\",}", "Expecting property name enclosed in double quotes: line 1 column 16 (char 15)", "a comma at the end"},
	{"[1,]", "Expecting value: line 1 column 4 (char 3)", "a comma at the end of an array"},
	{"[1 2]", "Expecting ',' delimiter: line 1 column 4 (char 3)", "no comma"},
	{"[1}", "Expecting ',' delimiter: line 1 column 3 (char 2)", "the wrong bracket"},
	{"{\"a\" 1}", "Expecting ':' delimiter: line 1 column 6 (char 5)", "no colon"},
	{"{1: 2}", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)", "a number for a key"},
	{"{\"minute\": NaN}", "Out of range float values are not JSON compliant: 'NaN'", "NaN"},
	{"[-Infinity]", "Out of range float values are not JSON compliant: '-Infinity'", "-Infinity"},
	{"{\"minute\": \"a\nb\"}", "Invalid control character at: line 1 column 14 (char 13)", "a raw newline in a string"},
	{"{\"minute\": \"\\x\"}", "Invalid \\escape: line 1 column 13 (char 12)", "a bad escape"},
	{"{\"minute\": \"\\u12\"}", "Invalid \\uXXXX escape: line 1 column 14 (char 13)", "a bad unicode escape"},
	{"\"abc", "Unterminated string starting at: line 1 column 1 (char 0)", "an open string"},
	{"\"abc\\", "Invalid \\escape: line 1 column 5 (char 4)", "a string that ends in a backslash"},
	{"{\"a\":\n \"\xc3\xa9\xc3\xa9\" x}", "Expecting ',' delimiter: line 2 column 7 (char 12)", "places count characters and lines"},
	{"01", "Extra data: line 1 column 2 (char 1)", "a leading zero"},
	{"1.", "Extra data: line 1 column 2 (char 1)", "no digit after the point"},
	{"-", "Expecting value: line 1 column 1 (char 0)", "a sign alone"},
	{"'a'", "Expecting value: line 1 column 1 (char 0)", "single quotes"},
	{"tru", "Expecting value: line 1 column 1 (char 0)", "a cut word"},
	{"{\"minute\": \"\xff\xfe\"}", "'utf-8' codec can't decode byte 0xff in position 12: invalid start byte", "no UTF-8"},
	{"\"\xed\xa0\x80\"", "'utf-8' codec can't decode byte 0xed in position 1: invalid start byte", "a surrogate in UTF-8"},
};

static void test_refused(void)
{
	char error[256];
	json_t *value;

	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		error[0] = '\0';
		is_int(json_read(refused[i].text, strlen(refused[i].text), &value, error, sizeof(error)), JSON_SYNTAX, refused[i].name);
		is_str(error, refused[i].error, refused[i].name);
	}
	is_int(json_read("\"a\0b\"", 5, &value, error, sizeof(error)), JSON_SYNTAX, "a raw NUL");
	is_int(json_read("[null\0,1\0]", 10, &value, error, sizeof(error)), JSON_SYNTAX, "a NUL behind a word");
	is_int(json_read("1\0", 2, &value, error, sizeof(error)), JSON_SYNTAX, "a NUL behind a number");
	is_int(json_read("\"\\u0000\"", 8, &value, error, sizeof(error)), JSON_SYNTAX, "an escaped NUL");
	is_int(json_read("\"\\ud800\"", 8, &value, error, sizeof(error)), JSON_SYNTAX, "half a surrogate pair");
	ok(*error, "and a word about it");
}

/* n brackets of a kind and, closed, as many to match. */
static enum json_problem read_nested(char open, size_t n, bool closed)
{
	char *text = malloc(2 * n), error[256];
	json_t *value = NULL;
	enum json_problem problem;

	memset(text, open, n);
	memset(text + n, ']', n);
	problem = json_read(text, closed ? 2 * n : n, &value, error, sizeof(error));
	json_decref(value);
	free(text);
	return problem;
}

static void test_depth(void)
{
	is_int(read_nested('[', JSON_DEPTH_MAX, true), JSON_FINE, "32 levels");
	is_int(read_nested('[', JSON_DEPTH_MAX + 1, true), JSON_TOO_DEEP, "33 levels");
	is_int(read_nested('[', 2000, true), JSON_TOO_DEEP, "2,000 levels");
	is_int(read_nested('[', 100000, true), JSON_TOO_DEEP, "100,000 levels");
	is_int(read_nested('[', 100000, false), JSON_TOO_DEEP, "100,000 levels, open");
	is_int(read_nested('[', 3, false), JSON_SYNTAX, "3 levels, open");
}

static double read_real(const char *text)
{
	char error[256];
	json_t *value = NULL;
	double d = 0;

	if (ok(json_read(text, strlen(text), &value, error, sizeof(error)) == JSON_FINE, text))
		d = json_real_value(json_array_get(value, 0));
	json_decref(value);
	return d;
}

static void test_numbers(void)
{
	char digits[5003], error[256];
	json_t *value;

	ok(read_real("[99999999999999999999]") == 1e20, "an integer over 64 bits is the real next to it");
	ok(read_real("[-99999999999999999999, \"1e400\"]") == -1e20, "a negative one");
	ok(read_real("[1e400]") == DBL_MAX, "a real that is too large");
	ok(read_real("[-1e400]") == -DBL_MAX, "a negative one");
	ok(read_real("[1.5, 1e400]") == 1.5, "others stay");
	ok(read_real("[1e-400]") == 0, "a real that is too small");
	memset(digits, '9', sizeof(digits));
	digits[0] = '[';
	digits[4301] = ']';
	is_int(json_read(digits, 4302, &value, error, sizeof(error)), JSON_FINE, "4,300 digits");
	json_decref(value);
	digits[4301] = '9';
	digits[5001] = ']';
	is_int(json_read(digits, 5002, &value, error, sizeof(error)), JSON_SYNTAX, "5,000 digits");
	is_int(json_read("9223372036854775807", 19, &value, error, sizeof(error)), JSON_FINE, "the largest of 64 bits");
	ok(json_is_integer(value) && json_integer_value(value) == INT64_MAX, "is an integer");
	json_decref(value);
}

static const struct {
	const char *text, *keys[4], *raw, *name;
} raws[] = {
	{"{\"a\": 1.10}", {"a"}, "1.10", "a number as it stood"},
	{"{\"a\": {\"b\": [1e400 , 2]} }", {"a"}, "{\"b\": [1e400 , 2]}", "an object"},
	{" {\"a\" : {\"b\" : [1e400, \"]}\\\"\"] , \"c\":2}}", {"a", "b"}, "[1e400, \"]}\\\"\"]", "a path, brackets and quotes in strings"},
	{"{\"a\": 1, \"a\": 2}", {"a"}, "2", "the last of duplicate keys"},
	{"{\"\\u0061\": 7}", {"a"}, "7", "an escaped key"},
	{"{\"aa\": 1, \"b\": {\"a\": 3}, \"a\" :4 }", {"a"}, "4", "not a longer key, nor a deeper one"},
	{"{\"b\": 1}", {"a"}, NULL, "no such key"},
	{"[{\"a\": 1}]", {"a"}, NULL, "no object"},
	{"{\"a\": 5}", {"a", "b"}, NULL, "a number has no keys"},
	{"{}", {"a"}, NULL, "an empty object"},
	{" 12 ", {NULL}, "12", "the document itself"},
	{"{\"a\":{\"x\":1},\"a\":{\"y\":-2.50}}", {"a", "y"}, "-2.50", "within the last of duplicates"},
	{"{\"a\":{\"x\":1},\"a\":{\"y\":2}}", {"a", "x"}, NULL, "not within an earlier one"},
};

static void test_raw(void)
{
	for (size_t i = 0; i < sizeof(raws) / sizeof(*raws); i++) {
		struct buf out;
		int rc;

		buf_init(&out, 1000);
		rc = json_raw_value(raws[i].text, strlen(raws[i].text), raws[i].keys, &out);
		is_int(rc, raws[i].raw ? 0 : -1, raws[i].name);
		is_str(buf_text(&out), raws[i].raw ? raws[i].raw : "", raws[i].name);
		buf_fini(&out);
	}
}

static void test_write(void)
{
	struct buf out;
	char error[256];
	static const char text[] = "{\"a\": [3, null], \"a\": {\"b\": [0.1, \"x\\n\"]}}";
	json_t *value;

	buf_init(&out, 1000);
	json_read(text, strlen(text), &value, error, sizeof(error));
	json_write(value, &out);
	is_str(buf_text(&out), "{\"a\":{\"b\":[0.1,\"x\\n\"]}}", "compact, the last of duplicates, 0.1 as such");
	is_str(json_python_type(value), "dict", "type of an object");
	json_decref(value);
	buf_fini(&out);
}

int main(void)
{
	test_refused();
	test_depth();
	test_numbers();
	test_raw();
	test_write();
	return tap_done();
}
