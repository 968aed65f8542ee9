#include "ctl/progress.h"

#include "tap.h"

static void test_format(void)
{
	struct progress p = {.what = "subscriptions", .total = 1000, .done = 0, .began_ms = 0};
	char line[PROGRESS_LINE_SIZE];

	progress_format(&p, 1, 80, line);
	is_str(line, "[..............................]   0%  0 of 1000 subscriptions  0/s  ", "nothing done yet, and no guess");
	p.done = 500;
	progress_format(&p, 5000, 80, line);
	is_str(line, "[#############..............]  50%  500 of 1000 subscriptions  100/s  0:05 left", "half of it; the bar gives way to the text");
	progress_format(&p, 7200000, 120, line);
	is_str(line, "[###############...............]  50%  500 of 1000 subscriptions  0/s  2:00:00 left", "hours");
	p.done = 1000;
	progress_format(&p, 10000, 80, line);
	is_str(line, "[##############################] 100%  1000 of 1000 subscriptions  100/s  ", "done");
	p.done = 1001;
	progress_format(&p, 10000, 80, line);
	is_str(line, "[##############################] 100%  1001 of 1000 subscriptions  100/s  ", "more than there were at the beginning");
	p.total = 0;
	progress_format(&p, 10000, 80, line);
	is_str(line, "1001 subscriptions  100/s", "without a total");
	progress_format(&p, 10000, 10, line);
	is_str(line, "1001 subsc", "a narrow terminal");
}

static void test_silent(void)
{
	struct progress p;

	progress_begin(&p, "rows", 10);
	progress_add(&p, 4);
	progress_add(&p, 4);
	is_int(p.done, 8, "counts, whether it is drawn or not");
	progress_end(&p);
}

int main(void)
{
	test_format();
	test_silent();
	return tap_done();
}
