/*
 * Intel 82371AB (PIIX4) function 3: ACPI power management (base in PMBA), the APM ports B2h and B3h
 * with their SMI, and GPE0 at AFE0h as virtual machines have it. Writing F1h or F0h to B2h sets or
 * clears SCI_EN, as in QEMU, for what has no SMI handler that would: kernels started directly, SeaBIOS, OVMF.
 * Not modelled: the SMBus host controller (reported disabled), device monitors, clock control; SMI# reaches the first processor only.
 */
#include "devices/chipset/piix4pm.h"

#include "devices/chipset/acpi_pm.h"
#include "devices/chipset/pci.h"

#define PMBA         0x40
#define DEVACTB      0x58
#define APMC_ENABLE  0x02 /* in byte 5Bh: bit 25 */
#define PMREGMISC    0x80
#define GPE_BASE     0xafe0
#define ACPI_ENABLE  0xf1
#define ACPI_DISABLE 0xf0

struct piix4pm {
	struct device dev;
	struct pci_function fn;
	struct acpi_pm pm;
	u16 mapped; /* base of the claimed block, 0: none */
	u8 apmc, apms;
	int slot;
	bool smm; /* see piix4pm_leave_to_smm() */
	u8 pad[7];
};

/* clang-format off */
#define PIIX4PM_FIELDS(V, S, H, P) \
	H(dev) S(fn, pci_function_snapshot) S(pm, acpi_pm_snapshot) H(mapped) V(apmc) \
	V(apms) H(slot) H(smm) H(pad)
/* clang-format on */
SNAPSHOT(piix4pm_snapshot, "piix4pm", 1, struct piix4pm, PIIX4PM_FIELDS);

static u32 pm_read(void *ctx, u16 port, unsigned size)
{
	struct piix4pm *p = ctx;
	return acpi_pm_read(&p->pm, (unsigned)port - p->mapped, size);
}

static void pm_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct piix4pm *p = ctx;
	acpi_pm_write(&p->pm, (unsigned)port - p->mapped, value, size);
}

static const struct port_ops pm_ports = {pm_read, pm_write, IO_ANY};

static void update_base(struct piix4pm *p)
{
	u16 base = pci_get16(&p->fn, PMBA) & 0xffc0;
	bool on = p->fn.cfg[PMREGMISC] & 1;
	if (!on)
		base = 0;
	if (base == p->mapped)
		return;
	bus_remove_ports(p->dev.env->bus, p->slot);
	p->slot = base ? bus_add_ports(p->dev.env->bus, base, 0x40, &pm_ports, p, "acpi-pm") : 0;
	if (p->slot < 0) {
		log_line(p->dev.env->log, LOG_GUEST_ERRORS,
			 "piix4pm: PM base %04x overlaps another device", base);
		p->slot = 0;
		base = 0;
	}
	p->mapped = base;
}

static void config_written(struct device *d, unsigned reg, unsigned size)
{
	update_base((struct piix4pm *)d);
}

/* ---- APM ports --------------------------------------------------------------------------- */

static u32 apm_read(void *ctx, u16 port, unsigned size)
{
	struct piix4pm *p = ctx;
	return port & 1 ? p->apms : p->apmc;
}

static void apm_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct piix4pm *p = ctx;
	const struct machine_hooks *h = &p->dev.env->hooks;
	if (port & 1) {
		p->apms = (u8)value;
		return;
	}
	p->apmc = (u8)value;
	if (!p->smm && (p->apmc == ACPI_ENABLE || p->apmc == ACPI_DISABLE))
		acpi_pm_set_sci_enable(&p->pm, p->apmc == ACPI_ENABLE);
	if ((p->fn.cfg[DEVACTB + 3] & APMC_ENABLE) && h->smi)
		h->smi(h->ctx, 0);
}

static u32 gpe_read(void *ctx, u16 port, unsigned size)
{
	return acpi_gpe_read(&((struct piix4pm *)ctx)->pm, port - GPE_BASE);
}

static void gpe_write(void *ctx, u16 port, u32 value, unsigned size)
{
	acpi_gpe_write(&((struct piix4pm *)ctx)->pm, port - GPE_BASE, (u8)value);
}

void piix4pm_power_button(struct device *d)
{
	acpi_pm_raise(&((struct piix4pm *)d)->pm, PM1_PWRBTN);
}

void piix4pm_rtc_alarm(struct device *d)
{
	acpi_pm_raise(&((struct piix4pm *)d)->pm, PM1_RTC);
}

u16 piix4pm_wake_status(struct device *d)
{
	const struct acpi_pm *pm = &((struct piix4pm *)d)->pm;
	return pm->status & (PM1_PWRBTN | (pm->enable & PM1_RTC));
}

bool piix4pm_wakes_by_rtc(struct device *d)
{
	return ((struct piix4pm *)d)->pm.enable & PM1_RTC;
}

void piix4pm_wake(struct device *d, u16 status)
{
	acpi_pm_raise(&((struct piix4pm *)d)->pm, PM1_WAK | status);
}

void piix4pm_leave_to_smm(struct device *d)
{
	((struct piix4pm *)d)->smm = true;
}

/* ---- life -------------------------------------------------------------------------------- */

static int init(struct device *d, char *err, size_t n)
{
	struct piix4pm *p = (struct piix4pm *)d;
	acpi_pm_init(&p->pm, d->env);
	device_connect_irq(d, &p->pm.sci, 9);
	pci_put16(p->fn.wmask, PMBA, 0xffc0);
	for (unsigned r = 0x44; r < 0x80; r++)
		p->fn.wmask[r] = 0xff;
	p->fn.wmask[PMREGMISC] = 0x01;
	pci_put16(p->fn.wmask, 0x90, 0xfff0);
	return 0;
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct piix4pm *p = (struct piix4pm *)d;
	pci_put16(p->fn.cfg, PCI_STATUS, 0x0280);
	pci_put16(p->fn.cfg, PMBA, 1);
	p->fn.cfg[0x90] = 1;
	p->apmc = p->apms = 0;
	acpi_pm_reset(&p->pm);
	update_base(p);
}

static void loaded(struct device *d)
{
	update_base((struct piix4pm *)d);
}

static void release(struct device *d)
{
	struct piix4pm *p = (struct piix4pm *)d;
	bus_remove_ports(d->env->bus, p->slot);
	if (p->pm.env)
		timer_disarm(&p->pm.overflow);
}

static const struct pci_ident ident = {
    .vendor = 0x8086,
    .device = 0x7113,
    .revision = 3,
    .class_code = 0x068000,
    .pin = 1,
    .devfn = 1 << 3 | 3,
    .config_written = config_written,
};

static const struct port_ops apm_ports = {apm_read, apm_write, IO_1};
static const struct port_ops gpe_ports = {gpe_read, gpe_write, IO_1};

const struct device_type piix4pm_type = {
    .name = "piix4-pm",
    .help = "82371AB power management",
    .category = "chipset",
    .size = sizeof(struct piix4pm),
    .ports = (const struct port_claim[]){{0xb2, 2, &apm_ports}, {GPE_BASE, 4, &gpe_ports}, {0}},
    .pci = &ident,
    .pci_offset = offsetof(struct piix4pm, fn),
    .snapshot = &piix4pm_snapshot,
    .init = init,
    .reset = reset,
    .loaded = loaded,
    .free = release,
    .internal = true,
};
