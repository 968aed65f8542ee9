#ifndef SENDERD_CLAIM_H
#define SENDERD_CLAIM_H

#include "domain/queue.h"

#include <stdbool.h>
#include <stdint.h>

struct sender;

/*
 * Which deliveries a sender process claims, how many at once, and when: what is prompt first, then in the order of the
 * queue from where the last claim ended, within the rates.
 */
struct claim {
	struct delivery **deliveries;
	int64_t *slots; /* when each may be sent, in microseconds from the claim on; 0: at once */
	int count;
	int prompt; /* so many of them, the first ones, are prompt */
	bool prompt_asked; /* only prompt ones are to be claimed */
	bool prompt_only;  /* only such were claimed */
	int64_t limit;
	int64_t due_in_ms;
	bool from_start;
	bool postponed; /* sender_rate has given out all for now; nothing was claimed */
	int64_t wait_us; /* until the next time of sender_rate */
};

/* At the start of the process: the statements, and a cursor at the queue's start. */
void claim_init(struct sender *);
/* Whether more is wanted, and whether what is prompt alone is. */
bool claim_is_due(const struct sender *, int64_t now_ms);
bool claim_prompt_is_due(const struct sender *, int64_t now_ms);
/* Claims in the open transaction; then, when it is committed, claim_take makes them ways, else claim_drop gives all back. */
enum db_status claim_make(struct sender *, struct claim *);
void claim_take(struct sender *, struct claim *);
void claim_drop(struct claim *);
/* The next claim begins at the queue's start, where what came back is found. */
void claim_from_start(struct sender *, int64_t now_ms);

#endif
