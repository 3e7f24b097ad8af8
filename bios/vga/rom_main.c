/* Entry from INT 10h, and what happens at power-on. */
#include "bios/vga/rom.h"

extern const ROM u8 int10_entry[];

static void set_mode_function(struct regs *r)
{
	u8 mode = AL(r) & 0x7f;
	if (!mode_set(mode, AL(r) & 0x80))
		return;
	SET_AL(r, mode > 7 ? 0x20 : mode == 6 ? 0x3f : 0x30);
}

static void get_mode_function(struct regs *r)
{
	SET16(r->eax, (u16)(peek8(BDA, BDA_COLUMNS) << 8 | peek8(BDA, BDA_MODE) |
			    (peek8(BDA, BDA_CONTROL) & 0x80)));
	SET_BH(r, peek8(BDA, BDA_PAGE));
}

/* Called by entry.S with the caller's registers on the stack. */
void vga_int10(struct regs *r);
void vga_int10(struct regs *r)
{
	switch (AH(r)) {
	case 0x00: set_mode_function(r); break;
	case 0x0b: palette_set_cga(r); break;
	case 0x0f: get_mode_function(r); break;
	case 0x10: palette_function(r); break;
	case 0x11: font_function(r); break;
	case 0x12: alternate_function(r); break;
	case 0x1a: display_code_function(r); break;
	case 0x1b: state_function(r); break;
	case 0x1c: save_restore_function(r); break;
	case 0x4f: vbe_function(r); break;
	default: text_function(r); break;
	}
}

/* Save pointer table (data area A8h): empty, as nothing is overridden. */
static const ROM u32 save_pointers[7] = {0};

void vga_post(void);
void vga_post(void)
{
	poke32(0, 0x10 * 4, (u32)ROM_SEGMENT << 16 | (u16)(u32)int10_entry);
	outb(0x3c3, 1);
	poke8(BDA, BDA_CONTROL, 0x60); /* 256 KiB */
	poke8(BDA, BDA_SWITCHES, 0xf9);
	poke8(BDA, BDA_MODEOPT, 0x11); /* 400 lines, VGA active */
	poke8(BDA, BDA_DCC, 8);
	poke32(BDA, BDA_SAVEPTR, (u32)ROM_SEGMENT << 16 | (u16)(u32)save_pointers);
	mode_set(3, false);
}
