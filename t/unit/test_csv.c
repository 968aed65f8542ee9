#include "base/csv.h"

#include "tap.h"

/* Rows as [a|b] with quoted fields as "b"; then how it ended. */
static void read_all(const char *bytes, size_t n, char separator, struct buf *out)
{
	struct csv csv;
	int rc;

	csv_init(&csv, bytes, n, separator);
	while ((rc = csv_next(&csv)) == 1) {
		buf_putc(out, '[');
		for (int i = 0; i < csv.count; i++)
			buf_printf(out, csv.fields[i].quoted ? "%s\"%s\"" : "%s%s", i ? "|" : "", csv.fields[i].text);
		buf_putc(out, ']');
	}
	if (rc)
		buf_printf(out, "! line %" PRId64 ", row %" PRId64 ": %.40s", csv.line, csv.row, csv.error);
	is_int(csv_next(&csv), rc, "its end stays its end");
	csv_fini(&csv);
}

static void check_read(const char *bytes, char separator, const char *expected)
{
	struct buf out;

	buf_init(&out, 65536);
	read_all(bytes, strlen(bytes), separator, &out);
	is_str(buf_text(&out), expected, "as read");
	buf_fini(&out);
}

static void check_put(const char *const *texts, int count, char separator, const char *expected)
{
	struct buf out;
	struct csv csv;

	buf_init(&out, 65536);
	csv_put_row(&out, texts, count, separator);
	is_str(buf_text(&out), expected, "as written");
	csv_init(&csv, out.data, out.length, separator);
	is_int(csv_next(&csv), 1, "reads back");
	is_int(csv.count, count, "as many fields");
	for (int i = 0; i < count; i++) {
		is_str(csv.fields[i].text, texts[i] ? texts[i] : "", "the same text");
		ok(csv.fields[i].quoted || texts[i] == NULL || *texts[i], "\"\" is not nothing");
	}
	is_int(csv_next(&csv), 0, "and no more");
	csv_fini(&csv);
	buf_fini(&out);
}

static void check_many_fields(int count, const char *expected)
{
	char line[2 * CSV_FIELDS_MAX + 16] = "";
	struct csv csv;
	int rc;

	for (int i = 1; i < count; i++)
		strcat(line, ",");
	csv_init(&csv, line, strlen(line), ',');
	rc = csv_next(&csv);
	is_str(rc == 1 ? "taken" : csv.error, expected, "many fields");
	csv_fini(&csv);
}

int main(void)
{
	check_read("", ',', "");
	check_read("a,b\r\nc,d\r\n", ',', "[a|b][c|d]");
	check_read("a,b\nc,d", ',', "[a|b][c|d]");
	check_read("a,b\rc,d\r", ',', "[a|b][c|d]");
	check_read("\xef\xbb\xbf" "a,b\r\n", ',', "[a|b]");
	check_read("\xef\xbb\xbf", ',', "");
	check_read("\xef\xbb\xbf\"a\"", ',', "[\"a\"]");
	check_read("a;b,c\n", ';', "[a|b,c]");
	check_read("a\tb c\n", '\t', "[a|b c]");
	check_read("a,\n,b\n,\n", ',', "[a|][|b][|]");
	check_read("a,", ',', "[a|]");
	check_read("\n\na\n\n", ',', "[][][a][]");
	check_read("\"\"\n", ',', "[\"\"]");
	check_read("\"a,b\",\"c\"\"d\",\"\",\r\n", ',', "[\"a,b\"|\"c\"d\"|\"\"|]");
	check_read("\"one\ntwo\r\nthree\",x\r\ny\r\n", ',', "[\"one\ntwo\r\nthree\"|x][y]");
	check_read("\"\"\"\"", ',', "[\"\"\"]");
	check_read(" a , b \n", ',', "[ a | b ]");
	check_read("a,b\"c\n", ',', "! line 1, row 1: there is a quote within a field; such a ");
	check_read("a\n\"b\"c\n", ',', "[a]! line 2, row 2: there is text behind the closing quote o");
	check_read("a\n\"b\n\nc", ',', "[a]! line 2, row 2: the quote that opens a field here is nev");
	check_read("\"a\nb\",c\n\"d\"\"", ',', "[\"a\nb\"|c]! line 3, row 2: the quote that opens a field here is nev");
	check_read("x \"a\",b\n", ',', "! line 1, row 1: there is a quote within a field; such a ");

	check_put((const char *[]){"a", "b"}, 2, ',', "a,b\r\n");
	check_put((const char *[]){"a", NULL, ""}, 3, ',', "a,,\"\"\r\n");
	check_put((const char *[]){"a,b", "c;d", "e\"f", "g\nh", "i\rj", " k", "l ", "m n"}, 8, ',',
	    "\"a,b\",c;d,\"e\"\"f\",\"g\nh\",\"i\rj\",\" k\",\"l \",m n\r\n");
	check_put((const char *[]){"a,b", "c;d"}, 2, ';', "a,b;\"c;d\"\r\n");
	check_put((const char *[]){"\xc3\xa9\xf0\x9f\x99\x82", "\""}, 2, ',', "\xc3\xa9\xf0\x9f\x99\x82,\"\"\"\"\r\n");

	check_many_fields(CSV_FIELDS_MAX, "taken");
	check_many_fields(CSV_FIELDS_MAX + 1, "there are too many fields in a row");
	return tap_done();
}
