/*
 * Expansion ROMs: of PCI functions (PCI Local Bus 2.3, 6.3), of fw_cfg ("vgaroms/", "genroms/") and
 * those that stand on the bus at C0000h-EBFFFh. Boot entry vectors (Plug and Play BIOS 1.0A) become
 * boot devices.
 */
#include "bios/post/post.h"

extern u32 pnp_header;
struct boot_rom boot_roms[MAX_BOOT_ROMS];
u8 boot_rom_count;
static u32 next_rom = OPTION_ROMS;

static bool valid(u32 at, u32 space)
{
	u32 size = MEM8(at + 2) * 512u;
	return MEM16(at) == 0xaa55 && size && size <= space;
}

/* PCI Firmware 3.0, 5.2.1.22: all bytes add up to zero. */
static bool sum_is_good(u32 at)
{
	u32 sum = 0, n = MEM8(at + 2) * 512u;
	for (u32 i = 0; i < n; i += 4) {
		u32 v = MEM32(at + i);
		sum += v + (v >> 8) + (v >> 16) + (v >> 24);
	}
	return !(sum & 0xff);
}

static u32 pnp_expansion(u32 rom)
{
	u32 h = rom + MEM16(rom + 0x1a);
	u32 size = MEM8(rom + 2) * 512u;
	return MEM16(rom + 0x1a) && MEM16(rom + 0x1a) + 32u <= size && !compare(PTR(h), "$PnP", 4)
		   ? h
		   : 0;
}

/* @bdf: of the function it belongs to, or 0. What the ROM leaves is its size from now on. */
static void run(u32 rom, u16 bdf)
{
	struct regs r = {.ax = bdf,
			 .bx = 0xffff,
			 .dx = 0xffff,
			 .es = (u16)(pnp_header >> 4 & 0xf000),
			 .di = (u16)pnp_header};
	u16 seg = (u16)(rom >> 4);
	u8 disks = MEM8(0x475);
	debug("option ROM at %x for %04x\n", rom, bdf);
	real_rom(seg, 3, &r);
	next_rom = MIN((rom + MAX(MEM8(rom + 2) * 512u, 2048u) + 2047) & ~2047u, (u32)OPTION_END);
	u32 h = pnp_expansion(rom);
	if (!h)
		return;
	if (MEM16(h + 0x16)) {
		r = (struct regs){.ax = bdf, .es = 0xf000, .di = (u16)pnp_header};
		real_rom(seg, MEM16(h + 0x16), &r);
		if (MEM8(0x475) != disks)
			debug("it added %u disks\n", MEM8(0x475) - disks);
	}
	if (!MEM16(h + 0x1a) || boot_rom_count == MAX_BOOT_ROMS)
		return;
	struct boot_rom *b = &boot_roms[boot_rom_count++];
	b->seg = seg;
	b->entry = MEM16(h + 0x1a);
	u32 name = MEM16(h + 0x10) ? rom + MEM16(h + 0x10) : 0;
	const char *text = name ? PTR(name) : "Network";
	for (unsigned i = 0; i < sizeof(b->name) - 1 && text[i]; i++)
		b->name[i] = text[i];
}

/* Finds the image for PCs among those of a ROM; 0: none. */
static u32 pc_image(u32 window, u32 size, u16 bdf)
{
	for (u32 at = 0; at + 0x1a < size;) {
		u32 p = window + at, pcir = MEM16(p + 0x18);
		if (MEM16(p) != 0xaa55)
			return 0;
		if (!pcir || at + pcir + 24 > size || compare(PTR(p + pcir), "PCIR", 4))
			return 0;
		u32 d = p + pcir, length_of = MEM16(d + 0x10) * 512u;
		if (MEM8(d + 0x14) == 0 && MEM32(d + 4) == pci_read32(bdf, 0) &&
		    valid(p, size - at))
			return p;
		if ((MEM8(d + 0x15) & 0x80) || !length_of)
			return 0;
		at += length_of;
	}
	return 0;
}

static void pci_rom(u16 bdf)
{
	u8 reg = (pci_read8(bdf, 0x0e) & 0x7f) == 1 ? 0x38 : 0x30;
	pci_write32(bdf, reg, 0xfffff800);
	u32 mask = pci_read32(bdf, reg) & 0xfffff800;
	pci_write32(bdf, reg, 0);
	if (!mask)
		return;
	u32 size = mask & -mask, window = pci_rom_window(size);
	if (!window || bdf >> 8)
		return;
	u16 command = pci_read16(bdf, 4);
	pci_write16(bdf, 4, command | 2);
	pci_write32(bdf, reg, window | 1);
	u32 image = pc_image(window, size, bdf);
	u32 n = image ? MEM8(image + 2) * 512u : 0;
	bool good = image && sum_is_good(image), fits = good && n <= OPTION_END - next_rom;
	if (fits)
		memcpy(PTR(next_rom), PTR(image), n);
	pci_write32(bdf, reg, window); /* decoding off; the address may stay */
	pci_write16(bdf, 4, command);
	if (fits)
		run(next_rom, bdf);
	else if (image && !good)
		print("The option ROM of PCI device %02x:%02x.%u is damaged (its checksum is wrong): left out\n", bdf >> 8,
		      bdf >> 3 & 31, bdf & 7);
	else if (image)
		print("No room for the option ROM of PCI device %02x:%02x.%u (%u KiB)\n", bdf >> 8,
		      bdf >> 3 & 31, bdf & 7, n / 1024);
}

static void fw_rom(u16 selector, u32 size)
{
	if (size > OPTION_END - next_rom || size < 512)
		return;
	fw_item(selector, PTR(next_rom), size);
	if (valid(next_rom, size) && sum_is_good(next_rom))
		run(next_rom, 0);
}

/* ---- the display ------------------------------------------------------------------------- */

static bool is_vga(u16 bdf)
{
	return pci_read16(bdf, 0x0a) == 0x0300;
}

static void text_mode(void)
{
	struct regs r = {.ax = 0x0003};
	real_int(0x10, &r);
	screen_ready = true;
}

void video_rom(void)
{
	u32 before = MEM32(0x10 * 4), size;
	fw_each("vgaroms/", fw_rom);
	for (s32 f = -1; next_rom == OPTION_ROMS && (f = pci_next(f)) >= 0;)
		if (is_vga((u16)f))
			pci_rom((u16)f);
	u16 unseen = 0;
	fw_item(4, &unseen, 2); /* -nographic */
	RT(no_vga) = MEM32(0x10 * 4) == before;
	if (RT(no_vga) || unseen) {
		s32 item = fw_find("etc/sercon-port", &size);
		RT(console_port) = MEM16(0x400);
		if (item >= 0 && size == 2)
			fw_item((u16)item, &RT(console_port), 2);
	}
	if (RT(no_vga)) {
		MEM16(0x410) |= 0x30; /* no display adapter that programs could write to */
	} else if (RT(console_port)) {
		MEM32(0x42 * 4) = MEM32(0x10 * 4);
		MEM32(0x10 * 4) = before;
	}
	text_mode();
}

void other_roms(void)
{
	for (s32 f = -1; (f = pci_next(f)) >= 0;)
		if (!is_vga((u16)f))
			pci_rom((u16)f);
	fw_each("genroms/", fw_rom);
}
