/*
 * An ATAPI CD/DVD-ROM drive with one data track: the packet commands of MMC-3 (T10/1363D) and
 * SFF-8020i that systems and firmware use. Images are 2048-byte sectors; READ CD makes raw sectors
 * of them (without the error correction code, which nobody checks on this side of the drive). The
 * medium can be taken out and changed; the guest hears of it by unit attentions and events. Not
 * modelled: audio tracks and playing, several sessions, writing, encryption of DVDs.
 */
#include "devices/storage/ide_internal.h"

#define KEY_NOT_READY 2
#define KEY_MEDIUM    3
#define KEY_ILLEGAL   5
#define KEY_ATTENTION 6

#define ASC_READ_ERROR  0x11
#define ASC_OPCODE      0x20
#define ASC_RANGE       0x21
#define ASC_FIELD       0x24
#define ASC_CHANGED     0x28
#define ASC_SAVED_PAGES 0x39
#define ASC_NO_MEDIUM   0x3a
#define ASC_REMOVAL     0x53
#define ASC_WRONG_TRACK 0x64

#define CD_BLOCKS_MAX 405000u /* 90 minutes: what is longer is a DVD */

static u32 be16(const u8 *p)
{
	return (u32)p[0] << 8 | p[1];
}

static u32 be32(const u8 *p)
{
	return be16(p) << 16 | be16(p + 2);
}

static void put16(u8 *p, u32 v)
{
	p[0] = (u8)(v >> 8);
	p[1] = (u8)v;
}

static void put32(u8 *p, u32 v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

/* Minutes, seconds, frames of 1/75 s; address 0 stands at two seconds. */
static void put_msf(u8 *p, u32 lba)
{
	lba += 150;
	p[0] = (u8)(lba / (75 * 60));
	p[1] = (u8)(lba / 75 % 60);
	p[2] = (u8)(lba % 75);
}

/* ---- how commands end
 * ------------------------------------------------------------------------------ */

static void fail(struct ide_channel *c, u8 key, u8 asc, u8 ascq)
{
	struct ide_drive *d = active_drive(c);
	d->sense_key = key;
	d->asc = asc;
	d->ascq = ascq;
	ide_fail(c, (u8)(key << 4 | (key == KEY_ILLEGAL ? ER_ABRT : 0)));
}

static void good(struct ide_channel *c)
{
	ide_finish(c);
}

/* Sends the first @n bytes of the reply in c->io, @room of which the guest asked for. */
static void send(struct ide_channel *c, u32 n, u32 room)
{
	if (MIN(n, room))
		ide_start_reply(c, MIN(n, room));
	else
		good(c);
}

void atapi_medium_error(struct ide_channel *c)
{
	if (active_drive(c)->block)
		fail(c, KEY_MEDIUM, ASC_READ_ERROR, 0);
	else
		fail(c, KEY_NOT_READY, ASC_NO_MEDIUM, 0);
}

void atapi_reset(struct ide_drive *d)
{
	if (d->kind != IDE_CD)
		return;
	d->locked = false;
	d->sense_key = d->asc = d->ascq = 0;
	d->attention = 0x29;
}

void atapi_medium_changed(struct ide_drive *d)
{
	d->open = false;
	d->locked = false;
	d->media_event = d->block ? 2 : 3;
	d->attention = ASC_CHANGED;
}

static bool has_medium(const struct ide_drive *d)
{
	return d->block && !d->open;
}

static u32 blocks(const struct ide_drive *d)
{
	return (u32)MIN(d->sectors / 4, 0xffffffffu);
}

static bool is_dvd(const struct ide_drive *d)
{
	return has_medium(d) && blocks(d) > CD_BLOCKS_MAX;
}

/* ---- about the drive
 * ----------------------------------------------------------------------------------- */

static void inquiry(struct ide_channel *c)
{
	u8 *p = c->io;
	if (c->cdb[1] & 1) { /* vital product data pages */
		fail(c, KEY_ILLEGAL, ASC_FIELD, 0);
		return;
	}
	memset(p, 0, 36);
	p[0] = 0x05; /* CD/DVD */
	p[1] = 0x80; /* removable */
	p[3] = 0x21; /* ATAPI, response format 1 */
	p[4] = 31;
	memcpy(p + 8, "ORRERY  DVD-ROM         1.0 ", 28);
	send(c, 36, c->cdb[4]);
}

static void request_sense(struct ide_channel *c)
{
	struct ide_drive *d = active_drive(c);
	u8 *p = c->io;
	if (!d->sense_key && d->attention) {
		d->sense_key = KEY_ATTENTION;
		d->asc = d->attention;
		d->attention = 0;
	}
	memset(p, 0, 18);
	p[0] = 0x70;
	p[2] = d->sense_key;
	p[7] = 10;
	p[12] = d->asc;
	p[13] = d->ascq;
	d->sense_key = d->asc = d->ascq = 0;
	send(c, 18, c->cdb[4]);
}

/* One feature descriptor of GET CONFIGURATION (MMC-3, 5.3): version, persistent and current bits,
 * body. */
static u32 feature(u8 *p, u32 number, bool current, u8 flags, const u8 *body, u8 n)
{
	put16(p, number);
	p[2] = flags | (current ? 1 : 0);
	p[3] = n;
	memcpy(p + 4, body, n);
	return 4u + n;
}

static u32 make_feature(const struct ide_drive *d, u32 number, u8 *p)
{
	bool cd = has_medium(d) && !is_dvd(d), dvd = is_dvd(d);
	const u8 profiles[] = {0x00, 0x10, dvd, 0, 0x00, 0x08, cd, 0};
	static const u8 core[] = {0, 0, 0, 2 /* ATAPI */, 1, 0, 0, 0};
	static const u8 removable[] = {0x29 /* tray, eject, lock */, 0, 0, 0};
	static const u8 random[] = {0, 0, 0x08, 0, 0, 1, 0, 0};
	static const u8 cd_read[] = {0, 0, 0, 0};
	static const u8 power[] = {0};
	switch (number) {
	case 0x0000: return feature(p, number, true, 0x02, profiles, 8);
	case 0x0001: return feature(p, number, true, 0x0a, core, 8);
	case 0x0003: return feature(p, number, true, 0x02, removable, 4);
	case 0x0010: return feature(p, number, has_medium(d), 0, random, 8);
	case 0x001e: return feature(p, number, cd, 0x08, cd_read, 4);
	case 0x001f: return feature(p, number, dvd, 0, power, 0);
	case 0x0100: return feature(p, number, true, 0x02, power, 0);
	default: return 0;
	}
}

static void get_configuration(struct ide_channel *c)
{
	static const u16 numbers[] = {0x0000, 0x0001, 0x0003, 0x0010, 0x001e, 0x001f, 0x0100};
	const struct ide_drive *d = active_drive(c);
	u32 first = be16(c->cdb + 2), n = 8;
	u8 *p = c->io, type = c->cdb[1] & 3;
	memset(p, 0, 8);
	for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (type == 2 ? numbers[i] != first : numbers[i] < first)
			continue;
		u32 k = make_feature(d, numbers[i], p + n);
		if (type != 1 || (p[n + 2] & 1))
			n += k;
	}
	put32(p, n - 4);
	put16(p + 6, !has_medium(d) ? 0 : is_dvd(d) ? 0x10 : 0x08);
	send(c, n, be16(c->cdb + 7));
}

static void get_event(struct ide_channel *c)
{
	struct ide_drive *d = active_drive(c);
	u8 *p = c->io;
	if (!(c->cdb[1] & 1)) { /* asynchronous notification */
		fail(c, KEY_ILLEGAL, ASC_FIELD, 0);
		return;
	}
	memset(p, 0, 8);
	p[3] = 0x10; /* media events are supported */
	if (!(c->cdb[4] & 0x10)) {
		put16(p, 2);
		p[2] = 0x80; /* none of the classes asked for */
		send(c, 4, be16(c->cdb + 7));
		return;
	}
	put16(p, 6);
	p[2] = 4;
	p[4] = d->media_event;
	p[5] = (u8)((d->block && !d->open ? 2 : 0) | (d->open ? 1 : 0));
	d->media_event = 0;
	send(c, 8, be16(c->cdb + 7));
}

/* ---- mode pages
 * -------------------------------------------------------------------------------------------- */

static u32 page_recovery(u8 *p, bool changeable)
{
	static const u8 page[] = {0x01, 6, 0, 5, 0, 0, 0, 0};
	memcpy(p, page, sizeof(page));
	if (changeable)
		memset(p + 2, 0, 6);
	return sizeof(page);
}

static u32 page_audio(u8 *p, bool changeable)
{
	static const u8 page[] = {0x0e, 14, 4, 0, 0, 0, 0, 75, 1, 0xff, 2, 0xff};
	memset(p, 0, 16);
	memcpy(p, page, changeable ? 2 : sizeof(page));
	return 16;
}

static u32 page_capabilities(const struct ide_drive *d, u8 *p, bool changeable)
{
	memset(p, 0, 22);
	p[0] = 0x2a;
	p[1] = 20;
	if (changeable)
		return 22;
	p[2] = 0x3b;                             /* reads CD-R, CD-RW, method 2, DVD-ROM, DVD-R */
	p[4] = 0x70;                             /* mode 2 form 1 and 2, multi-session */
	p[6] = (u8)(0x29 | (d->locked ? 2 : 0)); /* tray, eject, lock */
	put16(p + 8, 5645);                      /* kB/s: 32x */
	put16(p + 10, 2);
	put16(p + 12, 512); /* kB of buffer */
	put16(p + 14, 5645);
	return 22;
}

static void mode_sense(struct ide_channel *c)
{
	const struct ide_drive *d = active_drive(c);
	u8 *p = c->io, code = c->cdb[2] & 0x3f;
	bool changeable = c->cdb[2] >> 6 == 1;
	u32 n = 8;
	if (c->cdb[2] >> 6 == 3) {
		fail(c, KEY_ILLEGAL, ASC_SAVED_PAGES, 0);
		return;
	}
	memset(p, 0, 8);
	if (code == 0x01 || code == 0x3f)
		n += page_recovery(p + n, changeable);
	if (code == 0x0e || code == 0x3f)
		n += page_audio(p + n, changeable);
	if (code == 0x2a || code == 0x3f)
		n += page_capabilities(d, p + n, changeable);
	if (n == 8) {
		fail(c, KEY_ILLEGAL, ASC_FIELD, 0);
		return;
	}
	put16(p, n - 2);
	p[2] = d->open ? 0x71 : d->block ? 0x01 : 0x70; /* tray open, 120 mm data, no disc */
	send(c, n, be16(c->cdb + 7));
}

/* The list is taken and has no effect: no page has anything to change. */
static void mode_select(struct ide_channel *c)
{
	u32 n = be16(c->cdb + 7);
	if (!n) {
		good(c);
	} else if (n > IDE_BUFFER || c->dma) {
		fail(c, KEY_ILLEGAL, ASC_FIELD, 0);
	} else {
		c->out = OUT_PARAMETERS;
		ide_start_out(c, n);
	}
}

void atapi_parameters(struct ide_channel *c)
{
	ide_finish_later(c, 0);
}

/* ---- about the medium
 * ------------------------------------------------------------------------------------------ */

static void read_capacity(struct ide_channel *c)
{
	put32(c->io, blocks(active_drive(c)) - 1);
	put32(c->io + 4, CD_SECTOR);
	send(c, 8, 8);
}

static void put_address(u8 *p, u32 lba, bool msf)
{
	if (msf) {
		p[0] = 0;
		put_msf(p + 1, lba);
	} else {
		put32(p, lba);
	}
}

static u32 toc_tracks(const struct ide_drive *d, u8 *p, u8 first, bool msf)
{
	u32 n = 4;
	p[2] = p[3] = 1;
	if (first <= 1) {
		p[n + 1] = 0x14; /* data track */
		p[n + 2] = 1;
		put_address(p + n + 4, 0, msf);
		n += 8;
	}
	p[n + 1] = 0x14;
	p[n + 2] = 0xaa; /* lead-out */
	put_address(p + n + 4, blocks(d), msf);
	return n + 8;
}

static u32 toc_sessions(u8 *p, bool msf)
{
	p[2] = p[3] = 1;
	p[5] = 0x14;
	p[6] = 1;
	put_address(p + 8, 0, msf);
	return 12;
}

static u32 toc_raw(const struct ide_drive *d, u8 *p)
{
	static const u8 points[] = {0xa0, 0xa1, 0xa2, 0x01};
	u32 n = 4;
	p[2] = p[3] = 1;
	for (unsigned i = 0; i < sizeof(points); i++, n += 11) {
		p[n] = 1; /* session */
		p[n + 1] = 0x14;
		p[n + 3] = points[i];
		if (points[i] == 0xa2)
			put_msf(p + n + 8, blocks(d));
		else if (points[i] == 0x01)
			put_msf(p + n + 8, 0);
		else
			p[n + 8] = 1; /* first, last track */
	}
	return n;
}

static void read_toc(struct ide_channel *c)
{
	const struct ide_drive *d = active_drive(c);
	u8 *p = c->io, format = c->cdb[2] & 15, first = c->cdb[6];
	bool msf = c->cdb[1] & 2;
	u32 n;
	if (!format)
		format = c->cdb[9] >> 6; /* where SFF-8020i has it */
	memset(p, 0, 64);
	if (format > 2 || (format == 0 && first > 1 && first != 0xaa)) {
		fail(c, KEY_ILLEGAL, ASC_FIELD, 0);
		return;
	}
	n = format == 0   ? toc_tracks(d, p, first, msf)
	    : format == 1 ? toc_sessions(p, msf)
			  : toc_raw(d, p);
	put16(p, n - 2);
	send(c, n, be16(c->cdb + 7));
}

static void read_disc_information(struct ide_channel *c)
{
	u8 *p = c->io;
	memset(p, 0, 34);
	put16(p, 32);
	p[2] = 0x0e; /* complete disc, complete session */
	p[3] = p[4] = p[5] = p[6] = 1;
	p[7] = 0x20;
	memset(p + 16, 0xff, 8);
	send(c, 34, be16(c->cdb + 7));
}

static void read_track_information(struct ide_channel *c)
{
	u8 *p = c->io;
	memset(p, 0, 36);
	put16(p, 34);
	p[2] = p[3] = 1;
	p[5] = 0x04;
	p[6] = 0x01;
	put32(p + 24, blocks(active_drive(c)));
	send(c, 36, be16(c->cdb + 7));
}

static void read_subchannel(struct ide_channel *c)
{
	u8 *p = c->io;
	u32 n = 4;
	memset(p, 0, 24);
	p[1] = 0x15;                                /* no audio status */
	if ((c->cdb[2] & 0x40) && c->cdb[3] == 1) { /* current position */
		put16(p + 2, 12);
		p[4] = 1;
		p[5] = 0x14;
		p[6] = p[7] = 1;
		put_address(p + 8, 0, c->cdb[1] & 2);
		put_address(p + 12, 0, c->cdb[1] & 2);
		n = 16;
	}
	send(c, n, be16(c->cdb + 7));
}

/* Physical format information of a single-layer DVD-ROM. */
static void read_dvd_structure(struct ide_channel *c)
{
	const struct ide_drive *d = active_drive(c);
	u8 *p = c->io;
	if (!is_dvd(d) || c->cdb[7] != 0) {
		fail(c, KEY_ILLEGAL, is_dvd(d) ? ASC_FIELD : 0x30, 0);
		return;
	}
	memset(p, 0, 2052);
	put16(p, 2050);
	p[4] = 0x01; /* DVD-ROM, part version 1 */
	p[5] = 0x0f; /* 120 mm */
	p[6] = 0x01; /* read-only layer */
	put32(p + 8, 0x30000);
	put32(p + 12, 0x30000 + blocks(d) - 1);
	send(c, 2052, be16(c->cdb + 8));
}

static void mechanism_status(struct ide_channel *c)
{
	memset(c->io, 0, 8);
	c->io[1] = active_drive(c)->open ? 0x10 : 0;
	send(c, 8, be16(c->cdb + 8));
}

static void start_stop(struct ide_channel *c)
{
	struct ide_drive *d = active_drive(c);
	bool load = c->cdb[4] & 2, start = c->cdb[4] & 1;
	if (load && !start && d->locked) {
		fail(c, has_medium(d) ? KEY_ILLEGAL : KEY_NOT_READY, ASC_REMOVAL, 2);
		return;
	}
	if (load && d->open == start) {
		d->open = !start;
		d->media_event = d->open ? 3 : d->block ? 2 : 0;
		if (!d->open && d->block)
			d->attention = ASC_CHANGED;
	}
	good(c);
}

/* ---- reading
 * ---------------------------------------------------------------------------------------------------------
 */

static void read_blocks(struct ide_channel *c, u32 lba, u32 n, u32 block_bytes)
{
	const struct ide_drive *d = active_drive(c);
	if (lba > blocks(d) || n > blocks(d) - lba) {
		fail(c, KEY_ILLEGAL, ASC_RANGE, 0);
		return;
	}
	if (!n) {
		good(c);
		return;
	}
	c->block_bytes = block_bytes;
	c->block_sectors = 4;
	if (c->slice >= block_bytes) /* whole sectors between interrupts */
		c->slice -= c->slice % block_bytes;
	ide_start_medium(c, (u64)lba * 4, n);
}

/* READ CD: which fields of a sector are wanted stands in byte 9. */
static void read_cd(struct ide_channel *c, u32 lba, u32 n)
{
	switch (c->cdb[9] & 0xf8) {
	case 0x00: good(c); break;
	case 0x10: read_blocks(c, lba, n, CD_SECTOR); break;
	case 0xf8: read_blocks(c, lba, n, CD_RAW); break;
	default: fail(c, KEY_ILLEGAL, ASC_FIELD, 0); break;
	}
}

static u32 msf_address(const u8 *p)
{
	u32 at = (p[0] * 60u + p[1]) * 75u + p[2];
	return at >= 150 ? at - 150 : 0xffffffffu;
}

static void read_cd_msf(struct ide_channel *c)
{
	u32 from = msf_address(c->cdb + 3), to = msf_address(c->cdb + 6);
	if (from == 0xffffffffu || to < from || to == 0xffffffffu)
		fail(c, KEY_ILLEGAL, ASC_FIELD, 0);
	else
		read_cd(c, from, to - from);
}

/* Mode 1 (ECMA-130, 14.1): synchronisation, header, data, and 288 bytes of codes, left zero. */
void atapi_make_raw(u8 *out, const u8 *in, u32 n, u32 lba)
{
	for (u32 i = 0; i < n; i++, out += CD_RAW, in += CD_SECTOR) {
		u8 msf[3];
		put_msf(msf, lba + i);
		memset(out, 0xff, 12);
		out[0] = out[11] = 0;
		for (unsigned k = 0; k < 3; k++)
			out[12 + k] = (u8)(msf[k] / 10 << 4 | msf[k] % 10);
		out[15] = 1;
		memcpy(out + 16, in, CD_SECTOR);
		memset(out + 16 + CD_SECTOR, 0, CD_RAW - 16 - CD_SECTOR);
	}
}

/* ---- the packet
 * ------------------------------------------------------------------------------------------------------------
 */

static bool needs_medium(u8 op)
{
	switch (op) {
	case 0x00:
	case 0x25:
	case 0x28:
	case 0x2b:
	case 0x42:
	case 0x43:
	case 0x45:
	case 0x47:
	case 0x48:
	case 0x51:
	case 0x52:
	case 0xa8:
	case 0xad:
	case 0xb9:
	case 0xbe: return true;
	default: return false;
	}
}

static bool ready(struct ide_channel *c, u8 op)
{
	struct ide_drive *d = active_drive(c);
	if (op == 0x03 || op == 0x12 || op == 0x46 || op == 0x4a)
		return true;
	if (d->attention) {
		u8 asc = d->attention;
		d->attention = 0;
		fail(c, KEY_ATTENTION, asc, 0);
		return false;
	}
	if (needs_medium(op) && !has_medium(d)) {
		fail(c, KEY_NOT_READY, ASC_NO_MEDIUM, d->open ? 2 : 1);
		return false;
	}
	return true;
}

void atapi_packet(struct ide_channel *c)
{
	struct ide_drive *d = active_drive(c);
	const u8 *p = c->cdb;
	if (!ready(c, p[0]))
		return;
	if (p[0] != 0x03)
		d->sense_key = d->asc = d->ascq = 0;
	switch (p[0]) {
	case 0x00: /* TEST UNIT READY */
	case 0x2b: /* SEEK */
	case 0x4e: /* STOP PLAY */
	case 0xbb: /* SET CD SPEED */ good(c); break;
	case 0x03: request_sense(c); break;
	case 0x12: inquiry(c); break;
	case 0x1b: start_stop(c); break;
	case 0x1e:
		d->locked = p[4] & 1;
		good(c);
		break;
	case 0x25: read_capacity(c); break;
	case 0x28: read_blocks(c, be32(p + 2), be16(p + 7), CD_SECTOR); break;
	case 0x42: read_subchannel(c); break;
	case 0x43: read_toc(c); break;
	case 0x45:
	case 0x47:
	case 0x48: /* PLAY AUDIO */ fail(c, KEY_ILLEGAL, ASC_WRONG_TRACK, 0); break;
	case 0x46: get_configuration(c); break;
	case 0x4a: get_event(c); break;
	case 0x51: read_disc_information(c); break;
	case 0x52: read_track_information(c); break;
	case 0x55: mode_select(c); break;
	case 0x5a: mode_sense(c); break;
	case 0xa8: read_blocks(c, be32(p + 2), be32(p + 6), CD_SECTOR); break;
	case 0xad: read_dvd_structure(c); break;
	case 0xb9: read_cd_msf(c); break;
	case 0xbd: mechanism_status(c); break;
	case 0xbe: read_cd(c, be32(p + 2), (u32)p[6] << 16 | be16(p + 7)); break;
	default: fail(c, KEY_ILLEGAL, ASC_OPCODE, 0); break;
	}
}

/* ---- ATA commands a packet device takes
 * ------------------------------------------------------------------------------- */

static void identify_packet(struct ide_channel *c)
{
	const struct ide_drive *d = active_drive(c);
	u8 *w = c->io;
	memset(w, 0, 512);
	ata_put_word(w, 0,
		     0x8580); /* ATAPI CD-ROM, removable, DRQ within 3 ms, packets of 12 bytes */
	ata_identify_text(w, 10, 10, d->serial);
	ata_identify_text(w, 23, 4, "1.0");
	ata_identify_text(w, 27, 20, "ORRERY DVD-ROM");
	ata_put_word(w, 49, 0x0f00); /* IORDY, LBA, DMA */
	ata_put_word(w, 50, 0x4000);
	ata_put_word(w, 53, 0x0007);
	ata_put_word(w, 63, (u16)(0x07 | ((d->mode & 0xf8) == 0x20 ? 0x100 << (d->mode & 7) : 0)));
	ata_put_word(w, 64, 0x03);
	for (unsigned i = 65; i < 69; i++)
		ata_put_word(w, i, 120);
	ata_put_word(w, 80, 0x007e);
	ata_put_word(w, 82, 0x4214); /* NOP, DEVICE RESET, PACKET, removable */
	ata_put_word(w, 83, 0x4000);
	ata_put_word(w, 84, 0x4000);
	ata_put_word(w, 85, 0x4214);
	ata_put_word(w, 87, 0x4000);
	ata_put_word(w, 88, (u16)(0x3f | ((d->mode & 0xf8) == 0x40 ? 0x100 << (d->mode & 7) : 0)));
	ata_put_word(w, 93, 0x6001);
	c->slice = 512;
	ide_start_reply(c, 512);
}

static void packet(struct ide_channel *c)
{
	const struct ide_drive *d = active_drive(c);
	u32 limit = d->lba[1] | (u32)d->lba[2] << 8;
	c->dma = d->feature & 1;
	c->slice = limit > 1 && limit < 0xffff ? limit & ~1u : 0xfffe;
	c->out = OUT_PACKET;
	c->from_io = false;
	ide_start_out(c, sizeof(c->cdb));
}

void atapi_command(struct ide_channel *c)
{
	struct ide_drive *d = active_drive(c);
	switch (c->command) {
	case 0x08: /* DEVICE RESET */
		atapi_reset(d);
		ide_signature(d);
		d->status = 0;
		d->error = 1;
		break;
	case 0xa0: packet(c); break;
	case 0xa1: identify_packet(c); break;
	case 0xef: ide_finish_later(c, ata_set_features(d)); break;
	case 0x94:
	case 0x95:
	case 0x96:
	case 0x97:
	case 0x99:
	case 0xe0:
	case 0xe1:
	case 0xe2:
	case 0xe3:
	case 0xe6: ide_finish_later(c, 0); break;
	case 0xe5:
	case 0x98:
		d->count = 0xff;
		ide_finish_later(c, 0);
		break;
	case 0x20:
	case 0x21:
	case 0xec: /* how software tells a packet device from a disk */
		ide_signature(d);
		ide_finish_later(c, ER_ABRT);
		break;
	default: ide_finish_later(c, ER_ABRT); break;
	}
}
