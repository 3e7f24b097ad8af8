/*
 * virtio disks (virtio 1.1, 5.2) at run time: one request at a time in a queue of four descriptors
 * that the power-on code has set up (post/virtio.c). The doorbell, which lies in memory that real
 * mode cannot reach, is rung through the configuration window (4.1.4.7). Addresses in the queue are
 * physical: where memory may be mapped otherwise (virtual-8086 mode), data pass through a buffer of
 * ours.
 */
#include "bios/rt/disk.h"

#define TYPE_IN    0u
#define TYPE_OUT   1u
#define DESC_NEXT  1u
#define DESC_WRITE 2u /* by the device */

#define BOUNCE_SECTORS 2u

static struct {
	u32 type, reserved, sector, sector_high;
} head;
static volatile u8 result;
static u8 bounce[BOUNCE_SECTORS * 512];

static void config_write32(u16 bdf, u8 reg, u32 v)
{
	outl(0xcf8, 0x80000000u | (u32)bdf << 8 | (reg & 0xfcu));
	outl(0xcfc, v);
}

static void ring(const struct drive *v)
{
	u16 bdf = v->bdf;
	u8 at = v->window;
	outl(0xcf8, 0x80000000u | (u32)bdf << 8 | ((at + 4u) & 0xfc));
	outb((u16)(0xcfc + (at & 3)), v->notify_bar);
	config_write32(bdf, at + 8, v->notify_at);
	config_write32(bdf, at + 12, 2);
	outl(0xcf8, 0x80000000u | (u32)bdf << 8 | ((at + 16u) & 0xfc));
	outw(0xcfc, 0);
}

static void describe(struct virtqueue *q, u16 n, u32 address, u32 bytes, u16 flags)
{
	q->desc[n].address = address;
	q->desc[n].address_high = 0;
	q->desc[n].bytes = bytes;
	q->desc[n].flags = flags;
	q->desc[n].next = n + 1;
}

static u8 run(const struct drive *v, const struct request *q, u32 linear, u32 bytes)
{
	struct virtqueue *vq = &virtqueues[v->queue];
	struct deadline d;
	bool write = q->operation == DISK_WRITE;
	head.type = write ? TYPE_OUT : TYPE_IN;
	head.reserved = 0;
	head.sector = q->lba;
	head.sector_high = q->lba_high;
	result = 0xff;
	describe(vq, 0, RT_BASE + (u32)&head, 16, DESC_NEXT);
	describe(vq, 1, linear, bytes, (u16)(DESC_NEXT | (write ? 0 : DESC_WRITE)));
	describe(vq, 2, RT_BASE + (u32)&result, 1, DESC_WRITE);
	vq->avail_flags = 1; /* no interrupts */
	vq->avail_ring[vq->avail_index & 3] = 0;
	__asm__ volatile("" : : : "memory");
	vq->avail_index++;
	__asm__ volatile("" : : : "memory");
	ring(v);
	deadline_set(&d, 30000);
	for (unsigned n = 0; *(volatile u16 *)&vq->used_index == vq->seen; n++) {
		if (expired(&d))
			return DISK_TIMEOUT;
		if ((n & 63) == 63)
			let_irqs();
	}
	vq->seen++;
	return result ? DISK_CONTROLLER : 0;
}

u8 virtio_transfer(const struct drive *v, const struct request *q)
{
	if (!in_v86())
		return run(v, q, q->seg * 16u + q->off, q->count * 512u);
	struct request part = *q;
	for (u16 done = 0; done < q->count; done += BOUNCE_SECTORS) {
		u32 bytes = MIN((u16)(q->count - done), BOUNCE_SECTORS) * 512u;
		u16 seg = (u16)(q->seg + done * 32u);
		if (q->operation == DISK_WRITE)
			far_read(bounce, seg, q->off, bytes);
		u8 e = run(v, &part, RT_BASE + (u32)bounce, bytes);
		if (e)
			return e;
		if (q->operation != DISK_WRITE)
			far_write(seg, q->off, bounce, bytes);
		part.lba += BOUNCE_SECTORS;
		part.lba_high += part.lba < BOUNCE_SECTORS;
	}
	return 0;
}

/* After the power-on code has filled in the sizes. */
void finish_virtio(void *drive)
{
	choose_geometry(drive);
}
