#include "config.h"

#include "senderd/calls.h"

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"

static const char *const service_words[] = {
	[CALLS_IDENTITY] = "identity store",
	[CALLS_OUTBOUND] = "message sender",
	[CALLS_SCHEDULER] = "scheduler",
	[CALLS_METRICS] = "metrics service",
};

const char *calls_service_word(enum calls_service service)
{
	return service_words[service];
}

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

void calls_report(enum calls_service service, struct breaker *breaker, const struct breaker_config *config, const struct calls_end *end)
{
	int64_t now = clock_monotonic_ms(), opened_at = breaker->opened_at;
	bool was_closed = breaker->state == BREAKER_CLOSED;

	if (!breaker_report(breaker, config, end->ticket, &end->result, now))
		return;
	if (was_closed)
		counter_add(COUNTER_OUTAGES + (size_t)service, 1);
	if (breaker->state == BREAKER_CLOSED)
		log_info("service answers again", log_str("service", service_words[service]), log_int("out_ms", now - opened_at));
	else
		log_warn("service is out; calls pause", log_str("service", service_words[service]), log_int("wait_ms", breaker->open_until - now),
			log_int("status", end->status), log_str("error", end->error));
}

void calls_show_pause(enum calls_service service, const struct breaker *breaker, int64_t now_ms)
{
	counter_set(COUNTER_PAUSED + (size_t)service, breaker_wait_ms(breaker, now_ms) != 0);
}
