/*
 * VESA BIOS Extension 3.0 (INT 10h, AH = 4Fh) on the DISPI registers, and VBE/DDC (AL = 15h). Not supported: the protected
 * mode interface (0Ah), refresh rates, triple buffering, stereo.
 */
#include "bios/vga/rom.h"
#include "bios/vga/vbe_modes.h"

#define D_XRES   1
#define D_YRES   2
#define D_BPP    3
#define D_ENABLE 4
#define D_BANK   5
#define D_VIRT_W 6
#define D_VIRT_H 7
#define D_X      8
#define D_Y      9
#define D_MEMORY 10
#define D_EDID   0x20 /* our own: the EDID, a word each, from here on */

#define ENABLED    0x01
#define EIGHT_BITS 0x20
#define LINEAR     0x40
#define NO_CLEAR   0x80

#define BDA_VBE_MODE 0xba /* reserved for video BIOSes; word */
#define INFO_BYTES   256

static const ROM char oem[] = "Orrery VGA";
static const ROM char vendor[] = "Orrery";
static const ROM char product[] = "DISPI frame buffer";
static const ROM char revision[] = "1";

static u32 pitch_of(u16 w, u8 bpp)
{
	return bpp == 4 ? w / 8u : (u32)w * ((bpp + 7u) / 8);
}

static u32 memory_bytes(void)
{
	return (u32)dispi_read(D_MEMORY) << 16;
}

static u32 picture_bytes(const ROM struct vbe_mode *m)
{
	return pitch_of(m->w, m->bpp) * m->h * (m->bpp == 4 ? 4 : 1);
}

static const ROM struct vbe_mode *find(u16 number)
{
	const ROM struct vbe_mode *m = vbe_modes;
	u32 room = memory_bytes();
	while (m->number && m->number != number)
		m++;
	return m->number && picture_bytes(m) <= room ? m : 0;
}

/* PCI configuration mechanism 1: where BAR 0 of the adapter, 1234:1111 on bus 0, stands. */
static u32 frame_buffer(void)
{
	u32 v;
	for (u32 devfn = 0; devfn < 256; devfn++) {
		__asm__ volatile("outl %0, %w1" : : "a"(0x80000000u | devfn << 8), "d"(0xcf8));
		__asm__ volatile("inl %w1, %0" : "=a"(v) : "d"(0xcfc));
		if (v != 0x11111234)
			continue;
		__asm__ volatile("outl %0, %w1" : : "a"(0x80000010u | devfn << 8), "d"(0xcf8));
		__asm__ volatile("inl %w1, %0" : "=a"(v) : "d"(0xcfc));
		return v & ~15u;
	}
	return 0;
}

static u32 rom_pointer(const ROM char *s)
{
	return (u32)ROM_SEGMENT << 16 | (u16)(u32)s;
}

static bool controller_info(struct regs *r)
{
	u16 seg = r->es, to = (u16)r->edi, list;
	bool vbe2 = peek32(seg, to) == 0x32454256; /* "VBE2" */
	for (u16 i = 0; i < (vbe2 ? 512 : INFO_BYTES); i += 2)
		poke16(seg, to + i, 0);
	poke32(seg, to, 0x41534556); /* "VESA" */
	poke16(seg, to + 4, 0x0300);
	poke32(seg, to + 6, rom_pointer(oem));
	poke32(seg, to + 10, 1); /* the DAC can be 8 bits wide */
	list = to + 34;
	poke32(seg, to + 14, (u32)seg << 16 | list);
	poke16(seg, to + 18, dispi_read(D_MEMORY));
	if (vbe2) {
		poke16(seg, to + 20, 0x0100);
		poke32(seg, to + 22, rom_pointer(vendor));
		poke32(seg, to + 26, rom_pointer(product));
		poke32(seg, to + 30, rom_pointer(revision));
	}
	u32 room = memory_bytes();
	for (const ROM struct vbe_mode *m = vbe_modes; m->number; m++)
		if (picture_bytes(m) <= room) {
			poke16(seg, list, m->number);
			list += 2;
		}
	poke16(seg, list, 0xffff);
	return true;
}

/* Red, green, blue, reserved: size and position of each, as bytes of a ModeInfoBlock from 1Fh on. */
static void put_masks(u16 seg, u16 at, u8 bpp)
{
	static const ROM u8 masks[3][8] = {
	    {5, 10, 5, 5, 5, 0, 1, 15}, {5, 11, 6, 5, 5, 0, 0, 0}, {8, 16, 8, 8, 8, 0, 8, 24}};
	const ROM u8 *m = masks[bpp == 15 ? 0 : bpp == 16 ? 1 : 2];
	for (u16 i = 0; bpp > 8 && i < 8; i++)
		poke8(seg, at + i, bpp == 24 && i >= 6 ? 0 : m[i]);
}

static bool mode_info(struct regs *r)
{
	const ROM struct vbe_mode *m = find((u16)r->ecx & 0x1ff);
	u16 seg = r->es, to = (u16)r->edi;
	if (!m)
		return false;
	u32 pitch = pitch_of(m->w, m->bpp), pages = memory_bytes() / picture_bytes(m) - 1;
	u8 height = m->h < 300 ? 8 : 16;
	for (u16 i = 0; i < 256; i += 2)
		poke16(seg, to + i, 0);
	/* supported, colour, graphics, not VGA registers; linear except in 16 colours */
	poke16(seg, to, m->bpp == 4 ? 0x1b : 0xbb);
	poke8(seg, to + 2, 7); /* window A: relocatable, readable, writable */
	poke16(seg, to + 4, 64);
	poke16(seg, to + 6, 64);
	poke16(seg, to + 8, 0xa000);
	extern const ROM u8 vbe_window_entry[];
	poke32(seg, to + 12, (u32)ROM_SEGMENT << 16 | (u16)(u32)vbe_window_entry);
	poke16(seg, to + 16, (u16)pitch);
	poke16(seg, to + 18, m->w);
	poke16(seg, to + 20, m->h);
	poke8(seg, to + 22, 8);
	poke8(seg, to + 23, height);
	poke8(seg, to + 24, m->bpp == 4 ? 4 : 1);
	poke8(seg, to + 25, m->bpp);
	poke8(seg, to + 26, 1);
	poke8(seg, to + 27, m->bpp == 4 ? 3 : m->bpp == 8 ? 4 : 6);
	poke8(seg, to + 29, (u8)(pages > 255 ? 255 : pages));
	poke8(seg, to + 30, 1);
	put_masks(seg, to + 31, m->bpp);
	poke8(seg, to + 39, m->bpp == 32 ? 2 : 0); /* the reserved bits may be used */
	if (m->bpp != 4)
		poke32(seg, to + 40, frame_buffer());
	poke16(seg, to + 50, (u16)pitch);
	poke8(seg, to + 52, (u8)(pages > 255 ? 255 : pages));
	poke8(seg, to + 53, (u8)(pages > 255 ? 255 : pages));
	put_masks(seg, to + 54, m->bpp);
	poke32(seg, to + 62, 0xffffffff); /* no limit of the pixel clock */
	return true;
}

/* Planar VGA registers, for 16 colours; for others, memory that answers as it is stored. */
static void set_registers(const ROM struct vbe_mode *m)
{
	mode_set(m->bpp == 4 ? 0x12 : 0x13, true);
	if (m->bpp != 4)
		return;
	out_index(0x3ce, 6, 5);
	out_index(0x3c4, 4, 6);
}

static bool set_mode(struct regs *r)
{
	u16 mode = (u16)r->ebx, number = mode & 0x1ff;
	if (number < 0x100) {
		dispi_write(D_ENABLE, 0);
		poke16(BDA, BDA_VBE_MODE, 0);
		return mode_set((u8)(number & 0x7f), mode >> 15);
	}
	const ROM struct vbe_mode *m = find(number);
	if (!m || (m->bpp == 4 && mode & 0x4000))
		return false;
	set_registers(m);
	dispi_write(D_ENABLE, 0);
	dispi_write(D_XRES, m->w);
	dispi_write(D_YRES, m->h);
	dispi_write(D_BPP, m->bpp);
	dispi_write(D_ENABLE, ENABLED | (mode & 0x4000 ? LINEAR : 0) | (mode & 0x8000 ? NO_CLEAR : 0));
	poke16(BDA, BDA_VBE_MODE, mode & 0xc1ff);
	poke8(BDA, BDA_COLUMNS, (u8)(m->w / 8 > 255 ? 255 : m->w / 8));
	poke8(BDA, BDA_ROWS, (u8)(m->h / 16 - 1));
	return true;
}

static bool get_mode(struct regs *r)
{
	u16 mode = dispi_read(D_ENABLE) & ENABLED ? peek16(BDA, BDA_VBE_MODE) : peek8(BDA, BDA_MODE);
	SET16(r->ebx, mode);
	return true;
}

static bool save_restore(struct regs *r)
{
	u16 what = (u16)r->ecx & 15;
	switch (DL(r)) {
	case 0: SET16(r->ebx, (state_size(what) + 63) / 64); return true;
	case 1: state_save(what, r->es, (u16)r->ebx); return true;
	case 2: state_restore(what, r->es, (u16)r->ebx); return true;
	default: return false;
	}
}

static bool window(struct regs *r)
{
	if (BL(r) || !(dispi_read(D_ENABLE) & ENABLED) || BH(r) > 1)
		return false;
	if (BH(r) == 1)
		SET16(r->edx, dispi_read(D_BANK));
	else if ((u16)r->edx >= dispi_read(D_MEMORY))
		return false;
	else
		dispi_write(D_BANK, (u16)r->edx);
	return true;
}

/* Far call from the window function pointer of the mode information: registers as for function 05h. */
void vbe_window_call(struct regs *r);
void vbe_window_call(struct regs *r)
{
	SET16(r->eax, window(r) ? 0x004f : 0x014f);
}

static bool line_length(struct regs *r)
{
	u8 bpp = (u8)dispi_read(D_BPP);
	u32 bytes = (bpp + 7u) / 8, memory = memory_bytes() / (bpp == 4 ? 4 : 1), w = (u16)r->ecx;
	u32 per_line = pitch_of(8, bpp), widest;
	if (!(dispi_read(D_ENABLE) & ENABLED) || BL(r) > 3)
		return false;
	widest = memory / dispi_read(D_YRES) / per_line * 8;
	if (BL(r) == 3) {
		w = widest > 0xfff8 ? 0xfff8 : widest;
		SET16(r->ebx, pitch_of((u16)w, bpp));
		SET16(r->ecx, w);
		SET16(r->edx, dispi_read(D_YRES));
		return true;
	}
	if (BL(r) == 2)
		w = bpp == 4 ? w * 8 : (w + bytes - 1) / bytes;
	w = (w + 7) & ~7u;
	if (BL(r) != 1) {
		if (w > widest || w < dispi_read(D_XRES))
			return false;
		dispi_write(D_VIRT_W, (u16)w);
	}
	w = dispi_read(D_VIRT_W);
	SET16(r->ebx, pitch_of((u16)w, bpp));
	SET16(r->ecx, w);
	SET16(r->edx, dispi_read(D_VIRT_H));
	return true;
}

static bool display_start(struct regs *r)
{
	if (!(dispi_read(D_ENABLE) & ENABLED))
		return false;
	switch (BL(r)) {
	case 0x00:
	case 0x80:
		dispi_write(D_X, (u16)r->ecx);
		dispi_write(D_Y, (u16)r->edx);
		return dispi_read(D_X) == (u16)r->ecx && dispi_read(D_Y) == (u16)r->edx;
	case 0x01:
		SET_BH(r, 0);
		SET16(r->ecx, dispi_read(D_X));
		SET16(r->edx, dispi_read(D_Y));
		return true;
	default: return false;
	}
}

static bool dac_width(struct regs *r)
{
	u16 enable = dispi_read(D_ENABLE);
	if (BL(r) > 1 || (dispi_read(D_BPP) != 8 && enable & ENABLED))
		return false;
	if (BL(r) == 0) {
		enable = (enable & ~EIGHT_BITS) | (BH(r) >= 8 ? EIGHT_BITS : 0);
		dispi_write(D_ENABLE, enable | NO_CLEAR);
	}
	SET_BH(r, enable & EIGHT_BITS ? 8 : 6);
	return true;
}

static bool palette(struct regs *r)
{
	u16 at = (u16)r->edi, n = (u16)r->ecx;
	u8 what = BL(r) & 0x7f;
	if (what > 1 || n > 256)
		return false;
	outb(what ? 0x3c7 : 0x3c8, DL(r));
	for (; n--; at += 4)
		for (int i = 2; i >= 0; i--)
			if (what)
				poke8(r->es, (u16)(at + i), inb(0x3c9));
			else
				outb(0x3c9, peek8(r->es, (u16)(at + i)));
	return true;
}

extern const u8 pm_table[], pm_table_end[];

static bool protected_mode(struct regs *r)
{
	if (BL(r))
		return false;
	r->es = ROM_SEGMENT;
	SET16(r->edi, (u16)(u32)pm_table);
	SET16(r->ecx, (u16)(pm_table_end - pm_table));
	return true;
}

static bool power(struct regs *r)
{
	switch (BL(r)) {
	case 0: SET16(r->ebx, 0x0f30); return true; /* all states, version 3.0 */
	case 1: /* the screen goes dark in all but "on" */
		outb(0x3c4, 1);
		outb(0x3c5, (u8)((inb(0x3c5) & ~0x20u) | (BH(r) ? 0x20 : 0)));
		return true;
	case 2:
		outb(0x3c4, 1);
		SET_BH(r, inb(0x3c5) & 0x20 ? 1 : 0);
		return true;
	default: return false;
	}
}

static bool ddc(struct regs *r)
{
	if (BL(r) == 0) {
		SET16(r->ebx, 0x0102); /* a second for a block; DDC2 */
		return true;
	}
	if (BL(r) != 1 || (u16)r->edx)
		return false;
	for (u16 i = 0; i < 64; i++)
		poke16(r->es, (u16)(r->edi + i * 2), dispi_read(D_EDID + i));
	return true;
}

void vbe_function(struct regs *r)
{
	bool known = true, good = false;
	switch (AL(r)) {
	case 0x00: good = controller_info(r); break;
	case 0x01: good = mode_info(r); break;
	case 0x02: good = set_mode(r); break;
	case 0x03: good = get_mode(r); break;
	case 0x04: good = save_restore(r); break;
	case 0x05: good = window(r); break;
	case 0x06: good = line_length(r); break;
	case 0x07: good = display_start(r); break;
	case 0x08: good = dac_width(r); break;
	case 0x09: good = palette(r); break;
	case 0x0a: good = protected_mode(r); break;
	case 0x10: good = power(r); break;
	case 0x15: good = ddc(r); break;
	default: known = false; break;
	}
	SET16(r->eax, !known ? 0x0100 : good ? 0x004f : 0x014f);
}
