/* An explanation handed upward beside a -errno: the one place that prints it is the front end. */
#ifndef ORRERY_MACHINE_ERRTEXT_H
#define ORRERY_MACHINE_ERRTEXT_H

#include <stdarg.h>
#include <stdio.h>
#include "base/types.h"

struct errtext {
	char s[600];
};

/** Formats the explanation and returns @code (a negative errno), so that checks read `return
 * err_set(e, -EINVAL, ...)`. */
PRINTF_LIKE(3, 4) static inline int err_set(struct errtext *e, int code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->s, sizeof(e->s), fmt, ap);
	va_end(ap);
	return code;
}

#endif
