/*
 * The tables firmware leaves in memory, for machines started without firmware: ACPI (RSDP, RSDT,
 * XSDT, FADT, FACS, DSDT, MADT, HPET; ACPI Specification 6.4, chapter 5), the MultiProcessor tables
 * (MP Specification 1.4). They describe the `pc` machine:
 * i440FX, PIIX3, PIIX4 power management at 600h. Not modelled: SMBIOS, $PIR, BIOS32, GPE and hot
 * plug, processor power states.
 */
#ifndef ORRERY_MACHINE_ACPI_H
#define ORRERY_MACHINE_ACPI_H

#include "machine/errtext.h"

#define ACPI_PM_BASE 0x600
#define ACPI_SCI_IRQ 9
#define ACPI_SEGMENT 0xf0000u /* guest-physical; 64 KiB */

struct acpi_config {
	unsigned cpus;     /* 1..64; APIC IDs 0..cpus-1 */
	u64 low_ram_bytes; /* the PCI window starts here at the lowest */
	bool hpet, vga;
};

/**
 * Writes all tables into @segment, the 64 KiB of RAM at F0000h. 0 with *@rsdp its guest-physical
 * address, or -E2BIG.
 */
MUST_CHECK int acpi_build(const struct acpi_config *cfg, u8 *segment, u64 *rsdp, struct errtext *e);

#endif
