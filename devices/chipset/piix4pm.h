/* PIIX4 power management function. */
#ifndef ORRERY_DEVICES_PIIX4PM_H
#define ORRERY_DEVICES_PIIX4PM_H

#include "devices/device.h"

/** The power button was pressed: PWRBTN_STS and an SCI if enabled. */
void piix4pm_power_button(struct device *d);

#endif
