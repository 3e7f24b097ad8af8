/* Split virtqueues (2.6): every index, address and length in them is the driver's word, and none of
 * it is trusted. */
#include "devices/virtio/virtio.h"

#define DESC_NEXT          1u
#define DESC_WRITE         2u
#define DESC_INDIRECT      4u
#define AVAIL_NO_INTERRUPT 1u

struct desc {
	u64 gpa;
	u32 bytes;
	u16 flags, next;
};

static u16 requester(const struct virtio *v)
{
	return pci_requester(&v->fn);
}

static u16 read16(struct virtio *v, u64 gpa)
{
	u16 x = 0;
	(void)!dma_read(v->dev.env->bus, requester(v), gpa, &x, 2);
	return x;
}

static void write16(struct virtio *v, u64 gpa, u16 x)
{
	(void)!dma_write(v->dev.env->bus, requester(v), gpa, &x, 2);
}

/* 2.1.2: after this only a reset helps. */
static bool broken(struct virtio *v, const char *what)
{
	log_line(v->dev.env->log, LOG_GUEST_ERRORS, "%s: %s", v->dev.id, what);
	v->status |= VIRTIO_NEEDS_RESET;
	virtio_config_changed(v);
	return false;
}

unsigned vq_waiting(struct virtio *v, unsigned n)
{
	const struct virtqueue *q = &v->queue[n];
	if (!virtio_ready(v, n))
		return 0;
	u16 waiting = (u16)(read16(v, q->avail + 2) - q->last_avail);
	if (waiting <= q->size)
		return waiting;
	broken(v, "the available ring's index is ahead of the ring");
	return 0;
}

static bool add_piece(struct vq_chain *c, const struct desc *d)
{
	bool in = d->flags & DESC_WRITE;
	if (!in && c->ins) /* 2.6.4.2: what is written stands behind what is read */
		return false;
	if (c->outs + c->ins >= VIRTIO_CHAIN_MAX)
		return false;
	const struct vq_piece p = {d->gpa, d->bytes};
	if (in) {
		c->in[c->ins++] = p;
		c->in_bytes += d->bytes;
	} else {
		c->out[c->outs++] = p;
		c->out_bytes += d->bytes;
	}
	return true;
}

/* Follows descriptors of the table at @table with @size entries from @i on. */
static bool walk(struct virtio *v, struct vq_chain *c, u64 table, u32 size, u16 i,
		 bool indirect_allowed)
{
	struct desc d;
	for (u32 steps = 0; steps < size; steps++) {
		if (i >= size ||
		    dma_read(v->dev.env->bus, requester(v), table + i * 16ull, &d, sizeof(d)))
			return broken(v, "a descriptor outside its table or memory");
		if (d.flags & DESC_INDIRECT) {
			if (!indirect_allowed || !virtio_has(v, VIRTIO_F_INDIRECT) ||
			    d.bytes & 15 || !d.bytes || d.bytes / 16 > VIRTIO_CHAIN_MAX ||
			    d.flags & DESC_NEXT)
				return broken(v, "a bad indirect descriptor");
			return walk(v, c, d.gpa, d.bytes / 16, 0, false);
		}
		if (!add_piece(c, &d))
			return broken(v, "a chain too long, or with its parts in the wrong order");
		if (!(d.flags & DESC_NEXT))
			return true;
		i = d.next;
	}
	return broken(v, "a chain of descriptors that does not end");
}

bool vq_read_chain(struct virtio *v, unsigned n, u16 head, struct vq_chain *c)
{
	const struct virtqueue *q = &v->queue[n];
	c->head = head;
	c->outs = c->ins = 0;
	c->out_bytes = c->in_bytes = 0;
	return walk(v, c, q->desc, q->size, head, true);
}

bool vq_pop(struct virtio *v, unsigned n, struct vq_chain *c)
{
	struct virtqueue *q = &v->queue[n];
	if (!vq_waiting(v, n))
		return false;
	u16 head = read16(v, q->avail + 4 + (q->last_avail % q->size) * 2u);
	q->last_avail++;
	if (virtio_has(v, VIRTIO_F_EVENT_IDX)) /* 2.6.10: tell us of the next one */
		write16(v, q->used + 4 + q->size * 8u, q->last_avail);
	return vq_read_chain(v, n, head, c);
}

void vq_unpop(struct virtio *v, unsigned n)
{
	v->queue[n].last_avail--;
}

void vq_push(struct virtio *v, unsigned n, u16 head, u32 bytes)
{
	struct virtqueue *q = &v->queue[n];
	if (!virtio_ready(v, n))
		return;
	const u32 element[2] = {head, bytes};
	(void)!dma_write(v->dev.env->bus, requester(v), q->used + 4 + (q->used_idx % q->size) * 8u,
			 element, 8);
	q->used_idx++;
	write16(v, q->used + 2, q->used_idx);
}

static bool interrupt_wanted(struct virtio *v, struct virtqueue *q)
{
	u16 old = q->signalled, now = q->used_idx;
	bool valid = q->signalled_valid;
	if (!virtio_has(v, VIRTIO_F_EVENT_IDX))
		return !(read16(v, q->avail) & AVAIL_NO_INTERRUPT);
	q->signalled = now;
	q->signalled_valid = true;
	u16 event = read16(v, q->avail + 4 + q->size * 2u);
	return !valid || (u16)(now - event - 1) < (u16)(now - old);
}

void vq_interrupt(struct virtio *v, unsigned n)
{
	struct virtqueue *q = &v->queue[n];
	if (!virtio_ready(v, n) || !interrupt_wanted(v, q))
		return;
	if (pci_msix_enabled(&v->msix, &v->fn)) {
		pci_msix_send(&v->msix, &v->fn, q->vector);
		return;
	}
	v->isr |= 1;
	pci_set_intx(&v->fn, true);
}

/* ---- copying
 * ------------------------------------------------------------------------------------------------------
 */

static size_t copy(struct virtio *v, const struct vq_piece *p, unsigned pieces, u64 at, u8 *buffer,
		   size_t n, bool write)
{
	struct bus *bus = v->dev.env->bus;
	size_t done = 0;
	for (; pieces && done < n; pieces--, p++) {
		if (at >= p->bytes) {
			at -= p->bytes;
			continue;
		}
		size_t part = MIN(p->bytes - at, n - done);
		if (write)
			(void)!dma_write(bus, requester(v), p->gpa + at, buffer + done, part);
		else
			(void)!dma_read(bus, requester(v), p->gpa + at, buffer + done, part);
		done += part;
		at = 0;
	}
	return done;
}

size_t vq_copy_out(struct virtio *v, const struct vq_chain *c, u64 at, void *to, size_t n)
{
	return copy(v, c->out, c->outs, at, to, n, false);
}

size_t vq_copy_in(struct virtio *v, const struct vq_chain *c, u64 at, const void *from, size_t n)
{
	return copy(v, c->in, c->ins, at, (u8 *)(uintptr_t)from, n, true);
}
