/*
 * ACPI fixed hardware (ACPI 6.0, 4.8.3): PM1 status, enable, control; 24-bit timer at 3.579545 MHz;
 * two bytes of GPE0. Sleeping: SLP_TYP 0 powers off, 1 suspends to RAM, 2 (S4) powers off. Not
 * modelled: throttling, C-states, bus-master status.
 */
#include "devices/chipset/acpi_pm.h"

#define TIMER_HZ 3579545u
#define HALF     (1u << 23) /* bit 23 changes every half turn: TMR_STS */

/* clang-format off */
#define ACPI_PM_FIELDS(V, S, H, P) \
	H(env) V(sci) V(overflow) V(seen_ns) V(status) V(enable) V(control) V(gpe_status) \
	V(gpe_enable) H(pad)
/* clang-format on */
SNAPSHOT(acpi_pm_snapshot, "acpi-pm", 1, struct acpi_pm, ACPI_PM_FIELDS);

static u64 ticks(const struct acpi_pm *pm, u64 ns)
{
	return ns_to_ticks(ns, TIMER_HZ);
}

static void note_timer(struct acpi_pm *pm)
{
	u64 now = clock_now(pm->env->clock);
	if (ticks(pm, now) / HALF != ticks(pm, pm->seen_ns) / HALF)
		pm->status |= PM1_TMR;
	pm->seen_ns = now;
}

static void update(struct acpi_pm *pm)
{
	u16 fixed = pm->status & pm->enable & (PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_RTC);
	bool gpe =
	    (pm->gpe_status[0] & pm->gpe_enable[0]) || (pm->gpe_status[1] & pm->gpe_enable[1]);
	irq_set(&pm->sci, (pm->control & PM1_SCI_EN) && (fixed || gpe));
	if (pm->enable & PM1_TMR) {
		u64 next = (ticks(pm, clock_now(pm->env->clock)) / HALF + 1) * HALF;
		timer_arm(&pm->overflow, ticks_to_ns(next, TIMER_HZ));
	} else {
		timer_disarm(&pm->overflow);
	}
}

static void overflow(void *ctx)
{
	struct acpi_pm *pm = ctx;
	note_timer(pm);
	update(pm);
}

void acpi_pm_init(struct acpi_pm *pm, struct device_env *env)
{
	pm->env = env;
	timer_init(&pm->overflow, env->clock, overflow, pm);
}

void acpi_pm_reset(struct acpi_pm *pm)
{
	pm->status = pm->enable = pm->control = 0;
	memset(pm->gpe_status, 0, sizeof(pm->gpe_status));
	memset(pm->gpe_enable, 0, sizeof(pm->gpe_enable));
	pm->seen_ns = clock_now(pm->env->clock);
	update(pm);
}

void acpi_pm_raise(struct acpi_pm *pm, u16 status_bits)
{
	pm->status |= status_bits;
	update(pm);
}

void acpi_pm_set_sci_enable(struct acpi_pm *pm, bool on)
{
	pm->control = (u16)((pm->control & ~PM1_SCI_EN) | (on ? PM1_SCI_EN : 0));
	update(pm);
}

static void sleep_now(struct acpi_pm *pm)
{
	const struct machine_hooks *h = &pm->env->hooks;
	unsigned type = pm->control >> 10 & 7;
	if (type > 2)
		log_unimplemented(pm->env->log, "ACPI sleep type %u: powering off", type);
	if (h->power)
		h->power(h->ctx, type == 1 ? POWER_SUSPEND_RAM : POWER_OFF);
}

static u8 read_byte(struct acpi_pm *pm, unsigned offset)
{
	u32 tmr = (u32)ticks(pm, clock_now(pm->env->clock)) & 0xffffff;
	switch (offset) {
	case 0: return (u8)pm->status;
	case 1: return (u8)(pm->status >> 8);
	case 2: return (u8)pm->enable;
	case 3: return (u8)(pm->enable >> 8);
	case 4: return (u8)pm->control;
	case 5: return (u8)(pm->control >> 8);
	case 8 ... 11: return (u8)(tmr >> (offset - 8) * 8);
	default: return 0;
	}
}

u32 acpi_pm_read(struct acpi_pm *pm, unsigned offset, unsigned size)
{
	u32 v = 0;
	note_timer(pm);
	for (unsigned i = 0; i < size; i++)
		v |= (u32)read_byte(pm, offset + i) << (i * 8);
	return v;
}

static u16 put(u16 old, unsigned high, u8 v)
{
	return high ? (u16)((old & 0xff) | v << 8) : (u16)((old & 0xff00) | v);
}

static void write_byte(struct acpi_pm *pm, unsigned offset, u8 v)
{
	switch (offset) {
	case 0: pm->status &= (u16)~v; break;
	case 1: pm->status &= (u16) ~(v << 8); break;
	case 2:
	case 3: pm->enable = put(pm->enable, offset & 1, v); break;
	case 4:
	case 5: pm->control = put(pm->control, offset & 1, v); break;
	default: break;
	}
}

void acpi_pm_write(struct acpi_pm *pm, unsigned offset, u32 value, unsigned size)
{
	note_timer(pm);
	for (unsigned i = 0; i < size; i++)
		write_byte(pm, offset + i, (u8)(value >> (i * 8)));
	bool sleep = pm->control & PM1_SLP_EN;
	pm->control &= (u16)~PM1_SLP_EN; /* write-only */
	update(pm);
	if (sleep && offset <= 5 && offset + size > 5)
		sleep_now(pm);
}

u8 acpi_gpe_read(struct acpi_pm *pm, unsigned offset)
{
	return offset < 2 ? pm->gpe_status[offset] : pm->gpe_enable[(offset - 2) & 1];
}

void acpi_gpe_write(struct acpi_pm *pm, unsigned offset, u8 value)
{
	if (offset < 2)
		pm->gpe_status[offset] &= (u8)~value;
	else
		pm->gpe_enable[(offset - 2) & 1] = value;
	update(pm);
}
