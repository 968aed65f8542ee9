#ifndef SENDERD_OUTLOG_H
#define SENDERD_OUTLOG_H

#include <stddef.h>
#include <stdint.h>

/*
 * The message sender "log:PATH": each outbound payload is a line of the file,
 *   {"time": "2026-11-23T06:00:01.5Z", "delivery": "<uuid>", "payload": {...}}
 * Several processes may append to one file.
 */
struct outlog;

/* path is copied. The file is opened when first written to, and again after a failure. */
struct outlog *outlog_create(const char *path);
void outlog_free(struct outlog *); /* what was not flushed is lost; NULL does nothing */
/* Adds a line to the next flush. payload: JSON. */
void outlog_put(struct outlog *, const char *delivery_id, int64_t time, const char *payload);
/* Bytes that wait for the flush. */
size_t outlog_pending(const struct outlog *);
/*
 * Writes what was put, whole lines or nothing, and makes it durable. 0, or -1, with the reason in error; what
 * was put is forgotten either way.
 */
int outlog_flush(struct outlog *, char *error, size_t error_size);

#endif
