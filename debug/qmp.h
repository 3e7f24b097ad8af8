/* The parts of the JSON socket that tests and fuzzers reach by themselves (debug/qmp.c). */
#ifndef ORRERY_DEBUG_QMP_H
#define ORRERY_DEBUG_QMP_H

#include <jansson.h>
#include "base/types.h"

struct monitor;

/* Cuts a stream into JSON objects. Zero it to begin. */
struct qmp_splitter {
	char *text;
	size_t n, cap;
	unsigned depth;
	bool in_string, escaped;
};
/** 1: ->text holds a whole object, until the next call; 0: more is wanted; -EINVAL: no object can begin so; -E2BIG. */
int qmp_split_byte(struct qmp_splitter *s, u8 b);
void qmp_split_reset(struct qmp_splitter *s);

/** Carries out one message; the answer (new reference). @*negotiated: qmp_capabilities came. Not on the machine's thread while it
 * runs elsewhere. */
json_t *qmp_execute(struct monitor *mon, const char *text, bool *negotiated);
json_t *qmp_error(const char *class, const char *text);

#endif
