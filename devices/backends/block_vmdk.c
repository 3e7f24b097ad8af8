/*
 * VMDK, VMware's disk image: one file (monolithicSparse, streamOptimized) or a descriptor that
 * names its extents (flat and sparse, whole or in 2 GB pieces). Read: all of these. Written: flat
 * extents, and sparse ones that are not compressed. Refused: images that need a parent, ESX's own
 * sparse kinds (COWD, SESPARSE), device extents. Facts: VMware, "Virtual Disk Format 5.0",
 * little-endian:
 *
 *   0 "KDMV"  4 version  8 flags  0Ch sectors  14h sectors per grain  1Ch, 24h descriptor (sector,
 * sectors) 2Ch entries per grain table  30h redundant grain directory  38h grain directory (all
 * ones: see the footer) 4Dh compression (1: zlib)
 *
 * A directory points to tables, a table to grains, all in sectors. In a compressed extent, a grain
 * is a header (u64 sector of the disk, u32 bytes) and a zlib stream.
 */
#include "devices/backends/block_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define TEXT_MAX       (64u << 10)
#define EXTENTS_MAX    1024u
#define DIRECTORY_MAX  (4u << 20)  /* entries, of all extents */
#define TABLES_BYTES   (64u << 20) /* of grain tables in memory */
#define PER_TABLE_MAX  4096u
#define GRAIN_MAX      (16u << 20)
#define FLAG_REDUNDANT BIT(1)
#define FLAG_ZERO      BIT(2)
#define FLAG_DEFLATED  BIT(16)
#define AT_END         UINT64_MAX
#define ZEROED_GRAIN   1u

struct table {
	u32 *grain; /* NULL: not read yet */
	bool dirty;
};

struct sparse {
	u64 grain;    /* bytes */
	u64 overhead; /* bytes of tables before the first grain */
	u64 per_table, tables;
	u32 *directory, *redundant; /* sectors of the tables; redundant NULL: none */
	struct table *table;
	bool deflated, zero_grains;
	u8 *packed, *inflated;
	u32 inflated_at;
	u64 loaded; /* bytes of grain tables */
	bool dirty;
};

struct extent {
	u64 start, bytes;        /* of the disk */
	struct block_file *file; /* NULL: zeroes */
	bool own_file;           /* not the image's */
	u64 offset;              /* flat: where its data begins */
	struct sparse *sparse;   /* NULL: flat */
};

struct vmdk {
	struct extent *extent;
	unsigned extents;
	unsigned last; /* found */
	u64 tables;    /* of all extents */
};

static bool vmdk_probe(const u8 *head, const u8 *tail, const char *path)
{
	return !memcmp(head, "KDMV", 4) || !memcmp(head, "COWD", 4) ||
	       !memcmp(head, "# Disk DescriptorFile", 21);
}

/* ---- sparse extents ------------------------------------------------------------------------- */

static u32 *read_words(struct block_file *f, u64 sector, u64 n)
{
	u32 *w = malloc(MAX(n, 1) * 4);
	if (!w || sector > IMAGE_BYTES_MAX / 512 || file_read_inside(f, sector * 512, w, n * 4)) {
		free(w);
		return NULL;
	}
	for (u64 i = 0; i < n; i++)
		w[i] = le32((u8 *)&w[i]);
	return w;
}

static int write_words(struct block_file *f, u64 sector, const u32 *w, u64 n)
{
	u8 *bytes = malloc(n * 4);
	if (!bytes)
		return -ENOMEM;
	for (u64 i = 0; i < n; i++)
		le_put(bytes + i * 4, w[i], 4);
	int r = file_write(f, sector * 512, bytes, n * 4);
	free(bytes);
	return r;
}

static void sparse_free(struct sparse *s)
{
	if (!s)
		return;
	for (u64 i = 0; s->table && i < s->tables; i++)
		free(s->table[i].grain);
	free(s->table);
	free(s->directory);
	free(s->redundant);
	free(s->packed);
	free(s->inflated);
	free(s);
}

static int sparse_flush(const struct extent *x);

/* Forgets the grain tables when they have become too many. */
static int limit_tables(const struct extent *x)
{
	struct sparse *s = x->sparse;
	if (s->loaded < TABLES_BYTES)
		return 0;
	int r = s->dirty ? sparse_flush(x) : 0;
	for (u64 i = 0; !r && i < s->tables; i++) {
		free(s->table[i].grain);
		s->table[i].grain = NULL;
	}
	if (!r)
		s->loaded = 0;
	return r;
}

/* The grain table @i; NULL with *@r = 0 if there is none. */
static struct table *grain_table(struct image *im, const struct extent *x, u64 i, int *r)
{
	struct sparse *s = x->sparse;
	*r = 0;
	if (i >= s->tables || !s->directory[i])
		return NULL;
	if (!s->table[i].grain) {
		if ((*r = limit_tables(x)))
			return NULL;
		s->table[i].grain = read_words(x->file, s->directory[i], s->per_table);
		s->loaded += s->per_table * 4;
	}
	if (s->table[i].grain)
		return &s->table[i];
	*r = image_complain(im, "a grain table lies beyond the file's end: the file is damaged or "
				"was truncated");
	return NULL;
}

static int inflate_grain(struct image *im, const struct extent *x, u32 sector)
{
	struct sparse *s = x->sparse;
	u64 max = s->grain * 2 + 1024, at = sector * 512ull;
	u8 h[12];
	if (s->inflated_at == sector)
		return 0;
	if (!s->packed)
		s->packed = malloc(max);
	if (!s->inflated)
		s->inflated = malloc(s->grain);
	if (!s->packed || !s->inflated)
		return -ENOMEM;
	s->inflated_at = 0;
	int r = file_read_inside(x->file, at, h, 12);
	u64 n = le32(h + 8);
	if (!r && n > max)
		r = -EIO;
	if (!r)
		r = file_read_inside(x->file, at + 12, s->packed, n);
	if (!r)
		r = block_inflate(s->packed, n, s->inflated, s->grain, 15);
	if (r)
		return image_complain(im,
				      "a compressed grain at %llxh is damaged or beyond the "
				      "file's end",
				      (unsigned long long)at);
	s->inflated_at = sector;
	return 0;
}

/* @at within the extent; one grain at most. */
static int sparse_read(struct image *im, const struct extent *x, u64 at, u8 *data, u64 n)
{
	struct sparse *s = x->sparse;
	u64 i = at / s->grain, in = at % s->grain;
	int r;
	const struct table *t = grain_table(im, x, i / s->per_table, &r);
	u32 sector = t ? t->grain[i % s->per_table] : 0;
	if (r)
		return r;
	if (!sector || (s->zero_grains && sector == ZEROED_GRAIN)) {
		memset(data, 0, n);
		return 0;
	}
	if (s->deflated) {
		if (!(r = inflate_grain(im, x, sector)))
			memcpy(data, s->inflated + in, n);
		return r;
	}
	if (sector * 512ull + in + n > x->file->size)
		return image_complain(im, "a grain lies beyond the file's end: the file is damaged "
					  "or was truncated");
	return file_read(x->file, sector * 512ull + in, data, n);
}

static int sparse_write(struct image *im, const struct extent *x, u64 at, const u8 *data, u64 n)
{
	struct sparse *s = x->sparse;
	u64 i = at / s->grain, in = at % s->grain, place = (x->file->size + 511) & ~511ull;
	int r;
	struct table *t = grain_table(im, x, i / s->per_table, &r);
	if (!t)
		return r ? r
			 : image_complain(im,
					  "a grain table is missing: this image can only be read");
	u32 *entry = &t->grain[i % s->per_table];
	bool fresh = !*entry || (s->zero_grains && *entry == ZEROED_GRAIN);
	if (!fresh && *entry * 512ull < s->overhead)
		return image_complain(im, "a grain lies on the tables: the file is damaged");
	if (!fresh)
		return file_write(x->file, *entry * 512ull + in, data, n);
	if (place / 512 > UINT32_MAX)
		return -EFBIG;
	r = file_resize(x->file, place + s->grain);
	if (!r)
		r = file_write(x->file, place + in, data, n);
	if (r)
		return r;
	*entry = (u32)(place / 512);
	t->dirty = s->dirty = true;
	return 0;
}

/* Data first, then the tables that point to it, then their second copy. */
static int sparse_flush(const struct extent *x)
{
	struct sparse *s = x->sparse;
	int r = file_sync(x->file);
	for (u64 i = 0; s->dirty && !r && i < s->tables; i++) {
		struct table *t = &s->table[i];
		if (!t->dirty)
			continue;
		r = write_words(x->file, s->directory[i], t->grain, s->per_table);
		if (!r && s->redundant && s->redundant[i])
			r = write_words(x->file, s->redundant[i], t->grain, s->per_table);
		t->dirty = r != 0;
	}
	if (!r)
		s->dirty = false;
	return r ? r : file_sync(x->file);
}

static int bad_sparse(const struct extent *x, struct block_error *e, const char *what)
{
	return block_fail(e, -EINVAL, x->file->path, "%s", what);
}

static int sparse_open(struct image *im, struct extent *x, struct block_error *e)
{
	struct sparse *s = x->sparse = calloc(1, sizeof(*s));
	u8 h[512];
	if (!s || file_read(x->file, 0, h, 512))
		return bad_sparse(x, e, "cannot be read");
	if (memcmp(h, "KDMV", 4))
		return bad_sparse(x, e,
				  "is not a VMDK extent that is supported (ESX's own kinds are "
				  "not): convert it with \"qemu-img convert\"");
	/* Written as a stream: the directory's place was known at the end only, where the header
	 * stands again. */
	if (le64(h + 0x38) == AT_END &&
	    (x->file->size < 1536 || file_read(x->file, x->file->size - 1024, h, 512) ||
	     memcmp(h, "KDMV", 4) || le64(h + 0x38) == AT_END))
		return bad_sparse(x, e, "damaged VMDK image: its footer is missing (truncated?)");
	u32 version = le32(h + 4), flags = le32(h + 8), compression = le16(h + 0x4d);
	u64 sectors = le64(h + 0xc), grain = le64(h + 0x14);
	s->per_table = le32(h + 0x2c);
	if (version < 1 || version > 3 || compression > 1)
		return block_fail(
		    e, -EINVAL, x->file->path,
		    "is a VMDK image of version %u, compression %u, which is not known", version,
		    compression);
	if (!grain || grain > GRAIN_MAX / 512 || !s->per_table || s->per_table > PER_TABLE_MAX ||
	    !sectors || sectors > IMAGE_BYTES_MAX / 512)
		return bad_sparse(x, e, "damaged VMDK header");
	s->grain = grain * 512;
	s->overhead = MAX(MIN(le64(h + 0x40), x->file->size / 512), 1) * 512;
	s->tables = (sectors + grain * s->per_table - 1) / (grain * s->per_table);
	s->deflated = compression || flags & FLAG_DEFLATED;
	s->zero_grains = flags & FLAG_ZERO;
	if (im->writable && s->deflated)
		return bad_sparse(x, e,
				  "compressed VMDK images can only be read: give it readonly=on, "
				  "or snapshot=on to write into a volatile overlay");
	struct vmdk *v = im->state;
	if (s->tables > DIRECTORY_MAX || (v->tables += s->tables) > DIRECTORY_MAX ||
	    !(s->table = calloc(s->tables, sizeof(*s->table))) ||
	    !(s->directory = read_words(x->file, le64(h + 0x38), s->tables)))
		return bad_sparse(x, e,
				  "the grain directory cannot be read: the file is damaged or "
				  "truncated");
	if (flags & FLAG_REDUNDANT && im->writable)
		s->redundant = read_words(x->file, le64(h + 0x30), s->tables);
	if (!x->bytes || x->bytes > sectors * 512)
		x->bytes = sectors * 512;
	return 0;
}

/* ---- the descriptor ------------------------------------------------------------------------- */

/* The value of KEY=value or KEY="value" in @text; false if there is none. */
static bool descriptor_value(const char *text, const char *key, char *out, size_t size)
{
	size_t k = strlen(key);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncasecmp(line, key, k))
			continue;
		const char *v = line + k + strspn(line + k, " \t");
		if (*v++ != '=')
			continue;
		v += strspn(v, " \t\"");
		snprintf(out, size, "%.*s", (int)strcspn(v, "\"\r\n"), v);
		return true;
	}
	return false;
}

static struct extent *add_extent(struct image *im)
{
	struct vmdk *v = im->state;
	struct extent *more =
	    v->extents < EXTENTS_MAX ? realloc(v->extent, (v->extents + 1) * sizeof(*more)) : NULL;
	if (!more)
		return NULL;
	v->extent = more;
	more += v->extents++;
	*more = (struct extent){.start = im->bytes};
	return more;
}

/* access sectors KIND "file" [offset] */
static int extent_line(struct image *im, const char *line, struct block_error *e)
{
	char access[16], kind[16], name[1024] = "";
	unsigned long long sectors, offset = 0;
	int n = sscanf(line, "%15s %llu %15s \"%1023[^\"\r\n]\" %llu", access, &sectors, kind, name,
		       &offset);
	int r = 0;
	bool flat = n >= 4 && (!strcmp(kind, "FLAT") || !strcmp(kind, "VMFS"));
	bool sparse = n >= 4 && !strcmp(kind, "SPARSE");
	if (n < 3 || sectors > IMAGE_BYTES_MAX / 512 || offset > IMAGE_BYTES_MAX / 512 ||
	    im->bytes + sectors * 512 > IMAGE_BYTES_MAX ||
	    (!flat && !sparse && strcmp(kind, "ZERO")))
		return block_fail(e, -EINVAL, im->file->path,
				  "describes an extent that is not supported: %.60s", line);
	struct extent *x = add_extent(im);
	if (!x)
		return block_fail(e, -EINVAL, im->file->path, "describes too many extents");
	x->bytes = sectors * 512;
	x->offset = offset * 512;
	im->bytes += x->bytes;
	if (!flat && !sparse)
		return 0;
	x->own_file = true;
	x->file = image_open_extent(im, name, im->writable, e, &r);
	if (!x->file)
		return r;
	if (sparse)
		return sparse_open(im, x, e);
	if (x->file->size < x->offset || x->file->size - x->offset < x->bytes)
		return block_fail(e, -EINVAL, x->file->path,
				  "is smaller than its descriptor says (truncated?)");
	return 0;
}

/* Is the disk complete without another? */
static int stands_alone(struct image *im, const char *text, struct block_error *e)
{
	char parent[32];
	if (descriptor_value(text, "parentCID", parent, sizeof(parent)) &&
	    strcasecmp(parent, "ffffffff"))
		return block_fail(
		    e, -EINVAL, im->file->path,
		    "is a VMDK image that needs its parent (a snapshot): merge it into "
		    "one file first, for instance with \"qemu-img convert\"");
	return 0;
}

static int open_descriptor(struct image *im, struct block_error *e)
{
	u64 n = MIN(im->file->size, TEXT_MAX);
	char *text = calloc(1, n + 1);
	int r = !text ? -ENOMEM : file_read(im->file, 0, text, n);
	if (!r)
		r = stands_alone(im, text, e);
	for (char *line = text; !r && line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, "RW ", 3) || !strncmp(line, "RDONLY ", 7))
			r = extent_line(im, line, e);
	}
	free(text);
	if (!r && !im->bytes)
		r = block_fail(e, -EINVAL, im->file->path, "a VMDK descriptor without extents");
	return r;
}

static int open_single(struct image *im, struct block_error *e)
{
	struct extent *x = add_extent(im);
	u8 h[512];
	if (!x)
		return block_fail(e, -ENOMEM, im->file->path, "out of memory");
	x->file = im->file;
	int r = sparse_open(im, x, e);
	if (r || (r = file_read(im->file, 0, h, 512)))
		return r;
	im->bytes = x->bytes;
	u64 at = le64(h + 0x1c), n = le64(h + 0x24) * 512;
	if (!at || at > IMAGE_BYTES_MAX / 512 || n > TEXT_MAX)
		return 0;
	char *text = calloc(1, n + 1);
	r = text ? file_read(im->file, at * 512, text, n) : -ENOMEM;
	if (!r)
		r = stands_alone(im, text, e);
	free(text);
	return r;
}

static int vmdk_open(struct image *im, struct block_error *e)
{
	u8 head[512];
	im->state = calloc(1, sizeof(struct vmdk));
	if (!im->state || file_read(im->file, 0, head, 512))
		return block_fail(e, -EIO, im->file->path, "cannot be read");
	if (!vmdk_probe(head, head, im->file->path))
		return block_fail(e, -EINVAL, im->file->path, "is not a VMDK image");
	return *head == '#' ? open_descriptor(im, e) : open_single(im, e);
}

static void vmdk_close(struct image *im)
{
	struct vmdk *v = im->state;
	if (!v)
		return;
	for (unsigned i = 0; i < v->extents; i++) {
		sparse_free(v->extent[i].sparse);
		if (v->extent[i].own_file)
			file_close(v->extent[i].file);
	}
	free(v->extent);
	free(v);
}

/* ---- the disk ------------------------------------------------------------------------------- */

static const struct extent *extent_at(struct vmdk *v, u64 at)
{
	const struct extent *x = &v->extent[v->last];
	if (at >= x->start && at - x->start < x->bytes)
		return x;
	for (v->last = 0; v->last < v->extents; v->last++) {
		x = &v->extent[v->last];
		if (at >= x->start && at - x->start < x->bytes)
			return x;
	}
	v->last = 0;
	return NULL;
}

/* How much of @n from @at in extent @x can be done at once. */
static u64 piece(const struct extent *x, u64 at, u64 n)
{
	u64 in = at - x->start, len = MIN(n, x->bytes - in);
	return x->sparse ? MIN(len, x->sparse->grain - in % x->sparse->grain) : len;
}

static int vmdk_read(struct image *im, u64 at, u8 *data, u64 n)
{
	int r = 0;
	while (n && !r) {
		const struct extent *x = extent_at(im->state, at);
		if (!x)
			return -EIO;
		u64 len = piece(x, at, n), in = at - x->start;
		if (x->sparse)
			r = sparse_read(im, x, in, data, len);
		else if (x->file)
			r = file_read(x->file, x->offset + in, data, len);
		else
			memset(data, 0, len);
		at += len;
		data += len;
		n -= len;
	}
	return r;
}

static int vmdk_write(struct image *im, u64 at, const u8 *data, u64 n)
{
	int r = 0;
	while (n && !r) {
		const struct extent *x = extent_at(im->state, at);
		if (!x || !x->file)
			return -EIO;
		u64 len = piece(x, at, n), in = at - x->start;
		r = x->sparse ? sparse_write(im, x, in, data, len)
			      : file_write(x->file, x->offset + in, data, len);
		at += len;
		data += len;
		n -= len;
	}
	return r;
}

static int vmdk_flush(struct image *im)
{
	struct vmdk *v = im->state;
	int r = 0;
	for (unsigned i = 0; !r && i < v->extents; i++)
		if (v->extent[i].sparse)
			r = sparse_flush(&v->extent[i]);
		else if (v->extent[i].file)
			r = file_sync(v->extent[i].file);
	return r;
}

const struct image_format format_vmdk = {
    .name = "vmdk",
    .probe = vmdk_probe,
    .open = vmdk_open,
    .close = vmdk_close,
    .read = vmdk_read,
    .write = vmdk_write,
    .flush = vmdk_flush,
};
