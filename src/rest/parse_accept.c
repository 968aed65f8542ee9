#include "rest/parse_accept.h"

#include "base/arena.h"
#include "rest/parse_multipart.h"
#include "rest/parse_text.h"

#include <string.h>

/* Cuts the element before the next comma that is not quoted off *rest. */
static struct text
next_element(struct text *rest)
{
	struct text element = {rest->data, 0};
	bool quoted = false;
	size_t i = 0;

	while (i < rest->length && (quoted || rest->data[i] != ',')) {
		if (quoted && rest->data[i] == '\\' && i + 1 < rest->length)
			i++;
		else if (rest->data[i] == '"')
			quoted = !quoted;
		i++;
	}
	element.length = i;
	if (i < rest->length)
		i++;
	rest->data += i;
	rest->length -= i;
	return text_trim(element);
}

/* True when a weight is 0, 0. or 0.000; what is no weight at all counts as 1. */
static bool
is_zero(struct text weight)
{
	if (weight.length == 0 || weight.data[0] != '0')
		return false;
	if (weight.length > 1 && weight.data[1] != '.')
		return false;
	for (size_t i = 2; i < weight.length; i++)
		if (weight.data[i] != '0')
			return false;
	return true;
}

static bool
is_refused(struct text params)
{
	struct text_param param;

	while (text_param(&params, &param))
		if (text_is(param.name, "q"))
			return is_zero(param.value);
	return false;
}

bool
accept_allows_json(const char *header)
{
	struct text rest;
	int best = -1;
	bool allowed = false;

	if (!header)
		return true;
	rest = text_from(header);
	while (rest.length > 0) {
		struct text element = next_element(&rest);
		struct text range = text_head(&element);
		int rank = text_is(range, "application/json") ? 2 : text_is(range, "application/*") ? 1 : text_is(range, "*/*") ? 0 : -1;

		if (rank < 0 || rank < best)
			continue;
		if (rank > best)
			allowed = false;
		best = rank;
		if (!is_refused(element))
			allowed = true;
	}
	return allowed;
}

static enum media
media_of(struct text type)
{
	if (type.length == 0)
		return MEDIA_NONE;
	if (text_is(type, "application/json"))
		return MEDIA_JSON;
	if (text_is(type, "application/x-www-form-urlencoded"))
		return MEDIA_FORM;
	if (text_is(type, "multipart/form-data"))
		return MEDIA_MULTIPART;
	return MEDIA_OTHER;
}

static bool
is_boundary(struct text text)
{
	if (text.length == 0 || text.length > MULTIPART_BOUNDARY_MAX || text.data[text.length - 1] == ' ')
		return false;
	for (size_t i = 0; i < text.length; i++)
		if (text.data[i] < ' ' || text.data[i] > '~')
			return false;
	return true;
}

void
content_type_parse(struct arena *arena, const char *header, struct content_type *out)
{
	struct text rest = text_from(header ? header : "");
	struct text_param param;
	bool boundary_seen = false;

	*out = (struct content_type){.media = media_of(text_head(&rest))};
	while (text_param(&rest, &param)) {
		if (text_is(param.name, "charset") && !out->charset) {
			out->charset = text_copy_lower(arena, text_unquote(arena, &param));
		} else if (text_is(param.name, "boundary") && !boundary_seen) {
			struct text boundary = text_unquote(arena, &param);

			boundary_seen = true;
			if (out->media == MEDIA_MULTIPART && is_boundary(boundary))
				out->boundary = boundary.data;
		}
	}
}
