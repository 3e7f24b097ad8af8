/*
 * VGA: the memory window A0000h-BFFFFh (IBM VGA XGA Technical Reference, graphics controller and sequencer). Write modes
 * 0-3, read modes 0-1, odd/even and chain-4 addressing. All four planes of an offset stand in one 32-bit word.
 *
 * In chain-4 modes byte A is plane A & 3 at offset A >> 2, as on most SuperVGA chips (IBM's left the low bits of the
 * offset zero), so that the window is plain memory then and stores run at RAM speed; see vga_window_linear().
 */
#include "devices/display/vga_internal.h"

#define SPREAD 0x01010101u

/* The mask of planes as bytes: bit p of @m becomes byte p. */
static u32 plane_mask(unsigned m)
{
	return ((m & 1) | (m & 2) << 7 | (m & 4) << 14 | (m & 8) << 21) * 0xffu;
}

static bool chain4(const struct vga *v)
{
	return v->seq[4] & 8;
}

/* Map select (GC 6, bits 3:2): where the window answers. Returns the offset in it, or -1. */
static s64 decode(const struct vga *v, u64 at)
{
	switch (v->gc[6] >> 2 & 3) {
	case 0: return (s64)at;
	case 1: return at < 0x10000 ? (s64)at : -1;
	case 2: return at >= 0x10000 && at < 0x18000 ? (s64)at - 0x10000 : -1;
	default: return at >= 0x18000 ? (s64)at - 0x18000 : -1;
	}
}

/* With "chain odd/even" (GC 6 bit 1) A0 selects the plane, and A16 or the page bit takes its place. */
static u32 odd_even_offset(const struct vga *v, u32 a)
{
	if (!(v->gc[6] & 2))
		return a;
	u32 page = (v->gc[6] >> 2 & 3) == 0 ? a >> 16 & 1 : !(v->misc & 0x20);
	return (a & ~1u) | page;
}

/* The word of offset @off; 16-colour DISPI modes reach more than 64 KiB of a plane through the bank. */
static u8 *word_at(struct vga *v, u32 off)
{
	u64 at = off & VGA_PLANE_MASK;
	if (vga_dispi_on(v))
		at += (u64)v->dispi[DISPI_BANK] << 16;
	return v->vram + (at * 4 & (v->vram_bytes - 4));
}

static u32 load(const u8 *p)
{
	u32 w;
	memcpy(&w, p, 4);
	return w;
}

static u8 compare_colours(const struct vga *v, u32 w)
{
	u32 care = plane_mask(v->gc[7]);
	u32 differs = (w ^ plane_mask(v->gc[2])) & care;
	differs |= differs >> 16;
	return (u8) ~(differs | differs >> 8);
}

static u8 read_byte(struct vga *v, u64 at)
{
	s64 a = decode(v, at);
	if (a < 0)
		return 0xff;
	unsigned plane = v->gc[4] & 3;
	u32 off;
	if (chain4(v)) {
		plane = a & 3;
		off = (u32)a >> 2;
	} else {
		off = odd_even_offset(v, (u32)a);
		if (v->gc[5] & 0x10)
			plane = (plane & 2) | (a & 1);
	}
	v->latch = load(word_at(v, off));
	return v->gc[5] & 8 ? compare_colours(v, v->latch) : (u8)(v->latch >> plane * 8);
}

static u32 rotated(const struct vga *v, u8 data)
{
	unsigned n = v->gc[3] & 7;
	return (u8)(data >> n | data << (8 - n));
}

static u32 combine(const struct vga *v, u32 w)
{
	switch (v->gc[3] >> 3 & 3) {
	case 1: return w & v->latch;
	case 2: return w | v->latch;
	case 3: return w ^ v->latch;
	default: return w;
	}
}

/* What the graphics controller makes of a byte from the processor. */
static u32 alu(const struct vga *v, u8 data)
{
	u32 w, bits = v->gc[8] * SPREAD, use;
	switch (v->gc[5] & 3) {
	case 0:
		use = plane_mask(v->gc[1]);
		w = (rotated(v, data) * SPREAD & ~use) | (plane_mask(v->gc[0]) & use);
		break;
	case 1: return v->latch;
	case 2: w = plane_mask(data); break;
	default:
		w = plane_mask(v->gc[0]);
		bits &= rotated(v, data) * SPREAD;
		break;
	}
	return (combine(v, w) & bits) | (v->latch & ~bits);
}

static void write_byte(struct vga *v, u64 at, u8 data)
{
	s64 a = decode(v, at);
	if (a < 0)
		return;
	unsigned planes = v->seq[2] & 15;
	u32 off;
	if (chain4(v)) {
		planes &= 1u << (a & 3);
		off = (u32)a >> 2;
	} else {
		off = odd_even_offset(v, (u32)a);
		if (!(v->seq[4] & 4))
			planes &= a & 1 ? 0xa : 0x5;
	}
	u32 mask = plane_mask(planes);
	u8 *p = word_at(v, off);
	u32 w = (alu(v, data) & mask) | (load(p) & ~mask);
	memcpy(p, &w, 4);
	v->touched = true;
}

static u64 window_read(void *ctx, u64 at, unsigned size)
{
	struct vga *v = ctx;
	u64 r = 0;
	if (!(v->misc & 2))
		return UINT64_MAX;
	for (unsigned i = 0; i < size; i++)
		r |= (u64)read_byte(v, at + i) << (i * 8);
	return r;
}

static void window_write(void *ctx, u64 at, u64 value, unsigned size)
{
	struct vga *v = ctx;
	if (!(v->misc & 2))
		return;
	for (unsigned i = 0; i < size; i++)
		write_byte(v, at + i, (u8)(value >> (i * 8)));
}

const struct mmio_ops vga_window_ops = {window_read, window_write, 8};

/* Chain-4 with every write path set to "as it comes", or a DISPI bank of a packed mode. (Reads of chain-4 memory do not
 * fill the latches then; programs that copy through the latches leave chain-4 first.) */
u8 *vga_window_linear(struct vga *v, u64 *size)
{
	unsigned map = v->gc[6] >> 2 & 3;
	*size = 0x10000;
	if (vga_dispi_on(v) && v->dispi[DISPI_BPP] != 4)
		return v->vram + (((u64)v->dispi[DISPI_BANK] << 16) & (v->vram_bytes - 1));
	if (vga_dispi_on(v) || !(v->misc & 2) || map > 1 || !chain4(v))
		return NULL;
	bool plain = (v->seq[2] & 15) == 15 && !(v->gc[5] & 11) && !(v->gc[1] & 15) && !v->gc[3] &&
		     v->gc[8] == 0xff;
	*size = map ? 0x10000 : 0x20000;
	return plain ? v->vram : NULL;
}
