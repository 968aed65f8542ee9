#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "rest/route.h"

/* All routes of the service, ended by one without a pattern. */
extern const struct route api_routes[];

#endif
