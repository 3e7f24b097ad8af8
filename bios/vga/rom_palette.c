/* Palette and DAC: INT 10h functions 0Bh and 10h. */
#include "bios/vga/rom.h"

static u8 attr_get(u8 index)
{
	u16 crtc = crtc_base();
	inb(crtc + 6);
	outb(0x3c0, index);
	u8 v = inb(0x3c1);
	inb(crtc + 6);
	outb(0x3c0, 0x20);
	return v;
}

static void attr_set(u8 index, u8 v)
{
	inb(crtc_base() + 6);
	outb(0x3c0, index);
	outb(0x3c0, v);
	outb(0x3c0, 0x20);
}

void palette_set_cga(struct regs *r)
{
	u8 v = peek8(BDA, BDA_CGAPAL), mode = peek8(BDA, BDA_MODE);
	if (BH(r) == 0) { /* border; background in graphics */
		v = (u8)((v & 0xe0) | (BL(r) & 0x1f));
		u8 colour = (u8)((BL(r) & 7) | (BL(r) & 8) << 1);
		attr_set(0x11, colour);
		if (mode >= 4 && mode <= 6)
			attr_set(0, colour);
	} else { /* CGA palette 0: green, red, brown; 1: cyan, magenta, white */
		v = (u8)((v & 0xdf) | (BL(r) & 1) << 5);
	}
	if (mode == 4 || mode == 5)
		for (u8 i = 1; i < 4; i++)
			attr_set(i, (u8)((v & 0x10) | (2 * i + (v >> 5 & 1))));
	poke8(BDA, BDA_CGAPAL, v);
}

static void dac_set(u8 index, u8 red, u8 green, u8 blue)
{
	outb(0x3c8, index);
	outb(0x3c9, red);
	outb(0x3c9, green);
	outb(0x3c9, blue);
}

static void dac_block(struct regs *r, bool write)
{
	u16 at = (u16)r->edx, n = (u16)((u16)r->ecx * 3);
	outb(write ? 0x3c8 : 0x3c7, BL(r));
	for (; n--; at++)
		if (write)
			outb(0x3c9, peek8(r->es, at));
		else
			poke8(r->es, at, inb(0x3c9));
}

/* 13h: BL 0 chooses four pages of 64 or sixteen of 16; BL 1 the page. */
static void colour_page(struct regs *r)
{
	u8 mode = attr_get(0x10);
	if (BL(r) == 0) {
		attr_set(0x10, (u8)((mode & 0x7f) | BH(r) << 7));
	} else {
		u8 page = BH(r);
		attr_set(0x14, mode & 0x80 ? page & 15 : (u8)((page & 3) << 2));
	}
}

/* Weights 30 %, 59 %, 11 % in 256ths. */
void grey_scale(u16 first, u16 n)
{
	for (; n--; first++) {
		outb(0x3c7, (u8)first);
		u16 r = inb(0x3c9), g = inb(0x3c9), b = inb(0x3c9);
		u8 level = (u8)((r * 77u + g * 151u + b * 28u + 128) >> 8);
		dac_set((u8)first, level, level, level);
	}
}

static void get_all_palette(struct regs *r)
{
	u16 at = (u16)r->edx;
	for (u8 i = 0; i < 16; i++)
		poke8(r->es, at + i, attr_get(i));
	poke8(r->es, at + 16, attr_get(0x11));
}

static void set_all_palette(struct regs *r)
{
	u16 at = (u16)r->edx;
	for (u8 i = 0; i < 16; i++)
		attr_set(i, peek8(r->es, at + i));
	attr_set(0x11, peek8(r->es, at + 16));
}

static void get_page_state(struct regs *r)
{
	u8 mode = attr_get(0x10), select = attr_get(0x14);
	SET_BL(r, mode >> 7);
	SET_BH(r, mode & 0x80 ? select & 15 : select >> 2 & 3);
}

static void read_dac_entry(struct regs *r)
{
	outb(0x3c7, BL(r));
	u8 red = inb(0x3c9);
	r->ecx &= 0xffff0000u;
	r->ecx |= (u32)inb(0x3c9) << 8;
	r->ecx |= inb(0x3c9);
	r->edx = (r->edx & 0xffff00ffu) | (u32)red << 8;
}

void palette_function(struct regs *r)
{
	switch (AL(r)) {
	case 0x00:
		if (BL(r) < 0x15)
			attr_set(BL(r), BH(r));
		break;
	case 0x01: attr_set(0x11, BH(r)); break;
	case 0x02: set_all_palette(r); break;
	case 0x03: attr_set(0x10, (u8)((attr_get(0x10) & ~8u) | (BL(r) & 1) << 3)); break;
	case 0x07:
		if (BL(r) < 0x15)
			SET_BH(r, attr_get(BL(r)));
		break;
	case 0x08: SET_BH(r, attr_get(0x11)); break;
	case 0x09: get_all_palette(r); break;
	case 0x10: dac_set(BL(r), DH(r), CH(r), CL(r)); break;
	case 0x12: dac_block(r, true); break;
	case 0x13: colour_page(r); break;
	case 0x15: read_dac_entry(r); break;
	case 0x17: dac_block(r, false); break;
	case 0x18: outb(0x3c6, BL(r)); break;
	case 0x19: SET_BL(r, inb(0x3c6)); break;
	case 0x1a: get_page_state(r); break;
	case 0x1b: grey_scale((u16)r->ebx, (u16)r->ecx); break;
	default: break;
	}
}
