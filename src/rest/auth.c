#include "rest/kit.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/settings.h"
#include "rest/parse_authorization.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/*
 * Credentials that were good lately, by a digest of them that is of no use elsewhere (salted for each
 * process). Only good ones: a new token works at once, and a revoked one works token_cache longer.
 */
#define AUTH_SLOTS 1024
#define AUTH_NAME_SIZE 152

struct auth_entry {
	unsigned char key[DIGEST_SIZE];
	int64_t until_ms;
	struct req_user user;
	char name[AUTH_NAME_SIZE];
};

struct auth_cache {
	unsigned char salt[DIGEST_SIZE];
	struct auth_entry slots[AUTH_SLOTS];
};

/* Columns of auth_token and auth_password. */
enum { USER_ID, USER_NAME, USER_ACTIVE, USER_STAFF, USER_VIEW_BEHIND, USER_FIND_BEHIND, USER_PASSWORD };

struct auth_cache *
auth_cache_create(void)
{
	struct auth_cache *cache = calloc(1, sizeof *cache);

	SBM_ASSERT(cache);
	SBM_ASSERT(getrandom(cache->salt, sizeof cache->salt, 0) == (ssize_t)sizeof cache->salt);
	return cache;
}

void
auth_cache_free(struct auth_cache *cache)
{
	free(cache);
}

/* Key of credentials: user is NULL for a token. */
static void
make_key(struct req *r, const char *user, const char *secret, unsigned char key[DIGEST_SIZE])
{
	size_t n_user = user ? strlen(user) + 1 : 0, n_secret = strlen(secret) + 1;
	size_t n = DIGEST_SIZE + 1 + n_user + n_secret;
	unsigned char *text = arena_alloc(r->arena, n);

	memcpy(text, r->rest->auth->salt, DIGEST_SIZE);
	text[DIGEST_SIZE] = user != NULL;
	if (user)
		memcpy(text + DIGEST_SIZE + 1, user, n_user);
	memcpy(text + DIGEST_SIZE + 1 + n_user, secret, n_secret);
	digest_sha256(text, n, key);
}

static struct auth_entry *
slot_of(struct req *r, const unsigned char key[DIGEST_SIZE])
{
	return &r->rest->auth->slots[(key[0] | key[1] << 8) % AUTH_SLOTS];
}

static bool
take_cached(struct req *r, const unsigned char key[DIGEST_SIZE])
{
	struct auth_entry *entry = slot_of(r, key);

	if (entry->until_ms <= clock_monotonic_ms() || memcmp(entry->key, key, DIGEST_SIZE) != 0)
		return false;
	r->user = entry->user;
	r->user.name = entry->name;
	return true;
}

static void
keep(struct req *r, const unsigned char key[DIGEST_SIZE])
{
	struct auth_entry *entry = slot_of(r, key);
	size_t n = strlen(r->user.name);

	memcpy(entry->key, key, DIGEST_SIZE);
	entry->until_ms = clock_monotonic_ms() + setting_int(SETTING_TOKEN_CACHE);
	entry->user = r->user;
	n = n < AUTH_NAME_SIZE ? n : AUTH_NAME_SIZE - 1;
	memcpy(entry->name, r->user.name, n);
	entry->name[n] = '\0';
	entry->user.name = entry->name;
}

static void
take_row(struct req *r, const struct db_result *row)
{
	bool staff = db_bool(row, 0, USER_STAFF);

	r->user = (struct req_user){
		.id = db_int(row, 0, USER_ID),
		.name = db_text(row, 0, USER_NAME),
		.is_staff = staff,
		.view_behind = staff || db_bool(row, 0, USER_VIEW_BEHIND),
		.find_behind = staff || db_bool(row, 0, USER_FIND_BEHIND),
	};
}

static int
refuse(struct req *r, const char *detail)
{
	req_put_header(r, "WWW-Authenticate", "Basic realm=\"api\"");
	return req_fail(r, 401, "%s", detail);
}

static int
by_token(struct req *r, const char *token, const unsigned char key[DIGEST_SIZE])
{
	char hex[DIGEST_HEX_SIZE];
	struct db_params params;
	struct db_result *row;

	digest_sha256_hex(token, strlen(token), hex);
	db_params_init(&params);
	db_param_text(&params, hex);
	if (req_sql(r, DB_Q_AUTH_TOKEN, &params, &row) != 0)
		return -1;
	if (db_rows(row) == 0)
		return refuse(r, "Invalid token.");
	if (!db_bool(row, 0, USER_ACTIVE))
		return refuse(r, "User inactive or deleted.");
	take_row(r, row);
	keep(r, key);
	return 0;
}

static int
by_password(struct req *r, const struct authorization *a, const unsigned char key[DIGEST_SIZE])
{
	struct db_params params;
	struct db_result *row;
	bool known;

	db_params_init(&params);
	db_param_text(&params, a->username);
	if (req_sql(r, DB_Q_AUTH_PASSWORD, &params, &row) != 0)
		return -1;
	known = db_rows(row) == 1;
	/* An unknown user costs as much time as a known one. */
	if (!password_verify(a->password, known ? db_text(row, 0, USER_PASSWORD) : NULL) || !known ||
	    !db_bool(row, 0, USER_ACTIVE))
		return refuse(r, "Invalid username/password.");
	take_row(r, row);
	keep(r, key);
	return 0;
}

int
auth_user(struct req *r)
{
	struct authorization a;
	unsigned char key[DIGEST_SIZE];

	authorization_parse(r->arena, req_header(r, "HTTP_AUTHORIZATION"), &a);
	switch (a.kind) {
	case AUTHORIZATION_TOKEN:
		make_key(r, NULL, a.token, key);
		return take_cached(r, key) ? 0 : by_token(r, a.token, key);
	case AUTHORIZATION_BASIC:
		make_key(r, a.username, a.password, key);
		return take_cached(r, key) ? 0 : by_password(r, &a, key);
	case AUTHORIZATION_BAD:
		return refuse(r, a.detail);
	case AUTHORIZATION_NONE:
	case AUTHORIZATION_KIND_MAX:
		break;
	}
	return 0;
}

static bool
may(const struct req *r)
{
	switch (r->route->permission) {
	case ROUTE_STAFF:
		return r->user.is_staff;
	case ROUTE_VIEW_BEHIND:
		return r->user.view_behind;
	case ROUTE_FIND_BEHIND:
		return r->user.find_behind;
	case ROUTE_USER:
	case ROUTE_ANYBODY:
	case ROUTE_OPEN:
	case ROUTE_PERMISSION_MAX:
		break;
	}
	return true;
}

int
auth_permit(struct req *r)
{
	if (r->route->permission == ROUTE_ANYBODY)
		return 0;
	if (r->user.id == 0)
		return refuse(r, "Authentication credentials were not provided.");
	/* Rights on behind subscriptions are rights to a method: one that there is not is refused as such. */
	if (!may(r) && (r->route->permission == ROUTE_STAFF || route_find_method(r->route, r->method).handle))
		return req_fail(r, 403, "You do not have permission to perform this action.");
	return 0;
}
