#ifndef DOMAIN_PROGRAM_H
#define DOMAIN_PROGRAM_H

#include "base/settings.h"

#include <sys/resource.h>

/*
 * What the two daemons do alike before and beside their own work: options, settings, the schema.
 */
struct program {
	const char *name;      /* "sbm-api" */
	enum setting database; /* whose connection string it takes, before that of `database` */
	const char *meanwhile; /* what it does as long as the database is away: "answering 503 until it is there" */
	int (*run)(const struct program *); /* with the settings loaded; its exit status */
};

/* Reads the options -c, -t and -V and the settings, and runs the program or does what they say. The exit status. */
int program_main(const struct program *, int argc, char **argv);
/* At HUP: takes the settings over when they are good; else -1, logged, and all is as it was. */
int program_reload(void);
/*
 * Before the first fork and behind what wants root: gives that up, looks at the schema, and says in the log that it
 * starts. 0, or -1, logged: the schema is too old, or root could not be given up. A database that is away is no
 * reason not to start.
 */
int program_begin(const struct program *);
/* Raises the limit of open files to wanted, or as far as it may; the log says when that is less. */
void program_raise_file_limit(rlim_t wanted);

#endif
