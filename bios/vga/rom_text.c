/* Characters, cursor, pages, scrolling, pixels: INT 10h functions 01h-0Eh and 13h, in text and graphics modes. */
#include "bios/vga/rom.h"

static u8 columns(void)
{
	return peek8(BDA, BDA_COLUMNS);
}

static u8 last_row(void)
{
	return peek8(BDA, BDA_ROWS);
}

static u8 char_height(void)
{
	return peek8(BDA, BDA_HEIGHT);
}

/* ---- cursor and pages ------------------------------------------------------------------------ */

/* CGA shapes are for eight lines; "emulation" (data area 87h bit 0 clear) stretches them to the cell. */
static void fit_shape(u8 *start, u8 *end)
{
	u8 height = char_height(), s = *start & 0x1f, e = *end & 0x1f;
	if (peek8(BDA, BDA_CONTROL) & 1 || height <= 8 || e >= 8 || s >= 0x20)
		return;
	if (e == s + 1 || e == s)
		*start = (u8)((*start & 0xe0) | ((e + 1) * height / 8 - (e - s) - 2 + (e != 7)));
	else
		*start = (u8)((*start & 0xe0) | (s + 1) * height / 8) - 1;
	*end = (u8)((e + 1) * height / 8 - 1);
	if (e == 7 && s >= 6) { /* the underline: two lines, one above the last */
		*end = (u8)(height - 2);
		*start = (u8)((*start & 0xe0) | (height - 2 - (e - s)));
	}
}

void set_cursor_shape(u8 start, u8 end)
{
	u16 crtc = crtc_base();
	poke16(BDA, BDA_SHAPE, (u16)(start << 8 | end));
	fit_shape(&start, &end);
	out_index(crtc, 10, start & 0x3f);
	out_index(crtc, 11, end & 0x1f);
}

static u16 cursor_of(u8 page)
{
	return peek16(BDA, (u16)(BDA_CURSOR + (page & 7) * 2));
}

void set_cursor_position(u8 page, u8 row, u8 column)
{
	u16 crtc = crtc_base();
	poke16(BDA, (u16)(BDA_CURSOR + (page & 7) * 2), (u16)(row << 8 | column));
	if (page != peek8(BDA, BDA_PAGE))
		return;
	u16 at = (u16)(peek16(BDA, BDA_START) / 2 + row * columns() + column);
	out_index(crtc, 14, (u8)(at >> 8));
	out_index(crtc, 15, (u8)at);
}

void set_page(u8 page)
{
	u16 crtc = crtc_base(), start = (u16)(page * peek16(BDA, BDA_PAGESIZE));
	const ROM struct video_mode *m = mode_current();
	if (page >= 8)
		return;
	poke16(BDA, BDA_START, start);
	poke8(BDA, BDA_PAGE, page);
	if (m->kind != KIND_PLANAR)
		start /= 2;
	out_index(crtc, 12, (u8)(start >> 8));
	out_index(crtc, 13, (u8)start);
	set_cursor_position(page, (u8)(cursor_of(page) >> 8), (u8)cursor_of(page));
}

/* ---- graphics: pixels and glyphs ------------------------------------------------------------- */

/* Start of character line @row, scan line @line, column @column in a graphics mode. */
static u16 graphics_at(const ROM struct video_mode *m, u8 page, u16 y, u8 column)
{
	if (m->kind == KIND_CGA1)
		return (u16)((y & 1) * 0x2000 + (y >> 1) * 80 + column);
	if (m->kind == KIND_CGA2)
		return (u16)((y & 1) * 0x2000 + (y >> 1) * 80 + column * 2);
	if (m->kind == KIND_256)
		return (u16)(y * 320 + column * 8);
	return (u16)(page * peek16(BDA, BDA_PAGESIZE) + y * m->columns + column);
}

/* Eight pixels of a planar mode: bits of @bits in colour @colour; with @exclusive they are inverted, else the rest is
 * background 0. */
static void planar_byte(u16 at, u8 bits, u8 colour, bool exclusive)
{
	out_index(0x3c4, 2, 15);
	out_index(0x3ce, 0, exclusive ? colour & 15 : 0);
	if (!exclusive) {
		out_index(0x3ce, 1, 15);
		out_index(0x3ce, 8, 0xff);
		poke8(0xa000, at, 0);
		out_index(0x3ce, 0, colour & 15);
	} else {
		out_index(0x3ce, 3, 0x18);
	}
	out_index(0x3ce, 1, 15);
	out_index(0x3ce, 8, bits);
	peek8(0xa000, at);
	poke8(0xa000, at, 0xff);
	out_index(0x3ce, 8, 0xff);
	out_index(0x3ce, 1, 0);
	out_index(0x3ce, 0, 0);
	out_index(0x3ce, 3, 0);
}

/* Each bit of a glyph row as the two bits of a CGA pixel. */
static u16 double_bits(u8 b, u8 colour)
{
	u16 r = 0;
	for (u8 i = 0; i < 8; i++)
		r = (u16)(r << 2 | (b >> (7 - i) & 1 ? colour & 3 : 0));
	return r;
}

static void glyph_line(const ROM struct video_mode *m, u16 at, u8 bits, u8 colour)
{
	bool exclusive = colour & 0x80;
	switch (m->kind) {
	case KIND_CGA1: poke8(0xb800, at, exclusive ? bits ^ peek8(0xb800, at) : bits); break;
	case KIND_CGA2: {
		u16 w = double_bits(bits, colour);
		w = (u16)(w >> 8 | w << 8);
		poke16(0xb800, at, exclusive ? w ^ peek16(0xb800, at) : w);
		break;
	}
	case KIND_PLANAR: planar_byte(at, bits, colour, exclusive); break;
	case KIND_256:
		for (u8 i = 0; i < 8; i++) /* the page of a 256-colour mode is its background */
			poke8(0xa000, at + i, bits << i & 0x80 ? colour : 0);
		break;
	default: break;
	}
}

static u32 glyph_address(const ROM struct video_mode *m, u8 c, u8 height)
{
	u32 font = peek32(0, INT_FONT);
	if (m->segment == 0xb800 && c >= 128) {
		font = peek32(0, INT_FONT_HIGH);
		c -= 128;
	}
	return (font & 0xffff0000u) | (u16)(font + c * height);
}

static void draw_glyph(const ROM struct video_mode *m, u8 page, u8 row, u8 column, u8 c, u8 colour)
{
	u8 height = char_height();
	u32 glyph = glyph_address(m, c, height);
	for (u8 i = 0; i < height; i++)
		glyph_line(m, graphics_at(m, page, (u16)(row * height + i), column),
			   peek8((u16)(glyph >> 16), (u16)(glyph + i)), colour);
}

/* One row of pixels as bits where the picture is not background. */
static u8 read_line(const ROM struct video_mode *m, u16 at)
{
	u8 bits = 0;
	if (m->kind == KIND_CGA1)
		return peek8(0xb800, at);
	if (m->kind == KIND_PLANAR) {
		out_index(0x3ce, 5, 8); /* read mode 1: which pixels are 0 */
		out_index(0x3ce, 2, 0);
		out_index(0x3ce, 7, 15);
		bits = (u8)~peek8(0xa000, at);
		out_index(0x3ce, 5, 0);
		return bits;
	}
	for (u8 i = 0; i < 8; i++) {
		u8 pixel = m->kind == KIND_256 ? peek8(0xa000, at + i)
					       : peek8(0xb800, at + i / 4) >> (6 - (i & 3) * 2) & 3;
		bits = (u8)(bits << 1 | (pixel != 0));
	}
	return bits;
}

static u8 read_glyph(const ROM struct video_mode *m, u8 page, u8 row, u8 column)
{
	u8 height = char_height(), seen[16];
	for (u8 i = 0; i < height && i < 16; i++)
		seen[i] = read_line(m, graphics_at(m, page, (u16)(row * height + i), column));
	for (u16 c = 0; c < 256; c++) {
		u32 glyph = glyph_address(m, (u8)c, height);
		u8 i = 0;
		while (i < height && i < 16 && peek8((u16)(glyph >> 16), (u16)(glyph + i)) == seen[i])
			i++;
		if (i == height)
			return (u8)c;
	}
	return 0;
}

static void pixel(struct regs *r, bool write)
{
	const ROM struct video_mode *m = mode_current();
	u16 x = (u16)r->ecx, y = (u16)r->edx;
	u8 colour = AL(r), shift;
	u16 at = graphics_at(m, BH(r), y, (u8)(x >> 3));
	switch (m->kind) {
	case KIND_CGA1:
	case KIND_CGA2:
		at += m->kind == KIND_CGA2 ? x >> 2 & 1 : 0;
		shift = (u8)(m->kind == KIND_CGA2 ? 6 - (x & 3) * 2 : 7 - (x & 7));
		u8 mask = (u8)((m->kind == KIND_CGA2 ? 3 : 1) << shift), old = peek8(0xb800, at);
		if (!write)
			SET_AL(r, (old & mask) >> shift);
		else if (colour & 0x80)
			poke8(0xb800, at, old ^ (colour << shift & mask));
		else
			poke8(0xb800, at, (u8)((old & ~mask) | (colour << shift & mask)));
		break;
	case KIND_256:
		at = (u16)(y * 320 + x);
		if (write)
			poke8(0xa000, at, colour);
		else
			SET_AL(r, peek8(0xa000, at));
		break;
	case KIND_PLANAR:
		if (write) {
			u8 bit = 0x80 >> (x & 7);
			out_index(0x3ce, 8, bit);
			out_index(0x3ce, 5, 2);
			if (colour & 0x80)
				out_index(0x3ce, 3, 0x18);
			peek8(0xa000, at);
			poke8(0xa000, at, colour);
			out_index(0x3ce, 3, 0);
			out_index(0x3ce, 5, 0);
			out_index(0x3ce, 8, 0xff);
			break;
		}
		colour = 0;
		for (u8 p = 0; p < 4; p++) {
			out_index(0x3ce, 4, p);
			colour |= (u8)((peek8(0xa000, at) >> (7 - (x & 7)) & 1) << p);
		}
		out_index(0x3ce, 4, 0);
		SET_AL(r, colour);
		break;
	default: break;
	}
}

/* ---- cells ----------------------------------------------------------------------------------- */

static u16 cell_at(u8 page, u8 row, u8 column)
{
	return (u16)(page * peek16(BDA, BDA_PAGESIZE) + (row * columns() + column) * 2);
}

static void put_cell(const ROM struct video_mode *m, u8 page, u8 row, u8 column, u8 c, u8 attr,
		     bool with_attr)
{
	if (m->number == 0xff)
		return; /* VBE modes have no characters */
	if (m->kind != KIND_TEXT) {
		draw_glyph(m, page, row, column, c, attr);
		return;
	}
	u16 at = cell_at(page, row, column);
	if (with_attr)
		poke16(m->segment, at, (u16)(attr << 8 | c));
	else
		poke8(m->segment, at, c);
}

static void read_cell(struct regs *r)
{
	const ROM struct video_mode *m = mode_current();
	u8 page = BH(r);
	u16 pos = cursor_of(page);
	if (m->kind == KIND_TEXT)
		SET16(r->eax, peek16(m->segment, cell_at(page, (u8)(pos >> 8), (u8)pos)));
	else
		SET_AL(r, read_glyph(m, page, (u8)(pos >> 8), (u8)pos));
}

static void write_cells(struct regs *r, bool with_attr)
{
	const ROM struct video_mode *m = mode_current();
	u8 page = BH(r), colour = BL(r), width = columns();
	if (m->kind == KIND_256)
		page = 0;
	u16 pos = cursor_of(page), n = (u16)r->ecx;
	u8 row = (u8)(pos >> 8), column = (u8)pos;
	for (; n && m->number != 0xff; n--) {
		put_cell(m, page, row, column, AL(r), colour, with_attr);
		if (++column == width) {
			column = 0;
			if (row++ > last_row())
				break;
		}
	}
}

/* ---- scrolling ------------------------------------------------------------------------------- */

struct window {
	u8 top, left, bottom, right, lines, attr;
	bool down;
};

static void scroll_text(const ROM struct video_mode *m, const struct window *w, u8 page)
{
	u8 height = (u8)(w->bottom - w->top + 1), width = (u8)(w->right - w->left + 1);
	for (u8 i = 0; i < height; i++) {
		u8 to = w->down ? (u8)(w->bottom - i) : (u8)(w->top + i);
		u8 from = w->down ? (u8)(to - w->lines) : (u8)(to + w->lines);
		if (i + w->lines < height)
			far_copy(m->segment, cell_at(page, to, w->left), m->segment,
				 cell_at(page, from, w->left), (u16)(width * 2), false);
		else
			fill16(m->segment, cell_at(page, to, w->left), (u16)(w->attr << 8 | ' '), width);
	}
}

static void fill_line(const ROM struct video_mode *m, u16 at, u8 width, u8 attr)
{
	switch (m->kind) {
	case KIND_PLANAR:
		out_index(0x3ce, 0, attr & 15);
		out_index(0x3ce, 1, 15);
		for (u8 i = 0; i < width; i++)
			poke8(0xa000, at + i, 0);
		out_index(0x3ce, 1, 0);
		out_index(0x3ce, 0, 0);
		break;
	case KIND_256: fill16(0xa000, at, (u16)(attr * 0x101), (u16)(width * 4)); break;
	case KIND_CGA2:
		attr &= 3;
		fill16(0xb800, at, (u16)(attr * 0x5555), width);
		break;
	default:
		for (u8 i = 0; i < width; i++)
			poke8(0xb800, at + i, attr & 1 ? 0xff : 0);
		break;
	}
}

static void scroll_graphics(const ROM struct video_mode *m, const struct window *w, u8 page)
{
	u8 rows = char_height(), width = (u8)(w->right - w->left + 1);
	u16 height = (u16)((w->bottom - w->top + 1) * rows), by = (u16)(w->lines * rows);
	u16 bytes = m->kind == KIND_CGA2 ? width * 2 : m->kind == KIND_256 ? width * 8 : width;
	if (m->kind == KIND_PLANAR)
		out_index(0x3ce, 5, 1); /* copies go through the latches: four planes a byte */
	for (u16 i = 0; i + by < height; i++) {
		u16 to = w->down ? (u16)(w->bottom * rows + rows - 1 - i) : (u16)(w->top * rows + i);
		u16 from = w->down ? to - by : to + by;
		far_copy(m->segment, graphics_at(m, page, to, w->left), m->segment,
			 graphics_at(m, page, from, w->left), bytes, false);
	}
	if (m->kind == KIND_PLANAR)
		out_index(0x3ce, 5, 0);
	for (u16 i = height - by; i < height; i++) {
		u16 y = w->down ? (u16)(w->bottom * rows + rows - 1 - i) : (u16)(w->top * rows + i);
		fill_line(m, graphics_at(m, page, y, w->left), width, w->attr);
	}
}

static void scroll(struct window *w, u8 page)
{
	const ROM struct video_mode *m = mode_current();
	u8 width = columns();
	if (m->number == 0xff)
		return;
	if (w->bottom > last_row())
		w->bottom = last_row();
	if (w->right >= width)
		w->right = (u8)(width - 1);
	if (w->top > w->bottom || w->left > w->right)
		return;
	u8 height = (u8)(w->bottom - w->top + 1);
	if (!w->lines || w->lines > height)
		w->lines = height;
	if (m->kind == KIND_TEXT)
		scroll_text(m, w, page);
	else
		scroll_graphics(m, w, page);
}

static void scroll_function(struct regs *r)
{
	struct window w = {CH(r), CL(r), DH(r), DL(r), AL(r), BH(r), AH(r) == 7};
	scroll(&w, peek8(BDA, BDA_PAGE));
}

/* ---- teletype and strings -------------------------------------------------------------------- */

static u8 attr_at(const ROM struct video_mode *m, u8 page, u8 row, u8 column)
{
	return m->kind == KIND_TEXT ? peek8(m->segment, (u16)(cell_at(page, row, column) + 1)) : 0;
}

static void teletype(u8 page, u8 c, u8 attr, bool with_attr)
{
	const ROM struct video_mode *m = mode_current();
	u16 pos = cursor_of(page);
	u8 row = (u8)(pos >> 8), column = (u8)pos;
	switch (c) {
	case 7: return; /* the bell is the system BIOS's */
	case 8: column -= column > 0; break;
	case 10: row++; break;
	case 13: column = 0; break;
	default:
		put_cell(m, page, row, column, c, attr, with_attr);
		if (++column >= columns()) {
			column = 0;
			row++;
		}
	}
	if (row > last_row()) {
		row = last_row();
		struct window w = {0, 0, row, (u8)(columns() - 1), 1, attr_at(m, page, row, column), false};
		scroll(&w, page);
	}
	set_cursor_position(page, row, column);
}

static void write_string(struct regs *r)
{
	u8 page = BH(r), mode = AL(r);
	u16 at = (u16)r->ebp, before = cursor_of(page);
	if (mode > 3)
		return;
	set_cursor_position(page, DH(r), DL(r));
	for (u16 n = (u16)r->ecx; n; n--) {
		u8 c = peek8(r->es, at++), attr = mode & 2 ? peek8(r->es, at++) : BL(r);
		teletype(page, c, attr, true);
	}
	if (!(mode & 1))
		set_cursor_position(page, (u8)(before >> 8), (u8)before);
}

void text_function(struct regs *r)
{
	switch (AH(r)) {
	case 0x01: set_cursor_shape(CH(r), CL(r)); break;
	case 0x02: set_cursor_position(BH(r), DH(r), DL(r)); break;
	case 0x03:
		SET16(r->edx, cursor_of(BH(r)));
		SET16(r->ecx, peek16(BDA, BDA_SHAPE));
		break;
	case 0x04: r->eax &= ~0xff00u; break; /* the light pen is not triggered */
	case 0x05: set_page(AL(r)); break;
	case 0x06:
	case 0x07: scroll_function(r); break;
	case 0x08: read_cell(r); break;
	case 0x09: write_cells(r, true); break;
	case 0x0a: write_cells(r, false); break;
	case 0x0c: pixel(r, true); break;
	case 0x0d: pixel(r, false); break;
	case 0x0e: teletype(mode_current()->kind == KIND_TEXT ? BH(r) : peek8(BDA, BDA_PAGE), AL(r), BL(r), false); break;
	case 0x13: write_string(r); break;
	default: break;
	}
}
