#include "base/buf.h"
#include "tap.h"

static void test_put(void)
{
	struct buf buf;

	buf_init(&buf, 1000);
	is_str(buf_text(&buf), "", "nothing put");
	buf_puts(&buf, "a");
	buf_putc(&buf, 'b');
	buf_put_int(&buf, INT64_MIN);
	buf_printf(&buf, "[%s]", "x");
	is_str(buf_text(&buf), "ab-9223372036854775808[x]", "puts come one after the other");
	buf_printf(&buf, "%0300d", 7);
	is_int((int64_t)buf.length, 25 + 300, "printf grows it");
	buf_reset(&buf);
	buf_put_int(&buf, 0);
	buf_put_int(&buf, INT64_MAX);
	buf_put_int(&buf, -10);
	is_str(buf_text(&buf), "09223372036854775807-10", "numbers");
	buf_puts(&buf, "");
	is_int((int64_t)buf.length, (int64_t)strlen(buf.data), "length");
	buf_reset(&buf);
	is_str(buf_text(&buf), "", "reset");
	for (int i = 0; i < 1000; i++)
		buf_putc(&buf, 'x');
	ok(!buf.overflow && buf.length == 1000, "exactly the maximum fits");
	buf_fini(&buf);
}

static void test_overflow(void)
{
	struct buf buf;

	buf_init(&buf, 5);
	buf_puts(&buf, "abc");
	buf_puts(&buf, "def");
	ok(buf.overflow, "over the maximum");
	is_str(buf_text(&buf), "abc", "a put that does not fit writes nothing");
	buf_puts(&buf, "d");
	is_str(buf_text(&buf), "abc", "nor does any later one");
	buf_reset(&buf);
	buf_puts(&buf, "abc");
	buf_printf(&buf, "%s", "123456");
	ok(buf.overflow, "printf over the maximum");
	is_str(buf_text(&buf), "abc", "writes nothing either");
	buf_reset(&buf);
	ok(!buf.overflow, "a reset clears it");
	buf_puts(&buf, "1");
	buf_put_json(&buf, "abcd");
	is_str(buf_text(&buf), "1", "a JSON string that does not fit writes nothing");
	buf_reset(&buf);
	buf_put_url(&buf, "a//");
	is_str(buf_text(&buf), "", "an encoded text that does not fit writes nothing");
	buf_fini(&buf);
}

static void test_encode(void)
{
	struct buf buf;

	buf_init(&buf, 1000);
	buf_put_json(&buf, "a\"b\\c\n\t\r\b\f\x01\x1f é/\x7f");
	is_str(buf_text(&buf), "\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001\\u001f é/\x7f\"", "JSON string");
	buf_reset(&buf);
	buf_put_json_n(&buf, "a\0b", 3);
	is_str(buf_text(&buf), "\"a\\u0000b\"", "JSON string with a NUL");
	buf_reset(&buf);
	buf_put_json(&buf, "");
	is_str(buf_text(&buf), "\"\"", "empty JSON string");
	buf_reset(&buf);
	buf_put_url(&buf, "a-Z_0.~ /?&=+é");
	is_str(buf_text(&buf), "a-Z_0.~%20%2F%3F%26%3D%2B%C3%A9", "percent-encoding");
	buf_fini(&buf);
}

int main(void)
{
	test_put();
	test_overflow();
	test_encode();
	return tap_done();
}
