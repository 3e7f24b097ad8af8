/*
 * Virtual I/O devices ("Virtual I/O Device (VIRTIO) Version 1.1", OASIS; section numbers are its)
 * on PCI: transitional, that is usable by drivers of version 1 and by legacy drivers. Split
 * virtqueues with indirect descriptors and event indices; MSI-X. virtqueue.c has the queues,
 * virtio_pci.c the transport; one file for each kind of device.
 */
#ifndef ORRERY_VIRTIO_H
#define ORRERY_VIRTIO_H

#include "devices/chipset/pci.h"
#include "devices/chipset/pci_msix.h"
#include "devices/device.h"

#define VIRTIO_QUEUES    4u
#define VIRTIO_QUEUE_MAX 256u  /* entries */
#define VIRTIO_CHAIN_MAX 1024u /* descriptors of one chain */
#define VIRTIO_NO_VECTOR 0xffffu

/* 6: reserved feature bits */
#define VIRTIO_F_ANY_LAYOUT BIT64(27)
#define VIRTIO_F_INDIRECT   BIT64(28)
#define VIRTIO_F_EVENT_IDX  BIT64(29)
#define VIRTIO_F_VERSION_1  BIT64(32)

/* 2.1: device status */
#define VIRTIO_DRIVER_OK   4u
#define VIRTIO_FEATURES_OK 8u
#define VIRTIO_NEEDS_RESET 64u

struct virtio;

struct virtqueue {
	u64 desc, avail, used; /* guest-physical addresses of the three parts (2.6) */
	u16 size;              /* 0: there is no such queue */
	u16 max;
	u16 last_avail, used_idx;
	u16 signalled; /* used_idx at the last interrupt */
	u16 vector;
	bool enabled, signalled_valid;
	u8 pad[2];
};

/* A stretch of guest memory. */
struct vq_piece {
	u64 gpa;
	u32 bytes;
};

/* A chain of buffers from the driver: first those for the device to read, then those to write. */
struct vq_chain {
	u16 head;
	unsigned outs, ins;
	u64 out_bytes, in_bytes;
	struct vq_piece out[VIRTIO_CHAIN_MAX], in[VIRTIO_CHAIN_MAX];
};

struct virtio_class {
	u16 type; /* 5: virtio device ID */
	u8 queues;
	u64 features;
	u16 config_bytes;
	/* Fills the configuration space @config (config_bytes). */
	void (*config)(struct virtio *v, u8 *config);
	/* The driver wrote @size bytes there; may be NULL. */
	void (*config_written)(struct virtio *v, unsigned at, const u8 *data, unsigned size);
	/* The driver says that queue @n has buffers. The queue is enabled and the driver ready. */
	void (*notified)(struct virtio *v, unsigned n);
	/* The driver reset the device; may be NULL. */
	void (*reset)(struct virtio *v);
};

/* The state that every virtio device begins with. */
struct virtio {
	struct device dev;
	struct pci_function fn;
	struct pci_msix msix;
	const struct virtio_class *cls;
	u64 features;        /* offered */
	u64 driver_features; /* accepted */
	struct virtqueue queue[VIRTIO_QUEUES];
	u32 device_select, driver_select;
	u16 queue_select, config_vector;
	u8 status, isr, generation, pad;
};
extern const struct snapshot_desc virtio_snapshot, virtqueue_snapshot;

/* ---- for device_type
 * -------------------------------------------------------------------------------------------------
 */

extern const struct mmio_ops virtio_mem_ops, virtio_msix_ops;
extern const struct port_ops virtio_io_ops;
/** For struct pci_ident. */
void virtio_config_written(struct device *d, unsigned reg, unsigned size);
void virtio_config_reading(struct device *d, unsigned reg, unsigned size);
#define VIRTIO_IDENT(id, type, class_)                                                             \
	{                                                                                          \
		.vendor = 0x1af4, .device = (id), .subsystem_vendor = 0x1af4, .subsystem = (type), \
		.class_code = (class_), .pin = 1, .devfn = -1,                                     \
		.bar = {[0] = {.kind = PCI_BAR_IO, .size = 128, .io = &virtio_io_ops},             \
			[1] = {.kind = PCI_BAR_MEM32, .size = 4096, .mmio = &virtio_msix_ops},     \
			[4] = {.kind = PCI_BAR_MEM64,                                              \
			       .prefetch = true,                                                   \
			       .size = 16384,                                                      \
			       .mmio = &virtio_mem_ops}},                                          \
		.config_written = virtio_config_written, .config_reading = virtio_config_reading,  \
	}
/** For init, before anything else. */
void virtio_init(struct virtio *v, const struct virtio_class *cls, u64 features);
/** For device_type.reset. */
void virtio_reset(struct device *d, enum reset_kind kind);
/** For device_type.loaded. */
void virtio_loaded(struct device *d);

/* ---- for the devices
 * --------------------------------------------------------------------------------------------------
 */

static inline bool virtio_has(const struct virtio *v, u64 feature)
{
	return v->driver_features & feature;
}
/** Queue @n may be worked on: enabled, the driver ready, bus mastering on. */
bool virtio_ready(const struct virtio *v, unsigned n);
/** The configuration space changed: tells the driver. */
void virtio_config_changed(struct virtio *v);

/** Chains that wait in queue @n. */
unsigned vq_waiting(struct virtio *v, unsigned n);
/** Takes the next chain. False when there is none, or when the driver's is nonsense: then the
 * device asks to be reset. */
bool vq_pop(struct virtio *v, unsigned n, struct vq_chain *c);
/** Walks chain @head again (after a snapshot). */
bool vq_read_chain(struct virtio *v, unsigned n, u16 head, struct vq_chain *c);
/** Puts the chain last taken back. */
void vq_unpop(struct virtio *v, unsigned n);
/** The device is done with chain @head and wrote @bytes. vq_interrupt() follows when no more are to
 * be pushed at once. */
void vq_push(struct virtio *v, unsigned n, u16 head, u32 bytes);
/** Interrupts the driver if it wants to know (2.6.7, 2.6.8). */
void vq_interrupt(struct virtio *v, unsigned n);
/** Copies from or to pieces, from byte @at of them on; how many bytes were there. */
size_t vq_copy_out(struct virtio *v, const struct vq_chain *c, u64 at, void *to, size_t n);
size_t vq_copy_in(struct virtio *v, const struct vq_chain *c, u64 at, const void *from, size_t n);

#endif
