#include "senderd/evidence.h"

#include "base/boundary.h"
#include "base/clock.h"
#include "senderd/sender.h"

#include <string.h>

#define TELL_MS 1000
#define IDS_MAX ((size_t)1 << 20)

static void param_ago(struct db_params *params, const struct sender *sender, enum service service, int64_t now_ms)
{
	int64_t answer = sender->breakers[service].last_answer;

	if (answer > sender->told_answer[service])
		db_param_int(params, now_ms - answer);
	else
		db_param_null(params);
}

static bool has_news(const struct sender *sender)
{
	for (enum service service = 0; service < SERVICE_MAX; service++)
		if (sender->breakers[service].last_answer > sender->told_answer[service])
			return true;
	return false;
}

void evidence_tell(struct sender *sender, int64_t now_ms)
{
	struct db_params params;

	if (now_ms - sender->told_ms < TELL_MS || !has_news(sender))
		return;
	sender->told_ms = now_ms;
	db_params_init(&params);
	param_ago(&params, sender, SERVICE_IDENTITY, now_ms);
	param_ago(&params, sender, SERVICE_OUTBOUND, now_ms);
	if (db_query(sender->db, DB_Q_SERVICE_TELL, &params, NULL) != DB_OK)
		return;
	boundary_pass(BOUNDARY_SENDER_TOLD);
	for (enum service service = 0; service < SERVICE_MAX; service++)
		sender->told_answer[service] = sender->breakers[service].last_answer;
}

static bool is_in_question(const struct way *way)
{
	return way->unsure && way->delivery->tries > 0;
}

/* Takes those in question, as if nobody knew anything. How many. */
static int collect(struct sender *sender, struct buf *ids)
{
	struct way *way;
	int count = 0;

	db_array_begin(ids);
	TAILQ_FOREACH(way, &sender->lists[WAY_DONE], link)
		if (is_in_question(way)) {
			way->tried_ms = INT64_MAX;
			db_array_put(ids, way->delivery->subscription_id);
			count++;
		}
	db_array_end(ids);
	return count;
}

/* The time by our clock of what was so long ago by the database's; -1 when that makes no sense. */
static int64_t time_of(int64_t ago_ms, int64_t now_ms)
{
	if (ago_ms < 0)
		return -1;
	return ago_ms < now_ms ? now_ms - ago_ms : 0;
}

static void hear(struct sender *sender, const struct db_result *answers, int64_t now_ms)
{
	for (int row = 0; row < db_rows(answers); row++)
		for (enum service service = 0; service < SERVICE_MAX; service++)
			if (strcmp(db_text(answers, row, 0), way_service_word(service)) == 0)
				breaker_hear(&sender->breakers[service], time_of(db_int(answers, row, 1), now_ms));
}

static void take_tried(struct sender *sender, const struct db_result *tried, int64_t now_ms)
{
	struct way *way;

	TAILQ_FOREACH(way, &sender->lists[WAY_DONE], link)
		for (int row = 0; is_in_question(way) && row < db_rows(tried); row++)
			if (strcmp(db_text(tried, row, 0), way->delivery->subscription_id) == 0 && db_int(tried, row, 1) >= 0)
				way->tried_ms = time_of(db_int(tried, row, 1), now_ms);
}

static enum db_status ask(struct sender *sender, const struct buf *ids, struct db_result **answers, struct db_result **tried)
{
	enum db_status status = queue_begin(sender->db);
	struct db_params params;

	db_params_init(&params);
	db_param_text(&params, buf_text(ids));
	if (status == DB_OK)
		status = db_query(sender->db, DB_Q_SERVICE_ASK, NULL, answers);
	if (status == DB_OK)
		status = db_query(sender->db, DB_Q_SERVICE_TRIED, &params, tried);
	if (status == DB_OK)
		return db_commit(sender->db);
	db_rollback(sender->db);
	return status;
}

void evidence_weigh(struct sender *sender)
{
	struct db_result *answers = NULL, *tried = NULL;
	struct buf ids;

	buf_init(&ids, IDS_MAX);
	if (collect(sender, &ids) > 0 && ask(sender, &ids, &answers, &tried) == DB_OK) {
		int64_t now = clock_monotonic_ms();

		hear(sender, answers, now);
		take_tried(sender, tried, now);
	}
	db_result_free(answers);
	db_result_free(tried);
	buf_fini(&ids);
}
