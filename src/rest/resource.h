#ifndef REST_RESOURCE_H
#define REST_RESOURCE_H

#include "rest/field.h"
#include "rest/route.h"

/*
 * A table resource: one table of the schema as list, create, retrieve, update, delete. No joins and no
 * computed columns: where that is needed a handler with its own statement takes the verb's place.
 */

enum resource_order {
	RESOURCE_BY_ID,
	RESOURCE_NEWEST /* created_at DESC, id DESC */
};

#define RESOURCE_LIST 1u
#define RESOURCE_CREATE 2u
#define RESOURCE_RETRIEVE 4u
#define RESOURCE_UPDATE 8u
#define RESOURCE_DELETE 16u
#define RESOURCE_ALL 31u

enum filter_kind {
	FILTER_TEXT,         /* equal; one of choices where there are some */
	FILTER_NUMBER,       /* equal */
	FILTER_BOOL,
	FILTER_UUID,
	FILTER_REF,          /* an id that must exist */
	FILTER_TIME,         /* equal; dates too */
	FILTER_AFTER,        /* column >= value, a date with a time */
	FILTER_BEFORE,       /* column <= value */
	FILTER_HAS_KEY,      /* jsonb ? value */
	FILTER_NOT_HAS_KEY,
	FILTER_JSON,         /* the jsonb is a string, and that is the value */
	FILTER_CUSTOM,       /* `sql` says it */
	FILTER_KIND_MAX
};

struct filter {
	const char *name; /* of the query parameter; NULL ends a table */
	enum filter_kind kind;
	const char *column;
	const char *const *choices;
	const char *table; /* REF */
	const char *sql;   /* CUSTOM: a constant condition, with one %d for the number of its parameter */
};

/* What protects a row from being deleted: rows of table with column = its id. */
struct resource_use {
	const char *table, *column;
	const char *what; /* for people: "message sets" */
};

struct resource;
enum resource_verb { RESOURCE_DOES_CREATE, RESOURCE_DOES_UPDATE, RESOURCE_DOES_DELETE };

/* A change on its way. values: one for each field of the resource, may be altered by check. */
struct resource_change {
	const struct resource *resource;
	enum resource_verb verb;
	bool partial;
	const char *id;              /* of the row, once there is one */
	struct value *values;
	const struct db_result *old; /* the row before; NULL with CREATE. Columns are those of resource_column() */
	const struct db_result *now; /* the row as written; NULL in check and with DELETE */
};

struct resource {
	const char *name;  /* "schedule": of the OpenAPI schema too */
	const char *table;
	const char *label; /* for people: "message set" */
	const struct field *fields; /* the first one is the key */
	bool uuid_key;
	enum resource_order order;
	unsigned verbs;
	const struct filter *filters;     /* may be NULL */
	const struct resource_use *uses;  /* may be NULL */
	const char *unique_together;      /* message when several columns together are taken; may be NULL */

	/* Hooks; each may be NULL. 0, or -1 with the slot filled. */
	/* After the fields were read, also when some failed: further rules of single fields, by req_fail_field. */
	void (*check_fields)(struct req *, struct resource_change *);
	/* After all fields fit: rules between fields. No statement has run yet but look-ups. */
	int (*check)(struct req *, struct resource_change *);
	/* In the transaction, after the statement. */
	int (*written)(struct req *, const struct resource_change *);
	/* Writes one field's JSON in place of the kit; false: the kit shall. */
	bool (*put_field)(struct req *, const struct field *, const struct db_result *, int row, int column);
};

/* Index of a field by its JSON name; asserts that there is one. It is its column in results and its place in values. */
int resource_column(const struct resource *, const char *name);
/* The value that a field will have after the change, as text: the new one, else the old one; NULL for NULL. */
const char *resource_value(const struct resource_change *, const char *name);
/* Writes one row as JSON object; columns are those of the fields. */
void resource_put_row(struct req *, const struct resource *, const struct db_result *, int row);

/* The verbs as handlers. */
int resource_list(struct req *);
int resource_create(struct req *);
int resource_retrieve(struct req *);
int resource_update(struct req *);
int resource_delete(struct req *);

#endif
