/*
 * Virtio entropy device (5.4). Its numbers come from a generator that starts alike in every run, so
 * that runs repeat: they pass for random in a test, and protect nothing.
 */
#include "devices/virtio/virtio.h"

#define REQUEST_MAX 4096u
#define SEED        0x6f727265727931ull

struct virtio_rng {
	struct virtio v;
	u64 state;
};

#define RNG_FIELDS(V, S, H, P) S(v, virtio_snapshot) V(state)
SNAPSHOT(virtio_rng_snapshot, "virtio-rng", 1, struct virtio_rng, RNG_FIELDS);

/* splitmix64 */
static u64 next(struct virtio_rng *d)
{
	u64 z = d->state += 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void notified(struct virtio *v, unsigned n)
{
	struct virtio_rng *d = (struct virtio_rng *)v;
	u64 random[REQUEST_MAX / 8];
	struct vq_chain c;
	unsigned done = 0;
	for (; done < VIRTIO_QUEUE_MAX && vq_pop(v, n, &c); done++) {
		size_t bytes = MIN(c.in_bytes, REQUEST_MAX);
		for (size_t i = 0; i * 8 < bytes; i++)
			random[i] = next(d);
		vq_push(v, n, c.head, (u32)vq_copy_in(v, &c, 0, random, bytes));
	}
	if (done)
		vq_interrupt(v, n);
}

static void config(struct virtio *v, u8 *c)
{
}

static const struct virtio_class cls = {
    .type = 4, .queues = 1, .config = config, .notified = notified};

static int init(struct device *d, char *err, size_t n)
{
	virtio_init((struct virtio *)d, &cls, 0);
	((struct virtio_rng *)d)->state = SEED;
	return 0;
}

static const struct pci_ident ident = VIRTIO_IDENT(0x1005, 4, 0x00ff00);

const struct device_type virtio_rng_type = {
    .name = "virtio-rng-pci",
    .help = "virtio source of (repeatable) random numbers",
    .category = "misc",
    .size = sizeof(struct virtio_rng),
    .pci = &ident,
    .pci_offset = offsetof(struct virtio_rng, v.fn),
    .snapshot = &virtio_rng_snapshot,
    .init = init,
    .reset = virtio_reset,
    .loaded = virtio_loaded,
};
