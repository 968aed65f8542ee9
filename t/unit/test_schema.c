#include "domain/schema.h"

#include "tap.h"

#include <dirent.h>
#include <stdlib.h>

static const char *const migrations = SRCDIR "/sql/migrations";

int main(void)
{
	struct dirent *entry;
	DIR *dir = opendir(migrations);
	int newest = 0, count = 0;

	if (!dir)
		return 99;
	while ((entry = readdir(dir))) {
		size_t n = strlen(entry->d_name);

		if (n < 5 || strcmp(entry->d_name + n - 4, ".sql"))
			continue;
		count++;
		if (atoi(entry->d_name) > newest)
			newest = atoi(entry->d_name);
	}
	closedir(dir);
	is_int(newest, SCHEMA_NEEDED, "the programs need the newest migration");
	is_int(count, newest, "migrations are numbered without a gap");
	return tap_done();
}
