/*
 * Parallel NOR flash with the Intel command set (CFI 0001h; Intel 28F640J3 data sheet, JEDEC
 * JESD68.01), 8 bits wide, blocks of 4 KiB: where UEFI firmware lives and keeps its variables.
 * Commands: read array, read identifier, CFI query, read and clear status, program byte, program
 * buffer, erase block; locking bits are taken and ignored. Reads of the array go to plain memory at
 * full speed; any other mode answers them here. Programming only clears bits, as flash does. What
 * was written reaches the image when the guest returns to reading, at another block, or at the end.
 * Not modelled: suspend, protection registers, timing.
 */
#include "devices/storage/pflash.h"

#include <errno.h>
#include <stdlib.h>

#define BLOCK      4096u
#define SIZE_LIMIT (64u << 20)
#define BUFFER     64u

#define SR_READY   0x80u
#define SR_ERASE   0x20u
#define SR_PROGRAM 0x10u
#define SR_LOCKED  0x02u

enum flash_mode {
	MODE_ARRAY,
	MODE_STATUS,
	MODE_ID,
	MODE_QUERY,
	MODE_PROGRAM,      /* the byte comes next */
	MODE_ERASE,        /* the confirmation comes next */
	MODE_LOCK,         /* a second byte without effect comes next */
	MODE_BUFFER_COUNT, /* the count, less one */
	MODE_BUFFER,       /* the bytes */
	MODE_BUFFER_CONFIRM,
};

struct pflash {
	struct device dev;
	struct block *block;
	u8 *data;
	u64 size;
	struct mem_region *array, *chip, *low;
	bool read_only;
	u8 pad0[3];
	u32 dirty; /* number of the block that differs from the image, plus one; 0: none */
	/* From here on: state */
	u32 mode;
	u32 left; /* bytes of the buffer still to come */
	u32 at;   /* of the command in work */
	u8 status;
	u8 buffer[BUFFER];
	bool touched[BUFFER];
	u8 pad1[3];
};

/* clang-format off */
#define PFLASH_FIELDS(V, S, H, P) \
	H(dev) H(block) H(data) H(size) H(array) H(chip) H(low) H(read_only) H(pad0) H(dirty) V(mode) V(left) V(at) V(status) \
	V(buffer) V(touched) H(pad1)
SNAPSHOT(pflash_snapshot, "pflash", 1, struct pflash, PFLASH_FIELDS);
/* clang-format on */

/* ---- the image
 * -------------------------------------------------------------------------------------- */

static void write_back(struct pflash *f)
{
	u64 at = f->dirty ? (u64)(f->dirty - 1) * BLOCK : 0;
	if (!f->dirty)
		return;
	f->dirty = 0;
	if (block_io(f->block, BLOCK_WRITE, at / BLOCK_SECTOR, BLOCK / BLOCK_SECTOR,
		     f->data + at)) {
		f->status |= SR_PROGRAM;
		log_line(f->dev.env->log, LOG_GUEST_ERRORS, "%s: the image cannot be written",
			 f->dev.id);
	}
}

static void touch(struct pflash *f, u32 at)
{
	u32 n = at / BLOCK + 1;
	if (f->dirty != n)
		write_back(f);
	f->dirty = n;
}

/* ---- modes
 * ------------------------------------------------------------------------------------------- */

static void set_mode(struct pflash *f, enum flash_mode mode)
{
	bool was = f->mode == MODE_ARRAY, is = mode == MODE_ARRAY;
	f->mode = mode;
	if (was == is || !f->array)
		return;
	if (is)
		write_back(f);
	bus_batch_begin(f->dev.env->bus);
	bus_enable_mem(f->dev.env->bus, f->chip, !is, true);
	bus_enable_mem(f->dev.env->bus, f->array, is, false);
	bus_batch_end(f->dev.env->bus);
}

/* The query table (JESD68.01, 3.2): command set, timing, geometry of one region of equal blocks. */
static u8 query_byte(const struct pflash *f, u32 at)
{
	static const u8 fixed[] = {'Q',  'R', 'Y', 1, 0, 0x31, 0, 0, 0, 0, 0, 0x45,
				   0x55, 0,   0,   7, 7, 10,   0, 4, 4, 4, 0};
	u32 blocks = (u32)(f->size / BLOCK) - 1;
	if (at >= 0x10 && at < 0x10 + sizeof(fixed))
		return fixed[at - 0x10];
	switch (at) {
	case 0x27: return (u8)(63 - __builtin_clzll(f->size));
	case 0x2a: return 6; /* 64 bytes of buffer */
	case 0x2c: return 1;
	case 0x2d: return (u8)blocks;
	case 0x2e: return (u8)(blocks >> 8);
	case 0x2f: return (u8)(BLOCK >> 8);
	case 0x30: return (u8)(BLOCK >> 16);
	case 0x31: return 'P';
	case 0x32: return 'R';
	case 0x33: return 'I';
	case 0x34:
	case 0x35: return '1';
	default: return 0;
	}
}

static u8 read_byte(const struct pflash *f, u32 at)
{
	switch ((enum flash_mode)f->mode) {
	case MODE_ARRAY: return f->data[at];
	case MODE_ID:
		return (at & 0xff) == 0   ? 0x89
		       : (at & 0xff) == 1 ? 0x17
					  : 0; /* Intel 28F640J3, unlocked */
	case MODE_QUERY: return query_byte(f, at & 0xff);
	default: return f->status;
	}
}

static u64 chip_read(void *ctx, u64 offset, unsigned size)
{
	const struct pflash *f = ctx;
	u64 v = 0;
	for (unsigned i = 0; i < size; i++)
		v |= (u64)read_byte(f, (u32)offset + i) << (i * 8);
	return v;
}

/* ---- programming and erasing
 * --------------------------------------------------------------------------- */

static bool writable(struct pflash *f, u8 error)
{
	if (f->read_only)
		f->status |= error | SR_LOCKED;
	return !f->read_only;
}

static void program(struct pflash *f, u32 at, u8 v)
{
	if (!writable(f, SR_PROGRAM) || !(f->data[at] & ~v))
		return;
	touch(f, at);
	f->data[at] &= v;
}

static void erase(struct pflash *f, u32 at)
{
	if (!writable(f, SR_ERASE))
		return;
	at &= ~(BLOCK - 1);
	touch(f, at);
	memset(f->data + at, 0xff, BLOCK);
}

static void start_buffer(struct pflash *f, u32 at, u8 count)
{
	f->left = count % BUFFER + 1u;
	f->at = at & ~(BUFFER - 1);
	memset(f->touched, 0, sizeof(f->touched));
	set_mode(f, MODE_BUFFER);
}

static void buffer_byte(struct pflash *f, u32 at, u8 v)
{
	f->buffer[at % BUFFER] = v;
	f->touched[at % BUFFER] = true;
	if (!--f->left)
		set_mode(f, MODE_BUFFER_CONFIRM);
}

static void program_buffer(struct pflash *f)
{
	for (u32 i = 0; i < BUFFER; i++)
		if (f->touched[i])
			program(f, f->at + i, f->buffer[i]);
}

static void command(struct pflash *f, u8 v)
{
	switch (v) {
	case 0x10:
	case 0x40: set_mode(f, MODE_PROGRAM); break;
	case 0x20: set_mode(f, MODE_ERASE); break;
	case 0x50:
		f->status = 0; /* ready too: OVMF tells flash from ROM by reading 00h here, as
				  virtual machines answer */
		set_mode(f, MODE_ARRAY);
		break;
	case 0x60: set_mode(f, MODE_LOCK); break;
	case 0x70: set_mode(f, MODE_STATUS); break;
	case 0x90: set_mode(f, MODE_ID); break;
	case 0x98: set_mode(f, MODE_QUERY); break;
	case 0xe8: set_mode(f, MODE_BUFFER_COUNT); break;
	default: set_mode(f, MODE_ARRAY); break; /* FFh, 00h, F0h and what is none */
	}
}

static void write_byte(struct pflash *f, u32 at, u8 v)
{
	switch ((enum flash_mode)f->mode) {
	case MODE_PROGRAM:
		f->status |= SR_READY;
		program(f, at, v);
		set_mode(f, MODE_STATUS);
		break;
	case MODE_ERASE:
		f->status |= SR_READY;
		if (v == 0xd0)
			erase(f, at);
		else
			f->status |= SR_ERASE | SR_PROGRAM; /* command sequence error */
		set_mode(f, MODE_STATUS);
		break;
	case MODE_LOCK: set_mode(f, MODE_STATUS); break;
	case MODE_BUFFER_COUNT:
		f->status |= SR_READY;
		start_buffer(f, at, v);
		break;
	case MODE_BUFFER: buffer_byte(f, at, v); break;
	case MODE_BUFFER_CONFIRM:
		f->status |= SR_READY;
		if (v == 0xd0)
			program_buffer(f);
		else
			f->status |= SR_PROGRAM;
		set_mode(f, MODE_STATUS);
		break;
	default: command(f, v); break;
	}
}

/* A chip of 8 bits sees a wide store as bytes when it carries data, as one command otherwise. */
static void chip_write(void *ctx, u64 offset, u64 value, unsigned size)
{
	struct pflash *f = ctx;
	unsigned n = f->mode == MODE_PROGRAM || f->mode == MODE_BUFFER ? size : 1;
	for (unsigned i = 0; i < n; i++) {
		u8 v = (u8)(value >> (i * 8));
		if (i && f->mode == MODE_STATUS)
			program(f, (u32)offset + i, v);
		else
			write_byte(f, (u32)offset + i, v);
	}
}

/* ---- life
 * -------------------------------------------------------------------------------------------------
 */

static const struct mmio_ops chip_ops = {chip_read, chip_write, 8};

static int map(struct pflash *f, u64 top, bool below_1m)
{
	struct bus *bus = f->dev.env->bus;
	u64 low = MIN(f->size, 0x20000u);
	int e = 0;
	struct mem_region rom = {.base = top - f->size,
				 .size = f->size,
				 .host = f->data,
				 .name = f->dev.id,
				 .kind = MEM_ROM,
				 .prio = MEM_PRIO_ROM,
				 .reads = true};
	struct mem_region chip = {.base = rom.base,
				  .size = f->size,
				  .ops = &chip_ops,
				  .ctx = f,
				  .name = f->dev.id,
				  .kind = MEM_MMIO,
				  .prio = MEM_PRIO_ROM,
				  .writes = true};
	f->array = bus_add_mem(bus, &rom, &e);
	if (!e)
		f->chip = bus_add_mem(bus, &chip, &e);
	rom.base = 0x100000 - low;
	rom.size = low;
	rom.host = f->data + (f->size - low);
	rom.writes = true; /* swallowed */
	if (!e && below_1m)
		f->low = bus_add_mem(bus, &rom, &e);
	return e;
}

int pflash_attach(struct device *d, const struct drive *drive, u64 top, bool below_1m, char *err,
		  size_t n)
{
	struct pflash *f = (struct pflash *)d;
	u64 bytes = drive->block ? block_sectors(drive->block) * BLOCK_SECTOR : 0;
	const char *path = drive->path ? drive->path : drive->id;
	if (!bytes || bytes % BLOCK || bytes > SIZE_LIMIT || bytes > top) {
		snprintf(
		    err, n,
		    "%s: a flash image has a multiple of 4 KiB up to 64 MiB, this has %llu bytes",
		    path, (unsigned long long)(drive->block ? block_bytes(drive->block) : 0));
		return -ENOEXEC;
	}
	f->data = malloc(bytes);
	if (!f->data) {
		snprintf(err, n, "%s: out of memory", path);
		return -ENOMEM;
	}
	f->block = drive->block;
	f->size = bytes;
	f->read_only = block_read_only(drive->block);
	if (block_io(f->block, BLOCK_READ, 0, (u32)(bytes / BLOCK_SECTOR), f->data)) {
		snprintf(err, n, "%s: cannot be read", path);
		return -EIO;
	}
	int e = map(f, top, below_1m);
	if (e)
		snprintf(err, n, "%s: there is no room for it under %llx", path,
			 (unsigned long long)top);
	return e;
}

u64 pflash_size(struct device *d)
{
	return ((struct pflash *)d)->size;
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct pflash *f = (struct pflash *)d;
	f->status = SR_READY;
	f->left = f->at = 0;
	set_mode(f, MODE_ARRAY);
}

static void loaded(struct device *d)
{
	struct pflash *f = (struct pflash *)d;
	u32 mode = f->mode;
	if (mode > MODE_BUFFER_CONFIRM || f->at % BUFFER || (mode == MODE_BUFFER && !f->left) ||
	    (f->size && f->at >= f->size)) {
		f->at = 0;
		mode = MODE_ARRAY;
	}
	if (f->array) { /* the regions stand as before loading */
		f->mode = f->array->reads ? MODE_ARRAY : MODE_STATUS;
		set_mode(f, mode);
	}
}

static void release(struct device *d)
{
	struct pflash *f = (struct pflash *)d;
	if (f->block)
		write_back(f);
	bus_remove_mem(d->env->bus, f->array);
	bus_remove_mem(d->env->bus, f->chip);
	bus_remove_mem(d->env->bus, f->low);
	free(f->data);
}

const struct device_type pflash_type = {
    .name = "pflash",
    .help = "flash chip with the Intel command set",
    .category = "storage",
    .size = sizeof(struct pflash),
    .snapshot = &pflash_snapshot,
    .reset = reset,
    .free = release,
    .loaded = loaded,
    .internal = true,
};
