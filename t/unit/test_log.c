#include "base/log.h"
#include "tap.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
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

static int listen_syslog(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	unlink(path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		exit(99);
	return fd;
}

static const char *receive(int fd)
{
	ssize_t n = recv(fd, line, sizeof(line) - 1, MSG_DONTWAIT);

	line[n > 0 ? n : 0] = '\0';
	return line;
}

static void test_syslog(void)
{
	static const struct {
		enum log_level level;
		const char *head;
	} levels[] = {{LOG_LEVEL_ERR, "<27>"}, {LOG_LEVEL_WARN, "<28>"}, {LOG_LEVEL_INFO, "<30>"}, {LOG_LEVEL_DEBUG, "<31>"}};
	char dir[] = "/tmp/sbm-test-log.XXXXXX", path[64], expected[128];
	int fd, sent = 0;
	struct tm tm;

	if (!mkdtemp(dir))
		exit(99);
	snprintf(path, sizeof(path), "%s/log", dir);
	log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
	log_to(LOG_TARGET_SYSLOG, path);
	log_info("nobody is there");
	ok(strstr(read_line(), "msg=\"nobody is there\"\n"), "without the system's log a line goes to standard error");
	fd = listen_syslog(path);
	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
		log_write(levels[i].level, "told", LOG_FIELDS(log_int("n", 5)));
		ok(!strncmp(receive(fd), levels[i].head, 4), "severity");
	}
	ok(strptime(line + 4, "%b %e %H:%M:%S", &tm) != NULL, "local time");
	snprintf(expected, sizeof(expected), " test[%d]: ts=2", (int)getpid());
	ok(strstr(line, expected) != NULL, "program and process");
	ok(!strcmp(line + strlen(line) - strlen(" msg=\"told\" n=5"), " msg=\"told\" n=5"), "the line, without its end");
	close(fd);
	fd = listen_syslog(path);
	log_info("again");
	ok(strstr(receive(fd), "msg=\"again\""), "it was started anew");
	/* It hangs: its queue fills, and then nobody waits for it. */
	while (sent < 100000) {
		log_info("more");
		sent++;
		if (recv(pipe_fds[0], line, 1, MSG_DONTWAIT) == 1)
			break;
	}
	ok(sent > 1 && sent < 100000, "when it takes no more, lines go to standard error");
	log_to(LOG_TARGET_STDERR, path);
	read_line();
	log_info("back");
	ok(strstr(read_line(), "msg=\"back\"\n"), "and back");
	close(fd);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	int saved = dup(STDERR_FILENO);

	/* Not a pipe, so that it can be asked without a wait. */
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pipe_fds) || dup2(pipe_fds[1], STDERR_FILENO) < 0)
		return 99;
	log_init("test");
	test_logfmt();
	test_json();
	test_syslog();
	dup2(saved, STDERR_FILENO);
	return tap_done();
}
