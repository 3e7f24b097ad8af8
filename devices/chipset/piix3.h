/* PIIX3 south bridge: interrupt routing, x87 error interrupt. */
#ifndef ORRERY_DEVICES_PIIX3_H
#define ORRERY_DEVICES_PIIX3_H

#include "devices/device.h"

/** PIRQ 0..3 (A..D): the sink of struct pci_bus.pirq. */
void piix3_pirq(void *piix3, unsigned pirq, bool level);
/** FERR# of the CPU. */
void piix3_ferr(struct device *d, bool level);

#endif
