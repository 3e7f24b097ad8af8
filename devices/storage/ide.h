/* The PIIX3 IDE function: what the board needs of it. */
#ifndef ORRERY_DEVICES_IDE_H
#define ORRERY_DEVICES_IDE_H

#include "devices/device.h"
#include "devices/drive.h"

#define IDE_DRIVES 4 /* primary master, primary slave, secondary master, secondary slave */

struct ide_geometry {
	u32 cylinders, heads, sectors;
	bool translated; /* the partition table was written with a BIOS's own (LBA-assisted)
			    geometry */
};

/**
 * Plugs @drive into position drive->unit (0-3). Disk or CD as drive->cdrom says; a disk needs an
 * image, a CD may be empty. The image stays the caller's. 0, or -errno with a message.
 */
MUST_CHECK int ide_attach(struct device *ide, const struct drive *drive, char *err, size_t n);
/**
 * Changes the medium of a CD drive (NULL: takes it out), as a hand at the drive would: the guest
 * hears of it by a unit attention. On the machine's thread. 0, -ENODEV (no CD drive there), -EBUSY
 * (locked by the guest, which was asked).
 */
MUST_CHECK int ide_change_medium(struct device *ide, unsigned unit, struct block *medium);
/** What sits at @unit: false if nothing or a CD drive. */
bool ide_disk_geometry(struct device *ide, unsigned unit, struct ide_geometry *g);
bool ide_present(struct device *ide, unsigned unit, bool *cdrom);
/** Sectors of 512 bytes that all drives of this controller moved so far: for activity displays. */
u64 ide_activity(struct device *ide);

#endif
