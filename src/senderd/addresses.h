#ifndef SENDERD_ADDRESSES_H
#define SENDERD_ADDRESSES_H

#include <stdint.h>

/*
 * Addresses that the identity store gave a while ago (setting address_cache), of one process. A fixed number
 * of places: a newer address takes the place of an older one.
 */
struct address_cache;

/* NULL when keep_ms is 0; the others take NULL for a cache that holds nothing. */
struct address_cache *addresses_create(int64_t keep_ms);
void addresses_free(struct address_cache *);
/* The address, borrowed until the next put, or NULL. */
const char *addresses_get(const struct address_cache *, const char *identity);
void addresses_put(struct address_cache *, const char *identity, const char *address);

#endif
