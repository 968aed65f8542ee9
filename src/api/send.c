#include "api/handlers.h"

#include "base/clock.h"
#include "domain/delivery.h"

static int
refuse(struct req *r, const char *reason)
{
	return req_fail_json(r, 400, json_pack("{s:b, s:s}", "accepted", 0, "reason", reason));
}

static int
refuse_unknown(struct req *r)
{
	return refuse(r, arena_printf(r->arena, "Cannot find subscription with ID %s", r->args[0]));
}

static int
enqueue(struct req *r, enum delivery_kind kind, int status)
{
	char uuid[UUID_TEXT_SIZE];
	struct delivery_request request = {.subscription_id = uuid, .kind = kind, .request_id = r->id, .now = clock_now()};
	struct delivery_answer answer;
	enum db_status result;

	if (parse_uuid(r->args[0], uuid) < 0)
		return refuse_unknown(r);
	if (req_begin(r) < 0)
		return -1;
	result = delivery_enqueue(r->db, &request, &answer);
	if (result != DB_OK)
		return req_fail_db(r, result);
	if (answer.verdict == DELIVERY_UNKNOWN)
		return refuse_unknown(r);
	if (answer.verdict == DELIVERY_NOT_READY)
		return refuse(r, answer.reason);
	req_wake(r, "send");
	buf_puts(r->out, "{\"accepted\":true}");
	return req_answer(r, status);
}

int
send_next(struct req *r)
{
	return enqueue(r, DELIVERY_NEXT, 201);
}

int
send_again(struct req *r)
{
	return enqueue(r, DELIVERY_RESEND, 202);
}
