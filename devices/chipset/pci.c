/*
 * PCI Local Bus 2.3, one bus of up to 32 slots: type-0 configuration space with write masks, BAR
 * sizing and mapping, expansion ROMs, INTx wiring. Not modelled: bridges, parity and error
 * reporting, arbitration, fast back-to-back.
 */
#include "devices/chipset/pci.h"

#include <errno.h>
#include <stdlib.h>

#include "base/host.h"

/* clang-format off */
#define PCI_FN_FIELDS(V, S, H, P) \
	H(dev) H(ident) H(bus) H(bar) H(rom) H(rom_data) H(rom_bytes) V(cfg) H(wmask) H(w1c) V(devfn) V(intx) V(asserted) \
	H(msi_cap) H(pad)
/* clang-format on */
SNAPSHOT(pci_function_snapshot, "pci-function", 1, struct pci_function, PCI_FN_FIELDS);

void pci_bus_init(struct pci_bus *bus, struct device_env *env)
{
	*bus = (struct pci_bus){.env = env};
}

/* ---- BARs -------------------------------------------------------------------------------- */

static bool is_upper_half(const struct pci_ident *id, unsigned n)
{
	return n > 0 && id->bar[n - 1].kind == PCI_BAR_MEM64;
}

static u32 bar_flags(const struct pci_bar_decl *b)
{
	switch (b->kind) {
	case PCI_BAR_IO: return 1;
	case PCI_BAR_MEM32: return b->prefetch ? 8 : 0;
	case PCI_BAR_MEM64: return b->prefetch ? 12 : 4;
	case PCI_BAR_NONE: break;
	}
	return 0;
}

static void init_bar(struct pci_function *f, unsigned n)
{
	const struct pci_bar_decl *b = &f->ident->bar[n];
	unsigned reg = PCI_BAR0 + n * 4;
	if (b->kind == PCI_BAR_NONE)
		return;
	pci_put32(f->wmask, reg, (u32) ~(b->size - 1));
	if (b->kind == PCI_BAR_MEM64)
		pci_put32(f->wmask, reg + 4, (u32)(~(b->size - 1) >> 32));
}

static u64 bar_address(const struct pci_function *f, unsigned n)
{
	const struct pci_bar_decl *b = &f->ident->bar[n];
	unsigned reg = PCI_BAR0 + n * 4;
	u64 base = pci_get32(f, reg) & (u32) ~(b->size - 1);
	if (b->kind == PCI_BAR_MEM64)
		base |= (u64)pci_get32(f, reg + 4) << 32;
	return base;
}

/* Decoding is on and the address is one a machine would give: not 0, not the sizing pattern. */
static bool bar_wanted(const struct pci_function *f, unsigned n, u64 base)
{
	const struct pci_bar_decl *b = &f->ident->bar[n];
	u16 command = pci_get16(f, PCI_COMMAND);
	if (b->kind == PCI_BAR_IO)
		return (command & PCI_COMMAND_IO) && base && base + b->size <= 0x10000;
	if (!(command & PCI_COMMAND_MEMORY) || !base)
		return false;
	if (b->kind == PCI_BAR_MEM32)
		return base + b->size <= 0xffffffffull;
	return base + b->size - 1 < BIT64(52) && base + b->size > base;
}

static void unmap_bar(struct pci_function *f, unsigned n)
{
	struct pci_bar *bar = &f->bar[n];
	bus_remove_ports(f->bus->env->bus, bar->slot);
	bus_remove_mem(f->bus->env->bus, bar->mem);
	*bar = (struct pci_bar){0};
}

static void map_bar(struct pci_function *f, unsigned n, u64 base)
{
	const struct pci_bar_decl *b = &f->ident->bar[n];
	struct pci_bar *bar = &f->bar[n];
	struct bus *bus = f->bus->env->bus;
	int err = 0;
	if (b->kind == PCI_BAR_IO) {
		bar->slot = bus_add_ports(bus, (u16)base, (u32)b->size, b->io, f->dev, f->dev->id);
		err = bar->slot < 0 ? bar->slot : 0;
	} else {
		struct mem_region r = {.base = base,
				       .size = b->size,
				       .host = b->ram,
				       .ops = b->mmio,
				       .ctx = f->dev,
				       .name = f->dev->id,
				       .kind = b->ram ? MEM_RAM : MEM_MMIO,
				       .prio = MEM_PRIO_PCI,
				       .reads = true,
				       .writes = true};
		bar->mem = bus_add_mem(bus, &r, &err);
	}
	if (err) {
		*bar = (struct pci_bar){0};
		log_line(f->bus->env->log, LOG_GUEST_ERRORS,
			 "%s: BAR %u at %llx overlaps another device", f->dev->id, n,
			 (unsigned long long)base);
		return;
	}
	bar->base = base;
	bar->mapped = true;
}

/* Expansion ROM Base Address Register (6.2.5.2): bit 0 and the Memory Space bit of the command both enable it. */
static bool rom_wanted(const struct pci_function *f, u64 base)
{
	return f->rom_data && (f->cfg[PCI_ROM] & 1) && base && base + f->rom_bytes <= 0xffffffffull &&
	       (pci_get16(f, PCI_COMMAND) & PCI_COMMAND_MEMORY);
}

static void unmap_rom(struct pci_function *f)
{
	bus_remove_mem(f->bus->env->bus, f->rom.mem);
	f->rom = (struct pci_bar){0};
}

static void update_rom(struct pci_function *f)
{
	u64 base = pci_get32(f, PCI_ROM) & (u32) ~(f->rom_bytes - 1);
	bool want = rom_wanted(f, base);
	int err = 0;
	if (f->rom.mapped && (!want || f->rom.base != base))
		unmap_rom(f);
	if (!want || f->rom.mapped)
		return;
	struct mem_region r = {.base = base,
			       .size = f->rom_bytes,
			       .host = f->rom_data,
			       .name = f->dev->id,
			       .kind = MEM_ROM,
			       .prio = MEM_PRIO_PCI,
			       .reads = true,
			       .writes = true};
	f->rom.mem = bus_add_mem(f->bus->env->bus, &r, &err);
	f->rom.mapped = f->rom.mem != NULL;
	f->rom.base = base;
	if (!f->rom.mapped)
		log_line(f->bus->env->log, LOG_GUEST_ERRORS,
			 "%s: expansion ROM at %llx overlaps another device", f->dev->id,
			 (unsigned long long)base);
}

#define ROM_MAX (16u << 20)

int pci_set_rom(struct pci_function *f, const void *data, u64 n)
{
	u64 size = 2048;
	if (n > ROM_MAX)
		return -EFBIG;
	while (size < n)
		size *= 2;
	u8 *copy = malloc(size);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, n);
	memset(copy + n, 0xff, size - n);
	if (f->rom.mapped)
		unmap_rom(f);
	free(f->rom_data);
	f->rom_data = copy;
	f->rom_bytes = size;
	pci_put32(f->wmask, PCI_ROM, (u32) ~(size - 1) | 1);
	f->wmask[PCI_COMMAND] |= PCI_COMMAND_MEMORY; /* a card of ports alone now has memory, too */
	return 0;
}

/*
 * A ROM that serves a family of cards, such as iPXE's, names one of them or none in its PCI data structure; firmware runs only what
 * names the card (PCI Firmware 3.0, 5.2). Whoever gives this file to this card means it, so the identity is written in, as the tool
 * does that burns the ROM of a real card; the byte behind the entry jump makes up for the sum.
 */
static void adopt_rom(const struct pci_function *f, u8 *rom, u64 size)
{
	const u16 vendor = f->ident->vendor, device = f->ident->device;
	const u8 id[4] = {(u8)vendor, (u8)(vendor >> 8), (u8)device, (u8)(device >> 8)};
	u64 at = size >= 0x1a ? rom[0x18] | (u64)rom[0x19] << 8 : size;
	u8 sum = 0;
	if (at + 0x18 > size || rom[0] != 0x55 || rom[1] != 0xaa || memcmp(rom + at, "PCIR", 4) || rom[at + 0x14])
		return;
	for (unsigned i = 0; i < 4; i++) {
		sum = (u8)(sum + rom[at + 4 + i] - id[i]);
		rom[at + 4 + i] = id[i];
	}
	rom[6] = (u8)(rom[6] + sum);
}

int pci_rom_file(struct pci_function *f, const char *path, char *err, size_t n)
{
	u8 *data;
	u64 size;
	if (!*path)
		return 0;
	int e = host_file_read(path, ROM_MAX, &data, &size);
	if (!e) {
		adopt_rom(f, data, size);
		e = pci_set_rom(f, data, size);
		free(data);
	}
	if (e)
		snprintf(err, n, "%s: cannot use the ROM file '%s': %s", f->dev->id, path,
			 strerror(-e));
	return e;
}

static void update_bars(struct pci_function *f)
{
	bus_batch_begin(f->bus->env->bus);
	if (f->rom_data)
		update_rom(f);
	for (unsigned n = 0; n < 6; n++) {
		if (f->ident->bar[n].kind == PCI_BAR_NONE)
			continue;
		u64 base = bar_address(f, n);
		bool want = bar_wanted(f, n, base);
		if (f->bar[n].mapped && (!want || f->bar[n].base != base))
			unmap_bar(f, n);
		if (want && !f->bar[n].mapped)
			map_bar(f, n, base);
	}
	bus_batch_end(f->bus->env->bus);
}

u64 pci_bar_base(const struct pci_function *f, unsigned n)
{
	return f->bar[n].base;
}

/* ---- INTx -------------------------------------------------------------------------------- */

static void drive(struct pci_function *f, bool level)
{
	struct pci_bus *bus = f->bus;
	if (level == f->asserted || !f->cfg[PCI_INTERRUPT_PIN])
		return;
	f->asserted = level;
	unsigned pirq = ((f->devfn >> 3) - 1u + f->cfg[PCI_INTERRUPT_PIN] - 1u) & 3;
	bus->pirq_count[pirq] = (u8)(bus->pirq_count[pirq] + (level ? 1 : -1));
	if (bus->pirq_count[pirq] == (level ? 1 : 0) && bus->pirq)
		bus->pirq(bus->pirq_ctx, pirq, level);
}

static void update_intx(struct pci_function *f)
{
	bool off = pci_get16(f, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;
	f->cfg[PCI_STATUS] = (u8)((f->cfg[PCI_STATUS] & ~PCI_STATUS_INTERRUPT) |
				  (f->intx ? PCI_STATUS_INTERRUPT : 0));
	drive(f, f->intx && !off);
}

void pci_set_intx(struct pci_function *f, bool level)
{
	if (f->intx == level)
		return;
	f->intx = level;
	update_intx(f);
}

/* ---- functions --------------------------------------------------------------------------- */

static void init_masks(struct pci_function *f)
{
	const struct pci_ident *id = f->ident;
	bool io = false, mem = false;
	for (unsigned n = 0; n < 6; n++) {
		io |= id->bar[n].kind == PCI_BAR_IO;
		mem |= id->bar[n].kind == PCI_BAR_MEM32 || id->bar[n].kind == PCI_BAR_MEM64;
		if (!is_upper_half(id, n))
			init_bar(f, n);
	}
	pci_put16(f->wmask, PCI_COMMAND,
		  (u16)((io ? PCI_COMMAND_IO : 0) | (mem ? PCI_COMMAND_MEMORY : 0) |
			PCI_COMMAND_MASTER | 0x140 /* parity, SERR# */ | PCI_COMMAND_INTX_DISABLE));
	f->wmask[0x0c] = 0xff; /* cache line size */
	f->wmask[PCI_INTERRUPT_LINE] = 0xff;
	pci_put16(f->w1c, PCI_STATUS, 0xf900);
}

static int free_slot(const struct pci_bus *bus)
{
	for (int slot = 2; slot < 32; slot++) {
		bool used = false;
		for (int fn = 0; fn < 8; fn++)
			used |= bus->fn[slot << 3 | fn] != NULL;
		if (!used)
			return slot << 3;
	}
	return -ENOSPC;
}

int pci_add(struct pci_bus *bus, struct device *d, struct pci_function *f,
	    const struct pci_ident *ident, int devfn)
{
	if (devfn < 0)
		devfn = free_slot(bus);
	if (devfn < 0)
		return devfn;
	if (bus->fn[devfn & 0xff])
		return -EBUSY;
	*f = (struct pci_function){.dev = d, .ident = ident, .bus = bus, .devfn = (u8)devfn};
	bus->fn[f->devfn] = f;
	init_masks(f);
	pci_function_reset(f);
	return 0;
}

void pci_remove(struct pci_function *f)
{
	pci_set_intx(f, false);
	for (unsigned n = 0; n < 6; n++)
		if (f->bar[n].mapped)
			unmap_bar(f, n);
	if (f->rom.mapped)
		unmap_rom(f);
	free(f->rom_data);
	f->rom_data = NULL;
	f->bus->fn[f->devfn] = NULL;
}

/* Everything software may write goes to 0; capabilities, which devices add once, stay. */
void pci_function_reset(struct pci_function *f)
{
	const struct pci_ident *id = f->ident;
	for (unsigned i = 0; i < 256; i++)
		f->cfg[i] &= (u8) ~(f->wmask[i] | f->w1c[i]);
	pci_put16(f->cfg, PCI_VENDOR, id->vendor);
	pci_put16(f->cfg, PCI_DEVICE, id->device);
	f->cfg[PCI_REVISION] = id->revision;
	f->cfg[PCI_CLASS] = (u8)id->class_code;
	pci_put16(f->cfg, PCI_CLASS + 1, (u16)(id->class_code >> 8));
	f->cfg[PCI_HEADER] = id->multifunction ? 0x80 : 0;
	pci_put16(f->cfg, PCI_SUBSYSTEM, id->subsystem_vendor);
	pci_put16(f->cfg, PCI_SUBSYSTEM + 2, id->subsystem);
	f->cfg[PCI_INTERRUPT_PIN] = id->pin;
	for (unsigned n = 0; n < 6; n++)
		if (id->bar[n].kind != PCI_BAR_NONE)
			pci_put32(f->cfg, PCI_BAR0 + n * 4, bar_flags(&id->bar[n]));
	f->intx = false;
	update_intx(f);
	update_bars(f);
}

void pci_function_loaded(struct pci_function *f)
{
	for (unsigned n = 0; n < 6; n++)
		if (f->bar[n].mapped)
			unmap_bar(f, n);
	if (f->rom.mapped)
		unmap_rom(f);
	update_bars(f);
	if (f->asserted) {
		unsigned pirq = ((f->devfn >> 3) - 1u + f->cfg[PCI_INTERRUPT_PIN] - 1u) & 3;
		f->bus->pirq_count[pirq]++;
	}
}

u16 pci_requester(const struct pci_function *f)
{
	return f->devfn;
}

bool pci_bus_master(const struct pci_function *f)
{
	return pci_get16(f, PCI_COMMAND) & PCI_COMMAND_MASTER;
}

unsigned pci_add_capability(struct pci_function *f, unsigned offset, u8 id, unsigned size)
{
	f->cfg[offset] = id;
	f->cfg[offset + 1] = f->cfg[PCI_CAPABILITIES];
	f->cfg[PCI_CAPABILITIES] = (u8)offset;
	f->cfg[PCI_STATUS] |= 0x10;
	return offset;
}

/* ---- configuration accesses -------------------------------------------------------------- */

u32 pci_config_read(struct pci_bus *bus, unsigned devfn, unsigned reg, unsigned size)
{
	const struct pci_function *f = bus->fn[devfn & 0xff];
	u32 v = 0;
	reg &= 0xff;
	if (f && f->ident->config_reading)
		f->ident->config_reading(f->dev, reg, size);
	for (unsigned i = 0; i < size; i++)
		v |= (u32)(f ? f->cfg[(reg + i) & 0xff] : 0xff) << (i * 8);
	return v;
}

static void write_byte(struct pci_function *f, unsigned reg, u8 v)
{
	u8 mask = f->wmask[reg], clear = f->w1c[reg] & v;
	f->cfg[reg] = (u8)(((f->cfg[reg] & ~mask) | (v & mask)) & ~clear);
}

void pci_config_write(struct pci_bus *bus, unsigned devfn, unsigned reg, u32 value, unsigned size)
{
	struct pci_function *f = bus->fn[devfn & 0xff];
	if (!f)
		return;
	reg &= 0xff;
	for (unsigned i = 0; i < size && reg + i < 256; i++)
		write_byte(f, reg + i, (u8)(value >> (i * 8)));
	if (reg < PCI_ROM + 4 && reg + size > PCI_COMMAND) {
		update_bars(f);
		update_intx(f);
	}
	if (f->ident->config_written)
		f->ident->config_written(f->dev, reg, size);
}
