#include "base/buf.h"
#include "ctl/table.h"

#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

static const struct table_column columns[] = {
	{"name", TABLE_TEXT}, {"count", TABLE_NUMBER}, {"active", TABLE_BOOL}, {"made_at", TABLE_TIME}, {"words", TABLE_WORDS}, {0}
};

static void fill(struct table *table)
{
	table_init(table, columns);
	table_add(table, (const char *[]){"zoë \"z\"", "17", "t", "2026-11-23 17:04:01.088123+02", "a,b"});
	table_add(table, (const char *[]){"two\nlines\there", NULL, "f", NULL, ""});
}

static void test_json(void)
{
	struct table table;
	struct buf buf;

	buf_init(&buf, 10000);
	table_init(&table, columns);
	table_put_json(&table, &buf);
	is_str(buf_text(&buf), "[]", "no rows");
	table_fini(&table);

	buf_reset(&buf);
	fill(&table);
	table_put_json(&table, &buf);
	is_str(buf_text(&buf),
	       "[{\"name\":\"zoë \\\"z\\\"\",\"count\":17,\"active\":true,\"made_at\":\"2026-11-23T15:04:01Z\",\"words\":[\"a\",\"b\"]},\n"
	       "{\"name\":\"two lines here\",\"count\":null,\"active\":false,\"made_at\":null,\"words\":[]}]",
	       "each kind of column");
	buf_reset(&buf);
	table_put_json_row(&table, 1, &buf);
	is_str(buf_text(&buf), "{\"name\":\"two lines here\",\"count\":null,\"active\":false,\"made_at\":null,\"words\":[]}", "one row alone");
	table_fini(&table);
	buf_fini(&buf);
}

static void test_many(void)
{
	struct table table;
	char number[16];

	table_init(&table, columns);
	for (int i = 0; i < 1000; i++) {
		snprintf(number, sizeof(number), "%d", i);
		table_add(&table, (const char *[]){number, number, "t", NULL, NULL});
	}
	is_int((int64_t)table.count, 1000, "many rows");
	is_str(table.cells[999 * table.width], "999", "in their order");
	table_fini(&table);
}

static void test_print(void)
{
	char path[] = "test_table.XXXXXX", text[512] = "";
	int file = mkstemp(path), saved = dup(STDOUT_FILENO);
	struct table table;
	ssize_t n;

	fill(&table);
	fflush(stdout);
	dup2(file, STDOUT_FILENO);
	table_print(&table);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	n = pread(file, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	is_str(text, "name\tcount\tactive\tmade at\twords\nzoë \"z\"\t17\tyes\t2026-11-23T15:04:01Z\ta,b\ntwo lines here\t-\tno\t-\t-\n",
	       "away from a terminal: tabs between, none in the cells");
	table_fini(&table);
	unlink(path);
	close(file);
	close(saved);
}

int main(void)
{
	test_json();
	test_many();
	test_print();
	return tap_done();
}
