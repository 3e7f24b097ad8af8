/*
 * INT 13h for disks, CDs and El Torito images: CHS services, EDD 3.0 (41h-48h, 4Eh), El Torito
 * (4Ah-4Ch). Floppies are in floppy.c. The drive parameter extension of EDD tells neither bus nor
 * device path.
 */
#include "bios/rt/disk.h"

static u8 last_status(u8 dl)
{
	return bda8(dl < 0x80 ? 0x41 : 0x74);
}

static void finish(struct regs *r, u8 status)
{
	set8(0x74, status);
	r->ah = status;
	if (status)
		fail(r);
	else
		ok(r);
}

static struct drive *find(u8 dl)
{
	if (dl >= 0xe0)
		return dl - 0xe0 < cd_count ? &drives[cd_map[dl - 0xe0]] : NULL;
	u8 i = dl - 0x80 - (emulation.active && emulation.media == 4 ? 1 : 0);
	return dl >= 0x80 && i < disk_count ? &drives[disk_map[i]] : NULL;
}

/* ---- transfers --------------------------------------------------------------------------- */

/* Splits what does not fit into one command, and normalises the buffer. @*done counts sectors. */
static u8 transfer(struct drive *v, struct request *q, u16 *done)
{
	u16 left = q->count, most = v->kind == DRIVE_ATAPI ? 16 : 127;
	u32 linear = q->seg * 16u + q->off;
	*done = 0;
	while (left) {
		u16 n = MIN(left, most);
		q->count = n;
		q->seg = (u16)(linear >> 4);
		q->off = linear & 15;
		u8 e = v->kind == DRIVE_ATA      ? ata_transfer(v, q)
		       : v->kind == DRIVE_VIRTIO ? virtio_transfer(v, q)
						 : atapi_read(v, q);
		if (e)
			return e;
		*done += n;
		left -= n;
		linear += (u32)n * v->sector_bytes;
		u32 lba = q->lba + n;
		q->lba_high += lba < q->lba;
		q->lba = lba;
	}
	return 0;
}

static void chs_transfer(struct regs *r, struct drive *v, u8 operation)
{
	u16 cylinder = (u16)(r->ch | (r->cl & 0xc0) << 2), done, count = r->al;
	u8 sector = r->cl & 63;
	if (!count || count > 128 || !sector || sector > v->spt || r->dh >= v->heads ||
	    cylinder > v->cylinders) {
		r->al = 0;
		finish(r, DISK_BAD_COMMAND);
		return;
	}
	struct request q = {.lba = ((u32)cylinder * v->heads + r->dh) * v->spt + sector - 1,
			    .count = count,
			    .seg = r->es,
			    .off = r->bx,
			    .operation = operation};
	if (!v->sectors_high && q.lba + count > v->sectors) {
		r->al = 0;
		finish(r, DISK_NOT_FOUND);
		return;
	}
	u8 e = transfer(v, &q, &done);
	r->al = (u8)done;
	finish(r, e);
}

static bool beyond(const struct drive *v, const struct request *q)
{
	if (v->kind == DRIVE_ATAPI)
		return false;
	u64 end = ((u64)q->lba_high << 32 | q->lba) + q->count;
	return end > ((u64)v->sectors_high << 32 | v->sectors);
}

/* DS:SI: size, 0, count, far buffer, 64-bit block number. */
static void packet_transfer(struct regs *r, struct drive *v, u8 operation)
{
	u16 p = r->si, done = 0;
	u8 size = peek8(r->ds, p);
	struct request q = {.count = peek16(r->ds, p + 2u),
			    .off = peek16(r->ds, p + 4u),
			    .seg = peek16(r->ds, p + 6u),
			    .lba = peek32(r->ds, p + 8u),
			    .lba_high = peek32(r->ds, p + 12u),
			    .operation = operation};
	if (size < 16 || (q.seg == 0xffff && q.off == 0xffff)) {
		finish(r, DISK_BAD_COMMAND);
		return;
	}
	if (v->kind == DRIVE_ATAPI && operation == DISK_WRITE) {
		finish(r, DISK_PROTECTED);
		return;
	}
	if (beyond(v, &q)) {
		poke16(r->ds, p + 2u, 0);
		finish(r, DISK_NOT_FOUND);
		return;
	}
	u8 e = 0;
	if (v->kind != DRIVE_ATA && operation == DISK_VERIFY)
		done = q.count;
	else
		e = transfer(v, &q, &done);
	poke16(r->ds, p + 2u, done);
	finish(r, e);
}

/* ---- El Torito --------------------------------------------------------------------------- */

static u8 bounce[2048];

/* Reads sectors of 512 bytes of the image, which lie in CD sectors of 2048. */
static u8 read_image(u32 sector, u16 count, u16 seg, u16 off)
{
	struct drive *v = find(emulation.cd);
	u32 linear = seg * 16u + off;
	while (count) {
		struct request q = {.lba = emulation.lba + sector / 4,
				    .count = 1,
				    .seg = RT_SEG,
				    .off = (u16)(u32)bounce};
		u16 first = sector & 3, n = MIN((u16)(4 - first), count), done;
		u8 e = v ? transfer(v, &q, &done) : DISK_TIMEOUT;
		if (e)
			return e;
		far_write((u16)(linear >> 4), linear & 15, bounce + first * 512u, n * 512u);
		linear += n * 512u;
		sector += n;
		count -= n;
	}
	return 0;
}

static void emulated_parameters(struct regs *r)
{
	u16 last = emulation.cylinders - 1;
	r->ch = (u8)last;
	r->cl = (u8)((last >> 2 & 0xc0) | emulation.spt);
	r->dh = (u8)(emulation.heads - 1);
	r->al = 0;
	r->bl = 0;
	if (emulation.drive < 0x80) {
		r->bl = (u8)(emulation.media * 2 > 4 ? 6 : emulation.media * 2);
		r->dl = (u8)(floppy_count + 1);
		r->es = peek16(0, 0x1e * 4 + 2);
		r->di = peek16(0, 0x1e * 4);
	} else {
		r->dl = (u8)(disk_count + 1);
	}
	finish(r, 0);
}

static void emulated(struct regs *r)
{
	u16 cylinder = (u16)(r->ch | (r->cl & 0xc0) << 2);
	u8 sector = r->cl & 63, e = 0;
	switch (r->ah) {
	case 0x00:
	case 0x09:
	case 0x0c:
	case 0x0d:
	case 0x10:
	case 0x11:
	case 0x14: finish(r, 0); break;
	case 0x01: finish(r, last_status(r->dl)); break;
	case 0x02:
	case 0x04:
		if (!sector || sector > emulation.spt || r->dh >= emulation.heads ||
		    cylinder >= emulation.cylinders) {
			r->al = 0;
			finish(r, DISK_NOT_FOUND);
			break;
		}
		if (r->ah == 2)
			e = read_image(((u32)cylinder * emulation.heads + r->dh) * emulation.spt +
					   sector - 1,
				       r->al, r->es, r->bx);
		if (e)
			r->al = 0;
		finish(r, e);
		break;
	case 0x03:
	case 0x05: finish(r, DISK_PROTECTED); break;
	case 0x08: emulated_parameters(r); break;
	case 0x15:
		r->ah = emulation.drive < 0x80 ? 1 : 3;
		if (r->ah == 3) {
			u32 n = (u32)emulation.cylinders * emulation.heads * emulation.spt;
			r->cx = (u16)(n >> 16);
			r->dx = (u16)n;
		}
		ok(r);
		break;
	default: finish(r, DISK_BAD_COMMAND); break;
	}
}

/* Specification packet of AX=4B00h and 4B01h (El Torito 1.0, figure 7). */
static void emulation_status(struct regs *r)
{
	if (!emulation.active) {
		finish(r, DISK_BAD_COMMAND);
		return;
	}
	u8 packet[19] = {19, emulation.media, emulation.drive, 0};
	memcpy(packet + 4, &emulation.lba, 4);
	const struct drive *v = find(emulation.cd);
	packet[8] = v ? v->slave : 0;
	packet[9] = 0;
	packet[12] = (u8)emulation.load_segment;
	packet[13] = (u8)(emulation.load_segment >> 8);
	packet[14] = (u8)emulation.load_sectors;
	packet[15] = (u8)(emulation.load_sectors >> 8);
	u16 last = emulation.cylinders ? emulation.cylinders - 1 : 0;
	packet[16] = (u8)last;
	packet[17] = (u8)((last >> 2 & 0xc0) | emulation.spt);
	packet[18] = (u8)(emulation.heads ? emulation.heads - 1 : 0);
	far_write(r->ds, r->si, packet, sizeof(packet));
	if (r->al == 0)
		emulation.active = 0;
	finish(r, 0);
}

/* ---- parameters -------------------------------------------------------------------------- */

static void parameters(struct regs *r, const struct drive *v)
{
	u16 last = v->cylinders - 1;
	r->ch = (u8)last;
	r->cl = (u8)((last >> 2 & 0xc0) | v->spt);
	r->dh = (u8)(v->heads - 1);
	r->dl = (u8)(disk_count + (emulation.active && emulation.media == 4));
	r->al = 0;
	finish(r, 0);
}

static void disk_type(struct regs *r, const struct drive *v)
{
	u32 n = (u32)v->cylinders * v->heads * v->spt;
	r->cx = (u16)(n >> 16);
	r->dx = (u16)n;
	r->ah = 3;
	set8(0x74, 0);
	ok(r);
}

/* AH=48h: result buffer of EDD 1.1 (26 bytes) or more. */
static void extended_parameters(struct regs *r, const struct drive *v)
{
	u16 size = peek16(r->ds, r->si);
	struct {
		u16 size, flags;
		u32 cylinders, heads, spt, sectors, sectors_high;
		u16 bytes;
		u32 edd;
	} __attribute__((packed)) out = {0};
	if (size < 26) {
		finish(r, DISK_BAD_COMMAND);
		return;
	}
	out.size = size >= 30 ? 30 : 26;
	out.bytes = v->sector_bytes;
	if (v->kind != DRIVE_ATAPI) {
		out.flags = 0x0002;
		out.cylinders = v->pcylinders;
		out.heads = v->pheads;
		out.spt = v->pspt;
		out.sectors = v->sectors;
		out.sectors_high = v->sectors_high;
		if (v->sectors_high || v->sectors > 0xfc0000) {
			out.cylinders = 0x3fff;
			out.heads = 16;
			out.spt = 63;
		}
	} else {
		out.flags = 0x0074; /* removable, change line, lockable; no geometry */
		out.sectors = out.sectors_high = 0xffffffff;
	}
	out.edd = 0xffffffff;
	far_write(r->ds, r->si, &out, out.size);
	finish(r, 0);
}

static void lock(struct regs *r, struct drive *v)
{
	u8 cdb[12] = {0x1e};
	if (v->kind != DRIVE_ATAPI) {
		finish(r, r->al > 2 ? DISK_BAD_COMMAND : DISK_NOT_REMOVABLE);
		return;
	}
	if (r->al == 0) {
		if (v->locks == 0xff) {
			r->al = 1;
			finish(r, DISK_LOCK_COUNT);
			return;
		}
		v->locks++;
	} else if (r->al == 1) {
		if (!v->locks) {
			r->al = 0;
			finish(r, DISK_NOT_LOCKED);
			return;
		}
		v->locks--;
	} else if (r->al > 2) {
		finish(r, DISK_BAD_COMMAND);
		return;
	}
	cdb[4] = !!v->locks;
	if (r->al != 2)
		atapi_command(v, cdb, NULL, 0);
	r->al = !!v->locks;
	finish(r, 0);
}

static void eject(struct regs *r, struct drive *v)
{
	u8 cdb[12] = {0x1b, 0, 0, 0, 2};
	if (v->kind != DRIVE_ATAPI)
		finish(r, DISK_NOT_REMOVABLE);
	else if (v->locks)
		finish(r, DISK_LOCKED);
	else
		finish(r, atapi_command(v, cdb, NULL, 0));
}

/* ---- dispatch ---------------------------------------------------------------------------- */

static void disk_service(struct regs *r, struct drive *v)
{
	switch (r->ah) {
	case 0x00:
	case 0x0d:
		if (v->kind == DRIVE_ATA)
			ata_reset(v);
		finish(r, 0);
		return;
	case 0x01: {
		u8 status = last_status(r->dl);
		finish(r, 0);
		r->ah = status;
		if (status)
			fail(r);
		return;
	}
	case 0x41:
		if (r->bx != 0x55aa) {
			finish(r, DISK_BAD_COMMAND);
			return;
		}
		r->bx = 0xaa55;
		r->ax = 0x3000;
		r->cx =
		    v->kind == DRIVE_ATAPI ? 3 : 1; /* fixed disk access; locking and ejecting */
		ok(r);
		return;
	case 0x42: packet_transfer(r, v, DISK_READ); return;
	case 0x43:
		if (r->al > 2)
			finish(r, DISK_BAD_COMMAND);
		else
			packet_transfer(r, v, DISK_WRITE);
		return;
	case 0x44: packet_transfer(r, v, DISK_VERIFY); return;
	case 0x45: lock(r, v); return;
	case 0x46: eject(r, v); return;
	case 0x47: finish(r, 0); return;
	case 0x48: extended_parameters(r, v); return;
	case 0x49: finish(r, 0); return;
	case 0x4e: finish(r, r->al <= 6 ? 0 : DISK_BAD_COMMAND); return;
	default: break;
	}
	if (v->kind == DRIVE_ATAPI) {
		finish(r, DISK_BAD_COMMAND);
		return;
	}
	switch (r->ah) {
	case 0x02: chs_transfer(r, v, DISK_READ); break;
	case 0x03: chs_transfer(r, v, DISK_WRITE); break;
	case 0x04: chs_transfer(r, v, DISK_VERIFY); break;
	case 0x08: parameters(r, v); break;
	case 0x09:
	case 0x0c:
	case 0x10:
	case 0x11:
	case 0x14: finish(r, 0); break;
	case 0x15: disk_type(r, v); break;
	default: finish(r, DISK_BAD_COMMAND); break;
	}
}

void int_13(struct regs *r)
{
	if (r->ah == 0x4b && r->al <= 1) {
		emulation_status(r);
		return;
	}
	if (emulation.active && emulation.media && r->dl == emulation.drive) {
		emulated(r);
		return;
	}
	if (r->dl < 0x80) {
		u8 shift = emulation.active && emulation.media && emulation.media < 4;
		floppy_service(r, r->dl - shift);
		return;
	}
	struct drive *v = find(r->dl);
	if (!v) {
		finish(r, DISK_BAD_COMMAND);
		if (r->ah == 0x08 || r->ah == 0x15)
			r->ah = r->ah == 0x15 ? 0 : DISK_BAD_COMMAND;
		return;
	}
	disk_service(r, v);
}

/* For the power-on code: sectors of a CD or disk into low memory. */
struct boot_read boot_read;

void boot_read_now(void *unused)
{
	struct drive *v = find(boot_read.drive);
	struct request q = {
	    .lba = boot_read.lba, .count = boot_read.count, .seg = boot_read.segment};
	u16 done;
	boot_read.status = v ? transfer(v, &q, &done) : DISK_TIMEOUT;
}

/* Is there a disc? Tries for a while, as drives take time to see one. */
void boot_media_now(void *unused)
{
	struct drive *v = find(boot_read.drive);
	u8 cdb[12] = {0};
	boot_read.status = DISK_NO_MEDIA;
	for (unsigned i = 0; v && i < 8; i++) {
		if (!atapi_command(v, cdb, NULL, 0)) {
			boot_read.status = 0;
			return;
		}
		u8 key = atapi_sense(v);
		if (key == 2) {
			boot_read.status = DISK_NO_MEDIA;
			return;
		}
		delay_us(2000);
	}
}
