#ifndef CTL_MESSAGESET_H
#define CTL_MESSAGESET_H

#include "ctl/ctl.h"

/* The id of the message set that a text names: by its id, or its short name. NULL gives 0. 0, or -1 after it said that there is none. */
int ctl_messageset(struct ctl *, const char *text, int64_t *id);

#endif
