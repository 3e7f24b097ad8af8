/* Alternate select (12h), display combination (1Ah), state information (1Bh), save and restore (1Ch). */
#include "bios/vga/rom.h"

/* Functionality static table (1Bh): modes 0-7, 0Dh-13h; 200, 350, 400 lines; and what else there is. */
static const ROM u8 functionality[16] = {0xff, 0xe0, 0x0f, 0, 0, 0, 0, 0x07, 0x02, 0x08, 0xe7, 0x0e, 0, 0, 0, 0};

static void vertical_lines(struct regs *r)
{
	u8 option = peek8(BDA, BDA_MODEOPT) & ~0x90u, switches = peek8(BDA, BDA_SWITCHES) & 0xf0;
	if (AL(r) > 2)
		return;
	option |= AL(r) == 0 ? 0x80 : AL(r) == 2 ? 0x10 : 0;
	poke8(BDA, BDA_MODEOPT, option);
	poke8(BDA, BDA_SWITCHES, switches | (AL(r) == 0 ? 8 : 9));
	SET_AL(r, 0x12);
}

static void set_option(struct regs *r, u8 bit, bool on)
{
	u8 option = peek8(BDA, BDA_MODEOPT);
	poke8(BDA, BDA_MODEOPT, (u8)(on ? option | bit : option & ~bit));
	SET_AL(r, 0x12);
}

void alternate_function(struct regs *r)
{
	switch (BL(r)) {
	case 0x10: /* colour or mono; 256 KiB; switches */
		SET_BH(r, peek16(BDA, BDA_CRTC) == 0x3b4);
		SET_BL(r, 3);
		SET16(r->ecx, peek8(BDA, BDA_SWITCHES) & 15);
		break;
	case 0x20: SET_AL(r, 0x12); break; /* print screen stays the system's */
	case 0x30: vertical_lines(r); break;
	case 0x31: set_option(r, 8, AL(r) & 1); break;
	case 0x32: /* addressing of the adapter */
		outb(0x3c2, (u8)((inb(0x3cc) & ~2u) | (AL(r) & 1 ? 0 : 2)));
		SET_AL(r, 0x12);
		break;
	case 0x33: set_option(r, 2, !(AL(r) & 1)); break;
	case 0x34:
		poke8(BDA, BDA_CONTROL, (u8)((peek8(BDA, BDA_CONTROL) & ~1u) | (AL(r) & 1)));
		SET_AL(r, 0x12);
		break;
	case 0x36:
		outb(0x3c4, 1);
		outb(0x3c5, (u8)((inb(0x3c5) & ~0x20u) | (AL(r) & 1) << 5));
		SET_AL(r, 0x12);
		break;
	default: break;
	}
}

void display_code_function(struct regs *r)
{
	if (AL(r) == 0)
		SET16(r->ebx, peek8(BDA, BDA_DCC)); /* 8: VGA with a colour display; no second one */
	else if (AL(r) == 1)
		poke8(BDA, BDA_DCC, BL(r));
	else
		return;
	SET_AL(r, 0x1a);
}

void state_function(struct regs *r)
{
	u16 to = (u16)r->edi;
	const ROM struct video_mode *m = mode_current();
	if ((u16)r->ebx)
		return;
	for (u16 i = 0; i < 64; i += 2)
		poke16(r->es, to + i, 0);
	poke32(r->es, to, (u32)ROM_SEGMENT << 16 | (u16)(u32)functionality);
	far_copy(r->es, to + 4, BDA, BDA_MODE, 30, false); /* 49h-66h as they stand */
	poke8(r->es, to + 0x22, (u8)(peek8(BDA, BDA_ROWS) + 1));
	poke16(r->es, to + 0x23, peek16(BDA, BDA_HEIGHT));
	poke8(r->es, to + 0x25, peek8(BDA, BDA_DCC));
	poke16(r->es, to + 0x27, m->kind == KIND_256 ? 256 : m->kind == KIND_CGA2 ? 4 : m->kind == KIND_CGA1 ? 2 : 16);
	poke8(r->es, to + 0x29, m->pages);
	poke8(r->es, to + 0x2a, m->v == V350 ? 1 : m->v == V480 ? 3 : m->scan & 0x80 ? 0 : 2);
	poke8(r->es, to + 0x2d, 0x21); /* all modes on all displays; intensity or blinking as set */
	poke8(r->es, to + 0x31, 3);    /* 256 KiB */
	SET_AL(r, 0x1b);
}

/* ---- save and restore: 1 registers, 2 data area, 4 DAC, 8 DISPI (VBE) ------------------------- */

#define SIZE_REGISTERS (1 + 1 + 5 + 9 + 25 + 21 + 2)
#define SIZE_DATA      (30 + 8 + 4 + 8)
#define SIZE_DAC       (768 + 1)
#define SIZE_DISPI     20

u16 state_size(u16 what)
{
	return (what & 1 ? SIZE_REGISTERS : 0) + (what & 2 ? SIZE_DATA : 0) + (what & 4 ? SIZE_DAC : 0) +
	       (what & 8 ? SIZE_DISPI : 0);
}

static u16 save_indexed(u16 port, u8 n, u16 segment, u16 at)
{
	u8 index = inb(port);
	for (u8 i = 0; i < n; i++) {
		outb(port, i);
		poke8(segment, at++, inb(port + 1));
	}
	outb(port, index);
	return at;
}

static u16 restore_indexed(u16 port, u8 n, u16 segment, u16 at)
{
	for (u8 i = 0; i < n; i++)
		out_index(port, i, peek8(segment, at++));
	return at;
}

u16 state_save(u16 what, u16 segment, u16 at)
{
	u16 crtc = crtc_base();
	if (what & 1) {
		poke8(segment, at++, inb(0x3cc));
		poke8(segment, at++, inb(0x3ca));
		at = save_indexed(0x3c4, 5, segment, at);
		at = save_indexed(0x3ce, 9, segment, at);
		at = save_indexed(crtc, 25, segment, at);
		for (u8 i = 0; i < 21; i++) {
			inb(crtc + 6);
			outb(0x3c0, i | 0x20);
			poke8(segment, at++, inb(0x3c1));
		}
		inb(crtc + 6);
		poke16(segment, at, crtc);
		at += 2;
	}
	if (what & 2) {
		far_copy(segment, at, BDA, BDA_MODE, 30, false);
		far_copy(segment, at + 30, BDA, BDA_ROWS, 8, false);
		poke32(segment, at + 38, peek32(0, INT_FONT_HIGH));
		poke32(segment, at + 42, peek32(0, INT_FONT));
		at += SIZE_DATA;
	}
	if (what & 4) {
		poke8(segment, at++, inb(0x3c6));
		outb(0x3c7, 0);
		for (u16 i = 0; i < 768; i++)
			poke8(segment, at++, inb(0x3c9));
	}
	for (u16 i = 0; what & 8 && i < 10; i++, at += 2)
		poke16(segment, at, dispi_read(i));
	return at;
}

u16 state_restore(u16 what, u16 segment, u16 at)
{
	u16 later = at + (what & 1 ? SIZE_REGISTERS : 0);
	if (what & 1) {
		u16 crtc = peek16(segment, later - 2);
		outb(0x3c2, peek8(segment, at));
		outb(crtc + 6, peek8(segment, at + 1));
		at = restore_indexed(0x3c4, 5, segment, at + 2);
		at = restore_indexed(0x3ce, 9, segment, at);
		out_index(crtc, 0x11, 0);
		at = restore_indexed(crtc, 25, segment, at);
		inb(crtc + 6);
		for (u8 i = 0; i < 21; i++) {
			outb(0x3c0, i);
			outb(0x3c0, peek8(segment, at++));
		}
		outb(0x3c0, 0x20);
	}
	at = later;
	if (what & 2) {
		far_copy(BDA, BDA_MODE, segment, at, 30, false);
		far_copy(BDA, BDA_ROWS, segment, at + 30, 8, false);
		poke32(0, INT_FONT_HIGH, peek32(segment, at + 38));
		poke32(0, INT_FONT, peek32(segment, at + 42));
		at += SIZE_DATA;
	}
	if (what & 4) {
		outb(0x3c6, peek8(segment, at++));
		outb(0x3c8, 0);
		for (u16 i = 0; i < 768; i++)
			outb(0x3c9, peek8(segment, at++));
	}
	if (what & 8) {
		u16 enable = peek16(segment, at + 8);
		dispi_write(4, 0);
		for (u16 i = 1; i < 4; i++)
			dispi_write(i, peek16(segment, at + i * 2));
		if (enable & 1)
			dispi_write(4, enable | 0x80);
		for (u16 i = 5; i < 10; i++)
			dispi_write(i, peek16(segment, at + i * 2));
		at += SIZE_DISPI;
	}
	return at;
}

void save_restore_function(struct regs *r)
{
	u16 what = (u16)r->ecx & 7;
	if (AL(r) == 0)
		SET16(r->ebx, (state_size(what) + 63) / 64);
	else if (AL(r) == 1)
		state_save(what, r->es, (u16)r->ebx);
	else if (AL(r) == 2)
		state_restore(what, r->es, (u16)r->ebx);
	else
		return;
	SET_AL(r, 0x1c);
}
