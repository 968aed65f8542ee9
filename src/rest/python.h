#ifndef REST_PYTHON_H
#define REST_PYTHON_H

#include "io/json.h"

#include <stdint.h>

struct arena;

/*
 * How the original's language reads and writes values: what its clients send and expect depends on it.
 */

/* Without white space at both ends, as str.strip() has it; in the arena. text is valid UTF-8. */
char *python_strip(struct arena *, const char *text);
/* repr() of a finite double: the shortest digits that read back as the same. out has room for 32 bytes. */
void python_float(double value, char *out);
/*
 * str() of a string, number or boolean; raw is the number's token as it stood in the document, or NULL. Of
 * the arena or borrowed.
 */
const char *python_str(struct arena *, const json_t *value, const char *raw);

enum python_int { PYTHON_INT, PYTHON_INT_LOW, PYTHON_INT_HIGH, PYTHON_INT_BAD };
/* int() of a text: white space around, a sign. LOW and HIGH: beyond 64 bits. */
enum python_int python_int(struct arena *, const char *text, int64_t *out);

#endif
