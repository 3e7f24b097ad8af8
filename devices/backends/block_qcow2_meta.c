/*
 * qcow2 metadata: cached L2 tables and refcount blocks, allocation, and the order in which things
 * reach the disk. Facts: QEMU's docs/interop/qcow2.txt.
 *
 * Changes collect in memory until the guest flushes (or a cache is full). Then, with a barrier
 * (fdatasync) between:
 *
 *   1  data, and refcount blocks that say "in use"
 *   2  refcount table entries for new refcount blocks     (2 needs 1: a table points to written
 * blocks only) 3  L2 tables                                          (3 needs 1, 2: nothing refers
 * to what counts as free) 4  L1 entries                                         (4 needs 3) 5
 * refcounts of what nothing refers to any more       (5 needs 3, 4: the old reference is gone for
 * certain)
 *
 * The power may fail anywhere: at worst, clusters are marked as in use that nobody uses (a leak).
 */
#include "devices/backends/block_qcow2.h"

#include <stdlib.h>

#define CACHE_BYTES     (4u << 20)
#define CACHE_MIN       8u
#define CACHE_MAX       1024u
#define RT_BYTES_MAX    (8u << 20)
#define SCAN_BEYOND_END (1u << 20)

int qcow2_damaged(struct qcow2 *q, const char *what, u64 at)
{
	q->damaged = true;
	return image_complain(q->im,
			      "damaged qcow2 image: %s (%llxh). Accesses to that part fail, and "
			      "nothing is written to the file any more; look at it with \"qemu-img "
			      "check\"",
			      what, (unsigned long long)at);
}

int qcow2_header_put(struct qcow2 *q, unsigned at, u64 value, unsigned n)
{
	u8 bytes[8];
	be_put(bytes, value, n);
	return file_write(q->file, at, bytes, n);
}

/* ---- the set of metadata clusters ----------------------------------------------------------- */

static u64 slot_of(const struct qcow2_set *s, u64 i)
{
	u64 at = (i * 0x9e3779b97f4a7c15ull) >> 20 & (s->slots - 1);
	while (s->slot[at] && s->slot[at] != i + 1)
		at = (at + 1) & (s->slots - 1);
	return at;
}

static bool set_grow(struct qcow2_set *s)
{
	struct qcow2_set bigger = {.slots = s->slots ? s->slots * 2 : 1024};
	bigger.slot = calloc(bigger.slots, sizeof(u64));
	if (!bigger.slot)
		return false;
	for (u64 k = 0; k < s->slots; k++)
		if (s->slot[k])
			bigger.slot[slot_of(&bigger, s->slot[k] - 1)] = s->slot[k];
	bigger.used = s->used;
	free(s->slot);
	*s = bigger;
	return true;
}

bool qcow2_set_add(struct qcow2_set *s, u64 i)
{
	if (s->used * 2 >= s->slots && !set_grow(s))
		return false;
	u64 at = slot_of(s, i);
	if (s->slot[at])
		return false;
	s->slot[at] = i + 1;
	s->used++;
	return true;
}

bool qcow2_set_has(const struct qcow2_set *s, u64 i)
{
	return s->slots && s->slot[slot_of(s, i)];
}

/* Those that follow in the same run are put in again, so that searches still find them. */
void qcow2_set_remove(struct qcow2_set *s, u64 i)
{
	if (!qcow2_set_has(s, i))
		return;
	u64 at = slot_of(s, i);
	s->slot[at] = 0;
	s->used--;
	while (s->slot[at = (at + 1) & (s->slots - 1)]) {
		u64 value = s->slot[at];
		s->slot[at] = 0;
		s->slot[slot_of(s, value - 1)] = value;
	}
}

/* ---- tables held whole ---------------------------------------------------------------------- */

int qcow2_array_read(struct qcow2 *q, struct qcow2_array *a, u64 at, u64 entries)
{
	*a = (struct qcow2_array){.at = at, .entries = entries};
	a->value = malloc(MAX(entries, 1) * 8);
	if (!a->value)
		return -ENOMEM;
	int r = file_read_inside(q->file, at, a->value, entries * 8);
	for (u64 i = 0; !r && i < entries; i++)
		a->value[i] = be64((u8 *)&a->value[i]);
	if (r) {
		free(a->value);
		*a = (struct qcow2_array){0};
	}
	return r;
}

void qcow2_array_set(struct qcow2_array *a, u64 i, u64 value)
{
	a->value[i] = value;
	bool clean = a->dirty_from == a->dirty_to;
	a->dirty_from = clean ? i : MIN(a->dirty_from, i);
	a->dirty_to = clean ? i + 1 : MAX(a->dirty_to, i + 1);
}

/* Entries are written in sectors, as the smallest thing a disk writes at once. */
static int array_write(struct qcow2 *q, struct qcow2_array *a)
{
	u8 sector[512];
	int r = 0;
	for (u64 i = a->dirty_from & ~63ull; !r && i < a->dirty_to; i += 64) {
		u64 n = MIN(64, a->entries - i);
		for (u64 k = 0; k < n; k++)
			be_put(sector + k * 8, a->value[i + k], 8);
		r = file_write(q->file, a->at + i * 8, sector, n * 8);
	}
	if (!r)
		a->dirty_from = a->dirty_to = 0;
	return r;
}

static bool array_dirty(const struct qcow2_array *a)
{
	return a->dirty_from != a->dirty_to;
}

/* ---- caches --------------------------------------------------------------------------------- */

static int cache_init(struct qcow2 *q, struct qcow2_cache *c)
{
	unsigned n = (unsigned)MIN(MAX(CACHE_BYTES / q->cluster, CACHE_MIN), CACHE_MAX);
	c->sets = n / QCOW2_WAYS;
	c->table = calloc(n, sizeof(*c->table));
	return c->table ? 0 : -ENOMEM;
}

static void cache_free(struct qcow2_cache *c)
{
	for (unsigned i = 0; c->table && i < c->sets * QCOW2_WAYS; i++)
		free(c->table[i].data);
	free(c->table);
}

int qcow2_caches_init(struct qcow2 *q)
{
	int r = cache_init(q, &q->l2);
	return r ? r : cache_init(q, &q->rb);
}

void qcow2_caches_free(struct qcow2 *q)
{
	cache_free(&q->l2);
	cache_free(&q->rb);
	free(q->l1.value);
	free(q->rt.value);
	free(q->metadata.slot);
	free(q->freed);
}

static bool cache_dirty(const struct qcow2_cache *c)
{
	for (unsigned i = 0; i < c->sets * QCOW2_WAYS; i++)
		if (c->table[i].dirty)
			return true;
	return false;
}

static int cache_write(struct qcow2 *q, struct qcow2_cache *c)
{
	int r = 0;
	for (unsigned i = 0; !r && i < c->sets * QCOW2_WAYS; i++) {
		struct qcow2_table *t = &c->table[i];
		if (!t->dirty)
			continue;
		r = file_write(q->file, t->at, t->data, q->cluster);
		t->dirty = r != 0;
	}
	return r;
}

/* Steps 1 and 2 of the order above. */
static int write_refcounts(struct qcow2 *q)
{
	int r = cache_write(q, &q->rb);
	if (!r)
		r = file_sync(q->file);
	if (!r && array_dirty(&q->rt) && !(r = array_write(q, &q->rt)))
		r = file_sync(q->file);
	return r;
}

static int write_l2(struct qcow2 *q)
{
	int r = write_refcounts(q);
	return r ? r : cache_write(q, &q->l2);
}

/* Makes room in the set of @at. Its tables are all dirty at worst. */
static int cache_victim(struct qcow2 *q, struct qcow2_cache *c, u64 at, struct qcow2_table **out)
{
	struct qcow2_table *set = &c->table[(at >> q->bits & (c->sets - 1)) * QCOW2_WAYS];
	struct qcow2_table *v = set;
	int r = 0;
	for (unsigned i = 0; i < QCOW2_WAYS; i++)
		if (set[i].used < v->used)
			v = &set[i];
	if (v->dirty)
		r = c == &q->l2 ? write_l2(q) : cache_write(q, c);
	if (!r && !v->data && !(v->data = malloc(q->cluster)))
		r = -ENOMEM;
	if (!r)
		v->at = 0;
	*out = v;
	return r;
}

static int cache_get(struct qcow2 *q, struct qcow2_cache *c, u64 at, bool fresh,
		     struct qcow2_table **out)
{
	struct qcow2_table *t = &c->table[(at >> q->bits & (c->sets - 1)) * QCOW2_WAYS];
	int r = 0;
	unsigned i = 0;
	while (i < QCOW2_WAYS && t[i].at != at)
		i++;
	if (i < QCOW2_WAYS) {
		t = &t[i];
	} else if ((r = cache_victim(q, c, at, &t)) ||
		   (!fresh && (r = file_read_inside(q->file, at, t->data, q->cluster)))) {
		return r;
	}
	if (fresh) {
		memset(t->data, 0, q->cluster);
		t->dirty = true;
	}
	t->at = at;
	t->used = ++c->tick;
	*out = t;
	return 0;
}

/* A cluster that held a table and is given up must not be written from here any more. */
static void cache_forget(struct qcow2 *q, struct qcow2_cache *c, u64 at)
{
	struct qcow2_table *t = &c->table[(at >> q->bits & (c->sets - 1)) * QCOW2_WAYS];
	for (unsigned i = 0; i < QCOW2_WAYS; i++)
		if (t[i].at == at) {
			t[i].at = t[i].used = 0;
			t[i].dirty = false;
		}
}

int qcow2_l2_get(struct qcow2 *q, u64 at, bool fresh, struct qcow2_table **out)
{
	if (at & (q->cluster - 1))
		return qcow2_damaged(q, "an L2 table is not on a cluster boundary", at);
	int r = cache_get(q, &q->l2, at, fresh, out);
	return r == -EIO && at + q->cluster > q->file->size
		   ? qcow2_damaged(q, "an L2 table lies beyond the file's end", at)
		   : r;
}

/* ---- reference counts ----------------------------------------------------------------------- */

u64 qcow2_refcount_in(const struct qcow2 *q, const u8 *block, u64 i)
{
	unsigned width = 1u << q->refcount_order;
	i &= qcow2_per_block(q) - 1;
	if (width < 8)
		return block[i * width / 8] >> (i * width % 8) & (BIT(width) - 1);
	return be_get(block + i * width / 8, width / 8);
}

static void refcount_put(const struct qcow2 *q, u8 *block, u64 i, u64 count)
{
	unsigned width = 1u << q->refcount_order;
	i &= qcow2_per_block(q) - 1;
	if (width >= 8) {
		be_put(block + i * width / 8, count, width / 8);
		return;
	}
	u8 *b = &block[i * width / 8];
	unsigned shift = i * width % 8;
	*b = (u8)((*b & ~((BIT(width) - 1) << shift)) | count << shift);
}

/* The refcount block for host cluster @i; NULL if there is none. */
static int block_of(struct qcow2 *q, u64 i, struct qcow2_table **out)
{
	u64 k = i / qcow2_per_block(q);
	u64 at = k < q->rt.entries ? q->rt.value[k] & QCOW2_AT : 0;
	*out = NULL;
	if (!at)
		return 0;
	if (at & (q->cluster - 1))
		return qcow2_damaged(q, "a refcount block is not on a cluster boundary", at);
	int r = cache_get(q, &q->rb, at, false, out);
	return r == -EIO && at + q->cluster > q->file->size
		   ? qcow2_damaged(q, "a refcount block lies beyond the file's end", at)
		   : r;
}

int qcow2_refcount(struct qcow2 *q, u64 i, u64 *count)
{
	struct qcow2_table *t;
	int r = block_of(q, i, &t);
	*count = r || !t ? 0 : qcow2_refcount_in(q, t->data, i);
	return r;
}

int qcow2_refcount_set(struct qcow2 *q, u64 i, u64 count, u64 block_at)
{
	struct qcow2_table *t;
	int r = block_of(q, i, &t);
	if (r)
		return r;
	if (!t && !block_at)
		return qcow2_damaged(q, "a cluster has no refcount block", i << q->bits);
	if (!t) {
		u64 k = i / qcow2_per_block(q);
		if (k >= q->rt.entries)
			return -EFBIG;
		if ((r = cache_get(q, &q->rb, block_at, true, &t)))
			return r;
		qcow2_set_add(&q->metadata, block_at >> q->bits);
		qcow2_array_set(&q->rt, k, block_at);
	}
	refcount_put(q, t->data, i, count);
	t->dirty = true;
	return 0;
}

/* ---- a larger refcount table ---------------------------------------------------------------- */

/* Blocks that count the clusters [@start, @start + @blocks + @tables): themselves and the new
 * table. */
static int write_growth_blocks(struct qcow2 *q, u64 start, u64 blocks, u64 tables)
{
	u64 per = qcow2_per_block(q);
	u8 *data = malloc(q->cluster);
	int r = data ? 0 : -ENOMEM;
	for (u64 b = 0; !r && b < blocks; b++) {
		memset(data, 0, q->cluster);
		for (u64 i = b * per; i < (b + 1) * per && i < blocks + tables; i++)
			refcount_put(q, data, start + i, 1);
		r = file_write(q->file, (start + b) << q->bits, data, q->cluster);
	}
	free(data);
	return r;
}

static int write_whole_table(struct qcow2 *q, const struct qcow2_array *a)
{
	struct qcow2_array copy = *a;
	copy.dirty_from = 0;
	copy.dirty_to = a->entries;
	return array_write(q, &copy);
}

/* The header's two fields lie in one sector and are written at once: the old table is valid before,
 * the new one after. */
static int point_to_table(struct qcow2 *q, u64 at, u64 clusters)
{
	u8 field[12];
	be_put(field, at, 8);
	be_put(field + 8, clusters, 4);
	int r = file_sync(q->file);
	if (!r)
		r = file_write(q->file, 48, field, sizeof(field));
	return r ? r : file_sync(q->file);
}

/*
 * The table no longer reaches: a larger one is written where nothing has been counted yet, at the
 * start of the next refcount block's range: first the blocks for that range, then the table.
 */
static int grow_table(struct qcow2 *q)
{
	u64 per = qcow2_per_block(q), old = q->rt.entries, start = old * per;
	u64 entries = old + old / 2 + q->cluster / 8, tables, blocks = 1;
	if (entries * 8 > RT_BYTES_MAX)
		entries = MAX(RT_BYTES_MAX / 8, old);
	entries = (entries + q->cluster / 8 - 1) & ~(q->cluster / 8 - 1);
	tables = entries * 8 >> q->bits;
	while (blocks * per < blocks + tables)
		blocks++;
	if (entries < old + blocks)
		return -EFBIG;
	struct qcow2_array bigger = {.at = (start + blocks) << q->bits, .entries = entries};
	int r = write_refcounts(q);
	if (r)
		return r;
	bigger.value = calloc(entries, 8);
	if (!bigger.value)
		return -ENOMEM;
	memcpy(bigger.value, q->rt.value, old * 8);
	for (u64 b = 0; b < blocks; b++)
		bigger.value[old + b] = (start + b) << q->bits;
	if ((r = write_growth_blocks(q, start, blocks, tables)) ||
	    (r = write_whole_table(q, &bigger)) || (r = point_to_table(q, bigger.at, tables))) {
		free(bigger.value);
		/* Which of the two tables the header names now is not known. */
		if (r != -ENOMEM && r != -ENOSPC)
			q->damaged = true;
		return r;
	}
	for (u64 i = start; i < start + blocks + tables; i++)
		qcow2_set_add(&q->metadata, i);
	for (u64 i = 0; i < (old * 8 + q->cluster - 1) >> q->bits; i++) {
		qcow2_set_remove(&q->metadata, (q->rt.at >> q->bits) + i);
		qcow2_free_later(q, (q->rt.at >> q->bits) + i);
	}
	free(q->rt.value);
	q->rt = bigger;
	return 0;
}

/* ---- allocation ----------------------------------------------------------------------------- */

/* Is host cluster @i free? Makes the refcount block for it if there is none, which takes a cluster
 * itself. */
static int is_free(struct qcow2 *q, u64 i, bool *free_cluster)
{
	u64 count, per = qcow2_per_block(q), first = i / per * per;
	struct qcow2_table *t;
	int r = 0;
	while (!r && i / per >= q->rt.entries)
		r = grow_table(q);
	if (r || (r = block_of(q, i, &t)))
		return r;
	if (!t) {
		/* Nothing in this block's range is in use: its first cluster becomes the block. */
		if (qcow2_set_has(&q->metadata, first))
			return qcow2_damaged(q, "metadata that no refcount block counts",
					     first << q->bits);
		if ((r = qcow2_refcount_set(q, first, 1, first << q->bits)))
			return r;
	}
	r = qcow2_refcount(q, i, &count);
	*free_cluster = !count;
	return r;
}

int qcow2_alloc(struct qcow2 *q, u64 want, u64 *first, u64 *got)
{
	bool is;
	u64 i = q->free_hint;
	int r;
	*got = 0;
	while (!(r = is_free(q, i, &is)) && !is)
		if (++i > (q->file->size >> q->bits) + SCAN_BEYOND_END)
			return qcow2_damaged(q,
					     "clusters far beyond the file's end are counted as "
					     "in use",
					     i << q->bits);
	*first = i;
	while (!r && *got < want && is) {
		if (qcow2_set_has(&q->metadata, i))
			r = qcow2_damaged(q, "metadata counted as free", i << q->bits);
		else if (i >> (63 - q->bits) || (i << q->bits) > QCOW2_AT)
			r = -EFBIG;
		else
			r = qcow2_refcount_set(q, i, 1, 0);
		if (r)
			break;
		++*got;
		/* Another block's range begins with that block, if it is new. */
		if (++i % qcow2_per_block(q) == 0 || *got == want)
			break;
		r = is_free(q, i, &is);
	}
	if (!*got)
		return r;
	q->free_hint = i;
	return 0;
}

void qcow2_unalloc(struct qcow2 *q, u64 first, u64 n)
{
	for (u64 i = 0; i < n; i++)
		if (qcow2_refcount_set(q, first + i, 0, 0))
			return; /* a leak */
	q->free_hint = MIN(q->free_hint, first);
}

void qcow2_free_later(struct qcow2 *q, u64 i)
{
	if (q->freed_count == q->freed_cap) {
		u64 cap = q->freed_cap ? q->freed_cap * 2 : 256;
		u64 *bigger = realloc(q->freed, cap * sizeof(u64));
		if (!bigger)
			return; /* a leak */
		q->freed = bigger;
		q->freed_cap = cap;
	}
	q->freed[q->freed_count++] = i;
}

/* Step 5. */
static int apply_frees(struct qcow2 *q)
{
	int r = 0;
	while (!r && q->freed_count) {
		u64 count, i = q->freed[--q->freed_count];
		r = qcow2_refcount(q, i, &count);
		if (!r && !count)
			r = qcow2_damaged(q, "a cluster in use is counted as free", i << q->bits);
		if (!r)
			r = qcow2_refcount_set(q, i, count - 1, 0);
		if (r || count > 1)
			continue;
		cache_forget(q, &q->l2, i << q->bits);
		q->free_hint = MIN(q->free_hint, i);
		/* Gives the space back to the host, if it can take it. */
		if (file_punch(q->file, i << q->bits, q->cluster))
			continue;
	}
	return r;
}

int qcow2_flush(struct qcow2 *q)
{
	int r = write_refcounts(q);
	if (!r && cache_dirty(&q->l2) && !(r = cache_write(q, &q->l2)))
		r = file_sync(q->file);
	if (!r && array_dirty(&q->l1) && !(r = array_write(q, &q->l1)))
		r = file_sync(q->file);
	return r ? r : apply_frees(q);
}
