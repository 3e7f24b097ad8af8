/*
 * Global system interrupts 0..23: where every interrupt output of the board arrives. Each is a
 * wired OR of its sources, goes to the pair of 8259As (0..15) and to the I/O APIC, where the PIT's
 * IRQ 0 stands at pin 2.
 */
#ifndef ORRERY_DEVICES_GSI_H
#define ORRERY_DEVICES_GSI_H

#include "base/irq.h"
#include "base/types.h"

#define GSI_COUNT 24

struct gsi_router {
	u16 sources[GSI_COUNT]; /* outputs that hold the line high; saved with the board */
	bool legacy_off; /* HPET legacy replacement: ISA 0 and 8 from the PIT and RTC are cut off */
	struct irq_line pic[16];
	struct irq_line ioapic[GSI_COUNT];
	struct irq_line rtc; /* IRQ8# before the HPET cuts it off: to power management */
};

/** Sink for irq_connect: ISA IRQ numbers 0..15. */
void gsi_isa_sink(void *router, unsigned irq, bool level);
/** Sink for the HPET's legacy outputs, which replace IRQ 0 and 8. */
void gsi_hpet_sink(void *router, unsigned irq, bool level);
/** Sink for outputs that reach only the I/O APIC: pins 0..23. */
void gsi_ioapic_sink(void *router, unsigned pin, bool level);
/** HPET legacy replacement on or off. */
void gsi_set_legacy_off(struct gsi_router *g, bool off);

#endif
