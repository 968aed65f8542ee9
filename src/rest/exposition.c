#include "rest/exposition.h"

void
exposition_put_head(struct buf *out, const char *metric, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric, help, metric, type);
}

void
exposition_put(struct buf *out, const char *metric, const char *labels, double value)
{
	buf_puts(out, metric);
	if (*labels) {
		buf_putc(out, '{');
		buf_puts(out, labels);
		buf_putc(out, '}');
	}
	buf_printf(out, " %.15g\n", value);
}
