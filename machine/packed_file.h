/*
 * Files of blocks, for snapshots and recordings: a head (magic, version, length, number of blocks), then blocks, each with a
 * tag of four letters, a length and a checksum. Integers are little-endian. Written whole or not at all.
 */
#ifndef ORRERY_MACHINE_PACKED_FILE_H
#define ORRERY_MACHINE_PACKED_FILE_H

#include "base/snapshot.h"
#include "machine/errtext.h"

struct packed_writer {
	struct snap_buf b;
	u32 blocks;
};

void packed_begin(struct packed_writer *f, const char magic[8], u32 version);
void packed_add(struct packed_writer *f, const char tag[4], const void *data, u64 n);
/** A block of @head_bytes as they are, then u64 length and zlib stream of @data. */
void packed_add_deflated(struct packed_writer *f, const char tag[4], const void *head, u64 head_bytes, const void *data, u64 n);
/** Writes the file (NULL: does not) and frees everything. @status, or 0, -ENOMEM, -errno of the file. */
MUST_CHECK int packed_end(struct packed_writer *f, const char *path, int status);

struct packed_block {
	char tag[4];
	const u8 *data; /* in the bytes that packed_open() was given */
	u64 bytes;
};

struct packed_file {
	struct packed_block *block;
	u32 blocks;
};

/**
 * Checks @data from end to end. 0, or -EINVAL with a message about "the @what": not one, of another version, cut short,
 * damaged; -ENOMEM. @trust: checksums are not looked at. packed_close() in any case.
 */
MUST_CHECK int packed_open(struct packed_file *f, const u8 *data, u64 n, const char magic[8], u32 version, const char *what,
			   bool trust, struct errtext *e);
void packed_close(struct packed_file *f);
/** The first block with @tag behind @after (NULL: of all), or NULL. */
const struct packed_block *packed_next(const struct packed_file *f, const struct packed_block *after, const char tag[4]);
/** The bytes that packed_add_deflated() was given, at most @max; malloc'ed. NULL: damaged, or no memory. */
u8 *packed_inflate(const u8 *data, u64 bytes, u64 max, u64 *n);

static inline u64 le_get64(const u8 *p)
{
	u64 v;
	memcpy(&v, p, 8); /* little-endian hosts only: base/snapshot.c */
	return v;
}

#endif
