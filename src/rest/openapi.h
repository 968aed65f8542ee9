#ifndef REST_OPENAPI_H
#define REST_OPENAPI_H

#include "rest/route.h"

/* A schema that no table of fields describes, as JSON text; ended by one without a name. */
struct openapi_schema {
	const char *name;
	const char *json;
};

/*
 * The OpenAPI 3.1 document of a route table: a new reference. Each name in .request and .answer of a route is a
 * schema: one of schemas, of a resource, or of the page around one. Asserts that it is.
 */
json_t *openapi_document(const struct route *routes, const struct openapi_schema *schemas);

#endif
