#include "api/member.h"

void
member_put_key(struct req *r, const char *key)
{
	buf_printf(r->out, "%s\"%s\":", r->out->data[r->out->length - 1] == '{' ? "" : ",", key);
}

void
member_put_link(struct req *r, const char *key, const char *list, const char *id)
{
	member_put_key(r, key);
	buf_putc(r->out, '"');
	req_put_url(r, r->out, arena_printf(r->arena, "/api/v1/%s/%s/", list, id));
	buf_putc(r->out, '"');
}

void
member_put_columns(struct req *r, const struct member *members, const struct db_result *rows, int row)
{
	static void (*const put[])(struct req *, const struct db_result *, int, int) = {
		[MEMBER_NUMBER] = req_put_number,
		[MEMBER_TEXT] = req_put_text,
		[MEMBER_TIME] = req_put_time,
	};

	for (; members->key; members++) {
		member_put_key(r, members->key);
		put[members->type](r, rows, row, members->column);
	}
}
