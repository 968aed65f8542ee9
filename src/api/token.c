#include "api/handlers.h"

#include "base/clock.h"
#include "io/digest.h"

/* Longest user name of the original service, and so of the rows that come from it. */
#define USERNAME_MAX 150

const struct field token_email_fields[] = {
	{.name = "email", .type = FIELD_TEXT, .flags = FIELD_REQUIRED | FIELD_EMAIL, .max = USERNAME_MAX, .label = "Email"},
	{0},
};

const struct field token_login_fields[] = {
	{.name = "username", .type = FIELD_TEXT, .flags = FIELD_REQUIRED, .label = "Username"},
	{.name = "password", .type = FIELD_TEXT, .flags = FIELD_REQUIRED | FIELD_NO_TRIM, .label = "Password"},
	{0},
};

/* Only its digest is kept. */
static const char *
make_token(struct req *r, struct db_params *params)
{
	char *token = arena_alloc(r->arena, TOKEN_TEXT_SIZE), *hex = arena_alloc(r->arena, DIGEST_HEX_SIZE);

	token_generate(token);
	digest_sha256_hex(token, TOKEN_TEXT_SIZE - 1, hex);
	db_param_text(params, hex);
	db_param_time(params, clock_now());
	return token;
}

static int
answer_token(struct req *r, int status, const char *token)
{
	buf_puts(r->out, "{\"token\":");
	buf_put_json(r->out, token);
	buf_putc(r->out, '}');
	return req_answer(r, status);
}

int
token_create(struct req *r)
{
	struct value email;
	struct db_params params;
	const char *token;

	if (field_read_body(r, token_email_fields, false, &email) < 0)
		return -1;
	db_params_init(&params);
	db_param_text(&params, email.text);
	token = make_token(r, &params);
	if (req_begin(r) < 0 || req_sql(r, DB_Q_TOKEN_CREATE_FOR_EMAIL, &params, NULL) < 0)
		return -1;
	return answer_token(r, 201, token);
}

/* *id is 0 when they do not fit; which takes the same time whether or not the user exists. */
static int
check_login(struct req *r, const char *username, const char *password, int64_t *id)
{
	struct db_params params;
	struct db_result *user;
	bool known;

	*id = 0;
	db_params_init(&params);
	db_param_text(&params, username);
	if (req_sql(r, DB_Q_TOKEN_FIND_USER, &params, &user) < 0)
		return -1;
	known = db_rows(user) == 1;
	if (password_verify(password, known ? db_text(user, 0, 1) : NULL) && known && db_bool(user, 0, 2))
		*id = db_int(user, 0, 0);
	return 0;
}

int
token_login(struct req *r)
{
	struct value values[2];
	struct db_params params;
	const char *token;
	int64_t user;

	if (field_read_body(r, token_login_fields, false, values) < 0 || check_login(r, values[0].text, values[1].text, &user) < 0)
		return -1;
	if (user == 0)
		return req_fail_field(r, "non_field_errors", "Unable to log in with provided credentials.");
	db_params_init(&params);
	db_param_int(&params, user);
	token = make_token(r, &params);
	if (req_begin(r) < 0 || req_sql(r, DB_Q_TOKEN_CREATE, &params, NULL) < 0)
		return -1;
	return answer_token(r, 200, token);
}
