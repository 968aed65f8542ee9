#ifndef SENDERD_METRICS_H
#define SENDERD_METRICS_H

#include <stdbool.h>

/*
 * The process that posts the sums of tally.h to the metrics service, after each flush interval; a child of the
 * supervisor, there only while metrics_url is set.  It neither asks the database nor does anybody wait for it.
 */
int metrics_run(void);
/* Whether there is a metrics service. */
bool metrics_are_posted(void);

#endif
