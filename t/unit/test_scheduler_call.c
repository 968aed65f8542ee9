#include "domain/scheduler_call.h"

#include "base/settings.h"
#include "tap.h"

#include <stdlib.h>

static void test_texts(void)
{
	const char *const fields[CRON_FIELD_MAX] = {[CRON_MINUTE] = "*/5", [CRON_HOUR] = "6, 18", [CRON_DAY_OF_WEEK] = " 1 -\t5", [CRON_DAY_OF_MONTH] = "31", [CRON_MONTH_OF_YEAR] = "1-12/2"};
	char digest[DIGEST_HEX_SIZE], other[DIGEST_HEX_SIZE];
	struct buf out;

	buf_init(&out, 4096);
	scheduler_put_url(NULL, &out);
	is_str(buf_text(&out), "http://scheduler.example.org/api/v1/schedule/", "where schedules are made");
	buf_reset(&out);
	scheduler_put_url("5c000000-0000-4000-8000-000000000001", &out);
	is_str(buf_text(&out), "http://scheduler.example.org/api/v1/schedule/5c000000-0000-4000-8000-000000000001/", "and changed");
	buf_reset(&out);
	scheduler_put_body(12, fields, &out);
	is_str(buf_text(&out), "{\"frequency\": null, \"cron_definition\": \"*/5 6,18 31 1-12/2 1-5\", \"endpoint\": \"http://sbm.example.org/api/v1/schedule/12/send/\", \"auth_token\": \"in\\\"bound\"}",
	    "a definition has cron's order and no blanks inside");
	scheduler_digest(&out, digest);
	buf_reset(&out);
	scheduler_put_body(13, fields, &out);
	scheduler_digest(&out, other);
	ok(strlen(digest) == 64 && strcmp(digest, other) != 0, "another body, another digest");
	buf_fini(&out);
	ok(scheduler_is_external(), "the scheduler is another one");
	ok(scheduler_knows_zone("UTC") && !scheduler_knows_zone("Africa/Johannesburg"), "that knows only UTC");
}

static void test_ids(void)
{
	static const struct {
		const char *body, *id;
	} cases[] = {
		{"{\"id\": \"5C000000-0000-4000-8000-000000000001\", \"enabled\": true}", "5c000000-0000-4000-8000-000000000001"},
		{"{\"id\": 7}", NULL},
		{"{\"id\": \"None\"}", NULL},
		{"{}", NULL},
		{"[]", NULL},
		{"", NULL},
		{"<html>", NULL},
	};
	char id[UUID_TEXT_SIZE];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int rc = scheduler_read_id(cases[i].body, strlen(cases[i].body), id);

		if (cases[i].id)
			is_str(rc == 0 ? id : "none", cases[i].id, cases[i].body);
		else
			is_int(rc, -1, cases[i].body);
	}
}

static void test_pages(void)
{
#define OURS "{\"id\": \"5c000000-0000-4000-8000-000000000001\", \"endpoint\": \"http://sbm/1/send/\"}"
#define OTHER "{\"id\": \"5c000000-0000-4000-8000-000000000002\", \"endpoint\": \"http://sbm/11/send/\"}"
#define OFF "{\"id\": \"5c000000-0000-4000-8000-000000000003\", \"endpoint\": \"http://sbm/1/send/\", \"enabled\": false}"
	static const struct {
		const char *body;
		enum scheduler_page page;
		const char *next;
	} cases[] = {
		{"{\"results\": [" OTHER ", " OURS "], \"next\": \"http://x/?page=2\"}", SCHEDULER_PAGE_FOUND, ""},
		{"[" OFF ", " OURS "]", SCHEDULER_PAGE_FOUND, ""},
		{"{\"results\": [" OTHER "], \"next\": \"http://elsewhere.example.org/list/?cursor=a%3D&x=1\"}", SCHEDULER_PAGE_MORE, "?cursor=a%3D&x=1"},
		{"{\"results\": [" OFF "], \"next\": null}", SCHEDULER_PAGE_END, ""},
		{"{\"results\": [], \"next\": \"no query\"}", SCHEDULER_PAGE_END, ""},
		{"{\"results\": [1, null, {\"endpoint\": \"http://sbm/1/send/\", \"id\": 3}]}", SCHEDULER_PAGE_END, ""},
		{"{\"detail\": \"Not found.\"}", SCHEDULER_PAGE_ODD, ""},
		{"\"text\"", SCHEDULER_PAGE_ODD, ""},
		{"", SCHEDULER_PAGE_ODD, ""},
	};
	struct buf next;

	buf_init(&next, 1024);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char id[UUID_TEXT_SIZE] = "";

		is_int(scheduler_read_page(cases[i].body, strlen(cases[i].body), "http://sbm/1/send/", id, &next), cases[i].page, cases[i].body);
		is_str(buf_text(&next), cases[i].next, "and what follows");
		is_str(id, cases[i].page == SCHEDULER_PAGE_FOUND ? "5c000000-0000-4000-8000-000000000001" : "", "and what was found");
	}
	buf_fini(&next);
}

int main(void)
{
	char error[512];

	setenv("SBM_URL", "http://sbm.example.org", 1);
	setenv("SBM_SCHEDULER_URL", "http://scheduler.example.org/api/v1", 1);
	setenv("SBM_SCHEDULER_INBOUND_API_TOKEN", "in\"bound", 1);
	if (!ok(settings_load("/dev/null", error, sizeof error) == 0, "settings"))
		return tap_done();
	test_texts();
	test_ids();
	test_pages();
	return tap_done();
}
