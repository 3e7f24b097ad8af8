/* Drives behind INT 13h. */
#ifndef ORRERY_BIOS_DISK_H
#define ORRERY_BIOS_DISK_H

#include "bios/rt/rt.h"

enum { DISK_READ, DISK_WRITE, DISK_VERIFY };

/* INT 13h status codes */
#define DISK_OK            0x00
#define DISK_BAD_COMMAND   0x01
#define DISK_ADDRESS_MARK  0x02
#define DISK_PROTECTED     0x03
#define DISK_NOT_FOUND     0x04
#define DISK_CHANGED       0x06
#define DISK_DMA           0x08
#define DISK_BOUNDARY      0x09
#define DISK_BAD_CRC       0x10
#define DISK_CONTROLLER    0x20
#define DISK_SEEK          0x40
#define DISK_NO_MEDIA      0x31
#define DISK_TIMEOUT       0x80
#define DISK_NOT_READY     0xaa
#define DISK_LOCKED        0xb1
#define DISK_NOT_LOCKED    0xb0
#define DISK_NOT_REMOVABLE 0xb2
#define DISK_LOCK_COUNT    0xb4

struct request {
	u32 lba, lba_high;
	u16 count, seg, off;
	u8 operation;
};

/** Moves sectors; buffers are normalised (off < 16) and count fits into 64 KiB. An INT 13h status.
 */
u8 ata_transfer(const struct drive *v, const struct request *q);
void ata_reset(const struct drive *v);
u8 atapi_read(const struct drive *v, const struct request *q);
/** A packet command with data into the run time's memory. */
u8 atapi_command(const struct drive *v, const u8 *cdb, void *data, u32 bytes);
/** The sense key after a failed command; FFh: that failed too. */
u8 atapi_sense(const struct drive *v);
/** Disks of the power-on code's finding; any buffer. */
u8 virtio_transfer(const struct drive *v, const struct request *q);
/** Shape of a disk for INT 13h, from its size. */
void choose_geometry(struct drive *v);
void floppy_service(struct regs *r, u8 unit);

#endif
