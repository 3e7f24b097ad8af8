/*
 * Intel 82441FX (i440FX PMC): PCI configuration mechanism 1 at CF8h/CFCh, shadowing of
 * C0000h-FFFFFh (PAM0-6), SMRAM at A0000h; and the PIIX3's reset control register CF9h. RAM itself
 * is put on the bus by the board. Not modelled: DRAM timing and row registers (kept, without
 * effect), ECC, the graphics aperture, configuration mechanism 2.
 */
#include "devices/chipset/i440fx.h"

#include <errno.h>

#include "devices/chipset/pci.h"

#define PAM0         0x59
#define SMRAM        0x72
#define SMRAM_OPEN   0x40
#define SMRAM_CLOSED 0x20
#define SMRAM_LOCK   0x10
#define SMRAM_ENABLE 0x08
#define SEGMENTS     13 /* F0000h (64 KiB), then C0000h..EC000h in 16 KiB */

struct i440fx {
	struct device dev;
	struct pci_function fn;
	struct mem_region *shadow[SEGMENTS];
	struct mem_region *smram;
	u32 address; /* CF8h */
	bool smm;
	u8 reset_control; /* CF9h */
	u8 pam[7];        /* the registers once more: they outlive the sleep that clears the others */
	u8 pad[3];
};

/* clang-format off */
#define I440FX_FIELDS(V, S, H, P) \
	H(dev) S(fn, pci_function_snapshot) H(shadow) H(smram) V(address) V(smm) \
	V(reset_control) H(pam) H(pad)
/* clang-format on */
SNAPSHOT(i440fx_snapshot, "i440fx", 1, struct i440fx, I440FX_FIELDS);

/* ---- PAM and SMRAM ----------------------------------------------------------------------- */

/* Two attribute bits of segment @i: 1 read from RAM, 2 write to RAM. PAM0[5:4] is F0000h, PAM1[1:0]
 * C0000h, PAM1[5:4] C4000h... */
static unsigned pam_bits(const struct i440fx *h, unsigned i)
{
	if (i == 0)
		return h->fn.cfg[PAM0] >> 4 & 3;
	return h->fn.cfg[PAM0 + 1 + (i - 1) / 2] >> ((i - 1) & 1 ? 4 : 0) & 3;
}

static void update_pam(struct i440fx *h)
{
	memcpy(h->pam, h->fn.cfg + PAM0, sizeof(h->pam));
	for (unsigned i = 0; i < SEGMENTS; i++)
		if (h->shadow[i])
			bus_enable_mem(h->dev.env->bus, h->shadow[i], pam_bits(h, i) & 1,
				       pam_bits(h, i) & 2);
}

static void update_smram(struct i440fx *h)
{
	u8 v = h->fn.cfg[SMRAM];
	bool on = (v & SMRAM_ENABLE) && ((v & SMRAM_OPEN) || (h->smm && !(v & SMRAM_CLOSED)));
	if (h->smram)
		bus_enable_mem(h->dev.env->bus, h->smram, on, on);
}

void i440fx_set_smm(struct device *d, bool smm)
{
	struct i440fx *h = (struct i440fx *)d;
	h->smm = smm;
	update_smram(h);
}

static void update_all(struct i440fx *h)
{
	bus_batch_begin(h->dev.env->bus);
	update_pam(h);
	update_smram(h);
	bus_batch_end(h->dev.env->bus);
}

/* D_LCK closes SMRAM and makes the register read-only until reset. */
static void lock_smram(struct i440fx *h)
{
	u8 *v = &h->fn.cfg[SMRAM];
	if (!(*v & SMRAM_LOCK))
		return;
	*v &= (u8)~SMRAM_OPEN;
	h->fn.wmask[SMRAM] = 0;
}

static void config_written(struct device *d, unsigned reg, unsigned size)
{
	struct i440fx *h = (struct i440fx *)d;
	if (reg <= SMRAM && reg + size > SMRAM)
		lock_smram(h);
	if (reg <= SMRAM && reg + size > PAM0)
		update_all(h);
}

/* ---- configuration mechanism 1 ----------------------------------------------------------- */

/* CF9h (PIIX3 reset control) lies inside the address register's dword: bytes there are its own. */
static void write_reset_control(struct i440fx *h, u8 v)
{
	const struct machine_hooks *hooks = &h->dev.env->hooks;
	bool go = (v & 4) && !(h->reset_control & 4);
	h->reset_control = v & 0x06;
	if (go && hooks->reset)
		hooks->reset(hooks->ctx, !(v & 2));
}

static u32 address_read(void *ctx, u16 port, unsigned size)
{
	struct i440fx *h = ctx;
	if (size == 4 && port == 0xcf8)
		return h->address;
	return size == 1 && port == 0xcf9 ? h->reset_control : 0xffffffffu;
}

static void address_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct i440fx *h = ctx;
	if (size == 4 && port == 0xcf8)
		h->address = value & 0x80fffffcu;
	else if (size == 1 && port == 0xcf9)
		write_reset_control(h, (u8)value);
}

static bool selected(const struct i440fx *h)
{
	return (h->address & 0x80000000u) && !(h->address & 0x00ff0000u);
}

static u32 data_read(void *ctx, u16 port, unsigned size)
{
	struct i440fx *h = ctx;
	if (!selected(h))
		return 0xffffffffu;
	return pci_config_read(h->dev.env->pci, h->address >> 8 & 0xff,
			       (h->address & 0xfc) + (port & 3), size);
}

static void data_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct i440fx *h = ctx;
	if (selected(h))
		pci_config_write(h->dev.env->pci, h->address >> 8 & 0xff,
				 (h->address & 0xfc) + (port & 3), value, size);
}

/* ---- life -------------------------------------------------------------------------------- */

static struct mem_region *add_shadow(struct i440fx *h, u64 base, u64 size, const char *name,
				     int *err)
{
	struct mem_region r = {.base = base,
			       .size = size,
			       .host = h->dev.env->ram + base,
			       .name = name,
			       .kind = MEM_RAM,
			       .prio = MEM_PRIO_SHADOW};
	return bus_add_mem(h->dev.env->bus, &r, err);
}

static int init(struct device *d, char *err, size_t n)
{
	struct i440fx *h = (struct i440fx *)d;
	int e = 0;
	for (unsigned i = 0; i < 7; i++)
		h->fn.wmask[PAM0 + i] = i ? 0x33 : 0x30;
	h->fn.wmask[SMRAM] = 0x78;
	for (unsigned r = 0x50; r < PAM0; r++) /* chipset and DRAM set-up: plain storage */
		h->fn.wmask[r] = 0xff;
	for (unsigned r = 0x60; r < 0x6a; r++)
		h->fn.wmask[r] = 0xff;
	if (!d->env->ram || d->env->ram_low_bytes < 0x100000)
		return 0;
	h->shadow[0] = add_shadow(h, 0xf0000, 0x10000, "shadow F0000", &e);
	for (unsigned i = 1; i < SEGMENTS && !e; i++)
		h->shadow[i] = add_shadow(h, 0xc0000 + (i - 1) * 0x4000, 0x4000, "shadow", &e);
	if (!e)
		h->smram = add_shadow(h, 0xa0000, 0x20000, "smram", &e);
	if (e)
		snprintf(err, n, "%s: no room for shadow RAM", d->id);
	return e;
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct i440fx *h = (struct i440fx *)d;
	pci_put16(h->fn.cfg, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	pci_put16(h->fn.cfg, PCI_STATUS, 0x0280);
	if (kind == RESET_WAKE) /* SeaBIOS finds its way back in shadow RAM */
		memcpy(h->fn.cfg + PAM0, h->pam, sizeof(h->pam));
	else
		memset(h->fn.cfg + PAM0, 0, sizeof(h->pam));
	h->fn.cfg[SMRAM] = 0x02;
	h->fn.wmask[SMRAM] = 0x78;
	h->address = 0;
	h->reset_control = 0;
	h->smm = false;
	update_all(h);
}

static void loaded(struct device *d)
{
	struct i440fx *h = (struct i440fx *)d;
	h->fn.wmask[SMRAM] = h->fn.cfg[SMRAM] & SMRAM_LOCK ? 0 : 0x78;
	update_all(h);
}

static void release(struct device *d)
{
	struct i440fx *h = (struct i440fx *)d;
	for (unsigned i = 0; i < SEGMENTS; i++)
		bus_remove_mem(d->env->bus, h->shadow[i]);
	bus_remove_mem(d->env->bus, h->smram);
}

static const struct pci_ident ident = {
    .vendor = 0x8086,
    .device = 0x1237,
    .revision = 2,
    .class_code = 0x060000,
    .devfn = 0,
    .config_written = config_written,
};

static const struct port_ops address_ports = {address_read, address_write, IO_1 | IO_4};
static const struct port_ops data_ports = {data_read, data_write, IO_ANY};

const struct device_type i440fx_type = {
    .name = "i440fx",
    .help = "82441FX host bridge",
    .category = "chipset",
    .size = sizeof(struct i440fx),
    .ports = (const struct port_claim[]){{0xcf8, 4, &address_ports}, {0xcfc, 4, &data_ports}, {0}},
    .pci = &ident,
    .pci_offset = offsetof(struct i440fx, fn),
    .snapshot = &i440fx_snapshot,
    .init = init,
    .reset = reset,
    .free = release,
    .loaded = loaded,
    .internal = true,
};
