/*
 * ATA disks and ATAPI drives on IDE channels (ATA/ATAPI-6): PIO, and bus-master DMA (PIIX) when the
 * caller is in real mode, where addresses are physical. Completion is polled with the drive's
 * interrupt off, so that nobody's handler for it is needed.
 */
#include "bios/rt/disk.h"

#define DATA    0
#define ERROR   1
#define COUNT   2
#define LBA0    3
#define LBA1    4
#define LBA2    5
#define DEVICE  6
#define STATUS  7
#define COMMAND 7

#define BSY 0x80
#define DF  0x20
#define DRQ 0x08
#define ERR 0x01

/* Physical region descriptors of the current transfer: at most two, split at a 64-KiB boundary. */
static struct {
	u32 address;
	u16 bytes, flags;
} prd[4] __attribute__((aligned(32)));

static void settle(const struct ata_channel *c)
{
	for (unsigned i = 0; i < 4; i++)
		inb(c->control);
}

/* Waits until BSY is clear; then the status, or -1 after @ms milliseconds. */
static int await_ready(const struct ata_channel *c, u32 ms)
{
	struct deadline d;
	deadline_set(&d, ms);
	for (unsigned n = 0;; n++) {
		u8 status = inb(c->command + STATUS);
		if (!(status & BSY))
			return status;
		if (expired(&d))
			return -1;
		if ((n & 63) == 63)
			let_irqs();
	}
}

static u8 error_code(const struct ata_channel *c)
{
	u8 e = inb(c->command + ERROR);
	if (e & 0x40)
		return DISK_BAD_CRC;
	if (e & 0x10)
		return DISK_NOT_FOUND;
	return e & 0x04 ? DISK_BAD_COMMAND : DISK_CONTROLLER;
}

static u8 select_drive(const struct drive *v, u8 device)
{
	const struct ata_channel *c = &ata_channels[v->channel];
	if (await_ready(c, 5000) < 0)
		return DISK_TIMEOUT;
	outb(c->command + DEVICE, (u8)(0xa0 | v->slave << 4 | device));
	settle(c);
	if (await_ready(c, 5000) < 0)
		return DISK_TIMEOUT;
	outb(c->control, 0x0a); /* interrupts off */
	return 0;
}

static void write_lba(const struct ata_channel *c, u8 count, u32 lba)
{
	outb(c->command + COUNT, count);
	outb(c->command + LBA0, (u8)lba);
	outb(c->command + LBA1, (u8)(lba >> 8));
	outb(c->command + LBA2, (u8)(lba >> 16));
}

static u8 issue(const struct drive *v, u8 command, u32 lba, u32 lba_high, u16 count, bool ext)
{
	const struct ata_channel *c = &ata_channels[v->channel];
	u8 e = select_drive(v, (u8)(0x40 | (ext ? 0 : lba >> 24 & 15)));
	if (e)
		return e;
	if (ext) {
		outb(c->command + COUNT, (u8)(count >> 8));
		outb(c->command + LBA0, (u8)(lba >> 24));
		outb(c->command + LBA1, (u8)lba_high);
		outb(c->command + LBA2, (u8)(lba_high >> 8));
	}
	write_lba(c, (u8)count, lba);
	outb(c->command + COMMAND, command);
	settle(c);
	return 0;
}

/* Old drives know no LBA: cylinder, head, sector. */
static u8 issue_chs(const struct drive *v, u8 command, u32 lba, u16 count)
{
	const struct ata_channel *c = &ata_channels[v->channel];
	u32 track = lba / v->pspt, cylinder = track / v->pheads;
	u8 e = select_drive(v, (u8)(track % v->pheads));
	if (e)
		return e;
	outb(c->command + COUNT, (u8)count);
	outb(c->command + LBA0, (u8)(lba % v->pspt + 1));
	outb(c->command + LBA1, (u8)cylinder);
	outb(c->command + LBA2, (u8)(cylinder >> 8));
	outb(c->command + COMMAND, command);
	settle(c);
	return 0;
}

static u8 await_data(const struct ata_channel *c)
{
	int status = await_ready(c, 30000);
	if (status < 0)
		return DISK_TIMEOUT;
	if (status & (ERR | DF))
		return error_code(c);
	return status & DRQ ? 0 : DISK_CONTROLLER;
}

static void words_in(u16 port, u16 seg, u16 off, u32 words)
{
	u32 di = off;
	__asm__ volatile("pushw %%es\n\tmovw %3, %%es\n\trep insw\n\tpopw %%es"
			 : "+c"(words), "+D"(di)
			 : "d"(port), "r"(seg)
			 : "memory");
}

static void words_out(u16 port, u16 seg, u16 off, u32 words)
{
	u32 si = off;
	__asm__ volatile("pushw %%ds\n\tmovw %3, %%ds\n\trep outsw\n\tpopw %%ds"
			 : "+c"(words), "+S"(si)
			 : "d"(port), "r"(seg)
			 : "memory");
}

static u8 move_pio(const struct drive *v, u16 seg, u16 off, u16 count, u8 operation)
{
	const struct ata_channel *c = &ata_channels[v->channel];
	for (u16 i = 0; i < count; i++) {
		u8 e = await_data(c);
		if (e)
			return e;
		if (operation == DISK_WRITE)
			words_out(c->command, seg, off, 256);
		else
			words_in(c->command, seg, off, 256);
		seg += 32;
		settle(c);
	}
	int status = await_ready(c, 30000);
	return status < 0 ? DISK_TIMEOUT : status & (ERR | DF) ? error_code(c) : 0;
}

/* ---- bus-master DMA (Intel 82371, "Bus Master IDE Registers") ---------------------------- */

static bool dma_possible(const struct drive *v, u16 off)
{
	return (v->flags & DRIVE_DMA) && ata_channels[v->channel].bus_master && !(off & 1) &&
	       !in_v86();
}

static void dma_prepare(const struct ata_channel *c, u32 linear, u32 bytes, u8 operation)
{
	u32 first = MIN(bytes, 0x10000 - (linear & 0xffff));
	prd[0].address = linear;
	prd[0].bytes = (u16)first;
	prd[0].flags = bytes == first ? 0x8000 : 0;
	prd[1].address = linear + first;
	prd[1].bytes = (u16)(bytes - first);
	prd[1].flags = 0x8000;
	outb(c->bus_master, 0);
	outl(c->bus_master + 4, RT_BASE + (u32)prd);
	outb(c->bus_master + 2, 0x06);
	outb(c->bus_master, operation == DISK_WRITE ? 0 : 8);
}

static u8 dma_finish(const struct ata_channel *c, u8 operation)
{
	struct deadline d;
	u8 direction = operation == DISK_WRITE ? 0 : 8;
	outb(c->bus_master, direction | 1);
	deadline_set(&d, 30000);
	for (unsigned n = 0;; n++) {
		u8 status = inb(c->bus_master + 2);
		if (!(status & 1) || (status & 6))
			break;
		if (expired(&d)) {
			outb(c->bus_master, direction);
			return DISK_TIMEOUT;
		}
		if ((n & 63) == 63)
			let_irqs();
	}
	int status = await_ready(c, 30000);
	u8 bm = inb(c->bus_master + 2);
	outb(c->bus_master, direction);
	outb(c->bus_master + 2, 0x06);
	if (status < 0)
		return DISK_TIMEOUT;
	if (status & (ERR | DF))
		return error_code(c);
	return bm & 2 ? DISK_DMA : 0;
}

/* ---- disks ------------------------------------------------------------------------------- */

static u8 verify(const struct drive *v, const struct request *q, bool ext)
{
	const struct ata_channel *c = &ata_channels[v->channel];
	u8 e = v->flags & DRIVE_LBA
		   ? issue(v, ext ? 0x42 : 0x40, q->lba, q->lba_high, q->count, ext)
		   : issue_chs(v, 0x40, q->lba, q->count);
	if (e)
		return e;
	int status = await_ready(c, 30000);
	return status < 0 ? DISK_TIMEOUT : status & (ERR | DF) ? error_code(c) : 0;
}

u8 ata_transfer(const struct drive *v, const struct request *q)
{
	const struct ata_channel *c = &ata_channels[v->channel];
	bool write = q->operation == DISK_WRITE;
	bool ext = (v->flags & DRIVE_LBA48) && (q->lba_high || q->lba + q->count > 0x0fffffff);
	u8 e;
	if (q->operation == DISK_VERIFY)
		return verify(v, q, ext);
	if (!(v->flags & DRIVE_LBA)) {
		e = issue_chs(v, write ? 0x30 : 0x20, q->lba, q->count);
		return e ? e : move_pio(v, q->seg, q->off, q->count, q->operation);
	}
	if (dma_possible(v, q->off)) {
		dma_prepare(c, q->seg * 16u + q->off, q->count * 512u, q->operation);
		e = issue(v, write ? (ext ? 0x35 : 0xca) : (ext ? 0x25 : 0xc8), q->lba, q->lba_high,
			  q->count, ext);
		return e ? e : dma_finish(c, q->operation);
	}
	e = issue(v, write ? (ext ? 0x34 : 0x30) : (ext ? 0x24 : 0x20), q->lba, q->lba_high,
		  q->count, ext);
	return e ? e : move_pio(v, q->seg, q->off, q->count, q->operation);
}

void ata_reset(const struct drive *v)
{
	const struct ata_channel *c = &ata_channels[v->channel];
	outb(c->control, 0x0e);
	delay_us(10);
	outb(c->control, 0x0a);
	delay_us(2000);
	await_ready(c, 10000);
}

/* ---- ATAPI ------------------------------------------------------------------------------- */

static u8 packet_start(const struct drive *v, const u8 *cdb, u16 limit, bool dma)
{
	const struct ata_channel *c = &ata_channels[v->channel];
	u8 e = select_drive(v, 0);
	if (e)
		return e;
	outb(c->command + ERROR, dma); /* features: DMA */
	outb(c->command + LBA1, (u8)limit);
	outb(c->command + LBA2, (u8)(limit >> 8));
	outb(c->command + COMMAND, 0xa0);
	settle(c);
	e = await_data(c);
	if (!e)
		words_out(c->command, RT_SEG, (u16)(u32)cdb, 6);
	return e;
}

/* Takes what the drive gives until it is done; bytes past @bytes are thrown away. */
static u8 packet_data(const struct drive *v, u16 seg, u16 off, u32 bytes)
{
	const struct ata_channel *c = &ata_channels[v->channel];
	for (;;) {
		settle(c);
		int status = await_ready(c, 30000);
		if (status < 0)
			return DISK_TIMEOUT;
		if (status & ERR)
			return DISK_CONTROLLER;
		if (!(status & DRQ))
			return 0;
		u32 n = inb(c->command + LBA1) | (u32)inb(c->command + LBA2) << 8,
		    use = MIN(n, bytes);
		words_in(c->command, seg, off, use / 2);
		for (u32 i = use / 2; i < (n + 1) / 2; i++)
			inw(c->command);
		bytes -= use;
		u32 linear = seg * 16u + off + use;
		seg = (u16)(linear >> 4);
		off = linear & 15;
	}
}

u8 atapi_command(const struct drive *v, const u8 *cdb, void *data, u32 bytes)
{
	u8 e = packet_start(v, cdb, (u16)MIN(bytes, 0xfffeu), false);
	return e ? e : packet_data(v, RT_SEG, (u16)(u32)data, bytes);
}

u8 atapi_sense(const struct drive *v)
{
	u8 cdb[12] = {0x03, 0, 0, 0, 18}, sense[18] = {0};
	if (atapi_command(v, cdb, sense, 18))
		return 0xff;
	return sense[2] & 15;
}

static u8 packet_dma(const struct drive *v, const u8 *cdb, u32 linear, u32 bytes)
{
	const struct ata_channel *c = &ata_channels[v->channel];
	dma_prepare(c, linear, bytes, DISK_READ);
	u8 e = packet_start(v, cdb, 0, true);
	return e ? e : dma_finish(c, DISK_READ);
}

/* Sectors of 2048 bytes; @q->count is at most 31. */
u8 atapi_read(const struct drive *v, const struct request *q)
{
	u8 cdb[12] = {0x28,       0, (u8)(q->lba >> 24),  (u8)(q->lba >> 16), (u8)(q->lba >> 8),
		      (u8)q->lba, 0, (u8)(q->count >> 8), (u8)q->count};
	u8 e = 0;
	for (unsigned try = 0; try < 4; try++) {
		if (dma_possible(v, q->off))
			e = packet_dma(v, cdb, q->seg * 16u + q->off, q->count * 2048u);
		else if (!(e = packet_start(v, cdb, 2048, false)))
			e = packet_data(v, q->seg, q->off, q->count * 2048u);
		if (!e || e == DISK_TIMEOUT)
			return e;
		u8 key = atapi_sense(v);
		if (key == 2)
			return DISK_NO_MEDIA;
		if (key != 6) /* unit attention: once more */
			break;
	}
	return e;
}

/* ---- finding drives ---------------------------------------------------------------------- */

static void copy_model(char *to, const u16 *identify)
{
	unsigned n = 40;
	for (unsigned i = 0; i < 20; i++) {
		to[2 * i] = (char)(identify[27 + i] >> 8);
		to[2 * i + 1] = (char)identify[27 + i];
	}
	while (n && (to[n - 1] == ' ' || !to[n - 1]))
		n--;
	to[n] = 0;
}

static void learn_disk(struct drive *v, const u16 *id)
{
	v->kind = DRIVE_ATA;
	v->sector_bytes = 512;
	v->pcylinders = id[1];
	v->pheads = id[3] ? id[3] : 16;
	v->pspt = id[6] ? id[6] : 63;
	if (id[49] & 0x200)
		v->flags |= DRIVE_LBA;
	if (id[49] & 0x100)
		v->flags |= DRIVE_DMA;
	v->sectors = v->flags & DRIVE_LBA ? id[60] | (u32)id[61] << 16
					  : (u32)v->pcylinders * v->pheads * v->pspt;
	if ((id[83] & 0x400) && (id[83] & 0xc000) == 0x4000) {
		v->flags |= DRIVE_LBA48;
		v->sectors = id[100] | (u32)id[101] << 16;
		v->sectors_high = id[102] | (u32)id[103] << 16;
	}
}

static u16 identify_data[256];

/* IDENTIFY (PACKET) DEVICE of drive @v; false: nothing answers. */
static bool identify(struct drive *v)
{
	const struct ata_channel *c = &ata_channels[v->channel];
	outb(c->command + DEVICE, (u8)(0xa0 | v->slave << 4));
	settle(c);
	u8 status = inb(c->command + STATUS);
	if (status == 0xff)
		return false;
	if (await_ready(c, 1000) < 0)
		return false;
	outb(c->control, 0x0a);
	outb(c->command + COUNT, 0x55);
	outb(c->command + LBA0, 0xaa);
	if (inb(c->command + COUNT) != 0x55 || inb(c->command + LBA0) != 0xaa)
		return false;
	bool packet = false;
	outb(c->command + COMMAND, 0xec);
	settle(c);
	int s = await_ready(c, 5000);
	if (s <= 0)
		return false;
	if (s & ERR) {
		packet = inb(c->command + LBA1) == 0x14 && inb(c->command + LBA2) == 0xeb;
		if (!packet)
			return false;
		outb(c->command + COMMAND, 0xa1);
		settle(c);
	}
	if (await_data(c))
		return false;
	words_in(c->command, RT_SEG, (u16)(u32)identify_data, 256);
	copy_model(v->model, identify_data);
	if (packet) {
		v->kind = DRIVE_ATAPI;
		v->sector_bytes = 2048;
		if (identify_data[49] & 0x100)
			v->flags |= DRIVE_DMA;
		return (identify_data[0] >> 8 & 0x1f) == 5; /* a CD or DVD drive */
	}
	learn_disk(v, identify_data);
	return v->sectors || v->sectors_high;
}

/* Geometry as INT 13h shows it: the drive's own if it fits 1024 cylinders, else LBA assist (63
 * sectors and the fewest heads of 16, 32, 64, 128, 255). */
void choose_geometry(struct drive *v)
{
	u32 sectors = v->sectors_high ? 0xffffffffu : v->sectors;
	if (v->pcylinders && v->pcylinders <= 1024 && v->pheads <= 255 && v->pspt <= 63 &&
	    (u32)v->pcylinders * v->pheads * v->pspt >= sectors / 2) {
		v->cylinders = v->pcylinders;
		v->heads = v->pheads;
		v->spt = v->pspt;
		return;
	}
	v->spt = 63;
	v->heads = 16;
	while (v->heads < 128 && sectors / 63 / v->heads > 1024)
		v->heads *= 2;
	if (v->heads == 128 && sectors / 63 / 128 > 1024)
		v->heads = 255;
	v->cylinders = (u16)MIN(sectors / 63 / v->heads, 1024u);
}

void detect_ata(void *unused)
{
	unsigned n = 0;
	while (n < MAX_DRIVES && drives[n].kind)
		n++;
	for (u8 channel = 0; channel < MAX_CHANNELS; channel++) {
		struct ata_channel *c = &ata_channels[channel];
		if (!c->command || inb(c->command + STATUS) == 0xff)
			continue;
		c->present = 1;
		for (u8 slave = 0; slave < 2 && n < MAX_DRIVES; slave++) {
			struct drive v = {.channel = channel, .slave = slave};
			if (!identify(&v))
				continue;
			if (v.kind == DRIVE_ATA)
				choose_geometry(&v);
			drives[n] = v;
			if (v.kind == DRIVE_ATA && disk_count < 8)
				disk_map[disk_count++] = (u8)n;
			else if (v.kind == DRIVE_ATAPI && cd_count < 4)
				cd_map[cd_count++] = (u8)n;
			n++;
		}
		outb(c->command + DEVICE, 0xa0);
		settle(c);
	}
}

/* IRQ 14 and 15: whoever waits on them looks at 40:8Eh. */
void irq_disk(struct regs *r)
{
	set8(0x8e, 0xff);
	inb(ata_channels[0].command + STATUS);
	eoi_slave();
}
