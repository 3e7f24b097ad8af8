/* Drives of the board: which controller gets which, and what firmware finds about them in CMOS. */
#include <errno.h>

#include "devices/pc.h"
#include "devices/storage/floppy.h"
#include "devices/storage/ide.h"
#include "devices/storage/pflash.h"
#include "devices/timer/rtc.h"

/* Unit 0 ends at 4 GiB, unit 1 where it begins. */
static int attach_pflash(struct pc *pc, const struct drive *d, char *err, size_t n)
{
	u64 top = BIT64(32);
	if (d->unit > 1 || pc->pflash[d->unit] || (d->unit == 1 && !pc->pflash[0])) {
		snprintf(err, n,
			 "%s: flash chips are number 0 (firmware) and then 1 (its variables)",
			 d->id);
		return -EINVAL;
	}
	if (d->unit == 1)
		top -= pflash_size(pc->pflash[0]);
	pc->pflash[d->unit] = device_create(&pc->env, "pflash", d->id, NULL, err, n);
	if (!pc->pflash[d->unit])
		return -EINVAL;
	return pflash_attach(pc->pflash[d->unit], d, top, d->unit == 0, err, n);
}

static int attach(struct pc *pc, const struct drive *d, char *err, size_t n)
{
	switch (d->interface) {
	case DRIVE_IDE: return ide_attach(pc->ide, d, err, n);
	case DRIVE_FLOPPY: return floppy_attach(pc->fdc, d, err, n);
	case DRIVE_PFLASH: return attach_pflash(pc, d, err, n);
	default: return 0;
	}
}

int pc_attach_drives(struct pc *pc, const struct drive *drives, unsigned count, char *err, size_t n)
{
	int e = 0;
	for (unsigned i = 0; !e && i < count; i++)
		e = attach(pc, &drives[i], err, n);
	return e;
}

/* Disk "type 47" parameters at @at: cylinders, heads, control byte, landing zone, sectors. */
static void put_disk(struct device *rtc, unsigned at, const struct ide_geometry *g)
{
	u8 lo = (u8)g->cylinders, hi = (u8)(g->cylinders >> 8);
	const u8 p[9] = {lo, hi, (u8)g->heads,  0xff, 0xff, g->heads > 8 ? 0xc8 : 0xc0,
			 lo, hi, (u8)g->sectors};
	for (unsigned i = 0; i < sizeof(p); i++)
		rtc_set_cmos(rtc, at + i, p[i]);
}

static bool needs_translation(const struct ide_geometry *g)
{
	return g->translated || g->cylinders > 1024;
}

/* 12h, 19h, 1Ah: types of the first two disks; 39h, 3Ah: translation of all four (two bits each:
 * none, LBA). */
static void disks_to_cmos(struct pc *pc)
{
	u8 types = 0, translation = 0;
	for (unsigned unit = 0; unit < IDE_DRIVES; unit++) {
		struct ide_geometry g;
		if (!ide_disk_geometry(pc->ide, unit, &g))
			continue;
		translation |= (u8)((needs_translation(&g) ? 1 : 0) << (unit * 2));
		if (unit > 1)
			continue;
		types |= unit ? 0x0f : 0xf0;
		rtc_set_cmos(pc->rtc, 0x19 + unit, 47);
		put_disk(pc->rtc, unit ? 0x24 : 0x1b, &g);
	}
	rtc_set_cmos(pc->rtc, 0x12, types);
	rtc_set_cmos(pc->rtc, 0x39, translation);
}

/* 10h: types of A: and B:; 14h, the equipment byte: how many. */
static void floppies_to_cmos(struct pc *pc)
{
	u8 a = floppy_type(pc->fdc, 0), b = floppy_type(pc->fdc, 1),
	   equipment = 0x06; /* x87, PS/2 mouse */
	if (a || b)
		equipment |= (u8)(1 | (a && b ? 0x40 : 0));
	rtc_set_cmos(pc->rtc, 0x10, (u8)(a << 4 | b));
	rtc_set_cmos(pc->rtc, 0x14, equipment);
}

void pc_drives_to_cmos(struct pc *pc)
{
	floppies_to_cmos(pc);
	disks_to_cmos(pc);
}
