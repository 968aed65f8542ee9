#include "api/resources.h"
#include "base/parse.h"
#include "base/settings.h"
#include "fields.h"
#include "rest/filter.h"
#include "rest/page.h"

/*
 * A list's query string: filters, and where the page begins. Filters that ask the database are left out.
 * The first byte says whose list it is.
 */
static void
read_filters(const struct req *request, const struct resource *resource)
{
	struct filter filters[FILTERS_MAX] = {{0}};
	struct filter_values values = {0};
	struct req r = *request;
	int n = 0;

	for (const struct filter *f = resource->filters; f && f->name; f++)
		if (f->kind != FILTER_REF)
			filters[n++] = *f;
	SBM_ASSERT(n < FILTERS_MAX);
	if (filter_read(&r, filters, &values) < 0) {
		SBM_ASSERT(req_failed(&r));
		fuzz_check_errors(&r);
		return;
	}
	SBM_ASSERT(!req_failed(&r));
	for (int i = 0; i < n; i++)
		if ((values.used & 1ul << i) && values.values[i])
			SBM_ASSERT(utf8_is_valid(values.values[i], strlen(values.values[i])));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = fuzz_arena();
	static const struct resource *const resources[] = {&subscription_resource, &message_resource, &messageset_resource};
	struct req r = {.arena = arena, .host = "h", .scheme = "http", .path = "/"};
	struct page page;

	if (size == 0)
		return 0;
	r.query = fuzz_text(arena, data + 1, size - 1);
	fuzz_settings();
	req_param(&r, "");
	read_filters(&r, resources[data[0] >= '0' && data[0] <= '2' ? data[0] - '0' : 0]);
	page_read(&r, &page);
	SBM_ASSERT(page.limit >= 1 && page.limit <= setting_int(SETTING_PAGE_SIZE_MAX) && page.offset >= 0 && page.count >= -1);
	SBM_ASSERT(!page.has_key || page.key.first);
	return 0;
}
