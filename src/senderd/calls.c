#include "config.h"

#include "senderd/calls.h"

#include "base/counter.h"

static enum calls_outcome outcome_of_status(long status)
{
	switch (status) {
	case 400:
		return CALLS_400;
	case 401:
		return CALLS_401;
	case 403:
		return CALLS_403;
	case 404:
		return CALLS_404;
	case 429:
		return CALLS_429;
	default:
		return status / 100 == 2 ? CALLS_2XX : status / 100 == 5 ? CALLS_5XX : CALLS_OTHER;
	}
}

static enum calls_outcome outcome_of(const struct fetch_answer *answer)
{
	switch (answer->outcome) {
	case FETCH_REFUSED:
		return CALLS_REFUSED;
	case FETCH_BROKEN:
		return CALLS_BROKEN;
	case FETCH_TIMEOUT:
		return CALLS_TIMEOUT;
	case FETCH_ANSWERED:
	case FETCH_TOO_LARGE:
	case FETCH_OUTCOME_MAX:
		break;
	}
	return outcome_of_status(answer->status);
}

void calls_count(enum calls_service service, const struct fetch_answer *answer)
{
	counter_add(COUNTER_CALLS_IDENTITY_2XX + (size_t)service * CALLS_OUTCOME_MAX + outcome_of(answer), 1);
	counter_add(COUNTER_CALL_TIME + (size_t)service, (uint64_t)answer->took_ms * 1000);
}

void calls_outage(enum calls_service service)
{
	counter_add(COUNTER_OUTAGES + (size_t)service, 1);
}

void calls_show_pause(enum calls_service service, const struct breaker *breaker, int64_t now_ms)
{
	counter_set(COUNTER_PAUSED + (size_t)service, breaker_wait_ms(breaker, now_ms) != 0);
}
