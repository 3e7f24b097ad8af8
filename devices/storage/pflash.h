/* Parallel flash chips for firmware. */
#ifndef ORRERY_DEVICES_PFLASH_H
#define ORRERY_DEVICES_PFLASH_H

#include "devices/device.h"
#include "devices/drive.h"

/**
 * Gives the chip its contents, and its place: it ends at guest-physical @top (exclusive). With
 * @below_1m its last 128 KiB also stand under 1 MiB, where the reset vector's first jump leads. The
 * image stays the caller's. 0, or -errno with a message.
 */
MUST_CHECK int pflash_attach(struct device *d, const struct drive *drive, u64 top, bool below_1m,
			     char *err, size_t n);
/** Its size in bytes; 0 before pflash_attach(). */
u64 pflash_size(struct device *d);

#endif
