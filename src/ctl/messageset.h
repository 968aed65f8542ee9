#ifndef CTL_MESSAGESET_H
#define CTL_MESSAGESET_H

#include "ctl/ctl.h"

/* Of the commands that go over many subscriptions. */

/* The id of the message set that a text names: by its id, or its short name. NULL gives 0. 0, or -1 after it said that there is none. */
int ctl_messageset(struct ctl *, const char *text, int64_t *id);
/* How many subscriptions are active and not completed, of a set or (0) of all. 0, or -1 after it said why it is not known. */
int ctl_active(struct ctl *, int64_t messageset_id, int64_t *count);

/*
 * The message sets that options --message-set name, of which there may be several: their ids into `ids`, which has
 * room for CTL_OPTIONS_MAX, ended by 0 when there are fewer. 0, or -1 after it said that there is none of a name.
 */
int ctl_messagesets(struct ctl *, const struct ctl_args *, int64_t ids[CTL_OPTIONS_MAX]);
/* Whether a set is among them; without any all sets are. */
bool ctl_messageset_is_wanted(const int64_t ids[CTL_OPTIONS_MAX], int64_t id);

#endif
