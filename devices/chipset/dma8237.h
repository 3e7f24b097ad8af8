/* The two 8237A DMA controllers of a PC. */
#ifndef ORRERY_DEVICES_DMA8237_H
#define ORRERY_DEVICES_DMA8237_H

#include "devices/device.h"

/**
 * A device asks channel @channel (0-3 by bytes, 5-7 by words) to move up to @n bytes; @to_memory:
 * from @buf to memory (8237 "write"), else from memory to @buf. Returns the bytes moved: less than
 * @n when the terminal count came (@*tc) or the channel is masked, disabled, or set up for the
 * other direction (0). @tc may be NULL.
 */
u32 dma8237_transfer(struct device *d, unsigned channel, void *buf, u32 n, bool to_memory,
		     bool *tc);

#endif
