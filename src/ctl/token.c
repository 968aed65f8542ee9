#include "config.h"

#include "base/clock.h"
#include "base/parse.h"
#include "ctl/ctl.h"
#include "io/db.h"
#include "io/digest.h"

#include <stdio.h>
#include <string.h>

#define DIGEST_LITERAL_SIZE (DIGEST_HEX_SIZE + 2)

/* The digest of a token as a bytea literal. */
static void digest_literal(const char *token, char out[DIGEST_LITERAL_SIZE])
{
	char hex[DIGEST_HEX_SIZE];

	digest_sha256_hex(token, strlen(token), hex);
	snprintf(out, DIGEST_LITERAL_SIZE, "\\x%s", hex);
}

int ctl_token_add(struct ctl *ctl, const struct ctl_args *args)
{
	char token[TOKEN_TEXT_SIZE], literal[DIGEST_LITERAL_SIZE];
	struct db_result *result;
	struct db_params params;
	int64_t added;

	if (!ctl_db(ctl))
		return CTL_FAILED;
	token_generate(token);
	digest_literal(token, literal);
	db_params_init(&params);
	db_param_text(&params, args->operands[0]);
	db_param_text(&params, literal);
	db_param_time(&params, clock_now());
	if (db_query(ctl->db, DB_Q_TOKEN_ADD, &params, &result) != DB_OK)
		return ctl_db_failed(ctl, "add the token");
	added = db_affected(result);
	db_result_free(result);
	if (!added)
		return ctl_fail("there is no user \"%s\"", args->operands[0]);
	puts(token);
	return CTL_OK;
}

static int expect_user(struct ctl *ctl, const char *name)
{
	struct db_params params;
	int known;

	db_params_init(&params);
	db_param_text(&params, name);
	known = ctl_known(ctl, DB_Q_USER_KNOWN, &params);
	if (!known)
		ctl_fail("there is no user \"%s\"", name);
	return known > 0 ? CTL_OK : CTL_FAILED;
}

int ctl_token_list(struct ctl *ctl, const struct ctl_args *args)
{
	static const struct table_column columns[] = {
		{"id", TABLE_NUMBER}, {"username", TABLE_TEXT}, {"digest", TABLE_TEXT}, {"created_at", TABLE_TIME}, {"revoked_at", TABLE_TIME}, {0}
	};
	struct db_result *result;
	struct db_params params;
	struct table table;
	int rc = CTL_OK;

	if (!ctl_db(ctl))
		return CTL_FAILED;
	db_params_init(&params);
	db_param_text(&params, args->operands[0]);
	db_param_bool(&params, ctl_has(args, "all"));
	if (db_query(ctl->db, DB_Q_TOKEN_LIST, &params, &result) != DB_OK)
		return ctl_db_failed(ctl, "read the tokens");
	table_init(&table, columns);
	table_add_result(&table, result);
	if (args->operands[0] && !table.count)
		rc = expect_user(ctl, args->operands[0]);
	if (!rc)
		table_show(&table, ctl_has(args, "json"));
	table_fini(&table);
	db_result_free(result);
	return rc;
}

static int read_token(char out[TOKEN_TEXT_SIZE])
{
	char line[TOKEN_TEXT_SIZE + 2] = "";

	if (!fgets(line, sizeof(line), stdin))
		*line = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	if (strlen(line) != TOKEN_TEXT_SIZE - 1 || strspn(line, "0123456789abcdef") != TOKEN_TEXT_SIZE - 1)
		return ctl_fail("standard input: expected a token of %d hex digits", TOKEN_TEXT_SIZE - 1);
	memcpy(out, line, TOKEN_TEXT_SIZE);
	return CTL_OK;
}

static int revoke(struct ctl *ctl, enum db_query query, const struct db_params *params)
{
	struct db_result *result;
	int64_t revoked;

	if (db_query(ctl->db, query, params, &result) != DB_OK)
		return ctl_db_failed(ctl, "revoke the token");
	revoked = db_affected(result);
	db_result_free(result);
	return revoked ? CTL_OK : ctl_fail("there is no such token, or it was revoked before");
}

int ctl_token_revoke(struct ctl *ctl, const struct ctl_args *args)
{
	char token[TOKEN_TEXT_SIZE], literal[DIGEST_LITERAL_SIZE];
	bool by_token = !strcmp(args->operands[0], "-");
	struct db_params params;
	int64_t id = 0;

	if (!by_token && parse_int(args->operands[0], 1, INT64_MAX, &id))
		return ctl_usage("expected the id of a token (see: sbmctl token list), or - to read the token itself from standard input");
	if (by_token && read_token(token))
		return CTL_FAILED;
	if (!ctl_db(ctl))
		return CTL_FAILED;
	db_params_init(&params);
	db_param_time(&params, clock_now());
	if (by_token) {
		digest_literal(token, literal);
		db_param_text(&params, literal);
	} else
		db_param_int(&params, id);
	return revoke(ctl, by_token ? DB_Q_TOKEN_REVOKE_DIGEST : DB_Q_TOKEN_REVOKE, &params);
}
