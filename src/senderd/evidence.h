#ifndef SENDERD_EVIDENCE_H
#define SENDERD_EVIDENCE_H

#include <stdint.h>

struct sender;

/*
 * Whether a service answers others, over all sender processes of all daemons: by that, and by nothing else, a delivery
 * that fails again and again is told from a service that is out.
 */

/* Tells the other processes that a service answered here; once in a while, and only when it did. */
void evidence_tell(struct sender *, int64_t now_ms);
/*
 * Before results are written back: when there are deliveries among them whose failure may use up a further try, hears
 * what the other processes know, and when each of them was tried before.
 */
void evidence_weigh(struct sender *);

#endif
