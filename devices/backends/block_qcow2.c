/*
 * qcow2, versions 2 and 3. Facts: QEMU's docs/interop/qcow2.txt.
 *
 * Read and written: all cluster sizes and refcount widths, clusters deflated with zlib (written
 * anew as plain ones), zero clusters, backing files, images with internal snapshots (what they
 * share is copied before it is written; a snapshot can itself be opened to be read), images left
 * dirty by lazy refcounts (repaired when opened to be written). Not: encryption, external data
 * files, extended L2 entries, zstd; such images are refused. Persistent bitmaps are declared
 * invalid when the image is written, as the format asks of programs that do not know them.
 *
 * A table that points nowhere sensible fails the access with -EIO, and from then on nothing is
 * written. The order of writes is explained in block_qcow2_meta.c.
 */
#include "devices/backends/block_qcow2.h"

#include <stdio.h>
#include <stdlib.h>

#define L1_BYTES_MAX   (32u << 20)
#define RT_BYTES_MAX   (8u << 20)
#define SNAPSHOTS_MAX  65536u
#define HEADER_V2      72u
#define HEADER_V3      104u
#define NAME_MAX_BYTES 1023u

#define EXT_BACKING_FORMAT 0xe2792acau
#define EXT_FEATURE_NAMES  0x6803f857u

enum place { IN_FILE, ZEROES, IN_BACKING, DEFLATED };

/* ---- finding -------------------------------------------------------------------------------- */

static u64 l2_entries(const struct qcow2 *q)
{
	return q->cluster / 8;
}

/* What is known of one L2 entry; @*host: offset of the cluster. */
static enum place classify(const struct qcow2 *q, u64 entry, u64 *host)
{
	*host = entry & QCOW2_AT;
	if (entry & QCOW2_PACKED)
		return DEFLATED;
	if (q->version >= 3 && entry & QCOW2_ZERO)
		return ZEROES;
	return *host ? IN_FILE : IN_BACKING;
}

/*
 * Where are the bytes from @at on? @*host, for IN_FILE: in the file; for DEFLATED: the entry. @*n
 * is cut to how far the answer holds.
 */
static int find(struct qcow2 *q, u64 at, u64 *n, enum place *place, u64 *host)
{
	u64 in_cluster = at & (q->cluster - 1), i = at >> q->bits, left = l2_entries(q);
	u64 l1_index = i / left,
	    l2_at = l1_index < q->l1.entries ? q->l1.value[l1_index] & QCOW2_AT : 0;
	struct qcow2_table *t;
	i %= left;
	left = ((left - i) << q->bits) - in_cluster;
	*n = MIN(*n, left);
	*place = IN_BACKING;
	if (!l2_at)
		return 0;
	int r = qcow2_l2_get(q, l2_at, false, &t);
	if (r)
		return r;
	u64 entry = be64(t->data + i * 8), first, next, have = q->cluster - in_cluster;
	*place = classify(q, entry, &first);
	if (*place == DEFLATED) {
		*host = entry;
		*n = MIN(*n, have);
		return 0;
	}
	if (*place == IN_FILE && first & (q->cluster - 1))
		return qcow2_damaged(q, "a data cluster is not on a cluster boundary", first);
	*host = first + in_cluster;
	for (u64 k = 1; have < *n; k++, have += q->cluster)
		if (classify(q, be64(t->data + (i + k) * 8), &next) != *place ||
		    (*place == IN_FILE && next != first + (k << q->bits)))
			break;
	*n = MIN(*n, have);
	return 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

static int inflate_cluster(struct qcow2 *q, u64 entry)
{
	u64 at, bytes;
	if (q->inflated_entry == entry)
		return 0;
	qcow2_packed_place(q, entry, &at, &bytes);
	if (!q->packed)
		q->packed = malloc(q->cluster * 2 + 1024);
	if (!q->inflated)
		q->inflated = malloc(q->cluster);
	if (!q->packed || !q->inflated)
		return -ENOMEM;
	q->inflated_entry = 0;
	if (at >= q->file->size)
		return qcow2_damaged(q, "a compressed cluster lies beyond the file's end", at);
	int r = file_read(q->file, at, q->packed, bytes);
	if (r)
		return r;
	if (block_inflate(q->packed, bytes, q->inflated, q->cluster, -15))
		return qcow2_damaged(q, "a compressed cluster cannot be decompressed", at);
	q->inflated_entry = entry;
	return 0;
}

static int read_host(struct qcow2 *q, u64 host, u8 *data, u64 n)
{
	/* The last cluster of a file may be cut short; one that is not there at all is a truncated
	 * file. */
	u64 last = (host + n - 1) & ~(q->cluster - 1);
	if (last >= q->file->size)
		return qcow2_damaged(q, "data lies beyond the file's end: the file was truncated",
				     last);
	return file_read(q->file, host, data, n);
}

static int read_some(struct qcow2 *q, u64 at, u8 *data, u64 *n)
{
	enum place place;
	u64 host = 0;
	int r = find(q, at, n, &place, &host);
	if (r)
		return r;
	switch (place) {
	case ZEROES: memset(data, 0, *n); return 0;
	case IN_FILE: return read_host(q, host, data, *n);
	case IN_BACKING: return image_read_backing(q->im, at, data, *n);
	case DEFLATED:
		if (!(r = inflate_cluster(q, host)))
			memcpy(data, q->inflated + (at & (q->cluster - 1)), *n);
		return r;
	}
	return -EIO;
}

static int qcow2_read(struct image *im, u64 at, u8 *data, u64 n)
{
	int r = 0;
	while (n && !r) {
		u64 len = n;
		r = read_some(im->state, at, data, &len);
		at += len;
		data += len;
		n -= len;
	}
	return r;
}

/* ---- writing -------------------------------------------------------------------------------- */

static int alloc_table(struct qcow2 *q, struct qcow2_table **t)
{
	u64 i, got;
	int r = qcow2_alloc(q, 1, &i, &got);
	if (!r && (r = qcow2_l2_get(q, i << q->bits, true, t)))
		qcow2_unalloc(q, i, 1);
	if (!r)
		qcow2_set_add(&q->metadata, i);
	return r;
}

/* The L2 table for guest cluster @i, owned by nobody else, made if there is none. */
static int l2_to_write(struct qcow2 *q, u64 i, struct qcow2_table **t)
{
	u64 index = i / l2_entries(q), entry = q->l1.value[index], old = entry & QCOW2_AT;
	if (entry & QCOW2_COPIED && old)
		return qcow2_l2_get(q, old, false, t);
	struct qcow2_table *shared;
	u8 *copy = NULL;
	if (old) { /* a snapshot's as well: it keeps the old one */
		int r = qcow2_l2_get(q, old, false, &shared);
		if (r)
			return r;
		if (!(copy = malloc(q->cluster)))
			return -ENOMEM;
		memcpy(copy, shared->data, q->cluster);
	}
	int r = alloc_table(q, t);
	if (!r && copy) {
		memcpy((*t)->data, copy, q->cluster);
		qcow2_set_remove(&q->metadata, old >> q->bits);
		qcow2_free_later(q, old >> q->bits);
	}
	free(copy);
	if (!r)
		qcow2_array_set(&q->l1, index, (*t)->at | QCOW2_COPIED);
	return r;
}

/* Nothing refers to what @entry referred to any more. */
static void drop_entry(struct qcow2 *q, u64 entry)
{
	u64 host, bytes;
	if (entry & QCOW2_PACKED) {
		qcow2_packed_place(q, entry, &host, &bytes);
		for (u64 i = host >> q->bits; i <= (host + bytes - 1) >> q->bits; i++)
			qcow2_free_later(q, i);
		q->inflated_entry = 0;
	} else if (entry & QCOW2_AT) {
		qcow2_free_later(q, (entry & QCOW2_AT) >> q->bits);
	}
}

static bool in_place(const struct qcow2 *q, u64 entry)
{
	u64 host;
	return classify(q, entry, &host) == IN_FILE && entry & QCOW2_COPIED;
}

static int write_in_place(struct qcow2 *q, struct qcow2_table *t, u64 at, const u8 *data, u64 *n)
{
	u64 i = (at >> q->bits) % l2_entries(q), in_cluster = at & (q->cluster - 1);
	u64 first = be64(t->data + i * 8) & QCOW2_AT, have = 0, k = 0;
	do {
		u64 host = first + (k << q->bits);
		if (host & (q->cluster - 1) || qcow2_set_has(&q->metadata, host >> q->bits))
			return qcow2_damaged(q, "a data cluster lies on metadata", host);
		if (host >= q->file->size)
			return qcow2_damaged(q,
					     "data lies beyond the file's end: the file was "
					     "truncated",
					     host);
		have = (++k << q->bits) - in_cluster;
		if (i + k >= l2_entries(q))
			break;
	} while (have < *n && in_place(q, be64(t->data + (i + k) * 8)) &&
		 (be64(t->data + (i + k) * 8) & QCOW2_AT) == first + (k << q->bits));
	*n = MIN(*n, have);
	return file_write(q->file, first + in_cluster, data, *n);
}

/* Fills what of the new cluster is not written, [@from, @to) of guest address @base, with what was
 * there before. */
static int copy_around(struct qcow2 *q, u64 base, u64 host, u64 from, u64 to)
{
	if (from == to)
		return 0;
	u8 *data = malloc(to - from);
	if (!data)
		return -ENOMEM;
	u64 inside = MIN(base + to, q->im->bytes);
	memset(data, 0, to - from);
	int r =
	    base + from < inside ? qcow2_read(q->im, base + from, data, inside - base - from) : 0;
	if (!r)
		r = file_write(q->file, host + from, data, to - from);
	free(data);
	return r;
}

/* Is everything before unwritten zeroes here, and the new clusters at the end of the file, so that
 * there is nothing to fill? */
static bool fills_itself(const struct qcow2 *q, u64 entry, u64 host)
{
	u64 at;
	enum place place = classify(q, entry, &at);
	return host >= q->file->size &&
	       (place == ZEROES || (place == IN_BACKING && !q->im->backing));
}

static int write_new_clusters(struct qcow2 *q, const u8 *old, u64 at, const u8 *data, u64 n,
			      u64 host, u64 clusters)
{
	u64 base = at & ~(q->cluster - 1), head = at - base, end = head + n;
	u64 whole = clusters << q->bits, eof = q->file->size;
	bool easy_head = fills_itself(q, be64(old), host);
	bool easy_tail = fills_itself(q, be64(old + (clusters - 1) * 8), host);
	int r = easy_head ? 0 : copy_around(q, base, host, 0, head);
	if (!r)
		r = file_write(q->file, host + head, data, n);
	if (!r && easy_tail && host >= eof)
		return host + whole > q->file->size ? file_resize(q->file, host + whole) : 0;
	return r ? r : copy_around(q, base, host, end, whole);
}

/* Gives guest clusters from @at on, which cannot be written in place, new host clusters. */
static int write_anew(struct qcow2 *q, struct qcow2_table *t, u64 at, const u8 *data, u64 *n)
{
	u64 i = (at >> q->bits) % l2_entries(q), in_cluster = at & (q->cluster - 1);
	u64 want = (in_cluster + *n + q->cluster - 1) >> q->bits, first, got, same = 1;
	want = MIN(want, l2_entries(q) - i);
	while (same < want && !in_place(q, be64(t->data + (i + same) * 8)))
		same++;
	u64 table_at = t->at;
	int r = qcow2_alloc(q, same, &first, &got);
	if (r)
		return r;
	*n = MIN(*n, (got << q->bits) - in_cluster);
	u8 *old = malloc(got * 8); /* reading around may push the table out of the cache */
	if (!old)
		r = -ENOMEM;
	else
		memcpy(old, t->data + i * 8, got * 8);
	if (!r)
		r = write_new_clusters(q, old, at, data, *n, first << q->bits, got);
	if (!r)
		r = qcow2_l2_get(q, table_at, false, &t);
	if (r)
		qcow2_unalloc(q, first, got);
	for (u64 k = 0; !r && k < got; k++) {
		drop_entry(q, be64(old + k * 8));
		be_put(t->data + (i + k) * 8, (first + k) << q->bits | QCOW2_COPIED, 8);
		t->dirty = true;
	}
	free(old);
	return r;
}

/* Before the first change: features that are only valid as long as every writer knows them. */
static int first_write(struct qcow2 *q)
{
	int r = 0;
	if (q->written)
		return 0;
	if (q->version >= 3 && q->autoclear) {
		if (!(r = qcow2_header_put(q, 88, 0, 8)))
			r = file_sync(q->file);
		q->autoclear = 0;
	}
	q->written = !r;
	return r;
}

static int qcow2_write(struct image *im, u64 at, const u8 *data, u64 n)
{
	struct qcow2 *q = im->state;
	int r = q->damaged ? -EIO : first_write(q);
	while (n && !r) {
		struct qcow2_table *t;
		u64 len = n;
		if ((r = l2_to_write(q, at >> q->bits, &t)))
			break;
		if (in_place(q, be64(t->data + (at >> q->bits) % l2_entries(q) * 8)))
			r = write_in_place(q, t, at, data, &len);
		else
			r = write_anew(q, t, at, data, &len);
		at += len;
		data += len;
		n -= len;
	}
	return r;
}

static int qcow2_im_flush(struct image *im)
{
	struct qcow2 *q = im->state;
	return q->damaged ? -EIO : q->written ? qcow2_flush(q) : 0;
}

/* Whole clusters only. Without a backing image nothing is there afterwards; with one, only version
 * 3 can say "zeroes". */
static int qcow2_discard(struct image *im, u64 at, u64 n)
{
	struct qcow2 *q = im->state;
	u64 i = (at + q->cluster - 1) >> q->bits, end = (at + n) >> q->bits;
	u64 nothing = im->backing ? QCOW2_ZERO : 0;
	if (at + n == im->bytes)
		end = (at + n + q->cluster - 1) >> q->bits;
	if (im->backing && q->version < 3)
		return 0;
	int r = q->damaged ? -EIO : first_write(q);
	for (; !r && i < end; i++) {
		struct qcow2_table *t;
		if (!nothing && !(q->l1.value[i / l2_entries(q)] & QCOW2_AT)) {
			i |= l2_entries(q) - 1; /* to the next table's first */
			continue;
		}
		if ((r = l2_to_write(q, i, &t)))
			break;
		u8 *entry = t->data + i % l2_entries(q) * 8;
		if (be64(entry) == nothing)
			continue;
		drop_entry(q, be64(entry));
		be_put(entry, nothing, 8);
		t->dirty = true;
	}
	return r;
}

/* ---- opening -------------------------------------------------------------------------------- */

static bool qcow2_probe(const u8 *head, const u8 *tail, const char *path)
{
	return !memcmp(head, "QFI\xfb", 4);
}

struct opening {
	struct image *im;
	struct qcow2 *q;
	struct block_error *e;
	const char *path;
	u8 *header; /* the first cluster */
	u64 size;   /* of the virtual disk */
	char backing[NAME_MAX_BYTES + 1], backing_format[64];
	u64 l1_at, l1_entries;
};

static int fail(const struct opening *o, const char *what)
{
	return block_fail(o->e, -EINVAL, o->path, "%s", what);
}

/* The image names its feature bits itself (a table of 48-byte rows: kind, bit, name). */
static void feature_name(const struct opening *o, const u8 *ext, u32 n, unsigned bit, char *out,
			 size_t size)
{
	snprintf(out, size, "bit %u", bit);
	for (u32 at = 0; ext && at + 48 <= n; at += 48)
		if (ext[at] == 0 && ext[at + 1] == bit)
			snprintf(out, size, "'%.46s'", (const char *)ext + at + 2);
}

/* Header extensions: kind, length, data padded to 8 bytes, up to kind 0. Returns the feature names.
 */
static const u8 *extensions(struct opening *o, u32 *names_size)
{
	u64 at = o->q->header_bytes, end = be64(o->header + 8);
	const u8 *names = NULL;
	if (!end || end > o->q->cluster)
		end = o->q->cluster;
	while (at + 8 <= end) {
		u32 kind = be32(o->header + at), n = be32(o->header + at + 4);
		const u8 *data = o->header + at + 8;
		at += 8;
		if (!kind || n > end - at)
			break;
		if (kind == EXT_BACKING_FORMAT)
			snprintf(o->backing_format, sizeof(o->backing_format), "%.*s",
				 (int)MIN(n, 63u), (const char *)data);
		if (kind == EXT_FEATURE_NAMES) {
			names = data;
			*names_size = n;
		}
		at += (n + 7ull) & ~7ull;
	}
	return names;
}

static int check_features(struct opening *o)
{
	struct qcow2 *q = o->q;
	u32 names_size = 0;
	const u8 *names = extensions(o, &names_size);
	char name[64];
	u64 unknown = q->incompatible & ~(QCOW2_DIRTY | QCOW2_CORRUPT);
	if (q->incompatible & BIT64(2))
		return fail(o,
			    "keeps its data in an external file, which is not supported: convert "
			    "it with \"qemu-img convert -O qcow2\"");
	if (q->incompatible & BIT64(3))
		return fail(o, "is compressed by a method other than zlib: convert it with "
			       "\"qemu-img convert -O qcow2\"");
	if (q->incompatible & BIT64(4))
		return fail(o, "has extended L2 entries (subclusters), which are not supported: "
			       "convert it with \"qemu-img convert -O qcow2\"");
	if (unknown) {
		feature_name(o, names, names_size, (unsigned)__builtin_ctzll(unknown), name,
			     sizeof(name));
		return block_fail(o->e, -EINVAL, o->path,
				  "needs the qcow2 feature %s, which is not known here: convert it "
				  "with the program that made it",
				  name);
	}
	if (q->incompatible & QCOW2_CORRUPT && o->im->writable)
		return fail(o,
			    "is marked as corrupt: repair it with \"qemu-img check -r all\" (keep "
			    "a copy), or open it with readonly=on or snapshot=on to save what can "
			    "be read");
	return 0;
}

static int parse_header(struct opening *o)
{
	struct qcow2 *q = o->q;
	u8 h[HEADER_V3 + 8];
	int r = file_read(q->file, 0, h, sizeof(h));
	if (r)
		return block_fail(o->e, r, o->path, "cannot be read");
	if (!qcow2_probe(h, h, o->path))
		return fail(o, "is not a qcow2 image");
	q->version = be32(h + 4);
	if (q->version != 2 && q->version != 3)
		return block_fail(o->e, -EINVAL, o->path,
				  "is a qcow2 image of version %u; 2 and 3 are supported",
				  q->version);
	q->bits = be32(h + 20);
	if (q->bits < 9 || q->bits > 21)
		return fail(o, "damaged qcow2 header: the cluster size is not 512 bytes to 2 MiB");
	q->cluster = BIT64(q->bits);
	o->size = be64(h + 24);
	if (be32(h + 32))
		return fail(o, "is encrypted, which is not supported: decrypt it with \"qemu-img "
			       "convert\"");
	q->header_bytes = HEADER_V2;
	q->refcount_order = 4;
	if (q->version == 3) {
		q->incompatible = be64(h + 72);
		q->compatible = be64(h + 80);
		q->autoclear = be64(h + 88);
		q->refcount_order = be32(h + 96);
		q->header_bytes = be32(h + 100);
		if (q->header_bytes < HEADER_V3 || q->header_bytes > q->cluster ||
		    q->header_bytes & 7)
			return fail(o, "damaged qcow2 header: its length is impossible");
		if (q->header_bytes > HEADER_V3 && h[104])
			return fail(o, "is compressed by a method other than zlib: convert it with "
				       "\"qemu-img convert -O qcow2\"");
	}
	if (q->refcount_order > 6)
		return fail(o, "damaged qcow2 header: refcounts wider than 64 bits");
	if (o->size > IMAGE_BYTES_MAX || !o->size)
		return fail(o, "damaged qcow2 header: the size of the disk is impossible");
	if (!(o->header = calloc(1, q->cluster)))
		return block_fail(o->e, -ENOMEM, o->path, "out of memory");
	r = file_read(q->file, 0, o->header, q->cluster);
	return r ? block_fail(o->e, r, o->path, "cannot be read") : check_features(o);
}

static int backing_name(struct opening *o)
{
	u64 at = be64(o->header + 8);
	u32 n = be32(o->header + 16);
	if (!at)
		return 0;
	if (n > NAME_MAX_BYTES || at > o->q->cluster || n > o->q->cluster - at)
		return fail(o, "damaged qcow2 header: the backing file's name is not in it");
	memcpy(o->backing, o->header + at, n);
	return 0;
}

/* Finds the snapshot called @name (or with that id), whose L1 table is used instead of the present
 * one. */
static int find_snapshot(struct opening *o, const char *name)
{
	struct qcow2 *q = o->q;
	u64 at = q->snapshots_at;
	for (u32 i = 0; i < q->snapshots; i++) {
		u8 h[56];
		char text[2][256];
		int r = file_read_inside(q->file, at, h, 40);
		u32 id = be16(h + 12), title = be16(h + 14), extra = be32(h + 36);
		if (r || extra > 1024)
			return fail(o, "the table of internal snapshots is damaged");
		u64 names = at + 40 + extra;
		memset(text, 0, sizeof(text));
		if (file_read(q->file, at + 40, h + 40, 16) ||
		    file_read(q->file, names, text[0], MIN(id, 255u)) ||
		    file_read(q->file, names + id, text[1], MIN(title, 255u)))
			return fail(o, "the table of internal snapshots cannot be read");
		if (!strcmp(text[0], name) || !strcmp(text[1], name)) {
			o->l1_at = be64(h);
			o->l1_entries = be32(h + 8);
			if (extra >= 16)
				o->size = be64(h + 48);
			return 0;
		}
		at = (names + id + title + 7) & ~7ull;
	}
	return block_fail(o->e, -ENOENT, o->path,
			  "has no internal snapshot '%s' (\"qemu-img snapshot -l\" lists them)",
			  name);
}

static int load_tables(struct opening *o)
{
	struct qcow2 *q = o->q;
	const u8 *h = o->header;
	const char *snapshot = o->im->parent ? NULL : o->im->options->internal_snapshot;
	u64 rt_at = be64(h + 48), rt_clusters = be32(h + 56), per_l2 = q->cluster * l2_entries(q);
	q->snapshots = be32(h + 60);
	q->snapshots_at = be64(h + 64);
	o->l1_entries = be32(h + 36);
	o->l1_at = be64(h + 40);
	if (q->snapshots > SNAPSHOTS_MAX)
		return fail(o, "damaged qcow2 header: too many internal snapshots");
	int r = snapshot ? find_snapshot(o, snapshot) : 0;
	if (r)
		return r;
	if (!o->size || o->size > IMAGE_BYTES_MAX || o->l1_at & (q->cluster - 1) ||
	    o->l1_entries > L1_BYTES_MAX / 8 || o->l1_entries < (o->size + per_l2 - 1) / per_l2)
		return fail(o, "damaged qcow2 image: its L1 table does not fit the disk's size");
	if (rt_at & (q->cluster - 1) || !rt_at || rt_clusters > RT_BYTES_MAX >> q->bits ||
	    (!rt_clusters && o->im->writable))
		return fail(o,
			    "damaged qcow2 header: the refcount table is in an impossible place");
	if ((r = qcow2_array_read(q, &q->l1, o->l1_at, o->l1_entries)))
		return block_fail(o->e, r, o->path,
				  "the L1 table cannot be read: the file is damaged or truncated");
	q->rt_at = rt_at;
	q->rt_entries = rt_clusters << q->bits >> 3;
	if (o->im->writable &&
	    (r = qcow2_array_read(q, &q->rt, rt_at, rt_clusters << q->bits >> 3)))
		return block_fail(o->e, r, o->path,
				  "the refcount table cannot be read: the file is damaged or "
				  "truncated");
	o->im->bytes = (o->size + 511) & ~511ull;
	return 0;
}

/* Puts a piece of metadata into the set; false if it is misplaced or overlaps another. */
static bool claim(struct qcow2 *q, u64 at, u64 bytes)
{
	if (!at || at & (q->cluster - 1) || at > IMAGE_BYTES_MAX)
		return false;
	for (u64 i = 0; i < (bytes + q->cluster - 1) >> q->bits; i++)
		if (!qcow2_set_add(&q->metadata, (at >> q->bits) + i))
			return false;
	return true;
}

static bool claim_table(struct qcow2 *q, u64 at, bool *cut)
{
	*cut |= at >= q->file->size;
	return claim(q, at, q->cluster);
}

/* To write an image whose tables overlap would damage it further. */
static int claim_metadata(struct opening *o)
{
	struct qcow2 *q = o->q;
	bool cut = false, ok = qcow2_set_add(&q->metadata, 0) &&
			       claim(q, q->l1.at, q->l1.entries * 8) &&
			       claim(q, q->rt.at, q->rt.entries * 8);
	for (u64 i = 0; ok && i < q->rt.entries; i++)
		if (q->rt.value[i])
			ok = claim_table(q, q->rt.value[i] & QCOW2_AT, &cut);
	for (u64 i = 0; ok && i < q->l1.entries; i++)
		if (q->l1.value[i] & QCOW2_AT)
			ok = claim_table(q, q->l1.value[i] & QCOW2_AT, &cut);
	if (cut)
		return fail(o, "ends before its own tables: the file was truncated. Open it with "
			       "readonly=on or snapshot=on to save what can be read");
	if (ok && q->snapshots)
		ok = claim(q, q->snapshots_at, 1);
	if (ok)
		return 0;
	return fail(o,
		    "damaged qcow2 image: its tables overlap. Look at it with \"qemu-img check\"; "
		    "open it with readonly=on or snapshot=on to save what can be read");
}

/* Lazy refcounts were not written back before the last user died. They can be made anew from the
 * tables. */
static int clean_up(struct opening *o)
{
	struct qcow2 *q = o->q;
	struct block_report report;
	if (!(q->incompatible & QCOW2_DIRTY))
		return 0;
	int r = first_write(q);
	if (!r)
		r = qcow2_check(q, true, &report);
	if (!r && report.errors)
		return block_fail(o->e, -EIO, o->path,
				  "was not closed properly, and is damaged: %s. Repair it with "
				  "\"qemu-img check -r all\" (keep a copy), or open it with "
				  "readonly=on or snapshot=on",
				  report.first);
	if (!r)
		r = qcow2_flush(q);
	q->incompatible &= ~QCOW2_DIRTY;
	if (!r)
		r = qcow2_header_put(q, 72, q->incompatible, 8);
	if (!r)
		r = file_sync(q->file);
	return r ? block_fail(o->e, r, o->path,
			      "was not closed properly, and cannot be repaired here: do it with "
			      "\"qemu-img check -r all\"")
		 : 0;
}

static int open_all(struct opening *o)
{
	struct image *im = o->im;
	int r;
	if ((r = parse_header(o)) || (r = backing_name(o)) || (r = load_tables(o)))
		return r;
	if (qcow2_caches_init(o->q))
		return block_fail(o->e, -ENOMEM, o->path, "out of memory");
	if (im->writable && ((r = claim_metadata(o)) || (r = clean_up(o))))
		return r;
	if (o->q->incompatible & QCOW2_CORRUPT)
		image_complain(im, "this image is marked as corrupt; what can be read is read");
	if (*o->backing)
		im->backing = image_open_named(
		    im, o->backing, *o->backing_format ? o->backing_format : NULL, false, o->e, &r);
	return r;
}

static int qcow2_open(struct image *im, struct block_error *e)
{
	struct qcow2 *q = calloc(1, sizeof(*q));
	if (!q)
		return block_fail(e, -ENOMEM, im->file->path, "out of memory");
	struct opening o = {.im = im, .q = q, .e = e, .path = im->file->path};
	im->state = q;
	q->im = im;
	q->file = im->file;
	int r = open_all(&o);
	free(o.header);
	return r;
}

static void qcow2_close(struct image *im)
{
	struct qcow2 *q = im->state;
	if (!q)
		return;
	/* The refcounts of what the last flush gave up; without them it would only be leaked. */
	if (q->written && !q->damaged && qcow2_flush(q))
		q->damaged = true;
	qcow2_caches_free(q);
	free(q->packed);
	free(q->inflated);
	free(q);
}

/* ---- a new image ---------------------------------------------------------------------------- */

#define NEW_BITS                                                                                   \
	16u /* clusters of 64 KiB, counts of 16 bits: one block of them reaches far enough for all \
	       tables */

/* Header, refcount table, one refcount block, L1 table, in the first clusters. */
int qcow2_create(struct block_file *f, u64 bytes)
{
	const u64 cluster = BIT64(NEW_BITS), per_l2 = cluster * (cluster / 8);
	u64 l1 = (bytes + per_l2 - 1) / per_l2, l1_clusters = (l1 * 8 + cluster - 1) >> NEW_BITS;
	u8 h[HEADER_V3 + 8] = "QFI\xfb";
	u8 entry[8], count[2] = {0, 1};
	be_put(h + 4, 3, 4);
	be_put(h + 20, NEW_BITS, 4);
	be_put(h + 24, bytes, 8);
	be_put(h + 36, l1, 4);
	be_put(h + 40, 3 * cluster, 8);
	be_put(h + 48, cluster, 8);
	be_put(h + 56, 1, 4);
	be_put(h + 96, 4, 4);
	be_put(h + 100, HEADER_V3, 4);
	be_put(entry, 2 * cluster, 8);
	int r = file_resize(f, (3 + l1_clusters) * cluster);
	if (!r)
		r = file_write(f, cluster, entry, 8);
	for (u64 i = 0; !r && i < 3 + l1_clusters; i++)
		r = file_write(f, 2 * cluster + i * 2, count, 2);
	return r ? r : file_write(f, 0, h, sizeof(h));
}

static int qcow2_im_check(struct image *im, bool repair, struct block_report *out)
{
	struct qcow2 *q = im->state;
	int r = q->damaged ? -EIO : qcow2_im_flush(im);
	if (!r && repair)
		r = first_write(q);
	if (!r && !q->rt.value)
		r = qcow2_array_read(q, &q->rt, q->rt_at, q->rt_entries);
	if (!r)
		r = qcow2_check(q, repair, out);
	return r || !repair ? r : qcow2_flush(q);
}

const struct image_format format_qcow2 = {
    .name = "qcow2",
    .probe = qcow2_probe,
    .open = qcow2_open,
    .close = qcow2_close,
    .read = qcow2_read,
    .write = qcow2_write,
    .flush = qcow2_im_flush,
    .discard = qcow2_discard,
    .check = qcow2_im_check,
};
