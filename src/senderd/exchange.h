#ifndef SENDERD_EXCHANGE_H
#define SENDERD_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

struct sender;

/*
 * A sender process and its database: results in and new deliveries out, in one transaction, with calls going on
 * meanwhile. While the database is away, sender->db_again_ms says when to try again.
 */

/* Whether results are to be written back now. */
bool exchange_is_due(const struct sender *, int64_t now_ms);
/* Writes back what is done, and claims more when asked to. */
void exchange(struct sender *, bool with_claim);
/* Claims what is prompt, which does not wait for the writing of results either. */
void exchange_promptly(struct sender *);
/* Before something is sent that was claimed a while ago, looks at what is stored now. */
void exchange_refresh(struct sender *, int64_t now_ms);
/* Renews the leases of all that is held, long before they run out. */
void exchange_renew(struct sender *, int64_t now_ms);
/* Results that the database refused are done again: it may take them now. */
void exchange_kept_again(struct sender *);

#endif
