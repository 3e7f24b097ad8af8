/*
 * Intel 82077AA floppy disk controller at 3F0h-3F7h, IRQ 6, DMA channel 2, with two drives (data
 * sheet 290166). Modelled: all commands of the data sheet with sectors of 512 bytes, by DMA and
 * without; formatting; multi-track; implied seeks; the media change line; data rates, so that
 * software finds out what is in the drive; diskettes of 160 KB to 2.88 MB told by their size. A
 * seek takes SEEK_NS, a sector SECTOR_NS of virtual time: faster than drives turn, slow enough to
 * be asynchronous. Not modelled: deleted-data marks (all data is ordinary), FM recording, other
 * sector sizes (not found), tape.
 */
#include "devices/storage/floppy.h"

#include <errno.h>

#include "devices/chipset/dma8237.h"

#define SECTOR     512u
#define SEEK_NS    1000000u
#define SECTOR_NS  100000u
#define RESET_NS   100000u
#define TIMEOUT_NS 400000000u /* two turns without an index pulse */

/* Main status */
#define MSR_RQM 0x80u
#define MSR_DIO 0x40u /* the host reads */
#define MSR_NDM 0x20u
#define MSR_CB  0x10u

/* Digital output */
#define DOR_RESET 0x04u /* low active */
#define DOR_GATE  0x08u

#define ST0_ABNORMAL 0x40u
#define ST0_INVALID  0x80u
#define ST0_SEEK     0x20u
#define ST0_EC       0x10u /* equipment check */
#define ST1_EN       0x80u /* behind the last sector */
#define ST1_DE       0x20u
#define ST1_OR       0x10u
#define ST1_ND       0x04u
#define ST1_NW       0x02u
#define ST1_MA       0x01u
#define ST2_WC       0x10u
#define ST2_SH       0x08u
#define ST2_SN       0x04u

enum fdc_phase { FDC_COMMAND, FDC_EXECUTE, FDC_DATA, FDC_RESULT };
enum fdc_after { FDC_NOTHING, FDC_RESET_OVER, FDC_SEEK_OVER, FDC_SECTOR, FDC_GIVE_UP, FDC_ID };

struct floppy_format {
	u32 bytes;
	u8 cylinders, heads, sectors;
	u8 type;  /* of the drive made for it, as in CMOS */
	u8 rates; /* bit per rate of CCR: 0 500, 1 300, 2 250, 3 1000 kbit/s */
};

static const struct floppy_format formats[] = {
    {160 << 10, 40, 1, 8, 1, 6},   {180 << 10, 40, 1, 9, 1, 6},   {320 << 10, 40, 2, 8, 1, 6},
    {360 << 10, 40, 2, 9, 1, 6},   {720 << 10, 80, 2, 9, 3, 4},   {1200 << 10, 80, 2, 15, 2, 1},
    {1440 << 10, 80, 2, 18, 4, 1}, {1680 << 10, 80, 2, 21, 4, 1}, {1722 << 10, 82, 2, 21, 4, 1},
    {2880 << 10, 80, 2, 36, 5, 8},
};

struct floppy_drive {
	struct block *block;
	const struct floppy_format *format; /* of the medium; NULL without one */
	u8 type;                            /* 0: no drive */
	u8 pad0[3];
	/* From here on: state */
	u8 track, id; /* id: the sector that READ ID finds next */
	bool changed;
	u8 pad1;
};

struct fdc {
	struct device dev;
	struct device *dma;
	struct irq_line irq;
	struct timer timer;
	struct floppy_drive drive[4]; /* the last two are never there */
	u64 moved;
	u32 phase, after;
	u8 dor, tdr, dsr, ccr;
	u8 cmd[9], cmd_n, cmd_want;
	u8 result[10], result_n, result_pos;
	u8 st1, st2;
	u8 c, h, r, n; /* the sector in work */
	u8 busy;       /* MSR bits of drives that seek */
	u8 seek_st0;
	u8 sense;     /* interrupts of the reset still to be sensed; 80h: one of a seek */
	bool pending; /* interrupt */
	bool non_dma, locked;
	u8 config, pretrack, perpendicular, specify0, specify1;
	bool scan_miss;
	u8 format_left;
	u16 data_pos, data_n;
	u8 data[SECTOR];
	u8 pad[6];
};

/* clang-format off */
#define FLOPPY_DRIVE_FIELDS(V, S, H, P) H(block) H(format) H(type) H(pad0) V(track) V(id) V(changed) H(pad1)
SNAPSHOT(floppy_drive_snapshot, "floppy-drive", 1, struct floppy_drive, FLOPPY_DRIVE_FIELDS);

#define FDC_FIELDS(V, S, H, P) \
	H(dev) H(dma) V(irq) V(timer) S(drive, floppy_drive_snapshot) V(moved) V(phase) V(after) V(dor) V(tdr) V(dsr) V(ccr) \
	V(cmd) V(cmd_n) V(cmd_want) V(result) V(result_n) V(result_pos) V(st1) V(st2) V(c) V(h) V(r) V(n) V(busy) V(seek_st0) \
	V(sense) V(pending) V(non_dma) V(locked) V(config) V(pretrack) V(perpendicular) V(specify0) V(specify1) V(scan_miss) \
	V(format_left) V(data_pos) V(data_n) V(data) H(pad)
SNAPSHOT(fdc_snapshot, "fdc", 1, struct fdc, FDC_FIELDS);
/* clang-format on */

/* ---- interrupts, phases
 * -------------------------------------------------------------------------- */

static void update_irq(struct fdc *f)
{
	irq_set(&f->irq, f->pending && (f->dor & DOR_GATE));
}

static void raise_irq(struct fdc *f, bool on)
{
	f->pending = on;
	update_irq(f);
}

static void later(struct fdc *f, enum fdc_after after, u64 ns)
{
	f->after = after;
	timer_arm(&f->timer, clock_now(f->dev.env->clock) + ns);
}

static struct floppy_drive *selected(struct fdc *f)
{
	return &f->drive[f->cmd[1] & 3];
}

static void command_phase(struct fdc *f)
{
	f->phase = FDC_COMMAND;
	f->cmd_n = 0;
}

static void give_result(struct fdc *f, unsigned n)
{
	f->phase = FDC_RESULT;
	f->result_n = (u8)n;
	f->result_pos = 0;
}

/* The seven bytes most commands end with, and their interrupt. */
static void finish(struct fdc *f, u8 st0)
{
	const u8 bytes[7] = {(u8)(st0 | (f->cmd[1] & 7)), f->st1, f->st2, f->c, f->h, f->r, f->n};
	memcpy(f->result, bytes, sizeof(bytes));
	f->after = FDC_NOTHING;
	give_result(f, 7);
	raise_irq(f, true);
}

static void fail(struct fdc *f, u8 st1, u8 st2)
{
	f->st1 |= st1;
	f->st2 |= st2;
	finish(f, ST0_ABNORMAL);
}

/* ---- sectors
 * ----------------------------------------------------------------------------------------- */

static u8 operation(const struct fdc *f)
{
	return f->cmd[0] & 0x1f;
}

static bool is_write(const struct fdc *f)
{
	u8 op = operation(f);
	return op == 0x05 || op == 0x09 || op == 0x0d;
}

static bool is_scan(const struct fdc *f)
{
	u8 op = operation(f);
	return op == 0x11 || op == 0x19 || op == 0x1d;
}

static u64 sector_lba(const struct fdc *f, const struct floppy_drive *d)
{
	return ((u64)f->c * d->format->heads + f->h) * d->format->sectors + f->r - 1;
}

/* A medium turns in the drive, and was written at the present data rate. */
static bool readable(const struct fdc *f, const struct floppy_drive *d)
{
	return d->format && (d->format->rates >> (f->ccr & 3) & 1);
}

/* The sector C/H/R stands under the head; else the command fails. */
static bool find_sector(struct fdc *f)
{
	const struct floppy_drive *d = selected(f);
	u8 head = f->cmd[1] >> 2 & 1;
	if (d->format->cylinders <= d->track || d->format->heads <= head) {
		fail(f, ST1_MA, 0); /* nothing was ever written there */
		return false;
	}
	if (f->c != d->track) {
		fail(f, ST1_ND, ST2_WC);
		return false;
	}
	if (f->h != head || !f->r || f->r > d->format->sectors || f->n != 2) {
		fail(f, ST1_ND, 0);
		return false;
	}
	return true;
}

/* To the next sector (82077AA, table 6-4). False behind the last one of the command. */
static bool next_sector(struct fdc *f)
{
	bool multi = f->cmd[0] & 0x80;
	if (f->r != f->cmd[6]) {
		f->r++;
		return true;
	}
	f->r = 1;
	if (multi && !f->h) {
		f->h = 1;
		f->cmd[1] |= 4;
		return true;
	}
	if (multi) {
		f->h = 0;
		f->cmd[1] &= (u8)~4u;
	}
	f->c++;
	return false;
}

/* The transfer goes on, or ends by terminal count, or by the end of the track (EN). */
static void sector_done(struct fdc *f, bool tc)
{
	bool more = next_sector(f);
	f->moved++;
	if (is_scan(f) && !f->scan_miss)
		f->st2 |= ST2_SH;
	if (is_scan(f) && (f->st2 & ST2_SH)) { /* the condition is met: the search ends here */
		finish(f, 0);
		return;
	}
	if (tc) {
		finish(f, 0);
	} else if (!more) {
		/* Without terminal count VERIFY ends well at the last sector. */
		if (operation(f) == 0x16)
			finish(f, 0);
		else
			fail(f, ST1_EN, is_scan(f) ? ST2_SN : 0);
	} else {
		f->phase = FDC_EXECUTE;
		later(f, FDC_SECTOR, SECTOR_NS);
	}
}

static bool scan_holds(const struct fdc *f, u8 disk, u8 host)
{
	if (disk == 0xff || host == 0xff || disk == host)
		return true;
	return operation(f) == 0x19 ? disk < host : operation(f) == 0x1d ? disk > host : false;
}

static void compare(struct fdc *f, const u8 *disk, const u8 *host, u32 n)
{
	f->scan_miss = false;
	for (u32 i = 0; i < n && !f->scan_miss; i++)
		f->scan_miss = !scan_holds(f, disk[i], host[i]);
}

static int medium(struct fdc *f, enum block_op op)
{
	struct floppy_drive *d = selected(f);
	return block_io(d->block, op, sector_lba(f, d), 1, f->data);
}

/* ---- moving a sector by DMA
 * ------------------------------------------------------------------------------ */

static u32 dma(struct fdc *f, u8 *buf, u32 n, bool to_memory, bool *tc)
{
	*tc = false;
	return f->dma ? dma8237_transfer(f->dma, 2, buf, n, to_memory, tc) : 0;
}

static void dma_sector(struct fdc *f)
{
	bool tc = false;
	u8 host[SECTOR];
	u32 n = 0;
	if (operation(f) == 0x16) {
		/* VERIFY moves nothing; with EC its last byte counts sectors */
		tc = (f->cmd[1] & 0x80) && !--f->cmd[8];
	} else if (is_write(f)) {
		memset(f->data, 0, sizeof(f->data));
		n = dma(f, f->data, SECTOR, false, &tc);
	} else if (is_scan(f)) {
		n = dma(f, host, SECTOR, false, &tc);
		compare(f, f->data, host, n);
	} else {
		n = dma(f, f->data, SECTOR, true, &tc);
	}
	if (operation(f) != 0x16 && !n)
		fail(f, ST1_OR, 0);
	else if (is_write(f) && medium(f, BLOCK_WRITE))
		fail(f, ST1_DE, 0);
	else
		sector_done(f, tc);
}

/* ---- moving a sector by the processor
 * --------------------------------------------------------------------------- */

static void data_phase(struct fdc *f, u32 n)
{
	f->phase = FDC_DATA;
	f->data_pos = 0;
	f->data_n = (u16)n;
	raise_irq(f, true);
}

static void formatted(struct fdc *f, const u8 *id);

static void data_moved(struct fdc *f)
{
	if (operation(f) == 0x0d)
		formatted(f, f->data);
	else if (is_write(f) && medium(f, BLOCK_WRITE))
		fail(f, ST1_DE, 0);
	else
		sector_done(f, false);
}

static u8 data_read(struct fdc *f)
{
	u8 v = f->data[f->data_pos++ % SECTOR];
	raise_irq(f, f->data_pos < f->data_n);
	if (f->data_pos >= f->data_n)
		data_moved(f);
	return v;
}

static void data_write(struct fdc *f, u8 v)
{
	u8 *at = &f->data[f->data_pos++ % SECTOR];
	if (is_scan(f))
		f->scan_miss |= !scan_holds(f, *at, v);
	else
		*at = v;
	raise_irq(f, f->data_pos < f->data_n);
	if (f->data_pos >= f->data_n)
		data_moved(f);
}

/* ---- FORMAT TRACK: four bytes of identification per sector
 * ----------------------------------------------------------- */

static void formatted(struct fdc *f, const u8 *id)
{
	struct floppy_drive *d = selected(f);
	f->c = id[0];
	f->h = id[1];
	f->r = id[2];
	f->n = id[3];
	if (!find_sector(f)) /* an image keeps its geometry: other formats do not fit into it */
		return;
	memset(f->data, f->cmd[5], SECTOR);
	if (block_io(d->block, BLOCK_WRITE, sector_lba(f, d), 1, f->data)) {
		fail(f, ST1_DE, 0);
	} else if (--f->format_left) {
		f->phase = FDC_EXECUTE;
		later(f, FDC_SECTOR, SECTOR_NS);
	} else {
		finish(f, 0);
	}
}

static void format_sector(struct fdc *f)
{
	bool tc;
	u8 id[4];
	if (f->non_dma)
		data_phase(f, 4);
	else if (dma(f, id, 4, false, &tc) == 4)
		formatted(f, id);
	else
		fail(f, ST1_OR, 0);
}

static void sector(struct fdc *f)
{
	if (operation(f) == 0x0d) {
		format_sector(f);
		return;
	}
	if (!find_sector(f))
		return;
	if (!is_write(f) && medium(f, BLOCK_READ))
		fail(f, ST1_DE, 0);
	else if (f->non_dma && operation(f) != 0x16) {
		f->scan_miss = false;
		data_phase(f, SECTOR);
	} else {
		dma_sector(f);
	}
}

/* ---- commands
 * ---------------------------------------------------------------------------------------------------------------
 */

static void start_transfer(struct fdc *f)
{
	struct floppy_drive *d = selected(f);
	f->st1 = f->st2 = 0;
	f->phase = FDC_EXECUTE;
	if (operation(f) == 0x0d) {
		f->c = d->track;
		f->h = f->cmd[1] >> 2 & 1;
		f->n = f->cmd[2];
		f->r = 1;
		f->format_left = f->cmd[3];
	} else {
		f->c = f->cmd[2];
		f->h = f->cmd[3];
		f->r =
		    operation(f) == 0x02 ? 1 : f->cmd[4]; /* READ TRACK begins at the index hole */
		f->n = f->cmd[5];
	}
	if (operation(f) != 0x0d && (f->config & 0x40) && f->c != d->track && f->c < 85) {
		d->track = f->c; /* implied seek */
		d->changed &= !d->format;
	}
	if (!readable(f, d))
		later(f, FDC_GIVE_UP, TIMEOUT_NS);
	else if (is_write(f) && block_read_only(d->block))
		fail(f, ST1_NW, 0);
	else if (operation(f) == 0x0d && !f->format_left)
		finish(f, 0);
	else
		later(f, FDC_SECTOR, SECTOR_NS);
}

static void read_id(struct fdc *f)
{
	struct floppy_drive *d = selected(f);
	f->st1 = f->st2 = 0;
	f->phase = FDC_EXECUTE;
	later(f, readable(f, d) && d->track < d->format->cylinders ? FDC_ID : FDC_GIVE_UP,
	      readable(f, d) ? SECTOR_NS : TIMEOUT_NS);
}

static void id_found(struct fdc *f)
{
	struct floppy_drive *d = selected(f);
	u8 head = f->cmd[1] >> 2 & 1;
	if (!d->format || head >= d->format->heads) {
		fail(f, ST1_MA, 0);
		return;
	}
	d->id = (u8)(d->id % d->format->sectors + 1);
	f->c = d->track;
	f->h = head;
	f->r = d->id;
	f->n = 2;
	finish(f, 0);
}

/* SEEK and RECALIBRATE run while the controller takes other commands; their end is sensed. */
static void seek_to(struct fdc *f, int track)
{
	struct floppy_drive *d = selected(f);
	u8 unit = f->cmd[1] & 3;
	bool home = operation(f) == 0x07;
	if (f->after == FDC_SEEK_OVER)
		timer_disarm(&f->timer);
	f->busy |= (u8)BIT(unit);
	f->seek_st0 = (u8)(ST0_SEEK | (f->cmd[1] & 7));
	if (!d->type && home)
		f->seek_st0 |= ST0_ABNORMAL | ST0_EC; /* track 0 never came */
	if (d->type) {
		d->track = (u8)(track < 0 ? 0 : track > 84 ? 84 : track);
		d->changed &= !d->format; /* a step pulse with a diskette in clears the line */
	}
	command_phase(f);
	later(f, FDC_SEEK_OVER, SEEK_NS);
}

static void relative_seek(struct fdc *f)
{
	int by = f->cmd[2];
	seek_to(f, selected(f)->track + (f->cmd[0] & 0x40 ? by : -by));
}

static void seek_over(struct fdc *f)
{
	f->after = FDC_NOTHING;
	f->busy = 0;
	f->sense = 0x80;
	raise_irq(f, true);
}

static void sense_interrupt(struct fdc *f)
{
	if (!f->sense) {
		f->result[0] = ST0_INVALID;
		give_result(f, 1);
		return;
	}
	if (f->sense == 0x80) {
		f->result[0] = f->seek_st0;
		f->result[1] = f->drive[f->seek_st0 & 3].track;
		f->sense = 0;
	} else {
		u8 unit = (u8)(4 - f->sense--);
		f->result[0] = (u8)(0xc0 | unit); /* polling: "ready" changed by the reset */
		f->result[1] = f->drive[unit].track;
	}
	raise_irq(f, false);
	give_result(f, 2);
}

static void sense_drive(struct fdc *f)
{
	const struct floppy_drive *d = selected(f);
	bool protected = d->block && block_read_only(d->block);
	f->result[0] = (u8)((f->cmd[1] & 7) | 0x28 | (d->type && !d->track ? 0x10 : 0) |
			    (protected ? 0x40 : 0));
	give_result(f, 1);
}

static void dump_registers(struct fdc *f)
{
	const u8 r[10] = {f->drive[0].track,
			  f->drive[1].track,
			  0,
			  0,
			  f->specify0,
			  f->specify1,
			  f->cmd[6],
			  (u8)((f->locked ? 0x80 : 0) | (f->perpendicular & 0x7f)),
			  f->config,
			  f->pretrack};
	memcpy(f->result, r, sizeof(r));
	give_result(f, 10);
}

static void specify(struct fdc *f)
{
	f->specify0 = f->cmd[1];
	f->specify1 = f->cmd[2];
	f->non_dma = f->cmd[2] & 1;
	command_phase(f);
}

static void one_byte(struct fdc *f, u8 v)
{
	f->result[0] = v;
	give_result(f, 1);
}

static void execute(struct fdc *f)
{
	raise_irq(f, f->pending && f->cmd[0] == 0x08);
	switch (operation(f)) {
	case 0x02:
	case 0x05:
	case 0x06:
	case 0x09:
	case 0x0c:
	case 0x0d:
	case 0x11:
	case 0x16:
	case 0x19:
	case 0x1d: start_transfer(f); break;
	case 0x03: specify(f); break;
	case 0x04: sense_drive(f); break;
	case 0x07: seek_to(f, 0); break;
	case 0x08: sense_interrupt(f); break;
	case 0x0a: read_id(f); break;
	case 0x0e: dump_registers(f); break;
	case 0x0f:
		if (f->cmd[0] & 0x80)
			relative_seek(f);
		else
			seek_to(f, f->cmd[2]);
		break;
	case 0x10: one_byte(f, 0x90); break; /* VERSION: enhanced controller */
	case 0x12:
		f->perpendicular = f->cmd[1];
		command_phase(f);
		break;
	case 0x13:
		f->config = f->cmd[2];
		f->pretrack = f->cmd[3];
		command_phase(f);
		break;
	case 0x14:
		f->locked = f->cmd[0] & 0x80;
		one_byte(f, f->locked ? 0x10 : 0);
		break;
	default: one_byte(f, ST0_INVALID); break;
	}
}

static u8 command_length(u8 cmd)
{
	static const u8 length[32] = {
	    [0x02] = 9, [0x03] = 3, [0x04] = 2, [0x05] = 9, [0x06] = 9, [0x07] = 2, [0x08] = 1,
	    [0x09] = 9, [0x0a] = 2, [0x0c] = 9, [0x0d] = 6, [0x0e] = 1, [0x0f] = 3, [0x10] = 1,
	    [0x11] = 9, [0x12] = 2, [0x13] = 4, [0x14] = 1, [0x16] = 9, [0x19] = 9, [0x1d] = 9};
	u8 n = length[cmd & 0x1f];
	return n ? n : 1;
}

static void command_byte(struct fdc *f, u8 v)
{
	if (!f->cmd_n)
		f->cmd_want = command_length(v);
	f->cmd[f->cmd_n++] = v;
	if (f->cmd_n == f->cmd_want) {
		f->cmd_n = 0;
		execute(f);
	}
}

static void fire(void *ctx)
{
	struct fdc *f = ctx;
	switch ((enum fdc_after)f->after) {
	case FDC_RESET_OVER:
		f->after = FDC_NOTHING;
		f->sense = 4;
		raise_irq(f, true);
		break;
	case FDC_SEEK_OVER: seek_over(f); break;
	case FDC_SECTOR:
		f->after = FDC_NOTHING;
		if (readable(f, selected(f)))
			sector(f);
		else
			fail(f, ST1_MA, 0); /* the diskette was taken out meanwhile */
		break;
	case FDC_GIVE_UP: fail(f, ST1_MA, 0); break;
	case FDC_ID: id_found(f); break;
	case FDC_NOTHING: break;
	}
}

/* ---- registers
 * -----------------------------------------------------------------------------------------------------------------
 */

static void abort_all(struct fdc *f)
{
	timer_disarm(&f->timer);
	f->after = FDC_NOTHING;
	f->busy = f->sense = 0;
	f->st1 = f->st2 = 0;
	raise_irq(f, false);
	command_phase(f);
	if (!f->locked)
		f->config = f->pretrack = 0;
	f->perpendicular = 0;
}

static void software_reset(struct fdc *f)
{
	abort_all(f);
	later(f, FDC_RESET_OVER, RESET_NS);
}

static u8 main_status(const struct fdc *f)
{
	u8 v = f->busy;
	if (!(f->dor & DOR_RESET))
		return 0;
	switch ((enum fdc_phase)f->phase) {
	case FDC_COMMAND: return v | MSR_RQM | (f->cmd_n ? MSR_CB : 0);
	case FDC_EXECUTE: return v | MSR_CB;
	case FDC_DATA:
		return v | MSR_CB | MSR_RQM | MSR_NDM | (is_write(f) || is_scan(f) ? 0 : MSR_DIO);
	case FDC_RESULT: return v | MSR_CB | MSR_RQM | MSR_DIO;
	}
	return v;
}

static u8 fifo_read(struct fdc *f)
{
	u8 v;
	if (f->phase == FDC_DATA && !is_write(f) && !is_scan(f))
		return data_read(f);
	if (f->phase != FDC_RESULT)
		return 0;
	raise_irq(f, false);
	v = f->result[f->result_pos++ % sizeof(f->result)];
	if (f->result_pos >= f->result_n)
		command_phase(f);
	return v;
}

static void fifo_write(struct fdc *f, u8 v)
{
	if (!(f->dor & DOR_RESET))
		return;
	if (f->phase == FDC_COMMAND)
		command_byte(f, v);
	else if (f->phase == FDC_DATA && (is_write(f) || is_scan(f)))
		data_write(f, v);
}

static u8 status_a(const struct fdc *f)
{
	const struct floppy_drive *d = &f->drive[f->dor & 3];
	bool protected = d->block && block_read_only(d->block);
	return (u8)((f->pending ? 0x80 : 0) | (f->drive[1].type ? 0 : 0x40) |
		    (d->track ? 0x10 : 0) | 0x04 | (protected ? 0 : 0x02));
}

static u32 port_read(void *ctx, u16 port, unsigned size)
{
	struct fdc *f = ctx;
	switch (port & 7) {
	case 0: return status_a(f);
	case 1: return 0xc0u | (f->dor >> 4 & 3) | (f->dor & 1 ? 0 : 0x20);
	case 2: return f->dor;
	case 3: return f->tdr;
	case 4: return main_status(f);
	case 5: return fifo_read(f);
	case 7: return f->drive[f->dor & 3].changed ? 0x80 : 0;
	default: return 0xff;
	}
}

static void write_dor(struct fdc *f, u8 v)
{
	u8 old = f->dor;
	f->dor = v;
	if (!(v & DOR_RESET))
		abort_all(f);
	else if (!(old & DOR_RESET))
		later(f, FDC_RESET_OVER, RESET_NS);
	update_irq(f);
}

static void port_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct fdc *f = ctx;
	u8 v = (u8)value;
	switch (port & 7) {
	case 2: write_dor(f, v); break;
	case 3: f->tdr = v & 3; break;
	case 4:
		f->dsr = v & 0x7f;
		f->ccr = v & 3;
		if ((v & 0x80) && (f->dor & DOR_RESET))
			software_reset(f);
		break;
	case 5: fifo_write(f, v); break;
	case 7: f->ccr = v & 3; break;
	default: break;
	}
}

/* ---- drives
 * ------------------------------------------------------------------------------------------------------------------------
 */

static const struct floppy_format *format_of(const struct block *b)
{
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
		if (block_sectors(b) * SECTOR == formats[i].bytes)
			return &formats[i];
	return NULL;
}

int floppy_attach(struct device *dev, const struct drive *drive, char *err, size_t n)
{
	struct fdc *f = (struct fdc *)dev;
	struct floppy_drive *d = &f->drive[drive->unit & 1];
	if (drive->unit >= FLOPPY_DRIVES || d->type) {
		snprintf(err, n, "%s: floppy drive %u is taken or does not exist (0 and 1)",
			 drive->id, drive->unit);
		return -EBUSY;
	}
	d->format = drive->block ? format_of(drive->block) : NULL;
	if (drive->block && !d->format) {
		snprintf(err, n,
			 "%s: %s has %llu bytes, which no diskette has (160K to 2880K); a disk "
			 "image goes to -hda",
			 drive->id, drive->path ? drive->path : "the image",
			 (unsigned long long)block_bytes(drive->block));
		return -ENOEXEC;
	}
	d->block = drive->block;
	d->type = d->format ? d->format->type : 4;
	d->changed = true;
	return 0;
}

int floppy_change_medium(struct device *dev, unsigned unit, struct block *b)
{
	struct fdc *f = (struct fdc *)dev;
	struct floppy_drive *d = &f->drive[unit & 1];
	const struct floppy_format *format = b ? format_of(b) : NULL;
	if (unit >= FLOPPY_DRIVES || !d->type)
		return -ENODEV;
	if (b && !format)
		return -EINVAL;
	d->block = b;
	d->format = format;
	d->changed = true;
	if (f->phase == FDC_DATA)
		fail(f, ST1_MA, 0);
	return 0;
}

u8 floppy_type(struct device *dev, unsigned unit)
{
	return unit < FLOPPY_DRIVES ? ((struct fdc *)dev)->drive[unit].type : 0;
}

u64 floppy_activity(struct device *dev)
{
	return ((struct fdc *)dev)->moved;
}

/* ---- life
 * ----------------------------------------------------------------------------------------------------------------------------
 */

static int init(struct device *dev, char *err, size_t n)
{
	((struct fdc *)dev)->dma = device_by_id(dev->env, "dma8237");
	return 0;
}

static void reset(struct device *dev, enum reset_kind kind)
{
	struct fdc *f = (struct fdc *)dev;
	f->locked = false;
	abort_all(f);
	f->dor = 0x0c; /* as BIOSes expect it: out of reset, no motor */
	f->tdr = 0;
	f->dsr = 2;
	f->ccr = 2;
	f->non_dma = false;
	for (unsigned i = 0; i < ARRAY_SIZE(f->drive); i++) {
		f->drive[i].track = f->drive[i].id = 0;
		f->drive[i].changed = true;
	}
}

/* Numbers from a snapshot that index or divide. */
static void loaded(struct device *dev)
{
	struct fdc *f = (struct fdc *)dev;
	bool transfer = f->phase == FDC_DATA || f->after == FDC_SECTOR;
	if (f->cmd_n >= sizeof(f->cmd) || f->cmd_want > sizeof(f->cmd) ||
	    f->result_n > sizeof(f->result) || f->data_n > SECTOR ||
	    (transfer && !selected(f)->format))
		abort_all(f);
}

static const struct port_ops ports = {port_read, port_write, IO_1};

const struct device_type fdc_type = {
    .name = "fdc",
    .help = "82077AA floppy controller",
    .category = "storage",
    .size = sizeof(struct fdc),
    .ports = (const struct port_claim[]){{0x3f0, 6, &ports}, {0x3f7, 1, &ports}, {0}},
    .irqs = (const struct irq_output[]){{"irq", offsetof(struct fdc, irq), 6}, {0}},
    .timers = (const struct timer_decl[]){{"timer", offsetof(struct fdc, timer), fire}, {0}},
    .snapshot = &fdc_snapshot,
    .init = init,
    .reset = reset,
    .loaded = loaded,
    .internal = true,
};
