/*
 * Walks everything a qcow2 image refers to and compares with its refcounts. Used to repair an image
 * that lazy refcounts left dirty (qcow2.txt, "dirty bit"), and by tests.
 */
#include "devices/backends/block_qcow2.h"

#include <stdio.h>
#include <stdlib.h>

#define CLUSTERS_MAX (1ull << 28)
#define WORK_MAX                                                                                   \
	(1ull << 26) /* table entries of L1s, and L2 tables: a hostile image must not take hours   \
		      */

struct walk {
	struct qcow2 *q;
	u16 *seen; /* references per host cluster, up to 65535 */
	u64 clusters, cap, work;
	struct block_report *out;
};

static void error(struct walk *w, const char *what, u64 at)
{
	if (!w->out->errors++)
		snprintf(w->out->first, sizeof(w->out->first), "%s (%llxh)", what,
			 (unsigned long long)at);
}

static void see(struct walk *w, u64 at, u64 bytes, bool aligned, const char *what)
{
	const struct qcow2 *q = w->q;
	if ((aligned && at & (q->cluster - 1)) || at >= w->clusters << q->bits ||
	    bytes > (w->clusters << q->bits) - at) {
		error(w, what, at);
		return;
	}
	for (u64 i = at >> q->bits; bytes && i <= (at + bytes - 1) >> q->bits; i++)
		w->seen[i] += w->seen[i] != UINT16_MAX;
}

static void walk_entry(struct walk *w, u64 entry)
{
	const struct qcow2 *q = w->q;
	u64 at, bytes;
	if (entry & QCOW2_PACKED) {
		qcow2_packed_place(q, entry, &at, &bytes);
		/* The last sector may be counted though the file ends before it. */
		if (at < w->clusters << q->bits)
			bytes = MIN(bytes, (w->clusters << q->bits) - at);
		see(w, at, bytes, false, "a compressed cluster is not inside the file");
	} else if (entry & QCOW2_AT) {
		see(w, entry & QCOW2_AT, q->cluster, true, "a data cluster is not inside the file");
	}
}

static int walk_l1(struct walk *w, const struct qcow2_array *l1)
{
	struct qcow2 *q = w->q;
	u8 *table = malloc(q->cluster);
	int r = table ? 0 : -ENOMEM;
	see(w, l1->at, l1->entries * 8, true, "an L1 table is not inside the file");
	w->work += l1->entries;
	for (u64 i = 0; !r && i < l1->entries; i++) {
		u64 at = l1->value[i] & QCOW2_AT;
		if (!at || w->work > WORK_MAX)
			continue;
		w->work += 16;
		see(w, at, q->cluster, true, "an L2 table is not inside the file");
		if (file_read_inside(q->file, at, table, q->cluster)) {
			error(w, "an L2 table cannot be read", at);
			continue;
		}
		for (u64 k = 0; k < q->cluster / 8; k++)
			walk_entry(w, be64(table + k * 8));
	}
	free(table);
	return r;
}

static int walk_snapshots(struct walk *w)
{
	struct qcow2 *q = w->q;
	u64 at = q->snapshots_at;
	for (u32 i = 0; i < q->snapshots; i++) {
		u8 h[40];
		struct qcow2_array l1;
		if (file_read_inside(q->file, at, h, 40)) {
			error(w, "the snapshot table cannot be read", at);
			return 0;
		}
		u32 entries = be32(h + 8);
		if (entries > (32u << 20) / 8 || w->work > WORK_MAX ||
		    qcow2_array_read(q, &l1, be64(h), entries)) {
			error(w, "a snapshot's L1 table cannot be read", be64(h));
		} else {
			int r = walk_l1(w, &l1);
			free(l1.value);
			if (r)
				return r;
			l1.value = NULL;
		}
		at = (at + 40 + be32(h + 36) + be16(h + 12) + be16(h + 14) + 7) & ~7ull;
		if (at - q->snapshots_at > 64u << 20) {
			error(w, "the snapshot table is too large", at);
			return 0;
		}
	}
	if (q->snapshots)
		see(w, q->snapshots_at, at - q->snapshots_at, true,
		    "the snapshot table is not inside the file");
	return 0;
}

/* The COPIED flag of the present tables must say whether there is exactly one reference. */
static int check_copied(struct walk *w)
{
	struct qcow2 *q = w->q;
	for (u64 i = 0; i < q->l1.entries; i++) {
		u64 e = q->l1.value[i], at = e & QCOW2_AT;
		struct qcow2_table *t;
		if (!at)
			continue;
		if (e & QCOW2_COPIED && w->seen[at >> q->bits] != 1)
			error(w, "an L2 table is used twice but marked as used once", at);
		int r = qcow2_l2_get(q, at, false, &t);
		if (r)
			return r;
		for (u64 k = 0; k < q->cluster / 8; k++) {
			u64 entry = be64(t->data + k * 8), data = entry & QCOW2_AT;
			if (entry & QCOW2_COPIED && !(entry & QCOW2_PACKED) && data &&
			    w->seen[data >> q->bits] != 1)
				error(w, "a data cluster is used twice but marked as used once",
				      data);
		}
	}
	return 0;
}

/* A refcount block that is missing goes to the end of the file, which is counted in its turn. */
static int put_count(struct walk *w, u64 i)
{
	struct qcow2 *q = w->q;
	int r = qcow2_refcount_set(q, i, w->seen[i], w->clusters << q->bits);
	u64 k = i / qcow2_per_block(q);
	if (!r && k < q->rt.entries && q->rt.value[k] == w->clusters << q->bits) {
		if (w->clusters == w->cap)
			return -EFBIG;
		w->seen[w->clusters++] = 1;
	}
	return r;
}

/* Counts of clusters behind the file's end: whoever allocates next would skip them. */
static int compare_beyond(struct walk *w, bool repair)
{
	struct qcow2 *q = w->q;
	u64 per = qcow2_per_block(q), count;
	int r = 0;
	for (u64 k = w->clusters / per; !r && k < q->rt.entries && w->work < WORK_MAX; k++) {
		if (!(q->rt.value[k] & QCOW2_AT))
			continue;
		w->work += per / 64;
		for (u64 i = MAX(k * per, w->clusters); !r && i < (k + 1) * per; i++) {
			r = qcow2_refcount(q, i, &count);
			if (!r && count && repair)
				r = qcow2_refcount_set(q, i, 0, 0);
			else if (!r && count)
				w->out->leaks++;
		}
	}
	return r;
}

static int compare(struct walk *w, bool repair)
{
	struct qcow2 *q = w->q;
	u64 top = qcow2_refcount_in(q, (const u8 *)"\xff\xff\xff\xff\xff\xff\xff\xff", 0);
	for (u64 i = 0; i < w->clusters; i++) {
		u64 count;
		int r = qcow2_refcount(q, i, &count);
		if (r)
			return r;
		if (count == w->seen[i])
			continue;
		if (repair && w->seen[i] <= top)
			r = put_count(w, i);
		else if (count < w->seen[i])
			error(w, "a cluster is used more often than counted", i << q->bits);
		else
			w->out->leaks++;
		if (r)
			return r;
	}
	return 0;
}

int qcow2_check(struct qcow2 *q, bool repair, struct block_report *out)
{
	*out = (struct block_report){0};
	u64 clusters = (q->file->size + q->cluster - 1) >> q->bits;
	struct walk w = {.q = q,
			 .clusters = clusters,
			 .cap = clusters + clusters / qcow2_per_block(q) + 64,
			 .out = out};
	if (clusters > CLUSTERS_MAX)
		return -EFBIG;
	w.seen = calloc(w.cap, sizeof(u16));
	if (!w.seen)
		return -ENOMEM;
	see(&w, 0, q->cluster, true, "no header");
	see(&w, q->rt.at, q->rt.entries * 8, true, "the refcount table is not inside the file");
	for (u64 i = 0; i < q->rt.entries; i++)
		if (q->rt.value[i] & QCOW2_AT)
			see(&w, q->rt.value[i] & QCOW2_AT, q->cluster, true,
			    "a refcount block is not inside the file");
	int r = walk_l1(&w, &q->l1);
	if (!r)
		r = walk_snapshots(&w);
	if (w.work > WORK_MAX)
		error(&w, "too many tables to check here", w.work);
	if (!r && !out->errors)
		r = check_copied(&w);
	if (!r && (!repair || !out->errors))
		r = compare(&w, repair);
	if (!r && (!repair || !out->errors))
		r = compare_beyond(&w, repair);
	for (u64 i = 0; i < w.clusters; i++)
		out->used += w.seen[i] != 0;
	out->whole = (q->im->bytes + q->cluster - 1) >> q->bits;
	free(w.seen);
	return r;
}
