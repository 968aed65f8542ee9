#ifndef FUZZ_FIELDS_H
#define FUZZ_FIELDS_H

#include "api/handlers.h"
#include "api/resources.h"
#include "base/parse.h"
#include "fuzz.h"
#include "io/json.h"

#include <stdlib.h>

/* Bodies to fields, by any table of fields of the API. The first byte of an input says by which. */

static inline void
fuzz_check_value(const struct field *f, const struct value *value)
{
	if (value->state != VALUE_SET) {
		SBM_ASSERT(value->state == VALUE_ABSENT || (value->state == VALUE_NULL && (f->flags & FIELD_NULL)));
		return;
	}
	SBM_ASSERT(value->text && utf8_is_valid(value->text, strlen(value->text)));
	SBM_ASSERT(f->type != FIELD_TEXT || f->max == 0 || utf8_length(value->text) <= (size_t)f->max);
	SBM_ASSERT(f->type != FIELD_TEXT || *value->text || (f->flags & FIELD_BLANK));
	SBM_ASSERT(f->type != FIELD_INT || (value->number >= f->min && value->number <= f->max));
}

/* What is refused can be said. */
static inline void
fuzz_check_errors(struct req *r)
{
	char *text;

	if (!req_failed(r))
		return;
	text = json_dumps(r->errors, JSON_ENCODE_ANY);
	SBM_ASSERT(text);
	free(text);
}

static inline void
fuzz_read_fields(const struct req *request, const struct field *fields, bool partial, const json_t *object, const char *inside, const struct resource *resource)
{
	struct req r = *request;
	struct value *values = arena_array(r.arena, (size_t)field_count(fields), sizeof(*values));
	struct resource_change change = {.resource = resource, .verb = RESOURCE_DOES_CREATE, .partial = partial, .values = values};
	int result = field_read_object(&r, fields, partial, object, inside, values);

	SBM_ASSERT((result == 0) == !req_failed(&r));
	for (const struct field *f = fields; result == 0 && f->name; f++)
		if (!(f->flags & (FIELD_READ_ONLY | FIELD_HIDDEN)))
			fuzz_check_value(f, &values[f - fields]);
	if (json_is_object(object) && resource && resource->check_fields)
		resource->check_fields(&r, &change);
	/* The only one that asks nothing of the database. */
	if (!req_failed(&r) && resource == &schedule_resource)
		resource->check(&r, &change);
	fuzz_check_errors(&r);
}

/*
 * Reads r->body (r->raw and r->is_form are set too) by the table that which names: '0' to '4' a resource,
 * '5' to '9' the same as PATCH, 'e' and 'l' those of the tokens, 'w' the Hub's webhook; others are as '0'.
 */
static inline void
fuzz_read_body(const struct req *r, uint8_t which)
{
	static const struct resource *const resources[] = {
		&subscription_resource, &message_resource, &messageset_resource, &schedule_resource, &binarycontent_resource,
	};
	const struct resource *resource = resources[which >= '0' && which <= '9' ? (which - '0') % 5 : 0];
	const json_t *data = json_object_get(r->body, "data");

	fuzz_settings();
	if (which == 'e')
		fuzz_read_fields(r, token_email_fields, false, r->body, NULL, NULL);
	else if (which == 'l')
		fuzz_read_fields(r, token_login_fields, false, r->body, NULL, NULL);
	else if (which == 'w' && data)
		fuzz_read_fields(r, subscription_resource.fields, false, data, "data", &subscription_resource);
	else
		fuzz_read_fields(r, resource->fields, which >= '5' && which <= '9', r->body, NULL, resource);
}

#endif
