/* The floppy disk controller: what the board needs of it. */
#ifndef ORRERY_DEVICES_FLOPPY_H
#define ORRERY_DEVICES_FLOPPY_H

#include "devices/device.h"
#include "devices/drive.h"

#define FLOPPY_DRIVES 2

/**
 * Plugs @drive into A: or B: (drive->unit 0, 1), with its image (of a diskette's size) or empty.
 * The image stays the caller's. 0, or -errno with a message.
 */
MUST_CHECK int floppy_attach(struct device *fdc, const struct drive *drive, char *err, size_t n);
/** Changes the medium (NULL: takes it out); the change line tells the guest. 0, -ENODEV (no such
 * drive), -EINVAL (no diskette's size). */
MUST_CHECK int floppy_change_medium(struct device *fdc, unsigned unit, struct block *medium);
/** Type of the drive as CMOS 10h has it: 0 none, 1 360K, 2 1.2M, 3 720K, 4 1.44M, 5 2.88M. */
u8 floppy_type(struct device *fdc, unsigned unit);
/** Sectors moved so far: for activity displays. */
u64 floppy_activity(struct device *fdc);

#endif
