#include "domain/guard.h"

#include "tap.h"

#define OURS "11111111-1111-4111-8111-111111111111"
#define OTHER "22222222-2222-4222-8222-222222222222"
#define NONCE_A "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
#define NOTHING {"", "", 0, 0, 0}
#define NONCE_B "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"

/* A database of lineage OURS at mark 100, seen by a machine that knows `seen`. */
static const struct judged {
	const char *name, *place, *timeline;
	struct guard_mark seen;
	enum guard_verdict verdict;
} cases[] = {
	{"no daemon was at it yet", "", "", NOTHING, GUARD_FINE},
	{"as it was left", "here", "00000001", {OURS, NONCE_A, 100, 0, 0}, GUARD_FINE},
	{"others went on with it", "here", "00000001", {OURS, NONCE_B, 90, 0, 0}, GUARD_FINE},
	{"the state directory was lost", "here", "00000001", NOTHING, GUARD_FINE},
	{"the state is of another database", "here", "00000001", {OTHER, NONCE_B, 500, 0, 0}, GUARD_FINE},
	{"an older copy in the same place", "here", "00000001", {OURS, NONCE_B, 101, 0, 0}, GUARD_OLDER},
	{"an older copy elsewhere", "there", "00000001", {OURS, NONCE_B, 101, 0, 0}, GUARD_OLDER},
	{"a copy from before the first daemon", "", "", {OURS, NONCE_B, 101, 0, 0}, GUARD_OLDER},
	{"a copy that went on elsewhere", "here", "00000001", {OURS, NONCE_B, 100, 0, 0}, GUARD_FORKED},
	{"a copy elsewhere, as it was left", "there", "00000001", {OURS, NONCE_A, 100, 0, 0}, GUARD_MOVED},
	{"a copy elsewhere, nothing known", "there", "00000001", NOTHING, GUARD_MOVED},
	{"a standby that took over with all that was seen", "here", "00000002", {OURS, NONCE_A, 100, 0, 0}, GUARD_FINE},
	{"a recovery to a point in time, nothing known", "here", "00000002", NOTHING, GUARD_MOVED},
};

static void test_judge(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct guard guard = {.at = {OURS, NONCE_A, 100, 0, 0}, .here = "here", .timeline_here = "00000001"};
		char reason[GUARD_REASON_SIZE];

		snprintf(guard.place, sizeof guard.place, "%s", cases[i].place);
		snprintf(guard.timeline, sizeof guard.timeline, "%s", cases[i].timeline);
		is_int(guard_judge(&guard, &cases[i].seen), cases[i].verdict, cases[i].name);
		guard_explain(&guard, &cases[i].seen, cases[i].verdict, reason);
		ok((*reason == '\0') == (cases[i].verdict == GUARD_FINE), "and it says why");
	}
}

static void test_explain(void)
{
	const struct guard guard = {.at = {OURS, NONCE_A, 100, 250, 1795000000000000}};
	const struct guard_mark seen = {OURS, NONCE_B, 110, 1000, 1795003600000000};
	char reason[GUARD_REASON_SIZE];

	guard_explain(&guard, &seen, GUARD_OLDER, reason);
	if (!ok(strstr(reason, "about 750 messages, sent from 2026-11-18T11:06:40Z to 2026-11-18T12:06:40Z"), "how many, from when to when"))
		printf("# %s\n", reason);
}

static void test_file(void)
{
	static const char *const bad[] = {
		"", "lineage x", "lineage " OURS "\nnonce " NONCE_A "\nmark 1\nsent 2\nmarked_at 3\n",
		"lineage " OURS "\nnonce " NONCE_A "\nmark -1\nsent 2\nmarked_at 3\nend\n",
		"lineage " OURS "\nnonce nonsense\nmark 1\nsent 2\nmarked_at 3\nend\n",
		"lineage " OURS "\nnonce " NONCE_A "\nmark 1\nsent 2\nmarked_at 3\nend\nmore",
	};
	const struct guard_mark mark = {OURS, NONCE_B, INT64_MAX, 12345, 1795003600000000};
	struct guard_mark read = {0};
	char text[GUARD_TEXT_SIZE];

	guard_format(&mark, text);
	is_int(guard_parse(text, &read), 0, "what was written is read");
	is_str(read.lineage, OURS, "lineage");
	is_str(read.nonce, NONCE_B, "nonce");
	is_int(read.mark, INT64_MAX, "mark");
	is_int(read.sent, 12345, "sent");
	is_int(read.marked_at, 1795003600000000, "time");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		is_int(guard_parse(bad[i], &read), -1, "a file that is none");
	is_int(read.sent, 12345, "leaves all as it was");
}

int main(void)
{
	test_judge();
	test_explain();
	test_file();
	return tap_done();
}
