/*
 * Virtio traditional memory balloon (5.5): the guest gives up pages and takes them back. The
 * setting `target` says how many MiB it shall give up. Pages given up keep their content here,
 * which 5.5.6 allows; the host's memory is not returned. Not modelled: statistics, deflation on out
 * of memory, free page hints.
 */
#include "devices/virtio/virtio.h"

struct virtio_balloon {
	struct virtio v;
	u64 target; /* bytes */
	u32 actual; /* pages of 4 KiB the guest says it has given */
	u8 pad[4];
};

#define BALLOON_FIELDS(V, S, H, P) S(v, virtio_snapshot) H(target) V(actual) H(pad)
SNAPSHOT(virtio_balloon_snapshot, "virtio-balloon", 1, struct virtio_balloon, BALLOON_FIELDS);

static void config(struct virtio *v, u8 *c)
{
	const struct virtio_balloon *d = (struct virtio_balloon *)v;
	u32 pages = (u32)MIN(d->target >> 12, UINT32_MAX);
	memcpy(c, &pages, 4);
	memcpy(c + 4, &d->actual, 4);
}

static void config_written(struct virtio *v, unsigned at, const u8 *data, unsigned size)
{
	struct virtio_balloon *d = (struct virtio_balloon *)v;
	if (at == 4 && size == 4)
		memcpy(&d->actual, data, 4);
}

static void notified(struct virtio *v, unsigned n)
{
	struct vq_chain c;
	unsigned done = 0;
	for (; done < VIRTIO_QUEUE_MAX && vq_pop(v, n, &c); done++)
		vq_push(v, n, c.head, 0);
	if (done)
		vq_interrupt(v, n);
}

static void driver_reset(struct virtio *v)
{
	((struct virtio_balloon *)v)->actual = 0;
}

static const struct virtio_class cls = {.type = 5,
					.queues = 2,
					.config_bytes = 8,
					.config = config,
					.config_written = config_written,
					.notified = notified,
					.reset = driver_reset};

static int init(struct device *d, char *err, size_t n)
{
	virtio_init((struct virtio *)d, &cls, 0);
	return 0;
}

static const struct pci_ident ident = VIRTIO_IDENT(0x1002, 5, 0x00ff00);

static const struct prop props[] = {
    {.name = "target",
     .type = PROP_SIZE,
     .offset = offsetof(struct virtio_balloon, target),
     .def = "0",
     .help = "memory the guest shall give up (suffix K, M, G)"},
    {0},
};

const struct device_type virtio_balloon_type = {
    .name = "virtio-balloon-pci",
    .help = "virtio memory balloon",
    .category = "misc",
    .size = sizeof(struct virtio_balloon),
    .pci = &ident,
    .pci_offset = offsetof(struct virtio_balloon, v.fn),
    .props = props,
    .snapshot = &virtio_balloon_snapshot,
    .init = init,
    .reset = virtio_reset,
    .loaded = virtio_loaded,
};
