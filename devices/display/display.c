/*
 * The picture between a display adapter and its viewers: see display.h. One surface, one lock, and a ring of the last
 * rectangles that changed, so that each viewer learns what changed since it last looked.
 */
#include "devices/display/display.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include "base/host.h"

#define FRAME_NS   16666667u
#define HISTORY    64u /* changes remembered; a viewer further behind copies everything */
#define BLANK_W    640u
#define BLANK_H    400u
#define PNG_HEADER 8

struct change {
	u64 generation;
	struct display_rect rect;
};

struct display {
	struct host_monitor *lock;
	struct display_surface surface;
	u64 room; /* pixels allocated */
	struct change history[HISTORY];
	struct display_rect drawn; /* what the drawing under way has changed */
	struct display_source source;
	bool all; /* the source has not drawn yet */
	u64 last_ns;
	atomic_uint viewers;
	atomic_bool requested;
	void (*changed)(void *ctx); /* under the lock, as its ctx */
	void *changed_ctx;
};

/* ---- rectangles -------------------------------------------------------------------------- */

static void join(struct display_rect *a, const struct display_rect *b)
{
	if (!b->w || !b->h)
		return;
	if (!a->w) {
		*a = *b;
		return;
	}
	u32 right = MAX(a->x + a->w, b->x + b->w), bottom = MAX(a->y + a->h, b->y + b->h);
	a->x = MIN(a->x, b->x);
	a->y = MIN(a->y, b->y);
	a->w = right - a->x;
	a->h = bottom - a->y;
}

static struct display_rect clip(const struct display_surface *s, u32 x, u32 y, u32 w, u32 h)
{
	if (x >= s->width || y >= s->height)
		return (struct display_rect){0};
	return (struct display_rect){x, y, MIN(w, s->width - x), MIN(h, s->height - y)};
}

/* ---- life -------------------------------------------------------------------------------- */

/* False, with the surface as it was, if there is no memory. */
static bool resize(struct display *d, u32 width, u32 height)
{
	struct display_surface *s = &d->surface;
	u64 need = (u64)width * height;
	if (s->width == width && s->height == height && s->pixels)
		return true;
	if (need > d->room) {
		u32 *grown = realloc(s->pixels, need * sizeof(u32));
		if (!grown)
			return false;
		s->pixels = grown;
		d->room = need;
	}
	memset(s->pixels, 0, need * sizeof(u32));
	s->width = s->stride = width;
	s->height = height;
	s->geometry++;
	d->drawn = (struct display_rect){0, 0, width, height};
	return true;
}

/* Under the lock: what was drawn becomes one change. */
static void commit(struct display *d)
{
	struct display_surface *s = &d->surface;
	if (!d->drawn.w)
		return;
	s->generation++;
	d->history[s->generation % HISTORY] = (struct change){s->generation, d->drawn};
	d->drawn = (struct display_rect){0};
	if (d->changed)
		d->changed(d->changed_ctx);
}

struct display *display_create(void)
{
	struct display *d = calloc(1, sizeof(*d));
	if (!d || !(d->lock = host_monitor_create())) {
		free(d);
		return NULL;
	}
	atomic_init(&d->viewers, 0);
	atomic_init(&d->requested, false);
	if (!resize(d, BLANK_W, BLANK_H)) {
		display_destroy(d);
		return NULL;
	}
	commit(d);
	return d;
}

void display_destroy(struct display *d)
{
	if (!d)
		return;
	host_monitor_destroy(d->lock);
	free(d->surface.pixels);
	free(d);
}

/* ---- the adapter's side ------------------------------------------------------------------ */

void display_set_source(struct display *d, const struct display_source *source)
{
	host_monitor_enter(d->lock);
	d->source = source ? *source : (struct display_source){0};
	d->all = true;
	if (!d->source.draw && resize(d, BLANK_W, BLANK_H)) {
		memset(d->surface.pixels, 0, (size_t)BLANK_W * BLANK_H * sizeof(u32));
		d->drawn = (struct display_rect){0, 0, BLANK_W, BLANK_H};
		commit(d);
	}
	host_monitor_leave(d->lock);
}

bool display_due(const struct display *d, u64 real_ns)
{
	if (atomic_load_explicit(&d->requested, memory_order_relaxed))
		return true;
	return atomic_load_explicit(&d->viewers, memory_order_relaxed) &&
	       real_ns - d->last_ns >= FRAME_NS;
}

void display_draw(struct display *d, u64 real_ns)
{
	bool all = d->all;
	atomic_store(&d->requested, false);
	d->last_ns = real_ns;
	d->all = false;
	if (d->source.draw)
		d->source.draw(d->source.ctx, d, all);
}

struct display_surface *display_begin(struct display *d, u32 width, u32 height, u32 aspect_w,
				      u32 aspect_h)
{
	host_monitor_enter(d->lock);
	/* without memory for the new size the old picture stays, and only part of it is drawn */
	resize(d, MAX(1, MIN(width, DISPLAY_MAX_WIDTH)), MAX(1, MIN(height, DISPLAY_MAX_HEIGHT)));
	if (d->surface.aspect_w != aspect_w || d->surface.aspect_h != aspect_h) {
		d->surface.aspect_w = aspect_w;
		d->surface.aspect_h = aspect_h;
		d->surface.geometry++;
	}
	return &d->surface;
}

void display_damage(struct display *d, u32 x, u32 y, u32 w, u32 h)
{
	struct display_rect r = clip(&d->surface, x, y, w, h);
	join(&d->drawn, &r);
}

void display_end(struct display *d)
{
	commit(d);
	host_monitor_leave(d->lock);
}

/* ---- the viewer's side ------------------------------------------------------------------- */

void display_attach(struct display *d)
{
	atomic_fetch_add(&d->viewers, 1);
	display_request(d);
}

void display_detach(struct display *d)
{
	atomic_fetch_sub(&d->viewers, 1);
}

void display_on_change(struct display *d, void (*changed)(void *ctx), void *ctx)
{
	host_monitor_enter(d->lock);
	d->changed = changed;
	d->changed_ctx = ctx;
	host_monitor_leave(d->lock);
}

bool display_watched(const struct display *d)
{
	return atomic_load_explicit(&d->viewers, memory_order_relaxed) != 0;
}

void display_request(struct display *d)
{
	atomic_store(&d->requested, true);
}

static struct display_rect changed_since(const struct display *d, u64 since)
{
	const struct display_surface *s = &d->surface;
	struct display_rect all = {0};
	if (since > s->generation || s->generation - since > HISTORY)
		return (struct display_rect){0, 0, s->width, s->height};
	for (u64 g = since + 1; g <= s->generation; g++)
		join(&all, &d->history[g % HISTORY].rect);
	return clip(s, all.x, all.y, all.w, all.h); /* an older picture may have been larger */
}

const struct display_surface *display_lock(struct display *d, u64 since,
					   struct display_rect *damage)
{
	host_monitor_enter(d->lock);
	if (damage)
		*damage = changed_since(d, since);
	return &d->surface;
}

void display_unlock(struct display *d)
{
	host_monitor_leave(d->lock);
}

/* ---- PNG (ISO/IEC 15948): 8-bit truecolour, no interlace, no filters ---------------------- */

static void put32be(u8 *p, u32 v)
{
	p[0] = (u8)(v >> 24);
	p[1] = (u8)(v >> 16);
	p[2] = (u8)(v >> 8);
	p[3] = (u8)v;
}

/* Appends a chunk whose @n bytes of data already stand at p + 8. Returns its end. */
static u8 *close_chunk(u8 *p, const char *type, u32 n)
{
	put32be(p, n);
	memcpy(p + 4, type, 4);
	put32be(p + 8 + n, (u32)crc32(0, p + 4, n + 4));
	return p + 12 + n;
}

/* The scan lines as PNG compresses them: a filter byte (0: none), then RGB. */
static u8 *scan_lines(const struct display_surface *s, uLong *n)
{
	size_t line = 1 + 3 * (size_t)s->width;
	u8 *raw = malloc(line * s->height), *p = raw;
	*n = (uLong)(line * s->height);
	for (u32 y = 0; raw && y < s->height; y++) {
		const u32 *in = s->pixels + (size_t)y * s->stride;
		*p++ = 0;
		for (u32 x = 0; x < s->width; x++) {
			*p++ = (u8)(in[x] >> 16);
			*p++ = (u8)(in[x] >> 8);
			*p++ = (u8)in[x];
		}
	}
	return raw;
}

static int encode_png(const struct display_surface *s, u8 **out, u64 *out_n)
{
	static const u8 signature[PNG_HEADER] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
	uLong raw_n, packed_n;
	u8 *raw = scan_lines(s, &raw_n);
	packed_n = compressBound(raw_n);
	u8 *png = malloc(packed_n + 100), *p = png;
	if (!raw || !png || packed_n > UINT32_MAX) {
		free(raw);
		free(png);
		return -ENOMEM;
	}
	memcpy(p, signature, sizeof(signature));
	p += sizeof(signature);
	put32be(p + 8, s->width);
	put32be(p + 12, s->height);
	memcpy(p + 16, "\x08\x02\x00\x00\x00", 5); /* 8 bits, RGB, deflate, standard filters, no interlace */
	p = close_chunk(p, "IHDR", 13);
	int z = compress2(p + 8, &packed_n, raw, raw_n, 6);
	free(raw);
	if (z != Z_OK) {
		free(png);
		return -ENOMEM;
	}
	p = close_chunk(p, "IDAT", (u32)packed_n);
	p = close_chunk(p, "IEND", 0);
	*out = png;
	*out_n = (u64)(p - png);
	return 0;
}

int display_screenshot(struct display *d, const char *path)
{
	u8 *png;
	u64 n;
	host_monitor_enter(d->lock);
	int e = encode_png(&d->surface, &png, &n);
	host_monitor_leave(d->lock);
	if (e)
		return e;
	e = host_file_write_atomic(path, png, n);
	free(png);
	return e;
}
