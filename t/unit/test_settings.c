#include "base/settings.h"
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

static char path[] = "test_settings.XXXXXX";
static char error[512];

static void write_file(const char *text)
{
	FILE *file = fopen(path, "w");

	fputs(text, file);
	fclose(file);
}

static int load(const char *text)
{
	*error = '\0';
	write_file(text);
	return settings_load(path, error, sizeof(error));
}

static void test_values(void)
{
	char show[128];

	is_int(load("# a comment\n\n workers = 7 # and another\nlease=90s\nbody_max = 64KiB\ndatabase = \"host=/tmp dbname=x\"\nlog_level = warn\n"
		    "user = \"a#b \\\"q\\\" \\\\\"\n"), 0, "a good file");
	is_int(setting_int(SETTING_WORKERS), 7, "a number");
	is_int(setting_int(SETTING_LEASE), 90000, "a duration in milliseconds");
	is_int(setting_int(SETTING_BODY_MAX), 65536, "a size in bytes");
	is_int(setting_int(SETTING_LOG_LEVEL), 1, "a word's index");
	is_str(setting_str(SETTING_LOG_LEVEL), "warn", "a word");
	is_str(setting_str(SETTING_DATABASE), "host=/tmp dbname=x", "a text in quotes");
	is_str(setting_str(SETTING_USER), "a#b \"q\" \\", "escapes in quotes");
	is_int(setting_int(SETTING_BATCH), 500, "a default");
	is_str(setting_source(SETTING_WORKERS), "file", "source: file");
	is_str(setting_source(SETTING_BATCH), "default", "source: default");
	is_str(setting_show(SETTING_DATABASE, show, sizeof(show)), "(secret)", "a secret is not shown");
	is_str(setting_show(SETTING_LEASE, show, sizeof(show)), "90s", "a value is shown as it was written");
	is_str(setting_show(SETTING_USER, show, sizeof(show)), "\"a#b \\\"q\\\" \\\\\"", "a text is shown as the file would have it");
	is_str(setting_show(SETTING_MEDIA_URL, show, sizeof(show)), "\"\"", "an empty text too");
	is_str(settings_path(), path, "the file's path");
}

static void test_environment(void)
{
	setenv("SBM_WORKERS", "9", 1);
	setenv("SBM_URL", "http://here", 1);
	is_int(load("workers = 7\n"), 0, "the environment");
	is_int(setting_int(SETTING_WORKERS), 9, "goes before the file");
	is_str(setting_source(SETTING_WORKERS), "environment", "source: environment");
	setenv("SBM_WORKERS", "none", 1);
	is_int(load(""), -1, "a bad value in the environment");
	is_str(error, "SBM_WORKERS: workers: bad value \"none\"; allowed: a number from 1 to 64", "is named");
	is_int(setting_int(SETTING_WORKERS), 9, "and changes nothing");
	unsetenv("SBM_WORKERS");
	unsetenv("SBM_URL");
}

static void test_errors(void)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"\nworkerz = 1\n", ":2: \"workerz\" is not a setting; sbm.conf(5) has them all"},
		{"workers = 65\n", ":1: workers: bad value \"65\"; allowed: a number from 1 to 64"},
		{"lease = 5x\n", ":1: lease: bad value \"5x\"; allowed: a duration from 1s to 1h (seconds, or with ms, s, m, h, d)"},
		{"body_max = 1\n", ":1: body_max: bad value \"1\"; allowed: a size from 1KiB to 16MiB (bytes, or with KiB, MiB, GiB)"},
		{"log_level = loud\n", ":1: log_level: bad value \"loud\"; allowed: one of err, warn, info, debug"},
		{"database = \"\"\n", ":1: database: bad value; allowed: a text of 1 to 1024 bytes"},
		{"user = \"a\tb\"\n", ":1: user: the value has control characters or is not UTF-8"},
		{"workers = 1 2\n", ":1: workers: text after the value; put a value with blanks into double quotes"},
		{"user = \"a\"b\n", ":1: user: text after the value"},
		{"user = \"a\n", ":1: user: the closing double quote is missing"},
		{"url =\n", ":1: url: the value is missing; write \"\" for an empty one"},
		{"url = # x\n", ":1: url: the value is missing; write \"\" for an empty one"},
		{"url http://x\n", ":1: expected \"name = value\""},
		{"= 5\n", ":1: expected \"name = value\""},
		{"url = http://x/\n", ":1: url: bad value \"http://x/\"; allowed: an http or https URL without a slash at its end"},
		{"message_sender_url = log:out\n",
		 ":1: message_sender_url: bad value \"log:out\"; allowed: an http or https URL without a slash at its end, or log: and an absolute path"},
		{"identity_store_url = direct:x\n",
		 ":1: identity_store_url: bad value \"direct:x\"; allowed: an http or https URL without a slash at its end, or direct:"},
		{"scheduler_url = ftp://x\n", ":1: scheduler_url: bad value \"ftp://x\"; allowed: nothing, or an http or https URL without a slash at its end"},
		{"url = http:///x\n", ":1: url: bad value \"http:///x\"; allowed: an http or https URL without a slash at its end"},
		{"batch = 1\nbatch = 2\n", ":2: batch: already set in line 1"},
	};
	char expected[512];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		is_int(load(cases[i].text), -1, cases[i].error);
		snprintf(expected, sizeof(expected), "%s%s", path, cases[i].error);
		is_str(error, expected, "says where, what, and what is allowed");
	}
	is_int(load("page_size = 3\npage_size_max = 2\n"), -1, "settings that do not fit each other");
	is_str(error, "page_size (3, from file) is more than page_size_max (2, from file)", "are named");
	is_int(load("identity_store_url = direct:\nmessage_sender_url = log:/tmp/x\nurl = https://x.example.org:8443/a\nscheduler_url = \"\"\n"), 0, "URLs as they may be");
	is_int(settings_load("/nowhere/sbm.conf", error, sizeof(error)), -1, "a file that was asked for must be there");
	is_str(error, "/nowhere/sbm.conf: could not open: No such file or directory", "and its name is told");
}

static void test_reload(void)
{
	load("workers = 3\napi_socket = /a\n");
	write_file("workers = 4\napi_socket = /b\n");
	is_int(settings_reload(error, sizeof(error)), 0, "reload");
	is_int(setting_int(SETTING_WORKERS), 4, "takes over what may change");
	is_str(setting_str(SETTING_API_SOCKET), "/a", "and nothing else");
	write_file("workers = 5\nbatch = x\n");
	is_int(settings_reload(error, sizeof(error)), -1, "a bad file is refused");
	is_int(setting_int(SETTING_WORKERS), 4, "and the old settings kept");
}

static void test_rows(void)
{
	bool fine = true;

	for (int i = 0; i < SETTING_MAX; i++) {
		char allowed[160];

		fine = fine && setting_find(settings_rows[i].name) == i && strlen(setting_allowed((enum setting)i, allowed, sizeof(allowed))) < sizeof(allowed) - 1;
		fine = fine && *settings_rows[i].description;
	}
	ok(fine, "each row can be found by its name and says what is allowed");
	is_int(setting_find("nothing"), -1, "an unknown name is not found");
}

int main(void)
{
	close(mkstemp(path));
	test_values();
	test_environment();
	test_errors();
	test_reload();
	test_rows();
	unlink(path);
	return tap_done();
}
