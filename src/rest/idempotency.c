#include "rest/kit.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

/*
 * The key's row is made first, in the request's transaction, and gets the answer at its end: a second
 * request with the key waits at the row until the first has ended, and then finds the answer, or, when the
 * first failed, no row.  Only what succeeded is kept.
 */

#define KEY_MAX 255

/* Chained digests of a file's pieces. */
static int
put_file_digest(struct req *r, const struct req_file *file, struct buf *out)
{
	char *piece = arena_alloc(r->arena, DIGEST_HEX_SIZE + 65536);
	FILE *in = fopen(file->temp_path, "rbe");
	size_t n;

	if (!in) {
		log_err("could not read an upload again", log_str("path", file->temp_path), log_errno());
		return req_fail(r, 503, "The file could not be stored. Please try again.");
	}
	while ((n = fread(piece + DIGEST_HEX_SIZE, 1, 65536, in)) > 0)
		digest_sha256_hex(piece, DIGEST_HEX_SIZE + n, piece);
	fclose(in);
	buf_printf(out, "\n%s %s %s", file->field, file->name, piece);
	return 0;
}

static int
make_fingerprint(struct req *r)
{
	struct buf b;
	char hex[DIGEST_HEX_SIZE];

	/* Bytes that make no body are the handler's to refuse, or not to look at. */
	if (!req_try_body(r))
		return req_body(r);
	buf_init(&b, (size_t)64 << 20);
	buf_puts(&b, r->method_text);
	buf_putc(&b, ' ');
	buf_puts(&b, r->path);
	buf_putc(&b, '\n');
	if (r->raw) {
		buf_put(&b, r->raw, r->raw_length);
	} else {
		json_write(r->body, &b);
		for (const struct req_file *f = r->files; f && !req_failed(r); f = f->next)
			put_file_digest(r, f, &b);
	}
	digest_sha256_hex(buf_text(&b), b.length, hex);
	buf_fini(&b);
	r->fingerprint = arena_strdup(r->arena, hex);
	return req_failed(r) ? -1 : 0;
}

/* 1: the stored answer stands in out; -1: it belongs to another request. */
static int
answer_again(struct req *r, const struct db_params *key)
{
	struct db_result *row;

	if (req_sql(r, DB_Q_IDEMPOTENCY_FIND, key, &row) != 0)
		return -1;
	if (db_rows(row) == 0)
		return req_fail(r, 409, "A request with this Idempotency-Key is under way.");
	if (strcmp(db_text(row, 0, 0), r->fingerprint) != 0)
		return req_fail(r, 422, "This Idempotency-Key was used for another request.");
	if (!db_is_null(row, 0, 2))
		req_put_header(r, "Location", db_text(row, 0, 2));
	buf_put(r->out, db_text(row, 0, 3), db_text_length(row, 0, 3));
	req_answer(r, (int)db_int(row, 0, 1));
	return 1;
}

int
idempotency_begin(struct req *r)
{
	const char *key = req_header(r, "HTTP_IDEMPOTENCY_KEY");
	struct db_params params, key_params;
	struct db_result *row;

	if (!key || !*key || r->user.id == 0 || r->route->secret)
		return 0;
	for (const char *c = key; *c; c++)
		if (*c < 0x20 || *c > 0x7e || c - key >= KEY_MAX)
			return req_fail(r, 400, "Idempotency-Key must be 1 to %d printable ASCII characters.", KEY_MAX);
	if (make_fingerprint(r) != 0)
		return -1;
	db_params_init(&key_params);
	db_param_int(&key_params, r->user.id);
	db_param_text(&key_params, key);
	db_params_init(&params);
	db_param_int(&params, r->user.id);
	db_param_text(&params, key);
	db_param_text(&params, r->fingerprint);
	if (req_begin(r) != 0 || req_sql(r, DB_Q_IDEMPOTENCY_TAKE, &params, &row) != 0)
		return -1;
	if (db_rows(row) == 0)
		return answer_again(r, &key_params);
	r->idempotency_key = key;
	/* Now and then what is too old goes: this is cheap, and nobody else needs to. */
	if (clock_monotonic_ms() % 64 == 0)
		return req_sql(r, DB_Q_IDEMPOTENCY_FORGET, NULL, NULL);
	return 0;
}

/* The Location header among those that were put. */
static const char *
find_location(struct req *r)
{
	const char *line = strstr(buf_text(&r->headers), "Location: ");

	if (!line)
		return NULL;
	line += strlen("Location: ");
	return arena_strndup(r->arena, line, strcspn(line, "\r"));
}

int
idempotency_end(struct req *r)
{
	struct db_params params;

	if (!r->idempotency_key)
		return 0;
	db_params_init(&params);
	db_param_int(&params, r->user.id);
	db_param_text(&params, r->idempotency_key);
	if (r->status >= 400)
		return req_sql(r, DB_Q_IDEMPOTENCY_DROP, &params, NULL);
	db_param_int(&params, r->status);
	db_param_text(&params, find_location(r));
	db_param_text(&params, buf_text(r->out));
	return req_sql(r, DB_Q_IDEMPOTENCY_STORE, &params, NULL);
}
