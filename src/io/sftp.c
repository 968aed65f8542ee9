#include "io/sftp.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "io/digest.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define URL_MAX 8192
#define PATH_BYTES_MAX 2048
#define ERROR_SIZE 512
/* A line of a listing: a name, and what ls -l says before it. */
#define LINE_MAX_BYTES 4096

struct sftp {
	const struct sftp_config *config;
	CURL *easy;
	char curl_error[CURL_ERROR_SIZE];
	char error[ERROR_SIZE];
	bool key_refused; /* error says why */
	bool stopped, stalled, unreadable;
	bool worn;
	curl_off_t moved;  /* bytes both ways, when last looked at */
	int64_t moved_ms;  /* when that was another number before */

	int file; /* ours, of the call; -1: none */
	int64_t size, sent;
	struct buf line;
	void (*entry)(void *context, const char *name, int64_t size);
	void *context;
};

bool sftp_path_is_good(const char *path)
{
	const char *part = path;

	if (!*path || strlen(path) >= PATH_BYTES_MAX || !utf8_is_valid(path, strlen(path)))
		return false;
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	for (;;) {
		size_t n = strcspn(part, "/");

		if (n == 2 && part[0] == '.' && part[1] == '.')
			return false;
		if (!part[n])
			return true;
		part += n + 1;
	}
}

const char *sftp_error(const struct sftp *s)
{
	return s->error;
}

bool sftp_is_worn(const struct sftp *s)
{
	return s->worn;
}

static enum sftp_status fail(struct sftp *s, enum sftp_status status, const char *what)
{
	snprintf(s->error, sizeof s->error, "%s", what);
	return status;
}

/* SHA256:… as ssh-keygen -l prints it. */
static void put_fingerprint(const struct curl_khkey *key, char out[64])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char digest[DIGEST_SIZE + 1] = {0}, *raw = NULL;
	size_t n = key->len;
	char *p = out;

	if (n == 0) {
		raw = malloc(strlen(key->key) + 4);
		if (!raw || parse_base64(key->key, raw, &n) != 0) {
			free(raw);
			strcpy(out, "of an unknown form");
			return;
		}
	}
	digest_sha256(raw ? (const void *)raw : key->key, n, digest);
	free(raw);
	p += sprintf(p, "SHA256:");
	for (unsigned bit = 0; bit < DIGEST_SIZE * 8; bit += 6) {
		unsigned two = (unsigned)digest[bit / 8] << 8 | digest[bit / 8 + 1];

		*p++ = digits[two >> (10 - bit % 8) & 63];
	}
	*p = '\0';
}

static const char *key_type(enum curl_khtype type)
{
	switch (type) {
	case CURLKHTYPE_RSA:
		return "RSA";
	case CURLKHTYPE_ECDSA:
		return "ECDSA";
	case CURLKHTYPE_ED25519:
		return "ED25519";
	default:
		return "other";
	}
}

/* Whether a line "@revoked HOSTS TYPE KEY", which libcurl does not heed, names a key; true also when nobody can say. */
static bool is_revoked(const char *known_hosts, const char *key)
{
	static const char mark[] = "@revoked";
	FILE *file = fopen(known_hosts, "re");
	char *line = NULL;
	bool revoked = false;
	size_t size = 0;

	if (!file)
		return true;
	while (!revoked && getline(&line, &size, file) >= 0)
		revoked = strncmp(line, mark, sizeof mark - 1) == 0 && strstr(line, key);
	revoked = revoked || ferror(file);
	free(line);
	fclose(file);
	return revoked;
}

static int on_host_key(CURL *easy, const struct curl_khkey *known, const struct curl_khkey *found, enum curl_khmatch match, void *context)
{
	struct sftp *s = context;
	const struct sftp_config *config = s->config;
	char fingerprint[64];
	/* Its text as it stands in the file. */
	const char *text = known ? known->key : NULL;

	(void)easy;
	if (match == CURLKHMATCH_OK && !(text && is_revoked(config->known_hosts, text)))
		return CURLKHSTAT_FINE;
	s->key_refused = true;
	put_fingerprint(found, fingerprint);
	if (match == CURLKHMATCH_OK)
		snprintf(s->error, sizeof s->error, "the host key of %s, port %d, is revoked in \"%s\": it sent %s %s", config->host, config->port,
			config->known_hosts, key_type(found->keytype), fingerprint);
	else if (match == CURLKHMATCH_MISMATCH)
		snprintf(s->error, sizeof s->error, "the host key of %s, port %d, is not the one in \"%s\": it sent %s %s; somebody may be in between, "
			"or the server has a new key", config->host, config->port, config->known_hosts, key_type(found->keytype), fingerprint);
	else
		snprintf(s->error, sizeof s->error, "the host key of %s, port %d, is not in \"%s\": it sent %s %s; if that is its key, add what "
			"ssh-keyscan -t ed25519,ecdsa -p %d %s prints", config->host, config->port, config->known_hosts, key_type(found->keytype), fingerprint,
			config->port, config->host);
	return CURLKHSTAT_REJECT;
}

static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	struct sftp *s = context;
	int64_t now = clock_monotonic_ms();

	(void)down_total;
	(void)up_total;
	if (down + up != s->moved) {
		s->moved = down + up;
		s->moved_ms = now;
	}
	s->stopped = s->stopped || !s->config->goes_on(s->config->context);
	s->stalled = now - s->moved_ms > s->config->stall_timeout_ms;
	return s->stopped || s->stalled;
}

static size_t on_read(char *bytes, size_t size, size_t n, void *context)
{
	struct sftp *s = context;
	int64_t left = s->size - s->sent;
	ssize_t got;

	if (left == 0)
		return 0;
	do
		got = read(s->file, bytes, (int64_t)(size * n) < left ? size * n : (size_t)left);
	while (got < 0 && errno == EINTR);
	/* A file that has become shorter must not come to stand there as if it were whole. */
	if (got <= 0) {
		s->unreadable = true;
		return CURL_READFUNC_ABORT;
	}
	s->sent += got;
	return (size_t)got;
}

/* What follows a date as `ls -l` prints it, "Nov 23 22:50 " or "Nov 23  2025 "; NULL when text begins with none. */
static char *skip_date(char *text)
{
	static const char months[] = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec ";
	char month[5], day[3], time[6];
	int64_t number;
	int used = 0;

	if (sscanf(text, "%3[A-Za-z] %2[0-9] %5[0-9:]%n", month, day, time, &used) != 3 || text[used] != ' ' || text[3] != ' ')
		return NULL;
	strcat(month, " ");
	if (strlen(month) != 4 || !strstr(months, month) || parse_int(day, 1, 31, &number) != 0)
		return NULL;
	return strchr(time, ':') || parse_int(time, 1970, 9999, &number) == 0 ? text + used + 1 : NULL;
}

/*
 * A line as `ls -l` prints it, which is what servers send for each entry (the SSH file transfer protocol's draft 02,
 * section 7). The size is the number before the first date; what follows the date is the name.
 */
static void read_entry(struct sftp *s, char *line)
{
	char *name = NULL, *date, *size;
	int64_t number;

	if (*line != '-')
		return;
	for (date = strchr(line, ' '); date; date = strchr(date + 1, ' '))
		if ((name = skip_date(date + 1)) != NULL)
			break;
	if (!name)
		return;
	*date = '\0';
	size = strrchr(line, ' ');
	if (size && parse_int(size + 1, 0, INT64_MAX, &number) == 0)
		s->entry(s->context, name, number);
}

static size_t on_listing(char *bytes, size_t size, size_t n, void *context)
{
	struct sftp *s = context;

	for (size_t i = 0; i < size * n; i++) {
		if (bytes[i] != '\n') {
			buf_putc(&s->line, bytes[i]);
			continue;
		}
		if (!s->line.overflow && s->line.length)
			read_entry(s, s->line.data);
		buf_reset(&s->line);
	}
	return size * n;
}

static size_t ignore(char *bytes, size_t size, size_t n, void *context)
{
	(void)bytes;
	(void)context;
	return size * n;
}

struct sftp *sftp_create(const struct sftp_config *config)
{
	const curl_version_info_data *version = curl_version_info(CURLVERSION_NOW);
	struct sftp *s;
	bool able = false;

	for (const char *const *protocol = version->protocols; *protocol; protocol++)
		able = able || strcmp(*protocol, "sftp") == 0;
	if (!able) {
		log_err("libcurl cannot do SFTP here; install the Debian package libcurl4", log_str("version", version->version));
		return NULL;
	}
	s = calloc(1, sizeof *s);
	if (!s || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(s->easy = curl_easy_init())) {
		log_err("could not set up libcurl");
		free(s);
		return NULL;
	}
	s->config = config;
	s->file = -1;
	buf_init(&s->line, LINE_MAX_BYTES);
	return s;
}

void sftp_free(struct sftp *s)
{
	if (!s)
		return;
	curl_easy_cleanup(s->easy);
	buf_fini(&s->line);
	free(s);
}

static void put_path(struct buf *url, const char *path)
{
	/* curl takes a path for an absolute one unless it begins so. */
	if (*path != '/')
		buf_puts(url, "/~/");
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		char part[PATH_BYTES_MAX];

		snprintf(part, sizeof part, "%.*s", (int)n, p);
		buf_put_url(url, part);
		p += n;
		if (*p == '/') {
			buf_putc(url, '/');
			p++;
		}
	}
}

/* Sets what is the same for all calls; reset keeps the connection. */
static void prepare(struct sftp *s, const char *path, bool directory)
{
	const struct sftp_config *config = s->config;
	bool with_key = config->key && *config->key;
	struct buf url;

	curl_easy_reset(s->easy);
	buf_init(&url, URL_MAX);
	buf_printf(&url, strchr(config->host, ':') ? "sftp://[%s]:%d" : "sftp://%s:%d", config->host, config->port);
	put_path(&url, path);
	if (directory && url.data[url.length - 1] != '/')
		buf_putc(&url, '/');
	curl_easy_setopt(s->easy, CURLOPT_URL, buf_text(&url));
	buf_fini(&url);
	curl_easy_setopt(s->easy, CURLOPT_PROTOCOLS_STR, "sftp");
	curl_easy_setopt(s->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(s->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(s->easy, CURLOPT_ERRORBUFFER, s->curl_error);
	curl_easy_setopt(s->easy, CURLOPT_USERNAME, config->user);
	curl_easy_setopt(s->easy, CURLOPT_SSH_AUTH_TYPES, with_key ? (long)CURLSSH_AUTH_PUBLICKEY : (long)(CURLSSH_AUTH_PASSWORD | CURLSSH_AUTH_KEYBOARD));
	if (with_key) {
		curl_easy_setopt(s->easy, CURLOPT_SSH_PRIVATE_KEYFILE, config->key);
		curl_easy_setopt(s->easy, CURLOPT_KEYPASSWD, config->password);
	} else {
		curl_easy_setopt(s->easy, CURLOPT_PASSWORD, config->password);
	}
	curl_easy_setopt(s->easy, CURLOPT_SSH_KNOWNHOSTS, config->known_hosts);
	curl_easy_setopt(s->easy, CURLOPT_SSH_KEYFUNCTION, on_host_key);
	curl_easy_setopt(s->easy, CURLOPT_SSH_KEYDATA, s);
	curl_easy_setopt(s->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)config->connect_timeout_ms);
	curl_easy_setopt(s->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(s->easy, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(s->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(s->easy, CURLOPT_XFERINFODATA, s);
	curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, ignore);
	curl_easy_setopt(s->easy, CURLOPT_NEW_FILE_PERMS, 0644L);
	curl_easy_setopt(s->easy, CURLOPT_NEW_DIRECTORY_PERMS, 0755L);
}

static enum sftp_status status_of(const struct sftp *s, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return SFTP_OK;
	case CURLE_REMOTE_FILE_NOT_FOUND:
		return SFTP_NOT_FOUND;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SSH:
	case CURLE_FAILED_INIT: /* the greeting or the exchange of keys broke off */
		return SFTP_AWAY;
	case CURLE_LOGIN_DENIED:
	case CURLE_PEER_FAILED_VERIFICATION:
		return SFTP_REFUSED;
	default:
		return s->stalled ? SFTP_AWAY : SFTP_FAILED;
	}
}

static void put_error(struct sftp *s, enum sftp_status status, CURLcode code)
{
	const struct sftp_config *config = s->config;
	const char *what = *s->curl_error ? s->curl_error : curl_easy_strerror(code);

	if (s->stalled)
		snprintf(s->error, sizeof s->error, "%s, port %d: nothing moved for %lld ms", config->host, config->port, (long long)config->stall_timeout_ms);
	else if (code == CURLE_FAILED_INIT)
		snprintf(s->error, sizeof s->error, "%s, port %d: %s; if it stays so, its first key in \"%s\" may be of a type that it does not offer, "
			"or that libssh2 cannot do: before 1.11 RSA", config->host, config->port, what, config->known_hosts);
	else if (code == CURLE_LOGIN_DENIED)
		snprintf(s->error, sizeof s->error, "%s, port %d, does not let \"%s\" in by %s: %s", config->host, config->port, config->user,
			config->key && *config->key ? "that key" : "that password", what);
	else if (status != SFTP_OK)
		snprintf(s->error, sizeof s->error, "%s, port %d: %s", config->host, config->port, what);
}

static enum sftp_status perform(struct sftp *s)
{
	enum sftp_status status;
	CURLcode code;

	s->key_refused = s->stopped = s->stalled = s->unreadable = false;
	s->moved = 0;
	s->moved_ms = clock_monotonic_ms();
	*s->curl_error = *s->error = '\0';
	code = curl_easy_perform(s->easy);
	s->worn = s->worn || s->stopped || s->stalled;
	if (s->key_refused)
		return SFTP_REFUSED;
	if (s->unreadable)
		return fail(s, SFTP_LOCAL, "could not be read");
	if (s->stopped)
		return fail(s, SFTP_STOPPED, "told to stop");
	status = status_of(s, code);
	put_error(s, status, code);
	return status;
}

enum sftp_status sftp_list(struct sftp *s, const char *directory, void (*entry)(void *context, const char *name, int64_t size), void *context)
{
	s->entry = entry;
	s->context = context;
	buf_reset(&s->line);
	prepare(s, directory, true);
	curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_listing);
	curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s);
	return perform(s);
}

/* A command with paths in quotes, as curl reads them. */
static struct curl_slist *add_command(struct curl_slist *list, const char *word, const char *path, const char *other)
{
	struct buf command;
	struct curl_slist *longer;

	buf_init(&command, URL_MAX);
	buf_puts(&command, word);
	for (const char *p = path; p; p = p == path ? other : NULL) {
		buf_puts(&command, " \"");
		for (const char *c = p; *c; c++) {
			if (*c == '"' || *c == '\\')
				buf_putc(&command, '\\');
			buf_putc(&command, *c);
		}
		buf_putc(&command, '"');
	}
	longer = curl_slist_append(list, buf_text(&command));
	buf_fini(&command);
	return longer ? longer : list;
}

static enum sftp_status upload(struct sftp *s, struct sftp_put *put)
{
	struct curl_slist *after = NULL;
	enum sftp_status status;

	/* Most servers rename nothing onto a file that is there; that there is none is no failure. */
	after = add_command(after, "*rm", put->target, NULL);
	after = add_command(after, "rename", put->temporary, put->target);
	prepare(s, put->temporary, false);
	curl_easy_setopt(s->easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(s->easy, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(s->easy, CURLOPT_READDATA, s);
	curl_easy_setopt(s->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)s->size);
	curl_easy_setopt(s->easy, CURLOPT_FTP_CREATE_MISSING_DIRS, 1L);
	curl_easy_setopt(s->easy, CURLOPT_POSTQUOTE, after);
	s->sent = 0;
	status = perform(s);
	put->sent = s->sent;
	curl_easy_setopt(s->easy, CURLOPT_POSTQUOTE, NULL);
	curl_slist_free_all(after);
	return status;
}

enum sftp_status sftp_put(struct sftp *s, struct sftp_put *put)
{
	enum sftp_status status;
	struct stat st;

	put->sent = 0;
	s->file = open(put->local, O_RDONLY | O_CLOEXEC);
	if (s->file < 0 || fstat(s->file, &st) != 0 || !S_ISREG(st.st_mode)) {
		snprintf(s->error, sizeof s->error, "could not open: %s", s->file < 0 ? strerror(errno) : "not a plain file");
		status = SFTP_LOCAL;
	} else {
		s->size = st.st_size;
		status = upload(s, put);
	}
	if (s->file >= 0)
		close(s->file);
	s->file = -1;
	return status;
}

enum sftp_status sftp_remove(struct sftp *s, const char *directory, const char *path)
{
	struct curl_slist *before = add_command(NULL, "rm", path, NULL);
	enum sftp_status status;

	prepare(s, directory, true);
	curl_easy_setopt(s->easy, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(s->easy, CURLOPT_QUOTE, before);
	status = perform(s);
	curl_easy_setopt(s->easy, CURLOPT_QUOTE, NULL);
	curl_slist_free_all(before);
	return status;
}
