/* Flame graphs: a call tree as an SVG picture, in which a box is as wide as what it and its callees executed. */
#ifndef ORRERY_DEBUG_FLAME_H
#define ORRERY_DEBUG_FLAME_H

#include <stdio.h>
#include "debug/calltree.h"

/** Writes the picture of @nodes (from calltree_sum()); boxes too narrow to see are left out. */
void flame_write(FILE *out, const struct call_node *nodes, const char *title,
		 const char *(*name)(const void *ctx, u64 addr, char *buf, size_t size), const void *ctx);

#endif
