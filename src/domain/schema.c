#include "domain/schema.h"

#include "base/log.h"
#include "io/db.h"

static int read_number(struct db *db, enum db_query query, int *out)
{
	struct db_result *result;

	if (db_query(db, query, NULL, &result) != DB_OK)
		return -1;
	*out = (int)db_int(result, 0, 0);
	db_result_free(result);
	return 0;
}

int schema_read(struct db *db, int *version)
{
	int tables;

	*version = 0;
	if (read_number(db, DB_Q_SCHEMA_TABLE, &tables))
		return -1;
	return tables ? read_number(db, DB_Q_SCHEMA_VERSION, version) : 0;
}

int schema_check(struct db *db)
{
	int version;

	if (schema_read(db, &version)) {
		log_err("could not read the schema's version; is the database up, and the setting \"database\" right?");
		return -1;
	}
	if (version < SCHEMA_NEEDED) {
		log_err("the database's schema is older than this program; run: sbmctl migrate", log_int("version", version), log_int("needed", SCHEMA_NEEDED));
		return -1;
	}
	return 0;
}
