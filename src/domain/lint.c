#include "domain/lint.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/parse.h"
#include "domain/content.h"
#include "domain/programme.h"

#include <stdlib.h>
#include <string.h>

#define DETAIL_MAX 4096

const char *const lint_rules[] = {
	"audio_file", "empty_set", "empty_text", "file_gone", "file_unused", "gap", "language", "loop", "next_language", "number",
	"schedule", "special", "too_long", "whatsapp", NULL
};

/* One message set under the eye; its messages are one stretch of the catalogue's, by number, then language. */
struct view {
	const struct lint *lint;
	const struct catalogue_set *set;
	const struct catalogue_message *messages;
	size_t count;
	const char **langs; /* all languages of the set */
	size_t lang_count;
	struct buf detail;
};

static void tell(struct view *v, const char *rule, const struct catalogue_message *m, const char *lang)
{
	const struct lint_finding finding = {
		.rule = rule,
		.set = v->set ? v->set->name : NULL,
		.number = m ? m->number : 0,
		.has_number = m != NULL,
		.lang = m ? m->lang : lang,
		.detail = buf_text(&v->detail),
	};

	v->lint->found(v->lint->context, &finding);
	buf_reset(&v->detail);
}

/* ---- texts and files of single messages */

static void check_sms(struct view *v, const struct catalogue_message *m)
{
	struct content_sms sms = content_count_sms(m->text);

	if (sms.parts <= v->lint->sms_parts)
		return;
	buf_printf(&v->detail, "takes %lld SMS: %lld %s", (long long)sms.parts, (long long)sms.units, sms.ucs2 ? "UCS-2 units" : "GSM-7 septets");
	if (sms.because)
		buf_printf(&v->detail, ", because of \"%.*s\"", (int)sms.because_length, sms.because);
	tell(v, "too_long", m, NULL);
}

static void check_whatsapp(struct view *v, const struct catalogue_message *m)
{
	if (!content_fits_whatsapp(m->text)) {
		buf_puts(&v->detail, "has a newline, a tab or 4 consecutive spaces, which WhatsApp refuses");
		tell(v, "whatsapp", m, NULL);
	}
	if (utf8_length(m->text) > CONTENT_WHATSAPP_MAX) {
		buf_printf(&v->detail, "has %zu characters; WhatsApp takes %d", utf8_length(m->text), CONTENT_WHATSAPP_MAX);
		tell(v, "too_long", m, NULL);
	}
}

/* The characters that have a plain twin, which content_check_special names at the end of its sentence. */
static void check_special(struct view *v, const struct catalogue_message *m)
{
	struct buf sentence;

	buf_init(&sentence, 2 * strlen(m->text) + DETAIL_MAX);
	if (content_check_special(m->text, &sentence)) {
		const char *characters = strrchr(buf_text(&sentence), ':');

		buf_printf(&v->detail, "has characters with a plain twin%.200s", characters ? characters : "");
		tell(v, "special", m, NULL);
	}
	buf_fini(&sentence);
}

static void check_text(struct view *v, const struct catalogue_message *m)
{
	size_t n = 0;

	if (m->text)
		content_trim(m->text, &n);
	if (n == 0 && !v->set->audio) {
		buf_puts(&v->detail, m->binary_id ? "has a picture and no text" : "has no text");
		tell(v, "empty_text", m, NULL);
	}
	/* Nobody is sent the text of an audio message. */
	if (n == 0 || v->set->audio)
		return;
	check_special(v, m);
	if (content_is_whatsapp(v->set->channel))
		check_whatsapp(v, m);
	else
		check_sms(v, m);
}

static void check_file(struct view *v, const struct catalogue_message *m)
{
	if (!m->binary_id) {
		if (v->set->audio) {
			buf_puts(&v->detail, "is an audio message without a file; it cannot be sent");
			tell(v, "audio_file", m, NULL);
		}
		return;
	}
	if (m->file && v->lint->has_file(v->lint->context, m->file))
		return;
	buf_printf(&v->detail, "its file \"%.200s\" of binary content %lld is not in the media directory", m->file ? m->file : "", (long long)m->binary_id);
	tell(v, "file_gone", m, NULL);
}

/* ---- sequences and languages */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void collect_langs(struct view *v)
{
	size_t kept = 0;

	v->langs = calloc(v->count + 1, sizeof *v->langs);
	SBM_ASSERT(v->langs);
	for (size_t i = 0; i < v->count; i++)
		v->langs[i] = v->messages[i].lang;
	qsort(v->langs, v->count, sizeof *v->langs, by_text);
	for (size_t i = 0; i < v->count; i++)
		if (kept == 0 || strcmp(v->langs[kept - 1], v->langs[i]) != 0)
			v->langs[kept++] = v->langs[i];
	v->lang_count = kept;
}

/* Numbers that are missing, as they come in order: "3, 5-7". */
struct missing {
	struct buf *out;
	int64_t first, last;
	bool any;
};

static void put_missing(struct missing *missing)
{
	if (!missing->any)
		return;
	if (missing->out->length)
		buf_puts(missing->out, ", ");
	buf_put_int(missing->out, missing->first);
	if (missing->last > missing->first)
		buf_printf(missing->out, "%s%lld", missing->last > missing->first + 1 ? "-" : ", ", (long long)missing->last);
}

static void add_missing(struct missing *missing, int64_t first, int64_t last)
{
	if (missing->any && missing->last + 1 == first) {
		missing->last = last;
		return;
	}
	put_missing(missing);
	*missing = (struct missing){missing->out, first, last, true};
}

/* Numbers from 1 on that no language has, and those below. */
static void check_numbers(struct view *v)
{
	struct buf numbers;
	struct missing missing = {.out = &numbers};
	int64_t next = 1;

	buf_init(&numbers, DETAIL_MAX / 2);
	for (size_t i = 0; i < v->count; i++) {
		const struct catalogue_message *m = &v->messages[i];

		if (m->number < 1) {
			buf_puts(&v->detail, "comes before the first message, which has the number 1: it is sent to nobody");
			tell(v, "number", m, NULL);
			continue;
		}
		if (m->number > next)
			add_missing(&missing, next, m->number - 1);
		next = m->number + 1;
	}
	put_missing(&missing);
	if (missing.any) {
		buf_printf(&v->detail, "no language has %s%s; whoever comes there gets no further", buf_text(&numbers), numbers.overflow ? ", ..." : "");
		tell(v, "gap", NULL, NULL);
	}
	buf_fini(&numbers);
}

/* What one language lacks of the numbers that any has. */
static void check_language(struct view *v, const char *lang)
{
	struct buf numbers;
	struct missing missing = {.out = &numbers};

	buf_init(&numbers, DETAIL_MAX / 2);
	for (size_t i = 0, end; i < v->count; i = end) {
		bool has = false;

		for (end = i; end < v->count && v->messages[end].number == v->messages[i].number; end++)
			has = has || strcmp(v->messages[end].lang, lang) == 0;
		if (!has)
			add_missing(&missing, v->messages[i].number, v->messages[i].number);
	}
	put_missing(&missing);
	if (missing.any) {
		buf_printf(&v->detail, "lacks %s%s, which other languages have", buf_text(&numbers), numbers.overflow ? ", ..." : "");
		tell(v, "language", NULL, lang);
	}
	buf_fini(&numbers);
}

/* ---- chains */

/* A loop is told once, at the first of its sets. */
static void check_loop(struct view *v)
{
	const struct catalogue_set *set = v->set;
	size_t steps = 0;

	do {
		set = set->next;
		/* A step to an earlier set: that one tells the loop, or leads into it. */
	} while (set && set > v->set && ++steps < v->lint->content->set_count);
	if (set != v->set)
		return;
	buf_printf(&v->detail, "the chain of sets comes back: %s", set->name);
	do {
		set = set->next;
		buf_printf(&v->detail, " -> %s", set->name);
	} while (set != v->set);
	tell(v, "loop", NULL, NULL);
}

static bool has_language(const struct catalogue *c, const struct catalogue_set *set, const char *lang)
{
	size_t place = (size_t)(set - c->sets);

	for (size_t i = 0; i < c->message_count; i++)
		if (c->messages[i].set == place && strcmp(c->messages[i].lang, lang) == 0)
			return true;
	return false;
}

static void check_next_languages(struct view *v)
{
	const struct catalogue_set *next = v->set->next;

	for (size_t i = 0; next && i < v->lang_count; i++)
		if (!has_language(v->lint->content, next, v->langs[i])) {
			buf_printf(&v->detail, "leads on to %s, which has no message in this language", next->name);
			tell(v, "next_language", NULL, v->langs[i]);
		}
}

static void check_schedule(struct view *v)
{
	const struct programme *p = v->lint->programme;
	int place = programme_set(p, (int)v->set->id), schedule = place < 0 ? -1 : p->sets[place].schedule;

	/* A set that was made since the catalogue was read. */
	if (place < 0)
		return;
	if (schedule < 0)
		buf_puts(&v->detail, "has no default schedule");
	else if (p->schedules[schedule].broken)
		buf_printf(&v->detail, "its default schedule %d never fires", p->schedules[schedule].id);
	else
		return;
	tell(v, "schedule", NULL, NULL);
}

static void check_set(struct view *v)
{
	collect_langs(v);
	if (v->count == 0) {
		buf_puts(&v->detail, "has no messages");
		tell(v, "empty_set", NULL, NULL);
	}
	check_schedule(v);
	check_loop(v);
	check_numbers(v);
	for (size_t i = 0; i < v->lang_count; i++)
		check_language(v, v->langs[i]);
	check_next_languages(v);
	for (size_t i = 0; i < v->count; i++) {
		check_text(v, &v->messages[i]);
		check_file(v, &v->messages[i]);
	}
	free(v->langs);
}

/* ---- files */

static int by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void check_unused(struct view *v)
{
	const struct catalogue *c = v->lint->content;
	int64_t *used = calloc(c->message_count + 1, sizeof *used);

	SBM_ASSERT(used);
	for (size_t i = 0; i < c->message_count; i++)
		used[i] = c->messages[i].binary_id;
	qsort(used, c->message_count, sizeof *used, by_number);
	v->set = NULL;
	for (size_t i = 0; i < c->binary_count; i++) {
		const struct catalogue_binary *binary = &c->binaries[i];

		if (bsearch(&binary->id, used, c->message_count, sizeof *used, by_number))
			continue;
		buf_printf(&v->detail, "no message has binary content %lld with the file \"%.200s\"", (long long)binary->id, binary->file);
		if (!v->lint->has_file(v->lint->context, binary->file))
			buf_puts(&v->detail, ", which is not in the media directory either");
		tell(v, "file_unused", NULL, NULL);
	}
	free(used);
}

void lint_run(const struct lint *lint)
{
	const struct catalogue *c = lint->content;
	struct view v = {.lint = lint};
	size_t at = 0;

	buf_init(&v.detail, DETAIL_MAX);
	for (size_t i = 0; i < c->set_count; i++) {
		v.set = &c->sets[i];
		v.messages = c->messages + at;
		v.count = 0;
		while (at < c->message_count && c->messages[at].set == i) {
			at++;
			v.count++;
		}
		check_set(&v);
	}
	check_unused(&v);
	buf_fini(&v.detail);
}
