/* The NE2000 in its two forms: the ISA card, and the Realtek RTL8029AS on PCI (data sheet rev 1.0).
 * See dp8390.c. */
#include <errno.h>

#include "devices/chipset/pci.h"
#include "devices/net/dp8390.h"

/* ---- ISA
 * ----------------------------------------------------------------------------------------------------------
 */

struct ne2k_isa {
	struct device dev;
	struct nic nic;
	u64 iobase, irq;
	struct irq_line line;
	struct dp8390 chip;
};

/* clang-format off */
#define NE2K_ISA_FIELDS(V, S, H, P) H(dev) H(nic) H(iobase) H(irq) V(line) S(chip, dp8390_snapshot)
/* clang-format on */
SNAPSHOT(ne2k_isa_snapshot, "ne2k-isa", 1, struct ne2k_isa, NE2K_ISA_FIELDS);

static u32 isa_read(void *ctx, u16 port, unsigned size)
{
	struct ne2k_isa *d = ctx;
	return dp8390_read(&d->chip, (unsigned)(port - d->iobase), size);
}

static void isa_write(void *ctx, u16 port, u32 v, unsigned size)
{
	struct ne2k_isa *d = ctx;
	dp8390_write(&d->chip, (unsigned)(port - d->iobase), v, size);
}

static u32 isa_read_run(void *ctx, u16 port, unsigned size, u8 *data, u32 count)
{
	struct ne2k_isa *d = ctx;
	return dp8390_read_run(&d->chip, (unsigned)(port - d->iobase), size, data, count);
}

static u32 isa_write_run(void *ctx, u16 port, unsigned size, const u8 *data, u32 count)
{
	struct ne2k_isa *d = ctx;
	return dp8390_write_run(&d->chip, (unsigned)(port - d->iobase), size, data, count);
}

static const struct port_run_ops isa_ops = {{isa_read, isa_write, IO_1 | IO_2 | IO_RUN}, isa_read_run, isa_write_run};

static void isa_irq(struct device *d, bool level)
{
	irq_set(&((struct ne2k_isa *)d)->line, level);
}

static unsigned isa_room(struct device *d)
{
	return dp8390_room(&((struct ne2k_isa *)d)->chip);
}

static void isa_receive(struct device *d, const u8 *frame, size_t bytes)
{
	dp8390_receive(&((struct ne2k_isa *)d)->chip, frame, bytes);
}

static const struct nic_ops isa_nic_ops = {isa_room, isa_receive};

static int isa_init(struct device *dev, char *err, size_t n)
{
	struct ne2k_isa *d = (struct ne2k_isa *)dev;
	int e = nic_init(&d->nic, dev, &isa_nic_ops, err, n);
	if (e)
		return e;
	dp8390_init(&d->chip, &d->nic, isa_irq);
	device_connect_irq(dev, &d->line, (unsigned)d->irq);
	return device_claim_ports(dev, (u16)d->iobase, DP8390_PORTS, &isa_ops.ops, err, n);
}

static void isa_reset(struct device *d, enum reset_kind kind)
{
	dp8390_reset(&((struct ne2k_isa *)d)->chip);
}

static void isa_free(struct device *d)
{
	nic_exit(&((struct ne2k_isa *)d)->nic);
}

static const struct prop isa_props[] = {
    NIC_PROPS(struct ne2k_isa),
    {.name = "iobase",
     .type = PROP_UINT,
     .offset = offsetof(struct ne2k_isa, iobase),
     .def = "0x300",
     .help = "first of 32 ports",
     .min = 0x200,
     .max = 0x3e0},
    {.name = "irq",
     .type = PROP_UINT,
     .offset = offsetof(struct ne2k_isa, irq),
     .def = "9",
     .help = "ISA interrupt",
     .min = 2,
     .max = 15},
    {0},
};

const struct device_type ne2k_isa_type = {
    .name = "ne2k_isa",
    .help = "NE2000 Ethernet on the ISA bus",
    .category = "network",
    .size = sizeof(struct ne2k_isa),
    .irqs = (const struct irq_output[]){{"irq", offsetof(struct ne2k_isa, line), IRQ_UNWIRED}, {0}},
    .props = isa_props,
    .snapshot = &ne2k_isa_snapshot,
    .init = isa_init,
    .reset = isa_reset,
    .free = isa_free,
};

/* ---- PCI
 * -------------------------------------------------------------------------------------------------------------
 */

struct ne2k_pci {
	struct device dev;
	struct pci_function fn;
	struct nic nic;
	char romfile[PROP_TEXT_SIZE];
	struct dp8390 chip;
};

/* clang-format off */
#define NE2K_PCI_FIELDS(V, S, H, P) H(dev) S(fn, pci_function_snapshot) H(nic) H(romfile) S(chip, dp8390_snapshot)
/* clang-format on */
SNAPSHOT(ne2k_pci_snapshot, "ne2k-pci", 1, struct ne2k_pci, NE2K_PCI_FIELDS);

static u32 pci_read(void *ctx, u16 port, unsigned size)
{
	struct ne2k_pci *d = ctx;
	return dp8390_read(&d->chip, (unsigned)(port - pci_bar_base(&d->fn, 0)), size);
}

static void pci_write(void *ctx, u16 port, u32 v, unsigned size)
{
	struct ne2k_pci *d = ctx;
	dp8390_write(&d->chip, (unsigned)(port - pci_bar_base(&d->fn, 0)), v, size);
}

static u32 pci_read_run(void *ctx, u16 port, unsigned size, u8 *data, u32 count)
{
	struct ne2k_pci *d = ctx;
	return dp8390_read_run(&d->chip, (unsigned)(port - pci_bar_base(&d->fn, 0)), size, data, count);
}

static u32 pci_write_run(void *ctx, u16 port, unsigned size, const u8 *data, u32 count)
{
	struct ne2k_pci *d = ctx;
	return dp8390_write_run(&d->chip, (unsigned)(port - pci_bar_base(&d->fn, 0)), size, data, count);
}

static const struct port_run_ops pci_ops = {{pci_read, pci_write, IO_ANY | IO_RUN}, pci_read_run, pci_write_run};

static void pci_irq(struct device *d, bool level)
{
	pci_set_intx(&((struct ne2k_pci *)d)->fn, level);
}

static unsigned pci_room(struct device *d)
{
	return dp8390_room(&((struct ne2k_pci *)d)->chip);
}

static void pci_receive(struct device *d, const u8 *frame, size_t bytes)
{
	dp8390_receive(&((struct ne2k_pci *)d)->chip, frame, bytes);
}

static const struct nic_ops pci_nic_ops = {pci_room, pci_receive};

static int pci_init(struct device *dev, char *err, size_t n)
{
	struct ne2k_pci *d = (struct ne2k_pci *)dev;
	int e = nic_init(&d->nic, dev, &pci_nic_ops, err, n);
	if (e)
		return e;
	dp8390_init(&d->chip, &d->nic, pci_irq);
	d->chip.rtl8029 = true;
	return pci_rom_file(&d->fn, d->romfile, err, n);
}

static void pci_reset_(struct device *d, enum reset_kind kind)
{
	dp8390_reset(&((struct ne2k_pci *)d)->chip);
}

static void pci_free(struct device *d)
{
	nic_exit(&((struct ne2k_pci *)d)->nic);
}

static const struct pci_ident ident = {
    .vendor = 0x10ec,
    .device = 0x8029,
    .subsystem_vendor = 0x10ec,
    .subsystem = 0x8029,
    .class_code = 0x020000,
    .pin = 1,
    .devfn = -1,
    .bar = {{.kind = PCI_BAR_IO, .size = DP8390_PORTS, .io = &pci_ops.ops}},
};

static const struct prop pci_props[] = {
    NIC_PROPS(struct ne2k_pci),
    {.name = "romfile",
     .type = PROP_TEXT,
     .offset = offsetof(struct ne2k_pci, romfile),
     .def = "",
     .help = "PCI expansion ROM (iPXE)"},
    {0},
};

const struct device_type ne2k_pci_type = {
    .name = "ne2k_pci",
    .help = "Realtek RTL8029AS (NE2000) Ethernet on PCI",
    .category = "network",
    .size = sizeof(struct ne2k_pci),
    .pci = &ident,
    .pci_offset = offsetof(struct ne2k_pci, fn),
    .props = pci_props,
    .snapshot = &ne2k_pci_snapshot,
    .init = pci_init,
    .reset = pci_reset_,
    .free = pci_free,
};
