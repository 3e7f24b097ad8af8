/*
 * System Management BIOS tables (DMTF DSP0134, 2.8): firmware, system, chassis, processors, memory.
 * As files for firmware (fw_cfg "etc/smbios/smbios-anchor", "etc/smbios/smbios-tables"), which
 * places them, or at a fixed address without firmware.
 */
#ifndef ORRERY_MACHINE_SMBIOS_H
#define ORRERY_MACHINE_SMBIOS_H

#include "base/types.h"

#define SMBIOS_ANCHOR_BYTES 31
#define SMBIOS_TABLES_MAX   4096

struct smbios {
	u8 anchor[SMBIOS_ANCHOR_BYTES];
	u8 tables[SMBIOS_TABLES_MAX];
	u32 size; /* of tables */
};

struct smbios_config {
	unsigned cpus;
	u64 ram_low_bytes, ram_high_bytes; /* below 4 GiB, from 4 GiB on */
	const char *cpu_name;
	u32 table_address; /* guest-physical place of the tables; 0: firmware places them and fills
			      in address and checksums */
};

void smbios_build(const struct smbios_config *cfg, struct smbios *s);

#endif
