/*
 * Disk images on the host, behind one struct whatever the format. A device submits a request, arms
 * a timer for the time the modelled drive would take, and calls block_wait() when that timer fires:
 * the work itself is done meanwhile on the image's own host thread. So the guest sees completion at
 * the same instruction in every run, however slow the host is.
 *
 * Formats: raw, qcow2 (v2, v3), vmdk, vdi, vhd (vpc), vhdx; any of them under a volatile overlay.
 * Images are locked against a second writer. What an image file says is not trusted: a damaged one
 * is refused, or an access to the damaged part fails with -EIO and one message.
 */
#ifndef ORRERY_DEVICES_BLOCK_H
#define ORRERY_DEVICES_BLOCK_H

#include "base/types.h"

#define BLOCK_SECTOR 512u

struct block;

struct block_options {
	const char *path;
	const char *format; /* NULL: told by the file's own header, else raw */
	bool read_only;     /* refuse writes; the file is opened for reading alone */
	bool snapshot;      /* writes go to a volatile overlay, the file is never changed */
	bool no_sync;       /* a guest's flush does not wait for the host's disk */
	/* The state kept inside the image under this name or id (qcow2), to be read only; NULL: the
	 * present one. */
	const char *internal_snapshot;
	/* Told once of each thing wrong in the file, from any thread; NULL: a line on stderr. */
	void (*complain)(void *ctx, const char *text);
	void *ctx;
};

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD };

struct block_request {
	enum block_op op;
	u64 lba; /* in sectors of 512 bytes */
	u32 sectors;
	u8 *data;     /* NULL for FLUSH and DISCARD; else sectors * 512 bytes, the caller's until
			 block_wait() has returned */
	int result;   /* 0 or -errno; valid after block_wait() */
	bool pending; /* submitted and not yet waited for */
	struct block_request *next;
};

/** Opens an image. NULL with a one-line message (what, where, what to do) in @err. */
struct block *block_open(const struct block_options *o, char *err, size_t err_size);
/** A memory image of @bytes, zeroed: for tests and RAM disks. */
struct block *block_memory(u64 bytes);
/** Waits for pending work, flushes, unlocks, frees. NULL is allowed. */
void block_close(struct block *b);

u64 block_sectors(const struct block *b);
/** What a message should say: of a raw image, whose last sector may be cut off, the file's own size. */
u64 block_bytes(const struct block *b);
bool block_read_only(const struct block *b);
/** "raw", "qcow2", ... */
const char *block_format(const struct block *b);
const char *block_path(const struct block *b);

/** Hands @r to the image's thread. Requests on one image are carried out in order of submission. */
void block_submit(struct block *b, struct block_request *r);
/** Returns when @r is done: its result. Returns at once if it was not pending. */
int block_wait(struct block *b, struct block_request *r);
/**
 * block_submit() and block_wait() in one. 0, -EIO, -EROFS, -ERANGE (outside the image), -ENOSPC,
 * -EPERM (block.c, "guessed"). A discarded sector reads afterwards as zeroes or as before; a write
 * is durable after the next BLOCK_FLUSH that succeeds.
 */
MUST_CHECK int block_io(struct block *b, enum block_op op, u64 lba, u32 sectors, u8 *data);

/* ---- snapshots: all of these wait until the image is idle, and no request may be submitted meanwhile ---- */

#define BLOCK_UNIT 4096u

/** Is there a volatile overlay, so that what was written can be taken back? */
bool block_volatile(const struct block *b);
/** What tells whether the image file was changed: its size and when it was last written. Pending writes are flushed before.
 * 0 or -errno. */
struct block_identity {
	u64 bytes;
	s64 mtime_ns; /* since 1970 */
};
MUST_CHECK int block_identify(struct block *b, struct block_identity *out);
/** Calls @put with every unit of BLOCK_UNIT bytes in the overlay, in order, until it returns nonzero; that, 0 or -errno. */
MUST_CHECK int block_overlay_each(struct block *b, int (*put)(void *ctx, u64 unit, const u8 *data), void *ctx);
/** Puts a unit into the overlay; empties it. */
MUST_CHECK int block_overlay_put(struct block *b, u64 unit, const u8 *data);
void block_overlay_clear(struct block *b);
/** Remembers what the disk holds, cheaply; NULL: no memory. For images with an overlay. */
struct overlay_mark *block_mark(struct block *b);
/** What was written since @k is undone. @k stays valid. */
void block_rewind(struct block *b, const struct overlay_mark *k);
void block_unmark(struct block *b, struct overlay_mark *k);

/* What is wrong in the tables of an image. */
struct block_report {
	u64 errors;      /* references that are wrong or counted too low: data can be lost */
	u64 leaks;       /* space that nothing uses */
	u64 used, whole; /* clusters in use; that the disk has */
	char first[200]; /* the first error in words */
};
/** Walks an image's tables; @repair (which needs it opened for writing): corrects its counts, if
 * there are only such errors. 0, -EOPNOTSUPP (formats that count nothing), -EIO. */
MUST_CHECK int block_check(struct block *b, bool repair, struct block_report *out);
/** Makes a new, empty image, "raw" or "qcow2"; an existing file is left alone. 0, or -errno with a
 * message. */
MUST_CHECK int block_create(const char *path, const char *format, u64 bytes, char *err,
			    size_t err_size);

/* What a file is by its content, for a command line that names nothing but the file. */
enum block_guess {
	BLOCK_GUESS_UNREADABLE,
	BLOCK_GUESS_CD,     /* ISO 9660, hybrid or not */
	BLOCK_GUESS_FLOPPY, /* a diskette's size */
	BLOCK_GUESS_DISK,   /* another image format, or a boot signature */
	BLOCK_GUESS_OTHER,  /* a kernel, if it is anything */
};
enum block_guess block_guess(const char *path);

#endif
