#ifndef SENDERD_WAKE_H
#define SENDERD_WAKE_H

/*
 * How the processes of one daemon wake each other: descriptors made before the first fork, so that they
 * outlive any of them.  A wake-up says only that there may be something to do; several become one.
 */
#define WAKE_SENDERS 64 /* bound of the setting workers */

enum wake_place { WAKE_KEEPER = WAKE_SENDERS, WAKE_SYNCER, WAKE_AUDIO, WAKE_METRICS, WAKE_MAX };

/* 0, or -1, logged. */
int wake_init(void);
/* The descriptor to wait at: a sender's index, or one of wake_place. */
int wake_fd(int place);
void wake(int place);
void wake_senders(void);
/* Takes the wake-ups that came. */
void wake_clear(int place);

#endif
