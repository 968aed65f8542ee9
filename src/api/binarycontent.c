#include "api/resources.h"

#include "base/log.h"
#include "base/settings.h"
#include "io/digest.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXTENSION_MAX 32

static const struct field fields[] = {
	{.name = "id", .column = "id", .type = FIELD_INT, .flags = FIELD_READ_ONLY, .min = 1, .max = INT32_MAX, .label = "ID"},
	{.name = "content", .column = "content", .type = FIELD_FILE, .flags = FIELD_REQUIRED, .max = 100, .label = "Content"},
	{0},
};
#define CONTENT 1

/* A name of our own, with what follows the last dot of the client's, as far as it is harmless. */
static const char *
make_name(struct req *r, const char *given)
{
	const char *dot = strrchr(given, '.');
	char name[128];
	size_t n;

	uuid_generate(name);
	if (!dot || dot == given)
		return arena_strdup(r->arena, name);
	n = strlen(name);
	name[n++] = '.';
	for (size_t i = 1; dot[i] && i <= EXTENSION_MAX; i++) {
		if (isalnum((unsigned char)dot[i]) || dot[i] == '_' || dot[i] == '-')
			name[n++] = dot[i];
		else if (dot[i] == ' ')
			name[n++] = '_';
	}
	return arena_strndup(r->arena, name, name[n - 1] == '.' ? n - 1 : n);
}

static int
check(struct req *r, struct resource_change *change)
{
	struct value *content = &change->values[CONTENT];

	if (content->state == VALUE_SET)
		content->text = make_name(r, content->file->name);
	return 0;
}

static const char *
path_of(struct req *r, const char *name)
{
	return arena_printf(r->arena, "%s/%s", setting_str(SETTING_MEDIA_DIR), name);
}

static void
remove_new(struct req *r, bool committed, void *path)
{
	(void)r;
	if (!committed)
		unlink(path);
}

static void
remove_old(struct req *r, bool committed, void *path)
{
	(void)r;
	if (committed && unlink(path) != 0 && errno != ENOENT)
		log_warn("could not remove the file of a binary content", log_str("path", path), log_errno());
}

/* The new name is on the disk before the row is committed. */
static int
sync_directory(void)
{
	int fd = open(setting_str(SETTING_MEDIA_DIR), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result;

	if (fd < 0)
		return -1;
	result = fsync(fd);
	close(fd);
	return result;
}

static int
put_in_place(struct req *r, const struct value *content)
{
	const char *path = path_of(r, content->text);

	if (rename(content->file->temp_path, path) != 0 || sync_directory() != 0) {
		log_err("could not put an upload in place", log_str("path", path), log_errno());
		unlink(path);
		return req_fail(r, 503, "The file could not be stored. Please try again.");
	}
	req_after(r, remove_new, arena_strdup(r->arena, path));
	return 0;
}

static int
written(struct req *r, const struct resource_change *change)
{
	const struct value *content = change->values ? &change->values[CONTENT] : NULL;
	bool replaced = content && content->state == VALUE_SET;

	if (change->old && (replaced || change->verb == RESOURCE_DOES_DELETE) && *db_text(change->old, 0, CONTENT))
		req_after(r, remove_old, arena_strdup(r->arena, path_of(r, db_text(change->old, 0, CONTENT))));
	return replaced ? put_in_place(r, content) : 0;
}

static void
put_media_url(struct req *r, const char *name)
{
	buf_put_json(r->out, req_url(r, arena_printf(r->arena, "/media/%s", name)));
}

static bool
put_field(struct req *r, const struct field *f, const struct db_result *result, int row, int column)
{
	if (f->type != FIELD_FILE)
		return false;
	put_media_url(r, db_text(result, row, column));
	return true;
}

void
binarycontent_put(struct req *r, const struct db_result *result, int row, int id_column, int name_column)
{
	if (db_is_null(result, row, id_column)) {
		buf_puts(r->out, "null");
		return;
	}
	buf_puts(r->out, "{\"id\":");
	req_put_number(r, result, row, id_column);
	buf_puts(r->out, ",\"content\":");
	put_media_url(r, db_text(result, row, name_column));
	buf_putc(r->out, '}');
}

const struct resource binarycontent_resource = {
	.name = "binarycontent",
	.table = "binarycontent",
	.label = "binary content",
	.fields = fields,
	.order = RESOURCE_BY_ID,
	.verbs = RESOURCE_ALL,
	.check = check,
	.written = written,
	.put_field = put_field,
};
