#include "api/worker.h"

#include "api/routes.h"
#include "base/counter.h"
#include "base/proc.h"
#include "io/fcgi.h"
#include "rest/rest.h"

struct worker {
	struct rest *rest;
	enum counter busy;
};

static void handle(struct fcgi_request *request, void *context)
{
	const struct worker *worker = context;

	counter_set(worker->busy, 1);
	rest_handle(request, worker->rest);
	counter_set(worker->busy, 0);
}

int worker_run(int listener, bool slow)
{
	struct worker worker = {.busy = slow ? COUNTER_HTTP_BUSY_SLOW : COUNTER_HTTP_BUSY};
	int rc;

	/* fcgi2 installs handlers of its own, so ours come after it. */
	if (fcgi_init() != 0)
		return 1;
	proc_child_signals();
	worker.rest = rest_create(api_routes);
	rc = fcgi_serve(listener, handle, &worker);
	rest_free(worker.rest);
	return rc == 0 ? 0 : 1;
}
