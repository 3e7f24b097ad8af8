/*
 * The volatile overlay of -snapshot and snapshot=on: what is written goes into an unnamed temporary file, unit for unit, in the
 * order in which units are first written; a map tells where each is. All is gone when the image is closed.
 *
 * A mark (block_mark()) is a copy of the map, pieces of which are shared until they change. Units that a mark may point at are
 * never written again: a write to one takes a new place. So going back to a mark is putting back its map.
 */
#include "devices/backends/block_internal.h"

#include <stdlib.h>

#define UNIT  BLOCK_UNIT
#define PIECE 1024u /* units of a piece of the map */

struct piece {
	u32 refs;
	u32 place[PIECE]; /* 0: not here; else the unit stands at (place - 1) * UNIT of the file */
};

struct overlay {
	struct block_file *file;
	struct piece **map; /* NULL: nothing of it is here */
	u64 pieces;
	u32 next;   /* the first place that was never used */
	u32 frozen; /* places below it may belong to marks */
};

struct overlay_mark {
	struct piece *map[1]; /* o->pieces of them */
};

static u32 place_of(const struct overlay *o, u64 unit)
{
	const struct piece *p = o->map[unit / PIECE];
	return p ? p->place[unit % PIECE] : 0;
}

static u64 offset_of(u32 place)
{
	return (u64)(place - 1) * UNIT;
}

/* Bytes from @at up to @n that are all here, side by side, or all not; *@place: of the first. */
static u64 run_length(const struct overlay *o, u64 at, u64 n, u32 *place)
{
	u64 unit = at / UNIT, len = UNIT - at % UNIT;
	u32 next = *place = place_of(o, unit);
	while (len < n && place_of(o, ++unit) == (next ? ++next : 0))
		len += UNIT;
	return MIN(len, n);
}

static int overlay_read(struct image *im, u64 at, u8 *data, u64 n)
{
	struct overlay *o = im->state;
	int r = 0;
	while (n && !r) {
		u32 place;
		u64 len = run_length(o, at, n, &place);
		r = place ? file_read(o->file, offset_of(place) + at % UNIT, data, len)
			  : image_read_backing(im, at, data, len);
		at += len;
		data += len;
		n -= len;
	}
	return r;
}

/* The piece of the map for @unit, which nobody shares; NULL: no memory. */
static struct piece *own_piece(struct overlay *o, u64 unit)
{
	struct piece **at = &o->map[unit / PIECE], *old = *at;
	if (old && old->refs == 1)
		return old;
	struct piece *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	if (old) {
		memcpy(p, old, sizeof(*p));
		old->refs--;
	}
	p->refs = 1;
	return *at = p;
}

/* Writes @n bytes that lie in one unit. */
static int write_unit(struct image *im, u64 at, const u8 *data, u64 n)
{
	struct overlay *o = im->state;
	u8 whole[UNIT];
	u64 base = at - at % UNIT;
	struct piece *p = own_piece(o, at / UNIT);
	if (!p)
		return -ENOMEM;
	u32 *place = &p->place[at / UNIT % PIECE];
	if (*place >= o->frozen && *place)
		return file_write(o->file, offset_of(*place) + at % UNIT, data, n);
	if (o->next == UINT32_MAX)
		return -ENOSPC;
	if (n < UNIT) {
		int r = *place ? file_read(o->file, offset_of(*place), whole, UNIT)
			       : image_read_backing(im, base, whole, UNIT);
		if (r)
			return r;
		memcpy(whole + at % UNIT, data, n);
		data = whole;
	}
	int r = file_write(o->file, offset_of(o->next), data, UNIT);
	if (!r)
		*place = o->next++;
	return r;
}

static int overlay_write(struct image *im, u64 at, const u8 *data, u64 n)
{
	int r = 0;
	while (n && !r) {
		u64 len = MIN(n, UNIT - at % UNIT);
		r = write_unit(im, at, data, len);
		at += len;
		data += len;
		n -= len;
	}
	return r;
}

static void drop_map(struct piece **map, u64 pieces)
{
	for (u64 i = 0; i < pieces; i++)
		if (map[i] && !--map[i]->refs)
			free(map[i]);
}

struct overlay_mark *overlay_mark(struct image *im)
{
	struct overlay *o = im->state;
	struct overlay_mark *k = malloc(sizeof(*k) + o->pieces * sizeof(k->map[0]));
	if (!k)
		return NULL;
	for (u64 i = 0; i < o->pieces; i++) {
		k->map[i] = o->map[i];
		if (k->map[i])
			k->map[i]->refs++;
	}
	o->frozen = o->next;
	return k;
}

void overlay_rewind(struct image *im, const struct overlay_mark *k)
{
	struct overlay *o = im->state;
	for (u64 i = 0; i < o->pieces; i++)
		if (k->map[i])
			k->map[i]->refs++;
	drop_map(o->map, o->pieces);
	memcpy(o->map, k->map, o->pieces * sizeof(k->map[0]));
	o->frozen = o->next;
}

void overlay_unmark(struct image *im, struct overlay_mark *k)
{
	const struct overlay *o = im->state;
	if (k)
		drop_map(k->map, o->pieces);
	free(k);
}

int overlay_each(struct image *im, int (*put)(void *ctx, u64 unit, const u8 *data), void *ctx)
{
	struct overlay *o = im->state;
	u8 data[UNIT];
	int r = 0;
	for (u64 i = 0; i < o->pieces && !r; i++)
		for (u64 k = 0; o->map[i] && k < PIECE && !r; k++) {
			u32 place = o->map[i]->place[k];
			if (place && !(r = file_read(o->file, offset_of(place), data, UNIT)))
				r = put(ctx, i * PIECE + k, data);
		}
	return r;
}

int overlay_put(struct image *im, u64 unit, const u8 *data)
{
	const struct overlay *o = im->state;
	return unit / PIECE < o->pieces ? write_unit(im, unit * UNIT, data, UNIT) : -ERANGE;
}

void overlay_clear(struct image *im)
{
	struct overlay *o = im->state;
	drop_map(o->map, o->pieces);
	memset(o->map, 0, o->pieces * sizeof(o->map[0]));
}

static void overlay_close(struct image *im)
{
	struct overlay *o = im->state;
	if (!o)
		return;
	file_close(o->file);
	if (o->map)
		drop_map(o->map, o->pieces);
	free(o->map);
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
	o->next = o->frozen = 1;
	o->pieces = base->bytes / UNIT / PIECE + 1;
	o->map = calloc(o->pieces, sizeof(o->map[0]));
	if (!o->map)
		block_fail(e, -ENOMEM, base->file->path, "no memory for the overlay's map");
	else
		o->file = file_temporary(e);
	if (o->file)
		return im;
	image_close(im);
	return NULL;
}
