#include "rest/account.h"

#include "base/counter.h"
#include "rest/exposition.h"
#include "rest/request.h"
#include "rest/route.h"
#include "rest/status.h"

#include <stdbool.h>
#include <stdio.h>

/* Upper bounds of the histogram's buckets in microseconds; one more has no bound. */
static const int bounds[] = {250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000};
#define BOUNDS ((int)(sizeof bounds / sizeof *bounds))

/* Those of HTTP, and one for all others. */
#define METHODS (REQ_METHOD_MAX + 1)

/* The counters of one route and method. */
enum { CELL_STATUSES, CELL_BUCKETS = STATUSES, CELL_TIME = CELL_BUCKETS + sizeof bounds / sizeof *bounds + 1, CELL_SIZE };

static size_t
count_routes(const struct route *routes)
{
	size_t n = 0;

	while (routes[n].pattern)
		n++;
	return n;
}

/* The row behind the routes is for paths that are none's. */
static size_t
cell_at(size_t route, int method)
{
	return COUNTER_MAX + (route * METHODS + (size_t)method) * CELL_SIZE;
}

size_t
account_counters(const struct route *routes)
{
	return (count_routes(routes) + 1) * METHODS * CELL_SIZE;
}

static int
bucket_of(int64_t took_us)
{
	int i = 0;

	while (i < BOUNDS && took_us > bounds[i])
		i++;
	return i;
}

void
account_request(const struct req *r, const struct route *routes, int64_t took_us)
{
	size_t route = r->route ? (size_t)(r->route - routes) : count_routes(routes);
	size_t cell = cell_at(route, (int)r->method);

	counter_add(cell + CELL_STATUSES + (size_t)status_find(r->status), 1);
	counter_add(cell + CELL_BUCKETS + (size_t)bucket_of(took_us), 1);
	counter_add(cell + CELL_TIME, (uint64_t)took_us);
}

#define LABELS_SIZE 1024

static void
put_requests(struct buf *out, const uint64_t *cell, const char *labels)
{
	char all[LABELS_SIZE + 32];

	for (int i = 0; i < STATUSES; i++) {
		if (cell[CELL_STATUSES + i] == 0)
			continue;
		if (statuses[i].code)
			snprintf(all, sizeof all, "%s,status=\"%d\"", labels, statuses[i].code);
		else
			snprintf(all, sizeof all, "%s,status=\"other\"", labels);
		exposition_put(out, "sbm_http_requests_total", all, (double)cell[CELL_STATUSES + i]);
	}
}

static void
put_times(struct buf *out, const uint64_t *cell, const char *labels)
{
	char all[LABELS_SIZE + 32];
	uint64_t count = 0;

	for (int i = 0; i <= BOUNDS; i++) {
		count += cell[CELL_BUCKETS + i];
		if (i < BOUNDS)
			snprintf(all, sizeof all, "%s,le=\"%g\"", labels, bounds[i] / 1e6);
		else
			snprintf(all, sizeof all, "%s,le=\"+Inf\"", labels);
		exposition_put(out, "sbm_http_request_duration_seconds_bucket", all, (double)count);
	}
	exposition_put(out, "sbm_http_request_duration_seconds_sum", labels, (double)cell[CELL_TIME] / 1e6);
	exposition_put(out, "sbm_http_request_duration_seconds_count", labels, (double)count);
}

static bool
was_used(const uint64_t *cell)
{
	for (int i = 0; i < CELL_SIZE; i++)
		if (cell[i])
			return true;
	return false;
}

/* Those that ever came. */
static void
put_cells(struct buf *out, const struct route *routes, const uint64_t *sums, void (*put)(struct buf *, const uint64_t *, const char *))
{
	size_t none = count_routes(routes);
	char labels[LABELS_SIZE];

	for (size_t route = 0; route <= none; route++)
		for (int method = 0; method < METHODS; method++) {
			const uint64_t *cell = sums + cell_at(route, method);

			if (!was_used(cell))
				continue;
			snprintf(labels, sizeof labels, "route=\"%s\",method=\"%s\"", route < none ? routes[route].pattern : "none",
			    method < REQ_METHOD_MAX ? route_method_name((enum req_method)method) : "other");
			put(out, cell, labels);
		}
}

void
account_put(struct buf *out, const struct route *routes, const uint64_t *sums)
{
	exposition_put_head(out, "sbm_http_requests_total", "counter", "Requests that were answered, by the pattern of their route.");
	put_cells(out, routes, sums, put_requests);
	exposition_put_head(out, "sbm_http_request_duration_seconds", "histogram",
	    "Time from the moment that a worker took a request to the last byte of its answer.");
	put_cells(out, routes, sums, put_times);
}
