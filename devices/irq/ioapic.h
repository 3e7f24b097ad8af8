/* I/O APIC. */
#ifndef ORRERY_DEVICES_IOAPIC_H
#define ORRERY_DEVICES_IOAPIC_H

#include "devices/device.h"

/** Input pin 0..23: sink for irq_connect. */
void ioapic_sink(void *ioapic, unsigned pin, bool level);
/** A local APIC ended level-triggered @vector: every I/O APIC of the machine hears it. */
void ioapic_eoi_broadcast(struct device_env *env, u8 vector);

#endif
