#ifndef REST_REST_H
#define REST_REST_H

struct fcgi_request;
struct rest;
struct route;

/*
 * What a worker keeps from one request to the next: arena, connection to the database, trigger socket, token
 * cache, statements of the resources. Create it after fork, once in a worker, with the settings loaded.
 * routes: ended by one without a pattern, borrowed for good. Fatal on failure; the database may be away.
 */
struct rest *rest_create(const struct route *routes);
void rest_free(struct rest *);
/* Answers one request; fits fcgi_serve. rest: struct rest *. Always answers, whatever came. */
void rest_handle(struct fcgi_request *, void *rest);

#endif
