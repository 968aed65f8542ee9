#include "rest/field.h"

#include "base/assert.h"
#include "base/parse.h"
#include "rest/kit.h"
#include "rest/python.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* One value on its way. */
struct reading {
	struct req *r;
	const struct field *field;
	const json_t *json;
	const char *inside; /* key under which the object of the fields stands in the body; NULL: it is the body */
	struct value *value;
};

static int
refuse(const struct reading *in, const char *message)
{
	return req_fail_field(in->r, in->field->name, "%s", message);
}

static int
set(const struct reading *in, const char *text)
{
	in->value->state = VALUE_SET;
	in->value->text = text;
	return 0;
}

/* The value's bytes as they stood in the JSON body; NULL for forms. */
static const char *
raw_text(const struct reading *in)
{
	const char *keys[3] = {in->inside ? in->inside : in->field->name, in->inside ? in->field->name : NULL, NULL};
	struct buf b;
	const char *text = NULL;

	if (in->r->is_form || !in->r->raw)
		return NULL;
	buf_init(&b, in->r->raw_length + 1);
	if (json_raw_value(in->r->raw, in->r->raw_length, keys, &b) == 0)
		text = arena_strndup(in->r->arena, buf_text(&b), b.length);
	buf_fini(&b);
	return text;
}

static const char *
as_text(const struct reading *in)
{
	return python_str(in->r->arena, in->json, json_is_number(in->json) ? raw_text(in) : NULL);
}

static bool
is_email_local(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool dot = text[i] == '.';

		if (dot && (i == 0 || i + 1 == n || text[i - 1] == '.'))
			return false;
		if (!dot && !isalnum((unsigned char)text[i]) && !strchr("!#$%&'*+-/=?^_`{|}~", text[i]))
			return false;
	}
	return n > 0;
}

/* Labels of letters, digits and inner hyphens; two at least, but for localhost. */
static bool
is_email_domain(const char *text)
{
	int labels = 0;

	if (strcmp(text, "localhost") == 0)
		return true;
	for (;;) {
		size_t n = strcspn(text, ".");

		if (n == 0 || n > 63 || text[0] == '-' || text[n - 1] == '-')
			return false;
		for (size_t i = 0; i < n; i++)
			if (!isalnum((unsigned char)text[i]) && text[i] != '-' && (unsigned char)text[i] < 0x80)
				return false;
		labels++;
		if (!text[n])
			return labels > 1 && n > 1;
		text += n + 1;
	}
}

static bool
is_email(const char *text)
{
	const char *at = strrchr(text, '@');

	return at && is_email_local(text, (size_t)(at - text)) && is_email_domain(at + 1);
}

static int
read_text(const struct reading *in)
{
	const struct field *f = in->field;
	const char *text, *stripped;

	if (!json_is_string(in->json) && !json_is_number(in->json))
		return refuse(in, "Not a valid string.");
	text = as_text(in);
	stripped = python_strip(in->r->arena, text);
	if (!(f->flags & FIELD_NO_TRIM))
		text = stripped;
	if (!*text) {
		if (!(f->flags & FIELD_BLANK))
			return refuse(in, "This field may not be blank.");
		return set(in, "");
	}
	if (f->max > 0 && utf8_length(text) > (size_t)f->max)
		return req_fail_field(in->r, f->name, "Ensure this field has no more than %lld characters.", (long long)f->max);
	if ((f->flags & FIELD_EMAIL) && !is_email(text))
		return refuse(in, "Enter a valid email address.");
	return set(in, text);
}

static int
out_of_range(const struct reading *in, bool low)
{
	if (low)
		return req_fail_field(in->r, in->field->name, "Ensure this value is greater than or equal to %lld.",
		    (long long)in->field->min);
	return req_fail_field(in->r, in->field->name, "Ensure this value is less than or equal to %lld.",
	    (long long)in->field->max);
}

/* "5.0", "5. " stand for 5. */
static const char *
without_zeros(struct reading const *in, const char *text)
{
	const char *dot = strchr(text, '.');
	size_t zeros = dot ? strspn(dot + 1, "0") : 0;

	if (!dot || dot[1 + zeros + strspn(dot + 1 + zeros, " \t\n\v\f\r")])
		return text;
	return arena_strndup(in->r->arena, text, (size_t)(dot - text));
}

static int
read_int(const struct reading *in)
{
	const struct field *f = in->field;
	int64_t number = 0;

	if (!json_is_string(in->json) && !json_is_number(in->json))
		return refuse(in, "A valid integer is required.");
	if (json_is_string(in->json) && utf8_length(json_string_value(in->json)) > 1000)
		return refuse(in, "String value too large.");
	switch (python_int(in->r->arena, without_zeros(in, as_text(in)), &number)) {
	case PYTHON_INT_BAD:
		return refuse(in, "A valid integer is required.");
	case PYTHON_INT_LOW:
		return out_of_range(in, true);
	case PYTHON_INT_HIGH:
		return out_of_range(in, false);
	case PYTHON_INT:
		break;
	}
	if (number < f->min || number > f->max)
		return out_of_range(in, number < f->min);
	in->value->number = number;
	return set(in, arena_printf(in->r->arena, "%lld", (long long)number));
}

static bool
is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static int
read_bool(const struct reading *in)
{
	static const char *const yes[] = {
		"t", "T", "y", "Y", "yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "1", NULL};
	static const char *const no[] = {
		"f", "F", "n", "N", "no", "NO", "false", "False", "FALSE", "off", "Off", "OFF", "0", NULL};
	const char *text = json_string_value(in->json);
	double number = json_number_value(in->json);
	bool is_number = json_is_number(in->json);

	if (json_is_true(in->json) || (is_number && number == 1) || (text && is_one_of(text, yes)))
		in->value->number = 1;
	else if (!json_is_false(in->json) && !(is_number && number == 0) && !(text && is_one_of(text, no)))
		return refuse(in, "Must be a valid boolean.");
	return set(in, in->value->number ? "true" : "false");
}

static int
read_choice(const struct reading *in)
{
	const char *text;

	if (json_is_array(in->json) || json_is_object(in->json)) {
		struct buf b;

		buf_init(&b, 4096);
		json_write(in->json, &b);
		req_fail_field(in->r, in->field->name, "\"%s\" is not a valid choice.", buf_text(&b));
		buf_fini(&b);
		return -1;
	}
	text = as_text(in);
	if (!is_one_of(text, in->field->choices))
		return req_fail_field(in->r, in->field->name, "\"%s\" is not a valid choice.", text);
	return set(in, text);
}

static int
read_json(const struct reading *in)
{
	const char *text;
	char error[160];
	json_t *json;

	if (!in->r->is_form) {
		if (json_has_infinite(in->json))
			return refuse(in, "Value must be valid JSON.");
		text = raw_text(in);
		SBM_ASSERT(text);
		in->value->json = in->json;
		return set(in, text);
	}
	text = json_string_value(in->json);
	if (!text || json_read(text, strlen(text), &json, error, sizeof error) != JSON_FINE)
		return refuse(in, "Value must be valid JSON.");
	req_own_json(in->r, json);
	if (json_has_infinite(json))
		return refuse(in, "Value must be valid JSON.");
	in->value->json = json;
	return set(in, text);
}

static int
wrong_type(const struct reading *in)
{
	return req_fail_field(in->r, in->field->name, "Incorrect type. Expected pk value, received %s.",
	    json_python_type(in->json));
}

static int
read_ref(const struct reading *in)
{
	int64_t number = 0;
	const char *text;
	enum python_int kind;

	if (!json_is_string(in->json) && !json_is_number(in->json))
		return wrong_type(in);
	text = as_text(in);
	kind = python_int(in->r->arena, json_is_real(in->json) ? without_zeros(in, text) : text, &number);
	if (kind == PYTHON_INT_BAD)
		return wrong_type(in);
	/* No row has the key 0: it stands for all that no key can be. */
	if (kind != PYTHON_INT || number < 0 || number > INT32_MAX)
		number = 0;
	in->value->number = number;
	in->value->shown = text;
	return set(in, arena_printf(in->r->arena, "%lld", (long long)number));
}

static int
read_uuid(const struct reading *in)
{
	const char *text = json_string_value(in->json);
	char uuid[UUID_TEXT_SIZE];

	if (!text || parse_uuid(text, uuid) != 0)
		return req_fail_field(in->r, in->field->name, "\"%s\" is not a valid UUID.",
		    text ? text : json_python_type(in->json));
	return set(in, arena_strdup(in->r->arena, uuid));
}

static struct req_file *
find_file(const struct reading *in)
{
	for (struct req_file *file = in->r->files; file; file = file->next)
		if (strcmp(file->field, in->field->name) == 0)
			return file;
	return NULL;
}

static int
read_file(const struct reading *in, struct req_file *file)
{
	size_t n = utf8_length(file->name);

	if (file->size == 0)
		return refuse(in, "The submitted file is empty.");
	if (in->field->max > 0 && n > (size_t)in->field->max)
		return req_fail_field(in->r, in->field->name, "Ensure this filename has at most %lld characters (it has %zu).",
		    (long long)in->field->max, n);
	in->value->file = file;
	return set(in, file->name);
}

static int
read_present(const struct reading *in)
{
	switch (in->field->type) {
	case FIELD_TEXT:
		return read_text(in);
	case FIELD_INT:
		return read_int(in);
	case FIELD_BOOL:
		return read_bool(in);
	case FIELD_UUID:
		return read_uuid(in);
	case FIELD_CHOICE:
		return read_choice(in);
	case FIELD_JSON:
		return read_json(in);
	case FIELD_REF:
		return read_ref(in);
	case FIELD_FILE:
		return refuse(in, "The submitted data was not a file. Check the encoding type on the form.");
	case FIELD_TIME:
	case FIELD_TYPE_MAX:
		break;
	}
	SBM_ASSERT(false && "fields of this type are read-only");
	return -1;
}

static int
read_absent(const struct reading *in, bool partial)
{
	/* A form cannot say false: a box that is not ticked is not sent. */
	if (in->r->is_form && in->field->type == FIELD_BOOL && !partial)
		return set(in, "false");
	if (!(in->field->flags & FIELD_REQUIRED) || partial)
		return 0;
	return refuse(in, in->field->type == FIELD_FILE ? "No file was submitted." : "This field is required.");
}

static int
read_null(const struct reading *in)
{
	if (!(in->field->flags & FIELD_NULL))
		return refuse(in, "This field may not be null.");
	in->value->state = VALUE_NULL;
	return 0;
}

/* In a form "" stands for null, or for nothing, where "" itself is not allowed. */
static int
read_blank_of_form(const struct reading *in, bool *done)
{
	unsigned flags = in->field->flags;

	*done = true;
	if (in->field->type == FIELD_JSON || in->field->type == FIELD_FILE)
		*done = false;
	else if (flags & FIELD_BLANK)
		*done = false;
	else if (flags & FIELD_NULL)
		return read_null(in);
	else if (flags & FIELD_REQUIRED)
		*done = false;
	return 0;
}

static bool
is_blank(const json_t *json)
{
	return json_is_string(json) && json_string_length(json) == 0;
}

static int
read_field(const struct reading *in, bool partial)
{
	struct req_file *file = in->field->type == FIELD_FILE ? find_file(in) : NULL;
	bool done = false;

	if (file)
		return read_file(in, file);
	if (!in->json)
		return read_absent(in, partial);
	if (in->r->is_form && is_blank(in->json)) {
		int result = read_blank_of_form(in, &done);

		if (done)
			return result;
	}
	if (json_is_null(in->json) || (in->field->type == FIELD_REF && is_blank(in->json)))
		return read_null(in);
	return read_present(in);
}

int
field_read_object(struct req *r, const struct field *fields, bool partial, const json_t *object, const char *inside, struct value *values)
{
	int result = 0;

	if (json_is_null(object))
		return req_fail_field(r, "non_field_errors", "No data provided");
	if (!json_is_object(object))
		return req_fail_field(r, "non_field_errors", "Invalid data. Expected a dictionary, but got %s.",
		    json_python_type(object));
	for (int i = 0; fields[i].name; i++) {
		struct reading in = {r, &fields[i], json_object_get(object, fields[i].name), inside, &values[i]};

		values[i] = (struct value){0};
		if (fields[i].flags & (FIELD_READ_ONLY | FIELD_HIDDEN))
			continue;
		if (read_field(&in, partial) != 0)
			result = -1;
	}
	return result;
}

int
field_read_body(struct req *r, const struct field *fields, bool partial, struct value *values)
{
	if (req_body(r) != 0)
		return -1;
	return field_read_object(r, fields, partial, r->body, NULL, values);
}

int
field_count(const struct field *fields)
{
	int n = 0;

	while (fields[n].name)
		n++;
	return n;
}

static bool
is_asked(const struct field *f, const struct value *v)
{
	return v->state == VALUE_SET && (f->type == FIELD_REF || (f->flags & FIELD_UNIQUE));
}

/* One column of the look-up: whether the value is acceptable. */
static void
put_question(struct buf *sql, const struct field *f, const char *table, int param, bool own)
{
	if (f->type == FIELD_REF) {
		buf_printf(sql, "EXISTS (SELECT FROM %s WHERE id = $%d)", f->table, param);
		return;
	}
	buf_printf(sql, "NOT EXISTS (SELECT FROM %s WHERE %s = $%d", table, f->column, param);
	if (own)
		buf_puts(sql, " AND id <> $1");
	buf_putc(sql, ')');
}

static const struct db_stmt *
make_look_up(struct req *r, const char *name, const struct field *fields, const struct value *values, const char *table, bool own)
{
	const struct db_stmt *stmt;
	struct buf sql;
	int param = own ? 1 : 0;

	buf_init(&sql, 8192);
	buf_puts(&sql, "SELECT ");
	for (int i = 0, n = 0; fields[i].name; i++) {
		if (!is_asked(&fields[i], &values[i]))
			continue;
		buf_puts(&sql, n++ ? ", " : "");
		put_question(&sql, &fields[i], table, ++param, own);
	}
	SBM_ASSERT(!sql.overflow);
	stmt = statements_keep(r, name, buf_text(&sql));
	buf_fini(&sql);
	return stmt;
}

static int
refuse_row(struct req *r, const struct field *f, const struct value *v)
{
	if (f->type == FIELD_REF)
		return req_fail_field(r, f->name, "Invalid pk \"%s\" - object does not exist.", v->shown);
	return req_fail_field(r, f->name, "%s", f->unique);
}

int
field_check_rows(struct req *r, const struct field *fields, const struct value *values, const char *table, const char *own_id)
{
	struct db_params params;
	struct db_result *row;
	const struct db_stmt *stmt;
	unsigned long asked = 0;
	bool own = false;
	char name[96];
	int result = 0;

	for (int i = 0; fields[i].name; i++) {
		if (!is_asked(&fields[i], &values[i]))
			continue;
		asked |= 1ul << i;
		own |= own_id && fields[i].type != FIELD_REF;
	}
	if (asked == 0)
		return 0;
	db_params_init(&params);
	if (own)
		db_param_text(&params, own_id);
	for (int i = 0; fields[i].name; i++)
		if (asked & 1ul << i)
			db_param_text(&params, values[i].text);
	snprintf(name, sizeof name, "check_%s_%lx%s", table, asked, own ? "_own" : "");
	stmt = statements_find(r->rest->statements, name);
	if (!stmt)
		stmt = make_look_up(r, name, fields, values, table, own);
	if (req_exec(r, stmt, &params, &row) != 0)
		return -1;
	for (int i = 0, column = 0; fields[i].name; i++)
		if ((asked & 1ul << i) && !db_bool(row, 0, column++))
			result = refuse_row(r, &fields[i], &values[i]);
	return result;
}
