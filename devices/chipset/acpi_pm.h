/* ACPI fixed hardware: the PM1 block and the power-management timer (ACPI 6.0, 4.8). Used by the
 * south bridges. */
#ifndef ORRERY_DEVICES_ACPI_PM_H
#define ORRERY_DEVICES_ACPI_PM_H

#include "devices/device.h"

#define PM1_TMR    0x0001u
#define PM1_BM     0x0010u
#define PM1_GBL    0x0020u
#define PM1_PWRBTN 0x0100u
#define PM1_RTC    0x0400u
#define PM1_WAK    0x8000u
#define PM1_SCI_EN 0x0001u
#define PM1_SLP_EN 0x2000u

struct acpi_pm {
	struct device_env *env;
	struct irq_line sci;
	struct timer overflow; /* of the timer's bit 23, while its interrupt is enabled */
	u64 seen_ns;           /* TMR_STS is right for this moment */
	u16 status, enable, control;
	u8 gpe_status[2], gpe_enable[2];
	u8 pad[6];
};
extern const struct snapshot_desc acpi_pm_snapshot;

void acpi_pm_init(struct acpi_pm *pm, struct device_env *env);
void acpi_pm_reset(struct acpi_pm *pm);
/** PM1 event (0, 2), control (4) and timer (8) by byte offset from the block's base. */
u32 acpi_pm_read(struct acpi_pm *pm, unsigned offset, unsigned size);
void acpi_pm_write(struct acpi_pm *pm, unsigned offset, u32 value, unsigned size);
/** GPE0: two status bytes, then two enable bytes. */
u8 acpi_gpe_read(struct acpi_pm *pm, unsigned offset);
void acpi_gpe_write(struct acpi_pm *pm, unsigned offset, u8 value);
/** Sets status bits, as hardware does (power button...). */
void acpi_pm_raise(struct acpi_pm *pm, u16 status_bits);
/** Raises the sleep-type values understood: SLP_TYP 0 is S5, 1 is S3, 2 is S4 (handled as S5). */
void acpi_pm_set_sci_enable(struct acpi_pm *pm, bool on);

#endif
