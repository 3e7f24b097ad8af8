/*
 * What the video BIOS's C files share: real-mode memory, ports, the caller's registers.
 *
 * Compiled for 16-bit mode with 32-bit registers. Pointers without qualification lead into the caller's stack segment,
 * ROM pointers (FS) into this image, FAR pointers (GS) wherever far_segment() was last told.
 */
#ifndef ORRERY_BIOS_VGA_ROM_H
#define ORRERY_BIOS_VGA_ROM_H

#include <stdbool.h>
#include "bios/ports.h"

#ifdef __clang__
#define ROM __attribute__((address_space(257)))
#define FAR __attribute__((address_space(256)))
#else
#define ROM __seg_fs
#define FAR __seg_gs
#endif
#define MODE_DATA ROM
#include "bios/vga/modes.h"

/* As entry.S pushes them */
struct regs {
	u32 edi, esi, ebp, esp, ebx, edx, ecx, eax;
	u16 es, ds, fs, gs, ip, cs, flags;
};

#define AL(r) ((u8)(r)->eax)
#define AH(r) ((u8)((r)->eax >> 8))
#define BL(r) ((u8)(r)->ebx)
#define BH(r) ((u8)((r)->ebx >> 8))
#define CL(r) ((u8)(r)->ecx)
#define CH(r) ((u8)((r)->ecx >> 8))
#define DL(r) ((u8)(r)->edx)
#define DH(r) ((u8)((r)->edx >> 8))
#define SET16(reg, v) ((reg) = ((reg) & 0xffff0000u) | (u16)(v))
#define SET_AL(r, v) ((r)->eax = ((r)->eax & ~0xffu) | (u8)(v))
#define SET_BL(r, v) ((r)->ebx = ((r)->ebx & ~0xffu) | (u8)(v))
#define SET_BH(r, v) ((r)->ebx = ((r)->ebx & ~0xff00u) | (u32)(u8)(v) << 8)

static inline void far_segment(u16 segment)
{
	__asm__ volatile("movw %0, %%gs" : : "r"(segment) : "memory");
}

static inline u8 peek8(u16 segment, u16 at)
{
	far_segment(segment);
	return *(volatile FAR u8 *)(u32)at;
}

static inline u16 peek16(u16 segment, u16 at)
{
	far_segment(segment);
	return *(volatile FAR u16 *)(u32)at;
}

static inline u32 peek32(u16 segment, u16 at)
{
	far_segment(segment);
	return *(volatile FAR u32 *)(u32)at;
}

static inline void poke8(u16 segment, u16 at, u8 v)
{
	far_segment(segment);
	*(volatile FAR u8 *)(u32)at = v;
}

static inline void poke16(u16 segment, u16 at, u16 v)
{
	far_segment(segment);
	*(volatile FAR u16 *)(u32)at = v;
}

static inline void poke32(u16 segment, u16 at, u32 v)
{
	far_segment(segment);
	*(volatile FAR u32 *)(u32)at = v;
}

/** Fills @n words at segment:at. */
static inline void fill16(u16 segment, u16 at, u16 v, u16 n)
{
	u32 di = at, cx = n;
	__asm__ volatile("pushw %%es; movw %w2, %%es; rep stosw; popw %%es"
			 : "+D"(di), "+c"(cx)
			 : "r"((u32)segment), "a"(v)
			 : "memory");
}

/** Copies @n bytes within or between segments, upwards or (if @down) from the last byte down. */
void far_copy(u16 to_segment, u16 to, u16 from_segment, u16 from, u16 n, bool down);

/* ---- BIOS data area -------------------------------------------------------------------------- */

#define BDA          0x40
#define BDA_EQUIP    0x10
#define BDA_MODE     0x49
#define BDA_COLUMNS  0x4a
#define BDA_PAGESIZE 0x4c
#define BDA_START    0x4e
#define BDA_CURSOR   0x50 /* column, row of eight pages */
#define BDA_SHAPE    0x60 /* end, start */
#define BDA_PAGE     0x62
#define BDA_CRTC     0x63
#define BDA_MODESEL  0x65
#define BDA_CGAPAL   0x66
#define BDA_ROWS     0x84 /* less one */
#define BDA_HEIGHT   0x85
#define BDA_CONTROL  0x87
#define BDA_SWITCHES 0x88
#define BDA_MODEOPT  0x89
#define BDA_DCC      0x8a
#define BDA_SAVEPTR  0xa8

#define INT_FONT_HIGH (0x1f * 4) /* 8x8 glyphs 80h-FFh of CGA modes */
#define INT_FONT      (0x43 * 4) /* glyphs of graphics modes */

#define ROM_SEGMENT 0xc000
extern const ROM u8 vga_font8[], vga_font14[], vga_font16[];

/* ---- the parts --------------------------------------------------------------------------------- */

/* rom_modes.c */
const ROM struct video_mode *mode_find(u8 number);
/** The mode the data area says; in linear VBE modes one that is like nothing. */
const ROM struct video_mode *mode_current(void);
bool mode_set(u8 number, bool keep_memory);
void write_dac_palette(u8 kind);
void dispi_write(u16 index, u16 value);
u16 dispi_read(u16 index);
static inline u16 crtc_base(void)
{
	return peek16(BDA, BDA_CRTC);
}
static inline void out_index(u16 port, u8 index, u8 v)
{
	outw(port, (u16)(index | v << 8));
}

/* rom_text.c: what is written on the screen */
void text_function(struct regs *r);
void set_cursor_position(u8 page, u8 row, u8 column);
void set_cursor_shape(u8 start, u8 end);
void set_page(u8 page);

/* rom_palette.c */
void palette_set_cga(struct regs *r); /* 0Bh */
void palette_function(struct regs *r); /* 10h */
void grey_scale(u16 first, u16 n);

/* rom_font.c */
void font_function(struct regs *r); /* 11h */
/** Loads @n characters of @height rows, from @first on, into font block @block. */
void font_load(u16 segment, u16 at, u8 height, u16 first, u16 n, u8 block);
void font_load_rom(u8 height, u8 block);
/** Text with characters of @height lines: rows on the screen, cursor, page size follow. */
void font_set_height(u8 height);

/* rom_state.c: 12h, 1Ah, 1Bh, 1Ch */
void alternate_function(struct regs *r);
void display_code_function(struct regs *r);
void state_function(struct regs *r);
void save_restore_function(struct regs *r);
u16 state_size(u16 what);
u16 state_save(u16 what, u16 segment, u16 at);
u16 state_restore(u16 what, u16 segment, u16 at);

/* rom_vbe.c */
void vbe_function(struct regs *r); /* 4Fh */

#endif
