#include "domain/tick.h"

#include <stdio.h>
#include <string.h>

void tick_put_definition(const char *const fields[CRON_FIELD_MAX], const char *timezone, char out[TICK_DEFINITION_SIZE])
{
	struct buf definition;

	buf_init(&definition, TICK_DEFINITION_SIZE - 1);
	for (int i = 0; i < CRON_FIELD_MAX; i++)
		buf_printf(&definition, "%s|", fields[i]);
	buf_puts(&definition, timezone);
	snprintf(out, TICK_DEFINITION_SIZE, "%s", buf_text(&definition));
	buf_fini(&definition);
}

enum db_status tick_note(struct db *db, int64_t schedule_id, const char *definition, int64_t minute)
{
	struct db_params params;

	db_params_init(&params);
	db_param_int(&params, schedule_id);
	db_param_text(&params, definition);
	db_param_time(&params, cron_minute_us(minute));
	return db_query(db, DB_Q_SCHEDULE_TICK_SET, &params, NULL);
}
