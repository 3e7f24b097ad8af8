/* Fonts: loading them into plane 2, INT 10h function 11h. */
#include "bios/vga/rom.h"

/* The 8x14 and 8x16 glyphs that differ for 9 dots are not kept apart: function 11h, BH = 5, 7 gives a table of none. */
static const ROM u8 no_alternates = 0;

static void open_plane2(void)
{
	out_index(0x3c4, 0, 1);
	out_index(0x3c4, 2, 4);
	out_index(0x3c4, 4, 7);
	out_index(0x3c4, 0, 3);
	out_index(0x3ce, 4, 2);
	out_index(0x3ce, 5, 0);
	out_index(0x3ce, 6, 4);
}

static void close_plane2(void)
{
	out_index(0x3c4, 0, 1);
	out_index(0x3c4, 2, 3);
	out_index(0x3c4, 4, 3);
	out_index(0x3c4, 0, 3);
	out_index(0x3ce, 4, 0);
	out_index(0x3ce, 5, 0x10);
	out_index(0x3ce, 6, peek8(BDA, BDA_MODE) == 7 ? 0x0a : 0x0e);
}

void font_load(u16 segment, u16 at, u8 height, u16 first, u16 n, u8 block)
{
	u16 to = (u16)((block & 3) * 0x4000 + (block & 4) * 0x800 + first * 32);
	open_plane2();
	for (u16 i = 0; i < n; i++, at += height, to += 32)
		far_copy(0xa000, to, segment, at, height, false);
	close_plane2();
}

static const ROM u8 *rom_font(u8 height)
{
	return height == 8 ? vga_font8 : height == 14 ? vga_font14 : vga_font16;
}

void font_load_rom(u8 height, u8 block)
{
	font_load(ROM_SEGMENT, (u16)(u32)rom_font(height), height, 0, 256, block);
}

void font_set_height(u8 height)
{
	u16 crtc = crtc_base();
	outb(crtc, 9);
	u8 scan = inb(crtc + 1);
	outb(crtc + 1, (u8)((scan & 0xe0) | (height - 1)));
	if (peek8(BDA, BDA_MODE) == 7)
		out_index(crtc, 0x14, (u8)(height - 1));
	outb(crtc, 0x12);
	u16 lines = inb(crtc + 1);
	outb(crtc, 7);
	u8 over = inb(crtc + 1);
	lines = (u16)((lines | (over & 2) << 7 | (over & 0x40) << 3) + 1);
	if (scan & 0x80)
		lines /= 2;
	u8 rows = (u8)(lines / height);
	outb(crtc, 0x12);
	lines = (u16)((rows * height << (scan >> 7)) - 1);
	outb(crtc + 1, (u8)lines);
	poke8(BDA, BDA_ROWS, (u8)(rows - 1));
	poke16(BDA, BDA_HEIGHT, height);
	poke16(BDA, BDA_PAGESIZE, (u16)((rows * peek8(BDA, BDA_COLUMNS) * 2 + 255) & ~255u));
	set_cursor_shape((u8)(height > 8 ? height - 3 : 6), (u8)(height > 8 ? height - 2 : 7));
	poke16(BDA, BDA_SHAPE, 0x0607);
}

/* 00h-04h load for text; 10h-14h also set the rows of the screen to the font. */
static void load_text_font(struct regs *r)
{
	u8 what = AL(r) & 0x0f, height = what == 0 ? BH(r) : what == 1 ? 14 : what == 2 ? 8 : 16;
	if (what == 3) { /* block specifier: the character map select register */
		out_index(0x3c4, 3, BL(r) & 0x3f);
		return;
	}
	if (what == 0)
		font_load(r->es, (u16)r->ebp, height, (u16)r->edx, (u16)r->ecx, BL(r) & 7);
	else
		font_load_rom(height, BL(r) & 7);
	if (AL(r) & 0x10 && height)
		font_set_height(height);
}

/* 20h-24h: glyphs of graphics modes stand in memory; the vectors point at them. */
static void set_graphics_font(struct regs *r)
{
	static const ROM u8 rows[4] = {0, 14, 25, 43};
	u8 what = AL(r) & 0x0f;
	if (what == 0) {
		poke32(0, INT_FONT_HIGH, (u32)r->es << 16 | (u16)r->ebp);
		return;
	}
	if (what == 1) {
		poke32(0, INT_FONT, (u32)r->es << 16 | (u16)r->ebp);
		poke16(BDA, BDA_HEIGHT, (u16)r->ecx);
	} else {
		u8 height = what == 2 ? 14 : what == 3 ? 8 : 16;
		poke32(0, INT_FONT, (u32)ROM_SEGMENT << 16 | (u16)(u32)rom_font(height));
		poke16(BDA, BDA_HEIGHT, height);
	}
	u8 n = BL(r) & 3 ? rows[BL(r) & 3] : DL(r);
	poke8(BDA, BDA_ROWS, (u8)(n - 1));
}

static void font_information(struct regs *r)
{
	u32 at;
	switch (BH(r)) {
	case 0: at = peek32(0, INT_FONT_HIGH); break;
	case 1: at = peek32(0, INT_FONT); break;
	case 2: at = (u32)vga_font14; break;
	case 3: at = (u32)vga_font8; break;
	case 4: at = (u32)vga_font8 + 128 * 8; break;
	case 5:
	case 7: at = (u32)&no_alternates; break;
	case 6: at = (u32)vga_font16; break;
	default: return;
	}
	r->es = BH(r) < 2 ? (u16)(at >> 16) : ROM_SEGMENT;
	SET16(r->ebp, at);
	SET16(r->ecx, peek16(BDA, BDA_HEIGHT));
	r->edx = (r->edx & ~0xffu) | peek8(BDA, BDA_ROWS);
}

void font_function(struct regs *r)
{
	u8 what = AL(r);
	if ((what & 0x0f) <= 4 && what < 0x20)
		load_text_font(r);
	else if (what >= 0x20 && what <= 0x24)
		set_graphics_font(r);
	else if (what == 0x30)
		font_information(r);
}
