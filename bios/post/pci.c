/*
 * PCI: bus numbers, base addresses (largest first, below 4 GiB), bridge windows, interrupts through
 * the PIIX3, IDE channels, the PIIX4's port block. Every function gets what it asks for or is left
 * off with a word on port E9h.
 */
#include "bios/post/post.h"

#define PIRQ_BASE 0x60
#define MAX_BARS  128

u32 pci_hole = 0xe0000000u;
static u32 next_io = 0xc000, next_mem;
static u8 next_bus;

static void address(u16 bdf, u8 reg)
{
	outl(0xcf8, 0x80000000u | (u32)bdf << 8 | (reg & 0xfcu));
}

u32 pci_read32(u16 bdf, u8 reg)
{
	address(bdf, reg);
	return inl(0xcfc);
}

u16 pci_read16(u16 bdf, u8 reg)
{
	address(bdf, reg);
	return inw((u16)(0xcfc + (reg & 2)));
}

u8 pci_read8(u16 bdf, u8 reg)
{
	address(bdf, reg);
	return inb((u16)(0xcfc + (reg & 3)));
}

void pci_write32(u16 bdf, u8 reg, u32 v)
{
	address(bdf, reg);
	outl(0xcfc, v);
}

void pci_write16(u16 bdf, u8 reg, u16 v)
{
	address(bdf, reg);
	outw((u16)(0xcfc + (reg & 2)), v);
}

void pci_write8(u16 bdf, u8 reg, u8 v)
{
	address(bdf, reg);
	outb((u16)(0xcfc + (reg & 3)), v);
}

s32 pci_next(s32 bdf)
{
	s32 last = (s32)RT(last_pci_bus) << 8 | 0xff;
	while (++bdf <= last) {
		if ((bdf & 7) && !(pci_read8((u16)(bdf & ~7), 0x0e) & 0x80))
			continue;
		u16 vendor = pci_read16((u16)bdf, 0);
		if (vendor && vendor != 0xffff)
			return bdf;
	}
	return -1;
}

static bool is_bridge(u16 bdf)
{
	return (pci_read8(bdf, 0x0e) & 0x7f) == 1;
}

/* ---- bus numbers ------------------------------------------------------------------------- */

static void number_buses(u8 bus)
{
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		u16 bdf = (u16)(bus << 8 | devfn);
		if (((devfn & 7) && !(pci_read8(bdf & 0xfff8, 0x0e) & 0x80)) ||
		    pci_read16(bdf, 0) == 0xffff || !is_bridge(bdf))
			continue;
		u8 child = ++next_bus;
		pci_write8(bdf, 0x18, bus);
		pci_write8(bdf, 0x19, child);
		pci_write8(bdf, 0x1a, 0xff);
		number_buses(child);
		pci_write8(bdf, 0x1a, next_bus);
	}
}

/* ---- base addresses ---------------------------------------------------------------------- */

struct bar {
	u32 size;
	u16 bdf;
	u8 reg;
	bool io, wide;
};
static struct bar bars[MAX_BARS];

static unsigned collect(u16 bdf, unsigned n)
{
	unsigned count = is_bridge(bdf) ? 2 : 6;
	pci_write16(bdf, 4, pci_read16(bdf, 4) & ~3);
	for (unsigned i = 0; i < count; i++) {
		u8 reg = (u8)(0x10 + 4 * i);
		u32 old = pci_read32(bdf, reg);
		pci_write32(bdf, reg, 0xffffffff);
		u32 v = pci_read32(bdf, reg);
		pci_write32(bdf, reg, old);
		bool io = v & 1, wide = !io && (v & 6) == 4;
		u32 mask = io ? (v & 0xfffc) : (v & 0xfffffff0);
		if (mask && n < MAX_BARS) {
			u32 size = mask & -mask;
			bars[n++] = (struct bar){size, bdf, reg, io, wide};
		}
		if (wide)
			i++;
	}
	return n;
}

static void place(const struct bar *b)
{
	u32 *next = b->io ? &next_io : &next_mem, align = b->io ? b->size : MAX(b->size, 4096u);
	u32 at = (*next + align - 1) & ~(align - 1);
	u32 end = b->io ? 0x10000 : 0xfec00000u;
	if (at < *next || at > end || b->size > end - at) {
		debug("pci %02x:%02x.%u: no room for %x bytes\n", b->bdf >> 8, b->bdf >> 3 & 31,
		      b->bdf & 7, b->size);
		return;
	}
	*next = at + b->size;
	pci_write32(b->bdf, b->reg, at);
	if (b->wide)
		pci_write32(b->bdf, b->reg + 4, 0);
	pci_write16(b->bdf, 4, pci_read16(b->bdf, 4) | (b->io ? 1 : 2));
}

static u32 round_up(u32 v, u32 align)
{
	return (v + align - 1) & ~(align - 1);
}

static void place_bus(u8 bus);

/* What lies behind a bridge is one window of I/O (4 KiB steps) and one of memory (1 MiB steps). */
static void place_bridge(u16 bdf)
{
	next_io = round_up(next_io, 0x1000);
	next_mem = round_up(next_mem, 0x100000);
	u32 io = next_io, mem = next_mem;
	place_bus(pci_read8(bdf, 0x19));
	next_io = round_up(next_io, 0x1000);
	next_mem = round_up(next_mem, 0x100000);
	bool has_io = next_io > io, has_mem = next_mem > mem;
	pci_write8(bdf, 0x1c, has_io ? (u8)(io >> 8) : 0xf0);
	pci_write8(bdf, 0x1d, has_io ? (u8)((next_io - 1) >> 8) : 0);
	pci_write32(bdf, 0x30, 0);
	pci_write16(bdf, 0x20, has_mem ? (u16)(mem >> 16) : 0xfff0);
	pci_write16(bdf, 0x22, has_mem ? (u16)((next_mem - 1) >> 16) : 0);
	pci_write16(bdf, 0x24, 0xfff0); /* no prefetchable window */
	pci_write16(bdf, 0x26, 0);
	pci_write16(bdf, 4, 7);
}

static void place_bus(u8 bus)
{
	unsigned n = 0;
	for (s32 f = (bus << 8) - 1; (f = pci_next(f)) >= 0 && f >> 8 == bus;)
		n = collect((u16)f, n);
	for (u32 size = 0x40000000; size >= 4; size >>= 1)
		for (unsigned i = 0; i < n; i++)
			if (bars[i].size == size)
				place(&bars[i]);
	for (s32 f = (bus << 8) - 1; (f = pci_next(f)) >= 0 && f >> 8 == bus;)
		if (is_bridge((u16)f))
			place_bridge((u16)f);
}

/* A hole of 512 MiB, or of 1 GiB if frame buffers want it and memory allows. */
static void choose_hole(void)
{
	u32 total = 0;
	unsigned n = 0;
	for (s32 f = -1; (f = pci_next(f)) >= 0;)
		n = collect((u16)f, n);
	for (unsigned i = 0; i < n; i++)
		if (!bars[i].io)
			total = bars[i].size > 0x40000000 - MIN(total, 0x40000000u)
				    ? 0x40000000
				    : total + bars[i].size;
	if (total > 0x10000000)
		pci_hole = 0xc0000000u;
	next_mem = pci_hole;
}

u32 pci_rom_window(u32 size)
{
	u32 at = round_up(next_mem, MAX(size, 4096u));
	return at >= next_mem && at < 0xfec00000u && size <= 0xfec00000u - at ? at : 0;
}

/* ---- interrupts and known chips ---------------------------------------------------------- */

static const u8 pirq_irq[4] = {10, 10, 11, 11};

static void interrupts(u16 bdf)
{
	u8 pin = pci_read8(bdf, 0x3d);
	u16 slot = bdf;
	if (!pin)
		return;
	/* Behind a bridge pins turn with the slot, as the bridge specification says. */
	unsigned p = pin - 1u;
	while (slot >> 8) {
		p = (p + (slot >> 3 & 31)) & 3;
		s32 up = -1;
		for (s32 f = -1; (f = pci_next(f)) >= 0;)
			if (is_bridge((u16)f) && pci_read8((u16)f, 0x19) == slot >> 8)
				up = f;
		if (up < 0)
			return;
		slot = (u16)up;
	}
	pci_write8(bdf, 0x3c, pirq_irq[((slot >> 3 & 31) - 1u + p) & 3]);
}

static void add_channel(unsigned n, u16 command, u16 control, u16 bus_master, u8 irq)
{
	RTA(ata_channels)[n] = (struct ata_channel){command, control, bus_master, irq, 0};
}

/* Channels at the ports of the AT, or where the base addresses of a native controller say. */
static void ide(u16 bdf)
{
	static unsigned used;
	u8 interface = pci_read8(bdf, 9);
	u32 bm = pci_read32(bdf, 0x20);
	u16 master = (bm & 1) ? (u16)(bm & 0xfffc) : 0;
	for (unsigned c = 0; c < 2 && used < MAX_CHANNELS; c++) {
		u16 command = c ? 0x170 : 0x1f0, control = c ? 0x376 : 0x3f6;
		u8 irq = c ? 15 : 14;
		if (interface & (1 << (2 * c))) {
			command = pci_read32(bdf, (u8)(0x10 + 8 * c)) & 0xfffc;
			control = (u16)((pci_read32(bdf, (u8)(0x14 + 8 * c)) & 0xfffc) + 2);
			irq = pci_read8(bdf, 0x3c);
		}
		add_channel(used++, command, control, master ? (u16)(master + 8 * c) : 0, irq);
	}
	pci_write16(bdf, 4, pci_read16(bdf, 4) | 5);
	if (pci_read32(bdf, 0) == 0x70108086 || pci_read32(bdf, 0) == 0x71118086) {
		pci_write16(bdf, 0x40, 0x8000); /* PIIX: decode both channels */
		pci_write16(bdf, 0x42, 0x8000);
	}
}

static void known_chip(u16 bdf)
{
	u32 id = pci_read32(bdf, 0);
	u16 class = pci_read16(bdf, 0x0a);
	if (id == 0x70008086 || id == 0x71108086) { /* PIIX3, PIIX4 bridge */
		for (u8 i = 0; i < 4; i++)
			pci_write8(bdf, (u8)(PIRQ_BASE + i), pirq_irq[i]);
		outb(0x4d0, 0x00);
		outb(0x4d1, 0x0e); /* 9, 10, 11 are level triggered */
		pci_write16(bdf, 0x4e, pci_read16(bdf, 0x4e) | 0x0004);
	} else if (id == 0x71138086) { /* PIIX4 power management: ports at 600h */
		pci_write32(bdf, 0x40, 0x601);
		pci_write8(bdf, 0x80, 1);
		pci_write32(bdf, 0x90, 0x701);
		pci_write8(bdf, 0xd2, 9);
		pci_write16(bdf, 4, pci_read16(bdf, 4) | 1);
		pci_write8(bdf, 0x3c, 9);
	} else if (class == 0x0101) {
		ide(bdf);
	} else if (class == 0x0300) {
		pci_write16(bdf, 4, pci_read16(bdf, 4) | 3);
	}
}

void pci_setup(void)
{
	if (pci_read32(0, 0) == 0xffffffff) {
		debug("no PCI\n");
		add_channel(0, 0x1f0, 0x3f6, 0, 14);
		add_channel(1, 0x170, 0x376, 0, 15);
		return;
	}
	number_buses(0);
	RT(last_pci_bus) = next_bus;
	choose_hole();
	place_bus(0);
	for (s32 f = -1; (f = pci_next(f)) >= 0;) {
		interrupts((u16)f);
		known_chip((u16)f);
	}
	if (!RTA(ata_channels)[0].command) {
		add_channel(0, 0x1f0, 0x3f6, 0, 14);
		add_channel(1, 0x170, 0x376, 0, 15);
	}
}
