#include "domain/breaker.h"

#include "base/assert.h"

#define RETRY_AFTER_MAX_MS INT64_C(86400000)

void breaker_init(struct breaker *breaker)
{
	*breaker = (struct breaker){.state = BREAKER_CLOSED, .generation = 1, .last_answer = -1};
}

bool breaker_start(struct breaker *breaker, int64_t now, struct breaker_ticket *ticket)
{
	if (breaker->state == BREAKER_OPEN && now >= breaker->open_until)
		breaker->state = BREAKER_PROBING;
	if (breaker->state == BREAKER_OPEN || (breaker->state == BREAKER_PROBING && breaker->probe_out))
		return false;
	*ticket = (struct breaker_ticket){breaker->generation, breaker->state == BREAKER_PROBING};
	breaker->probe_out = ticket->probe;
	return true;
}

int64_t breaker_wait_ms(const struct breaker *breaker, int64_t now)
{
	if (breaker->state == BREAKER_CLOSED)
		return 0;
	if (breaker->probe_out)
		return -1;
	return breaker->open_until > now ? breaker->open_until - now : 0;
}

static void change_state(struct breaker *breaker, enum breaker_state state)
{
	breaker->state = state;
	breaker->probe_out = false;
	breaker->streak = 0;
	if (++breaker->generation == 0)
		breaker->generation = 1;
}

static void open_it(struct breaker *breaker, const struct breaker_config *config, int64_t retry_after_ms, int64_t now)
{
	int64_t wait;

	if (breaker->state == BREAKER_CLOSED) {
		breaker->opened_at = now;
		breaker->openings++;
		breaker->wait_ms = config->probe_min_ms;
	} else {
		breaker->wait_ms = breaker->wait_ms * 2;
	}
	if (breaker->wait_ms > config->probe_max_ms)
		breaker->wait_ms = config->probe_max_ms;
	wait = retry_after_ms > RETRY_AFTER_MAX_MS ? RETRY_AFTER_MAX_MS : retry_after_ms;
	breaker->open_until = now + (wait > breaker->wait_ms ? wait : breaker->wait_ms);
	change_state(breaker, BREAKER_OPEN);
}

static void close_it(struct breaker *breaker)
{
	breaker->wait_ms = 0;
	change_state(breaker, BREAKER_CLOSED);
}

/* Of a call that was let out while it was closed. */
static bool count_failure(struct breaker *breaker, const struct breaker_config *config, const struct breaker_result *result, int64_t now)
{
	/* Who names a time to come back speaks for the whole service. */
	bool of_all = result->outcome == RETRY_OUTAGE || result->retry_after_ms >= 0;

	if (!of_all && (result->charged_before || ++breaker->streak < BREAKER_STREAK))
		return false;
	open_it(breaker, config, result->retry_after_ms, now);
	return true;
}

bool breaker_report(struct breaker *breaker, const struct breaker_config *config, struct breaker_ticket ticket,
    const struct breaker_result *result, int64_t now)
{
	/* Calls that were under way when it opened or closed say nothing about what is now. */
	if (ticket.generation != breaker->generation)
		return false;
	if (result->outcome == RETRY_DONE || result->outcome == RETRY_PERMANENT) {
		breaker->last_answer = now;
		breaker->streak = 0;
		if (ticket.probe)
			close_it(breaker);
		return ticket.probe;
	}
	if (!ticket.probe)
		return count_failure(breaker, config, result, now);
	open_it(breaker, config, result->retry_after_ms, now);
	return true;
}

void breaker_cancel(struct breaker *breaker, struct breaker_ticket ticket)
{
	if (ticket.probe && ticket.generation == breaker->generation)
		breaker->probe_out = false;
}

void breaker_hear(struct breaker *breaker, int64_t answered)
{
	if (breaker->last_answer < answered)
		breaker->last_answer = answered;
}

bool breaker_charges(const struct breaker *breaker, struct breaker_ticket ticket, int64_t tried, int64_t now)
{
	if (ticket.probe || ticket.generation != breaker->generation)
		return false;
	if (tried != BREAKER_FIRST_TRY)
		return breaker->last_answer > tried;
	return breaker->streak < BREAKER_DOUBT && breaker->last_answer >= 0 && now - breaker->last_answer <= BREAKER_MEMORY_MS;
}

const char *breaker_state_name(const struct breaker *breaker)
{
	static const char *const names[BREAKER_STATE_MAX] = {"closed", "open", "probing"};

	SBM_ASSERT(breaker->state < BREAKER_STATE_MAX);
	return names[breaker->state];
}
