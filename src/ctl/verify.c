#include "config.h"

#include "ctl/ctl.h"
#include "io/db.h"

#include <stdint.h>

/* One row for each rule of sql/invariants.sql; fails when one is broken. */
int ctl_verify(struct ctl *ctl, const struct ctl_args *args)
{
	static const struct table_column columns[] = {{"name", TABLE_TEXT}, {"rule", TABLE_TEXT}, {"violations", TABLE_NUMBER}, {"example", TABLE_TEXT}, {0}};
	struct db_result *result;
	struct table table;
	int64_t violations = 0;

	if (!ctl_db(ctl))
		return CTL_FAILED;
	if (db_query(ctl->db, DB_Q_INVARIANT_CHECK, NULL, &result) != DB_OK)
		return ctl_db_failed(ctl, "check the invariants; does sbmctl migrate have something to do?");
	for (int row = 0; row < db_rows(result); row++)
		violations += db_int(result, row, 2);
	table_init(&table, columns);
	table_add_result(&table, result);
	table_show(&table, ctl_has(args, "json"));
	table_fini(&table);
	db_result_free(result);
	return violations ? CTL_FAILED : CTL_OK;
}
