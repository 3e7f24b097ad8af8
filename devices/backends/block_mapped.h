/* What VDI, VHD and VHDX have in common: the disk is cut into blocks of one size, and a table says
 * where each is. */
#ifndef ORRERY_DEVICES_BLOCK_MAPPED_H
#define ORRERY_DEVICES_BLOCK_MAPPED_H

#include "devices/backends/block_internal.h"

#define MAPPED_ENTRIES_MAX (8u << 20)
#define MAPPED_NOWHERE     0ull       /* reads as zeroes, gets a place when written */
#define MAPPED_BAD         UINT64_MAX /* the table's entry makes no sense */

struct mapped {
	u64 block; /* bytes */
	u64 entries;
	u64 *place;               /* of each block's first byte in the file */
	u64 dirty_from, dirty_to; /* entries not yet written to the file's table */
	/** Makes room for block @i, zeroed, at the end of the file. NULL: the image cannot grow. */
	int (*append)(struct image *im, u64 i, u64 *place);
	/** Writes the table's dirty entries; everything they point to is durable. */
	int (*write_table)(struct image *im);
};

/* im->state begins with a struct mapped. */
MUST_CHECK int mapped_init(struct image *im, u64 block, u64 entries, struct block_error *e);
void mapped_close(struct image *im);
int mapped_read(struct image *im, u64 at, u8 *data, u64 n);
int mapped_write(struct image *im, u64 at, const u8 *data, u64 n);
/** Data before the table that points to it. */
int mapped_flush(struct image *im);

#endif
