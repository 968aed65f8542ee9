#include "api/arg.h"

int
arg_subscription(struct req *r, char uuid[UUID_TEXT_SIZE], struct db_result **row)
{
	struct db_params params;

	if (parse_uuid(r->args[0], uuid) < 0)
		return req_fail(r, 404, "Not found.");
	db_params_init(&params);
	db_param_text(&params, uuid);
	if (req_sql(r, DB_Q_PROGRESS_SUBSCRIPTION, &params, row) < 0)
		return -1;
	return db_rows(*row) == 1 ? 0 : req_fail(r, 404, "Not found.");
}

int
arg_number(struct req *r, const char *name, int64_t min, int64_t max, int64_t fallback, int64_t *number)
{
	const char *text = req_param(r, name);

	*number = fallback;
	if (!text || parse_int(text, min, max, number) == 0)
		return 0;
	return req_fail_field(r, name, "Enter a whole number from %lld to %lld.", (long long)min, (long long)max);
}
