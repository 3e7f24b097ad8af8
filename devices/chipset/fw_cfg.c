/*
 * fw_cfg, as described in QEMU's docs/specs/fw_cfg: selector 510h, data 511h, DMA 514h-51Bh. What
 * firmware reads: machine facts by selector, named files from 20h on through the directory at 19h.
 * Items are host-side data set before the machine starts; their contents are not saved in
 * snapshots. Not modelled: guest writes to items (DMA writes end with an error).
 */
#include "devices/chipset/fw_cfg.h"

#include <errno.h>
#include <stdlib.h>

#define ITEM_SIGNATURE 0x00
#define ITEM_ID        0x01
#define ITEM_DIRECTORY 0x19
#define FILE_FIRST     0x20
#define MAX_FILES      64
#define SELECTORS      (FILE_FIRST + MAX_FILES)
#define SELECT_MASK    0x3fff /* bit 14 is the write channel, bit 15 the architecture's space */

#define DMA_ERROR     1u
#define DMA_READ      2u
#define DMA_SKIP      4u
#define DMA_SELECT    8u
#define DMA_WRITE     16u
#define DMA_SIGNATURE 0x51454d5520434647ull /* "QEMU CFG" */

struct item {
	u8 *data;
	u32 size;
	char name[56];
};

struct fw_cfg {
	struct device dev;
	struct item item[SELECTORS];
	void (*selecting)(void *ctx, const char *name); /* may be NULL */
	void *ctx;
	u32 files;
	u32 offset;
	u64 dma_address;
	u16 selector;
	u8 pad[6];
};

/* clang-format off */
#define FW_CFG_FIELDS(V, S, H, P) \
	H(dev) H(item) H(selecting) H(ctx) H(files) V(offset) V(dma_address) V(selector) H(pad)
/* clang-format on */
SNAPSHOT(fw_cfg_snapshot, "fw_cfg", 1, struct fw_cfg, FW_CFG_FIELDS);

static int set_item(struct item *it, const void *data, u32 n)
{
	u8 *copy = malloc(n ? n : 1);
	if (!copy)
		return -ENOMEM;
	if (n)
		memcpy(copy, data, n);
	free(it->data);
	it->data = copy;
	it->size = n;
	return 0;
}

int fw_cfg_set(struct device *d, u16 selector, const void *data, u32 n)
{
	struct fw_cfg *f = (struct fw_cfg *)d;
	return selector < FILE_FIRST ? set_item(&f->item[selector], data, n) : -EINVAL;
}

static void put_be32(u8 *p, u32 v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}

/* The directory: count, then 64 bytes per file: size, selector, reserved, name; numbers big-endian.
 */
static int make_directory(struct fw_cfg *f)
{
	u8 dir[4 + MAX_FILES * 64] = {0};
	put_be32(dir, f->files);
	for (u32 i = 0; i < f->files; i++) {
		u8 *e = dir + 4 + i * 64;
		put_be32(e, f->item[FILE_FIRST + i].size);
		e[4] = 0;
		e[5] = (u8)(FILE_FIRST + i);
		memcpy(e + 8, f->item[FILE_FIRST + i].name, 56);
	}
	return set_item(&f->item[ITEM_DIRECTORY], dir, 4 + f->files * 64);
}

int fw_cfg_add_file(struct device *d, const char *name, const void *data, u32 n)
{
	struct fw_cfg *f = (struct fw_cfg *)d;
	u32 at = 0;
	if (f->files == MAX_FILES || strlen(name) > 55)
		return -ENOSPC;
	while (at < f->files && strcmp(f->item[FILE_FIRST + at].name, name) < 0)
		at++;
	if (at < f->files && !strcmp(f->item[FILE_FIRST + at].name, name))
		return -EEXIST;
	struct item it = {0};
	int e = set_item(&it, data, n);
	if (e)
		return e;
	strcpy(it.name, name);
	struct item *slot = &f->item[FILE_FIRST + at];
	memmove(slot + 1, slot, (f->files - at) * sizeof(*slot));
	*slot = it;
	f->files++;
	return make_directory(f);
}

int fw_cfg_replace_file(struct device *d, const char *name, const void *data, u32 n)
{
	struct fw_cfg *f = (struct fw_cfg *)d;
	for (u32 i = 0; i < f->files; i++) {
		struct item *it = &f->item[FILE_FIRST + i];
		if (!strcmp(it->name, name))
			return set_item(it, data, n) ? -ENOMEM : make_directory(f);
	}
	return -ENOENT;
}

void fw_cfg_on_select(struct device *d, void (*selecting)(void *ctx, const char *name), void *ctx)
{
	struct fw_cfg *f = (struct fw_cfg *)d;
	f->selecting = selecting;
	f->ctx = ctx;
}

/* ---- data port --------------------------------------------------------------------------- */

static const struct item *selected(const struct fw_cfg *f)
{
	u16 s = f->selector & SELECT_MASK;
	return s < SELECTORS && !(f->selector & 0x8000) ? &f->item[s] : NULL;
}

/* Behind the end an item reads 0. */
static void read_item(struct fw_cfg *f, u8 *out, u32 n)
{
	const struct item *it = selected(f);
	for (u32 i = 0; i < n; i++) {
		out[i] = it && f->offset < it->size ? it->data[f->offset] : 0;
		if (f->offset < UINT32_MAX)
			f->offset++;
	}
}

static void select_item(struct fw_cfg *f, u16 selector)
{
	const struct item *it;
	f->selector = selector;
	f->offset = 0;
	it = selected(f);
	if (f->selecting && it && it->name[0])
		f->selecting(f->ctx, it->name);
}

static u32 port_read(void *ctx, u16 port, unsigned size)
{
	u8 v;
	if (port != 0x511)
		return 0xffff;
	read_item(ctx, &v, 1);
	return v;
}

static void port_write(void *ctx, u16 port, u32 value, unsigned size)
{
	if (port == 0x510 && size == 2)
		select_item(ctx, (u16)value);
}

/* ---- DMA --------------------------------------------------------------------------------- */

static void dma_data(struct fw_cfg *f, u64 to, u32 n, bool store)
{
	u8 part[512];
	while (n) {
		u32 k = MIN(n, (u32)sizeof(part));
		const struct item *it = selected(f);
		if (!store && (!it || f->offset >= it->size))
			return; /* skipping what is not there */
		read_item(f, part, k);
		if (store && dma_write(f->dev.env->bus, 0, to, part, k))
			return; /* not memory: the rest would not be either */
		to += k;
		n -= k;
	}
}

static void dma_run(struct fw_cfg *f)
{
	struct {
		u32 control, length;
		u64 address;
	} c;
	u64 at = f->dma_address;
	f->dma_address = 0;
	if (dma_read(f->dev.env->bus, 0, at, &c, sizeof(c)))
		return;
	u32 control = __builtin_bswap32(c.control), status = 0;
	if (control & DMA_SELECT)
		select_item(f, (u16)(control >> 16));
	if (control & DMA_READ)
		dma_data(f, __builtin_bswap64(c.address), __builtin_bswap32(c.length), true);
	else if (control & DMA_WRITE)
		status = __builtin_bswap32(DMA_ERROR);
	else if (control & DMA_SKIP)
		dma_data(f, 0, __builtin_bswap32(c.length), false);
	dma_write(f->dev.env->bus, 0, at, &status, 4);
}

static u32 dma_port_read(void *ctx, u16 port, unsigned size)
{
	u32 half = (u32)(DMA_SIGNATURE >> (port == 0x514 ? 32 : 0));
	return __builtin_bswap32(half);
}

static void dma_port_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct fw_cfg *f = ctx;
	u32 v = __builtin_bswap32(value);
	if (port == 0x514) {
		f->dma_address = (u64)v << 32 | (u32)f->dma_address;
		return;
	}
	f->dma_address = (f->dma_address & ~0xffffffffull) | v;
	dma_run(f);
}

static int init(struct device *d, char *err, size_t n)
{
	struct fw_cfg *f = (struct fw_cfg *)d;
	u32 id = 3; /* traditional and DMA interfaces */
	int e = set_item(&f->item[ITEM_SIGNATURE], "QEMU", 4);
	e = e ? e : set_item(&f->item[ITEM_ID], &id, 4);
	return e ? e : make_directory(f);
}

static void reset(struct device *d, enum reset_kind kind)
{
	select_item((struct fw_cfg *)d, 0);
	((struct fw_cfg *)d)->dma_address = 0;
}

static void release(struct device *d)
{
	struct fw_cfg *f = (struct fw_cfg *)d;
	for (unsigned i = 0; i < SELECTORS; i++)
		free(f->item[i].data);
}

static const struct port_ops ports = {port_read, port_write, IO_1 | IO_2};
static const struct port_ops dma_ports = {dma_port_read, dma_port_write, IO_4};

const struct device_type fw_cfg_type = {
    .name = "fw_cfg",
    .help = "firmware configuration",
    .category = "chipset",
    .size = sizeof(struct fw_cfg),
    .ports = (const struct port_claim[]){{0x510, 2, &ports}, {0x514, 8, &dma_ports}, {0}},
    .snapshot = &fw_cfg_snapshot,
    .init = init,
    .reset = reset,
    .free = release,
    .internal = true,
};
