#include "base/log.h"
#include "tap.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static char line[8192];

/* Sends standard error through a pipe, so that the line can be read back. */
static int pipe_fds[2];

static const char *read_line(void)
{
	ssize_t n = read(pipe_fds[0], line, sizeof(line) - 1);

	line[n > 0 ? n : 0] = '\0';
	return line;
}

static void test_logfmt(void)
{
	char expected[256];

	log_info("worker exited", log_int("status", -1), log_str("why", "a=b"), log_str("group", "api"), log_str("none", NULL));
	read_line();
	snprintf(expected, sizeof(expected), "level=info prog=test pid=%d msg=\"worker exited\" status=-1 why=\"a=b\" group=api none=\"\"\n", (int)getpid());
	ok(!strncmp(line, "ts=2", 4) && strstr(line, "Z level="), "time");
	is_str(strstr(line, "level="), expected, "logfmt line");
	log_set_request_id("ab12");
	log_err("say \"x\"\n\\\x01\xff", log_str("é", "é"));
	read_line();
	ok(strstr(line, " rid=ab12 msg=\"say \\\"x\\\"\\n\\\\\\u0001\\ufffd\" é=\"é\"\n") != NULL, "escapes and request id");
	is_str(log_request_id(), "ab12", "request id can be had back");
	log_set_request_id(NULL);
	errno = ENOENT;
	log_warn("could not open", log_errno());
	is_int(errno, ENOENT, "errno is kept");
	ok(strstr(read_line(), "error=\"No such file or directory\"\n") != NULL, "errno as a field");
}

static void test_json(void)
{
	char text[9000];

	log_configure(LOG_LEVEL_WARN, LOG_FORMAT_JSON);
	log_info("not written");
	log_warn("one", log_int("n", 5), log_str("s", "x y"));
	read_line();
	ok(line[0] == '{' && strstr(line, "\"level\":\"warn\",\"prog\":\"test\",\"pid\":") && strstr(line, ",\"msg\":\"one\",\"n\":5,\"s\":\"x y\"}\n"), "JSON line, and none below the level");
	memset(text, '"', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_err(text, log_int("dropped", 1));
	read_line();
	ok(strlen(line) <= 4096 && !strcmp(line + strlen(line) - 3, "\"}\n"), "a long line is cut and closed");
	log_configure(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT);
	memset(text, 'x', sizeof(text) - 1);
	log_err("m", log_str("long", text), log_str("more", text));
	read_line();
	ok(strlen(line) <= 4096 && !strcmp(line + strlen(line) - 2, "\"\n"), "the same in logfmt");
}

int main(void)
{
	int saved = dup(STDERR_FILENO);

	if (pipe(pipe_fds) || dup2(pipe_fds[1], STDERR_FILENO) < 0)
		return 99;
	log_init("test");
	test_logfmt();
	test_json();
	dup2(saved, STDERR_FILENO);
	return tap_done();
}
