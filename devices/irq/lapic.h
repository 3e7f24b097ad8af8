/* The local APIC of one processor, and the messages local and I/O APICs exchange. */
#ifndef ORRERY_DEVICES_LAPIC_H
#define ORRERY_DEVICES_LAPIC_H

#include "devices/device.h"

enum apic_delivery {
	APIC_FIXED,
	APIC_LOWEST,
	APIC_SMI,
	APIC_RESERVED,
	APIC_NMI,
	APIC_INIT,
	APIC_SIPI,
	APIC_EXTINT
};

struct apic_message {
	u32 dest;
	bool logical;
	bool wide; /* dest is 32 bits wide (x2APIC): broadcast is ffffffffh, else ffh */
	bool level_triggered;
	u8 vector;
	enum apic_delivery delivery;
};

/** Sends a message to the local APICs of the machine. True if one accepted it. */
bool apic_deliver(struct device_env *env, const struct apic_message *m);
/** Decodes an MSI (SDM Vol. 3A, 11.11) and delivers it. */
bool apic_deliver_msi(struct device_env *env, u64 addr, u32 data);

/** Registers through memory: @offset within the 4-KiB page. All ones if the APIC is off or in
 * x2APIC mode. */
u32 lapic_mmio_read(struct device *d, u32 offset, unsigned size);
void lapic_mmio_write(struct device *d, u32 offset, u32 value, unsigned size);
/** IA32_APIC_BASE (1Bh), IA32_TSC_DEADLINE (6E0h), 800h-8FFh. 0, or -1 for #GP. */
int lapic_msr_read(struct device *d, u32 msr, u64 *value);
int lapic_msr_write(struct device *d, u32 msr, u64 value);
u8 lapic_get_cr8(struct device *d);
void lapic_set_cr8(struct device *d, u8 value);
/** Level of LINT0 or LINT1. */
void lapic_set_lint(struct device *d, unsigned pin, bool level);
/** Takes the interrupt of highest priority into service. The vector, or -1 when the request is an
 * ExtINT: ask the 8259As. */
int lapic_intack(struct device *d);
/** INIT: registers as after reset, ID and base kept. */
void lapic_init_reset(struct device *d);
/** Leaves the APIC as firmware does: enabled, LINT0 ExtINT, LINT1 NMI. */
void lapic_virtual_wire(struct device *d);
u64 lapic_base(struct device *d); /* IA32_APIC_BASE */

#endif
