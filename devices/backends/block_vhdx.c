/*
 * VHDX, Hyper-V's newer disk image: fixed and dynamic, read only. Refused: differencing images, and
 * images whose log holds changes that were not carried out (they were not closed properly). Facts:
 * Microsoft [MS-VHDX], little-endian.
 */
#include "devices/backends/block_mapped.h"

#include <stdlib.h>

#define MIB            (1u << 20)
#define HEADER_AT      (64u << 10) /* and again 64 KiB on */
#define REGIONS_AT     (192u << 10)
#define REGIONS_BYTES  (64u << 10)
#define METADATA_BYTES (64u << 10)
#define BLOCK_MAX      (256u << 20)
#define ENTRIES_MAX    2047u

enum block_state { NOT_PRESENT, UNDEFINED, ZERO, UNMAPPED, FULLY_PRESENT = 6 };

/* GUIDs as they stand in the file. */
static const u8 guid_bat[16] = {0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
				0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08};
static const u8 guid_metadata[16] = {0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
				     0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e};
static const u8 guid_parameters[16] = {0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
				       0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b};
static const u8 guid_size[16] = {0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
				 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8};
static const u8 guid_sector[16] = {0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
				   0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f};

struct vhdx {
	struct mapped m;
	u64 bat_at, bat_bytes, metadata_at;
	u64 block, bytes;
	u32 flags, sector;
};

static bool vhdx_probe(const u8 *head, const u8 *tail, const char *path)
{
	return !memcmp(head, "vhdxfile", 8);
}

/* CRC-32C (Castagnoli), reflected, over @n bytes whose bytes 4 to 7 (the field itself) count as
 * zeroes. */
static u32 crc32c(const u8 *data, u32 n)
{
	u32 crc = ~0u;
	for (u32 i = 0; i < n; i++) {
		crc ^= i >= 4 && i < 8 ? 0 : data[i];
		for (unsigned k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static bool all_zero(const u8 *p, unsigned n)
{
	while (n && !*p++)
		n--;
	return !n;
}

/* Of two headers the valid one with the higher sequence number holds. */
static int read_headers(struct image *im, struct block_error *e)
{
	u8 *h = malloc(4096);
	u64 best = 0;
	bool found = false, log = false;
	int version = 0;
	for (unsigned i = 0; h && i < 2; i++) {
		if (file_read_inside(im->file, HEADER_AT * (i + 1), h, 4096) ||
		    memcmp(h, "head", 4) || le32(h + 4) != crc32c(h, 4096))
			continue;
		if (found && le64(h + 8) <= best)
			continue;
		found = true;
		best = le64(h + 8);
		log = !all_zero(h + 48, 16);
		version = le16(h + 66);
	}
	free(h);
	if (!found)
		return block_fail(e, -EINVAL, im->file->path,
				  "damaged VHDX image: no valid header");
	if (version != 1)
		return block_fail(e, -EINVAL, im->file->path, "is a VHDX image of version %d",
				  version);
	if (log)
		return block_fail(e, -EINVAL, im->file->path,
				  "was not closed properly: its log must be carried out first, for "
				  "instance by \"qemu-img check -r all\"");
	return 0;
}

static int read_regions(struct image *im, struct block_error *e)
{
	struct vhdx *v = im->state;
	u8 *t = malloc(REGIONS_BYTES);
	bool valid = false;
	for (unsigned i = 0; t && !valid && i < 2; i++)
		valid =
		    !file_read_inside(im->file, REGIONS_AT + i * REGIONS_BYTES, t, REGIONS_BYTES) &&
		    !memcmp(t, "regi", 4) && le32(t + 4) == crc32c(t, REGIONS_BYTES) &&
		    le32(t + 8) <= ENTRIES_MAX;
	for (u32 i = 0; valid && i < le32(t + 8); i++) {
		const u8 *row = t + 16 + i * 32;
		if (!memcmp(row, guid_bat, 16)) {
			v->bat_at = le64(row + 16);
			v->bat_bytes = le32(row + 24);
		} else if (!memcmp(row, guid_metadata, 16)) {
			v->metadata_at = le64(row + 16);
		} else if (le32(row + 28) & 1) {
			valid = false; /* required, and unknown */
		}
	}
	free(t);
	if (valid && v->bat_at >= MIB && v->metadata_at >= MIB && v->bat_at < IMAGE_BYTES_MAX &&
	    v->metadata_at < IMAGE_BYTES_MAX)
		return 0;
	return block_fail(e, -EINVAL, im->file->path,
			  "damaged VHDX image, or one with regions that are not known here");
}

static void metadata_item(struct image *im, const u8 *row)
{
	struct vhdx *v = im->state;
	u8 data[8];
	if (file_read(im->file, v->metadata_at + le32(row + 16), data, 8))
		return;
	if (!memcmp(row, guid_parameters, 16)) {
		v->block = le32(data);
		v->flags = le32(data + 4);
	} else if (!memcmp(row, guid_size, 16)) {
		v->bytes = le64(data);
	} else if (!memcmp(row, guid_sector, 16)) {
		v->sector = le32(data);
	}
}

static int read_metadata(struct image *im, struct block_error *e)
{
	struct vhdx *v = im->state;
	const char *path = im->file->path;
	u8 *t = malloc(METADATA_BYTES);
	bool valid = t && !file_read_inside(im->file, v->metadata_at, t, METADATA_BYTES) &&
		     !memcmp(t, "metadata", 8) && le16(t + 10) <= ENTRIES_MAX;
	for (u32 i = 0; valid && i < le16(t + 10); i++)
		metadata_item(im, t + 32 + i * 32);
	free(t);
	if (v->flags & 2)
		return block_fail(e, -EINVAL, path,
				  "is a VHDX image that needs its parent (differencing): merge it "
				  "into one file first");
	if (!valid || v->block < MIB || v->block > BLOCK_MAX || v->block & (v->block - 1) ||
	    (v->sector != 512 && v->sector != 4096) || !v->bytes || v->bytes & 511 ||
	    v->bytes > IMAGE_BYTES_MAX)
		return block_fail(e, -EINVAL, path, "damaged VHDX image: its metadata is wrong");
	return 0;
}

/* After every so many blocks the table has an entry for a bitmap, which only differencing images
 * use. */
static int read_bat(struct image *im, struct block_error *e)
{
	struct vhdx *v = im->state;
	u64 chunk = ((u64)v->sector << 23) / v->block, n = v->m.entries;
	u64 rows = n + (n - 1) / chunk;
	u8 *t = rows * 8 <= v->bat_bytes ? malloc(rows * 8) : NULL;
	int r = t ? file_read_inside(im->file, v->bat_at, t, rows * 8) : -EINVAL;
	for (u64 i = 0; !r && i < n; i++) {
		u64 row = le64(t + (i + i / chunk) * 8), at = row >> 20 << 20;
		switch (row & 7) {
		case NOT_PRESENT:
		case UNDEFINED:
		case ZERO:
		case UNMAPPED: break;
		case FULLY_PRESENT:
			v->m.place[i] = at >= MIB && at < IMAGE_BYTES_MAX ? at : MAPPED_BAD;
			break;
		default: v->m.place[i] = MAPPED_BAD;
		}
	}
	free(t);
	return r ? block_fail(e, r, im->file->path,
			      "the block table cannot be read: the file is damaged or truncated")
		 : 0;
}

static int vhdx_open(struct image *im, struct block_error *e)
{
	struct vhdx *v = calloc(1, sizeof(*v));
	int r;
	im->state = v;
	if (!v)
		return block_fail(e, -ENOMEM, im->file->path, "out of memory");
	if ((r = read_headers(im, e)) || (r = read_regions(im, e)) || (r = read_metadata(im, e)) ||
	    (r = mapped_init(im, v->block, (v->bytes + v->block - 1) / v->block, e)))
		return r;
	im->bytes = v->bytes;
	return read_bat(im, e);
}

const struct image_format format_vhdx = {
    .name = "vhdx",
    .probe = vhdx_probe,
    .open = vhdx_open,
    .close = mapped_close,
    .read = mapped_read,
};
