/* Shared by block*.c and the tests of image formats: files, images, formats. */
#ifndef ORRERY_DEVICES_BLOCK_INTERNAL_H
#define ORRERY_DEVICES_BLOCK_INTERNAL_H

#include <errno.h>
#include "devices/backends/block.h"

/* ---- a place for bytes -------------------------------------------------------------------- */

/* What happens to a file in memory, for tests that cut the power. */
enum file_event { FILE_WRITTEN, FILE_SYNCED, FILE_RESIZED };

struct block_file {
	char *path; /* as given: for messages, and to find its neighbours */
	int fd;     /* -1: in memory */
	u8 *mem;    /* host_alloc_pages(): cap bytes */
	u64 cap;
	u64 size; /* bytes; nobody else changes a locked file */
	u64 device, inode;
	bool writable;
	bool unsynced; /* written since the last file_sync() */
	bool no_sync;
	int sync_error; /* of an earlier file_sync() */
	void (*event)(void *ctx, enum file_event what, u64 at, u64 n); /* may be NULL */
	void *ctx;
};

struct block_error {
	char *text;
	size_t size;
};
/** Writes "'path': ..." (path may be NULL) and returns @code. */
int block_fail(struct block_error *e, int code, const char *path, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/** Opens and locks a host file. NULL with a message. */
struct block_file *file_open(const char *path, bool writable, struct block_error *e, int *result);
/** A new, empty host file; it must not exist yet. */
struct block_file *file_create(const char *path, struct block_error *e, int *result);
/** @size bytes in memory, which can grow to @cap. NULL: no memory. */
struct block_file *file_memory(u64 size, u64 cap);
/** An unnamed file on the host's disk, gone when closed. NULL with a message. */
struct block_file *file_temporary(struct block_error *e);
void file_close(struct block_file *f);
/** Reads; what lies behind the end are zeroes. 0 or -errno. */
MUST_CHECK int file_read(struct block_file *f, u64 at, void *data, u64 n);
/** Reads; -EIO if the file ends before @at + @n. */
MUST_CHECK int file_read_inside(struct block_file *f, u64 at, void *data, u64 n);
/** Writes, growing the file as need be. 0 or -errno. */
MUST_CHECK int file_write(struct block_file *f, u64 at, const void *data, u64 n);
/** Everything written so far survives a power cut. Costs nothing if nothing was written since. */
MUST_CHECK int file_sync(struct block_file *f);
/** Makes the file @size bytes long. */
MUST_CHECK int file_resize(struct block_file *f, u64 size);
/** Gives up the space of a range, which reads as zeroes afterwards. -EOPNOTSUPP if the host cannot.
 */
MUST_CHECK int file_punch(struct block_file *f, u64 at, u64 n);

/* ---- an image and its formats ------------------------------------------------------------- */

struct image;

struct image_format {
	const char *name;
	/** Is it this format? @head: the first 512 bytes, @tail: the last 512 (zeroes if there are
	 * none). */
	bool (*probe)(const u8 *head, const u8 *tail, const char *path);
	/** Sets im->bytes, im->state, and what else it needs; on failure image_close() calls close.
	 */
	int (*open)(struct image *im, struct block_error *e);
	void (*close)(struct image *im);
	/* Ranges lie within im->bytes. NULL write: the format is read only here. NULL discard:
	 * nothing is done. */
	int (*read)(struct image *im, u64 at, u8 *data, u64 n);
	int (*write)(struct image *im, u64 at, const u8 *data, u64 n);
	int (*flush)(struct image *im);
	int (*discard)(struct image *im, u64 at, u64 n);
	/** See block_check(). NULL: the format counts nothing. */
	int (*check)(struct image *im, bool repair, struct block_report *out);
};

extern const struct image_format format_raw, format_qcow2, format_vmdk, format_vdi, format_vhd,
    format_vhdx, format_overlay;

#define IMAGE_DEPTH_MAX 32 /* files named by files */
#define IMAGE_BYTES_MAX (1ull << 56)

struct image {
	const struct image_format *format;
	struct block_file *file;             /* NULL: none (an overlay's own) */
	struct image *backing;               /* what is not here is there; NULL: zeroes */
	struct image *parent;                /* who named it, while opening; NULL: the user */
	const struct block_options *options; /* while opening */
	u64 bytes;                           /* of the disk, a multiple of 512 */
	bool writable;
	bool guessed; /* nobody said which format it is */
	bool said;    /* image_complain() has spoken */
	void (*complain)(void *ctx, const char *text);
	void *ctx;
	void *state; /* the format's */
};

/** Opens @f (which it then owns) as @format (NULL: by its content). NULL with a message. */
struct image *image_open_file(struct block_file *f, const char *format, struct image *parent,
			      const struct block_options *o, struct block_error *e, int *result);
/** Opens a file that @parent's file names, relative to it, to be read only unless @writable. */
struct image *image_open_named(struct image *parent, const char *name, const char *format,
			       bool writable, struct block_error *e, int *result);
/** Opens a file that @parent's file names, as a place for bytes. */
struct block_file *image_open_extent(struct image *parent, const char *name, bool writable,
				     struct block_error *e, int *result);
void image_close(struct image *im);
/** Any range: what lies outside reads as zeroes. */
MUST_CHECK int image_read(struct image *im, u64 at, u8 *data, u64 n);
/** Reads from the backing image, zeroes if there is none. */
MUST_CHECK int image_read_backing(struct image *im, u64 at, u8 *data, u64 n);
/** Says once per image what is wrong with it; returns -EIO. */
int image_complain(struct image *im, const char *fmt, ...) PRINTF_LIKE(2, 3);

/** Writes an empty qcow2 image for a disk of @bytes into an empty file. */
MUST_CHECK int qcow2_create(struct block_file *f, u64 bytes);

/** Wraps an opened image, or an unopened file (as block_open() would). NULL with a message. */
struct block *block_of_image(struct image *im);
struct block *block_of_file(struct block_file *f, const struct block_options *o, char *err,
			    size_t err_size);
/** The image behind a block. */
struct image *block_image(struct block *b);
/** The overlay of snapshot=on over @base, which it then owns; NULL with a message. */
struct image *overlay_open(struct image *base, struct block_error *e);
/* Of such an image: block_mark() and the others of block.h. */
struct overlay_mark *overlay_mark(struct image *im);
void overlay_rewind(struct image *im, const struct overlay_mark *k);
void overlay_unmark(struct image *im, struct overlay_mark *k);
int overlay_each(struct image *im, int (*put)(void *ctx, u64 unit, const u8 *data), void *ctx);
int overlay_put(struct image *im, u64 unit, const u8 *data);
void overlay_clear(struct image *im);

/** Inflates @in into exactly @out_size bytes. @bits: zlib's windowBits (-15: without header, 15:
 * with). 0 or -EIO. */
MUST_CHECK int block_inflate(const u8 *in, u64 in_size, u8 *out, u64 out_size, int bits);

/* Numbers in files. */
static inline u64 be_get(const u8 *p, unsigned n)
{
	u64 v = 0;
	while (n--)
		v = v << 8 | *p++;
	return v;
}

static inline void be_put(u8 *p, u64 v, unsigned n)
{
	while (n--) {
		p[n] = (u8)v;
		v >>= 8;
	}
}

static inline u64 le_get(const u8 *p, unsigned n)
{
	u64 v = 0;
	while (n--)
		v = v << 8 | p[n];
	return v;
}

static inline void le_put(u8 *p, u64 v, unsigned n)
{
	for (; n--; v >>= 8)
		*p++ = (u8)v;
}

#define be16(p) ((u16)be_get(p, 2))
#define be32(p) ((u32)be_get(p, 4))
#define be64(p) be_get(p, 8)
#define le16(p) ((u16)le_get(p, 2))
#define le32(p) ((u32)le_get(p, 4))
#define le64(p) le_get(p, 8)

#endif
