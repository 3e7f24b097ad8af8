/* What the power-on code finds out and the run time uses. It lies in the run time's data segment;
 * the power-on code reaches it through RT() (post/post.h). Needs the fixed-width types. */
#ifndef ORRERY_BIOS_SHARED_H
#define ORRERY_BIOS_SHARED_H

enum drive_kind { DRIVE_NONE, DRIVE_ATA, DRIVE_ATAPI, DRIVE_FLOPPY, DRIVE_VIRTIO };

struct ata_channel {
	u16 command, control; /* port bases; control is that of device control itself */
	u16 bus_master;       /* 0: none */
	u8 irq, present;
};

struct drive {
	u8 kind;
	u8 channel, slave; /* ATA, ATAPI; a floppy's slave is its unit */
	u8 flags;
	u16 sector_bytes;
	u16 cylinders, heads, spt;    /* as INT 13h AH=08h tells them */
	u16 pcylinders, pheads, pspt; /* as the drive tells them */
	u32 sectors, sectors_high;
	char model[41];
	u8 locks; /* AH=45h */
	u8 media; /* floppy: CMOS type */
	/* virtio: its place, and how its doorbell is rung through configuration space */
	u16 bdf, notify_index;
	u8 window, notify_bar, queue;
	u32 notify_at;
};
#define DRIVE_LBA48    0x01
#define DRIVE_DMA      0x02
#define DRIVE_LBA      0x04
#define DRIVE_NO_SENSE 0x08

#define MAX_CHANNELS 4
#define MAX_DRIVES   10

/* An El Torito image that INT 13h shows as a drive. */
struct emulation {
	u8 active, drive; /* drive: the number it has, 00h or 80h */
	u8 media;         /* 1: 1.2 MB, 2: 1.44 MB, 3: 2.88 MB, 4: hard disk; 0: no emulation */
	u8 cd;            /* INT 13h number of the CD */
	u32 lba;          /* of the image, in CD sectors */
	u16 load_segment, load_sectors;
	u16 cylinders, heads, spt;
	u8 hidden; /* a real drive of that class moved up by one */
};

/* A read that the power-on code asks for. */
struct boot_read {
	u32 lba;
	u16 count, segment;
	u8 drive, status; /* INT 13h number and status */
};

/* A virtqueue of four descriptors (virtio 1.1, 2.6), one for each disk. */
struct virtqueue {
	struct {
		u32 address, address_high, bytes;
		u16 flags, next;
	} desc[4];
	u16 avail_flags, avail_index, avail_ring[4], avail_event, pad[9];
	u16 used_flags, used_index;
	struct {
		u32 id, bytes;
	} used_ring[4];
	u16 used_event, seen, pad2[2];
} __attribute__((aligned(16)));
#define MAX_VIRTIO 4

struct e820_entry {
	u64 base, size;
	u32 type;
};
#define MAX_E820 24

extern struct ata_channel ata_channels[MAX_CHANNELS];
extern struct drive drives[MAX_DRIVES];
extern u8 disk_map[8];   /* INT 13h 80h+i: index into drives */
extern u8 cd_map[4];     /* E0h+i */
extern u8 floppy_map[2]; /* 00h+i */
extern u8 disk_count, cd_count, floppy_count;
extern struct virtqueue virtqueues[MAX_VIRTIO];
extern struct emulation emulation;
extern struct boot_read boot_read;
extern struct e820_entry e820_map[MAX_E820];
extern u32 e820_count;
extern u32 memory_below_4g, memory_above_4g_64k; /* bytes; units of 64 KiB */
extern u8 last_pci_bus;
extern u8 no_vga;        /* INT 10h is ours and goes to the serial port */
extern u16 console_port; /* of it */
extern u32 boot_again;   /* 1: INT 18h, 2: INT 19h */
extern u32 ap_msrs[3 * 24];
extern u32 ap_present, ap_count;
extern u16 pir_offset; /* of $PIR in F000h */
extern u32 smm_base;   /* SMBASE for the processor that is to take its first SMI; it answers with 0 */
extern u32 resume_area; /* RESUME_BYTES of reserved memory (post/resume.c); 0: no way back from S3 */
extern u32 wake_vector; /* segment and offset */
extern u32 facs;        /* of ACPI; 0: none */

/* Memory of the POST Memory Manager (rt/pmm.c). */
struct pmm {
	u32 extended, extended_end; /* the pool above 1 MiB */
	bool open;                  /* until an operating system is started */
};
extern struct pmm pmm;

#endif
