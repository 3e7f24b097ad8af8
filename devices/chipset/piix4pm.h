/* PIIX4 power management function. */
#ifndef ORRERY_DEVICES_PIIX4PM_H
#define ORRERY_DEVICES_PIIX4PM_H

#include "devices/device.h"

/** The power button was pressed: PWRBTN_STS and an SCI if enabled. */
void piix4pm_power_button(struct device *d);
/** The RTC asserts IRQ8#: RTC_STS. */
void piix4pm_rtc_alarm(struct device *d);
/** The wake events that have happened, of those that may end sleep: PM1_RTC if enabled, PM1_PWRBTN. 0: sleep on. */
u16 piix4pm_wake_status(struct device *d);
/** Has software enabled the RTC to end sleep? */
bool piix4pm_wakes_by_rtc(struct device *d);
/** After the reset that ends sleep: WAK_STS and the event @status. */
void piix4pm_wake(struct device *d, u16 status);

/** The firmware answers ACPI_ENABLE and ACPI_DISABLE in system management mode, so the chip does not. */
void piix4pm_leave_to_smm(struct device *d);

#endif
