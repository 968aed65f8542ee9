#include "ctl/messageset.h"

#include "base/parse.h"
#include "io/db.h"

#include <string.h>

int ctl_messageset(struct ctl *ctl, const char *text, int64_t *id)
{
	struct db_params params;
	struct db_result *result;

	*id = 0;
	if (!text)
		return 0;
	db_params_init(&params);
	db_param_text(&params, text);
	if (!utf8_is_valid(text, strlen(text))) {
		ctl_fail("the name of the message set is not UTF-8");
		return -1;
	}
	if (db_query(ctl->db, DB_Q_REPAIR_MESSAGESET, &params, &result) != DB_OK) {
		ctl_db_failed(ctl, "look up the message set");
		return -1;
	}
	if (db_rows(result) > 0)
		*id = db_int(result, 0, 0);
	else
		ctl_fail("there is no message set \"%.100s\"", text);
	db_result_free(result);
	return *id ? 0 : -1;
}

int ctl_active(struct ctl *ctl, int64_t messageset_id, int64_t *count)
{
	struct db_params params;
	struct db_result *result;

	db_params_init(&params);
	db_param_id(&params, messageset_id);
	if (db_query(ctl->db, DB_Q_REPAIR_ACTIVE, &params, &result) != DB_OK) {
		ctl_db_failed(ctl, "count the subscriptions");
		return -1;
	}
	*count = db_int(result, 0, 0);
	db_result_free(result);
	return 0;
}

int ctl_messagesets(struct ctl *ctl, const struct ctl_args *args, int64_t ids[CTL_OPTIONS_MAX])
{
	int count = 0;

	for (int i = 0; i < args->option_count; i++)
		if (strcmp(args->options[i].name, "message-set") == 0 && ctl_messageset(ctl, args->options[i].value, &ids[count++]))
			return -1;
	if (count < CTL_OPTIONS_MAX)
		ids[count] = 0;
	return 0;
}

bool ctl_messageset_is_wanted(const int64_t ids[CTL_OPTIONS_MAX], int64_t id)
{
	for (int i = 0; i < CTL_OPTIONS_MAX && ids[i]; i++)
		if (ids[i] == id)
			return true;
	return ids[0] == 0;
}
