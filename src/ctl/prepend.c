#include "config.h"

#include "base/clock.h"
#include "base/parse.h"
#include "ctl/ctl.h"
#include "ctl/messageset.h"
#include "ctl/progress.h"
#include "domain/repair.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TEMPLATE_MAX 2000 /* bytes */
#define NOTICE_MAX 4096
#define ARRAY_MAX ((size_t)64 << 20)

/* Columns of the statements; those up to NUMBER are fields of a notice. */
enum { ID, IDENTITY, LANG, MESSAGESET, NUMBER, FITS, WAITING };
static const char *const field_names[] = {[ID] = "id", [IDENTITY] = "identity", [LANG] = "lang", [MESSAGESET] = "messageset", [NUMBER] = "number"};
#define FIELDS (sizeof field_names / sizeof *field_names)

struct prepend {
	struct ctl *ctl;
	const char *template;
	bool audio, act;
	int64_t messageset_id, now;
	char last[UUID_TEXT_SIZE]; /* where the last chunk ended */
	char example[NOTICE_MAX + 1];
	struct buf open;           /* those of a chunk that are still to be done */
	int open_count;
	struct db_result *locked;  /* those of the last transaction */
	struct buf ids, notices;
	struct counts {
		int64_t looked_at, put, waiting, unfit, left;
	} step, all;
};

/* The field that a template names at text, "{lang}", and its length; -1 for none. */
static int find_field(const char *text, size_t *length)
{
	for (size_t i = 0; i < FIELDS; i++) {
		size_t n = strlen(field_names[i]);

		if (text[0] == '{' && !strncmp(text + 1, field_names[i], n) && text[n + 1] == '}') {
			*length = n + 2;
			return (int)i;
		}
	}
	return -1;
}

/* {{ and }} are braces. */
static bool is_brace(const char *text)
{
	return (*text == '{' || *text == '}') && text[1] == *text;
}

static int check_template(const char *option, const char *template, bool audio)
{
	size_t n = strlen(template), length;

	if (n == 0 || n > TEMPLATE_MAX || !utf8_is_valid(template, n))
		return ctl_usage("--%s: expected 1 to %d bytes of UTF-8", option, TEMPLATE_MAX);
	if (audio && strncmp(template, "https://", 8) != 0 && strncmp(template, "http://", 7) != 0)
		return ctl_usage("--audio: expected an address that begins with https:// or http://");
	for (const char *p = template; *p; p += length) {
		unsigned char c = (unsigned char)*p;

		length = 1;
		if (c == 0x7f || (c < 0x20 && (audio || c != '\n')) || (audio && c == ' '))
			return ctl_usage("--%s: control characters%s are not allowed", option, audio ? " and blanks" : "");
		if (is_brace(p))
			length = 2;
		else if ((*p == '{' || *p == '}') && find_field(p, &length) < 0)
			return ctl_usage("--%s: \"%.20s\": fields are {id}, {identity}, {lang}, {messageset} and {number}; {{ and }} are braces", option, p);
	}
	return CTL_OK;
}

static void fill_in(const struct prepend *p, const struct db_result *rows, int row, struct buf *out)
{
	size_t length;

	for (const char *at = p->template; *at; at += length) {
		int field = find_field(at, &length);

		if (is_brace(at) || field < 0) {
			length = is_brace(at) ? 2 : 1;
			buf_putc(out, *at);
		} else if (p->audio) {
			buf_put_url(out, db_text(rows, row, field));
		} else {
			buf_puts(out, db_text(rows, row, field));
		}
	}
}

static void take_notice(struct prepend *p, const char *id, const char *notice)
{
	if (!*p->example)
		snprintf(p->example, sizeof p->example, "%s", notice);
	if (p->act) {
		db_array_put(&p->ids, id);
		db_array_put(&p->notices, notice);
	}
	p->step.put++;
}

static void take_row(struct prepend *p, const struct db_result *rows, int row)
{
	struct buf notice;

	p->step.looked_at++;
	if (!db_bool(rows, row, FITS)) {
		p->step.unfit++;
		return;
	}
	if (db_bool(rows, row, WAITING)) {
		p->step.waiting++;
		return;
	}
	buf_init(&notice, NOTICE_MAX);
	fill_in(p, rows, row, &notice);
	if (notice.overflow)
		p->step.unfit++;
	else
		take_notice(p, db_text(rows, row, ID), buf_text(&notice));
	buf_fini(&notice);
}

static enum db_status store(struct prepend *p)
{
	struct db_params params;

	db_array_end(&p->ids);
	db_array_end(&p->notices);
	db_params_init(&params);
	db_param_text(&params, buf_text(&p->ids));
	db_param_text(&params, buf_text(&p->notices));
	db_param_time(&params, p->now);
	return p->act && p->step.put ? db_query(p->ctl->db, DB_Q_REPAIR_PREPEND, &params, NULL) : DB_OK;
}

static enum db_status query(struct prepend *p, enum db_query statement, struct db_result **rows)
{
	struct db_params params;

	db_params_init(&params);
	db_param_text(&params, p->audio ? "audio" : "text");
	if (statement == DB_Q_REPAIR_PREPEND_CHUNK) {
		db_param_text(&params, p->last);
		db_param_id(&params, p->messageset_id);
	} else {
		db_param_text(&params, buf_text(&p->open));
	}
	return db_query(p->ctl->db, statement, &params, rows);
}

static void take_rows(struct prepend *p, const struct db_result *rows)
{
	p->step = (struct counts){0};
	buf_reset(&p->ids);
	buf_reset(&p->notices);
	db_array_begin(&p->ids);
	db_array_begin(&p->notices);
	for (int row = 0; row < db_rows(rows); row++)
		take_row(p, rows, row);
}

/* Those that are open and that nobody else is at. */
static enum db_status prepend_step(struct db *db, void *data)
{
	struct prepend *p = data;
	enum db_status status;

	(void)db;
	db_result_free(p->locked);
	p->locked = NULL;
	status = query(p, DB_Q_REPAIR_PREPEND_LOCK, &p->locked);
	if (status != DB_OK)
		return status;
	take_rows(p, p->locked);
	return store(p);
}

static void add_counts(struct prepend *p)
{
	p->all.looked_at += p->step.looked_at;
	p->all.put += p->step.put;
	p->all.waiting += p->step.waiting;
	p->all.unfit += p->step.unfit;
}

/* Makes these rows the open ones; without those in `but`, which has some of them, in the same order. */
static void set_open(struct prepend *p, const struct db_result *rows, const struct db_result *but)
{
	int skip = 0;

	p->open_count = 0;
	buf_reset(&p->open);
	db_array_begin(&p->open);
	for (int row = 0; row < db_rows(rows); row++) {
		const char *id = db_text(rows, row, ID);

		if (but && skip < db_rows(but) && !strcmp(db_text(but, skip, ID), id)) {
			skip++;
			continue;
		}
		db_array_put(&p->open, id);
		p->open_count++;
	}
	db_array_end(&p->open);
}

/* Puts notices in for a chunk: again and again for those that somebody else is at. rows are freed. */
static enum db_status put_in(struct prepend *p, struct db_result *rows)
{
	enum db_status status = DB_OK;
	int round = 0;

	set_open(p, rows, NULL);
	while (status == DB_OK && p->open_count > 0) {
		status = repair_transaction(p->ctl->db, prepend_step, p);
		if (status != DB_OK)
			break;
		add_counts(p);
		set_open(p, rows, p->locked);
		if (p->open_count == 0 || !repair_pause(&round))
			break;
		db_result_free(rows);
		rows = NULL;
		status = query(p, DB_Q_REPAIR_PREPEND_LOOK, &rows);
		if (status == DB_OK)
			set_open(p, rows, NULL);
	}
	p->all.left += p->open_count;
	db_result_free(rows);
	return status;
}

static enum db_status take_chunk(struct prepend *p, bool *more)
{
	struct db_result *rows;
	enum db_status status = query(p, DB_Q_REPAIR_PREPEND_CHUNK, &rows);

	if (status != DB_OK)
		return status;
	*more = db_rows(rows) > 0;
	if (*more)
		snprintf(p->last, sizeof p->last, "%s", db_text(rows, db_rows(rows) - 1, ID));
	if (p->act)
		return put_in(p, rows);
	take_rows(p, rows);
	add_counts(p);
	db_result_free(rows);
	return DB_OK;
}

static int go_through(struct prepend *p)
{
	enum db_status status = DB_OK;
	struct progress progress;
	bool more = true;
	int64_t total;

	if (ctl_active(p->ctl, p->messageset_id, &total))
		return CTL_FAILED;
	progress_begin(&progress, "subscriptions", total);
	while (status == DB_OK && more) {
		status = take_chunk(p, &more);
		progress_set(&progress, p->all.looked_at);
	}
	progress_end(&progress);
	return status == DB_OK ? CTL_OK : ctl_db_failed(p->ctl, "go through the subscriptions");
}

static int tell(const struct prepend *p, int rc)
{
	const char *plural = p->all.put == 1 ? "" : "s";

	if (*p->example)
		printf("for instance: %s\n", p->example);
	fflush(stdout);
	if (p->all.waiting)
		fprintf(stderr, "sbmctl: %" PRId64 " of %" PRId64 " active subscriptions have a notice that waits, and keep it\n", p->all.waiting, p->all.looked_at);
	if (p->all.unfit)
		fprintf(stderr, "sbmctl: %" PRId64 " have metadata that is no object, or a notice that would get longer than %d bytes, and get none\n",
		    p->all.unfit, NOTICE_MAX);
	if (p->all.left)
		fprintf(stderr, "sbmctl: %" PRId64 " were locked by somebody else all the time, and get none\n", p->all.left);
	if (p->act)
		fprintf(stderr, "sbmctl: put a notice before the next message of %" PRId64 " subscription%s\n", p->all.put, plural);
	else if (!rc)
		ctl_would("put a notice before the next message of %" PRId64 " subscription%s", p->all.put, plural);
	return p->all.left ? CTL_FAILED : rc;
}

int ctl_subscriptions_prepend(struct ctl *ctl, const struct ctl_args *args)
{
	struct prepend p = {.ctl = ctl, .act = ctl_yes(args), .audio = ctl_has(args, "audio"), .last = UUID_FIRST};
	const char *option = p.audio ? "audio" : "text";
	int rc;

	if (ctl_has(args, "audio") == ctl_has(args, "text"))
		return ctl_usage("expected either --audio or --text");
	p.template = ctl_value(args, option);
	if (check_template(option, p.template, p.audio))
		return CTL_USAGE;
	if (!ctl_db(ctl) || ctl_messageset(ctl, ctl_value(args, "message-set"), &p.messageset_id))
		return CTL_FAILED;
	p.now = clock_now();
	buf_init(&p.open, ARRAY_MAX);
	buf_init(&p.ids, ARRAY_MAX);
	buf_init(&p.notices, ARRAY_MAX);
	rc = tell(&p, go_through(&p));
	db_result_free(p.locked);
	buf_fini(&p.open);
	buf_fini(&p.ids);
	buf_fini(&p.notices);
	return rc;
}
