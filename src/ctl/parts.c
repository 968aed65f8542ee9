#include "ctl/parts.h"

#include "base/assert.h"
#include "base/buf.h"

#include <stdio.h>

#define JSON_MAX ((size_t)256 << 20)
#define PARTS_MAX 32

static int read_part(struct ctl *ctl, const struct part *part, const struct db_params *all, const char *what, struct table *table)
{
	struct db_result *result;
	struct db_params params = *all;

	SBM_ASSERT(part->params <= all->count);
	/* Numbers and times among them point into the caller's, which lives on. */
	params.count = part->params;
	table_init(table, part->columns);
	if (db_query(ctl->db, part->query, &params, &result) != DB_OK)
		return ctl_db_failed(ctl, what);
	table_add_result(table, result);
	db_result_free(result);
	return CTL_OK;
}

static void print_parts(const struct part *parts, int count, const struct table *tables)
{
	for (int i = 0; i < count; i++) {
		printf("%s%s", i ? "\n" : "", parts[i].title);
		if (tables[i].count) {
			putchar('\n');
			table_print(&tables[i]);
		} else
			printf(": %s\n", parts[i].empty);
	}
}

static void print_json(const struct part *parts, int count, const struct table *tables)
{
	struct buf buf;

	buf_init(&buf, JSON_MAX);
	for (int i = 0; i < count; i++) {
		buf_puts(&buf, i ? ",\n" : "{");
		buf_put_json(&buf, parts[i].name);
		buf_puts(&buf, ":\n");
		if (parts[i].single)
			table_put_json_row(&tables[i], 0, &buf);
		else
			table_put_json(&tables[i], &buf);
	}
	buf_putc(&buf, '}');
	puts(buf_text(&buf));
	buf_fini(&buf);
}

int parts_show(struct ctl *ctl, const struct part *parts, int count, const struct db_params *params, const char *what, bool json)
{
	struct table tables[PARTS_MAX];
	int rc = CTL_OK, read = 0;

	SBM_ASSERT(count <= PARTS_MAX);
	while (read < count && !rc) {
		rc = read_part(ctl, &parts[read], params, what, &tables[read]);
		read++;
	}
	if (!rc && json)
		print_json(parts, count, tables);
	else if (!rc)
		print_parts(parts, count, tables);
	while (read)
		table_fini(&tables[--read]);
	return rc;
}
