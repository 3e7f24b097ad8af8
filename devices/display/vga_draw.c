/*
 * VGA: from registers and memory to the picture. Text, planar, CGA-style and 256-colour modes are rendered line by line as
 * the CRTC would address them; lines that come out as they were are not reported. Linear DISPI modes are compared with a
 * copy of what was drawn last, so that the guest's stores to them cost nothing.
 *
 * Doubled lines and 256-colour dots are drawn once: mode 13h is 320 x 200 here, with a 4:3 shape.
 */
#include <stdlib.h>
#include "devices/display/vga_internal.h"

#define TEXT_W_MAX 2400u /* 256 characters of 9 dots */
#define FRAME_DEFAULT_NS 16683000u
#define BLACK 0u

/* ---- timing ------------------------------------------------------------------------------- */

static unsigned crtc_vertical(const struct vga *v, unsigned reg, unsigned bit8, unsigned bit9)
{
	unsigned over = v->crtc[7];
	return v->crtc[reg] | (over >> bit8 & 1) << 8 | (over >> bit9 & 1) << 9;
}

void vga_timing(struct vga *v)
{
	static const u32 clocks[4] = {25175000, 28322000, 25175000, 25175000};
	unsigned dots = v->seq[1] & 1 ? 8 : 9, htotal = v->crtc[0] + 5u;
	unsigned vtotal = crtc_vertical(v, 6, 0, 5) + 2, shown = crtc_vertical(v, 0x12, 1, 6) + 1;
	unsigned retrace = crtc_vertical(v, 0x10, 2, 7);
	unsigned length = (v->crtc[0x11] - retrace) & 15;
	u64 clock = clocks[v->misc >> 2 & 3] >> (v->seq[1] >> 3 & 1);
	v->line_ns = (u64)htotal * dots * 1000000000u / clock;
	v->frame_ns = v->line_ns * vtotal;
	if (v->frame_ns < 2000000 || v->frame_ns > 100000000) { /* not programmed: 60 Hz */
		vtotal = 449;
		shown = 400;
		retrace = 412;
		length = 2;
		v->line_ns = FRAME_DEFAULT_NS / vtotal;
		v->frame_ns = v->line_ns * vtotal;
	}
	v->visible_ns = v->line_ns * MIN(v->crtc[1] + 1u, htotal) / htotal;
	v->shown_lines_ns = v->line_ns * MIN(shown, vtotal);
	v->retrace_from_ns = v->line_ns * MIN(retrace, vtotal - 1);
	v->retrace_to_ns = v->retrace_from_ns + v->line_ns * (length ? length : 16);
}

/* ---- colours ------------------------------------------------------------------------------ */

static u32 dac_colour(const struct vga *v, unsigned i)
{
	const u8 *c = v->dac + (i & v->dac_mask) * 3;
	if (v->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC)
		return (u32)c[0] << 16 | (u32)c[1] << 8 | c[2];
	u32 rgb = (u32)(c[0] & 63) << 18 | (u32)(c[1] & 63) << 10 | (u32)(c[2] & 63) << 2;
	return rgb | (rgb >> 6 & 0x030303);
}

/* Colour of attribute @i (0..15) through palette and colour select register. */
static u32 attr_colour(const struct vga *v, unsigned i)
{
	unsigned c = v->attr[i & 15], select = v->attr[0x14];
	if (v->attr[0x10] & 0x80)
		c = (c & 0x0f) | (select & 3) << 4;
	return dac_colour(v, c | (select & 0x0c) << 4);
}

/* ---- what the registers describe ---------------------------------------------------------- */

enum pixels { PIXELS_TEXT, PIXELS_PLANAR, PIXELS_CGA, PIXELS_256 };

struct picture {
	enum pixels kind;
	unsigned chars, dots;   /* characters a line, dots of each */
	unsigned w, h;          /* pixels */
	unsigned fold;          /* scan lines drawn as one */
	unsigned rows;          /* scan lines in a character row */
	unsigned start, pitch;  /* address counter: of the first character, from row to row */
	unsigned first_row;     /* preset row scan */
	unsigned compare;       /* line compare: the first line of the lower part */
	unsigned pan;           /* pixels */
	bool pan_stops;         /* panning ends at the split */
	u32 colour[256];
	const struct vga *v;
	bool blink_off, cursor_on;
};

static unsigned pan_pixels(const struct vga *v, const struct picture *p)
{
	unsigned n = v->attr[0x13] & 15;
	if (p->kind == PIXELS_256)
		return n / 2 & 3;
	if (p->kind == PIXELS_TEXT && p->dots == 9)
		return n >= 8 ? 0 : n + 1;
	return n & 7;
}

static void describe(const struct vga *v, struct picture *p)
{
	unsigned scan = v->crtc[9];
	p->v = v;
	p->kind = !(v->attr[0x10] & 1) ? PIXELS_TEXT
		  : v->gc[5] & 0x40    ? PIXELS_256
		  : v->gc[5] & 0x20    ? PIXELS_CGA
				       : PIXELS_PLANAR;
	p->dots = p->kind != PIXELS_TEXT || v->seq[1] & 1 ? 8 : 9;
	p->chars = v->crtc[1] + 1u;
	p->w = p->kind == PIXELS_256 ? p->chars * 4 : p->chars * p->dots;
	p->rows = (scan & 0x1f) + 1u;
	p->fold = scan & 0x80 ? 2 : 1;
	/* graphics whose rows do not differ by the row counter: repeated lines are one */
	if (p->kind != PIXELS_TEXT && (v->crtc[0x17] & 3) == 3) {
		p->fold *= p->rows;
		p->rows = 1;
	}
	unsigned lines = crtc_vertical(v, 0x12, 1, 6) + 1;
	p->h = MAX(1, lines / p->fold);
	p->start = (unsigned)(v->crtc[0xc] << 8 | v->crtc[0xd]) + (v->crtc[8] >> 5 & 3);
	p->pitch = v->crtc[0x13] * 2u;
	p->first_row = v->crtc[8] & 0x1f;
	p->compare = (unsigned)(v->crtc[0x18] | (v->crtc[7] & 0x10) << 4 | (v->crtc[9] & 0x40) << 3);
	p->compare = (p->compare + 1) / p->fold;
	p->pan_stops = v->attr[0x10] & 0x20;
	p->pan = pan_pixels(v, p);
	for (unsigned i = 0; i < 256; i++)
		p->colour[i] = p->kind == PIXELS_256 ? dac_colour(v, i) : attr_colour(v, i);
}

/* From the address counter and the row counter to the offset in the planes (CRTC 14h, 17h). */
static unsigned translate(const struct picture *p, unsigned ma, unsigned row)
{
	const struct vga *v = p->v;
	unsigned mode = v->crtc[0x17], a = ma;
	if (v->crtc[0x14] & 0x40) {
		/* chain-4 offsets are packed here (vga_mem.c) */
		if (!(v->seq[4] & 8))
			a = ma << 2 | (ma >> 14 & 3);
	} else if (!(mode & 0x40)) {
		a = ma << 1 | (ma >> (mode & 0x20 ? 15 : 13) & 1);
	}
	if (!(mode & 1))
		a = (a & ~0x2000u) | (row & 1) << 13;
	if (!(mode & 2))
		a = (a & ~0x4000u) | (row & 2) << 13;
	return a & VGA_PLANE_MASK;
}

static u32 fetch(const struct picture *p, unsigned ma, unsigned row)
{
	u32 w;
	memcpy(&w, p->v->vram + translate(p, ma, row) * 4, 4);
	return w;
}

/* ---- lines -------------------------------------------------------------------------------- */

/* Bit 7-i of a byte goes to bit 4 i: four planes together give eight 4-bit pixels. */
static u32 spread(u8 b)
{
	u32 x = 0;
	for (unsigned i = 0; i < 8; i++)
		x |= (u32)(b >> (7 - i) & 1) << (4 * i);
	return x;
}

static void planar8(const struct picture *p, const u32 *table, u32 w, u32 *out)
{
	u32 px = table[w & 255] | table[w >> 8 & 255] << 1 | table[w >> 16 & 255] << 2 |
		 table[w >> 24] << 3;
	for (unsigned i = 0; i < 8; i++, px >>= 4)
		out[i] = p->colour[px & 15];
}

/* Two bits from an even plane, two more from the plane above it (shift register interleave, GC 5 bit 5). */
static void cga8(const struct picture *p, u32 w, u32 *out)
{
	unsigned enable = p->v->attr[0x12];
	for (unsigned i = 0; i < 8; i++) {
		unsigned shift = 6 - 2 * (i & 3), odd = i < 4 ? 0 : 8;
		unsigned px = (w >> (odd + shift) & 3) | (w >> (16 + odd + shift) & 3) << 2;
		out[i] = p->colour[px & enable];
	}
}

struct glyphs {
	unsigned a, b; /* offsets in plane 2 of fonts for attribute bit 3 set and clear */
};

/* Character map select (SEQ 3): bits 0, 1, 4 choose font B, bits 2, 3, 5 font A, in units of 8 KiB with a twist. */
static struct glyphs fonts(const struct vga *v)
{
	static const u16 at[8] = {0x0000, 0x4000, 0x8000, 0xc000, 0x2000, 0x6000, 0xa000, 0xe000};
	unsigned s = v->seq[3];
	return (struct glyphs){at[(s >> 2 & 3) | (s >> 3 & 4)], at[(s & 3) | (s >> 2 & 4)]};
}

static u8 glyph_row(const struct picture *p, const struct glyphs *g, u8 ch, u8 attr, unsigned row)
{
	unsigned at = (attr & 8 ? g->a : g->b) + ch * 32u + (row & 31);
	return p->v->vram[(at & VGA_PLANE_MASK) * 4 + 2];
}

static bool cursor_here(const struct picture *p, unsigned ma, unsigned row)
{
	const struct vga *v = p->v;
	unsigned at = (unsigned)(v->crtc[0xe] << 8 | v->crtc[0xf]) + (v->crtc[0xb] >> 5 & 3);
	return p->cursor_on && !(v->crtc[0xa] & 0x20) && (ma & 0xffff) == (at & 0xffff) &&
	       row >= (v->crtc[0xa] & 0x1fu) && row <= (v->crtc[0xb] & 0x1fu);
}

static void text_cell(const struct picture *p, const struct glyphs *g, unsigned ma, unsigned row,
		      u32 *out)
{
	const struct vga *v = p->v;
	u32 w = fetch(p, ma, row);
	u8 ch = (u8)w, attr = (u8)(w >> 8), bits = glyph_row(p, g, ch, attr, row);
	unsigned fg = attr & 15, bg = attr >> 4;
	bool ninth = v->attr[0x10] & 4 && ch >= 0xc0 && ch <= 0xdf && bits & 1;
	if (v->attr[0x10] & 8) {
		bg &= 7;
		if (attr & 0x80 && p->blink_off) {
			bits = 0;
			ninth = false;
		}
	}
	if ((row == (v->crtc[0x14] & 0x1fu) && (attr & 0x77) == 1) || cursor_here(p, ma, row)) {
		bits = 0xff;
		ninth = true;
	}
	u32 f = p->colour[fg & v->attr[0x12]], b = p->colour[bg & v->attr[0x12]];
	for (unsigned i = 0; i < 8; i++)
		out[i] = bits << i & 0x80 ? f : b;
	if (p->dots == 9)
		out[8] = ninth ? f : b;
}

/* One line of characters into @out, which has room for one more than is shown. */
static void render(const struct picture *p, const u32 *table, unsigned ma, unsigned row, u32 *out)
{
	const struct glyphs g = fonts(p->v);
	u8 enable = p->v->attr[0x12];
	u32 planes = ((enable & 1) | (enable & 2u) << 7 | (enable & 4u) << 14 | (enable & 8u) << 21) * 255u;
	bool by2 = p->v->crtc[0x17] & 8, by4 = p->v->crtc[0x14] & 0x20;
	for (unsigned i = 0; i <= p->chars; i++) {
		unsigned a = ma + (by4 ? i / 4 : by2 ? i / 2 : i);
		switch (p->kind) {
		case PIXELS_TEXT: text_cell(p, &g, a, row, out); break;
		case PIXELS_PLANAR: planar8(p, table, fetch(p, a, row) & planes, out); break;
		case PIXELS_CGA: cga8(p, fetch(p, a, row), out); break;
		case PIXELS_256: {
			u32 w = fetch(p, a, row);
			for (unsigned k = 0; k < 4; k++, w >>= 8)
				out[k] = p->colour[w & 255];
			out += 4;
			continue;
		}
		}
		out += p->dots;
	}
}

/* Puts a finished line into the surface; what differs is damage. */
static void put_line(struct display *d, struct display_surface *s, unsigned y, const u32 *line,
		     unsigned w)
{
	u32 *to = s->pixels + (size_t)y * s->stride;
	unsigned a = 0, b = w;
	while (a < b && to[a] == line[a])
		a++;
	if (a == b)
		return;
	while (to[b - 1] == line[b - 1])
		b--;
	memcpy(to + a, line + a, (b - a) * sizeof(u32));
	display_damage(d, a, y, b - a, 1);
}

static void draw_vga(const struct vga *v, const struct picture *p, struct display *d,
		     struct display_surface *s)
{
	u32 line[TEXT_W_MAX], table[256];
	unsigned ma = p->start, row = p->first_row, pan = p->pan;
	for (unsigned i = 0; i < 256; i++)
		table[i] = spread((u8)i);
	for (unsigned y = 0; y < p->h && y < s->height; y++) {
		if (y == p->compare) {
			ma = row = 0;
			if (p->pan_stops)
				pan = 0;
		}
		render(p, table, ma, row, line);
		put_line(d, s, y, line + pan, MIN(p->w, s->width));
		if (row == p->rows - 1 || row == 31) {
			row = 0;
			ma += p->pitch;
		} else {
			row++;
		}
	}
}

static void draw_blank(struct display *d, struct display_surface *s)
{
	for (unsigned y = 0; y < s->height; y++) {
		u32 *to = s->pixels + (size_t)y * s->stride;
		for (unsigned x = 0; x < s->width; x++)
			if (to[x] != BLACK) {
				memset(to, 0, s->width * sizeof(u32));
				display_damage(d, 0, y, s->width, 1);
				break;
			}
	}
}

/* ---- linear modes ------------------------------------------------------------------------- */

static u32 from555(unsigned c)
{
	u32 rgb = (c & 0x7c00) << 9 | (c & 0x3e0) << 6 | (c & 0x1f) << 3;
	return rgb | (rgb >> 5 & 0x070707);
}

static u32 from565(unsigned c)
{
	u32 rb = (c & 0xf800) << 8 | (c & 0x1f) << 3, g = (c & 0x7e0) << 5;
	return rb | (rb >> 5 & 0x070007) | g | (g >> 6 & 0x0300);
}

static void convert(const struct vga *v, const u32 *colour, const u8 *in, u32 *out, unsigned n)
{
	u16 w;
	switch (v->dispi[DISPI_BPP]) {
	case 8:
		for (unsigned i = 0; i < n; i++)
			out[i] = colour[in[i]];
		break;
	case 15:
	case 16:
		for (unsigned i = 0; i < n; i++) {
			memcpy(&w, in + i * 2, 2);
			out[i] = v->dispi[DISPI_BPP] == 15 ? from555(w) : from565(w);
		}
		break;
	case 24:
		for (unsigned i = 0; i < n; i++)
			out[i] = in[i * 3] | (u32)in[i * 3 + 1] << 8 | (u32)in[i * 3 + 2] << 16;
		break;
	default:
		for (unsigned i = 0; i < n; i++) {
			memcpy(out + i, in + i * 4, 4);
			out[i] &= 0xffffff;
		}
		break;
	}
}

static u64 linear_key(const struct vga *v)
{
	u64 k = hash_bytes(1, v->dispi, sizeof(v->dispi));
	k = hash_bytes(k, v->dac, v->dispi[DISPI_BPP] == 8 ? sizeof(v->dac) : 0);
	return k + v->dac_mask;
}

/* Where line @y of the picture starts in the frame buffer, or NULL if it reaches beyond the end. */
static const u8 *linear_line(const struct vga *v, unsigned y, u64 bytes)
{
	unsigned bpp = v->dispi[DISPI_BPP];
	u64 at = (u64)(v->dispi[DISPI_Y_OFFSET] + y) * vga_dispi_pitch(v) +
		 (u64)v->dispi[DISPI_X_OFFSET] * ((bpp + 7) / 8);
	return at + bytes <= v->vram_bytes ? v->vram + at : NULL;
}

static void draw_linear(struct vga *v, struct display *d, struct display_surface *s, bool all)
{
	unsigned w = MIN(v->dispi[DISPI_XRES], s->width);
	u64 bytes = (u64)w * ((v->dispi[DISPI_BPP] + 7u) / 8), need = bytes * s->height;
	u32 colour[256];
	u64 key = linear_key(v);
	if (need > v->shadow_bytes) {
		u8 *grown = realloc(v->shadow, need);
		if (!grown)
			return;
		v->shadow = grown;
		v->shadow_bytes = need;
		all = true;
	}
	all |= key != v->shadow_key;
	v->shadow_key = key;
	for (unsigned i = 0; i < 256; i++)
		colour[i] = dac_colour(v, i);
	for (unsigned y = 0; y < s->height; y++) {
		const u8 *in = linear_line(v, y, bytes);
		u8 *old = v->shadow + y * bytes;
		if (!in || (!all && !memcmp(in, old, bytes)))
			continue;
		u32 line[DISPLAY_MAX_WIDTH];
		memcpy(old, in, bytes);
		convert(v, colour, old, line, w);
		put_line(d, s, y, line, w);
	}
}

/* 16 colours beyond 64 KiB a plane: planar, without a CRTC. */
static void draw_dispi16(const struct vga *v, struct display *d, struct display_surface *s)
{
	struct picture p = {.v = v};
	u32 line[DISPLAY_MAX_WIDTH + 8], table[256];
	unsigned pitch = v->dispi[DISPI_VIRT_WIDTH] / 8u, left = v->dispi[DISPI_X_OFFSET] / 8u;
	for (unsigned i = 0; i < 256; i++) {
		table[i] = spread((u8)i);
		p.colour[i] = attr_colour(v, i);
	}
	for (unsigned y = 0; y < s->height; y++) {
		u64 at = (u64)(v->dispi[DISPI_Y_OFFSET] + y) * pitch + left;
		for (unsigned x = 0; x < s->width; x += 8, at++) {
			u32 w;
			memcpy(&w, v->vram + (at * 4 & (v->vram_bytes - 4)), 4);
			planar8(&p, table, w, line + x);
		}
		put_line(d, s, y, line, s->width);
	}
}

/* ---- the drawing -------------------------------------------------------------------------- */

static void draw_dispi(struct vga *v, struct display *d, bool all)
{
	unsigned w = v->dispi[DISPI_XRES], h = v->dispi[DISPI_YRES];
	struct display_surface *s = display_begin(d, w, h, 0, 0);
	if (s->width == w && s->height == h) {
		if (v->dispi[DISPI_BPP] == 4)
			draw_dispi16(v, d, s);
		else
			draw_linear(v, d, s, all);
	}
	display_end(d);
}

void vga_draw(void *ctx, struct display *d, bool all)
{
	struct vga *v = ctx;
	struct picture p;
	u64 frame = clock_now(v->dev.env->clock) / v->frame_ns, phase = frame >> 3;
	bool plain = v->linear && v->linear->reads; /* stores are not seen */
	if (vga_dispi_on(v)) {
		v->touched = true; /* for when it is left */
		draw_dispi(v, d, all);
		return;
	}
	v->shadow_key = 0;
	if (!all && !v->touched && !plain && (phase == v->blink || v->attr[0x10] & 1))
		return;
	v->touched = false;
	v->blink = phase;
	describe(v, &p);
	p.cursor_on = !(phase & 1);
	p.blink_off = phase & 2;
	bool off = v->seq[1] & 0x20 || !(v->attr_index & 0x20) || !v->seq[0] || p.h < 8 || p.w < 8;
	if (off && (p.h < 100 || p.w < 100)) {
		p.w = 640;
		p.h = 400;
	}
	struct display_surface *s = display_begin(d, p.w, p.h, 4, 3);
	if (s->width == p.w && s->height == p.h) {
		if (off)
			draw_blank(d, s);
		else
			draw_vga(v, &p, d, s);
	}
	display_end(d);
}
