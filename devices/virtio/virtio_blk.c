/*
 * Virtio block device (5.2). Up to BLK_SLOTS requests are under way at once; each is complete at a
 * fixed virtual time after it was given, whatever the host takes. Modelled: read, write, flush,
 * discard, get ID; geometry and block size. Not modelled: write zeroes, lifetime, several queues, a
 * cache mode the driver chooses.
 */
#include <errno.h>
#include <stdlib.h>

#include "devices/drive.h"
#include "devices/virtio/virtio.h"

#define BLK_SLOTS    64u
#define REQUEST_MAX  (8u << 20) /* bytes of data; more is refused */
#define LATENCY_NS   20000u
#define BYTES_PER_US 2000u /* 2 GB/s */

#define F_SEG_MAX  BIT64(2)
#define F_GEOMETRY BIT64(4)
#define F_RO       BIT64(5)
#define F_BLK_SIZE BIT64(6)
#define F_FLUSH    BIT64(9)
#define F_DISCARD  BIT64(13)

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11 };
enum { S_OK, S_IOERR, S_UNSUPP };

struct slot {
	u64 due_ns;
	u16 head;
	bool used;
	u8 pad[5];
};

/* The host's side of a slot: made again from the chain after a snapshot. */
struct slot_work {
	struct block_request request;
	u64 status_at;  /* offset of the status byte among what the device writes */
	u32 data_bytes; /* that the device writes */
	u8 status;      /* if no request was made */
	bool submitted;
};

struct virtio_blk {
	struct virtio v;
	char drive_id[PROP_TEXT_SIZE], serial[PROP_TEXT_SIZE];
	struct block *block;
	const struct drive *drive;
	struct slot_work work[BLK_SLOTS];
	struct slot slot[BLK_SLOTS];
	struct timer timer;
};

/* clang-format off */
#define SLOT_FIELDS(V, S, H, P) V(due_ns) V(head) V(used) H(pad)
SNAPSHOT(virtio_blk_slot_snapshot, "virtio-blk-slot", 1, struct slot, SLOT_FIELDS);
#define BLK_FIELDS(V, S, H, P) \
	S(v, virtio_snapshot) H(drive_id) H(serial) H(block) H(drive) H(work) S(slot, virtio_blk_slot_snapshot) V(timer)
/* clang-format on */
SNAPSHOT(virtio_blk_snapshot, "virtio-blk", 1, struct virtio_blk, BLK_FIELDS);

static u64 capacity(const struct virtio_blk *b)
{
	return b->block ? block_sectors(b->block) : 0;
}

/* 5.2.4 */
static void config(struct virtio *v, u8 *c)
{
	const struct virtio_blk *b = (struct virtio_blk *)v;
	u64 sectors = capacity(b), cylinders = sectors / (16 * 63);
	u32 segments = VIRTIO_CHAIN_MAX / 4, size = 512;
	u16 c16 = (u16)MIN(cylinders, 65535);
	memcpy(c, &sectors, 8);
	memcpy(c + 12, &segments, 4);
	memcpy(c + 16, &c16, 2);
	c[18] = 16;
	c[19] = 63;
	memcpy(c + 20, &size, 4);
	u32 discard = REQUEST_MAX / 512, one = 1;
	memcpy(c + 36, &discard, 4);
	memcpy(c + 40, &one, 4);
	memcpy(c + 44, &one, 4);
}

static void drop_work(struct virtio_blk *b, unsigned i)
{
	struct slot_work *w = &b->work[i];
	if (w->submitted)
		(void)block_wait(b->block, &w->request);
	free(w->request.data);
	*w = (struct slot_work){0};
}

static void drop_all(struct virtio_blk *b)
{
	for (unsigned i = 0; i < BLK_SLOTS; i++)
		drop_work(b, i);
}

/* ---- a request (5.2.6)
 * --------------------------------------------------------------------------------------------------
 */

static u8 submit(struct virtio_blk *b, struct slot_work *w, enum block_op op, u64 sector, u64 bytes)
{
	u64 sectors = bytes / 512;
	if (bytes % 512 || sector > capacity(b) || sectors > capacity(b) - sector ||
	    bytes > REQUEST_MAX)
		return S_IOERR;
	if (op != BLOCK_READ && op != BLOCK_FLUSH && block_read_only(b->block))
		return S_IOERR;
	w->request = (struct block_request){
	    .op = op, .lba = sector, .sectors = (u32)sectors, .data = w->request.data};
	block_submit(b->block, &w->request);
	w->submitted = true;
	return S_OK;
}

static u8 *buffer(struct slot_work *w, u64 bytes)
{
	return w->request.data = bytes && bytes <= REQUEST_MAX ? malloc(bytes) : NULL;
}

static u8 start_read(struct virtio_blk *b, struct slot_work *w, u64 sector, u64 bytes)
{
	w->data_bytes = (u32)MIN(bytes, REQUEST_MAX);
	return buffer(w, bytes) ? submit(b, w, BLOCK_READ, sector, bytes) : S_IOERR;
}

static u8 start_write(struct virtio_blk *b, struct slot_work *w, const struct vq_chain *c,
		      u64 sector, u64 bytes)
{
	if (!buffer(w, bytes))
		return S_IOERR;
	vq_copy_out(&b->v, c, 16, w->request.data, bytes);
	return submit(b, w, BLOCK_WRITE, sector, bytes);
}

static u8 start_discard(struct virtio_blk *b, struct slot_work *w, const struct vq_chain *c)
{
	struct {
		u64 sector;
		u32 sectors, flags;
	} range;
	if (vq_copy_out(&b->v, c, 16, &range, sizeof(range)) != sizeof(range))
		return S_IOERR;
	return range.flags ? S_UNSUPP
			   : submit(b, w, BLOCK_DISCARD, range.sector, range.sectors * 512ull);
}

static u8 start_get_id(struct virtio_blk *b, struct slot_work *w, u64 bytes)
{
	w->data_bytes = (u32)MIN(bytes, 20);
	if (!buffer(w, 20))
		return S_IOERR;
	memset(w->request.data, 0, 20);
	const char *serial = *b->serial                     ? b->serial
			     : b->drive && b->drive->serial ? b->drive->serial
							    : b->drive_id;
	memcpy(w->request.data, serial, MIN(strlen(serial), (size_t)20));
	return S_OK;
}

/* Begins what chain @c asks for; the nanoseconds it takes. */
static u64 start(struct virtio_blk *b, unsigned i, const struct vq_chain *c)
{
	struct slot_work *w = &b->work[i];
	struct {
		u32 type, reserved;
		u64 sector;
	} head = {.type = UINT32_MAX};
	u64 in = c->in_bytes - 1, out = c->out_bytes - 16;
	vq_copy_out(&b->v, c, 0, &head, sizeof(head));
	w->status_at = in;
	if (!b->block) {
		w->status = S_IOERR;
		return LATENCY_NS;
	}
	switch (head.type) {
	case T_IN: w->status = start_read(b, w, head.sector, in); break;
	case T_OUT: w->status = start_write(b, w, c, head.sector, out); break;
	case T_FLUSH: w->status = submit(b, w, BLOCK_FLUSH, 0, 0); break;
	case T_DISCARD: w->status = start_discard(b, w, c); break;
	case T_GET_ID: w->status = start_get_id(b, w, in); break;
	default: w->status = S_UNSUPP; break;
	}
	return LATENCY_NS + (w->submitted ? w->request.sectors * 512ull * 1000 / BYTES_PER_US : 0);
}

static void finish(struct virtio_blk *b, unsigned i)
{
	struct slot_work *w = &b->work[i];
	static const struct vq_chain empty;
	struct vq_chain c = empty;
	u32 written = 0;
	if (w->submitted)
		w->status = block_wait(b->block, &w->request) ? S_IOERR : S_OK;
	w->submitted = false;
	if (vq_read_chain(&b->v, 0, b->slot[i].head, &c)) {
		if (w->status == S_OK && w->data_bytes)
			written = (u32)vq_copy_in(&b->v, &c, 0, w->request.data, w->data_bytes);
		vq_copy_in(&b->v, &c, w->status_at, &w->status, 1);
		vq_push(&b->v, 0, c.head, written + 1);
	}
	b->slot[i].used = false;
	drop_work(b, i);
}

static void arm(struct virtio_blk *b)
{
	u64 next = CLOCK_NEVER;
	for (unsigned i = 0; i < BLK_SLOTS; i++)
		if (b->slot[i].used)
			next = MIN(next, b->slot[i].due_ns);
	if (next == CLOCK_NEVER)
		timer_disarm(&b->timer);
	else
		timer_arm(&b->timer, next);
}

static void notified(struct virtio *v, unsigned n)
{
	struct virtio_blk *b = (struct virtio_blk *)v;
	u64 now = clock_now(v->dev.env->clock);
	struct vq_chain c;
	for (unsigned i = 0; i < BLK_SLOTS; i++) {
		if (b->slot[i].used)
			continue;
		if (!vq_pop(v, 0, &c))
			break;
		if (c.out_bytes < 16 || !c.in_bytes) { /* there is not even room for a status */
			vq_push(v, 0, c.head, 0);
			vq_interrupt(v, 0);
			continue;
		}
		b->slot[i] =
		    (struct slot){.due_ns = now + start(b, i, &c), .head = c.head, .used = true};
	}
	arm(b);
}

static void timer_fired(void *d)
{
	struct virtio_blk *b = d;
	u64 now = clock_now(b->v.dev.env->clock);
	bool any = false;
	for (unsigned i = 0; i < BLK_SLOTS; i++)
		if (b->slot[i].used && b->slot[i].due_ns <= now) {
			finish(b, i);
			any = true;
		}
	if (any)
		vq_interrupt(&b->v, 0);
	if (virtio_ready(&b->v, 0))
		notified(&b->v, 0); /* what found no slot before; arms the timer */
	else
		arm(b);
}

static void driver_reset(struct virtio *v)
{
	struct virtio_blk *b = (struct virtio_blk *)v;
	drop_all(b);
	memset(b->slot, 0, sizeof(b->slot));
	timer_disarm(&b->timer);
}

/* Requests that were under way are begun again: reading twice or writing the same twice changes
 * nothing. */
static void loaded(struct device *d)
{
	struct virtio_blk *b = (struct virtio_blk *)d;
	struct vq_chain c;
	drop_all(b);
	virtio_loaded(d);
	for (unsigned i = 0; i < BLK_SLOTS; i++) {
		if (!b->slot[i].used)
			continue;
		if (virtio_ready(&b->v, 0) && vq_read_chain(&b->v, 0, b->slot[i].head, &c) &&
		    c.out_bytes >= 16 && c.in_bytes)
			start(b, i, &c);
		else
			b->slot[i].used = false;
	}
}

static const struct virtio_class cls = {
    .type = 2,
    .queues = 1,
    .features = F_SEG_MAX | F_GEOMETRY | F_BLK_SIZE | F_FLUSH | F_DISCARD,
    .config_bytes = 60,
    .config = config,
    .notified = notified,
    .reset = driver_reset,
};

static int init(struct device *d, char *err, size_t n)
{
	struct virtio_blk *b = (struct virtio_blk *)d;
	const struct machine_hooks *h = &d->env->hooks;
	if (*b->drive_id) {
		b->drive = h->find_drive ? h->find_drive(h->ctx, b->drive_id) : NULL;
		if (!b->drive || !b->drive->block) {
			snprintf(err, n, "%s: there is no -drive with id=%s and an image", d->id,
				 b->drive_id);
			return -ENODEV;
		}
		b->block = b->drive->block;
	}
	virtio_init(&b->v, &cls, b->block && block_read_only(b->block) ? F_RO : 0);
	return 0;
}

static void exit_(struct device *d)
{
	drop_all((struct virtio_blk *)d);
}

static const struct pci_ident ident = VIRTIO_IDENT(0x1001, 2, 0x010000);

static const struct timer_decl timers[] = {
    {"done", offsetof(struct virtio_blk, timer), timer_fired}, {0}};

static const struct prop props[] = {
    {.name = "drive",
     .type = PROP_TEXT,
     .offset = offsetof(struct virtio_blk, drive_id),
     .def = "",
     .help = "id of the -drive (if=none)"},
    {.name = "serial",
     .type = PROP_TEXT,
     .offset = offsetof(struct virtio_blk, serial),
     .def = "",
     .help = "serial number, 20 characters"},
    {0},
};

const struct device_type virtio_blk_type = {
    .name = "virtio-blk-pci",
    .help = "virtio disk",
    .category = "storage",
    .size = sizeof(struct virtio_blk),
    .pci = &ident,
    .pci_offset = offsetof(struct virtio_blk, v.fn),
    .timers = timers,
    .props = props,
    .snapshot = &virtio_blk_snapshot,
    .init = init,
    .reset = virtio_reset,
    .free = exit_,
    .loaded = loaded,
};
