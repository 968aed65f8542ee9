#ifndef IO_JSON_H
#define IO_JSON_H

#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>

/* json_t itself is our type of a JSON value, everywhere. */

#define JSON_DEPTH_MAX 32

enum json_problem { JSON_FINE, JSON_SYNTAX, JSON_TOO_DEEP };

/*
 * Reads strict JSON: UTF-8, no NUL (also not escaped), no trailing text, any type at the top. Of duplicate
 * keys the last one counts. *out is a new reference. On JSON_SYNTAX error has the parser's words with line
 * and column ("Expecting value: line 1 column 10 (char 9)" where that fits).
 */
enum json_problem json_read(const char *text, size_t n, json_t **out, char *error, size_t error_size);

/*
 * The number tokens of a document that a C double or int64 cannot hold exactly (1.10, 1e400, integers of
 * more than 64 bits) get lost in a json_t. This writes the text of the value at a key path as it stood in
 * the document, so that PostgreSQL's jsonb keeps every digit: object keys from the top, ended by NULL; of
 * duplicate keys the last. 0, or -1 when there is no such value.
 */
int json_raw_value(const char *text, size_t n, const char *const *keys, struct buf *out);

/* Compact text of a value. */
void json_write(const json_t *, struct buf *);
/* Whether it holds a number beyond all doubles (1e400), which is read as the largest of them. */
bool json_has_infinite(const json_t *);
/* Name of a value's type as Python has it: dict, list, str, int, float, bool, NoneType. */
const char *json_python_type(const json_t *);

#endif
