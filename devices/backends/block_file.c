/*
 * Where images keep their bytes: host files under a lock, memory, unnamed temporary files. See
 * block_internal.h.
 *
 * A lock belongs to the open file (F_OFD_SETLK), so two opens in one process conflict as two
 * processes do. The bytes are those that QEMU locks, so that its processes and ours keep out of
 * each other's images too: byte 100 + p says "I use permission p", byte 200 + p "I do not share p";
 * the permissions that matter are 0 (consistent reads), 1 (writes) and 3 (resizing). Locks are
 * taken for reading, which never conflict; then each asks whether a conflicting one exists. Two who
 * start at once may both be refused, but never both be let in.
 */
#define _GNU_SOURCE
#include "devices/backends/block_internal.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/host.h"

#define LOCK_USED       100
#define LOCK_UNSHARED   200
#define PERM_CONSISTENT 0
#define PERM_WRITE      1
#define PERM_RESIZE     3

int block_fail(struct block_error *e, int code, const char *path, const char *fmt, ...)
{
	va_list ap;
	int n = 0;
	if (!e->size)
		return code;
	if (path)
		n = snprintf(e->text, e->size, "'%s': ", path);
	if (n < 0 || (size_t)n >= e->size)
		return code;
	va_start(ap, fmt);
	vsnprintf(e->text + n, e->size - (size_t)n, fmt, ap);
	va_end(ap);
	return code;
}

/* ---- locks ---------------------------------------------------------------------------------- */

static int lock_byte(int fd, off_t at)
{
	struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
	return fcntl(fd, F_OFD_SETLK, &l) ? -errno : 0;
}

static bool locked_by_another(int fd, off_t at)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
	return !fcntl(fd, F_OFD_GETLK, &l) && l.l_type != F_UNLCK;
}

/* 0, or -EAGAIN when another uses the file. A file system without locks gives none: that is not an
 * error. */
static int lock_file(int fd, bool writable)
{
	static const unsigned writes[] = {LOCK_USED + PERM_CONSISTENT, LOCK_USED + PERM_WRITE,
					  LOCK_USED + PERM_RESIZE, LOCK_UNSHARED + PERM_WRITE,
					  LOCK_UNSHARED + PERM_RESIZE};
	static const unsigned reads[] = {LOCK_USED + PERM_CONSISTENT, LOCK_UNSHARED + PERM_WRITE};
	const unsigned *take = writable ? writes : reads;
	unsigned n = writable ? ARRAY_SIZE(writes) : ARRAY_SIZE(reads);
	for (unsigned i = 0; i < n; i++) {
		int r = lock_byte(fd, take[i]);
		if (r)
			return r == -EAGAIN || r == -EACCES ? -EAGAIN : 0;
	}
	bool busy = locked_by_another(fd, LOCK_UNSHARED + PERM_CONSISTENT) ||
		    locked_by_another(fd, LOCK_USED + PERM_WRITE);
	if (writable)
		busy = busy || locked_by_another(fd, LOCK_UNSHARED + PERM_WRITE) ||
		       locked_by_another(fd, LOCK_UNSHARED + PERM_RESIZE) ||
		       locked_by_another(fd, LOCK_USED + PERM_RESIZE);
	return busy ? -EAGAIN : 0;
}

/* ---- opening -------------------------------------------------------------------------------- */

static struct block_file *new_file(const char *path)
{
	struct block_file *f = calloc(1, sizeof(*f));
	if (f && !(f->path = strdup(path))) {
		free(f);
		f = NULL;
	}
	if (f)
		f->fd = -1;
	return f;
}

static int open_failure(struct block_error *e, const char *path, bool writable, int code)
{
	if (writable && (code == -EACCES || code == -EROFS || code == -EPERM) &&
	    !access(path, R_OK))
		return block_fail(e, code, path,
				  "cannot be written (%s): give it readonly=on, or snapshot=on to "
				  "write into a volatile overlay",
				  strerror(-code));
	return block_fail(e, code, path, "cannot be opened: %s", strerror(-code));
}

static int inspect(struct block_file *f, struct block_error *e)
{
	struct stat st;
	if (fstat(f->fd, &st))
		return block_fail(e, -errno, f->path, "%s", strerror(errno));
	if (S_ISDIR(st.st_mode))
		return block_fail(e, -EISDIR, f->path, "is a directory, not a disk image");
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return block_fail(e, -EINVAL, f->path, "is neither a file nor a block device");
	off_t end = lseek(f->fd, 0, SEEK_END);
	if (end < 0)
		return block_fail(e, -errno, f->path, "%s", strerror(errno));
	f->size = (u64)end;
	f->device = st.st_dev;
	f->inode = st.st_ino;
	if (lock_file(f->fd, f->writable))
		return block_fail(e, -EAGAIN, f->path,
				  f->writable
				      ? "is in use by another drive or program: close that, "
					"or open both read-only (readonly=on, snapshot=on)"
				      : "is being written by another drive or program: "
					"close that first");
	return 0;
}

struct block_file *file_open(const char *path, bool writable, struct block_error *e, int *result)
{
	struct block_file *f = new_file(path);
	if (!f) {
		*result = block_fail(e, -ENOMEM, path, "out of memory");
		return NULL;
	}
	f->writable = writable;
	/* O_NONBLOCK: a FIFO must not hang us before it is refused. It means nothing to files and
	 * disks. */
	f->fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
	*result = f->fd < 0 ? open_failure(e, path, writable, -errno) : inspect(f, e);
	if (!*result)
		return f;
	file_close(f);
	return NULL;
}

struct block_file *file_create(const char *path, struct block_error *e, int *result)
{
	struct block_file *f = new_file(path);
	*result = -ENOMEM;
	if (f) {
		f->writable = true;
		f->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		*result = f->fd < 0 ? -errno : 0;
	}
	if (!*result)
		return f;
	block_fail(e, *result, path, "cannot be created: %s", strerror(-*result));
	file_close(f);
	return NULL;
}

struct block_file *file_memory(u64 size, u64 cap)
{
	struct block_file *f = new_file("memory");
	if (!f)
		return NULL;
	f->cap = MAX(cap, 4096);
	f->size = size;
	f->writable = true;
	f->mem = host_alloc_pages(f->cap);
	if (f->mem)
		return f;
	file_close(f);
	return NULL;
}

struct block_file *file_temporary(struct block_error *e)
{
	const char *dir = getenv("TMPDIR");
	struct block_file *f = new_file("temporary file");
	char name[4096];
	dir = dir && *dir ? dir : "/var/tmp"; /* /tmp may be memory; an overlay may become large */
	if (!f) {
		block_fail(e, -ENOMEM, NULL, "out of memory");
		return NULL;
	}
	f->writable = true;
	f->no_sync = true;
	f->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (f->fd < 0 &&
	    snprintf(name, sizeof(name), "%s/orrery-XXXXXX", dir) < (int)sizeof(name)) {
		f->fd = mkostemp(name, O_CLOEXEC);
		if (f->fd >= 0)
			unlink(name);
	}
	if (f->fd >= 0)
		return f;
	block_fail(e, -errno, NULL,
		   "no temporary file for the volatile overlay in %s (%s): set TMPDIR to a folder "
		   "that can be written",
		   dir, strerror(errno));
	file_close(f);
	return NULL;
}

void file_close(struct block_file *f)
{
	if (!f)
		return;
	if (f->fd >= 0)
		close(f->fd); /* and its locks with it */
	if (f->mem)
		host_free_pages(f->mem, f->cap);
	free(f->path);
	free(f);
}

/* ---- reading and writing -------------------------------------------------------------------- */

int file_read(struct block_file *f, u64 at, void *data, u64 n)
{
	u8 *to = data;
	u64 have = at >= f->size ? 0 : MIN(n, f->size - at);
	memset(to + have, 0, n - have);
	if (f->fd < 0) {
		memcpy(to, f->mem + (have ? at : 0), have);
		return 0;
	}
	while (have) {
		ssize_t got = pread(f->fd, to, MIN(have, 1u << 30), (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got) /* cut short behind our back */
			return -EIO;
		to += got;
		at += (u64)got;
		have -= (u64)got;
	}
	return 0;
}

int file_read_inside(struct block_file *f, u64 at, void *data, u64 n)
{
	if (at > f->size || n > f->size - at)
		return -EIO;
	return file_read(f, at, data, n);
}

static int write_memory(struct block_file *f, u64 at, const void *data, u64 n)
{
	if (at > f->cap || n > f->cap - at)
		return -ENOSPC;
	memcpy(f->mem + at, data, n);
	f->size = MAX(f->size, at + n);
	if (f->event)
		f->event(f->ctx, FILE_WRITTEN, at, n);
	return 0;
}

int file_write(struct block_file *f, u64 at, const void *data, u64 n)
{
	const u8 *from = data;
	if (!f->writable)
		return -EROFS;
	if (at > INT64_MAX || n > INT64_MAX - at)
		return -EFBIG;
	f->unsynced = true;
	if (f->fd < 0)
		return write_memory(f, at, data, n);
	while (n) {
		ssize_t put = pwrite(f->fd, from, MIN(n, 1u << 30), (off_t)at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno == EDQUOT ? -ENOSPC : -errno;
		from += put;
		at += (u64)put;
		n -= (u64)put;
		f->size = MAX(f->size, at);
	}
	return 0;
}

int file_sync(struct block_file *f)
{
	if (!f->unsynced)
		return 0;
	/* After a failure the host may have forgotten which pages it could not write, and call the
	 * next attempt a success. */
	if (f->fd >= 0 && !f->no_sync && !f->sync_error && fdatasync(f->fd))
		f->sync_error = -errno;
	if (f->sync_error)
		return f->sync_error;
	f->unsynced = false;
	if (f->event)
		f->event(f->ctx, FILE_SYNCED, 0, 0);
	return 0;
}

int file_resize(struct block_file *f, u64 size)
{
	if (!f->writable)
		return -EROFS;
	f->unsynced = true;
	if (f->fd >= 0) {
		if (ftruncate(f->fd, (off_t)size))
			return -errno;
	} else if (size > f->cap) {
		return -ENOSPC;
	} else if (size < f->size) {
		memset(f->mem + size, 0, f->size - size);
	}
	f->size = size;
	if (f->event)
		f->event(f->ctx, FILE_RESIZED, size, 0);
	return 0;
}

int file_punch(struct block_file *f, u64 at, u64 n)
{
	if (!f->writable)
		return -EROFS;
	if (at >= f->size || !n)
		return 0;
	n = MIN(n, f->size - at);
	f->unsynced = true;
	if (f->fd >= 0)
		return fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
				 (off_t)n)
			   ? -EOPNOTSUPP
			   : 0;
	memset(f->mem + at, 0, n);
	if (f->event)
		f->event(f->ctx, FILE_WRITTEN, at, n);
	return 0;
}
