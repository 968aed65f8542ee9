#include "base/arena.h"
#include "base/buf.h"
#include "rest/parse_multipart.h"
#include "tap.h"

static struct arena *arena;
/* What was called back, as text: <name|filename|type>data; "-" for no file name. */
static struct buf seen;
static int stop_after;

static int
count_down(void)
{
	return stop_after > 0 && --stop_after == 0 ? -1 : 0;
}

static int
on_begin(void *context, const struct multipart_part *part)
{
	(void)context;
	buf_printf(&seen, "<%s|%s|%s>", part->name, part->filename ? part->filename : "-", part->content_type);
	return count_down();
}

static int
on_data(void *context, const char *data, size_t n)
{
	(void)context;
	buf_put(&seen, data, n);
	return count_down();
}

static int
on_end(void *context)
{
	(void)context;
	buf_puts(&seen, ";");
	return count_down();
}

static const struct multipart_events events = {on_begin, on_data, on_end};

/* Feeds body in pieces of `piece` bytes. */
static const char *
run(const char *boundary, const char *body, size_t length, size_t piece, const char **error)
{
	struct multipart *m = multipart_create(arena, boundary, &events, NULL);
	int failed = 0;

	buf_reset(&seen);
	for (size_t i = 0; i < length && !failed; i += piece)
		failed = multipart_feed(m, body + i, length - i < piece ? length - i : piece);
	if (!failed)
		failed = multipart_finish(m);
	*error = failed ? multipart_error(m) : NULL;
	if (failed && !*error)
		*error = "stopped";
	return buf_text(&seen);
}

#define FIELD(NAME) "Content-Disposition: form-data; name=\"" NAME "\"\r\n\r\n"

static void
test_bodies(void)
{
	static const struct {
		const char *name, *body, *seen, *error;
	} cases[] = {
		{"one field", "--b\r\n" FIELD("a") "1\r\n--b--\r\n", "<a|-|>1;", NULL},
		{"no line end after the last boundary", "--b\r\n" FIELD("a") "1\r\n--b--", "<a|-|>1;", NULL},
		{"preamble and epilogue", "pre\r\n--b\r\n" FIELD("a") "1\r\n--b--\r\nepilogue\r\n--b\r\n", "<a|-|>1;", NULL},
		{"two fields", "--b\r\n" FIELD("a") "1\r\n--b\r\n" FIELD("c") "2\r\n--b--", "<a|-|>1;<c|-|>2;", NULL},
		{"blanks after a boundary", "--b \t\r\n" FIELD("a") "1\r\n--b--", "<a|-|>1;", NULL},
		{"an empty value", "--b\r\n" FIELD("a") "\r\n--b--", "<a|-|>;", NULL},
		{"line ends in the value", "--b\r\n" FIELD("a") "\r\n\r\n\r\r\n-\r\n--\r\n--c\n--b\r\n--b--", "<a|-|>\r\n\r\n\r\r\n-\r\n--\r\n--c\n--b;", NULL},
		{"a file", "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\nID3\r\n--b--", "<f|x.mp3|audio/mpeg>ID3;", NULL},
		{"header names in another case, folded", "--b\r\ncontent-type:text/plain\r\nCONTENT-DISPOSITION: form-data;\r\n name=f;\r\n\tfilename=x.txt\r\n\r\n1\r\n--b--", "<f|x.txt|text/plain>1;", NULL},
		{"a path in the file name", "--b\r\nContent-Disposition: form-data; name=f; filename=\"../../etc/passwd\"\r\n\r\n1\r\n--b--", "<f|passwd|>1;", NULL},
		{"a path of Windows", "--b\r\nContent-Disposition: form-data; name=f; filename=\"C:\\tmp\\a.wav\"\r\n\r\n1\r\n--b--", "<f|a.wav|>1;", NULL},
		{"dots are no file name", "--b\r\nContent-Disposition: form-data; name=f; filename=\"..\"\r\n\r\n1\r\n--b--", "<f||>1;", NULL},
		{"an empty file name", "--b\r\nContent-Disposition: form-data; name=f; filename=\"\"\r\n\r\n1\r\n--b--", "<f||>1;", NULL},
		{"quotes in a name", "--b\r\nContent-Disposition: form-data; name=\"a\\\"b;c\"\r\n\r\n1\r\n--b--", "<a\"b;c|-|>1;", NULL},
		{"an extended file name", "--b\r\nContent-Disposition: form-data; name=f; filename=x; filename*=UTF-8''na%C3%AFve.mp3\r\n\r\n1\r\n--b--", "<f|na\xc3\xafve.mp3|>1;", NULL},
		{"an extended file name of another charset", "--b\r\nContent-Disposition: form-data; name=f; filename=x; filename*=ISO-8859-1''%E9\r\n\r\n1\r\n--b--", "<f|x|>1;", NULL},
		{"a control character in a file name", "--b\r\nContent-Disposition: form-data; name=f; filename=\"a\001b.mp3\"\r\n\r\n1\r\n--b--", "<f|ab.mp3|>1;", NULL},
		{"bad UTF-8 in a name", "--b\r\n" FIELD("a\xff") "1\r\n--b--", "<a\xef\xbf\xbd|-|>1;", NULL},
		{"no boundary", "garbage", "", "There is no part: the boundary of the Content-Type does not occur."},
		{"nothing", "", "", "There is no part: the boundary of the Content-Type does not occur."},
		{"cut in the data", "--b\r\n" FIELD("a") "1\r\n--", "<a|-|>1", "The closing boundary is missing."},
		{"cut in the head", "--b\r\nContent-Dis", "", "The closing boundary is missing."},
		{"a boundary that goes on", "--bc\r\n" FIELD("a") "1\r\n--b--", "", "A boundary is not at the end of its line."},
		{"a bare line feed after the boundary", "--b\n" FIELD("a") "1\r\n--b--", "", "A boundary is not at the end of its line."},
		{"no head", "--b\r\n\r\n1\r\n--b--", "", "A part has no Content-Disposition with a name."},
		{"a head without a name", "--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--", "", "A part has no Content-Disposition with a name."},
		{"an attachment", "--b\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--b--", "", "A part's Content-Disposition is not form-data."},
		{"a header line without a colon", "--b\r\nfoo\r\n\r\n1\r\n--b--", "", "A part has a header line without a colon."},
		{"base64", "--b\r\nContent-Transfer-Encoding: base64\r\n" FIELD("a") "1\r\n--b--", "", "A part has a Content-Transfer-Encoding other than binary, 8bit and 7bit."},
		{"binary", "--b\r\nContent-Transfer-Encoding: Binary\r\n" FIELD("a") "1\r\n--b--", "<a|-|>1;", NULL},
	};
	const char *error;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t length = strlen(cases[i].body);
		bool same = true;

		is_str(run("b", cases[i].body, length, length + 1, &error), cases[i].seen, cases[i].name);
		is_str(error, cases[i].error, "its error");
		for (size_t piece = 1; piece < 7; piece++)
			same = same && strcmp(run("b", cases[i].body, length, piece, &error), cases[i].seen) == 0 && !error == !cases[i].error;
		ok(same, "the same in pieces of any size");
	}
}

static void
test_bounds(void)
{
	static char body[80000];
	const char *error;
	size_t n;

	n = (size_t)snprintf(body, sizeof(body), "--b\r\nX-Long: ");
	memset(body + n, 'x', MULTIPART_HEAD_MAX);
	run("b", body, n + MULTIPART_HEAD_MAX, 1000, &error);
	is_str(error, "The header lines of a part are too long.", "a head that is too long");

	n = 0;
	for (int i = 0; i <= MULTIPART_PARTS_MAX; i++)
		n += (size_t)snprintf(body + n, sizeof(body) - n, "\r\n--b\r\n" FIELD("a"));
	run("b", body, n, n, &error);
	is_str(error, "There are too many parts.", "too many parts");
}

static void
test_stops(void)
{
	static const char body[] = "--b\r\n" FIELD("a") "1\r\n--b--";
	struct multipart *m;
	const char *error;

	for (int at = 1; at <= 3; at++) {
		stop_after = at;
		run("b", body, strlen(body), strlen(body), &error);
		is_str(error, "stopped", "a callback stops it");
	}
	stop_after = 0;
	m = multipart_create(arena, "b", &events, NULL);
	is_int(multipart_feed(m, "--bx", 4), -1, "malformed");
	is_int(multipart_feed(m, "--b\r\n", 5), -1, "and so it stays");
	is_int(multipart_finish(m), -1, "to the end");
	is_str(multipart_error(m), "A boundary is not at the end of its line.", "with its first error");
}

int
main(void)
{
	arena = arena_create(64 << 20);
	buf_init(&seen, 1 << 20);
	test_bodies();
	test_bounds();
	test_stops();
	buf_fini(&seen);
	arena_free(arena);
	return tap_done();
}
