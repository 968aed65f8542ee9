#include "domain/gate.h"

#include "base/assert.h"
#include "base/boundary.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/settings.h"
#include "domain/queue.h"
#include "domain/zone.h"

#include <stdio.h>
#include <string.h>

#define WINDOW_PREFIX "window "
#define CHANNEL_PREFIX "channel "
/* Deliveries that wait for a channel are let go on so often; what is too much of them waits again. */
#define FEED_MS 250

void gate_rules_read(struct gate_rules *rules)
{
	const char *rates = setting_str(SETTING_SENDER_RATE_CHANNELS), *window = setting_str(SETTING_SEND_WINDOW);
	struct rate rate;

	*rules = (struct gate_rules){.rate = setting_int(SETTING_SENDER_RATE)};
	rules->windowed = *window && parse_window(window, &rules->from, &rules->until) == 0;
	while (parse_rate(&rates, &rate) > 0) {
		if (rules->channel_count == GATE_CHANNELS_MAX)
			log_fatal("too many channels in sender_rate_channels", log_int("most", GATE_CHANNELS_MAX));
		rules->channels[rules->channel_count++] = rate;
	}
}

bool gate_window_is_open(const struct gate_rules *rules, const char *zone, int64_t now)
{
	char error[256];
	int64_t minute = now / CLOCK_MINUTE - (now % CLOCK_MINUTE < 0);
	const struct zone *found;

	if (!rules->windowed)
		return true;
	found = zone_find(zone, error, sizeof error);
	if (found)
		minute = zone_local(found, minute);
	minute = (minute % 1440 + 1440) % 1440;
	if (rules->from < rules->until)
		return minute >= rules->from && minute < rules->until;
	return minute >= rules->from || minute < rules->until;
}

int gate_channel(const struct gate_rules *rules, const char *channel)
{
	for (int i = 0; i < rules->channel_count; i++)
		if (strcmp(rules->channels[i].name, channel) == 0)
			return i;
	return -1;
}

void gate_name_window(const char *zone, char out[GATE_SIZE])
{
	snprintf(out, GATE_SIZE, WINDOW_PREFIX "%s", zone);
}

void gate_name_channel(const char *channel, char out[GATE_SIZE])
{
	snprintf(out, GATE_SIZE, CHANNEL_PREFIX "%s", channel);
}

static enum db_status open_gate(struct db *db, const char *gate, int64_t limit, int64_t *opened)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, gate);
	db_param_int(&params, limit);
	status = db_query(db, DB_Q_GATE_OPEN, &params, &result);
	if (status == DB_OK)
		*opened += db_affected(result);
	db_result_free(result);
	return status;
}

/* Whether it is our turn to feed a lane: one daemon in a while is enough. */
static enum db_status is_hungry(struct db *db, const char *lane, bool *hungry)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, lane);
	db_param_int(&params, FEED_MS);
	status = db_query(db, DB_Q_RATE_FEED, &params, &result);
	*hungry = status == DB_OK && db_affected(result) > 0;
	db_result_free(result);
	return status;
}

static enum db_status feed_channel(struct db *db, const struct gate_rules *rules, const char *gate, int64_t limit, int64_t *opened, bool *waits)
{
	int channel = gate_channel(rules, gate + strlen(CHANNEL_PREFIX));
	enum db_status status;
	bool hungry;

	if (channel < 0)
		return open_gate(db, gate, limit, opened);
	*waits = true;
	status = is_hungry(db, rules->channels[channel].name, &hungry);
	if (status != DB_OK || !hungry)
		return status;
	/* Twice what fits into the time: whoever comes late must not leave the lane empty. */
	return open_gate(db, gate, rules->channels[channel].number * 2 * FEED_MS / 1000 + 1, opened);
}

/* In one transaction. */
static enum db_status open_all(struct db *db, const struct gate_rules *rules, int64_t limit, int64_t now, int64_t *opened, bool *waits)
{
	struct db_result *gates = NULL;
	enum db_status status = db_query(db, DB_Q_GATE_LIST, NULL, &gates);

	for (int row = 0; status == DB_OK && row < db_rows(gates); row++) {
		const char *gate = db_text(gates, row, 0);

		if (strncmp(gate, CHANNEL_PREFIX, strlen(CHANNEL_PREFIX)) == 0)
			status = feed_channel(db, rules, gate, limit, opened, waits);
		else if (strncmp(gate, WINDOW_PREFIX, strlen(WINDOW_PREFIX)) == 0
			? gate_window_is_open(rules, gate + strlen(WINDOW_PREFIX), now) : db_bool(gates, row, 1))
			status = open_gate(db, gate, limit, opened);
	}
	db_result_free(gates);
	return status;
}

enum db_status gate_open_all(struct db *db, const struct gate_rules *rules, int64_t limit, int64_t now, int64_t *opened, bool *waits)
{
	enum db_status status = queue_begin(db);

	*opened = 0;
	*waits = false;
	if (status != DB_OK)
		return status;
	status = open_all(db, rules, limit, now, opened, waits);
	if (status != DB_OK) {
		db_rollback(db);
		return status;
	}
	if (*opened > 0)
		boundary_pass(BOUNDARY_DISPATCHER_GATES);
	status = db_commit(db);
	if (*opened > 0)
		boundary_pass(BOUNDARY_DISPATCHER_GATES_OPENED);
	return status;
}

static enum db_status look(struct db *db, const struct db_params *params, int64_t *wait_us)
{
	struct db_result *result = NULL;
	enum db_status status = db_query(db, DB_Q_RATE_LOOK, params, &result);

	*wait_us = -1;
	if (status == DB_OK && db_rows(result) > 0)
		*wait_us = db_int(result, 0, 0);
	db_result_free(result);
	return status;
}

enum db_status gate_look(struct db *db, const char *lane, int64_t *wait_us)
{
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, lane);
	status = look(db, &params, wait_us);
	if (status != DB_OK || *wait_us >= 0)
		return status;
	status = db_query(db, DB_Q_RATE_LANE, &params, NULL);
	return status == DB_OK ? look(db, &params, wait_us) : status;
}

enum db_status gate_take(struct db *db, const char *lane, int64_t next_us)
{
	struct db_params params;

	db_params_init(&params);
	db_param_text(&params, lane);
	db_param_int(&params, next_us);
	return db_query(db, DB_Q_RATE_TAKE, &params, NULL);
}
