#include "domain/retry.h"

static enum retry_outcome classify_status(long status)
{
	switch (status) {
	case 401: /* our token: the same for every delivery */
	case 403:
	case 407:
	case 429:
		return RETRY_OUTAGE;
	case 408:
	case 425:
		return RETRY_UNSURE;
	default:
		break;
	}
	if (status >= 500)
		return RETRY_UNSURE;
	if (status >= 400)
		return RETRY_PERMANENT;
	/* A redirect is not followed: the configured address is wrong, whatever is sent there. */
	return RETRY_OUTAGE;
}

enum retry_outcome retry_classify(enum fetch_outcome outcome, long status)
{
	/* A 2xx status line is an answer, even when its body did not arrive: the message was taken. */
	if (status >= 200 && status < 300)
		return RETRY_DONE;
	if (outcome == FETCH_REFUSED)
		return RETRY_OUTAGE;
	if ((outcome != FETCH_ANSWERED && outcome != FETCH_TOO_LARGE) || status == 0)
		return RETRY_UNSURE;
	return classify_status(status);
}

static int64_t take_jitter(int64_t wait, uint32_t random)
{
	return wait - (int64_t)((uint64_t)wait / 2 * random >> 32);
}

int64_t retry_wait_ms(int tries, int64_t base_ms, int64_t max_ms, uint32_t random)
{
	int64_t wait = base_ms < max_ms ? base_ms : max_ms;

	for (int i = 1; i < tries && wait < max_ms; i++)
		wait = wait > max_ms / 2 ? max_ms : wait * 2;
	return take_jitter(wait, random);
}

int64_t retry_wait_longer_ms(int64_t waited_ms, int64_t base_ms, int64_t max_ms, uint32_t random)
{
	int64_t wait = waited_ms > max_ms / 2 ? max_ms : waited_ms * 2;

	if (wait < base_ms)
		wait = base_ms < max_ms ? base_ms : max_ms;
	return take_jitter(wait, random);
}
