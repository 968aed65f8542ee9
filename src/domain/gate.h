#ifndef DOMAIN_GATE_H
#define DOMAIN_GATE_H

#include "base/parse.h"
#include "io/db.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What keeps deliveries waiting though they are due: quiet hours and rates.  A delivery that waits stands in
 * the queue with a gate ("window ZONE", "channel NAME", and "hold N" of a pause) and no time, where no claim
 * comes across it, until the gate opens.
 */
#define GATE_CHANNELS_MAX 64
#define GATE_SIZE 80

/* The settings send_window, sender_rate and sender_rate_channels. */
struct gate_rules {
	bool windowed;
	int from, until; /* minutes of the day */
	int64_t rate;    /* messages a second; 0: no limit */
	struct rate channels[GATE_CHANNELS_MAX];
	int channel_count;
};
void gate_rules_read(struct gate_rules *);

/* Whether messages may go at a time of the service's clock where a time zone has its hour; UTC for an unknown one. */
bool gate_window_is_open(const struct gate_rules *, const char *zone, int64_t now);
/* Place of a channel that has a rate, or -1. */
int gate_channel(const struct gate_rules *, const char *channel);
void gate_name_window(const char *zone, char out[GATE_SIZE]);
void gate_name_channel(const char *channel, char out[GATE_SIZE]);

/*
 * Lets go on what waits at gates that have opened, the oldest first, at most limit deliveries of each. now:
 * clock_now(). *opened: how many went on; *waits: a gate that fills and empties by its rate has some.
 */
enum db_status gate_open_all(struct db *, const struct gate_rules *, int64_t limit, int64_t now, int64_t *opened, bool *waits);

/*
 * A lane gives out times at which messages may go, one every second/rate, over all sender processes; "" is the
 * lane of all messages, others are channels. In a transaction, to the end of which the lane is ours.
 * gate_look: in how many microseconds the next one is. gate_take: the next one shall be so far from now.
 */
enum db_status gate_look(struct db *, const char *lane, int64_t *wait_us);
enum db_status gate_take(struct db *, const char *lane, int64_t next_us);

#endif
