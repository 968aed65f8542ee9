#include "base/assert.h"

#include "base/log.h"

#include <stdlib.h>

void assert_fail(const char *condition, const char *file, int line)
{
	log_err("assertion failed", log_str("condition", condition), log_str("file", file), log_int("line", line));
	abort();
}
