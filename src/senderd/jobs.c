#include "senderd/jobs.h"

#include "base/boundary.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/settings.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RENEW_TIMEOUT_MS 10000

struct job {
	char id[UUID_TEXT_SIZE];
	char kind[40];
	char request_id[200];
	int64_t attempt;
	int64_t lease_ms;
	pid_t renewer; /* 0: there is none */
	bool lost;
};

const char *job_id(const struct job *job)
{
	return job->id;
}

static void put_claim(struct db_params *params, const struct job *job)
{
	db_params_init(params);
	db_param_text(params, job->id);
	db_param_int(params, job->attempt);
}

/* Renews until the job is another's; the connection is its own. */
static void renew(const struct job *job, const char *application_name)
{
	const struct db_config config = {
		.conninfo = setting_str_or(SETTING_DATABASE_SENDERD, SETTING_DATABASE),
		.application_name = application_name,
		.statement_timeout_ms = RENEW_TIMEOUT_MS,
		.lock_timeout_ms = RENEW_TIMEOUT_MS,
	};
	struct db *db = db_create(&config);
	int64_t wait_ms = job->lease_ms / 4;
	const struct timespec wait = {wait_ms / 1000, wait_ms % 1000 * 1000000};

	for (;;) {
		struct db_result *result = NULL;
		struct db_params params;
		bool lost;

		nanosleep(&wait, NULL);
		put_claim(&params, job);
		db_param_int(&params, job->lease_ms);
		lost = db_query(db, DB_Q_JOB_RENEW, &params, &result) == DB_OK && db_affected(result) == 0;
		db_result_free(result);
		if (lost)
			break;
	}
}

static void start_renewer(struct job *job, const char *application_name)
{
	pid_t worker = getpid();

	job->renewer = fork();
	if (job->renewer < 0) {
		log_warn("could not start the process that renews the lease of a job", log_str("job", job->id), log_errno());
		job->renewer = 0;
	} else if (job->renewer == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == worker)
			renew(job, application_name);
		_exit(0);
	}
}

static void end_renewer(struct job *job)
{
	if (job->renewer <= 0)
		return;
	kill(job->renewer, SIGKILL);
	waitpid(job->renewer, NULL, 0);
	job->renewer = 0;
}

bool job_is_ours(struct job *job)
{
	/* It ends by itself only when the job is another's. */
	if (job->renewer > 0 && waitpid(job->renewer, NULL, WNOHANG) != 0) {
		job->renewer = 0;
		job->lost = true;
	}
	return !job->lost;
}

static enum db_status put_back(struct db *db, const struct job *job)
{
	struct db_params params;

	put_claim(&params, job);
	return db_query(db, DB_Q_JOB_PUT_BACK, &params, NULL);
}

/* A text that was cut to fit may end within a character. */
static void cut_to_utf8(char *text)
{
	text[utf8_valid_length(text, strlen(text))] = '\0';
}

static enum db_status finish(struct db *db, const struct job *job, struct job_end *end)
{
	struct db_result *result = NULL;
	struct db_params params;
	enum db_status status;

	cut_to_utf8(end->outcome);
	cut_to_utf8(end->error);
	put_claim(&params, job);
	db_param_time(&params, clock_now());
	db_param_text(&params, end->outcome);
	db_param_text(&params, end->error);
	status = db_query(db, DB_Q_JOB_FINISH, &params, &result);
	if (status == DB_OK && db_affected(result) == 0)
		log_warn("job ended too late; another process has taken it over", log_str("job", job->id), log_str("kind", job->kind));
	db_result_free(result);
	return status;
}

static void run(struct job *job, const struct job_kinds *kinds, struct job_end *end)
{
	for (enum job_kind i = 0; i < JOB_KIND_MAX; i++)
		if (strcmp(job->kind, job_kind_word(i)) == 0 && kinds->functions[i]) {
			kinds->functions[i](kinds->context, job, end);
			return;
		}
	snprintf(end->error, sizeof end->error, "unknown kind of job");
}

/* False when the database is to be left alone for a moment. */
static bool end_job(struct db *db, struct job *job, struct job_end *end)
{
	bool again = end->status == DB_UNAVAILABLE || end->status == DB_TIMEOUT || end->status == DB_RETRY;

	if (again || end->unfinished) {
		put_back(db, job);
		return !again;
	}
	if (end->status != DB_OK && !*end->error)
		snprintf(end->error, sizeof end->error, "failed in the database, state %s", db_sqlstate(db));
	if (*end->error)
		log_err("job failed", log_str("job", job->id), log_str("kind", job->kind), log_str("error", end->error), log_str("outcome", end->outcome));
	boundary_pass(BOUNDARY_KEEPER_JOB_DONE);
	if (finish(db, job, end) != DB_OK)
		return false;
	counter_add(*end->error ? COUNTER_JOBS_FAILED : COUNTER_JOBS_DONE, 1);
	boundary_pass(BOUNDARY_KEEPER_JOB_FINISHED);
	return true;
}

static bool claim(struct db *db, const struct job_kinds *kinds, struct job *job)
{
	struct db_result *result = NULL;
	struct db_params params;
	bool found;

	job->lease_ms = setting_int(SETTING_LEASE);
	db_params_init(&params);
	db_param_time(&params, clock_now());
	db_param_int(&params, job->lease_ms);
	db_param_text(&params, kinds->only);
	db_param_text(&params, kinds->but);
	if (db_query(db, DB_Q_JOB_CLAIM, &params, &result) != DB_OK)
		return false;
	found = db_rows(result) > 0;
	if (found) {
		snprintf(job->id, sizeof job->id, "%s", db_text(result, 0, 0));
		snprintf(job->kind, sizeof job->kind, "%s", db_text(result, 0, 1));
		snprintf(job->request_id, sizeof job->request_id, "%s", db_text(result, 0, 2));
		job->attempt = db_int(result, 0, 3);
	}
	db_result_free(result);
	return found;
}

bool jobs_do_one(struct db *db, const struct job_kinds *kinds)
{
	struct job_end end = {.status = DB_OK};
	struct job job = {0};
	bool done;

	if (!claim(db, kinds, &job))
		return false;
	boundary_pass(BOUNDARY_KEEPER_JOB_CLAIMED);
	log_set_request_id(job.request_id);
	start_renewer(&job, kinds->application_name);
	run(&job, kinds, &end);
	end_renewer(&job);
	done = end_job(db, &job, &end);
	log_set_request_id(NULL);
	return done;
}
