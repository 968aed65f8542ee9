#include "rest/request.h"

#include "base/log.h"
#include "base/parse.h"
#include "base/settings.h"
#include "io/fcgi.h"
#include "rest/kit.h"
#include "rest/parse_accept.h"
#include "rest/parse_multipart.h"
#include "rest/parse_query.h"
#include "rest/resource.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Room beside the file for the heads of the parts and small fields. */
#define UPLOAD_EXTRA 65536
#define UPLOAD_PREFIX ".upload-"

static int
too_large(struct req *r, int64_t max)
{
	return req_fail(r, 413, "The request body is too large: at most %lld bytes are taken.", (long long)max);
}

/* CONTENT_LENGTH, which nginx always gives; 0 without. */
static int
body_length(struct req *r, int64_t *length)
{
	const char *text = req_header(r, "CONTENT_LENGTH");

	*length = 0;
	if (!text || !*text)
		return 0;
	if (parse_int(text, 0, INT64_MAX, length) != 0)
		return req_fail(r, 400, "Content-Length is no number.");
	return 0;
}

static int
cut_off(struct req *r)
{
	return req_fail(r, 400, "The request body ended before its Content-Length.");
}

static int
read_all(struct req *r, int64_t length)
{
	char *text = arena_alloc(r->arena, (size_t)length + 1);
	size_t have = 0;

	while (have < (size_t)length) {
		long n = fcgi_read(r->fcgi, text + have, (size_t)length - have);

		if (n <= 0)
			return cut_off(r);
		have += (size_t)n;
	}
	r->raw = text;
	r->raw_length = have;
	return 0;
}

/* body is the request's from now on. */
static int
take_body(struct req *r, json_t *body)
{
	req_own_json(r, body);
	r->body = body;
	return 0;
}

static int
parse_json(struct req *r)
{
	char error[256];
	json_t *body;

	switch (json_read(r->raw, r->raw_length, &body, error, sizeof error)) {
	case JSON_FINE:
		return take_body(r, body);
	case JSON_TOO_DEEP:
		return req_fail(r, 400, "JSON parse error - nested more than %d deep", JSON_DEPTH_MAX);
	case JSON_SYNTAX:
		break;
	}
	return req_fail(r, 400, "JSON parse error - %s", error);
}

static int
parse_form(struct req *r)
{
	struct query form;
	json_t *body = json_object();

	take_body(r, body);
	r->is_form = true;
	if (query_parse(r->arena, r->raw, r->raw_length, &form) != 0)
		return req_fail(r, 400, "The form has more than %d fields.", QUERY_PAIRS_MAX);
	if (form.flags & QUERY_NUL)
		return req_fail(r, 400, "Null characters are not allowed.");
	for (int i = 0; i < form.count; i++)
		json_object_set_new(body, form.pairs[i].name, json_string(form.pairs[i].value));
	return 0;
}

/* A multipart body under way. */
struct upload {
	struct req *r;
	const char *file_field; /* of the resource; NULL: none takes a file */
	const char *name;       /* of the part under way */
	struct buf text;        /* data of a plain field */
	struct req_file *file;  /* the part under way is one */
	bool skip;              /* a file where none is taken */
	int fd;
	int64_t text_total;
};

static void
remove_file(void *path)
{
	unlink(path);
}

static int
upload_failed(struct upload *u, const char *what, const char *path)
{
	log_err(what, log_str("path", path), log_errno());
	return req_fail(u->r, 503, "The file could not be stored. Please try again.");
}

static int
open_file(struct upload *u, const struct multipart_part *part)
{
	struct req *r = u->r;
	char name[UUID_TEXT_SIZE];
	char *path;

	uuid_generate(name);
	path = arena_printf(r->arena, "%s/" UPLOAD_PREFIX "%s", setting_str(SETTING_MEDIA_DIR), name);
	u->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (u->fd < 0)
		return upload_failed(u, "could not create a file for an upload", path);
	arena_own(r->arena, remove_file, path);
	u->file = arena_alloc(r->arena, sizeof *u->file);
	u->file->field = u->name;
	u->file->name = arena_strdup(r->arena, part->filename);
	u->file->temp_path = path;
	return 0;
}

static int
part_begin(void *context, const struct multipart_part *part)
{
	struct upload *u = context;

	u->name = arena_strdup(u->r->arena, part->name);
	buf_reset(&u->text);
	u->file = NULL;
	u->skip = false;
	if (!part->filename || !*part->filename)
		return 0;
	if (!u->file_field || strcmp(u->file_field, u->name) != 0) {
		u->skip = true;
		return 0;
	}
	return open_file(u, part);
}

static int
file_data(struct upload *u, const char *data, size_t n)
{
	u->file->size += (int64_t)n;
	if (u->file->size > setting_int(SETTING_UPLOAD_MAX))
		return too_large(u->r, setting_int(SETTING_UPLOAD_MAX));
	while (n > 0) {
		ssize_t put = write(u->fd, data, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return upload_failed(u, "could not write an upload", u->file->temp_path);
		data += put;
		n -= (size_t)put;
	}
	return 0;
}

static int
part_data(void *context, const char *data, size_t n)
{
	struct upload *u = context;

	if (u->skip)
		return 0;
	if (u->file)
		return file_data(u, data, n);
	u->text_total += (int64_t)n;
	if (u->text_total > setting_int(SETTING_BODY_MAX))
		return too_large(u->r, setting_int(SETTING_BODY_MAX));
	buf_put(&u->text, data, n);
	return 0;
}

static int
close_file(struct upload *u)
{
	bool synced = fchmod(u->fd, 0644) == 0 && fsync(u->fd) == 0;

	if (close(u->fd) != 0 || !synced) {
		u->fd = -1;
		return upload_failed(u, "could not write an upload", u->file->temp_path);
	}
	u->fd = -1;
	u->file->next = u->r->files;
	u->r->files = u->file;
	return 0;
}

static int
part_end(void *context)
{
	struct upload *u = context;

	if (u->skip)
		return 0;
	if (u->file)
		return close_file(u);
	if (!utf8_is_valid(buf_text(&u->text), u->text.length))
		return req_fail_field(u->r, u->name, "Not a valid string.");
	json_object_set_new(u->r->body, u->name, json_stringn(buf_text(&u->text), u->text.length));
	return 0;
}

static const char *
find_file_field(const struct req *r)
{
	for (const struct field *f = r->route->resource ? r->route->resource->fields : NULL; f && f->name; f++)
		if (f->type == FIELD_FILE)
			return f->name;
	return NULL;
}

static int
malformed(struct req *r, const struct multipart *m)
{
	if (req_failed(r))
		return -1;
	return req_fail(r, 400, "Multipart form parse error - %s", multipart_error(m) ? multipart_error(m) : "It ends too early.");
}

static int
feed(struct req *r, struct multipart *m, int64_t length)
{
	char *piece = arena_alloc(r->arena, 65536);

	while (length > 0) {
		long n = fcgi_read(r->fcgi, piece, length < 65536 ? (size_t)length : 65536);

		if (n <= 0)
			return cut_off(r);
		if (multipart_feed(m, piece, (size_t)n) != 0)
			return malformed(r, m);
		length -= n;
	}
	return multipart_finish(m) == 0 ? 0 : malformed(r, m);
}

static int
read_multipart(struct req *r, const char *boundary, int64_t length)
{
	static const struct multipart_events events = {part_begin, part_data, part_end};
	struct upload u = {.r = r, .file_field = find_file_field(r), .fd = -1};
	int64_t max = u.file_field ? setting_int(SETTING_UPLOAD_MAX) : setting_int(SETTING_BODY_MAX);
	int result;

	r->is_form = true;
	take_body(r, json_object());
	if (length > max + (u.file_field ? UPLOAD_EXTRA : 0))
		return too_large(r, max);
	if (length == 0)
		return 0;
	if (!boundary)
		return req_fail(r, 400, "Multipart form parse error - Invalid boundary in multipart: None");
	buf_init(&u.text, (size_t)setting_int(SETTING_BODY_MAX));
	result = feed(r, multipart_create(r->arena, boundary, &events, &u), length);
	buf_fini(&u.text);
	if (u.fd >= 0)
		close(u.fd);
	return result;
}

static int
read_text(struct req *r, enum media media, int64_t length)
{
	const char *type = req_header(r, "CONTENT_TYPE");

	if (length > setting_int(SETTING_BODY_MAX))
		return too_large(r, setting_int(SETTING_BODY_MAX));
	if (read_all(r, length) != 0)
		return -1;
	if (media != MEDIA_JSON && media != MEDIA_FORM)
		return req_fail(r, 415, "Unsupported media type \"%s\" in request.", type && *type ? type : "text/plain");
	return media == MEDIA_JSON ? parse_json(r) : parse_form(r);
}

static int
read_body(struct req *r)
{
	struct content_type type;
	int64_t length;

	if (body_length(r, &length) != 0)
		return -1;
	content_type_parse(r->arena, req_header(r, "CONTENT_TYPE"), &type);
	if (type.media == MEDIA_MULTIPART)
		return read_multipart(r, type.boundary, length);
	if (length == 0) {
		r->is_form = type.media == MEDIA_FORM;
		r->raw = "";
		return take_body(r, json_object());
	}
	return read_text(r, type.media, length);
}

int
req_body(struct req *r)
{
	if (r->body_state == 0) {
		r->body_state = read_body(r) == 0 ? 1 : -1;
		r->body_errors = r->errors;
		r->body_status = r->status;
	}
	if (r->body_state == 1)
		return 0;
	if (!r->errors) {
		r->errors = r->body_errors;
		r->status = r->body_status;
	}
	return -1;
}

bool
req_try_body(struct req *r)
{
	if (req_body(r) == 0)
		return true;
	r->errors = NULL;
	r->errors_of_fields = false;
	r->status = 0;
	return r->raw != NULL;
}

/* Older than any upload may be. */
#define UPLOAD_STALE_SECONDS 86400

void
upload_sweep(const char *directory)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, UPLOAD_PREFIX, strlen(UPLOAD_PREFIX)) != 0)
			continue;
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (st.st_mtime < time(NULL) - UPLOAD_STALE_SECONDS && unlinkat(dirfd(dir), entry->d_name, 0) == 0)
			log_info("removed a stale upload", log_str("file", entry->d_name));
	}
	if (dir)
		closedir(dir);
}
