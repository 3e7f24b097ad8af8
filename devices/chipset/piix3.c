/*
 * Intel 82371SB (PIIX3) PCI-to-ISA bridge: PIRQ routing to ISA interrupts, port F0h and the x87
 * error interrupt (IRQ 13). The reset control register CF9h is in i440fx.c, the 8259As' ELCR in
 * pic.c, port 92h in i8042.c. Further configuration registers are kept without effect (decode
 * enables: everything is always decoded).
 */
#include "devices/chipset/piix3.h"

#include "devices/chipset/pci.h"

#define PIRQRC   0x60
#define PIRQ_OFF 0x80

struct piix3 {
	struct device dev;
	struct pci_function fn;
	struct irq_line pirq[4]; /* towards the routed ISA interrupt */
	struct irq_line irq13;
	u8 pirq_level[4];
	bool ferr;  /* the CPU's FERR# */
	bool ignne; /* port F0h was written while FERR# was active */
	u8 pad[2];
};

/* clang-format off */
#define PIIX3_FIELDS(V, S, H, P) \
	H(dev) S(fn, pci_function_snapshot) V(pirq) V(irq13) V(pirq_level) V(ferr) \
	V(ignne) H(pad)
/* clang-format on */
SNAPSHOT(piix3_snapshot, "piix3", 1, struct piix3, PIIX3_FIELDS);

/* ISA interrupt of a PIRQ, or -1: 0-2, 8 and 13 are reserved. */
static int route(const struct piix3 *p, unsigned n)
{
	u8 v = p->fn.cfg[PIRQRC + n];
	if ((v & PIRQ_OFF) || (0x2107 >> (v & 15) & 1))
		return -1;
	return v & 15;
}

static void update(struct piix3 *p, unsigned n)
{
	int irq = route(p, n);
	struct irq_line *line = &p->pirq[n];
	if (line->level && (irq < 0 || line->n != (u32)irq))
		irq_set(line, false);
	if (irq < 0)
		return;
	line->n = (u32)irq;
	irq_set(line, p->pirq_level[n]);
}

void piix3_pirq(void *ctx, unsigned n, bool level)
{
	struct piix3 *p = ctx;
	p->pirq_level[n & 3] = level;
	update(p, n & 3);
}

static void config_written(struct device *d, unsigned reg, unsigned size)
{
	if (reg < PIRQRC + 4 && reg + size > PIRQRC)
		for (unsigned n = 0; n < 4; n++)
			update((struct piix3 *)d, n);
}

/* ---- x87 errors: FERR# latches IRQ 13 until port F0h is written -------------------------- */

void piix3_ferr(struct device *d, bool level)
{
	struct piix3 *p = (struct piix3 *)d;
	p->ferr = level;
	if (!level)
		p->ignne = false;
	irq_set(&p->irq13, level && !p->ignne);
}

static void f0_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct piix3 *p = ctx;
	const struct machine_hooks *h = &p->dev.env->hooks;
	p->ignne = p->ferr;
	irq_set(&p->irq13, false);
	if (h->ignne)
		h->ignne(h->ctx);
}

static int init(struct device *d, char *err, size_t n)
{
	struct piix3 *p = (struct piix3 *)d;
	static const struct {
		u8 reg, mask;
	} writable[] = {{0x4c, 0xff}, {0x4e, 0xff}, {0x4f, 0x01}, {0x60, 0x8f}, {0x61, 0x8f},
			{0x62, 0x8f}, {0x63, 0x8f}, {0x69, 0xfe}, {0x6a, 0x87}, {0x70, 0xef},
			{0x76, 0x87}, {0x77, 0x87}, {0x78, 0xff}, {0x79, 0xff}, {0x80, 0x7f},
			{0x82, 0x0f}, {0xa0, 0x1f}, {0xa2, 0xff}, {0xa3, 0xff}, {0xa4, 0xff},
			{0xa5, 0xff}, {0xa6, 0xff}, {0xa7, 0xff}, {0xa8, 0xff}, {0xaa, 0xff},
			{0xab, 0xff}, {0xac, 0xff}, {0xae, 0xff}};
	for (unsigned i = 0; i < ARRAY_SIZE(writable); i++)
		p->fn.wmask[writable[i].reg] = writable[i].mask;
	for (unsigned i = 0; i < 4; i++)
		device_connect_irq(d, &p->pirq[i], 0);
	return 0;
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct piix3 *p = (struct piix3 *)d;
	u8 *c = p->fn.cfg;
	pci_put16(c, PCI_COMMAND, 0x0007);
	pci_put16(c, PCI_STATUS, 0x0200);
	c[0x4c] = 0x4d;
	c[0x4e] = 0x03;
	for (unsigned n = 0; n < 4; n++)
		c[PIRQRC + n] = PIRQ_OFF;
	c[0x69] = 0x02;
	c[0x70] = 0x80;
	c[0x76] = c[0x77] = 0x0c;
	c[0x78] = 0x02;
	c[0xa0] = 0x08;
	for (unsigned n = 0; n < 4; n++)
		update(p, n);
	p->ignne = false;
	irq_set(&p->irq13, p->ferr);
}

static void loaded(struct device *d)
{
	struct piix3 *p = (struct piix3 *)d;
	for (unsigned n = 0; n < 4; n++)
		if (route(p, n) >= 0)
			p->pirq[n].n = (u32)route(p, n);
}

static const struct pci_ident ident = {
    .vendor = 0x8086,
    .device = 0x7000,
    .class_code = 0x060100,
    .devfn = 1 << 3,
    .multifunction = true,
    .config_written = config_written,
};

static const struct port_ops f0_ports = {NULL, f0_write, IO_1};

const struct device_type piix3_type = {
    .name = "piix3",
    .help = "82371SB PCI-to-ISA bridge",
    .category = "chipset",
    .size = sizeof(struct piix3),
    .ports = (const struct port_claim[]){{0xf0, 1, &f0_ports}, {0}},
    .pci = &ident,
    .pci_offset = offsetof(struct piix3, fn),
    .irqs = (const struct irq_output[]){{"irq13", offsetof(struct piix3, irq13), 13}, {0}},
    .snapshot = &piix3_snapshot,
    .init = init,
    .reset = reset,
    .loaded = loaded,
    .internal = true,
};
