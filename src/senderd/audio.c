#include "senderd/audio.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/settings.h"
#include "domain/retry.h"
#include "io/digest.h"
#include "io/sftp.h"
#include "senderd/jobs.h"
#include "senderd/wake.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATEMENT_TIMEOUT_MS 60000
#define LOCK_TIMEOUT_MS 30000
/* A connection that was lost is tried again so often before the job fails. */
#define TRIES 3
#define FAILURES_IN_A_ROW_MAX 10
/* Files there whose sizes are remembered; those beyond are copied again. */
#define THERE_MAX (1 << 20)
#define DIRECTORIES_MAX 1024
#define LEFT_OVER_MAX 64
#define PATH_SIZE 2048
#define PART_BEGIN ".sbm-"
#define PART_END ".part"

/* What is on the server: a hash table of the digests of paths. */
struct there {
	struct place {
		uint64_t path; /* 0: empty */
		int64_t size;
	} *places;
	size_t size, count; /* size is a power of two */
};

/* The process. */
struct audio {
	struct db *db;
	bool worn; /* another process shall go on */
};

struct sync {
	struct db *db;
	struct job *job;
	struct sftp *sftp;
	struct sftp_config config;
	struct there there;
	char *listed[DIRECTORIES_MAX]; /* directories that were */
	int listed_count;
	const char *listing; /* the one that is being listed, "" or with a slash at its end */
	char *left_over[LEFT_OVER_MAX]; /* what a sync left that was killed: job ids */
	int left_over_count;

	int64_t copied, bytes, present, failed;
	int failures_in_a_row;
	char problem[300]; /* the first */
};

bool audio_is_copied(void)
{
	return *setting_str(SETTING_AUDIO_FTP_HOST);
}

/* ---- what is there */

static uint64_t digest_of(const char *path)
{
	unsigned char digest[DIGEST_SIZE];
	uint64_t n;

	digest_sha256(path, strlen(path), digest);
	memcpy(&n, digest, sizeof n);
	return n ? n : 1;
}

static struct place *find_place(struct place *places, size_t size, uint64_t path)
{
	size_t i = path & (size - 1);

	while (places[i].path && places[i].path != path)
		i = (i + 1) & (size - 1);
	return &places[i];
}

static void grow(struct there *there)
{
	size_t size = there->size ? there->size * 2 : 1024;
	struct place *places = calloc(size, sizeof *places);

	SBM_ASSERT(places);
	for (size_t i = 0; i < there->size; i++)
		if (there->places[i].path)
			*find_place(places, size, there->places[i].path) = there->places[i];
	free(there->places);
	there->places = places;
	there->size = size;
}

static void remember(struct there *there, const char *path, int64_t size)
{
	uint64_t digest = digest_of(path);
	struct place *place;

	if (there->count >= THERE_MAX)
		return;
	if (there->count * 2 >= there->size)
		grow(there);
	place = find_place(there->places, there->size, digest);
	there->count += place->path == 0;
	*place = (struct place){digest, size};
}

/* The size of a file there, -1 when it is not. */
static int64_t size_there(const struct there *there, const char *path)
{
	const struct place *place;

	if (!there->size)
		return -1;
	place = find_place(there->places, there->size, digest_of(path));
	return place->path ? place->size : -1;
}

/* ---- paths */

/* name: below the root. */
static void put_remote(char out[PATH_SIZE], const char *directory, const char *name)
{
	const char *root = setting_str(SETTING_AUDIO_FTP_ROOT);
	size_t n = strlen(root);
	bool slash = n > 0 && root[n - 1] != '/';

	snprintf(out, PATH_SIZE, "%s%s%s%s", root, slash ? "/" : "", directory, name);
}

static void put_part(char out[PATH_SIZE], const char *directory, const char *id)
{
	char name[sizeof PART_BEGIN + UUID_TEXT_SIZE + sizeof PART_END];

	snprintf(name, sizeof name, PART_BEGIN "%s" PART_END, id);
	put_remote(out, directory, name);
}

/* The directory of a name, "" or with its slash. */
static void put_directory(char out[PATH_SIZE], const char *name)
{
	const char *slash = strrchr(name, '/');

	snprintf(out, PATH_SIZE, "%.*s", slash ? (int)(slash - name + 1) : 0, name);
}

/* ---- calls */

static bool goes_on(void *context)
{
	struct sync *sync = context;

	return !proc_stopping() && job_is_ours(sync->job);
}

static void pause_for(int64_t ms)
{
	const struct timespec timeout = {ms / 1000, ms % 1000 * 1000000};

	ppoll(NULL, 0, &timeout, proc_wait_mask());
}

/* True when a call is to be made again. */
static bool wants_another_try(struct sync *sync, enum sftp_status status, int tried)
{
	if (status != SFTP_AWAY || tried == TRIES || !goes_on(sync))
		return false;
	log_warn("the audio server is away; trying again", log_str("error", sftp_error(sync->sftp)), log_int("tried", tried));
	pause_for(retry_wait_ms(tried, setting_int(SETTING_RETRY_BASE), setting_int(SETTING_RETRY_MAX), 0));
	return goes_on(sync);
}

static void take_entry(void *context, const char *name, int64_t size)
{
	struct sync *sync = context;
	size_t n = strlen(name), begin = strlen(PART_BEGIN), end = strlen(PART_END);
	char path[PATH_SIZE], id[UUID_TEXT_SIZE];

	if (n == begin + UUID_TEXT_SIZE - 1 + end && strncmp(name, PART_BEGIN, begin) == 0 && strcmp(name + n - end, PART_END) == 0) {
		snprintf(path, sizeof path, "%.*s", UUID_TEXT_SIZE - 1, name + begin);
		if (sync->left_over_count < LEFT_OVER_MAX && parse_uuid(path, id) == 0)
			sync->left_over[sync->left_over_count++] = strdup(id);
		return;
	}
	if (snprintf(path, sizeof path, "%s%s", sync->listing, name) < (int)sizeof path)
		remember(&sync->there, path, size);
}

static bool is_alive(struct sync *sync, const char *id)
{
	struct db_result *result = NULL;
	struct db_params params;
	bool alive = true;

	db_params_init(&params);
	db_param_text(&params, id);
	if (strcmp(id, job_id(sync->job)) == 0)
		return false;
	if (db_query(sync->db, DB_Q_AUDIO_JOB_IS_ALIVE, &params, &result) == DB_OK)
		alive = db_rows(result) > 0;
	db_result_free(result);
	return alive;
}

/* Removes what a sync that was killed left half done. */
static enum sftp_status remove_left_over(struct sync *sync, const char *directory)
{
	enum sftp_status status = SFTP_OK;
	char path[PATH_SIZE], at[PATH_SIZE];

	put_remote(at, directory, "");
	for (int i = 0; i < sync->left_over_count; i++) {
		if (status == SFTP_OK && sync->left_over[i] && !is_alive(sync, sync->left_over[i])) {
			put_part(path, directory, sync->left_over[i]);
			status = sftp_remove(sync->sftp, at, path);
			if (status == SFTP_OK)
				log_info("removed what a killed copy had left on the audio server", log_str("path", path));
		}
		free(sync->left_over[i]);
	}
	sync->left_over_count = 0;
	/* It stays where it is if it must; it is in nobody's way. */
	return status == SFTP_FAILED || status == SFTP_NOT_FOUND ? SFTP_OK : status;
}

static enum sftp_status list(struct sync *sync, const char *directory)
{
	enum sftp_status status;
	char path[PATH_SIZE];
	int tried = 0;

	put_remote(path, directory, "");
	sync->listing = directory;
	do
		status = sftp_list(sync->sftp, path, take_entry, sync);
	while (wants_another_try(sync, status, ++tried));
	/* One below the root is made by the first file that is copied to it. */
	if (status == SFTP_NOT_FOUND && *directory)
		status = SFTP_OK;
	if (status == SFTP_OK)
		status = remove_left_over(sync, directory);
	return status;
}

/* Lists a directory that was not yet. */
static enum sftp_status know(struct sync *sync, const char *directory)
{
	enum sftp_status status;

	for (int i = 0; i < sync->listed_count; i++)
		if (strcmp(sync->listed[i], directory) == 0)
			return SFTP_OK;
	status = list(sync, directory);
	if (status == SFTP_OK && sync->listed_count < DIRECTORIES_MAX) {
		sync->listed[sync->listed_count] = strdup(directory);
		SBM_ASSERT(sync->listed[sync->listed_count]);
		sync->listed_count++;
	}
	return status;
}

/* ---- files */

static void note_problem(struct sync *sync, const char *name, const char *error)
{
	if (*sync->problem)
		return;
	if (name)
		snprintf(sync->problem, sizeof sync->problem, "\"%s\": %s", name, error);
	else
		snprintf(sync->problem, sizeof sync->problem, "%s", error);
}

static void file_failed(struct sync *sync, const char *name, const char *error)
{
	log_warn("could not copy a file to the audio server", log_str("file", name), log_str("error", error));
	note_problem(sync, name, error);
	sync->failed++;
	sync->failures_in_a_row++;
}

/* A file that is gone may be that of a row that is gone, too. */
static bool is_wanted(struct sync *sync, int64_t id, const char *name)
{
	struct db_result *result = NULL;
	struct db_params params;
	bool wanted = true;

	db_params_init(&params);
	db_param_int(&params, id);
	db_param_text(&params, name);
	if (db_query(sync->db, DB_Q_AUDIO_FILE_IS_WANTED, &params, &result) == DB_OK)
		wanted = db_rows(result) > 0;
	db_result_free(result);
	return wanted;
}

static enum sftp_status copy(struct sync *sync, const char *name, const char *local)
{
	char temporary[PATH_SIZE], target[PATH_SIZE], directory[PATH_SIZE];
	struct sftp_put put = {.local = local, .temporary = temporary, .target = target};
	enum sftp_status status;
	int tried = 0;

	put_directory(directory, name);
	put_part(temporary, directory, job_id(sync->job));
	put_remote(target, "", name);
	do
		status = sftp_put(sync->sftp, &put);
	while (wants_another_try(sync, status, ++tried));
	if (status == SFTP_OK) {
		sync->copied++;
		sync->bytes += put.sent;
		sync->failures_in_a_row = 0;
		log_debug("copied a file to the audio server", log_str("file", name), log_int("bytes", put.sent));
	}
	return status;
}

/* False when the sync cannot go on. */
static bool may_go_on(struct sync *sync, const char *name, enum sftp_status status)
{
	if (status == SFTP_OK)
		return true;
	if (status != SFTP_LOCAL && status != SFTP_FAILED && status != SFTP_NOT_FOUND) {
		/* It says more than the file before. */
		*sync->problem = '\0';
		note_problem(sync, NULL, sftp_error(sync->sftp));
		return false;
	}
	file_failed(sync, name, sftp_error(sync->sftp));
	return sync->failures_in_a_row < FAILURES_IN_A_ROW_MAX;
}

static bool sync_file(struct sync *sync, int64_t id, const char *name)
{
	char local[PATH_SIZE], directory[PATH_SIZE];
	enum sftp_status status;
	struct stat st;

	if (*name == '/' || !sftp_path_is_good(name) || strlen(name) + strlen(setting_str(SETTING_MEDIA_DIR)) + 2 > sizeof local) {
		file_failed(sync, name, "is no name for a file of the media directory");
		return true;
	}
	snprintf(local, sizeof local, "%s/%s", setting_str(SETTING_MEDIA_DIR), name);
	if (stat(local, &st) != 0) {
		int reason = errno;

		if (is_wanted(sync, id, name))
			file_failed(sync, name, strerror(reason));
		return true;
	}
	put_directory(directory, name);
	status = know(sync, directory);
	if (status == SFTP_OK && size_there(&sync->there, name) == st.st_size) {
		sync->present++;
		return true;
	}
	return may_go_on(sync, name, status == SFTP_OK ? copy(sync, name, local) : status);
}

static enum db_status read_chunk(struct sync *sync, int64_t after, struct db_result **files)
{
	struct db_params params;

	db_params_init(&params);
	db_param_int(&params, after);
	return db_query(sync->db, DB_Q_AUDIO_FILES, &params, files);
}

static enum db_status sync_files(struct sync *sync)
{
	enum db_status status;
	int64_t last = 0;
	bool more = true;

	do {
		struct db_result *files = NULL;

		status = read_chunk(sync, last, &files);
		more = status == DB_OK && db_rows(files) > 0;
		for (int i = 0; more && i < db_rows(files); i++) {
			last = db_int(files, i, 0);
			more = goes_on(sync) && sync_file(sync, last, db_text(files, i, 1));
		}
		db_result_free(files);
	} while (more);
	return status;
}

/* ---- the job */

/* What is wrong with the settings, in error; false when nothing is. */
static bool settings_are_bad(const struct sftp_config *config, char *error, size_t size)
{
	const char *root = setting_str(SETTING_AUDIO_FTP_ROOT);

	if (!*config->user)
		snprintf(error, size, "audio_ftp_user is not set");
	else if (!*config->key && !*config->password)
		snprintf(error, size, "neither audio_ftp_key nor audio_ftp_pass is set");
	else if (*config->key && access(config->key, R_OK) != 0)
		snprintf(error, size, "could not read audio_ftp_key \"%s\": %s", config->key, strerror(errno));
	else if (access(config->known_hosts, R_OK) != 0)
		snprintf(error, size, "could not read audio_ftp_known_hosts \"%s\": %s; put there what "
			"ssh-keyscan -t ed25519,ecdsa -p %d %s prints, after you have compared it",
			config->known_hosts, strerror(errno), config->port, config->host);
	else if (*root && !sftp_path_is_good(root))
		snprintf(error, size, "audio_ftp_root is no path of a directory");
	else
		return false;
	return true;
}

static void sync_init(struct sync *sync)
{
	sync->config = (struct sftp_config){
		.host = setting_str(SETTING_AUDIO_FTP_HOST),
		.port = (int)setting_int(SETTING_AUDIO_FTP_PORT),
		.user = setting_str(SETTING_AUDIO_FTP_USER),
		.key = setting_str(SETTING_AUDIO_FTP_KEY),
		.password = setting_str(SETTING_AUDIO_FTP_PASS),
		.known_hosts = setting_str(SETTING_AUDIO_FTP_KNOWN_HOSTS),
		.connect_timeout_ms = setting_int(SETTING_CONNECT_TIMEOUT),
		.stall_timeout_ms = setting_int(SETTING_CALL_TIMEOUT),
		.goes_on = goes_on,
		.context = sync,
	};
}

static void sync_fini(struct sync *sync)
{
	sftp_free(sync->sftp);
	free(sync->there.places);
	for (int i = 0; i < sync->listed_count; i++)
		free(sync->listed[i]);
}

static void tell_end(const struct sync *sync, struct job_end *end)
{
	snprintf(end->outcome, sizeof end->outcome, "%" PRId64 " files copied (%" PRId64 " bytes), %" PRId64 " were there, %" PRId64 " failed",
		sync->copied, sync->bytes, sync->present, sync->failed);
	if (sync->failed)
		snprintf(end->error, sizeof end->error, "%" PRId64 " files were not copied; first %s", sync->failed, sync->problem);
	else
		snprintf(end->error, sizeof end->error, "%s", sync->problem);
	log_info(end->unfinished || *end->error ? "copying to the audio server broke off" : "copied to the audio server", log_int("copied", sync->copied),
		log_int("bytes", sync->bytes), log_int("there", sync->present), log_int("failed", sync->failed));
}

static void sync_audio(void *context, struct job *job, struct job_end *end)
{
	struct sync *sync = calloc(1, sizeof *sync);
	struct audio *audio = context;

	SBM_ASSERT(sync);
	sync->db = audio->db;
	sync->job = job;
	sync_init(sync);
	if (settings_are_bad(&sync->config, end->error, sizeof end->error)) {
		/* The reason is all. */
	} else if (!(sync->sftp = sftp_create(&sync->config))) {
		snprintf(end->error, sizeof end->error, "libcurl cannot do SFTP here");
	} else {
		if (may_go_on(sync, setting_str(SETTING_AUDIO_FTP_ROOT), know(sync, "")) && !sync->failed)
			end->status = sync_files(sync);
		end->unfinished = !goes_on(sync);
		audio->worn = sftp_is_worn(sync->sftp);
		tell_end(sync, end);
	}
	sync_fini(sync);
	free(sync);
}

static void (*const job_functions[JOB_KIND_MAX])(void *, struct job *, struct job_end *) = {
	[JOB_SYNC_AUDIO] = sync_audio,
};

static void wait_for_something(void)
{
	struct pollfd fd = {.fd = wake_fd(WAKE_AUDIO), .events = POLLIN};
	int64_t sweep_ms = setting_int(SETTING_SWEEP);
	const struct timespec timeout = {sweep_ms / 1000, sweep_ms % 1000 * 1000000};

	if (ppoll(&fd, 1, &timeout, proc_wait_mask()) > 0)
		wake_clear(WAKE_AUDIO);
}

int audio_run(void)
{
	const struct db_config config = {
		.conninfo = setting_str_or(SETTING_DATABASE_SENDERD, SETTING_DATABASE),
		.application_name = "sbm-senderd audio",
		.statement_timeout_ms = STATEMENT_TIMEOUT_MS,
		.lock_timeout_ms = LOCK_TIMEOUT_MS,
	};
	struct audio audio = {.db = db_create(&config)};
	const struct job_kinds kinds = {
		.only = job_kind_word(JOB_SYNC_AUDIO),
		.functions = job_functions,
		.context = &audio,
		.application_name = "sbm-senderd audio's lease",
	};

	proc_child_signals();
	while (!proc_stopping() && !audio.worn) {
		while (!proc_stopping() && !audio.worn && jobs_do_one(audio.db, &kinds))
			continue;
		if (!proc_stopping() && !audio.worn)
			wait_for_something();
	}
	db_free(audio.db);
	return 0;
}
