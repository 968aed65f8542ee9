#ifndef REST_FIELD_H
#define REST_FIELD_H

#include "rest/request.h"

/*
 * Fields of a body: what may come in and what it becomes. The rules and texts are those of the original's
 * serializers; all errors of all fields go into one answer.
 */

enum field_type {
	FIELD_TEXT,   /* string, integer or float taken as text, trimmed; max: characters, 0 for none */
	FIELD_INT,    /* min..max; strings of digits and integral floats too */
	FIELD_BOOL,   /* true, "true", "t", 1, "on", ... */
	FIELD_UUID,
	FIELD_TIME,
	FIELD_CHOICE, /* one of choices */
	FIELD_JSON,   /* anything; the bytes of the request go to jsonb as they came */
	FIELD_REF,    /* key of a row of `table` */
	FIELD_FILE,
	FIELD_TYPE_MAX
};

#define FIELD_REQUIRED 1u   /* must be there (PATCH may leave anything out) */
#define FIELD_NULL 2u       /* null is allowed */
#define FIELD_BLANK 4u      /* "" is allowed */
#define FIELD_READ_ONLY 8u  /* never taken from a body */
#define FIELD_NO_TRIM 16u
#define FIELD_EMAIL 32u     /* TEXT: an e-mail address */
#define FIELD_UNIQUE 64u    /* TEXT: no other row has it; `unique` is the message */
#define FIELD_HIDDEN 128u   /* not in JSON at all: a column that hooks write */
#define FIELD_CREATED 256u  /* TIME: set by the kit when the row is made */
#define FIELD_UPDATED 512u  /* TIME: set by the kit at each change */

struct field {
	const char *name;           /* in JSON; NULL ends a table */
	const char *column;         /* in the table of the resource; NULL where there is none */
	enum field_type type;
	unsigned flags;
	int64_t min, max;
	const char *const *choices; /* ended by NULL */
	const char *table;          /* REF */
	bool uuid_key;              /* REF: that table's key is a UUID, else an integer */
	const char *unique;         /* UNIQUE */
	const char *label;          /* OPTIONS */
};

enum value_state { VALUE_ABSENT, VALUE_NULL, VALUE_SET };
struct value {
	enum value_state state;
	const char *text;     /* SET: as PostgreSQL takes it; of the arena */
	const char *shown;    /* SET of REF: as the client wrote it, for messages */
	int64_t number;       /* SET of INT, BOOL and integer REF */
	const json_t *json;   /* SET of JSON: borrowed from the body */
	struct req_file *file; /* SET of FILE */
};

/*
 * Reads the body (req_body) and each of fields into values (as many as fields). partial: PATCH, nothing is
 * required. 0, or -1 with all errors in the slot. Existence of REF and UNIQUE are not asked here.
 */
int field_read_body(struct req *, const struct field *fields, bool partial, struct value *values);
/* The same of a value within the body: inside is the key under which it stands there, NULL for the body itself. */
int field_read_object(struct req *, const struct field *fields, bool partial, const json_t *object, const char *inside, struct value *values);
/*
 * Asks the database, in one statement, whether what REF fields name exists and UNIQUE values are free, for
 * values that are SET. table, own_id: where UNIQUE is looked up and the row that does not count (NULL for
 * none). 0, or -1 with all errors in the slot.
 */
int field_check_rows(struct req *, const struct field *fields, const struct value *values, const char *table, const char *own_id);
/* How many rows a table of fields has. */
int field_count(const struct field *);

#endif
