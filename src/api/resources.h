#ifndef API_RESOURCES_H
#define API_RESOURCES_H

#include "rest/resource.h"

/* The table resources, each in the file of its name. */
extern const struct resource hold_resource;
extern const struct resource schedule_resource;
extern const struct resource messageset_resource;
extern const struct resource message_resource;
extern const struct resource binarycontent_resource;
extern const struct resource subscription_resource;

/* Their handlers beside the verbs. */
int schedule_send(struct req *);
int schedule_delete(struct req *);
int messageset_messages(struct req *);
int messageset_languages(struct req *);
int message_content(struct req *);
int root_list(struct req *);

/* Writes a message with its binary expanded; columns as message_content selects them. */
void message_put_content(struct req *, const struct db_result *, int row);
/* Writes {"id", "content"} of a binary, or null. */
void binarycontent_put(struct req *, const struct db_result *, int row, int id_column, int name_column);
/*
 * The integer in a path as a statement takes it; of the arena. NULL, with 404 in the slot, when no row can
 * have it.
 */
const char *path_id(struct req *, int arg);

#endif
