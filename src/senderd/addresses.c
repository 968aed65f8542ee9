#include "senderd/addresses.h"

#include "base/assert.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACES 65536

struct place {
	char *pair; /* identity, NUL, address */
	int64_t until_ms;
};

struct address_cache {
	int64_t keep_ms;
	struct place places[PLACES];
};

struct address_cache *addresses_create(int64_t keep_ms)
{
	struct address_cache *cache;

	if (keep_ms <= 0)
		return NULL;
	cache = calloc(1, sizeof *cache);
	SBM_ASSERT(cache);
	cache->keep_ms = keep_ms;
	return cache;
}

void addresses_free(struct address_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < PLACES; i++)
		free(cache->places[i].pair);
	free(cache);
}

/* FNV-1a. */
static size_t place_of(const char *identity)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (; *identity; identity++)
		hash = (hash ^ (unsigned char)*identity) * UINT64_C(1099511628211);
	return (size_t)((hash ^ hash >> 32) % PLACES);
}

const char *addresses_get(const struct address_cache *cache, const char *identity)
{
	const struct place *place;

	if (!cache)
		return NULL;
	place = &cache->places[place_of(identity)];
	if (!place->pair || clock_monotonic_ms() >= place->until_ms || strcmp(place->pair, identity) != 0)
		return NULL;
	return place->pair + strlen(identity) + 1;
}

void addresses_put(struct address_cache *cache, const char *identity, const char *address)
{
	size_t identity_size = strlen(identity) + 1, address_size = strlen(address) + 1;
	struct place *place;

	if (!cache)
		return;
	place = &cache->places[place_of(identity)];
	free(place->pair);
	place->pair = malloc(identity_size + address_size);
	SBM_ASSERT(place->pair);
	memcpy(place->pair, identity, identity_size);
	memcpy(place->pair + identity_size, address, address_size);
	place->until_ms = clock_monotonic_ms() + cache->keep_ms;
}

