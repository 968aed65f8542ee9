#ifndef REST_OPENAPI_H
#define REST_OPENAPI_H

#include "rest/route.h"

/* The OpenAPI 3.1 document of a route table: a new reference. */
json_t *openapi_document(const struct route *routes);

#endif
