/* Wiring of interrupt outputs to the 8259As and the I/O APIC (MP specification 1.4, 3.6.2:
 * "symmetric I/O mode" boards). */
#include "devices/irq/gsi.h"

/* The pin of the I/O APIC where an ISA IRQ arrives. */
static unsigned ioapic_pin(unsigned irq)
{
	return irq == 0 ? 2 : irq;
}

static void count(struct gsi_router *g, unsigned gsi, bool level)
{
	g->sources[gsi] = (u16)(g->sources[gsi] + (level ? 1 : -1));
}

static bool legacy(unsigned irq)
{
	return irq == 0 || irq == 8;
}

static void drive_isa(struct gsi_router *g, unsigned irq, bool level)
{
	irq_set(&g->pic[irq], level);
	irq_set(&g->ioapic[ioapic_pin(irq)], level);
}

void gsi_isa_sink(void *router, unsigned irq, bool level)
{
	struct gsi_router *g = router;
	if (irq > 15)
		return;
	count(g, irq, level);
	if (irq == 8)
		irq_set(&g->rtc, g->sources[8] != 0);
	if (!(g->legacy_off && legacy(irq)))
		drive_isa(g, irq, g->sources[irq] != 0);
}

void gsi_hpet_sink(void *router, unsigned irq, bool level)
{
	struct gsi_router *g = router;
	if (g->legacy_off && legacy(irq))
		drive_isa(g, irq, level);
}

void gsi_ioapic_sink(void *router, unsigned pin, bool level)
{
	struct gsi_router *g = router;
	if (pin < 16) { /* shared with an ISA IRQ at the I/O APIC */
		count(g, pin, level);
		irq_set(&g->ioapic[pin], g->sources[pin] != 0);
		return;
	}
	if (pin >= GSI_COUNT)
		return;
	count(g, pin, level);
	irq_set(&g->ioapic[pin], g->sources[pin] != 0);
}

void gsi_set_legacy_off(struct gsi_router *g, bool off)
{
	if (g->legacy_off == off)
		return;
	g->legacy_off = off;
	drive_isa(g, 0, !off && g->sources[0]);
	drive_isa(g, 8, !off && g->sources[8]);
}
