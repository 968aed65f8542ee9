#ifndef CTL_PROGRESS_H
#define CTL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How far a long command is: a bar on standard error when that is a terminal, else nothing at all.  It is
 * drawn anew a few times a second however often it is told something, and what ctl_fail says stands below it.
 */
struct progress {
	const char *what;  /* of what there are total, "subscriptions"; borrowed */
	int64_t total;     /* 0: not known */
	int64_t done;
	int64_t began_ms;  /* clock_monotonic_ms */
	int64_t drawn_ms;  /* when it was drawn last */
	bool silent;
};

/* Begins one; there is one at a time. */
void progress_begin(struct progress *, const char *what, int64_t total);
void progress_add(struct progress *, int64_t n);
void progress_set(struct progress *, int64_t done);
/* Takes it off the terminal. */
void progress_end(struct progress *);
/* Takes the one that is drawn off the terminal for a moment, so that something else can be written there. */
void progress_hide(void);

#define PROGRESS_LINE_SIZE 256
/* The line as it stands at a time, at most `width` columns; for a test. */
void progress_format(const struct progress *, int64_t now_ms, int width, char out[PROGRESS_LINE_SIZE]);

#endif
