/* Shared by ide.c (registers, transfers), ata_disk.c and atapi.c (commands) only. */
#ifndef ORRERY_DEVICES_IDE_INTERNAL_H
#define ORRERY_DEVICES_IDE_INTERNAL_H

#include "devices/chipset/pci.h"
#include "devices/storage/ide.h"

/* Status */
#define ST_ERR  0x01u /* CHK for packet devices */
#define ST_DRQ  0x08u
#define ST_DSC  0x10u
#define ST_DRDY 0x40u
#define ST_BSY  0x80u

/* Error */
#define ER_ABRT 0x04u
#define ER_IDNF 0x10u
#define ER_UNC  0x40u

/* Device control */
#define CTL_NIEN 0x02u
#define CTL_SRST 0x04u
#define CTL_HOB  0x80u

/* Interrupt reason of packet devices */
#define REASON_CD 0x01u /* command, not data */
#define REASON_IO 0x02u /* towards the host */

#define IDE_BUFFER     8192u /* replies, and what the host writes between two interrupts */
#define IDE_CHUNK      (128u << 10)
#define IDE_MULTIPLE   16u    /* sectors per interrupt at most */
#define IDE_COMMAND_NS 20000u /* from command to data: a fast disk's cache */
#define IDE_SLICE_NS   1000u  /* between two data blocks of one command */
#define IDE_NS_PER_KB  2000u  /* half a gigabyte a second */
#define CD_SECTOR      2048u
#define CD_RAW         2352u

enum ide_kind { IDE_NONE, IDE_DISK, IDE_CD };

/* What the channel is in the middle of. */
enum ide_phase {
	PHASE_IDLE,
	PHASE_IN,       /* the host reads slice_n bytes from where slice() says */
	PHASE_OUT,      /* the host writes slice_n bytes to io */
	PHASE_WAIT_DMA, /* for the bus master's start bit */
	PHASE_BUSY,     /* the timer runs; after says what follows */
};

enum ide_after {
	AFTER_NONE,
	AFTER_RESET,   /* software reset or diagnostics are over */
	AFTER_COMMAND, /* a command without data ends with final_status, final_error */
	AFTER_LOAD,    /* a chunk of the medium has been read */
	AFTER_SLICE,   /* next data block to the host */
	AFTER_STORE,   /* a block or chunk was written to the medium */
	AFTER_FLUSH,
	AFTER_PACKET, /* the packet in io is carried out */
	AFTER_REPLY,  /* a reply in io goes to the host */
};

enum ide_out { OUT_MEDIUM, OUT_PACKET, OUT_PARAMETERS };
enum { PRD_NEXT, PRD_ADDRESS, PRD_LEFT, PRD_LAST };

struct ide_drive {
	struct block *block; /* NULL: no medium */
	u64 sectors;         /* of 512 bytes */
	char serial[24];
	struct ide_geometry physical;
	u32 kind; /* enum ide_kind */
	bool read_only;
	u8 pad0[3];
	/* From here on: state */
	u32 heads, spt; /* present CHS translation (INITIALIZE DEVICE PARAMETERS) */
	u8 feature, hob_feature, count, hob_count, lba[3], hob_lba[3], device;
	u8 status, error;
	u8 multiple; /* sectors per interrupt of READ/WRITE MULTIPLE; 0: disabled */
	u8 mode;     /* transfer mode as SET FEATURES 03h gave it */
	bool intrq;
	bool write_cache, read_ahead, smart, standby;
	/* Packet devices */
	u8 sense_key, asc, ascq;
	u8 media_event; /* for GET EVENT STATUS: 0 none, 1 eject request, 2 new medium, 3 removed */
	u8 attention;   /* additional sense code of the pending unit attention; 0: none */
	bool locked, open;
	u8 pad1[5];
};

struct ide_channel {
	struct ide *ide;
	struct block_request request;
	struct block *on; /* the image of request, while it is pending */
	u8 *host;         /* IDE_CHUNK bytes: the chunk being moved */
	u8 *raw;          /* the same as raw CD sectors */
	/* From here on: state */
	struct irq_line irq;
	struct timer timer;
	struct ide_drive drive[2];
	u32 select, active; /* drive that registers mean; that carries out the command */
	u32 phase, after;
	u8 control;
	u8 command;
	u8 final_status, final_error;
	/* The transfer */
	u64 lba;           /* of the chunk, in sectors of 512 bytes */
	u32 left;          /* blocks of the command still to be moved, with the present chunk */
	u32 block_bytes;   /* of a block towards the host: 512, 2048, 2352 */
	u32 block_sectors; /* of a block on the medium */
	u32 slice;         /* most bytes between two interrupts */
	u32 slice_n, slice_pos;
	u32 chunk, chunk_pos; /* bytes loaded, bytes handed over */
	bool dma, write, from_io;
	u8 out; /* enum ide_out: what PHASE_OUT takes */
	u8 cdb[12];
	u8 io[IDE_BUFFER];
	/* The bus master: place in the descriptor table (PRD_*), and where the chunk began */
	u8 bm_command, bm_status, pad[2];
	u32 prd_table, prd[4], mark[4];
	u64 moved; /* sectors, for activity displays */
};

struct ide {
	struct device dev;
	struct pci_function fn;
	struct ide_channel ch[2];
};

/* ---- ide.c: transfers --------------------------------------------------------------------- */

static inline struct ide_drive *active_drive(struct ide_channel *c)
{
	return &c->drive[c->active];
}

/** Busy for @ns, then @after. */
void ide_busy(struct ide_channel *c, enum ide_after after, u64 ns);
/** The command is over, successfully, or with bits for Error. Interrupts. */
void ide_finish(struct ide_channel *c);
void ide_fail(struct ide_channel *c, u8 error);
/** The command is over without data, after the drive's usual time. */
void ide_finish_later(struct ide_channel *c, u8 error);
/** Moves @blocks between host and medium from sector @lba on; everything else in @c is set. */
void ide_start_medium(struct ide_channel *c, u64 lba, u32 blocks);
/** Sends the first @n bytes of c->io to the host, in blocks of c->slice bytes. */
void ide_start_reply(struct ide_channel *c, u32 n);
/** Takes the first @n (1..IDE_BUFFER) bytes from the host into c->io. */
void ide_start_out(struct ide_channel *c, u32 n);
/** Hands a request without data to the image's thread; AFTER_FLUSH follows. */
void ide_start_flush(struct ide_channel *c);
/** The signature after reset, diagnostics and refused IDENTIFYs. */
void ide_signature(struct ide_drive *d);

/* ---- ata_disk.c ----------------------------------------------------------------------------- */

/** Carries out c->command on the active drive, a disk. */
void ata_command(struct ide_channel *c);
/** The registers Count and LBA tell how far a command got: up to sector @lba. */
void ata_put_position(struct ide_channel *c, u64 lba);
/** Words of IDENTIFY: @text in swapped bytes, padded with blanks. */
void ata_identify_text(u8 *words, unsigned first, unsigned count, const char *text);
void ata_put_word(u8 *words, unsigned i, u16 v);
/** SET FEATURES; the Error bits. */
u8 ata_set_features(struct ide_drive *d);
/** The CHS geometry a disk of that content reports: ATA-1 limits, or what its partition table was
 * written for. */
struct ide_geometry ata_guess_geometry(struct block *b);

/* ---- atapi.c ----------------------------------------------------------------------------------
 */

/** Carries out c->command on the active drive, a CD. */
void atapi_command(struct ide_channel *c);
/** The packet in c->cdb is complete. */
void atapi_packet(struct ide_channel *c);
/** The parameter list in c->io is complete (MODE SELECT). */
void atapi_parameters(struct ide_channel *c);
/** A read of the medium failed: sense data and the end of the command. */
void atapi_medium_error(struct ide_channel *c);
void atapi_reset(struct ide_drive *d);
void atapi_medium_changed(struct ide_drive *d);
/** Writes raw CD sectors around @n blocks of 2048 bytes, the first of them number @lba. */
void atapi_make_raw(u8 *out, const u8 *in, u32 n, u32 lba);

#endif
