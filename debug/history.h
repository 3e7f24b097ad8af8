/* The last instructions of all processors, kept in a ring while it is attached: for the explanation of a shutdown. */
#ifndef ORRERY_DEBUG_HISTORY_H
#define ORRERY_DEBUG_HISTORY_H

#include "debug/explain.h"

#define HISTORY_MAX 100000u

struct history;
/** Keeps the last @n (1..HISTORY_MAX) instructions from here on. The machine must not run. NULL: no memory. */
struct history *history_create(struct machine *m, unsigned n);
/** The machine must not run. NULL is allowed. */
void history_destroy(struct history *h);
/** Adds them to an explanation, oldest first. @names may be NULL. */
void history_add(const struct history *h, json_t *tree, const struct explain_names *names);

#endif
