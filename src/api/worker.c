#include "api/worker.h"

#include "api/routes.h"
#include "base/proc.h"
#include "io/fcgi.h"
#include "rest/rest.h"

int worker_run(int listener)
{
	struct rest *rest;
	int rc;

	/* fcgi2 installs handlers of its own, so ours come after it. */
	if (fcgi_init() != 0)
		return 1;
	proc_child_signals();
	rest = rest_create(api_routes);
	rc = fcgi_serve(listener, rest_handle, rest);
	rest_free(rest);
	return rc == 0 ? 0 : 1;
}
