#include "config.h"

#include "api/handlers.h"

#include "api/routes.h"
#include "base/assert.h"
#include "domain/schema.h"
#include "rest/openapi.h"

#include <stdlib.h>

int
state_show_health(struct req *r)
{
	struct db_result *row;

	/* Nobody is logged in when the database was away a moment ago. */
	if (r->user.id == 0 || req_try(r, &db_queries[DB_Q_STATE_SERVER_VERSION], NULL, &row) != DB_OK)
		return req_fail_json(r, 503, json_pack("{s:b, s:{s:s, s:s}}", "up", 0, "result", "database", "Not accessible", "version", PACKAGE_VERSION));
	buf_puts(r->out, "{\"up\":true,\"result\":{\"database\":\"Accessible\",\"version\":\"" PACKAGE_VERSION "\",\"libraries\":{\"postgresql\":");
	req_put_text(r, row, 0, 0);
	buf_puts(r->out, ",\"jansson\":\"" JANSSON_VERSION "\"}}}");
	return req_answer(r, 200);
}

/* That this is answered is all it says. */
int
state_show_alive(struct req *r)
{
	buf_puts(r->out, "{\"alive\":true}");
	return req_answer(r, 200);
}

/* What keeps the service from being ready, or NULL. */
static const char *
find_obstacle(struct req *r)
{
	struct db_result *row;
	int version;

	if (schema_read(r->db, &version) < 0)
		return "The database cannot be reached.";
	if (version < SCHEMA_NEEDED)
		return "The database's schema is older than this version; run: sbmctl migrate";
	if (req_try(r, &db_queries[DB_Q_STATE_DAEMONS], NULL, &row) != DB_OK)
		return "The database cannot be reached.";
	return db_int(row, 0, 0) > 0 ? NULL : "No sender daemon was seen within the last minute.";
}

int
state_show_ready(struct req *r)
{
	const char *obstacle = find_obstacle(r);

	if (obstacle)
		return req_fail_json(r, 503, json_pack("{s:b, s:s}", "ready", 0, "detail", obstacle));
	buf_puts(r->out, "{\"ready\":true}");
	return req_answer(r, 200);
}

/* It is the same as long as the process lives. */
int
state_show_openapi(struct req *r)
{
	static char *text;

	if (!text) {
		json_t *document = openapi_document(api_routes, api_schemas);

		text = json_dumps(document, JSON_COMPACT);
		SBM_ASSERT(text);
		json_decref(document);
	}
	buf_puts(r->out, text);
	return req_answer(r, 200);
}
