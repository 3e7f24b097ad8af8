/*
 * The volatile overlay of -snapshot and snapshot=on: what is written goes into an unnamed temporary
 * file, block for block at its own place; a map tells which blocks are there. All is gone when the
 * image is closed.
 */
#include "devices/backends/block_internal.h"

#include <stdlib.h>
#include "base/host.h"

#define UNIT 4096u /* bytes per bit of the map */

struct overlay {
	struct block_file *file;
	u8 *map;
	u64 map_bytes;
};

static bool present(const struct overlay *o, u64 unit)
{
	return o->map[unit >> 3] >> (unit & 7) & 1;
}

/* Bytes from @at up to @n that are all here, or all not. */
static u64 run_length(const struct overlay *o, u64 at, u64 n, bool *here)
{
	u64 unit = at / UNIT, len = UNIT - at % UNIT;
	*here = present(o, unit);
	while (len < n && present(o, ++unit) == *here)
		len += UNIT;
	return MIN(len, n);
}

static int overlay_read(struct image *im, u64 at, u8 *data, u64 n)
{
	struct overlay *o = im->state;
	int r = 0;
	while (n && !r) {
		bool here;
		u64 len = run_length(o, at, n, &here);
		r = here ? file_read(o->file, at, data, len)
			 : image_read_backing(im, at, data, len);
		at += len;
		data += len;
		n -= len;
	}
	return r;
}

/* Brings the whole unit around @at here, so that part of it can be written. */
static int bring(struct image *im, u64 at)
{
	struct overlay *o = im->state;
	u8 unit[UNIT];
	u64 base = at - at % UNIT;
	if (present(o, at / UNIT))
		return 0;
	int r = image_read_backing(im, base, unit, UNIT);
	if (!r)
		r = file_write(o->file, base, unit, UNIT);
	if (!r)
		o->map[at / UNIT >> 3] |= (u8)BIT(at / UNIT & 7);
	return r;
}

static int overlay_write(struct image *im, u64 at, const u8 *data, u64 n)
{
	struct overlay *o = im->state;
	int r = at % UNIT ? bring(im, at) : 0;
	if (!r && (at + n) % UNIT)
		r = bring(im, at + n - 1);
	if (!r)
		r = file_write(o->file, at, data, n);
	for (u64 unit = at / UNIT; !r && unit <= (at + n - 1) / UNIT; unit++)
		o->map[unit >> 3] |= (u8)BIT(unit & 7);
	return r;
}

static void overlay_close(struct image *im)
{
	struct overlay *o = im->state;
	if (!o)
		return;
	file_close(o->file);
	if (o->map)
		host_free_pages(o->map, o->map_bytes);
	free(o);
}

const struct image_format format_overlay = {
    .name = "overlay", .close = overlay_close, .read = overlay_read, .write = overlay_write};

struct image *overlay_open(struct image *base, struct block_error *e)
{
	struct image *im = calloc(1, sizeof(*im));
	struct overlay *o = calloc(1, sizeof(*o));
	if (!im || !o) {
		free(im);
		free(o);
		image_close(base);
		block_fail(e, -ENOMEM, NULL, "out of memory");
		return NULL;
	}
	*im = (struct image){.format = &format_overlay,
			     .backing = base,
			     .bytes = base->bytes,
			     .writable = true,
			     .complain = base->complain,
			     .ctx = base->ctx,
			     .state = o};
	o->map_bytes = (base->bytes / UNIT / 8 + 4096) & ~4095ull;
	o->map = host_alloc_pages(o->map_bytes);
	if (!o->map)
		block_fail(e, -ENOMEM, base->file->path, "no memory for the overlay's map");
	else
		o->file = file_temporary(e);
	if (o->file)
		return im;
	image_close(im);
	return NULL;
}
