/*
 * Snapshot files: see snapshot_file.h and docs/snapshots.md. Everything is checked before anything is changed: first the file's
 * checksums, then that the machine fits, then that all of RAM can be unpacked if the machine has run; devices and processors
 * put themselves back if one of them refuses.
 */
#include "machine/snapshot_file.h"

#include <stdlib.h>
#include <zlib.h>
#include "machine/machine_internal.h"
#include "machine/packed_file.h"

#define MAGIC	"ORRYSNAP"
#define VERSION 1u

#define PIECE	    (1u << 20) /* RAM is packed in pieces that threads work on side by side */
#define PIECE_PAGES (PIECE / 4096)
#define FILE_MAX    (1ull << 40)

/* ---- RAM -------------------------------------------------------------------------------------------------------- */

struct piece_head {
	u64 number;
	u8 present[PIECE_PAGES / 8]; /* pages that are not all zero: packed one after the other */
};

struct piece {
	const u8 *packed; /* head and zlib stream; malloc'ed while saving */
	u64 bytes;
};

struct ram_work {
	struct ram *ram;
	struct piece *piece;
	u64 count;
	_Atomic u64 next, done;
	atomic_int status;
	int (*work)(struct ram_work *w, u64 i);
	bool check_only;
};

static bool page_is_zero(const u8 *p)
{
	u64 any = 0;
	for (unsigned i = 0; i < 4096 && !any; i += 64)
		for (unsigned k = 0; k < 64; k += 8) {
			u64 v;
			memcpy(&v, p + i + k, 8);
			any |= v;
		}
	return !any;
}

static u64 pieces_of(const struct ram *ram)
{
	return (ram->size_bytes + PIECE - 1) / PIECE;
}

static unsigned pages_of(const struct ram *ram, u64 piece)
{
	return (unsigned)(MIN(PIECE, ram->size_bytes - piece * PIECE) / 4096);
}

static void work(void *ctx)
{
	struct ram_work *w = ctx;
	for (;;) {
		u64 i = atomic_fetch_add(&w->next, 1);
		if (i >= w->count || atomic_load(&w->status))
			return;
		int r = w->work(w, i);
		if (r)
			atomic_store(&w->status, r);
		atomic_fetch_add(&w->done, 1);
	}
}

/* Both this thread and another work; this one tells how far they are. */
static int work_together(struct ram_work *w, snapshot_progress progress, void *ctx)
{
	struct host_thread *other = host_thread_start(work, w);
	for (;;) {
		u64 i = atomic_fetch_add(&w->next, 1);
		if (i >= w->count || atomic_load(&w->status))
			break;
		int r = w->work(w, i);
		atomic_fetch_add(&w->done, 1);
		if (!r && progress && !progress(ctx, atomic_load(&w->done) * PIECE, w->count * PIECE))
			r = -ECANCELED;
		if (r)
			atomic_store(&w->status, r);
	}
	host_thread_join(other);
	return atomic_load(&w->status);
}

static int deflate_pages(z_stream *z, const struct piece_head *h, const u8 *ram, unsigned pages)
{
	for (unsigned i = 0; i < pages; i++) {
		if (!(h->present[i / 8] >> (i % 8) & 1))
			continue;
		z->next_in = (u8 *)(uintptr_t)(ram + i * 4096u);
		z->avail_in = 4096;
		if (deflate(z, Z_NO_FLUSH) != Z_OK || z->avail_in)
			return -ENOMEM;
	}
	return deflate(z, Z_FINISH) == Z_STREAM_END ? 0 : -ENOMEM;
}

static int pack_piece(struct ram_work *w, u64 n)
{
	const u8 *ram = w->ram->host + n * PIECE;
	unsigned pages = pages_of(w->ram, n), present = 0;
	struct piece_head h = {.number = n};
	for (unsigned i = 0; i < pages; i++)
		if (!page_is_zero(ram + i * 4096u)) {
			h.present[i / 8] |= (u8)BIT(i % 8);
			present++;
		}
	if (!present)
		return 0;
	z_stream z = {0};
	if (deflateInit(&z, 1) != Z_OK)
		return -ENOMEM;
	u64 room = sizeof(h) + deflateBound(&z, present * 4096u);
	u8 *out = malloc(room);
	int r = out ? 0 : -ENOMEM;
	if (out) {
		memcpy(out, &h, sizeof(h));
		z.next_out = out + sizeof(h);
		z.avail_out = (uInt)(room - sizeof(h));
		r = deflate_pages(&z, &h, ram, pages);
	}
	w->piece[n].bytes = sizeof(h) + z.total_out;
	deflateEnd(&z);
	u8 *small = r ? NULL : realloc(out, w->piece[n].bytes);
	w->piece[n].packed = small ? small : out;
	return r;
}

static int inflate_pages(z_stream *z, const struct piece_head *h, u8 *ram, unsigned pages, bool check_only)
{
	u8 scratch[4096];
	for (unsigned i = 0; i < PIECE_PAGES; i++) {
		bool present = h->present[i / 8] >> (i % 8) & 1;
		u8 *page = ram + i * 4096u;
		if (present && i >= pages)
			return -EINVAL;
		if (!present) {
			if (i < pages && !check_only && !page_is_zero(page))
				memset(page, 0, 4096);
			continue;
		}
		z->next_out = check_only ? scratch : page;
		z->avail_out = 4096;
		int r = inflate(z, Z_SYNC_FLUSH);
		if ((r != Z_OK && r != Z_STREAM_END) || z->avail_out)
			return -EINVAL;
	}
	u8 end;
	z->next_out = &end;
	z->avail_out = 1;
	return inflate(z, Z_FINISH) == Z_STREAM_END && z->avail_out == 1 && !z->avail_in ? 0 : -EINVAL;
}

static int unpack_piece(struct ram_work *w, u64 n)
{
	static const struct piece_head nothing;
	const struct piece *p = &w->piece[n];
	u8 *ram = w->ram->host + n * PIECE;
	if (!p->packed) {
		for (unsigned i = 0; i < pages_of(w->ram, n) && !w->check_only; i++)
			if (!page_is_zero(ram + i * 4096u))
				memset(ram + i * 4096u, 0, 4096);
		return 0;
	}
	struct piece_head h = nothing;
	memcpy(&h, p->packed, sizeof(h));
	z_stream z = {.next_in = (u8 *)(uintptr_t)p->packed + sizeof(h), .avail_in = (uInt)(p->bytes - sizeof(h))};
	if (inflateInit(&z) != Z_OK)
		return -ENOMEM;
	int r = inflate_pages(&z, &h, ram, pages_of(w->ram, n), w->check_only);
	inflateEnd(&z);
	return r;
}

static int save_ram(struct machine *m, struct packed_writer *f, snapshot_progress progress, void *ctx)
{
	struct ram_work w = {.ram = &m->ram, .count = pieces_of(&m->ram), .work = pack_piece};
	w.piece = calloc(w.count, sizeof(*w.piece));
	int r = w.piece ? work_together(&w, progress, ctx) : -ENOMEM;
	for (u64 i = 0; w.piece && i < w.count; i++) {
		if (!r && w.piece[i].packed)
			packed_add(f, "RAM ", w.piece[i].packed, w.piece[i].bytes);
		free((u8 *)(uintptr_t)w.piece[i].packed);
	}
	free(w.piece);
	return r;
}

static int load_ram(struct machine *m, const struct packed_file *f, bool check_only, struct errtext *e)
{
	struct ram_work w = {.ram = &m->ram, .count = pieces_of(&m->ram), .work = unpack_piece, .check_only = check_only};
	const struct packed_block *b = NULL;
	int r = 0;
	w.piece = calloc(w.count, sizeof(*w.piece));
	if (!w.piece)
		return err_set(e, -ENOMEM, "no memory to unpack RAM");
	while (!r && (b = packed_next(f, b, "RAM "))) {
		u64 n = b->bytes >= sizeof(struct piece_head) ? le_get64(b->data) : UINT64_MAX;
		if (n >= w.count || w.piece[n].packed || b->bytes > 2ull * PIECE)
			r = -EINVAL;
		else
			w.piece[n] = (struct piece){b->data, b->bytes};
	}
	r = r ? r : work_together(&w, NULL, NULL);
	free(w.piece);
	return r ? err_set(e, r, "the snapshot's RAM cannot be unpacked") : 0;
}

/* ---- disks ------------------------------------------------------------------------------------------------------ */

/* Payload: the drive's id and a zero byte, then zlib of [u64 unit, its bytes]... */
struct disk_writer {
	struct snap_buf raw;
	struct packed_writer *f;
	const char *id;
};

#define DISK_BATCH (256u * (BLOCK_UNIT + 8))

static void flush_disk(struct disk_writer *d)
{
	if (d->raw.len)
		packed_add_deflated(d->f, "DISK", d->id, strlen(d->id) + 1, d->raw.data, d->raw.len);
	d->raw.len = 0;
}

static int put_unit(void *ctx, u64 unit, const u8 *data)
{
	struct disk_writer *d = ctx;
	snap_put(&d->raw, &unit, 8);
	snap_put(&d->raw, data, BLOCK_UNIT);
	if (d->raw.len >= DISK_BATCH)
		flush_disk(d);
	return d->raw.failed ? -ENOMEM : 0;
}

static int save_disks(struct machine *m, struct packed_writer *f)
{
	int r = 0;
	for (unsigned i = 0; i < m->cfg.drives && !r; i++) {
		struct disk_writer d = {.f = f, .id = m->cfg.drive[i].id};
		if (!m->cfg.drive[i].block || !block_volatile(m->cfg.drive[i].block))
			continue;
		r = block_overlay_each(m->cfg.drive[i].block, put_unit, &d);
		flush_disk(&d);
		free(d.raw.data);
	}
	return r;
}

/* Units of one batch, into the drive's overlay if @apply. */
static int load_batch(struct machine *m, const struct packed_block *b, bool apply, struct errtext *e)
{
	const u8 *end = memchr(b->data, 0, b->bytes);
	struct drive *d = end ? machine_drive(m, (const char *)b->data) : NULL;
	u64 n = 0;
	u8 *raw = d && d->block && block_volatile(d->block)
			  ? packed_inflate(end + 1, b->bytes - (u64)(end + 1 - b->data), DISK_BATCH, &n)
			  : NULL;
	int r = raw && n && n % (BLOCK_UNIT + 8) == 0 ? 0 : -EINVAL;
	for (u64 at = 0; !r && at < n; at += BLOCK_UNIT + 8) {
		u64 unit = le_get64(raw + at);
		if (unit > block_sectors(d->block) / (BLOCK_UNIT / BLOCK_SECTOR))
			r = -EINVAL;
		else if (apply)
			r = block_overlay_put(d->block, unit, raw + at + 8);
	}
	free(raw);
	return r ? err_set(e, r, "the snapshot's overlay of a disk cannot be unpacked: %s", strerror(-r)) : 0;
}

static int load_disks(struct machine *m, const struct packed_file *f, bool apply, struct errtext *e)
{
	const struct packed_block *b = NULL;
	int r = 0;
	for (unsigned i = 0; apply && i < m->cfg.drives; i++)
		if (m->cfg.drive[i].block)
			block_overlay_clear(m->cfg.drive[i].block);
	while (!r && (b = packed_next(f, b, "DISK")))
		r = load_batch(m, b, apply, e);
	return r;
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

static int add_state(struct machine *m, struct packed_writer *f)
{
	struct snap_buf b = {0};
	machine_state_save(m, &b);
	int r = b.failed ? -ENOMEM : 0;
	if (!r)
		packed_add_deflated(f, "STAT", NULL, 0, b.data, b.len);
	free(b.data);
	return r;
}

int machine_save(struct machine *m, const char *path, snapshot_progress progress, void *ctx, struct errtext *e)
{
	struct packed_writer f;
	machine_forget(m);
	char *kind = machine_describe(m);
	packed_begin(&f, MAGIC, VERSION);
	if (kind)
		packed_add(&f, "KIND", kind, strlen(kind) + 1);
	if (m->cfg.options)
		packed_add(&f, "OPTS", m->cfg.options, strlen(m->cfg.options) + 1);
	int r = kind ? add_state(m, &f) : -ENOMEM;
	r = r ? r : save_disks(m, &f);
	r = r ? r : save_ram(m, &f, progress, ctx);
	r = packed_end(&f, r ? NULL : path, r);
	free(kind);
	return r ? err_set(e, r, "cannot save the machine to '%s': %s", path, strerror(-r)) : 0;
}

static u8 *unpack_state(const struct packed_file *f, u64 *n)
{
	const struct packed_block *b = packed_next(f, NULL, "STAT");
	return b && !packed_next(f, b, "STAT") ? packed_inflate(b->data, b->bytes, 1ull << 32, n) : NULL;
}

static const char *text_block(const struct packed_file *f, const char *tag)
{
	const struct packed_block *b = packed_next(f, NULL, tag);
	return b && b->bytes && !b->data[b->bytes - 1] ? (const char *)b->data : NULL;
}

/* RAM and disks come first: devices begin again what was under way. Before, what is there must have come to its end. */
static int apply(struct machine *m, const struct packed_file *f, const u8 *state, u64 n, struct errtext *e)
{
	int r = machine_state_check(m, state, n, e);
	r = r ? r : load_disks(m, f, false, e);
	r = r || !machine_icount(m) ? r : load_ram(m, f, true, e);
	if (r)
		return r;
	r = load_disks(m, f, true, e);
	r = r ? r : load_ram(m, f, false, e);
	r = r ? r : machine_state_load(m, state, n, e);
	audio_restart(m->audio, machine_now(m));
	return r;
}

static int load_packed(struct machine *m, const struct packed_file *f, struct errtext *e)
{
	const char *kind = text_block(f, "KIND");
	u64 n = 0;
	if (m->recorder || m->reverse)
		return err_set(e, -EBUSY, "a run that is %s cannot be left for a snapshot%s",
			       m->recorder ? "recorded or replayed" : "kept for going back",
			       m->recorder ? ": end the recording first" : ": 'reverse off' ends that");
	u8 *state = unpack_state(f, &n);
	int r = kind && state ? 0 : err_set(e, -EINVAL, "the snapshot lacks what must be in it");
	r = r ? r : machine_fits(m, kind, e);
	r = r ? r : apply(m, f, state, n, e);
	free(state);
	return r;
}

int machine_load_bytes(struct machine *m, const u8 *data, u64 n, bool trust, struct errtext *e)
{
	struct packed_file f;
	int r = packed_open(&f, data, n, MAGIC, VERSION, "snapshot", trust, e);
	r = r ? r : load_packed(m, &f, e);
	packed_close(&f);
	return r;
}

static int read_file(const char *path, u8 **data, u64 *n, struct errtext *e)
{
	int r = host_file_read(path, FILE_MAX, data, n);
	return r ? err_set(e, r, "cannot read '%s': %s", path, host_file_why(r)) : 0;
}

static int in_file(int r, const char *path, struct errtext *e)
{
	struct errtext why = *e;
	return r ? err_set(e, r, "'%s': %s", path, why.s) : 0;
}

int machine_load(struct machine *m, const char *path, struct errtext *e)
{
	u8 *data;
	u64 n;
	int r = read_file(path, &data, &n, e);
	if (r)
		return r;
	r = in_file(machine_load_bytes(m, data, n, false, e), path, e);
	free(data);
	return r;
}

char *snapshot_file_options(const char *path, struct errtext *e)
{
	struct packed_file f;
	char *out = NULL;
	u8 *data;
	u64 n;
	if (read_file(path, &data, &n, e))
		return NULL;
	if (!in_file(packed_open(&f, data, n, MAGIC, VERSION, "snapshot", false, e), path, e)) {
		const char *text = text_block(&f, "OPTS");
		out = text ? strdup(text) : NULL;
		if (!text)
			err_set(e, -ENOENT, "'%s' does not say how its machine was started", path);
	}
	packed_close(&f);
	free(data);
	return out;
}
