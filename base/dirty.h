/*
 * Which pages of a block of host memory may have been written: whoever is about to write, or is given the right to, says so.
 * More may be marked than were written, never fewer.
 */
#ifndef ORRERY_BASE_DIRTY_H
#define ORRERY_BASE_DIRTY_H

#include "base/types.h"

struct dirty_map {
	u8 *base; /* of the memory */
	u64 pages;
	u8 *map; /* a byte each: a bit for everyone who wants to know */
};

/** @d may be NULL; memory elsewhere is nobody's business. */
static inline void dirty_mark(const struct dirty_map *d, const void *host)
{
	if (!d)
		return;
	u64 page = (u64)((uintptr_t)host - (uintptr_t)d->base) >> 12;
	if (page < d->pages)
		d->map[page] = 0xff;
}

static inline void dirty_mark_range(const struct dirty_map *d, const void *host, u64 n)
{
	const u8 *p = host;
	if (!d || !n)
		return;
	for (u64 at = 0; at < n; at += 4096)
		dirty_mark(d, p + at);
	dirty_mark(d, p + n - 1);
}

#endif
