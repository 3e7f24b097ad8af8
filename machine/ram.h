/*
 * The machine's RAM: one lazily mapped host block, seen by the guest below 3 GiB and, for the rest,
 * from 4 GiB up (the hole under 4 GiB belongs to PCI, the APICs and the ROM).
 */
#ifndef ORRERY_MACHINE_RAM_H
#define ORRERY_MACHINE_RAM_H

#include "base/types.h"

#define RAM_LOW_MAX   0xc0000000ull /* guest-physical end of low RAM at most */
#define RAM_HIGH_BASE 0x100000000ull

struct ram {
	u8 *host;
	u64 size_bytes;
	u64 low_bytes; /* the part that starts at guest-physical 0 */
};

/** Maps @size_bytes (a positive multiple of 4096) of zeroes; host pages appear when touched.
 * -ENOMEM, -EINVAL. */
int ram_init(struct ram *ram, u64 size_bytes);
void ram_free(struct ram *ram);

/** Host address of @n bytes at guest-physical @gpa when all of them are RAM, else NULL. @n = 0 asks
 * for one byte. */
u8 *ram_at(const struct ram *ram, u64 gpa, u64 n);

#endif
