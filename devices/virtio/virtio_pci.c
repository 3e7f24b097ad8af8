/* Virtio over PCI (4.1): the modern registers in BAR 4, the legacy ones (4.1.4.8) in BAR 0, MSI-X
 * in BAR 1. */
#include "devices/virtio/virtio.h"

#define COMMON_AT   0x0000u
#define ISR_AT      0x1000u
#define CONFIG_AT   0x2000u
#define NOTIFY_AT   0x3000u
#define REGION      0x1000u
#define NOTIFY_STEP 4u

/* Capabilities in configuration space */
#define CAP_COMMON  0x40u
#define CAP_NOTIFY  0x50u
#define CAP_ISR     0x64u
#define CAP_DEVICE  0x74u
#define CAP_PCI     0x84u
#define CAP_MSIX_AT 0x98u
enum { CFG_COMMON = 1, CFG_NOTIFY, CFG_ISR, CFG_DEVICE, CFG_PCI };

#define CONFIG_MAX 64u

/* clang-format off */
#define VIRTQUEUE_FIELDS(V, S, H, P) \
	V(desc) V(avail) V(used) V(size) H(max) V(last_avail) V(used_idx) V(signalled) V(vector) V(enabled) V(signalled_valid) H(pad)
SNAPSHOT(virtqueue_snapshot, "virtqueue", 1, struct virtqueue, VIRTQUEUE_FIELDS);
#define VIRTIO_FIELDS(V, S, H, P) \
	H(dev) S(fn, pci_function_snapshot) S(msix, pci_msix_snapshot) H(cls) H(features) V(driver_features) \
	S(queue, virtqueue_snapshot) V(device_select) V(driver_select) V(queue_select) V(config_vector) V(status) V(isr) \
	V(generation) H(pad)
/* clang-format on */
SNAPSHOT(virtio_snapshot, "virtio", 1, struct virtio, VIRTIO_FIELDS);

bool virtio_ready(const struct virtio *v, unsigned n)
{
	return n < v->cls->queues && v->queue[n].enabled && v->queue[n].size &&
	       v->status & VIRTIO_DRIVER_OK && !(v->status & VIRTIO_NEEDS_RESET) &&
	       pci_bus_master(&v->fn);
}

void virtio_config_changed(struct virtio *v)
{
	v->generation++;
	if (!(v->status & VIRTIO_DRIVER_OK))
		return;
	if (pci_msix_enabled(&v->msix, &v->fn)) {
		pci_msix_send(&v->msix, &v->fn, v->config_vector);
		return;
	}
	v->isr |= 2;
	pci_set_intx(&v->fn, true);
}

/* 2.1.2: writing 0 to the status; also before the driver comes. */
static void reset_device(struct virtio *v)
{
	v->driver_features = 0;
	v->device_select = v->driver_select = 0;
	v->queue_select = 0;
	v->config_vector = VIRTIO_NO_VECTOR;
	v->status = v->isr = 0;
	for (unsigned i = 0; i < VIRTIO_QUEUES; i++) {
		u16 max = i < v->cls->queues ? v->queue[i].max : 0;
		v->queue[i] =
		    (struct virtqueue){.size = max, .max = max, .vector = VIRTIO_NO_VECTOR};
	}
	pci_set_intx(&v->fn, false);
	if (v->cls->reset)
		v->cls->reset(v);
}

static u8 read_isr(struct virtio *v)
{
	u8 isr = v->isr;
	v->isr = 0;
	pci_set_intx(&v->fn, false);
	return isr;
}

static void notified(struct virtio *v, unsigned n)
{
	if (virtio_ready(v, n))
		v->cls->notified(v, n);
}

/* 3.1.1: FEATURES_OK stays only if the device can live with the choice. */
static void write_status(struct virtio *v, u8 status)
{
	if (!status) {
		reset_device(v);
		return;
	}
	if (v->driver_features & ~v->features)
		status &= (u8)~VIRTIO_FEATURES_OK;
	bool starts = status & ~v->status & VIRTIO_DRIVER_OK;
	v->status = (u8)(status | (v->status & VIRTIO_NEEDS_RESET));
	for (unsigned n = 0; starts && n < v->cls->queues; n++)
		notified(v, n);
}

static u16 checked_vector(const struct virtio *v, u32 vector)
{
	return vector < v->msix.vectors ? (u16)vector : VIRTIO_NO_VECTOR;
}

/* ---- device configuration
 * --------------------------------------------------------------------------------------- */

static u32 config_read(struct virtio *v, unsigned at, unsigned size)
{
	u8 config[CONFIG_MAX + 8] = {0};
	u32 x = 0;
	v->cls->config(v, config);
	if (at < v->cls->config_bytes)
		memcpy(&x, config + at, size);
	return x;
}

static void config_write(struct virtio *v, unsigned at, u32 value, unsigned size)
{
	u8 data[4];
	memcpy(data, &value, 4);
	if (v->cls->config_written && at + size <= v->cls->config_bytes)
		v->cls->config_written(v, at, data, size);
}

/* ---- modern registers (4.1.4.3)
 * ------------------------------------------------------------------------------------ */

static const struct virtqueue *selected(const struct virtio *v)
{
	static const struct virtqueue none = {0};
	return v->queue_select < v->cls->queues ? &v->queue[v->queue_select] : &none;
}

static u32 half(u64 x, bool high)
{
	return (u32)(high ? x >> 32 : x);
}

static u32 features_word(u64 features, u32 select)
{
	return select < 2 ? half(features, select) : 0;
}

static u32 common_read(struct virtio *v, unsigned at)
{
	const struct virtqueue *q = selected(v);
	switch (at) {
	case 0x00: return v->device_select;
	case 0x04: return features_word(v->features, v->device_select);
	case 0x08: return v->driver_select;
	case 0x0c: return features_word(v->driver_features, v->driver_select);
	case 0x10: return v->config_vector;
	case 0x12: return v->cls->queues;
	case 0x14: return v->status;
	case 0x15: return v->generation;
	case 0x16: return v->queue_select;
	case 0x18: return q->size;
	case 0x1a: return q->vector;
	case 0x1c: return q->enabled;
	case 0x1e: return v->queue_select;
	case 0x20:
	case 0x24: return half(q->desc, at & 4);
	case 0x28:
	case 0x2c: return half(q->avail, at & 4);
	case 0x30:
	case 0x34: return half(q->used, at & 4);
	default: return 0;
	}
}

static u64 with_half(u64 old, u32 x, bool high)
{
	return high ? (old & UINT32_MAX) | (u64)x << 32 : (old & ~(u64)UINT32_MAX) | x;
}

static void write_queue(struct virtio *v, unsigned at, u32 x)
{
	if (v->queue_select >= v->cls->queues)
		return;
	struct virtqueue *q = &v->queue[v->queue_select];
	switch (at) {
	case 0x18:
		if (x <= q->max && !(x & (x - 1)) && !q->enabled)
			q->size = (u16)x;
		break;
	case 0x1a: q->vector = checked_vector(v, x); break;
	case 0x1c: q->enabled = x == 1 && q->size; break;
	case 0x20:
	case 0x24: q->desc = with_half(q->desc, x, at & 4); break;
	case 0x28:
	case 0x2c: q->avail = with_half(q->avail, x, at & 4); break;
	case 0x30:
	case 0x34: q->used = with_half(q->used, x, at & 4); break;
	}
}

static void common_write(struct virtio *v, unsigned at, u32 x)
{
	switch (at) {
	case 0x00: v->device_select = x; break;
	case 0x08: v->driver_select = x; break;
	case 0x0c:
		if (v->driver_select < 2 && !(v->status & VIRTIO_FEATURES_OK))
			v->driver_features = with_half(v->driver_features, x, v->driver_select);
		break;
	case 0x10: v->config_vector = checked_vector(v, x); break;
	case 0x14: write_status(v, (u8)x); break;
	case 0x16: v->queue_select = (u16)x; break;
	default: write_queue(v, at, x); break;
	}
}

static u64 mem_read(void *ctx, u64 offset, unsigned size)
{
	struct virtio *v = ctx;
	unsigned at = (unsigned)offset & (REGION - 1);
	switch (offset & ~(u64)(REGION - 1)) {
	case COMMON_AT: return common_read(v, at);
	case ISR_AT: return at ? 0 : read_isr(v);
	case CONFIG_AT: return config_read(v, at, size);
	default: return 0;
	}
}

static void mem_write(void *ctx, u64 offset, u64 value, unsigned size)
{
	struct virtio *v = ctx;
	unsigned at = (unsigned)offset & (REGION - 1);
	switch (offset & ~(u64)(REGION - 1)) {
	case COMMON_AT: common_write(v, at, (u32)value); break;
	case CONFIG_AT: config_write(v, at, (u32)value, size); break;
	case NOTIFY_AT: notified(v, at / NOTIFY_STEP); break;
	}
}

const struct mmio_ops virtio_mem_ops = {mem_read, mem_write, 4};

static u64 msix_read(void *ctx, u64 offset, unsigned size)
{
	const struct virtio *v = ctx;
	return pci_msix_read(&v->msix, offset) >> ((offset & 3) * 8);
}

static void msix_write(void *ctx, u64 offset, u64 value, unsigned size)
{
	struct virtio *v = ctx;
	if (size == 4 && !(offset & 3))
		pci_msix_write(&v->msix, &v->fn, offset, (u32)value);
}

const struct mmio_ops virtio_msix_ops = {msix_read, msix_write, 4};

/* ---- legacy registers (4.1.4.8)
 * --------------------------------------------------------------------------------------- */

static unsigned legacy_config_at(const struct virtio *v)
{
	return pci_msix_enabled(&v->msix, &v->fn) ? 24 : 20;
}

static u32 legacy_read(struct virtio *v, unsigned at, unsigned size)
{
	const struct virtqueue *q = selected(v);
	if (at >= legacy_config_at(v))
		return config_read(v, at - legacy_config_at(v), size);
	switch (at) {
	case 0x00: return (u32)v->features;
	case 0x04: return (u32)v->driver_features;
	case 0x08: return (u32)(q->desc >> 12);
	case 0x0c: return q->size;
	case 0x0e: return v->queue_select;
	case 0x12: return v->status;
	case 0x13: return read_isr(v);
	case 0x14: return v->config_vector;
	case 0x16: return q->vector;
	default: return 0;
	}
}

/* 2.6.2: the legacy layout: one stretch, the used ring on a page of its own. */
static void legacy_place(struct virtio *v, u32 page)
{
	if (v->queue_select >= v->cls->queues)
		return;
	struct virtqueue *q = &v->queue[v->queue_select];
	*q = (struct virtqueue){.size = q->max, .max = q->max, .vector = q->vector};
	q->desc = (u64)page << 12;
	q->avail = q->desc + q->size * 16u;
	q->used = (q->avail + 6 + q->size * 2u + 4095) & ~4095ull;
	q->enabled = page != 0;
}

static void legacy_write(struct virtio *v, unsigned at, u32 x, unsigned size)
{
	if (at >= legacy_config_at(v)) {
		config_write(v, at - legacy_config_at(v), x, size);
		return;
	}
	switch (at) {
	case 0x04: v->driver_features = x & v->features; break;
	case 0x08: legacy_place(v, x); break;
	case 0x0e: v->queue_select = (u16)x; break;
	case 0x10: notified(v, x & 0xffff); break;
	case 0x12: write_status(v, (u8)x); break;
	case 0x14: v->config_vector = checked_vector(v, x & 0xffff); break;
	case 0x16:
		if (v->queue_select < v->cls->queues)
			v->queue[v->queue_select].vector = checked_vector(v, x & 0xffff);
		break;
	}
}

static u32 io_read(void *ctx, u16 port, unsigned size)
{
	struct virtio *v = ctx;
	return legacy_read(v, (unsigned)(port - pci_bar_base(&v->fn, 0)), size);
}

static void io_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct virtio *v = ctx;
	legacy_write(v, (unsigned)(port - pci_bar_base(&v->fn, 0)), value, size);
}

const struct port_ops virtio_io_ops = {io_read, io_write, IO_ANY};

/* ---- configuration space (4.1.4, 4.1.4.7)
 * ------------------------------------------------------------------------------ */

static void add_cap(struct virtio *v, unsigned at, u8 kind, u32 offset, u32 length, u8 bytes)
{
	struct pci_function *f = &v->fn;
	pci_add_capability(f, at, 9 /* vendor-specific */, bytes);
	f->cfg[at + 2] = bytes;
	f->cfg[at + 3] = kind;
	f->cfg[at + 4] = kind == CFG_PCI ? 0 : 4;
	pci_put32(f->cfg, at + 8, offset);
	pci_put32(f->cfg, at + 12, length);
}

/* The window of 4.1.4.7 names @size bytes of BAR 4. */
static bool window(const struct virtio *v, u32 *offset, unsigned *size)
{
	*offset = pci_get32(&v->fn, CAP_PCI + 8);
	*size = pci_get32(&v->fn, CAP_PCI + 12);
	return v->fn.cfg[CAP_PCI + 4] == 4 && (*size == 1 || *size == 2 || *size == 4) &&
	       !(*offset % *size) && *offset <= 4 * REGION - *size;
}

static bool touches(unsigned reg, unsigned size, unsigned at, unsigned bytes)
{
	return reg < at + bytes && reg + size > at;
}

void virtio_config_reading(struct device *d, unsigned reg, unsigned size)
{
	struct virtio *v = (struct virtio *)d;
	u32 offset;
	unsigned n;
	if (touches(reg, size, CAP_PCI + 16, 4) && window(v, &offset, &n))
		pci_put32(v->fn.cfg, CAP_PCI + 16, (u32)zext_bytes(mem_read(v, offset, n), n));
}

void virtio_config_written(struct device *d, unsigned reg, unsigned size)
{
	struct virtio *v = (struct virtio *)d;
	u32 offset;
	unsigned n;
	if (touches(reg, size, CAP_PCI + 16, 4) && window(v, &offset, &n))
		mem_write(v, offset, zext_bytes(pci_get32(&v->fn, CAP_PCI + 16), n), n);
	if (touches(reg, size, v->msix.cap, 4) || touches(reg, size, PCI_COMMAND, 2))
		pci_msix_config_written(&v->msix, &v->fn);
}

void virtio_init(struct virtio *v, const struct virtio_class *cls, u64 features)
{
	v->cls = cls;
	v->features = features | cls->features | VIRTIO_F_ANY_LAYOUT | VIRTIO_F_INDIRECT |
		      VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1;
	for (unsigned i = 0; i < cls->queues; i++)
		v->queue[i].max = VIRTIO_QUEUE_MAX;
	add_cap(v, CAP_COMMON, CFG_COMMON, COMMON_AT, 0x38, 16);
	add_cap(v, CAP_NOTIFY, CFG_NOTIFY, NOTIFY_AT, cls->queues * NOTIFY_STEP, 20);
	pci_put32(v->fn.cfg, CAP_NOTIFY + 16, NOTIFY_STEP);
	add_cap(v, CAP_ISR, CFG_ISR, ISR_AT, 1, 16);
	add_cap(v, CAP_DEVICE, CFG_DEVICE, CONFIG_AT, MAX(cls->config_bytes, 4), 16);
	add_cap(v, CAP_PCI, CFG_PCI, 0, 0, 20);
	v->fn.wmask[CAP_PCI + 4] = 0xff;
	memset(v->fn.wmask + CAP_PCI + 8, 0xff, 12);
	pci_msix_init(&v->msix, &v->fn, CAP_MSIX_AT, 1, cls->queues + 1u);
}

void virtio_reset(struct device *d, enum reset_kind kind)
{
	struct virtio *v = (struct virtio *)d;
	pci_msix_reset(&v->msix);
	reset_device(v);
	v->generation = 0;
}

void virtio_loaded(struct device *d)
{
	struct virtio *v = (struct virtio *)d;
	for (unsigned i = 0; i < VIRTIO_QUEUES; i++) {
		struct virtqueue *q = &v->queue[i];
		if (q->size > q->max || q->size & (q->size - 1))
			q->size = q->enabled = 0;
	}
}
