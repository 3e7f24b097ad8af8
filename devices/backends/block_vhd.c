/*
 * VHD, the disk image of Virtual PC and Hyper-V ("vpc"): fixed and dynamic, read and written.
 * Differencing images are refused. Facts: Microsoft, "Virtual Hard Disk Image Format
 * Specification", version 1.0, big-endian.
 *
 * Footer (last 512 bytes; dynamic images have a copy at 0): 0 "conectix"  10h offset of the dynamic
 * header  1Ch creator 30h size  38h geometry  3Ch type  40h checksum. Dynamic header: 0 "cxsparse"
 * 10h offset of the table  1Ch entries 20h block size. A block is a bitmap of its sectors, then the
 * data; here all bits are set when a block is made, and not looked at: the sectors of a block that
 * were never written are zeroes.
 */
#include "devices/backends/block_mapped.h"

#include <stdlib.h>

#define TYPE_FIXED   2
#define TYPE_DYNAMIC 3
#define FREE_BLOCK   0xffffffffu
#define BLOCK_MAX    (64u << 20)

struct vhd {
	struct mapped m;
	u64 table_at, end; /* where the footer is, or belongs */
	u64 bitmap;        /* bytes before a block's data */
	u8 footer[512];
};

static bool has_suffix(const char *path, const char *suffix)
{
	size_t n = strlen(path), k = strlen(suffix);
	return n >= k && !strcmp(path + n - k, suffix);
}

/* A fixed image is the raw disk and a footer. The footer counts only in files called so: see
 * block.c, "guessed". */
static bool vhd_probe(const u8 *head, const u8 *tail, const char *path)
{
	return !memcmp(head, "conectix", 8) ||
	       (!memcmp(tail, "conectix", 8) &&
		(has_suffix(path, ".vhd") || has_suffix(path, ".VHD") || has_suffix(path, ".vpc")));
}

static u32 checksum(const u8 *data, u32 n, u32 skip)
{
	u32 sum = 0;
	for (u32 i = 0; i < n; i++)
		if (i < skip || i >= skip + 4)
			sum += data[i];
	return ~sum;
}

static bool good_footer(const u8 *f)
{
	return !memcmp(f, "conectix", 8) && be32(f + 0x40) == checksum(f, 512, 0x40);
}

/*
 * Virtual PC and older qemu-img mean the geometry's product, everyone else the size field; a
 * geometry at its limit cannot mean anything.
 */
static u64 disk_bytes(const u8 *f)
{
	u64 product = (u64)be16(f + 0x38) * f[0x3a] * f[0x3b];
	bool geometry = (!memcmp(f + 0x1c, "vpc ", 4) || !memcmp(f + 0x1c, "qemu", 4)) && product &&
			product < 65535ull * 16 * 255;
	return geometry ? product * 512 : be64(f + 0x30) & ~511ull;
}

/* Bitmap, block and the footer behind it, which moves, in one write. */
static int vhd_append(struct image *im, u64 i, u64 *place)
{
	struct vhd *v = im->state;
	u64 n = v->bitmap + v->m.block;
	u8 *bytes = calloc(1, n + 512);
	if (!bytes)
		return -ENOMEM;
	memset(bytes, 0xff, v->bitmap);
	memcpy(bytes + n, v->footer, 512);
	int r = file_write(im->file, v->end, bytes, n + 512);
	free(bytes);
	if (r || v->end / 512 >= FREE_BLOCK)
		return r ? r : -EFBIG;
	*place = v->end + v->bitmap;
	v->end += n;
	return 0;
}

static int vhd_write_table(struct image *im)
{
	struct vhd *v = im->state;
	u64 n = v->m.dirty_to - v->m.dirty_from;
	u8 *bytes = malloc(n * 4);
	if (!bytes)
		return -ENOMEM;
	for (u64 k = 0; k < n; k++) {
		u64 place = v->m.place[v->m.dirty_from + k];
		be_put(bytes + k * 4,
		       place == MAPPED_NOWHERE ? FREE_BLOCK : (place - v->bitmap) / 512, 4);
	}
	int r = file_write(im->file, v->table_at + v->m.dirty_from * 4, bytes, n * 4);
	free(bytes);
	return r;
}

/* Does a block at @at lie on the header's copy, the dynamic header or the table? */
static bool on_metadata(const struct vhd *v, u64 at)
{
	u64 end = at + v->bitmap + v->m.block, header = be64(v->footer + 0x10);
	return at < 512 || (at < header + 1024 && header < end) ||
	       (at < v->table_at + v->m.entries * 4 && v->table_at < end);
}

static int read_table(struct image *im, struct block_error *e)
{
	struct vhd *v = im->state;
	u8 *bytes = malloc(v->m.entries * 4);
	int r = bytes ? file_read_inside(im->file, v->table_at, bytes, v->m.entries * 4) : -ENOMEM;
	if (r)
		block_fail(e, r, im->file->path,
			   "the block table cannot be read: the file is damaged or truncated");
	for (u64 i = 0; !r && i < v->m.entries; i++) {
		u64 at = be32(bytes + i * 4) * 512ull;
		if (at == FREE_BLOCK * 512ull)
			continue;
		v->m.place[i] = on_metadata(v, at) ? MAPPED_BAD : at + v->bitmap;
		if (at < im->file->size)
			v->end = MAX(v->end, at + v->bitmap + v->m.block);
	}
	free(bytes);
	return r;
}

static int open_dynamic(struct image *im, struct block_error *e)
{
	struct vhd *v = im->state;
	const char *path = im->file->path;
	u64 at = be64(v->footer + 0x10);
	u8 h[1024];
	if (file_read_inside(im->file, at, h, sizeof(h)) || memcmp(h, "cxsparse", 8) ||
	    be32(h + 0x24) != checksum(h, 1024, 0x24))
		return block_fail(e, -EINVAL, path, "damaged VHD image: no valid dynamic header");
	u64 entries = be32(h + 0x1c), block = be32(h + 0x20);
	v->table_at = be64(h + 0x10);
	if (block < 512 || block > BLOCK_MAX || block & (block - 1) ||
	    entries < (im->bytes + block - 1) / block || v->table_at > IMAGE_BYTES_MAX)
		return block_fail(e, -EINVAL, path, "damaged VHD image: impossible dynamic header");
	int r = mapped_init(im, block, entries, e);
	if (r)
		return r;
	v->bitmap = (block / 512 / 8 + 511) & ~511ull;
	v->m.append = vhd_append;
	v->m.write_table = vhd_write_table;
	/* Behind everything that is known to be there. */
	v->end = MAX((v->table_at + entries * 4 + 511) & ~511ull, (at + 1024 + 511) & ~511ull);
	return read_table(im, e);
}

/* One block that is the whole file. */
static int open_fixed(struct image *im, struct block_error *e)
{
	struct vhd *v = im->state;
	if (im->bytes > im->file->size)
		return block_fail(
		    e, -EINVAL, im->file->path,
		    "damaged VHD image: the file is smaller than its disk (truncated?)");
	int r = mapped_init(im, 1ull << 30, 0, e);
	v->m.block = MAX(im->bytes, 512);
	return r;
}

static int fixed_read(struct image *im, u64 at, u8 *data, u64 n)
{
	return file_read(im->file, at, data, n);
}

static int vhd_read(struct image *im, u64 at, u8 *data, u64 n)
{
	struct vhd *v = im->state;
	return v->m.entries ? mapped_read(im, at, data, n) : fixed_read(im, at, data, n);
}

static int vhd_write(struct image *im, u64 at, const u8 *data, u64 n)
{
	struct vhd *v = im->state;
	return v->m.entries ? mapped_write(im, at, data, n) : file_write(im->file, at, data, n);
}

static int vhd_open(struct image *im, struct block_error *e)
{
	const char *path = im->file->path;
	struct vhd *v = calloc(1, sizeof(*v));
	u8 head[512];
	im->state = v;
	u64 size = im->file->size;
	if (!v || file_read(im->file, size < 512 ? 0 : size - 512, v->footer, 512) ||
	    file_read(im->file, 0, head, 512))
		return block_fail(e, -EIO, path, "cannot be read");
	/* A dynamic image whose last footer was lost while it grew has the copy. */
	if (!good_footer(v->footer) && !good_footer(head))
		return block_fail(e, -EINVAL, path,
				  "is not a VHD image, or its footer is damaged or cut off");
	if (!good_footer(v->footer))
		memcpy(v->footer, head, 512);
	u32 type = be32(v->footer + 0x3c);
	im->bytes = disk_bytes(v->footer);
	if (type != TYPE_FIXED && type != TYPE_DYNAMIC)
		return block_fail(e, -EINVAL, path,
				  "is a VHD image that needs its parent (differencing): merge it "
				  "into one file first");
	if (!im->bytes || im->bytes > IMAGE_BYTES_MAX)
		return block_fail(e, -EINVAL, path, "damaged VHD footer: impossible size");
	return type == TYPE_FIXED ? open_fixed(im, e) : open_dynamic(im, e);
}

const struct image_format format_vhd = {
    .name = "vpc",
    .probe = vhd_probe,
    .open = vhd_open,
    .close = mapped_close,
    .read = vhd_read,
    .write = vhd_write,
    .flush = mapped_flush,
};
