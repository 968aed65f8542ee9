#ifndef REST_EXPOSITION_H
#define REST_EXPOSITION_H

#include "base/buf.h"

/* Prometheus' text format, version 0.0.4. */
#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* HELP and TYPE; the samples of the metric follow. type: "counter", "gauge", "histogram". */
void exposition_put_head(struct buf *, const char *metric, const char *type, const char *help);
/* One sample. labels: name="value",...; "" for none. */
void exposition_put(struct buf *, const char *metric, const char *labels, double value);

#endif
