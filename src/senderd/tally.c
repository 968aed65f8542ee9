#include "senderd/tally.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "io/digest.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Ranges of the shared file on which locks are held; the kernel takes them back from a process that ends. */
enum { LOCK_POST, LOCK_MEMBER };

#define REQUEST_ID_SIZE 80

enum slot_state {
	SLOT_EMPTY,
	SLOT_MADE, /* somebody writes the key; who finds it so goes on to the next, since that one may have died at it */
	SLOT_READY
};

struct slot {
	_Atomic int state;
	bool latest; /* not a sum: `value` counts, and `counted` only tells that it was set anew */
	_Atomic int64_t counted;
	_Atomic int64_t value, set_ms;
	/* Of `value`, at the place that is `counted` modulo 2: the next may be written while this one is read. */
	char request_ids[2][REQUEST_ID_SIZE];
	/* Written by the process that posts alone. */
	_Atomic int64_t accepted, sent; /* accepted <= sent <= counted */
	char id[UUID_TEXT_SIZE];        /* of the post that goes from accepted to sent */
	char key[METRIC_KEY_MAX];
};

struct tally {
	_Atomic int64_t reloads;
	_Atomic int64_t lost;
	struct slot slots[TALLY_KEYS_MAX];
};

static struct tally *tally;
static int file = -1;

int tally_init(void)
{
	void *memory;

	file = memfd_create("sbm metrics", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, sizeof *tally) != 0) {
		log_err("could not make memory for the metrics", log_errno());
		return -1;
	}
	memory = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (memory == MAP_FAILED) {
		log_err("could not map memory for the metrics", log_errno());
		return -1;
	}
	tally = memory;
	return 0;
}

/* FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint32_t hash(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

static bool make(struct slot *slot, const char *key, bool latest)
{
	int empty = SLOT_EMPTY;

	if (!atomic_compare_exchange_strong(&slot->state, &empty, SLOT_MADE))
		return empty == SLOT_READY && strcmp(slot->key, key) == 0;
	strcpy(slot->key, key);
	slot->latest = latest;
	atomic_store(&slot->state, SLOT_READY);
	return true;
}

/* The place of a key, made when there is none. Two processes may come to make two; both are posted. */
static struct slot *find(const char *key, bool latest)
{
	uint32_t start = hash(key);

	SBM_ASSERT(strlen(key) < METRIC_KEY_MAX);
	for (uint32_t i = 0; i < TALLY_KEYS_MAX; i++) {
		struct slot *slot = &tally->slots[(start + i) % TALLY_KEYS_MAX];
		int state = atomic_load_explicit(&slot->state, memory_order_acquire);

		if (state == SLOT_READY ? strcmp(slot->key, key) == 0 : state == SLOT_EMPTY && make(slot, key, latest))
			return slot;
	}
	return NULL;
}

void tally_add(const char *key, int64_t n)
{
	struct slot *slot = find(key, false);

	atomic_fetch_add_explicit(slot ? &slot->counted : &tally->lost, n, memory_order_relaxed);
}

void tally_set(const char *key, int64_t value, const char *request_id)
{
	struct slot *slot = find(key, true);
	char *id;

	if (!slot) {
		atomic_fetch_add(&tally->lost, 1);
		return;
	}
	id = slot->request_ids[(atomic_load(&slot->counted) + 1) & 1];
	snprintf(id, REQUEST_ID_SIZE, "%s", request_id);
	atomic_store(&slot->set_ms, clock_monotonic_ms());
	atomic_store(&slot->value, value);
	atomic_fetch_add(&slot->counted, 1);
}

int64_t tally_lost(void)
{
	return atomic_load(&tally->lost);
}

int tally_keys(void)
{
	return TALLY_KEYS_MAX;
}

const char *tally_key(int i)
{
	return atomic_load_explicit(&tally->slots[i].state, memory_order_acquire) == SLOT_READY ? tally->slots[i].key : NULL;
}

static bool is_pending(struct slot *slot)
{
	return atomic_load_explicit(&slot->state, memory_order_acquire) == SLOT_READY && atomic_load(&slot->counted) != atomic_load(&slot->accepted);
}

bool tally_take(int i, struct tally_post *post)
{
	struct slot *slot = &tally->slots[i];

	if (!is_pending(slot))
		return false;
	if (atomic_load(&slot->sent) == atomic_load(&slot->accepted) || slot->latest) {
		uuid_generate(slot->id);
		atomic_store(&slot->sent, atomic_load(&slot->counted));
	}
	post->key = slot->key;
	post->id = slot->id;
	post->request_id = slot->latest ? slot->request_ids[atomic_load(&slot->sent) & 1] : "";
	post->value = slot->latest ? atomic_load(&slot->value) : atomic_load(&slot->sent) - atomic_load(&slot->accepted);
	return true;
}

void tally_accepted(int i)
{
	atomic_store(&tally->slots[i].accepted, atomic_load(&tally->slots[i].sent));
}

void tally_refused(int i)
{
	atomic_store(&tally->slots[i].sent, atomic_load(&tally->slots[i].accepted));
}

int tally_forget_values(int64_t older_than_ms)
{
	int64_t now = clock_monotonic_ms();
	int forgotten = 0;

	for (int i = 0; i < TALLY_KEYS_MAX; i++) {
		struct slot *slot = &tally->slots[i];

		if (!is_pending(slot) || !slot->latest || now - atomic_load(&slot->set_ms) <= older_than_ms)
			continue;
		atomic_store(&slot->sent, atomic_load(&slot->counted));
		tally_accepted(i);
		forgotten++;
	}
	return forgotten;
}

int tally_pending(void)
{
	int pending = 0;

	for (int i = 0; i < TALLY_KEYS_MAX; i++)
		pending += is_pending(&tally->slots[i]);
	return pending;
}

static struct flock range(int type, off_t at)
{
	return (struct flock){.l_type = (short)type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
}

bool tally_post_lock(void)
{
	struct flock lock = range(F_WRLCK, LOCK_POST);

	return fcntl(file, F_SETLK, &lock) == 0;
}

void tally_join(void)
{
	struct flock lock = range(F_RDLCK, LOCK_MEMBER);

	fcntl(file, F_SETLK, &lock);
}

bool tally_has_members(void)
{
	struct flock lock = range(F_WRLCK, LOCK_MEMBER);

	return fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

void tally_count_reload(void)
{
	atomic_fetch_add(&tally->reloads, 1);
}

int64_t tally_reloads(void)
{
	return atomic_load(&tally->reloads);
}
