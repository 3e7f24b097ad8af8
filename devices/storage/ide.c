/*
 * The IDE function of the PIIX3 (82371SB, 00:01.1): two channels at 1F0h/3F6h and 170h/376h with
 * IRQ 14 and 15, and the bus master at BAR 4 (Intel 82371FB/SB data sheet, "Bus Master IDE
 * Programming Interface" revision 1.0). Registers and protocols are those of ATA/ATAPI-6
 * (T13/1410D): PIO in and out with one or several sectors per interrupt, DMA in and out, packet,
 * software reset, diagnostics. What commands do stands in ata_disk.c and atapi.c.
 *
 * A drive takes IDE_COMMAND_NS of virtual time for a command and IDE_NS_PER_KB for its data;
 * meanwhile the image's own host thread does the work, and the guest sees the end at the same
 * instruction in every run.
 *
 * Not modelled: timing registers (kept without effect), overlapped and queued commands, native-PCI
 * mode, CRC errors, and the channel enable bits (both are always decoded).
 */
#include <errno.h>
#include <stdlib.h>

#include "devices/storage/ide_internal.h"

#define BM_START  0x01u
#define BM_ACTIVE 0x01u
#define BM_INT    0x04u

/* clang-format off */
#define IDE_DRIVE_FIELDS(V, S, H, P) \
	H(block) H(sectors) H(serial) H(physical) H(kind) H(read_only) H(pad0) \
	V(heads) V(spt) V(feature) V(hob_feature) V(count) V(hob_count) V(lba) V(hob_lba) V(device) V(status) V(error) \
	V(multiple) V(mode) V(intrq) V(write_cache) V(read_ahead) V(smart) V(standby) \
	V(sense_key) V(asc) V(ascq) V(media_event) V(attention) V(locked) V(open) H(pad1)
SNAPSHOT(ide_drive_snapshot, "ide-drive", 1, struct ide_drive, IDE_DRIVE_FIELDS);

#define IDE_CHANNEL_FIELDS(V, S, H, P) \
	H(ide) H(request) H(on) H(host) H(raw) V(irq) V(timer) S(drive, ide_drive_snapshot) V(select) V(active) V(phase) V(after) \
	V(control) V(command) V(final_status) V(final_error) P(4) V(lba) V(left) V(block_bytes) V(block_sectors) V(slice) \
	V(slice_n) V(slice_pos) V(chunk) V(chunk_pos) V(dma) V(write) V(from_io) V(out) V(cdb) V(io) V(bm_command) \
	V(bm_status) H(pad) V(prd_table) V(prd) V(mark) V(moved)
SNAPSHOT(ide_channel_snapshot, "ide-channel", 1, struct ide_channel, IDE_CHANNEL_FIELDS);

#define IDE_FIELDS(V, S, H, P) H(dev) S(fn, pci_function_snapshot) S(ch, ide_channel_snapshot)
SNAPSHOT(ide_snapshot, "piix3-ide", 1, struct ide, IDE_FIELDS);
/* clang-format on */

/* ---- interrupts and the ends of commands --------------------------------------------------- */

static void update_irq(struct ide_channel *c)
{
	irq_set(&c->irq, c->drive[c->select].intrq && !(c->control & CTL_NIEN));
}

static void raise_irq(struct ide_channel *c)
{
	active_drive(c)->intrq = true;
	c->bm_status |= BM_INT;
	update_irq(c);
}

void ide_busy(struct ide_channel *c, enum ide_after after, u64 ns)
{
	c->phase = PHASE_BUSY;
	c->after = after;
	active_drive(c)->status = ST_BSY;
	timer_arm(&c->timer, clock_now(c->ide->dev.env->clock) + ns);
}

static void end(struct ide_channel *c, u8 status, u8 error)
{
	struct ide_drive *d = active_drive(c);
	c->phase = PHASE_IDLE;
	c->after = AFTER_NONE;
	d->status = status;
	d->error = error;
	if (d->kind == IDE_CD && c->command == 0xa0)
		d->count = (d->count & 0xf8) | REASON_CD | REASON_IO;
}

void ide_finish(struct ide_channel *c)
{
	end(c, ST_DRDY | ST_DSC, 0);
	raise_irq(c);
}

void ide_fail(struct ide_channel *c, u8 error)
{
	end(c, ST_DRDY | ST_DSC | ST_ERR, error);
	raise_irq(c);
}

void ide_finish_later(struct ide_channel *c, u8 error)
{
	c->final_status = ST_DRDY | ST_DSC | (error ? ST_ERR : 0);
	c->final_error = error;
	ide_busy(c, AFTER_COMMAND, IDE_COMMAND_NS);
}

/* 0 or -errno of the request that was handed to the image. */
static int wait_for_image(struct ide_channel *c)
{
	int e = c->on ? block_wait(c->on, &c->request) : -EIO;
	c->on = NULL;
	return e;
}

/* Gives up whatever goes on; a request on its way to the image is waited for. */
static void cancel(struct ide_channel *c)
{
	wait_for_image(c);
	timer_disarm(&c->timer);
	c->phase = PHASE_IDLE;
	c->after = AFTER_NONE;
}

void ide_signature(struct ide_drive *d)
{
	d->count = d->lba[0] = 1;
	d->lba[1] = d->kind == IDE_CD ? 0x14 : 0;
	d->lba[2] = d->kind == IDE_CD ? 0xeb : 0;
	d->device &= 0x10;
}

static void drive_ready(struct ide_drive *d)
{
	ide_signature(d);
	d->error = 1; /* diagnostics passed */
	d->status = d->kind == IDE_DISK ? ST_DRDY | ST_DSC : 0;
}

/* ---- the bus master ---------------------------------------------------------------------------
 */

/* Fetches the next descriptor: address, count (0: 64 KiB), end of table. False if there is none. */
static bool next_region(struct ide_channel *c)
{
	u32 d[2];
	if (c->prd[PRD_LAST] ||
	    dma_read(c->ide->dev.env->bus, pci_requester(&c->ide->fn), c->prd[PRD_NEXT], d, 8))
		return false;
	c->prd[PRD_NEXT] += 8;
	c->prd[PRD_ADDRESS] = d[0] & ~1u;
	c->prd[PRD_LEFT] = d[1] & 0xfffe ? d[1] & 0xfffe : 0x10000;
	c->prd[PRD_LAST] = d[1] >> 31;
	return true;
}

/* Moves @n bytes by the descriptors; false if the table ended before. */
static bool move(struct ide_channel *c, u8 *buf, u32 n, bool to_memory)
{
	struct bus *bus = c->ide->dev.env->bus;
	u16 id = pci_requester(&c->ide->fn);
	while (n) {
		if (!c->prd[PRD_LEFT] && !next_region(c))
			break;
		u32 k = MIN(n, c->prd[PRD_LEFT]);
		if (to_memory)
			dma_write(bus, id, c->prd[PRD_ADDRESS], buf, k);
		else
			dma_read(bus, id, c->prd[PRD_ADDRESS], buf, k);
		c->prd[PRD_ADDRESS] += k;
		c->prd[PRD_LEFT] -= k;
		buf += k;
		n -= k;
	}
	if (c->prd[PRD_LAST] && !c->prd[PRD_LEFT])
		c->bm_status &= (u8)~BM_ACTIVE;
	return !n;
}

/* The memory side has no room (or no start bit yet): the drive waits with its data request. */
static void wait_for_dma(struct ide_channel *c)
{
	c->phase = PHASE_WAIT_DMA;
	c->after = AFTER_NONE;
	active_drive(c)->status = ST_DRDY | ST_DSC | ST_DRQ;
}

/* ---- transfers between medium and host ---------------------------------------------------------
 */

static u64 transfer_ns(u32 bytes)
{
	return (u64)bytes * IDE_NS_PER_KB >> 10;
}

static u32 chunk_sectors(const struct ide_channel *c)
{
	return c->chunk / c->block_bytes * c->block_sectors;
}

static void submit(struct ide_channel *c, enum block_op op)
{
	c->request = (struct block_request){
	    .op = op,
	    .lba = c->lba,
	    .sectors = op == BLOCK_FLUSH ? 0 : chunk_sectors(c),
	    .data = op == BLOCK_FLUSH ? NULL : c->host,
	};
	c->on = active_drive(c)->block;
	block_submit(c->on, &c->request);
}

static void choose_chunk(struct ide_channel *c)
{
	c->chunk = MIN(c->left, IDE_CHUNK / c->block_bytes) * c->block_bytes;
	c->chunk_pos = 0;
}

static void load_chunk(struct ide_channel *c, u64 ns)
{
	choose_chunk(c);
	submit(c, BLOCK_READ);
	ide_busy(c, AFTER_LOAD, ns + transfer_ns(c->chunk));
}

/* The chunk is done: the next one begins where it ended. */
static void advance(struct ide_channel *c)
{
	c->left -= MIN(c->left, c->chunk / c->block_bytes);
	c->lba += chunk_sectors(c);
	c->moved += chunk_sectors(c);
}

static void medium_failed(struct ide_channel *c)
{
	if (active_drive(c)->kind == IDE_CD) {
		atapi_medium_error(c);
		return;
	}
	ata_put_position(c, c->lba);
	ide_fail(c, c->write ? ER_ABRT : ER_UNC);
}

static void medium_done(struct ide_channel *c)
{
	if (active_drive(c)->kind == IDE_DISK)
		ata_put_position(c, c->lba - 1);
	ide_finish(c);
}

/* Gathers the next chunk from memory and has it written. */
static void store_chunk(struct ide_channel *c, u64 ns)
{
	choose_chunk(c);
	memcpy(c->mark, c->prd, sizeof(c->mark));
	if (!move(c, c->host, c->chunk, false)) {
		wait_for_dma(c);
		return;
	}
	submit(c, BLOCK_WRITE);
	ide_busy(c, AFTER_STORE, ns + transfer_ns(c->chunk));
}

static void start_dma(struct ide_channel *c)
{
	if (!(c->bm_command & BM_START)) {
		wait_for_dma(c);
	} else if (!pci_bus_master(&c->ide->fn)) {
		log_line(c->ide->dev.env->log, LOG_GUEST_ERRORS,
			 "ide: DMA was started while the function may not master the bus");
		wait_for_dma(c);
	} else if (c->from_io) {
		ide_busy(c, AFTER_REPLY, IDE_SLICE_NS + transfer_ns(c->chunk));
	} else if (c->write) {
		store_chunk(c, IDE_COMMAND_NS);
	} else {
		load_chunk(c, IDE_COMMAND_NS);
	}
}

static void want_out(struct ide_channel *c, u32 n)
{
	struct ide_drive *d = active_drive(c);
	c->phase = PHASE_OUT;
	c->slice_n = n;
	c->slice_pos = 0;
	d->status = ST_DRDY | ST_DSC | ST_DRQ;
	if (c->command == 0xa0)
		d->count = (d->count & 0xf8) | (c->out == OUT_PACKET ? REASON_CD : 0);
}

void ide_start_medium(struct ide_channel *c, u64 lba, u32 blocks)
{
	c->lba = lba;
	c->left = blocks;
	c->from_io = false;
	c->out = OUT_MEDIUM;
	if (c->dma)
		start_dma(c);
	else if (c->write)
		want_out(c, MIN(c->slice, blocks * c->block_bytes));
	else
		load_chunk(c, IDE_COMMAND_NS);
}

void ide_start_reply(struct ide_channel *c, u32 n)
{
	c->from_io = true;
	c->chunk = MIN(n, IDE_BUFFER);
	c->chunk_pos = 0;
	if (c->dma)
		start_dma(c);
	else
		ide_busy(c, AFTER_REPLY, IDE_SLICE_NS);
}

void ide_start_out(struct ide_channel *c, u32 n)
{
	struct ide_drive *d = active_drive(c);
	want_out(c, MIN(n, IDE_BUFFER));
	if (c->out != OUT_PARAMETERS)
		return;
	d->lba[1] = (u8)c->slice_n;
	d->lba[2] = (u8)(c->slice_n >> 8);
	raise_irq(c);
}

void ide_start_flush(struct ide_channel *c)
{
	submit(c, BLOCK_FLUSH);
	ide_busy(c, AFTER_FLUSH, IDE_COMMAND_NS);
}

/* ---- data by the processor
 * ----------------------------------------------------------------------- */

static const u8 *source(const struct ide_channel *c)
{
	return c->from_io ? c->io : c->block_bytes == CD_RAW ? c->raw : c->host;
}

static void next_slice(struct ide_channel *c)
{
	struct ide_drive *d = active_drive(c);
	c->phase = PHASE_IN;
	c->after = AFTER_NONE;
	c->slice_pos = 0;
	c->slice_n = MIN(c->slice, c->chunk - c->chunk_pos);
	d->status = ST_DRDY | ST_DSC | ST_DRQ;
	if (c->command == 0xa0) {
		d->count = (d->count & 0xf8) | REASON_IO;
		d->lba[1] = (u8)c->slice_n;
		d->lba[2] = (u8)(c->slice_n >> 8);
	}
	raise_irq(c);
}

/* ATA commands end with their last word, without an interrupt; packet commands have one more. */
static void in_done(struct ide_channel *c)
{
	if (c->command == 0xa0) {
		c->final_status = ST_DRDY | ST_DSC;
		c->final_error = 0;
		ide_busy(c, AFTER_COMMAND, IDE_SLICE_NS);
		return;
	}
	if (!c->from_io)
		ata_put_position(c, c->lba - 1);
	end(c, ST_DRDY | ST_DSC, 0);
}

static void slice_read(struct ide_channel *c)
{
	c->chunk_pos += c->slice_n;
	if (c->chunk_pos < c->chunk) {
		ide_busy(c, AFTER_SLICE, IDE_SLICE_NS);
		return;
	}
	if (!c->from_io)
		advance(c);
	if (!c->from_io && c->left)
		load_chunk(c, IDE_SLICE_NS);
	else
		in_done(c);
}

static void slice_written(struct ide_channel *c)
{
	if (c->out == OUT_PACKET) {
		memcpy(c->cdb, c->io, sizeof(c->cdb));
		ide_busy(c, AFTER_PACKET, IDE_SLICE_NS);
	} else if (c->out == OUT_PARAMETERS) {
		atapi_parameters(c);
	} else {
		c->chunk = c->slice_n;
		memcpy(c->host, c->io, c->chunk);
		submit(c, BLOCK_WRITE);
		ide_busy(c, AFTER_STORE, IDE_SLICE_NS + transfer_ns(c->chunk));
	}
}

static u32 read_data(struct ide_channel *c, unsigned size)
{
	u32 v = 0, n = MIN(size, c->slice_n - c->slice_pos);
	if (c->phase != PHASE_IN)
		return 0xffffffffu;
	memcpy(&v, source(c) + c->chunk_pos + c->slice_pos, n);
	c->slice_pos += n;
	if (c->slice_pos == c->slice_n)
		slice_read(c);
	return v;
}

static void write_data(struct ide_channel *c, u32 v, unsigned size)
{
	u32 n = MIN(size, c->slice_n - c->slice_pos);
	if (c->phase != PHASE_OUT)
		return;
	memcpy(c->io + c->slice_pos, &v, n);
	c->slice_pos += n;
	if (c->slice_pos == c->slice_n)
		slice_written(c);
}

/* All but the last word of the data block: what that one sets off is left to the single access. */
static u32 run_units(const struct ide_channel *c, unsigned size, u32 count)
{
	u32 left = c->slice_n - c->slice_pos;
	return left > size ? MIN(count, (left - 1) / size) : 0;
}

/* ---- what follows when the timer fires
 * ------------------------------------------------------------- */

static void chunk_loaded(struct ide_channel *c)
{
	u8 *data = c->block_bytes == CD_RAW ? c->raw : c->host;
	if (wait_for_image(c)) {
		medium_failed(c);
		return;
	}
	if (c->block_bytes == CD_RAW)
		atapi_make_raw(c->raw, c->host, c->chunk / CD_RAW, (u32)(c->lba / 4));
	if (!c->dma) {
		next_slice(c);
		return;
	}
	if (!move(c, data, c->chunk, true)) {
		wait_for_dma(c);
		return;
	}
	advance(c);
	if (c->left)
		load_chunk(c, 0);
	else
		medium_done(c);
}

static void chunk_stored(struct ide_channel *c)
{
	if (wait_for_image(c)) {
		medium_failed(c);
		return;
	}
	advance(c);
	if (!c->left) {
		medium_done(c);
	} else if (c->dma) {
		store_chunk(c, 0);
	} else {
		want_out(c, MIN(c->slice, c->left * c->block_bytes));
		raise_irq(c);
	}
}

static void reply(struct ide_channel *c)
{
	if (!c->dma)
		next_slice(c);
	else if (move(c, c->io, c->chunk, true))
		ide_finish(c);
	else
		wait_for_dma(c);
}

static void flushed(struct ide_channel *c)
{
	if (wait_for_image(c))
		ide_fail(c, ER_ABRT);
	else
		ide_finish(c);
}

static void reset_over(struct ide_channel *c)
{
	drive_ready(&c->drive[0]);
	drive_ready(&c->drive[1]);
	c->phase = PHASE_IDLE;
	c->after = AFTER_NONE;
	if (c->command == 0x90)
		raise_irq(c);
}

static void fire(struct ide_channel *c)
{
	switch ((enum ide_after)c->after) {
	case AFTER_RESET: reset_over(c); break;
	case AFTER_COMMAND:
		end(c, c->final_status, c->final_error);
		raise_irq(c);
		break;
	case AFTER_LOAD: chunk_loaded(c); break;
	case AFTER_SLICE: next_slice(c); break;
	case AFTER_STORE: chunk_stored(c); break;
	case AFTER_FLUSH: flushed(c); break;
	case AFTER_PACKET: atapi_packet(c); break;
	case AFTER_REPLY: reply(c); break;
	case AFTER_NONE: break;
	}
}

static void fire_primary(void *d)
{
	fire(&((struct ide *)d)->ch[0]);
}

static void fire_secondary(void *d)
{
	fire(&((struct ide *)d)->ch[1]);
}

/* ---- the command block
 * ------------------------------------------------------------------------------ */

static struct ide_channel *channel(void *ctx, u16 port)
{
	return &((struct ide *)ctx)->ch[port & 0x80 ? 0 : 1];
}

static void start_command(struct ide_channel *c, u8 command)
{
	struct ide_drive *d = &c->drive[c->select];
	if (command == 0x90) { /* EXECUTE DEVICE DIAGNOSTIC is for both drives */
		c->select = c->drive[0].kind == IDE_NONE;
		d = &c->drive[c->select];
	}
	if (d->kind == IDE_NONE)
		return;
	cancel(c);
	c->active = c->select;
	c->command = command;
	c->dma = c->write = false;
	d->intrq = false;
	update_irq(c);
	d->error = 0;
	if (command == 0x90) {
		c->drive[0].status = c->drive[1].status = ST_BSY;
		ide_busy(c, AFTER_RESET, IDE_COMMAND_NS);
	} else if (d->kind == IDE_CD) {
		atapi_command(c);
	} else {
		ata_command(c);
	}
}

/* The task file is written in both drives; each register holds the previous value for the 48-bit
 * commands. */
static void write_taskfile(struct ide_drive *d, unsigned reg, u8 v)
{
	switch (reg) {
	case 1:
		d->hob_feature = d->feature;
		d->feature = v;
		break;
	case 2:
		d->hob_count = d->count;
		d->count = v;
		break;
	case 6: d->device = v; break;
	default:
		d->hob_lba[reg - 3] = d->lba[reg - 3];
		d->lba[reg - 3] = v;
		break;
	}
}

static void write_command_block(struct ide_channel *c, unsigned reg, u8 v)
{
	bool busy = c->phase == PHASE_BUSY || (c->control & CTL_SRST);
	c->control &= (u8)~CTL_HOB;
	if (reg == 7) {
		/* DEVICE RESET is how a stuck packet device is freed */
		if (!busy ||
		    (v == 0x08 && c->drive[c->select].kind == IDE_CD && !(c->control & CTL_SRST)))
			start_command(c, v);
		return;
	}
	if (busy)
		return;
	write_taskfile(&c->drive[0], reg, v);
	write_taskfile(&c->drive[1], reg, v);
	if (reg == 6) {
		c->select = v >> 4 & 1;
		update_irq(c);
	}
}

static u8 read_taskfile(const struct ide_channel *c, const struct ide_drive *d, unsigned reg)
{
	bool hob = c->control & CTL_HOB;
	switch (reg) {
	case 1: return d->error;
	case 2: return hob ? d->hob_count : d->count;
	case 6: return d->device | 0xa0;
	case 7: return d->status;
	default: return hob ? d->hob_lba[reg - 3] : d->lba[reg - 3];
	}
}

/* An absent drive reads 0, as its companion answers for it (ATA/ATAPI-6, 9.16.1). */
static u8 read_command_block(struct ide_channel *c, unsigned reg)
{
	struct ide_drive *d = &c->drive[c->select];
	if (d->kind == IDE_NONE)
		return 0;
	if (reg == 7) {
		d->intrq = false;
		update_irq(c);
	}
	return read_taskfile(c, d, reg);
}

static u32 block_read(void *ctx, u16 port, unsigned size)
{
	struct ide_channel *c = channel(ctx, port);
	u32 v = 0;
	if (!(port & 7))
		return read_data(c, size);
	for (unsigned i = 0; i < size; i++)
		v |= (u32)read_command_block(c, (port + i) & 7) << (i * 8);
	return v;
}

static u32 block_read_run(void *ctx, u16 port, unsigned size, u8 *to, u32 count)
{
	struct ide_channel *c = channel(ctx, port);
	if ((port & 7) || c->phase != PHASE_IN)
		return 0;
	u32 n = run_units(c, size, count);
	memcpy(to, source(c) + c->chunk_pos + c->slice_pos, n * size);
	c->slice_pos += n * size;
	return n;
}

static u32 block_write_run(void *ctx, u16 port, unsigned size, const u8 *from, u32 count)
{
	struct ide_channel *c = channel(ctx, port);
	if ((port & 7) || c->phase != PHASE_OUT)
		return 0;
	u32 n = run_units(c, size, count);
	memcpy(c->io + c->slice_pos, from, n * size);
	c->slice_pos += n * size;
	return n;
}

static void block_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct ide_channel *c = channel(ctx, port);
	if (!(port & 7)) {
		write_data(c, value, size);
		return;
	}
	for (unsigned i = 0; i < size && (port & 7) + i < 8; i++)
		write_command_block(c, (port & 7) + i, (u8)(value >> (i * 8)));
}

/* Alternate Status: as Status, but the interrupt stays. */
static u32 control_read(void *ctx, u16 port, unsigned size)
{
	const struct ide_channel *c = channel(ctx, port);
	return c->drive[c->select].kind == IDE_NONE ? 0 : c->drive[c->select].status;
}

static void software_reset(struct ide_channel *c)
{
	cancel(c);
	c->command = 0;
	c->select = c->active = 0;
	for (unsigned i = 0; i < 2; i++) {
		c->drive[i].intrq = false;
		c->drive[i].status = ST_BSY;
		c->drive[i].standby = false;
		c->drive[i].multiple = 0;
		atapi_reset(&c->drive[i]);
	}
}

static void control_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct ide_channel *c = channel(ctx, port);
	u8 old = c->control;
	c->control = (u8)value;
	if ((value & CTL_SRST) && !(old & CTL_SRST)) {
		software_reset(c);
	} else if (!(value & CTL_SRST) && (old & CTL_SRST)) {
		ide_busy(c, AFTER_RESET, IDE_COMMAND_NS);
		c->drive[1].status = ST_BSY;
	}
	update_irq(c);
}

/* ---- bus master registers
 * ----------------------------------------------------------------------------- */

/* Clearing the start bit ends the transfer in the middle; what was not moved yet stays to be moved.
 */
static void stop_dma(struct ide_channel *c)
{
	c->bm_status &= (u8)~BM_ACTIVE;
	if (c->phase != PHASE_BUSY || !c->dma)
		return;
	if (c->after == AFTER_LOAD || c->after == AFTER_STORE || c->after == AFTER_REPLY) {
		cancel(c);
		wait_for_dma(c);
	}
}

static void write_bm_command(struct ide_channel *c, u8 v)
{
	bool was = c->bm_command & BM_START;
	c->bm_command = v & 0x09;
	if (was && !(v & BM_START))
		stop_dma(c);
	if (was || !(v & BM_START))
		return;
	c->bm_status |= BM_ACTIVE;
	c->prd[PRD_NEXT] = c->prd_table;
	c->prd[PRD_ADDRESS] = c->prd[PRD_LEFT] = c->prd[PRD_LAST] = 0;
	if (c->phase == PHASE_WAIT_DMA)
		start_dma(c);
}

static u8 bm_read_byte(const struct ide_channel *c, unsigned reg)
{
	if (reg >= 4)
		return (u8)(c->prd_table >> ((reg - 4) * 8));
	return reg == 0 ? c->bm_command : reg == 2 ? c->bm_status : 0;
}

static void bm_write_byte(struct ide_channel *c, unsigned reg, u8 v)
{
	unsigned shift = (reg & 3) * 8;
	if (reg >= 4)
		c->prd_table = ((c->prd_table & ~(0xffu << shift)) | (u32)v << shift) & ~3u;
	else if (reg == 0)
		write_bm_command(c, v);
	else if (reg == 2)
		c->bm_status = (c->bm_status & BM_ACTIVE) | (v & 0x60) | (c->bm_status & ~v & 0x06);
}

static u32 bm_read(void *ctx, u16 port, unsigned size)
{
	const struct ide *ide = ctx;
	u32 v = 0;
	for (unsigned i = 0; i < size; i++)
		v |= (u32)bm_read_byte(&ide->ch[port >> 3 & 1], (port + i) & 7) << (i * 8);
	return v;
}

static void bm_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct ide *ide = ctx;
	for (unsigned i = 0; i < size; i++)
		bm_write_byte(&ide->ch[port >> 3 & 1], (port + i) & 7, (u8)(value >> (i * 8)));
}

/* ---- drives
 * --------------------------------------------------------------------------------------------- */

static struct ide_drive *drive_at(struct device *dev, unsigned unit)
{
	return &((struct ide *)dev)->ch[unit >> 1 & 1].drive[unit & 1];
}

static void put_medium(struct ide_drive *d, struct block *b)
{
	d->block = b;
	d->sectors = b ? block_sectors(b) : 0;
	d->read_only = b && block_read_only(b);
}

static void drive_power_on(struct ide_drive *d)
{
	d->heads = d->physical.heads;
	d->spt = d->physical.sectors;
	d->multiple = 0;
	d->mode = 0;
	d->write_cache = d->read_ahead = d->smart = true;
	d->standby = d->intrq = d->locked = d->open = false;
	d->attention = d->kind == IDE_CD ? 0x29 : 0; /* power-on or reset */
	d->media_event = 0;
	d->sense_key = d->asc = d->ascq = 0;
	d->device = 0;
	drive_ready(d);
}

int ide_attach(struct device *dev, const struct drive *drive, char *err, size_t n)
{
	struct ide_drive *d = drive_at(dev, drive->unit);
	if (drive->unit >= IDE_DRIVES || d->kind != IDE_NONE) {
		snprintf(err, n, "%s: IDE unit %u is taken or does not exist (0 to 3)", drive->id,
			 drive->unit);
		return -EBUSY;
	}
	if (!drive->cdrom && !drive->block) {
		snprintf(err, n,
			 "%s: a disk needs an image; only CD and floppy drives may be empty",
			 drive->id);
		return -EINVAL;
	}
	d->kind = drive->cdrom ? IDE_CD : IDE_DISK;
	put_medium(d, drive->block);
	if (drive->serial)
		snprintf(d->serial, sizeof(d->serial), "%s", drive->serial);
	else
		snprintf(d->serial, sizeof(d->serial), "OR%05u", drive->unit + 1);
	if (d->kind == IDE_DISK)
		d->physical = ata_guess_geometry(d->block);
	drive_power_on(d);
	return 0;
}

int ide_change_medium(struct device *dev, unsigned unit, struct block *medium)
{
	struct ide_channel *c = &((struct ide *)dev)->ch[unit >> 1 & 1];
	struct ide_drive *d = drive_at(dev, unit);
	if (unit >= IDE_DRIVES || d->kind != IDE_CD)
		return -ENODEV;
	if (d->locked && d->block) {
		d->media_event = 1;
		return -EBUSY;
	}
	if (c->active == (unit & 1) && c->phase != PHASE_IDLE && !c->from_io &&
	    c->command == 0xa0) {
		cancel(c);
		put_medium(d, NULL);
		atapi_medium_error(c);
	}
	put_medium(d, medium);
	atapi_medium_changed(d);
	return 0;
}

bool ide_disk_geometry(struct device *dev, unsigned unit, struct ide_geometry *g)
{
	const struct ide_drive *d = drive_at(dev, unit);
	*g = d->physical;
	return unit < IDE_DRIVES && d->kind == IDE_DISK;
}

bool ide_present(struct device *dev, unsigned unit, bool *cdrom)
{
	const struct ide_drive *d = drive_at(dev, unit);
	*cdrom = d->kind == IDE_CD;
	return unit < IDE_DRIVES && d->kind != IDE_NONE;
}

u64 ide_activity(struct device *dev)
{
	const struct ide *ide = (const struct ide *)dev;
	return ide->ch[0].moved + ide->ch[1].moved;
}

/* ---- life
 * --------------------------------------------------------------------------------------------------
 */

static int init(struct device *dev, char *err, size_t n)
{
	struct ide *ide = (struct ide *)dev;
	static const u8 writable[] = {0x40, 0x41, 0x42, 0x43, 0x44};
	for (unsigned i = 0; i < sizeof(writable); i++)
		ide->fn.wmask[writable[i]] = 0xff;
	for (unsigned i = 0; i < 2; i++) {
		ide->ch[i].ide = ide;
		ide->ch[i].host = calloc(2, IDE_CHUNK);
		if (!ide->ch[i].host) {
			snprintf(err, n, "%s: out of memory", dev->id);
			return -ENOMEM;
		}
		ide->ch[i].raw = ide->ch[i].host + IDE_CHUNK;
	}
	return 0;
}

static void reset(struct device *dev, enum reset_kind kind)
{
	struct ide *ide = (struct ide *)dev;
	pci_put16(ide->fn.cfg, PCI_STATUS, 0x0280);
	for (unsigned i = 0; i < 2; i++) {
		struct ide_channel *c = &ide->ch[i];
		cancel(c);
		c->control = c->command = 0;
		c->select = c->active = 0;
		c->bm_command = c->bm_status = 0;
		c->prd_table = 0;
		c->chunk = c->chunk_pos = c->slice_n = c->slice_pos = c->left = 0;
		for (unsigned k = 0; k < 2; k++)
			drive_power_on(&c->drive[k]);
		update_irq(c);
	}
}

/* The chunk that was on its way to the image comes from memory a second time; the place in the
 * table is already behind it. */
static void gather_again(struct ide_channel *c)
{
	u32 behind[4];
	u8 status = c->bm_status;
	memcpy(behind, c->prd, sizeof(behind));
	memcpy(c->prd, c->mark, sizeof(c->prd));
	(void)move(c, c->host, c->chunk, false);
	memcpy(c->prd, behind, sizeof(c->prd));
	c->bm_status = status;
}

/* A snapshot does not hold what was on its way from or to the image: it is asked for again. */
static void resume(struct ide_channel *c)
{
	struct block *b = active_drive(c)->block;
	bool reading = c->phase == PHASE_IN || (c->phase == PHASE_BUSY && c->after == AFTER_SLICE);
	if (reading && !c->from_io) {
		if (block_io(b, BLOCK_READ, c->lba, chunk_sectors(c), c->host))
			memset(c->host, 0, IDE_CHUNK);
		if (c->block_bytes == CD_RAW)
			atapi_make_raw(c->raw, c->host, c->chunk / CD_RAW, (u32)(c->lba / 4));
	} else if (c->phase == PHASE_BUSY && c->after == AFTER_LOAD) {
		submit(c, BLOCK_READ);
	} else if (c->phase == PHASE_BUSY && c->after == AFTER_FLUSH) {
		submit(c, BLOCK_FLUSH);
	} else if (c->phase == PHASE_BUSY && c->after == AFTER_STORE) {
		if (c->dma)
			gather_again(c);
		else
			memcpy(c->host, c->io, MIN(c->chunk, IDE_BUFFER));
		submit(c, BLOCK_WRITE);
	}
}

/* What the present phase needs of the medium: nothing, an image, or a transfer from or to it. */
static bool transfer_plausible(const struct ide_channel *c)
{
	const struct block *b = c->drive[c->active].block;
	bool busy = c->phase == PHASE_BUSY;
	bool transfer = c->phase == PHASE_IN || c->phase == PHASE_WAIT_DMA ||
			(c->phase == PHASE_OUT && c->out == OUT_MEDIUM) ||
			(busy && (c->after == AFTER_LOAD || c->after == AFTER_SLICE));
	transfer = (transfer && !c->from_io) || (busy && c->after == AFTER_STORE);
	if (busy && c->after == AFTER_FLUSH)
		return b;
	if (!transfer)
		return true;
	bool sizes = c->block_sectors == 1
			 ? c->block_bytes == 512
			 : c->block_sectors == 4 &&
			       (c->block_bytes == CD_SECTOR || c->block_bytes == CD_RAW);
	return b && sizes;
}

/* What a snapshot says must fit the buffers and the drives that are there. */
static bool plausible(const struct ide_channel *c)
{
	u32 room = c->from_io ? IDE_BUFFER : IDE_CHUNK;
	if (c->select > 1 || c->active > 1 || c->chunk > room || c->chunk_pos > c->chunk)
		return false;
	if (c->slice_pos > c->slice_n || (c->phase == PHASE_OUT && c->slice_n > IDE_BUFFER))
		return false;
	if (c->phase == PHASE_IN && c->slice_n > c->chunk - c->chunk_pos)
		return false;
	return transfer_plausible(c);
}

static void loaded(struct device *dev)
{
	struct ide *ide = (struct ide *)dev;
	for (unsigned i = 0; i < 2; i++) {
		struct ide_channel *c = &ide->ch[i];
		wait_for_image(c);
		for (unsigned k = 0; k < 2; k++)
			if (!c->drive[k].heads || !c->drive[k].spt) {
				c->drive[k].heads = c->drive[k].physical.heads;
				c->drive[k].spt = c->drive[k].physical.sectors;
			}
		c->select &= 1;
		c->active &= 1;
		if (plausible(c))
			resume(c);
		else
			cancel(c);
	}
}

static void release(struct device *dev)
{
	struct ide *ide = (struct ide *)dev;
	for (unsigned i = 0; i < 2; i++) {
		if (ide->ch[i].host)
			cancel(&ide->ch[i]);
		free(ide->ch[i].host);
	}
}

static const struct port_run_ops command_ports = {
    {block_read, block_write, IO_ANY | IO_RUN}, block_read_run, block_write_run};
static const struct port_ops control_ports = {control_read, control_write, IO_1};
static const struct port_ops bm_ports = {bm_read, bm_write, IO_ANY};

static const struct pci_ident ident = {
    .vendor = 0x8086,
    .device = 0x7010,
    .class_code = 0x010180,
    .devfn = 1 << 3 | 1,
    .bar = {[4] = {PCI_BAR_IO, false, 16, &bm_ports, NULL, NULL}},
};

const struct device_type piix3_ide_type = {
    .name = "piix3-ide",
    .help = "82371SB IDE controller",
    .category = "storage",
    .size = sizeof(struct ide),
    .ports = (const struct port_claim[]){{0x1f0, 8, &command_ports.ops},
					 {0x3f6, 1, &control_ports},
					 {0x170, 8, &command_ports.ops},
					 {0x376, 1, &control_ports},
					 {0}},
    .pci = &ident,
    .pci_offset = offsetof(struct ide, fn),
    .irqs = (const struct irq_output[]){{"primary", offsetof(struct ide, ch[0].irq), 14},
					{"secondary", offsetof(struct ide, ch[1].irq), 15},
					{0}},
    .timers =
	(const struct timer_decl[]){
	    {"primary", offsetof(struct ide, ch[0].timer), fire_primary},
	    {"secondary", offsetof(struct ide, ch[1].timer), fire_secondary},
	    {0}},
    .snapshot = &ide_snapshot,
    .init = init,
    .reset = reset,
    .free = release,
    .loaded = loaded,
    .internal = true,
};
