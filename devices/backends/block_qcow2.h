/* Shared by block_qcow2*.c only, and by their tests. */
#ifndef ORRERY_DEVICES_BLOCK_QCOW2_H
#define ORRERY_DEVICES_BLOCK_QCOW2_H

#include "devices/backends/block_internal.h"

#define QCOW2_AT     0x00fffffffffffe00ull /* host offset in an L1, L2 or refcount table entry */
#define QCOW2_COPIED BIT64(63)             /* refcount is exactly one: may be written in place */
#define QCOW2_PACKED BIT64(62)             /* deflated cluster */
#define QCOW2_ZERO   BIT64(0)

#define QCOW2_DIRTY   BIT64(0) /* incompatible features */
#define QCOW2_CORRUPT BIT64(1)

/* A metadata cluster in memory. */
struct qcow2_table {
	u64 at; /* host offset; 0: nothing is here */
	u64 used;
	bool dirty;
	u8 *data;
};

#define QCOW2_WAYS 4
struct qcow2_cache {
	struct qcow2_table *table; /* sets * QCOW2_WAYS */
	unsigned sets;             /* a power of two */
	u64 tick;
};

/* A big-endian array of the file held in memory whole: the L1 and the refcount table. */
struct qcow2_array {
	u64 at, entries;
	u64 *value;
	u64 dirty_from, dirty_to; /* entries; equal: clean */
};

/* Cluster numbers that hold metadata: no guest data may ever be written there. */
struct qcow2_set {
	u64 *slot; /* number + 1 */
	u64 slots, used;
};

struct qcow2 {
	struct image *im;
	struct block_file *file;
	unsigned version, bits, refcount_order;
	u64 cluster; /* bytes */
	u64 incompatible, compatible, autoclear;
	u64 header_bytes;
	u64 snapshots_at;
	u32 snapshots;
	struct qcow2_array l1, rt;
	u64 rt_at, rt_entries; /* of a refcount table that was not needed so far */
	struct qcow2_cache l2, rb;
	struct qcow2_set metadata;
	u64 free_hint; /* cluster number from which to look for free ones */
	u64 *freed;    /* host clusters to be given up at the next flush: nothing durable refers to
			  them then */
	u64 freed_count, freed_cap;
	bool damaged;          /* found inconsistent: not written to any more */
	bool written;          /* since it was opened */
	u8 *packed, *inflated; /* a deflated cluster and what came of it */
	u64 inflated_entry;    /* whose; 0: none */
};

/* ---- block_qcow2_meta.c ------------------------------------------------------------------- */

MUST_CHECK int qcow2_caches_init(struct qcow2 *q);
void qcow2_caches_free(struct qcow2 *q);
/** Reads a big-endian table of @entries at @at into memory. -EIO if it is not inside the file. */
MUST_CHECK int qcow2_array_read(struct qcow2 *q, struct qcow2_array *a, u64 at, u64 entries);
void qcow2_array_set(struct qcow2_array *a, u64 i, u64 value);
/** The cached L2 table at host offset @at; @fresh: a new one, all zeroes, dirty. */
MUST_CHECK int qcow2_l2_get(struct qcow2 *q, u64 at, bool fresh, struct qcow2_table **out);
/** Host cluster @i: its reference count. */
MUST_CHECK int qcow2_refcount(struct qcow2 *q, u64 i, u64 *count);
u64 qcow2_refcount_in(const struct qcow2 *q, const u8 *block, u64 i);
/** Sets a count, in memory; with @block_at, a missing refcount block is made there. */
MUST_CHECK int qcow2_refcount_set(struct qcow2 *q, u64 i, u64 count, u64 block_at);
/** Up to @want free neighbouring clusters, at least one, now with a count of one. */
MUST_CHECK int qcow2_alloc(struct qcow2 *q, u64 want, u64 *first, u64 *got);
/** Takes back an allocation nothing has referred to yet. */
void qcow2_unalloc(struct qcow2 *q, u64 first, u64 n);
/** One reference less to host cluster @i, once everything up to now is durable. */
void qcow2_free_later(struct qcow2 *q, u64 i);
/** Makes everything durable, in the order that leaves a sound image wherever the power fails. */
MUST_CHECK int qcow2_flush(struct qcow2 *q);
/** Adds to the set of metadata clusters; false if it was there (or there is no memory). */
bool qcow2_set_add(struct qcow2_set *s, u64 i);
void qcow2_set_remove(struct qcow2_set *s, u64 i);
bool qcow2_set_has(const struct qcow2_set *s, u64 i);
/** Says what is wrong, stops writing. Returns -EIO. */
int qcow2_damaged(struct qcow2 *q, const char *what, u64 at);
/** Writes @n bytes of the header. */
MUST_CHECK int qcow2_header_put(struct qcow2 *q, unsigned at, u64 value, unsigned n);

static inline u64 qcow2_per_block(const struct qcow2 *q)
{
	return q->cluster * 8 >> q->refcount_order;
}

/** The host clusters a deflated cluster lies in: @*bytes from @*at. */
static inline void qcow2_packed_place(const struct qcow2 *q, u64 entry, u64 *at, u64 *bytes)
{
	unsigned shift = 62 - (q->bits - 8);
	u64 sectors = entry >> shift & (BIT64(q->bits - 8) - 1);
	*at = entry & (BIT64(shift) - 1);
	*bytes = (sectors + 1) * 512 - (*at & 511);
}

/* ---- block_qcow2_check.c ------------------------------------------------------------------ */

/** Walks all tables and compares with the reference counts; @repair: corrects them. 0, -EIO
 * (unreadable), -ENOMEM. */
MUST_CHECK int qcow2_check(struct qcow2 *q, bool repair, struct block_report *out);

#endif
