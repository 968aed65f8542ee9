#ifndef DOMAIN_LINT_H
#define DOMAIN_LINT_H

#include "domain/catalogue.h"

#include <stdbool.h>
#include <stdint.h>

struct programme;

/* What is wrong with content, or may be: rules over all of it. sbmctl(8) lists them. */

struct lint_finding {
	const char *rule;
	const char *set;    /* NULL for none */
	int64_t number;     /* of a message, when has_number */
	bool has_number;
	const char *lang;   /* NULL for none */
	const char *detail; /* borrowed until the callback ends */
};

struct lint {
	const struct catalogue *content;
	const struct programme *programme; /* of the same database: schedules */
	int64_t sms_parts;                 /* most SMS that a text may take */
	void (*found)(void *context, const struct lint_finding *);
	/* Whether a file of a binary content is in the media directory. */
	bool (*has_file)(void *context, const char *file);
	void *context;
};
/* Calls found for each finding: by message set, then those of files. */
void lint_run(const struct lint *);
/* The names of the rules, ended by NULL. */
extern const char *const lint_rules[];

#endif
