/*
 * VDI, VirtualBox's disk image, version 1.1: dynamic and fixed, read and written. Differencing
 * images (which name their parent by UUID alone) are refused. Facts: the header as VirtualBox and
 * qemu-img write it, little-endian:
 *
 *   40h signature  44h version  48h header size  4Ch type  154h offset of the block table  158h
 * offset of the data 168h sector size  170h disk size  178h block size  17Ch extra bytes per block
 * 180h blocks  184h blocks in the file
 */
#include "devices/backends/block_mapped.h"

#include <stdlib.h>

#define SIGNATURE    0xbeda107fu
#define TYPE_DYNAMIC 1
#define TYPE_FIXED   2
#define FREE_BLOCK   0xffffffffu
#define ZERO_BLOCK   0xfffffffeu
#define BLOCK_MIN    (64u << 10)
#define BLOCK_MAX    (256u << 20)

struct vdi {
	struct mapped m;
	u64 table_at, data_at;
	u32 in_file; /* blocks */
};

static bool vdi_probe(const u8 *head, const u8 *tail, const char *path)
{
	return le32(head + 0x40) == SIGNATURE;
}

/* Blocks follow each other from data_at on. */
static int vdi_append(struct image *im, u64 i, u64 *place)
{
	struct vdi *v = im->state;
	*place = v->data_at + v->in_file * v->m.block;
	if (v->in_file >= ZERO_BLOCK)
		return -EFBIG;
	if (*place > im->file->size + v->m.block)
		return image_complain(im,
				      "damaged VDI header: it counts more blocks than there are");
	/* A crash may have left bytes of a block that no table knows: they must not show. */
	if (im->file->size > *place && file_resize(im->file, *place))
		return -EIO;
	int r =
	    im->file->size < *place + v->m.block ? file_resize(im->file, *place + v->m.block) : 0;
	if (!r)
		v->in_file++;
	return r;
}

static int vdi_write_table(struct image *im)
{
	struct vdi *v = im->state;
	u64 n = v->m.dirty_to - v->m.dirty_from;
	u8 *bytes = malloc(n * 4), count[4];
	if (!bytes)
		return -ENOMEM;
	for (u64 k = 0; k < n; k++) {
		u64 place = v->m.place[v->m.dirty_from + k];
		le_put(bytes + k * 4,
		       place == MAPPED_NOWHERE ? FREE_BLOCK : (place - v->data_at) / v->m.block, 4);
	}
	le_put(count, v->in_file, 4);
	int r = file_write(im->file, v->table_at + v->m.dirty_from * 4, bytes, n * 4);
	if (!r)
		r = file_write(im->file, 0x184, count, 4);
	free(bytes);
	return r;
}

static int read_table(struct image *im, struct block_error *e)
{
	struct vdi *v = im->state;
	u8 *bytes = malloc(v->m.entries * 4);
	int r = bytes ? file_read_inside(im->file, v->table_at, bytes, v->m.entries * 4) : -ENOMEM;
	if (r)
		block_fail(e, r, im->file->path,
			   "the block table cannot be read: the file is damaged or truncated");
	u32 top = 0;
	for (u64 i = 0; !r && i < v->m.entries; i++) {
		u32 entry = le32(bytes + i * 4);
		if (entry == FREE_BLOCK || entry == ZERO_BLOCK)
			continue;
		v->m.place[i] = v->data_at + entry * v->m.block;
		top = MAX(top, entry + 1);
	}
	v->in_file =
	    MAX(v->in_file, top); /* written before the count was: nothing may land on it */
	free(bytes);
	return r;
}

static int vdi_open(struct image *im, struct block_error *e)
{
	const char *path = im->file->path;
	struct vdi *v = calloc(1, sizeof(*v));
	u8 h[512];
	im->state = v;
	if (!v || file_read(im->file, 0, h, sizeof(h)))
		return block_fail(e, -EIO, path, "cannot be read");
	u32 type = le32(h + 0x4c), block = le32(h + 0x178), entries = le32(h + 0x180);
	u64 bytes = le64(h + 0x170);
	if (!vdi_probe(h, h, path) || le32(h + 0x44) >> 16 != 1)
		return block_fail(e, -EINVAL, path, "is not a VDI image of version 1");
	if (type != TYPE_DYNAMIC && type != TYPE_FIXED)
		return block_fail(e, -EINVAL, path,
				  "is a VDI image that needs its parent (a VirtualBox snapshot): "
				  "clone it into one file with \"VBoxManage clonemedium\"");
	v->table_at = le32(h + 0x154);
	v->data_at = le32(h + 0x158);
	v->in_file = le32(h + 0x184);
	if (block < BLOCK_MIN || block > BLOCK_MAX || block & (block - 1) || le32(h + 0x17c) ||
	    le32(h + 0x168) != 512 || !bytes || bytes > IMAGE_BYTES_MAX ||
	    entries < (bytes + block - 1) / block || v->table_at < 512 ||
	    v->data_at < v->table_at + entries * 4ull)
		return block_fail(e, -EINVAL, path, "damaged VDI header");
	int r = mapped_init(im, block, entries, e);
	if (r)
		return r;
	im->bytes = (bytes + 511) & ~511ull;
	v->m.append = vdi_append;
	v->m.write_table = vdi_write_table;
	return read_table(im, e);
}

const struct image_format format_vdi = {
    .name = "vdi",
    .probe = vdi_probe,
    .open = vdi_open,
    .close = mapped_close,
    .read = mapped_read,
    .write = mapped_write,
    .flush = mapped_flush,
};
