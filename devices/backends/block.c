/*
 * Disk images: opening (which format, whose backing file), the thread that does the work, and the
 * formats raw and memory. See block.h; the other formats are in block_<format>.c.
 *
 * "Guessed": when nobody said what format a file is, its first and last sector tell. A guest that
 * owns a raw disk can write any bytes there, also the header of another format that names a file of
 * the host as its backing file: the next start would guess that format and hand the named file to
 * the guest. So as long as an image is raw only because that was our guess, a write that would make
 * the next guess come out differently is refused with -EPERM, and the message says how to allow it:
 * name the format. For the same reason a backing file whose format is not named in the image above
 * it may not name further files itself (image_open_named()).
 */
#define _GNU_SOURCE
#include "devices/backends/block_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zlib.h>
#include "base/config.h"
#include "base/host.h"

#define BLOCK_CREATE_MAX (64ull << 40)

static const struct image_format *const formats[] = {
    &format_qcow2, &format_vmdk, &format_vdi, &format_vhd, &format_vhdx, &format_raw,
};

/* ---- raw ------------------------------------------------------------------------------------ */

static const struct image_format *guess_format(const u8 *head, const u8 *tail, const char *path)
{
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i]->probe && formats[i]->probe(head, tail, path))
			return formats[i];
	return &format_raw;
}

static int raw_open(struct image *im, struct block_error *e)
{
	if (im->file->size > IMAGE_BYTES_MAX)
		return block_fail(e, -EFBIG, im->file->path, "is too large");
	if (!im->file->size)
		return block_fail(e, -EINVAL, im->file->path,
				  "is empty: create a disk first, for instance with "
				  "\"truncate -s 1G FILE\"");
	im->bytes = (im->file->size + 511) & ~511ull;
	return 0;
}

static int raw_read(struct image *im, u64 at, u8 *data, u64 n)
{
	return file_read(im->file, at, data, n);
}

/* Puts what is written into @sector, which is at @sector_at. */
static void overlay_sector(u8 *sector, u64 sector_at, u64 at, const u8 *data, u64 n)
{
	u64 from = MAX(at, sector_at), to = MIN(at + n, sector_at + 512);
	if (from < to)
		memcpy(sector + (from - sector_at), data + (from - at), to - from);
}

/* See "guessed" above. */
static bool would_change_guess(struct image *im, u64 at, const u8 *data, u64 n)
{
	u8 head[512], tail[512];
	u64 tail_at = im->bytes - 512;
	if (!im->guessed || (at >= 512 && at + n <= tail_at))
		return false;
	if (file_read(im->file, 0, head, 512) || file_read(im->file, tail_at, tail, 512))
		return true;
	overlay_sector(head, 0, at, data, n);
	overlay_sector(tail, tail_at, at, data, n);
	return guess_format(head, tail, im->file->path) != &format_raw;
}

static int raw_write(struct image *im, u64 at, const u8 *data, u64 n)
{
	if (would_change_guess(im, at, data, n)) {
		image_complain(im, "the guest writes the header of another image format into this "
				   "disk, which was taken for raw by its content alone; that write "
				   "is refused. Say format=raw to allow it");
		return -EPERM;
	}
	return file_write(im->file, at, data, n);
}

static int raw_flush(struct image *im)
{
	return file_sync(im->file);
}

static int raw_discard(struct image *im, u64 at, u64 n)
{
	int r = file_punch(im->file, at, n);
	return r == -EOPNOTSUPP ? 0 : r;
}

const struct image_format format_raw = {
    .name = "raw",
    .open = raw_open,
    .read = raw_read,
    .write = raw_write,
    .flush = raw_flush,
    .discard = raw_discard,
};

/* ---- images --------------------------------------------------------------------------------- */

int image_complain(struct image *im, const char *fmt, ...)
{
	char text[700];
	va_list ap;
	if (im->said)
		return -EIO;
	im->said = true;
	int n = snprintf(text, sizeof(text),
			 "'%.300s': ", im->file ? im->file->path : "volatile overlay");
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	if (im->complain)
		im->complain(im->ctx, text);
	else
		fprintf(stderr, "orrery: warning: %s\n", text);
	return -EIO;
}

int image_read(struct image *im, u64 at, u8 *data, u64 n)
{
	u64 have = at >= im->bytes ? 0 : MIN(n, im->bytes - at);
	memset(data + have, 0, n - have);
	return have ? im->format->read(im, at, data, have) : 0;
}

int image_read_backing(struct image *im, u64 at, u8 *data, u64 n)
{
	if (im->backing)
		return image_read(im->backing, at, data, n);
	memset(data, 0, n);
	return 0;
}

static const struct image_format *find_format(const char *name, const char *path,
					      struct block_error *e)
{
	static const char *const names[] = {"raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx", NULL};
	if (!strcmp(name, "vhd"))
		name = "vpc";
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
		if (!strcmp(formats[i]->name, name))
			return formats[i];
	const char *near = nearest(name, names);
	block_fail(e, -EINVAL, path, "unknown image format '%s'%s%s%s", name,
		   near ? ", did you mean '" : " (raw, qcow2, vmdk, vdi, vpc, vhdx)",
		   near ? near : "", near ? "'?" : "");
	return NULL;
}

static int tell_format(struct image *im, const char *name, struct block_error *e)
{
	u8 head[512], tail[512];
	struct block_file *f = im->file;
	if (name) {
		im->format = find_format(name, f->path, e);
		return im->format ? 0 : -EINVAL;
	}
	int r = file_read(f, 0, head, 512);
	u64 tail_at = f->size < 512 ? 0 : ((f->size + 511) & ~511ull) - 512;
	if (r || (r = file_read(f, tail_at, tail, 512)))
		return block_fail(e, r, f->path, "cannot be read: %s", strerror(-r));
	im->format = guess_format(head, tail, f->path);
	im->guessed = true;
	return 0;
}

struct image *image_open_file(struct block_file *f, const char *format, struct image *parent,
			      const struct block_options *o, struct block_error *e, int *result)
{
	struct image *im = calloc(1, sizeof(*im));
	if (!im) {
		*result = block_fail(e, -ENOMEM, f->path, "out of memory");
		file_close(f);
		return NULL;
	}
	im->file = f;
	im->parent = parent;
	im->options = o;
	im->writable = f->writable;
	im->complain = o->complain;
	im->ctx = o->ctx;
	f->no_sync |= o->no_sync;
	int r = tell_format(im, format, e);
	if (!r && o->internal_snapshot && !parent && strcmp(im->format->name, "qcow2"))
		r = block_fail(e, -EINVAL, f->path, "%s images hold no internal snapshots",
			       im->format->name);
	if (!r && im->writable && !im->format->write)
		r = block_fail(e, -EROFS, f->path,
			       "%s images can only be read here: give it readonly=on, or "
			       "snapshot=on to write into a volatile overlay",
			       im->format->name);
	if (!r)
		r = im->format->open(im, e);
	*result = r;
	im->parent = NULL;
	im->options = NULL;
	if (!r)
		return im;
	image_close(im);
	return NULL;
}

void image_close(struct image *im)
{
	if (!im)
		return;
	if (im->format && im->format->close)
		im->format->close(im);
	image_close(im->backing);
	file_close(im->file);
	free(im);
}

/* A name inside an image is relative to that image's folder. malloc'ed. */
static char *beside(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	char *out = NULL;
	if (*name == '/' || !slash)
		return strdup(name);
	if (asprintf(&out, "%.*s/%s", (int)(slash - path), path, name) < 0)
		return NULL;
	return out;
}

/* Is this file already part of the chain that names it? */
static bool in_chain(const struct image *im, const char *path)
{
	struct stat st;
	if (stat(path, &st))
		return false;
	for (; im; im = im->parent)
		if (im->file->fd >= 0 && im->file->device == st.st_dev &&
		    im->file->inode == st.st_ino)
			return true;
	return false;
}

static unsigned depth_of(const struct image *im)
{
	unsigned n = 0;
	for (; im; im = im->parent)
		n++;
	return n;
}

struct block_file *image_open_extent(struct image *parent, const char *name, bool writable,
				     struct block_error *e, int *result)
{
	const char *path = parent->file->path;
	if (parent->file->fd < 0) { /* fuzzers and tests must not reach the host's files */
		*result = block_fail(e, -EINVAL, path, "names the file '%s'", name);
		return NULL;
	}
	if (depth_of(parent) > IMAGE_DEPTH_MAX) {
		*result =
		    block_fail(e, -ELOOP, path, "has more than %d backing files", IMAGE_DEPTH_MAX);
		return NULL;
	}
	if (parent->guessed && parent->parent) { /* see "guessed" above */
		*result =
		    block_fail(e, -EINVAL, path,
			       "is used as a backing file whose format is not named, and names "
			       "a further file ('%s'): name the format, for instance with "
			       "\"qemu-img rebase -u -F FORMAT -b FILE IMAGE\"",
			       name);
		return NULL;
	}
	const char *scheme = strstr(name, "://");
	if (scheme || !strncmp(name, "json:", 5)) {
		*result =
		    block_fail(e, -EINVAL, path, "names '%s': only files can be opened here", name);
		return NULL;
	}
	char *full = beside(path, strncmp(name, "file:", 5) ? name : name + 5);
	if (!full) {
		*result = block_fail(e, -ENOMEM, path, "out of memory");
		return NULL;
	}
	struct block_file *f = NULL;
	if (in_chain(parent, full)) /* before it is opened: it would conflict with its own lock */
		*result =
		    block_fail(e, -ELOOP, path, "names '%s', which is in its own chain", full);
	else
		f = file_open(full, writable, e, result);
	free(full);
	return f;
}

struct image *image_open_named(struct image *parent, const char *name, const char *format,
			       bool writable, struct block_error *e, int *result)
{
	struct block_file *f = image_open_extent(parent, name, writable, e, result);
	return f ? image_open_file(f, format, parent, parent->options, e, result) : NULL;
}

int block_inflate(const u8 *in, u64 in_size, u8 *out, u64 out_size, int bits)
{
	z_stream z = {.next_in = (u8 *)(uintptr_t)in,
		      .avail_in = (uInt)in_size,
		      .next_out = out,
		      .avail_out = (uInt)out_size};
	if (inflateInit2(&z, bits) != Z_OK)
		return -EIO;
	/* Input beyond the end of the stream is padding; a stream that wants to give more than fits
	 * is damaged, or ends here. */
	int r = inflate(&z, Z_FINISH);
	bool whole = !z.avail_out && (r == Z_STREAM_END || r == Z_BUF_ERROR);
	inflateEnd(&z);
	return whole ? 0 : -EIO;
}

/* ---- the block and its thread --------------------------------------------------------------- */

struct block {
	struct image *image;
	char *path;
	bool read_only;
	struct host_monitor *lock; /* of what follows */
	struct host_thread *thread;
	bool quit;
	bool busy;	  /* somebody is at the image, without the lock */
	unsigned waiting; /* how many want to know when that ends */
	struct block_request *head, **tail;
};

static int carry_out(struct block *b, struct block_request *r)
{
	struct image *im = b->image;
	u64 sectors = im->bytes / BLOCK_SECTOR;
	if (r->op == BLOCK_FLUSH)
		return im->writable && im->format->flush ? im->format->flush(im) : 0;
	if (r->lba > sectors || r->sectors > sectors - r->lba)
		return -ERANGE;
	u64 at = r->lba * BLOCK_SECTOR, n = (u64)r->sectors * BLOCK_SECTOR;
	if (r->op != BLOCK_READ && b->read_only)
		return -EROFS;
	if (!n)
		return 0;
	switch (r->op) {
	case BLOCK_READ: return im->format->read(im, at, r->data, n);
	case BLOCK_WRITE: return im->format->write(im, at, r->data, n);
	case BLOCK_DISCARD: return im->format->discard ? im->format->discard(im, at, n) : 0;
	default: return -EINVAL;
	}
}

/* Failures of the host come in many kinds; a device knows what to do with these. */
static int known_result(int r)
{
	return !r || r == -EROFS || r == -ERANGE || r == -ENOSPC || r == -EPERM ? r : -EIO;
}

static const char *const op_names[] = {
    [BLOCK_READ] = "reading",
    [BLOCK_WRITE] = "writing",
    [BLOCK_FLUSH] = "flushing",
    [BLOCK_DISCARD] = "discarding",
};

/* Carries out the first request, with the lock held at entry and exit only. */
static void run_first(struct block *b)
{
	struct block_request *r = b->head;
	b->head = r->next;
	if (!b->head)
		b->tail = &b->head;
	b->busy = true;
	host_monitor_leave(b->lock);
	int result = carry_out(b, r);
	if (result && result != -ERANGE && result != -EROFS)
		image_complain(b->image, "%s of %u sectors at sector %llu failed: %s",
			       op_names[r->op], r->sectors, (unsigned long long)r->lba,
			       strerror(-result));
	result = known_result(result);
	host_monitor_enter(b->lock);
	b->busy = false;
	r->result = result;
	r->next = NULL;
	r->pending = false;
	if (b->waiting)
		host_monitor_notify(b->lock);
}

/* Until the one who is at the image has done. */
static void wait_done(struct block *b)
{
	b->waiting++;
	host_monitor_wait(b->lock);
	b->waiting--;
}

static void worker(void *arg)
{
	struct block *b = arg;
	host_monitor_enter(b->lock);
	while (!b->quit) {
		if (b->busy)
			wait_done(b);
		else if (b->head)
			run_first(b);
		else
			host_monitor_wait(b->lock);
	}
	host_monitor_leave(b->lock);
}

void block_submit(struct block *b, struct block_request *r)
{
	host_monitor_enter(b->lock);
	r->next = NULL;
	r->result = -EIO;
	r->pending = true;
	*b->tail = r;
	b->tail = &r->next;
	/* The thread exists from here on. Without one (no resources) block_wait() does the work. */
	if (!b->thread)
		b->thread = host_thread_start(worker, b);
	host_monitor_notify(b->lock);
	host_monitor_leave(b->lock);
}

/* Whoever waits does what is still waiting itself: that is sooner done than waking the thread. */
static void wait_for(struct block *b, struct block_request *r)
{
	while (r->pending) {
		if (!b->busy && b->head)
			run_first(b);
		else
			wait_done(b);
	}
}

int block_wait(struct block *b, struct block_request *r)
{
	host_monitor_enter(b->lock);
	wait_for(b, r);
	int result = r->result;
	host_monitor_leave(b->lock);
	return result;
}

int block_io(struct block *b, enum block_op op, u64 lba, u32 sectors, u8 *data)
{
	struct block_request r = {.op = op, .lba = lba, .sectors = sectors, .data = data};
	host_monitor_enter(b->lock);
	r.pending = true;
	*b->tail = &r;
	b->tail = &r.next;
	wait_for(b, &r);
	host_monitor_leave(b->lock);
	return r.result;
}

/* Enters, carries out what is left to do, and leaves nobody at the image. */
static struct image *enter_idle(struct block *b)
{
	host_monitor_enter(b->lock);
	while (b->head || b->busy) {
		if (!b->busy)
			run_first(b);
		else
			wait_done(b);
	}
	return b->image;
}

void block_close(struct block *b)
{
	if (!b)
		return;
	enter_idle(b);
	b->quit = true;
	host_monitor_notify(b->lock);
	host_monitor_leave(b->lock);
	host_thread_join(b->thread);
	if (b->image->writable && b->image->format->flush && b->image->format->flush(b->image))
		image_complain(b->image, "not everything could be written when it was closed");
	image_close(b->image);
	host_monitor_destroy(b->lock);
	free(b->path);
	free(b);
}

/* ---- opening -------------------------------------------------------------------------------- */

struct block *block_of_image(struct image *im)
{
	struct block *b = calloc(1, sizeof(*b));
	if (!b || !(b->path = strdup(im->file ? im->file->path : "overlay")) ||
	    !(b->lock = host_monitor_create())) {
		if (b)
			free(b->path);
		free(b);
		image_close(im);
		return NULL;
	}
	b->image = im;
	b->tail = &b->head;
	b->read_only = !im->writable;
	return b;
}

struct block *block_of_file(struct block_file *f, const struct block_options *o, char *err,
			    size_t err_size)
{
	struct block_error e = {err, err_size};
	int r;
	struct image *im = image_open_file(f, o->format, NULL, o, &e, &r);
	if (im && o->snapshot)
		im = overlay_open(im, &e);
	if (!im)
		return NULL;
	struct block *b = block_of_image(im);
	if (!b)
		block_fail(&e, -ENOMEM, o->path, "out of memory");
	else
		b->read_only |= o->read_only;
	return b;
}

struct block *block_open(const struct block_options *o, char *err, size_t err_size)
{
	struct block_error e = {err, err_size};
	bool writable = !o->read_only && !o->snapshot && !o->internal_snapshot;
	int r;
	struct block_file *f = file_open(o->path, writable, &e, &r);
	return f ? block_of_file(f, o, err, err_size) : NULL;
}

struct block *block_memory(u64 bytes)
{
	const struct block_options o = {.path = "memory", .format = "raw"};
	bytes = (bytes + 511) & ~511ull;
	struct block_file *f = file_memory(bytes, bytes);
	return f ? block_of_file(f, &o, NULL, 0) : NULL;
}

int block_check(struct block *b, bool repair, struct block_report *out)
{
	const struct image_format *f = b->image->format;
	*out = (struct block_report){0};
	return !f->check                ? -EOPNOTSUPP
	       : repair && b->read_only ? -EROFS
					: f->check(b->image, repair, out);
}

int block_create(const char *path, const char *format, u64 bytes, char *err, size_t err_size)
{
	struct block_error e = {err, err_size};
	bytes = (bytes + 511) & ~511ull;
	if (!bytes || bytes > BLOCK_CREATE_MAX)
		return block_fail(&e, -EINVAL, path, "a disk has 512 bytes to 64 TiB");
	if (strcmp(format, "raw") && strcmp(format, "qcow2"))
		return block_fail(
		    &e, -EINVAL, path,
		    "images of the format '%s' cannot be made here; raw and qcow2 can", format);
	int r;
	struct block_file *f = file_create(path, &e, &r);
	if (!f)
		return r;
	r = *format == 'r' ? file_resize(f, bytes) : qcow2_create(f, bytes);
	if (!r)
		r = file_sync(f);
	if (r)
		block_fail(&e, r, path, "cannot be written: %s", strerror(-r));
	file_close(f);
	return r;
}

/* ---- snapshots ------------------------------------------------------------------------------ */

bool block_volatile(const struct block *b)
{
	return b->image->format == &format_overlay;
}

int block_identify(struct block *b, struct block_identity *out)
{
	struct image *im = enter_idle(b), *base = block_volatile(b) ? im->backing : im;
	int r = im->writable && im->format->flush ? im->format->flush(im) : 0;
	struct stat st = {0};
	if (!r && base->file->fd >= 0 && fstat(base->file->fd, &st))
		r = -errno;
	*out = (struct block_identity){.bytes = base->file->size,
				       .mtime_ns = st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec};
	host_monitor_leave(b->lock);
	return r;
}

int block_overlay_each(struct block *b, int (*put)(void *ctx, u64 unit, const u8 *data), void *ctx)
{
	struct image *im = enter_idle(b);
	int r = block_volatile(b) ? overlay_each(im, put, ctx) : 0;
	host_monitor_leave(b->lock);
	return r;
}

int block_overlay_put(struct block *b, u64 unit, const u8 *data)
{
	struct image *im = enter_idle(b);
	int r = block_volatile(b) ? overlay_put(im, unit, data) : -EROFS;
	host_monitor_leave(b->lock);
	return r;
}

void block_overlay_clear(struct block *b)
{
	struct image *im = enter_idle(b);
	if (block_volatile(b))
		overlay_clear(im);
	host_monitor_leave(b->lock);
}

struct overlay_mark *block_mark(struct block *b)
{
	struct image *im = enter_idle(b);
	struct overlay_mark *k = block_volatile(b) ? overlay_mark(im) : NULL;
	host_monitor_leave(b->lock);
	return k;
}

void block_rewind(struct block *b, const struct overlay_mark *k)
{
	overlay_rewind(enter_idle(b), k);
	host_monitor_leave(b->lock);
}

void block_unmark(struct block *b, struct overlay_mark *k)
{
	overlay_unmark(enter_idle(b), k);
	host_monitor_leave(b->lock);
}

struct image *block_image(struct block *b)
{
	return b->image;
}

u64 block_sectors(const struct block *b)
{
	return b->image->bytes / BLOCK_SECTOR;
}

u64 block_bytes(const struct block *b)
{
	const struct image *im = b->image->format == &format_overlay ? b->image->backing : b->image;
	return im->format == &format_raw ? im->file->size : im->bytes;
}

bool block_read_only(const struct block *b)
{
	return b->read_only;
}

const char *block_format(const struct block *b)
{
	const struct image *im = b->image;
	return im->format == &format_overlay ? im->backing->format->name : im->format->name;
}

const char *block_path(const struct block *b)
{
	const struct image *im = b->image;
	return im->format == &format_overlay ? im->backing->file->path : b->path;
}

/* ---- what a file is ------------------------------------------------------------------------- */

static bool diskette_size(u64 n)
{
	static const u16 kib[] = {160, 180, 320, 360, 720, 1200, 1440, 1680, 2880};
	for (unsigned i = 0; i < ARRAY_SIZE(kib); i++)
		if (n == kib[i] * 1024ull)
			return true;
	return false;
}

/* Multiboot 1 and 2 headers stand in the first 8 and 32 KiB. */
static bool has_multiboot(const u8 *data, u64 n)
{
	for (u64 at = 0; at + 12 <= n; at += 4) {
		u32 magic = le32(data + at);
		if (at < 8192 && magic == 0x1badb002 &&
		    !(u32)(magic + le32(data + at + 4) + le32(data + at + 8)))
			return true;
		if (magic == 0xe85250d6 && at + 16 <= n &&
		    !(u32)(magic + le32(data + at + 4) + le32(data + at + 8) +
			   le32(data + at + 12)))
			return true;
	}
	return false;
}

enum block_guess block_guess(const char *path)
{
	static u8 const elf[] = {0x7f, 'E', 'L', 'F'}, gzip[] = {0x1f, 0x8b};
	u8 *head = calloc(1, 34 * 1024), tail[512] = {0};
	char text[64];
	struct block_error e = {text, sizeof(text)};
	int r;
	/* A file that is in use is taken for a disk, whose drive will say so better. */
	struct block_file *f = head ? file_open(path, false, &e, &r) : NULL;
	enum block_guess g = BLOCK_GUESS_OTHER;
	if (!f) {
		free(head);
		return head && r == -EAGAIN ? BLOCK_GUESS_DISK : BLOCK_GUESS_UNREADABLE;
	}
	if (file_read(f, 0, head, 34 * 1024) ||
	    (f->size >= 512 && file_read(f, f->size - 512, tail, 512)))
		g = BLOCK_GUESS_UNREADABLE;
	else if (!memcmp(head + 32769, "CD001", 5))
		g = BLOCK_GUESS_CD;
	else if (guess_format(head, tail, path) != &format_raw)
		g = BLOCK_GUESS_DISK;
	else if (!memcmp(head, elf, 4) || !memcmp(head, gzip, 2) ||
		 !memcmp(head + 0x202, "HdrS", 4) || has_multiboot(head, MIN(f->size, 32 * 1024)))
		g = BLOCK_GUESS_OTHER;
	else if (diskette_size(f->size))
		g = BLOCK_GUESS_FLOPPY;
	else if (head[510] == 0x55 && head[511] == 0xaa)
		g = BLOCK_GUESS_DISK;
	file_close(f);
	free(head);
	return g;
}
