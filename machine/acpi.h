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
	u32 pm_base;       /* of the PM1 block, as firmware programmed it; 0: ACPI_PM_BASE */
};

/**
 * Writes all tables into @segment, the 64 KiB of RAM at F0000h. 0 with *@rsdp its guest-physical
 * address, or -E2BIG.
 */
MUST_CHECK int acpi_build(const struct acpi_config *cfg, u8 *segment, u64 *rsdp, struct errtext *e);

/* The tables as firmware wants them from fw_cfg: it places the blobs itself, as the loader script says (QEMU's
 * "etc/table-loader": allocate, add pointer, add checksum; entries of 128 bytes). */
#define ACPI_LOADER_ENTRY 128

struct acpi_files {
	u8 tables[0x10000], rsdp[36], loader[64 * ACPI_LOADER_ENTRY];
	u32 tables_size, loader_size;
};

/** Fills @f: the contents of etc/acpi/tables, etc/acpi/rsdp and etc/table-loader. The sizes do not depend on pm_base. 0 or -E2BIG. */
MUST_CHECK int acpi_build_files(const struct acpi_config *cfg, struct acpi_files *f, struct errtext *e);

#endif
