/*
 * A drive of the machine: what the command line says of it, and the image in it. The machine opens
 * the images before the board is built and closes them after it is gone; controllers find theirs by
 * interface and unit.
 */
#ifndef ORRERY_DEVICES_DRIVE_H
#define ORRERY_DEVICES_DRIVE_H

#include "devices/backends/block.h"

enum drive_interface {
	DRIVE_IDE,    /* unit 0, 1: primary master, slave; 2, 3: secondary */
	DRIVE_FLOPPY, /* unit 0, 1: A:, B: */
	DRIVE_VIRTIO, /* unit 0..: in order of PCI slots */
	DRIVE_PFLASH, /* unit 0: firmware at the top of 4 GiB; unit 1: its variables, below it */
	DRIVE_NONE,   /* for a -device ...,drive=ID */
	DRIVE_INTERFACES
};

struct drive {
	const char *path;   /* NULL: a drive without a medium (CD, floppy) */
	const char *format; /* NULL: told by the file */
	const char *id;     /* never NULL: "ide0-hd0", "ide1-cd0", "floppy0", "virtio0", "pflash0",
			       "none0" by default */
	const char *serial; /* the number the drive reports; NULL: the controller's choice */
	const char *internal_snapshot;
	enum drive_interface interface;
	unsigned unit;
	bool cdrom;
	bool read_only, snapshot, no_sync;
	struct block *block; /* opened by the machine; NULL: no medium */
};

#define DRIVES_MAX 16

#endif
