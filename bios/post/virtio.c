/*
 * Finds virtio disks (virtio 1.1, 4.1 and 5.2; PCI 1AF4:1001 and 1AF4:1042), negotiates nothing but
 * version 1, and gives each a queue in the run time's memory.
 */
#include "bios/post/post.h"

#define CAP_VENDOR  0x09
#define CFG_COMMON  1
#define CFG_NOTIFY  2
#define CFG_DEVICE  4
#define CFG_WINDOW  5
#define ACKNOWLEDGE 1
#define DRIVER      2
#define DRIVER_OK   4
#define FEATURES_OK 8
#define QUEUE       4

struct place {
	u8 cap, bar;
	u32 at, base; /* within the BAR; of it */
};

static u32 bar_base(u16 bdf, u8 bar)
{
	u32 v = pci_read32(bdf, (u8)(0x10 + 4 * bar));
	bool high = (v & 6) == 4 && pci_read32(bdf, (u8)(0x14 + 4 * bar));
	return v & 1 || high ? 0 : v & ~15u;
}

static void capabilities(u16 bdf, struct place *p)
{
	u8 at = pci_read8(bdf, 0x34) & 0xfc;
	for (unsigned i = 0; at >= 0x40 && i < 48; i++, at = pci_read8(bdf, at + 1) & 0xfc) {
		u8 type = pci_read8(bdf, at + 3);
		if (pci_read8(bdf, at) != CAP_VENDOR || type > 5 || p[type].cap)
			continue;
		p[type].cap = at;
		p[type].bar = pci_read8(bdf, at + 4);
		p[type].at = pci_read32(bdf, at + 8);
		p[type].base = p[type].bar < 6 ? bar_base(bdf, p[type].bar) : 0;
	}
}

static void set_queue(u32 common, struct virtqueue *q)
{
	u32 at = (u32)q;
	MEM16(common + 22) = 0;
	MEM16(common + 24) = QUEUE;
	MEM32(common + 32) = at;
	MEM32(common + 36) = 0;
	MEM32(common + 40) = at + offsetof(struct virtqueue, avail_flags);
	MEM32(common + 44) = 0;
	MEM32(common + 48) = at + offsetof(struct virtqueue, used_flags);
	MEM32(common + 52) = 0;
	MEM16(common + 28) = 1;
}

/* False: it does not want us. */
static bool start(u32 common, struct virtqueue *q)
{
	MEM8(common + 20) = 0;
	for (unsigned i = 0; i < 1000 && MEM8(common + 20); i++)
		delay_us(15);
	MEM8(common + 20) = ACKNOWLEDGE;
	MEM8(common + 20) = ACKNOWLEDGE | DRIVER;
	MEM32(common + 8) = 0;
	MEM32(common + 12) = 0;
	MEM32(common + 8) = 1;
	MEM32(common + 12) = 1; /* VIRTIO_F_VERSION_1 */
	MEM8(common + 20) = ACKNOWLEDGE | DRIVER | FEATURES_OK;
	if (!(MEM8(common + 20) & FEATURES_OK))
		return false;
	set_queue(common, q);
	MEM8(common + 20) = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;
	return true;
}

extern void finish_virtio(void *drive);

static void disk(u16 bdf, unsigned number)
{
	struct place p[6] = {0};
	unsigned n = 0;
	capabilities(bdf, p);
	while (n < MAX_DRIVES && RTA(drives)[n].kind)
		n++;
	if (n == MAX_DRIVES || RT(disk_count) == 8 || !p[CFG_COMMON].base || !p[CFG_NOTIFY].base ||
	    !p[CFG_DEVICE].base || !p[CFG_WINDOW].cap)
		return;
	pci_write16(bdf, 4, pci_read16(bdf, 4) | 6);
	u32 common = p[CFG_COMMON].base + p[CFG_COMMON].at;
	u32 config = p[CFG_DEVICE].base + p[CFG_DEVICE].at;
	if (!start(common, &RTA(virtqueues)[number]))
		return;
	u32 step = pci_read32(bdf, p[CFG_NOTIFY].cap + 16);
	struct drive *d = &RTA(drives)[n];
	*d = (struct drive){.kind = DRIVE_VIRTIO,
			    .flags = DRIVE_LBA,
			    .sector_bytes = 512,
			    .sectors = MEM32(config),
			    .sectors_high = MEM32(config + 4),
			    .bdf = bdf,
			    .window = p[CFG_WINDOW].cap,
			    .notify_bar = p[CFG_NOTIFY].bar,
			    .notify_at = p[CFG_NOTIFY].at + MEM16(common + 30) * step,
			    .queue = (u8)number,
			    .model = "virtio disk"};
	if (!d->sectors && !d->sectors_high) {
		d->kind = DRIVE_NONE;
		return;
	}
	rt_run(finish_virtio, (void *)((u32)d - RT_BASE));
	d->pcylinders = d->cylinders;
	d->pheads = d->heads;
	d->pspt = d->spt;
	RTA(disk_map)[RT(disk_count)++] = (u8)n;
}

void virtio_disks(void)
{
	unsigned number = 0;
	for (s32 f = -1; (f = pci_next(f)) >= 0 && number < MAX_VIRTIO;) {
		u32 id = pci_read32((u16)f, 0);
		if (id == 0x10011af4 || id == 0x10421af4)
			disk((u16)f, number++);
	}
}

/* The devices have forgotten their queues. */
void virtio_wake(void)
{
	for (unsigned i = 0; i < MAX_DRIVES; i++) {
		const struct drive *d = &RTA(drives)[i];
		struct virtqueue *q = &RTA(virtqueues)[d->queue];
		struct place p[6] = {0};
		if (d->kind != DRIVE_VIRTIO)
			continue;
		capabilities(d->bdf, p);
		pci_write16(d->bdf, 4, pci_read16(d->bdf, 4) | 6);
		memset(q, 0, sizeof(*q));
		if (!start(p[CFG_COMMON].base + p[CFG_COMMON].at, q))
			debug("a virtio disk does not start again\n");
	}
}
