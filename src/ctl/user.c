#include "config.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/parse.h"
#include "ctl/ctl.h"
#include "io/db.h"
#include "io/digest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Bytes of a password: crypt(3) takes up to 511. */
#define PASSWORD_MAX 511
#define USERNAME_MAX 254

static const char *const permissions[] = {"view_behindsubscription", "can_find_behind_subscriptions", NULL};

/* A name that HTTP Basic can carry. */
static bool username_is_fine(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == ':')
			return false;
	return n > 0 && n <= USERNAME_MAX && utf8_is_valid(name, n);
}

static int read_password(const char *path, char out[PASSWORD_MAX + 1])
{
	bool standard = !strcmp(path, "-");
	FILE *file = standard ? stdin : fopen(path, "re");
	char line[PASSWORD_MAX + 3] = "";
	size_t n;

	if (!file)
		return ctl_fail("could not open \"%s\": %s", path, strerror(errno));
	if (!fgets(line, sizeof(line), file))
		*line = '\0';
	if (!standard)
		fclose(file);
	n = strcspn(line, "\r\n");
	line[n] = '\0';
	if (n == 0)
		return ctl_fail("%s: the password is empty", standard ? "standard input" : path);
	if (n > PASSWORD_MAX || !utf8_is_valid(line, n))
		return ctl_fail("%s: a password is UTF-8 of at most %d bytes", standard ? "standard input" : path, PASSWORD_MAX);
	memcpy(out, line, n + 1);
	return CTL_OK;
}

/* The hash that goes into the table. *generated is "" unless the password was made here. */
static int choose_password(const struct ctl_args *args, char hash[PASSWORD_HASH_SIZE], char generated[TOKEN_TEXT_SIZE])
{
	bool standard = ctl_has(args, "password-stdin"), none = ctl_has(args, "no-password");
	const char *path = ctl_value(args, "password-file");
	char password[PASSWORD_MAX + 1];

	*generated = *hash = '\0';
	if (standard + none + (path != NULL) > 1)
		return ctl_usage("at most one of --password-file, --password-stdin and --no-password");
	if (none)
		return CTL_OK;
	if (standard || path) {
		if (read_password(standard ? "-" : path, password))
			return CTL_FAILED;
	} else {
		/* 24 hex digits of chance: 96 bits, and still to be read over the telephone. */
		token_generate(generated);
		generated[24] = '\0';
		snprintf(password, sizeof(password), "%s", generated);
	}
	if (password_hash(password, hash))
		return ctl_fail("could not hash the password");
	return CTL_OK;
}

static bool permission_is_known(const char *name)
{
	for (int i = 0; permissions[i]; i++)
		if (!strcmp(permissions[i], name))
			return true;
	return false;
}

static int collect_permissions(const struct ctl_args *args, struct buf *out)
{
	db_array_begin(out);
	for (int i = 0; i < args->option_count; i++) {
		const char *name = args->options[i].value;

		if (strcmp(args->options[i].name, "permission"))
			continue;
		if (!permission_is_known(name))
			return ctl_usage("--permission: \"%s\" is not one; there are %s and %s", name, permissions[0], permissions[1]);
		db_array_put(out, name);
	}
	db_array_end(out);
	return CTL_OK;
}

static int insert_user(struct ctl *ctl, const struct ctl_args *args, const char *hash, const char *rights)
{
	const char *name = args->operands[0], *email = ctl_value(args, "email");
	struct db_params params;
	enum db_status status;

	db_params_init(&params);
	db_param_text(&params, name);
	db_param_text(&params, email ? email : strchr(name, '@') ? name : "");
	db_param_text(&params, hash);
	db_param_bool(&params, ctl_has(args, "staff"));
	db_param_text(&params, rights);
	db_param_time(&params, clock_now());
	status = db_query(ctl->db, DB_Q_USER_ADD, &params, NULL);
	if (status == DB_UNIQUE)
		return ctl_fail("there is a user \"%s\" already", name);
	return status == DB_OK ? CTL_OK : ctl_db_failed(ctl, "add the user");
}

int ctl_user_add(struct ctl *ctl, const struct ctl_args *args)
{
	char hash[PASSWORD_HASH_SIZE], generated[TOKEN_TEXT_SIZE];
	const char *email = ctl_value(args, "email");
	struct buf rights;
	int rc;

	if (!username_is_fine(args->operands[0]))
		return ctl_usage("a user name is UTF-8 of 1 to %d bytes without colons and control characters", USERNAME_MAX);
	if (email && !strchr(email, '@'))
		return ctl_usage("--email: \"%s\" is not an e-mail address", email);
	buf_init(&rights, 4096);
	rc = collect_permissions(args, &rights);
	if (!rc && !ctl_db(ctl))
		rc = CTL_FAILED;
	if (!rc)
		rc = choose_password(args, hash, generated);
	if (!rc)
		rc = insert_user(ctl, args, hash, buf_text(&rights));
	if (!rc && *generated)
		printf("password: %s\n", generated);
	buf_fini(&rights);
	return rc;
}

int ctl_user_list(struct ctl *ctl, const struct ctl_args *args)
{
	static const struct table_column columns[] = {
		{"username", TABLE_TEXT}, {"id", TABLE_NUMBER}, {"email", TABLE_TEXT}, {"active", TABLE_BOOL}, {"staff", TABLE_BOOL}, {"password", TABLE_BOOL},
		{"permissions", TABLE_WORDS}, {"tokens", TABLE_NUMBER}, {"created_at", TABLE_TIME}, {0}
	};
	struct db_result *result;
	struct table table;

	if (!ctl_db(ctl))
		return CTL_FAILED;
	if (db_query(ctl->db, DB_Q_USER_LIST, NULL, &result) != DB_OK)
		return ctl_db_failed(ctl, "read the users");
	table_init(&table, columns);
	table_add_result(&table, result);
	table_show(&table, ctl_has(args, "json"));
	table_fini(&table);
	db_result_free(result);
	return CTL_OK;
}

/* Runs an UPDATE of one user. */
static int change_user(struct ctl *ctl, enum db_query query, const struct db_params *params, const char *name)
{
	struct db_result *result;
	int64_t changed;

	if (db_query(ctl->db, query, params, &result) != DB_OK)
		return ctl_db_failed(ctl, "change the user");
	changed = db_affected(result);
	db_result_free(result);
	return changed ? CTL_OK : ctl_fail("there is no user \"%s\"", name);
}

static int set_active(struct ctl *ctl, const struct ctl_args *args, bool active)
{
	struct db_params params;

	if (!ctl_db(ctl))
		return CTL_FAILED;
	db_params_init(&params);
	db_param_text(&params, args->operands[0]);
	db_param_bool(&params, active);
	return change_user(ctl, DB_Q_USER_SET_ACTIVE, &params, args->operands[0]);
}

int ctl_user_activate(struct ctl *ctl, const struct ctl_args *args)
{
	return set_active(ctl, args, true);
}

int ctl_user_deactivate(struct ctl *ctl, const struct ctl_args *args)
{
	return set_active(ctl, args, false);
}

int ctl_user_password(struct ctl *ctl, const struct ctl_args *args)
{
	char hash[PASSWORD_HASH_SIZE], generated[TOKEN_TEXT_SIZE];
	struct db_params params;
	int rc;

	if (!ctl_db(ctl))
		return CTL_FAILED;
	rc = choose_password(args, hash, generated);
	if (rc)
		return rc;
	db_params_init(&params);
	db_param_text(&params, args->operands[0]);
	db_param_text(&params, hash);
	rc = change_user(ctl, DB_Q_USER_SET_PASSWORD, &params, args->operands[0]);
	if (!rc && *generated)
		printf("password: %s\n", generated);
	return rc;
}
