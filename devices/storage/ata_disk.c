/*
 * An ATA disk: the commands of ATA/ATAPI-6 (T13/1410D) that systems use, and those of ATA-1 that
 * old ones do. CHS, 28- and 48-bit addresses, single and multiple sectors per interrupt, multiword
 * and Ultra DMA, power management without effect, the SMART commands of a healthy disk. Not
 * modelled: the security, host protected area and media status feature sets (refused with ABRT, as
 * a disk without them does), logs, self-tests, trimming.
 */
#include "devices/storage/ide_internal.h"

#define SECTORS_28 0x0fffffffu

/* ---- addresses --------------------------------------------------------------------------------
 */

static u64 chs_address(const struct ide_drive *d)
{
	u32 cylinder = d->lba[1] | (u32)d->lba[2] << 8, head = d->device & 15, sector = d->lba[0];
	if (!sector || sector > d->spt || head >= d->heads)
		return UINT64_MAX;
	return ((u64)cylinder * d->heads + head) * d->spt + sector - 1;
}

static u64 address(const struct ide_drive *d, bool ext)
{
	u64 low = d->lba[0] | (u64)d->lba[1] << 8 | (u64)d->lba[2] << 16;
	if (ext)
		return low | (u64)d->hob_lba[0] << 24 | (u64)d->hob_lba[1] << 32 |
		       (u64)d->hob_lba[2] << 40;
	return d->device & 0x40 ? low | (u64)(d->device & 15) << 24 : chs_address(d);
}

static u32 sector_count(const struct ide_drive *d, bool ext)
{
	u32 n = ext ? d->count | (u32)d->hob_count << 8 : d->count;
	return n ? n : ext ? 65536 : 256;
}

static void put_lba(struct ide_drive *d, u64 lba, bool ext)
{
	for (unsigned i = 0; i < 3; i++)
		d->lba[i] = (u8)(lba >> (i * 8));
	for (unsigned i = 0; ext && i < 3; i++)
		d->hob_lba[i] = (u8)(lba >> (24 + i * 8));
	if (!ext)
		d->device = (u8)((d->device & 0xf0) | (lba >> 24 & 15));
}

static bool is_ext(u8 command)
{
	switch (command) {
	case 0x24:
	case 0x25:
	case 0x27:
	case 0x29:
	case 0x34:
	case 0x35:
	case 0x39:
	case 0x3d:
	case 0x42:
	case 0xce:
	case 0xea: return true;
	default: return false;
	}
}

void ata_put_position(struct ide_channel *c, u64 lba)
{
	struct ide_drive *d = active_drive(c);
	if (is_ext(c->command) || (d->device & 0x40)) {
		put_lba(d, lba, is_ext(c->command));
		return;
	}
	u64 track = lba / d->spt;
	d->lba[0] = (u8)(lba % d->spt + 1);
	d->lba[1] = (u8)(track / d->heads);
	d->lba[2] = (u8)(track / d->heads >> 8);
	d->device = (u8)((d->device & 0xf0) | track % d->heads);
}

/* The sectors of the command lie on the disk; else the command ends with IDNF. */
static bool find(struct ide_channel *c, bool ext, u64 *lba, u32 *n)
{
	const struct ide_drive *d = active_drive(c);
	*lba = address(d, ext);
	*n = sector_count(d, ext);
	if (*lba < d->sectors && *n <= d->sectors - *lba)
		return true;
	ide_finish_later(c, ER_IDNF);
	return false;
}

/* ---- geometry -----------------------------------------------------------------------------------
 */

static struct ide_geometry plain_geometry(u64 sectors)
{
	u64 cylinders = sectors / (16 * 63);
	return (struct ide_geometry){(u32)MAX(MIN(cylinders, 16383), 1), 16, 63, false};
}

/* Where partition @e ends tells the heads and sectors its maker counted in. */
static bool partition_geometry(const u8 *e, u64 sectors, struct ide_geometry *g)
{
	u32 size, heads = e[5] + 1u, spt = e[6] & 63u;
	memcpy(&size, e + 12, 4);
	if (!size || !spt || heads < 2)
		return false;
	u64 cylinders = sectors / (heads * spt);
	if (!cylinders || cylinders > 16383)
		return false;
	*g = (struct ide_geometry){(u32)cylinders, heads, spt, false};
	return true;
}

struct ide_geometry ata_guess_geometry(struct block *b)
{
	u8 s[512];
	u64 sectors = block_sectors(b);
	struct ide_geometry g, plain = plain_geometry(sectors);
	if (!sectors || block_io(b, BLOCK_READ, 0, 1, s) || s[510] != 0x55 || s[511] != 0xaa)
		return plain;
	for (unsigned i = 0; i < 4; i++) {
		if (!partition_geometry(s + 446 + 16 * i, sectors, &g))
			continue;
		if (g.heads <= 16)
			return g;
		plain.translated = true; /* more heads than the registers hold: a BIOS translated */
		return plain;
	}
	return plain;
}

/* ---- IDENTIFY DEVICE
 * ------------------------------------------------------------------------------ */

void ata_put_word(u8 *words, unsigned i, u16 v)
{
	words[2 * i] = (u8)v;
	words[2 * i + 1] = (u8)(v >> 8);
}

void ata_identify_text(u8 *words, unsigned first, unsigned count, const char *text)
{
	for (unsigned i = 0; i < 2 * count; i++) {
		words[2 * first + (i ^ 1)] = *text ? (u8)*text : ' ';
		text += *text != 0;
	}
}

static void put_word32(u8 *words, unsigned i, u32 v)
{
	ata_put_word(words, i, (u16)v);
	ata_put_word(words, i + 1, (u16)(v >> 16));
}

static void identify_geometry(const struct ide_drive *d, u8 *w)
{
	const struct ide_geometry *g = &d->physical;
	u32 cylinders = (u32)MIN(d->sectors / (d->heads * d->spt), 65535u);
	ata_put_word(w, 1, (u16)g->cylinders);
	ata_put_word(w, 3, (u16)g->heads);
	ata_put_word(w, 4, (u16)(512 * g->sectors));
	ata_put_word(w, 5, 512);
	ata_put_word(w, 6, (u16)g->sectors);
	if (d->heads == g->heads && d->spt == g->sectors)
		cylinders = g->cylinders;
	ata_put_word(w, 54, (u16)cylinders);
	ata_put_word(w, 55, (u16)d->heads);
	ata_put_word(w, 56, (u16)d->spt);
	put_word32(w, 57, cylinders * d->heads * d->spt);
	put_word32(w, 60, (u32)MIN(d->sectors, SECTORS_28));
	put_word32(w, 100, (u32)d->sectors);
	put_word32(w, 102, (u32)(d->sectors >> 32));
}

/* Mode 20h+n: multiword DMA n, 40h+n: Ultra DMA n is selected. */
static void identify_modes(const struct ide_drive *d, u8 *w)
{
	u16 mwdma = 0x07, udma = 0x3f, bit = (u16)(0x100 << (d->mode & 7));
	if ((d->mode & 0xf8) == 0x20)
		mwdma |= bit;
	if ((d->mode & 0xf8) == 0x40)
		udma |= bit;
	ata_put_word(w, 63, mwdma);
	ata_put_word(w, 64, 0x03); /* PIO 3, 4 */
	for (unsigned i = 65; i < 69; i++)
		ata_put_word(w, i, 120); /* ns */
	ata_put_word(w, 88, udma);
	ata_put_word(w, 93, 0x6001 | (d->device & 0x10 ? 0x0200 : 0)); /* 80-conductor cable */
}

static void identify(struct ide_channel *c)
{
	const struct ide_drive *d = active_drive(c);
	u8 *w = c->io, sum = 0;
	memset(w, 0, 512);
	ata_put_word(w, 0, 0x0040); /* not removable */
	ata_identify_text(w, 10, 10, d->serial);
	ata_put_word(w, 20, 3);
	ata_put_word(w, 21, 512);
	ata_put_word(w, 22, 4);
	ata_identify_text(w, 23, 4, "1.0");
	ata_identify_text(w, 27, 20, "ORRERY HARDDISK");
	ata_put_word(w, 47, 0x8000 | IDE_MULTIPLE);
	ata_put_word(w, 48, 1);      /* 32-bit PIO */
	ata_put_word(w, 49, 0x0f00); /* IORDY, LBA, DMA */
	ata_put_word(w, 50, 0x4000);
	ata_put_word(w, 51, 0x0200);
	ata_put_word(w, 52, 0x0200);
	ata_put_word(w, 53, 0x0007); /* words 54-58, 64-70, 88 are valid */
	ata_put_word(w, 59, d->multiple ? 0x0100 | d->multiple : 0);
	identify_geometry(d, w);
	identify_modes(d, w);
	ata_put_word(w, 80, 0x007e); /* ATA-1 to ATA/ATAPI-6 */
	ata_put_word(w, 82, 0x4069); /* NOP, look-ahead, write cache, power management, SMART */
	ata_put_word(w, 83, 0x7400); /* FLUSH CACHE (EXT), 48-bit addresses */
	ata_put_word(w, 84, 0x4040); /* forced unit access */
	ata_put_word(w, 85,
		     (u16)(0x4008 | (d->read_ahead ? 0x40 : 0) | (d->write_cache ? 0x20 : 0) |
			   (d->smart ? 1 : 0)));
	ata_put_word(w, 86, 0x3400);
	ata_put_word(w, 87, 0x4040);
	w[510] = 0xa5;
	for (unsigned i = 0; i < 511; i++)
		sum = (u8)(sum + w[i]);
	w[511] = (u8)-sum;
	c->slice = 512;
	ide_start_reply(c, 512);
}

/* ---- reading and writing
 * ----------------------------------------------------------------------------- */

static void transfer(struct ide_channel *c, bool write, bool dma, u32 sectors_per_slice)
{
	const struct ide_drive *d = active_drive(c);
	u64 lba;
	u32 n;
	if (!sectors_per_slice || (write && d->read_only)) {
		ide_finish_later(c, ER_ABRT);
		return;
	}
	if (!find(c, is_ext(c->command), &lba, &n))
		return;
	c->write = write;
	c->dma = dma;
	c->block_bytes = 512;
	c->block_sectors = 1;
	c->slice = sectors_per_slice * 512;
	ide_start_medium(c, lba, n);
}

/* READ VERIFY and SEEK: the sectors are there. */
static void verify(struct ide_channel *c)
{
	u64 lba;
	u32 n;
	if ((c->command & 0xf0) == 0x70)
		ide_finish_later(
		    c, address(active_drive(c), false) < active_drive(c)->sectors ? 0 : ER_IDNF);
	else if (find(c, is_ext(c->command), &lba, &n))
		ide_finish_later(c, 0);
}

/* ---- settings
 * ------------------------------------------------------------------------------------------ */

static void set_multiple(struct ide_channel *c)
{
	struct ide_drive *d = active_drive(c);
	u8 n = d->count;
	bool ok = n <= IDE_MULTIPLE && !(n & (n - 1));
	if (ok)
		d->multiple = n;
	ide_finish_later(c, ok ? 0 : ER_ABRT);
}

static void initialize_parameters(struct ide_channel *c)
{
	struct ide_drive *d = active_drive(c);
	if (d->count) {
		d->heads = (d->device & 15) + 1u;
		d->spt = d->count;
	}
	ide_finish_later(c, d->count ? 0 : ER_ABRT);
}

u8 ata_set_features(struct ide_drive *d)
{
	switch (d->feature) {
	case 0x02: d->write_cache = true; return 0;
	case 0x82: d->write_cache = false; return 0;
	case 0x55: d->read_ahead = false; return 0;
	case 0xaa: d->read_ahead = true; return 0;
	case 0x66:
	case 0xcc: return 0; /* settings over a software reset */
	case 0x03:
		if (d->count >> 3 == 0 || d->count >> 3 == 1 || d->count >> 3 == 4 ||
		    d->count >> 3 == 8) {
			if (d->count >> 3 >= 4)
				d->mode = d->count;
			return 0;
		}
		return ER_ABRT;
	default: return ER_ABRT;
	}
}

static void native_max(struct ide_channel *c)
{
	struct ide_drive *d = active_drive(c);
	u64 last = d->sectors - 1;
	put_lba(d, c->command == 0x27 ? last : MIN(last, SECTORS_28 - 1), c->command == 0x27);
	ide_finish_later(c, 0);
}

static void power(struct ide_channel *c)
{
	struct ide_drive *d = active_drive(c);
	if ((c->command & 0x0f) == 0x05 || c->command == 0x98)
		d->count = d->standby ? 0x00 : 0xff;
	else
		d->standby = c->command == 0xe0 || c->command == 0xe2 || c->command == 0xe6 ||
			     c->command == 0x94 || c->command == 0x96 || c->command == 0x99;
	ide_finish_later(c, 0);
}

/* ---- SMART: a disk without complaints
 * ---------------------------------------------------------------------- */

static void smart_attribute(u8 *p, u8 id, u8 value, u64 raw)
{
	p[0] = id;
	p[1] = 0x03; /* pre-failure, updated online */
	p[3] = p[4] = value;
	memcpy(p + 5, &raw, 6);
}

static void smart_data(struct ide_channel *c, bool thresholds)
{
	static const u8 ids[] = {1, 5, 9, 12, 194};
	static const u8 raw[] = {0, 0, 1, 1, 31}; /* hours, power cycles, degrees Celsius */
	u8 *p = c->io, sum = 0;
	memset(p, 0, 512);
	p[0] = 1;
	for (unsigned i = 0; i < sizeof(ids); i++) {
		if (thresholds)
			p[2 + 12 * i] = ids[i];
		else
			smart_attribute(p + 2 + 12 * i, ids[i], 100, raw[i]);
	}
	for (unsigned i = 0; i < 511; i++)
		sum = (u8)(sum + p[i]);
	p[511] = (u8)-sum;
	c->slice = 512;
	ide_start_reply(c, 512);
}

static void smart(struct ide_channel *c)
{
	struct ide_drive *d = active_drive(c);
	u8 what = d->lba[1] == 0x4f && d->lba[2] == 0xc2 ? d->feature : 0;
	if (what != 0xd8 && !d->smart)
		what = 0;
	switch (what) {
	case 0xd0: smart_data(c, false); return;
	case 0xd1: smart_data(c, true); return;
	case 0xd8: d->smart = true; break;
	case 0xd9: d->smart = false; break;
	case 0xd2:
	case 0xda: break; /* autosave; status: the signature left in place says "good" */
	default: ide_finish_later(c, ER_ABRT); return;
	}
	ide_finish_later(c, 0);
}

/* ---- the commands
 * ---------------------------------------------------------------------------------------------- */

void ata_command(struct ide_channel *c)
{
	struct ide_drive *d = active_drive(c);
	if (c->command != 0xe5 && c->command != 0x98)
		d->standby = false;
	switch (c->command) {
	case 0x20:
	case 0x21:
	case 0x24: transfer(c, false, false, 1); break;
	case 0x30:
	case 0x31:
	case 0x34:
	case 0x3c: transfer(c, true, false, 1); break;
	case 0xc4:
	case 0x29: transfer(c, false, false, d->multiple); break;
	case 0xc5:
	case 0x39:
	case 0xce: transfer(c, true, false, d->multiple); break;
	case 0xc8:
	case 0xc9:
	case 0x25: transfer(c, false, true, 1); break;
	case 0xca:
	case 0xcb:
	case 0x35:
	case 0x3d: transfer(c, true, true, 1); break;
	case 0x40:
	case 0x41:
	case 0x42: verify(c); break;
	case 0x91: initialize_parameters(c); break;
	case 0x27:
	case 0xf8: native_max(c); break;
	case 0xb0: smart(c); break;
	case 0xc6: set_multiple(c); break;
	case 0xe7:
	case 0xea: ide_start_flush(c); break;
	case 0xec: identify(c); break;
	case 0xef: ide_finish_later(c, ata_set_features(d)); break;
	case 0x94:
	case 0x95:
	case 0x96:
	case 0x97:
	case 0x98:
	case 0x99:
	case 0xe0:
	case 0xe1:
	case 0xe2:
	case 0xe3:
	case 0xe5:
	case 0xe6: power(c); break;
	default:
		if ((c->command & 0xf0) == 0x10) /* RECALIBRATE */
			ide_finish_later(c, 0);
		else if ((c->command & 0xf0) == 0x70)
			verify(c);
		else
			ide_finish_later(c, ER_ABRT);
		break;
	}
}
