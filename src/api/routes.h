#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "rest/openapi.h"
#include "rest/route.h"

/* All routes of the service, ended by one without a pattern. */
extern const struct route api_routes[];
/* The schemas that they name and that no resource has. */
extern const struct openapi_schema api_schemas[];

#endif
