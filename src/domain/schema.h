#ifndef DOMAIN_SCHEMA_H
#define DOMAIN_SCHEMA_H

struct db;

/* The newest migration that this code needs; a unit test compares it with sql/migrations. */
#define SCHEMA_NEEDED 8

/* Number of the newest migration that the database has; 0 when it has none. 0, or -1 when the database did not answer. */
int schema_read(struct db *, int *version);
/* For the programs' start: 0 when the schema is new enough; else -1, and what is to be done is logged. */
int schema_check(struct db *);

#endif
