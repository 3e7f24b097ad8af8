/* Setting the standard modes 00h-13h: registers, palette, font, data area, clear screen. */
#include "bios/vga/rom.h"

#define DISPI_INDEX 0x1ce
#define DISPI_DATA  0x1cf

void dispi_write(u16 index, u16 value)
{
	outw(DISPI_INDEX, index);
	outw(DISPI_DATA, value);
}

u16 dispi_read(u16 index)
{
	outw(DISPI_INDEX, index);
	return inw(DISPI_DATA);
}

void far_copy(u16 to_segment, u16 to, u16 from_segment, u16 from, u16 n, bool down)
{
	u32 si = down ? (u16)(from + n - 1) : from, di = down ? (u16)(to + n - 1) : to, cx = n;
	u32 segments = (u32)to_segment << 16 | from_segment;
	if (down)
		__asm__ volatile("std");
	__asm__ volatile("pushw %%ds; pushw %%es; movw %w3, %%ds; shrl $16, %3; movw %w3, %%es; rep movsb;"
			 "popw %%es; popw %%ds; cld"
			 : "+S"(si), "+D"(di), "+c"(cx), "+r"(segments)
			 :
			 : "memory", "cc");
}

const ROM struct video_mode *mode_find(u8 number)
{
	for (const ROM struct video_mode *m = modes; m->number != 0xff; m++)
		if (m->number == number)
			return m;
	return 0;
}

const ROM struct video_mode *mode_current(void)
{
	const ROM struct video_mode *m = mode_find(peek8(BDA, BDA_MODE));
	return m && !(dispi_read(4) & 1) ? m : modes + MODES - 1;
}

void write_dac_palette(u8 kind)
{
	outb(0x3c6, 0xff);
	outb(0x3c8, 0);
	for (unsigned i = 0; i < 256; i++) {
		unsigned c = kind == PAL_256 ? mode_dac_256(i) : i < 64 ? mode_dac(kind, i) : 0;
		outb(0x3c9, (u8)(c >> 16));
		outb(0x3c9, (u8)(c >> 8));
		outb(0x3c9, (u8)c);
	}
}

static void write_attributes(const ROM struct video_mode *m, u16 crtc)
{
	u8 tail[5] = {m->attr10, 0, m->planes, m->pan, 0};
	inb(crtc + 6);
	for (u8 i = 0; i < 0x15; i++) {
		outb(0x3c0, i);
		outb(0x3c0, i < 16 ? mode_attr[m->attr][i] : tail[i - 16]);
	}
}

static void write_registers(const ROM struct video_mode *m, u16 crtc)
{
	u8 gc[9] = {0, 0, 0, 0, 0, m->gc5, m->gc6, m->gc7, 0xff};
	out_index(0x3c4, 0, 1); /* held in reset while the clock changes */
	out_index(0x3c4, 1, m->seq1 | 0x20);
	outb(0x3c2, m->misc);
	out_index(0x3c4, 2, m->seq2);
	out_index(0x3c4, 3, 0);
	out_index(0x3c4, 4, m->seq4);
	out_index(0x3c4, 0, 3);
	out_index(crtc, 0x11, 0);
	for (u8 i = 0; i < 0x19; i++)
		out_index(crtc, i, mode_crtc(m, i));
	for (u8 i = 0; i < 9; i++)
		out_index(0x3ce, i, gc[i]);
}

/* Text of 200 or 350 lines, if function 12h, BL = 30h asked for it (data area 89h, bits 7 and 4). */
static u8 text_lines(const ROM struct video_mode *m, u16 crtc)
{
	u8 option = peek8(BDA, BDA_MODEOPT) & 0x90;
	if (m->kind != KIND_TEXT || option == 0x10)
		return m->char_height;
	if (option == 0x80) { /* 200 */
		out_index(crtc, 9, 0xc7);
		out_index(crtc, 10, 6);
		out_index(crtc, 11, 7);
		return 8;
	}
	for (u8 k = 0; k < 7; k++)
		out_index(crtc, mode_v_at[k], mode_v[V350][k]);
	out_index(crtc, 9, 0x4d);
	out_index(crtc, 10, 11);
	out_index(crtc, 11, 12);
	out_index(crtc, 0x14, m->number == 7 ? 13 : 0x1f);
	/* 350 lines have the other sync polarity */
	outb(0x3c2, (u8)((m->misc & 0x3f) | 0x80));
	return 14;
}

static void clear_memory(const ROM struct video_mode *m)
{
	if (m->kind == KIND_TEXT)
		fill16(m->segment, 0, 0x0720, 0x4000);
	else if (m->segment == 0xb800)
		fill16(m->segment, 0, 0, 0x4000);
	else
		fill16(m->segment, 0, 0, 0x8000);
}

static void set_data_area(const ROM struct video_mode *m, u8 height, u8 flags, u16 crtc)
{
	/* 3x8 port bits of the CGA and MDA for modes 0-7, which programs look at */
	static const ROM u8 modesel[8] = {0x2c, 0x28, 0x2d, 0x29, 0x2a, 0x2e, 0x1e, 0x29};
	poke8(BDA, BDA_MODE, m->number);
	poke16(BDA, BDA_COLUMNS, m->columns);
	poke16(BDA, BDA_PAGESIZE, m->page_size);
	poke16(BDA, BDA_START, 0);
	for (u8 i = 0; i < 16; i += 2)
		poke16(BDA, (u16)(BDA_CURSOR + i), 0);
	poke16(BDA, BDA_SHAPE, m->kind == KIND_TEXT ? m->number == 7 ? 0x0b0c : 0x0607 : 0);
	poke8(BDA, BDA_PAGE, 0);
	poke16(BDA, BDA_CRTC, crtc);
	if (m->number < 8)
		poke8(BDA, BDA_MODESEL, modesel[m->number]);
	poke8(BDA, BDA_CGAPAL, m->number == 6 ? 0x3f : 0x30);
	poke8(BDA, BDA_ROWS, (u8)(m->rows - 1));
	poke16(BDA, BDA_HEIGHT, height);
	poke8(BDA, BDA_CONTROL, (u8)((peek8(BDA, BDA_CONTROL) & 0x7f) | flags));
	u16 equipment = peek16(BDA, BDA_EQUIP) & ~0x30u;
	poke16(BDA, BDA_EQUIP, equipment | (m->number == 7 ? 0x30 : m->columns == 40 ? 0x10 : 0x20));
}

bool mode_set(u8 number, bool keep_memory)
{
	const ROM struct video_mode *m = mode_find(number);
	if (!m)
		return false;
	u16 crtc = m->misc & 1 ? 0x3d4 : 0x3b4;
	dispi_write(4, 0);
	write_registers(m, crtc);
	u8 height = text_lines(m, crtc);
	inb(crtc + 6);
	if (!(peek8(BDA, BDA_MODEOPT) & 8)) { /* unless palette loading was turned off (12h, BL = 31h) */
		write_attributes(m, crtc);
		write_dac_palette(m->palette);
		if (peek8(BDA, BDA_MODEOPT) & 2)
			grey_scale(0, 256);
	} else {
		outb(0x3c0, 0x10), outb(0x3c0, m->attr10);
		outb(0x3c0, 0x12), outb(0x3c0, m->planes);
		outb(0x3c0, 0x13), outb(0x3c0, m->pan);
	}
	if (!keep_memory)
		clear_memory(m);
	set_data_area(m, height, keep_memory ? 0x80 : 0, crtc);
	if (m->kind == KIND_TEXT)
		font_load_rom(height, 0);
	const ROM u8 *font = height == 8 ? vga_font8 : height == 14 ? vga_font14 : vga_font16;
	poke32(0, INT_FONT, (u32)ROM_SEGMENT << 16 | (u16)(u32)font);
	poke32(0, INT_FONT_HIGH, (u32)ROM_SEGMENT << 16 | (u16)((u32)vga_font8 + 128 * 8));
	inb(crtc + 6);
	outb(0x3c0, 0x20); /* screen on */
	out_index(0x3c4, 1, m->seq1);
	return true;
}
