/*
 * Intel 8237A, two cascaded as in a PC/AT, with the page registers at 80h-8Fh (the unused ones are
 * plain storage: BIOSes and Linux write port 80h for its delay). Modelled: all registers; byte and
 * word channels; single, block and demand transfers (a device decides how much it moves),
 * auto-initialisation, decrementing addresses, verify. Not modelled: memory-to-memory, compressed
 * timing, rotating priority (devices never compete within one call).
 */
#include "devices/chipset/dma8237.h"

struct dma_channel {
	u16 base_address, base_count, address, count;
	u8 mode;
	u8 page;
};

struct dma {
	struct device dev;
	struct dma_channel ch[8]; /* 0-3: first controller (bytes), 4-7: second (words) */
	u8 command[2], status[2], mask[2], request[2], temporary[2];
	bool flip[2];      /* high byte next */
	u8 page_other[16]; /* page registers without a channel */
	u8 pad[4];
};

/* clang-format off */
#define DMA_CHANNEL_FIELDS(V, S, H, P) \
	V(base_address) V(base_count) V(address) V(count) V(mode) V(page)
/* clang-format on */
SNAPSHOT(dma_channel_snapshot, "8237-channel", 1, struct dma_channel, DMA_CHANNEL_FIELDS);
/* clang-format off */
#define DMA_FIELDS(V, S, H, P) \
	H(dev) S(ch, dma_channel_snapshot) V(command) V(status) V(mask) V(request) \
	V(temporary) V(flip) V(page_other) H(pad)
/* clang-format on */
SNAPSHOT(dma_snapshot, "dma8237", 1, struct dma, DMA_FIELDS);

/* ---- registers: @c controller, @r register 0..15 ----------------------------------------- */

static u8 take_byte(struct dma *d, unsigned c, u16 v)
{
	bool high = d->flip[c];
	d->flip[c] = !high;
	return (u8)(high ? v >> 8 : v);
}

static u32 read_register(struct dma *d, unsigned c, unsigned r)
{
	struct dma_channel *ch = &d->ch[c * 4 + r / 2 % 4];
	u8 v;
	if (r < 8)
		return take_byte(d, c, r & 1 ? ch->count : ch->address);
	switch (r) {
	case 8:
		v = (u8)(d->status[c] | d->request[c] << 4);
		d->status[c] = 0;
		return v;
	case 13: return d->temporary[c];
	case 15: return d->mask[c] | 0xf0;
	default: return 0xff;
	}
}

static void put_byte(struct dma *d, unsigned c, u16 *base, u16 *current, u8 v)
{
	*base = d->flip[c] ? (u16)((*base & 0xff) | v << 8) : (u16)((*base & 0xff00) | v);
	*current = *base;
	d->flip[c] = !d->flip[c];
}

static void master_clear(struct dma *d, unsigned c)
{
	d->command[c] = d->status[c] = d->request[c] = d->temporary[c] = 0;
	d->mask[c] = 0x0f;
	d->flip[c] = false;
}

static void write_register(struct dma *d, unsigned c, unsigned r, u8 v)
{
	struct dma_channel *ch = &d->ch[c * 4 + r / 2 % 4];
	u8 bit = (u8)BIT(v & 3);
	switch (r) {
	case 0:
	case 2:
	case 4:
	case 6: put_byte(d, c, &ch->base_address, &ch->address, v); break;
	case 1:
	case 3:
	case 5:
	case 7: put_byte(d, c, &ch->base_count, &ch->count, v); break;
	case 8:
		d->command[c] = v;
		if (v & 1)
			log_unimplemented(d->dev.env->log, "8237A memory-to-memory transfers");
		break;
	case 9: d->request[c] = v & 4 ? d->request[c] | bit : d->request[c] & (u8)~bit; break;
	case 10: d->mask[c] = v & 4 ? d->mask[c] | bit : d->mask[c] & (u8)~bit; break;
	case 11: d->ch[c * 4 + (v & 3)].mode = v; break;
	case 12: d->flip[c] = false; break;
	case 13: master_clear(d, c); break;
	case 14: d->mask[c] = 0; break;
	case 15: d->mask[c] = v & 0x0f; break;
	}
}

static u32 low_read(void *ctx, u16 port, unsigned size)
{
	return read_register(ctx, 0, port & 15);
}

static void low_write(void *ctx, u16 port, u32 value, unsigned size)
{
	write_register(ctx, 0, port & 15, (u8)value);
}

static u32 high_read(void *ctx, u16 port, unsigned size)
{
	return read_register(ctx, 1, port >> 1 & 15);
}

static void high_write(void *ctx, u16 port, u32 value, unsigned size)
{
	write_register(ctx, 1, port >> 1 & 15, (u8)value);
}

/* Page registers: 87h 83h 81h 82h are channels 0-3, 8Fh 8Bh 89h 8Ah channels 4-7. */
static u8 *page(struct dma *d, unsigned index)
{
	static const s8 channel[16] = {-1, 2, 3, 1, -1, -1, -1, 0, -1, 6, 7, 5, -1, -1, -1, 4};
	return channel[index] < 0 ? &d->page_other[index] : &d->ch[channel[index]].page;
}

static u32 page_read(void *ctx, u16 port, unsigned size)
{
	return *page(ctx, port & 15);
}

static void page_write(void *ctx, u16 port, u32 value, unsigned size)
{
	*page(ctx, port & 15) = (u8)value;
}

/* ---- transfers --------------------------------------------------------------------------- */

static bool ready(const struct dma *d, unsigned channel, bool to_memory)
{
	unsigned c = channel / 4, type = d->ch[channel].mode >> 2 & 3;
	if ((d->command[c] & 4) || (d->mask[c] >> (channel & 3) & 1))
		return false;
	return type == 0 || type == (to_memory ? 1 : 2); /* 0: verify */
}

static u64 memory_address(const struct dma_channel *ch, bool words)
{
	if (words)
		return (u64)(ch->page & 0xfe) << 16 | (u64)ch->address << 1;
	return (u64)ch->page << 16 | ch->address;
}

/* One byte or word. */
static void move_unit(struct dma *d, struct dma_channel *ch, u8 *data, unsigned unit,
		      bool to_memory)
{
	u64 at = memory_address(ch, unit == 2);
	if ((ch->mode >> 2 & 3) != 0) {
		if (to_memory)
			dma_write(d->dev.env->bus, 0, at, data, unit);
		else
			dma_read(d->dev.env->bus, 0, at, data, unit);
	}
	ch->address = (u16)(ch->mode & 0x20 ? ch->address - 1 : ch->address + 1);
	ch->count--;
}

static void terminal_count(struct dma *d, unsigned channel)
{
	struct dma_channel *ch = &d->ch[channel];
	unsigned c = channel / 4;
	d->status[c] |= (u8)BIT(channel & 3);
	d->request[c] &= (u8)~BIT(channel & 3);
	if (ch->mode & 0x10) { /* auto-initialise */
		ch->address = ch->base_address;
		ch->count = ch->base_count;
	} else {
		d->mask[c] |= (u8)BIT(channel & 3);
	}
}

u32 dma8237_transfer(struct device *dev, unsigned channel, void *buf, u32 n, bool to_memory,
		     bool *tc)
{
	struct dma *d = (struct dma *)dev;
	struct dma_channel *ch = &d->ch[channel & 7];
	unsigned unit = channel >= 4 ? 2 : 1;
	u32 done = 0;
	bool ended = false;
	if (!ready(d, channel & 7, to_memory))
		n = 0;
	while (!ended && n - done >= unit) {
		move_unit(d, ch, (u8 *)buf + done, unit, to_memory);
		done += unit;
		ended = ch->count == 0xffff;
	}
	if (ended)
		terminal_count(d, channel & 7);
	if (tc)
		*tc = ended;
	return done;
}

static void reset(struct device *dev, enum reset_kind kind)
{
	struct dma *d = (struct dma *)dev;
	master_clear(d, 0);
	master_clear(d, 1);
	memset(d->ch, 0, sizeof(d->ch));
	memset(d->page_other, 0, sizeof(d->page_other));
}

static const struct port_ops low_ports = {low_read, low_write, IO_1};
static const struct port_ops high_ports = {high_read, high_write, IO_1};
static const struct port_ops page_ports = {page_read, page_write, IO_1};

const struct device_type dma8237_type = {
    .name = "dma8237",
    .help = "two 8237A DMA controllers",
    .category = "chipset",
    .size = sizeof(struct dma),
    .ports =
	(const struct port_claim[]){
	    {0x00, 16, &low_ports}, {0xc0, 32, &high_ports}, {0x80, 16, &page_ports}, {0}},
    .snapshot = &dma_snapshot,
    .reset = reset,
    .internal = true,
};
