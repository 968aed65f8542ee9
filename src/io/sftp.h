#ifndef IO_SFTP_H
#define IO_SFTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Files to an SFTP server, over libcurl: one connection, kept between calls.  Each call blocks until it is done.
 * Only a host key that the file of known hosts has is accepted.  Paths on the server are absolute, or relative to
 * the directory of the login; they are UTF-8 without control characters, see sftp_path_is_good.
 */
struct sftp;

struct sftp_config {
	const char *host;
	int port;
	const char *user;
	const char *key;         /* file of the private key, NULL or "": log in by password */
	const char *password;    /* or the passphrase of the key; may be NULL or "" */
	const char *known_hosts; /* file, as of OpenSSH */
	int64_t connect_timeout_ms;
	int64_t stall_timeout_ms; /* a call that does not move for so long is given up */
	bool (*goes_on)(void *context); /* asked at least once a second; false ends the call */
	void *context;
};
/* All of config is borrowed for the life of it. NULL, logged, when libcurl cannot do it. */
struct sftp *sftp_create(const struct sftp_config *);
void sftp_free(struct sftp *); /* NULL does nothing */

enum sftp_status {
	SFTP_OK,
	SFTP_NOT_FOUND, /* no such file or directory on the server */
	SFTP_AWAY,      /* no connection, it was lost, or nothing moved: another time it may work */
	SFTP_REFUSED,   /* the server's key, our login: it will not work until somebody has changed something */
	SFTP_LOCAL,     /* our own file could not be read */
	SFTP_FAILED,    /* the server would not do it, for whatever reason */
	SFTP_STOPPED,   /* goes_on said no */
	SFTP_STATUS_MAX
};
/* What was wrong with the last call, and what to do about it. */
const char *sftp_error(const struct sftp *);

/* Tells entry of each plain file in a directory, in no order. */
enum sftp_status sftp_list(struct sftp *, const char *directory, void (*entry)(void *context, const char *name, int64_t size), void *context);
/*
 * Uploads a file of ours to temporary, with directories that are not there, and when all of it is there calls it
 * target. A target that was there is removed just before.
 */
struct sftp_put {
	const char *local;
	const char *temporary, *target;
	int64_t sent; /* bytes, set by the call */
};
enum sftp_status sftp_put(struct sftp *, struct sftp_put *);
/* Removes the file `path`; directory: the one that it is in. */
enum sftp_status sftp_remove(struct sftp *, const char *directory, const char *path);

/*
 * True after a call that was given up: of a session whose end the server does not answer, libcurl and libssh2 (seen with
 * 7.88 and 1.10) keep about 100 KB for the life of the process, which should better not be long.
 */
bool sftp_is_worn(const struct sftp *);

/* Whether it is UTF-8 without control characters, of 1 to 2047 bytes, and none of its parts "..". */
bool sftp_path_is_good(const char *path);

#endif
