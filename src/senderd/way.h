#ifndef SENDERD_WAY_H
#define SENDERD_WAY_H

#include "domain/breaker.h"
#include "domain/queue.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct sender;

/*
 * A claimed delivery's way through its calls: address look-up, payload, outbound POST, outcome.
 */
enum service { SERVICE_IDENTITY, SERVICE_OUTBOUND, SERVICE_MAX };

/* One delivery on its way, always in exactly one of the sender's lists. */
struct way {
	struct sender *sender;
	struct delivery *delivery;
	TAILQ_ENTRY(way) link;
	enum way_state {
		WAY_WAITING, /* claimed */
		WAY_READY,   /* its address is known and its payload made; waits for a call to the message sender */
		WAY_CALLING, /* a call is under way */
		WAY_LOGGED,  /* in the lines that wait for the log: adapter's flush */
		WAY_DONE,    /* its delivery has an outcome, but for what `unsure` leaves open */
		WAY_KEPT,    /* the same, which the database refuses: to be written again later, and sent by nobody meanwhile */
		WAY_STATE_MAX
	} state;
	char *payload;
	enum service service; /* of the last call */
	struct breaker_ticket ticket;
	int64_t leased_ms; /* when it was claimed, if what it holds was read later; else 0 */
	size_t failure; /* what a failed one counts as: of enum counter; 0: nothing was wrong with it but its result */
	int64_t tried_ms; /* when the try before ended, if it has used up tries; INT64_MAX: nobody knows */
	bool unsure; /* whether the failure of its last call uses up a try is asked at write-back */
	bool prompt; /* somebody asked for this one: it goes before those of runs */
	int64_t slot_ms; /* not sent before, so that rates are kept; 0: there are none */
};

TAILQ_HEAD(way_list, way);

/* Puts a claimed delivery, which it takes over, among those that wait: prompt ones first. slot_ms as in struct way. */
void way_add(struct sender *, struct delivery *, int64_t slot_ms, bool prompt);
/* Moves a way to the list of another state. */
void way_move(struct way *, enum way_state);
/* How many there are, in whatever state. */
int64_t way_count(const struct sender *);

/* "identity store", "message sender": in logs, reasons and the database. */
const char *way_service_word(enum service);

/* Moves all on that may move: starts calls while there are slots and the services are well. */
void way_pump(struct sender *);
/* Puts what has not begun a call back: the services are out, or we are to stop. */
void way_release_unstarted(struct sender *);
/* The same for what waits since it was claimed so long ago that its text may not be the stored one any more. */
void way_release_stale(struct sender *, int64_t now_ms);
/*
 * Finds ready ones that could be sent now, were their text not read too long ago: puts at most max of them into out,
 * and returns how many. way_renew then gives each what is stored now, which it takes over; NULL: it goes back.
 */
int way_outdated(const struct sender *, int64_t now_ms, struct way **out, int max);
void way_renew(struct way *, struct delivery *news);
/* How long until a call may start, by what the breakers say: 0 now, -1 when a probe under way decides. */
int64_t way_wait_ms(const struct sender *, int64_t now_ms);
/* When the next one that only waits for its time may be sent; INT64_MAX when none does. */
int64_t way_next_slot_ms(const struct sender *, int64_t now_ms);
/* Shows in /metrics whether calls are paused. */
void way_show_pauses(const struct sender *, int64_t now_ms);
/* True when a service is out or being probed. */
bool way_is_probing(const struct sender *);
/* Ends what the log: adapter holds: written and durable, or the message sender is out. */
void way_flush_outlog(struct sender *);
/* Decides what was left open until the write-back. */
void way_settle(struct way *);
void way_free(struct way *);

#endif
