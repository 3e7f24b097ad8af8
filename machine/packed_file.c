/* See packed_file.h. */
#include "machine/packed_file.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include "base/host.h"

struct file_head {
	char magic[8];
	u32 version, blocks;
	u64 bytes; /* of the file */
	u32 reserved, crc; /* of what stands before */
};

struct block_head {
	char tag[4];
	u32 crc; /* of tag, bytes and payload */
	u64 bytes;
};

static u32 checksum(u32 crc, const void *data, u64 n)
{
	const u8 *p = data;
	for (; n; p += MIN(n, 1u << 30), n -= MIN(n, 1u << 30))
		crc = (u32)crc32(crc, p, (uInt)MIN(n, 1u << 30));
	return crc;
}

static u32 block_crc(const struct block_head *h, const u8 *payload, u64 n)
{
	return checksum(checksum(checksum(0, h->tag, 4), &h->bytes, 8), payload, n);
}

void packed_begin(struct packed_writer *f, const char magic[8], u32 version)
{
	struct file_head h = {.version = version};
	*f = (struct packed_writer){0};
	memcpy(h.magic, magic, 8);
	snap_put(&f->b, &h, sizeof(h));
}

/* The head goes in front of a payload that is already there. */
static void close_block(struct packed_writer *f, const char tag[4], size_t head_at)
{
	struct block_head h = {.bytes = f->b.len - head_at - sizeof(h)};
	if (f->b.failed)
		return;
	memcpy(h.tag, tag, 4);
	h.crc = block_crc(&h, f->b.data + head_at + sizeof(h), h.bytes);
	memcpy(f->b.data + head_at, &h, sizeof(h));
	f->blocks++;
}

static size_t open_block(struct packed_writer *f)
{
	static const struct block_head none;
	size_t at = f->b.len;
	snap_put(&f->b, &none, sizeof(none));
	return at;
}

void packed_add(struct packed_writer *f, const char tag[4], const void *data, u64 n)
{
	size_t at = open_block(f);
	snap_put(&f->b, data, n);
	close_block(f, tag, at);
}

void packed_add_deflated(struct packed_writer *f, const char tag[4], const void *head, u64 head_bytes, const void *data, u64 n)
{
	uLongf packed = compressBound(n);
	u8 *out = malloc(packed);
	size_t at = open_block(f);
	if (!out || compress2(out, &packed, data, n, 1) != Z_OK)
		f->b.failed = true;
	snap_put(&f->b, head, head_bytes);
	snap_put(&f->b, &n, 8);
	snap_put(&f->b, out, packed);
	free(out);
	close_block(f, tag, at);
}

int packed_end(struct packed_writer *f, const char *path, int status)
{
	struct file_head h;
	if (!status && f->b.failed)
		status = -ENOMEM;
	if (!status && path) {
		memcpy(&h, f->b.data, sizeof(h));
		h.blocks = f->blocks;
		h.bytes = f->b.len;
		h.crc = checksum(0, &h, offsetof(struct file_head, crc));
		memcpy(f->b.data, &h, sizeof(h));
		status = host_file_write_atomic(path, f->b.data, f->b.len);
	}
	free(f->b.data);
	f->b = (struct snap_buf){0};
	return status;
}

static int check_head(const struct file_head *h, u64 n, const char magic[8], u32 version, const char *what, bool trust,
		      struct errtext *e)
{
	if (memcmp(h->magic, magic, 8))
		return err_set(e, -ENOEXEC, "is not a %s of Orrery", what);
	if (!trust && h->crc != checksum(0, h, offsetof(struct file_head, crc)))
		return err_set(e, -ENOEXEC, "the %s is damaged: its head does not fit its checksum", what);
	if (h->version != version)
		return err_set(e, -ENOEXEC, "the %s has version %u of its format; this program reads version %u", what, h->version,
			       version);
	if (h->bytes > n)
		return err_set(e, -ENOEXEC, "the %s is cut short: %llu of %llu bytes are there", what, (unsigned long long)n,
			       (unsigned long long)h->bytes);
	if (h->bytes < n)
		return err_set(e, -ENOEXEC, "the %s is damaged: something was added behind its end", what);
	if (h->blocks > n / sizeof(struct block_head))
		return err_set(e, -ENOEXEC, "the %s is damaged: it cannot have %u blocks", what, h->blocks);
	return 0;
}

int packed_open(struct packed_file *f, const u8 *data, u64 n, const char magic[8], u32 version, const char *what, bool trust,
		struct errtext *e)
{
	struct file_head h = {0};
	u64 at = sizeof(h);
	*f = (struct packed_file){0};
	memcpy(&h, data, MIN(n, sizeof(h)));
	if (n < sizeof(h))
		return n >= 8 && !memcmp(h.magic, magic, 8) ? err_set(e, -ENOEXEC, "the %s is cut short: %llu bytes are there", what,
								       (unsigned long long)n)
							    : err_set(e, -ENOEXEC, "is not a %s of Orrery", what);
	int r = check_head(&h, n, magic, version, what, trust, e);
	if (r)
		return r;
	f->block = calloc(h.blocks + 1u, sizeof(*f->block));
	if (!f->block)
		return err_set(e, -ENOMEM, "no memory for the %s", what);
	for (; f->blocks < h.blocks; f->blocks++) {
		struct block_head b;
		if (n - at < sizeof(b))
			return err_set(e, -ENOEXEC, "the %s is damaged: blocks are missing", what);
		memcpy(&b, data + at, sizeof(b));
		at += sizeof(b);
		if (b.bytes > n - at || (!trust && block_crc(&b, data + at, b.bytes) != b.crc))
			return err_set(e, -ENOEXEC, "the %s is damaged: block %u at offset %llu does not fit its checksum", what,
				       f->blocks, (unsigned long long)(at - sizeof(b)));
		f->block[f->blocks] = (struct packed_block){.data = data + at, .bytes = b.bytes};
		memcpy(f->block[f->blocks].tag, b.tag, 4);
		at += b.bytes;
	}
	return at == n ? 0 : err_set(e, -ENOEXEC, "the %s is damaged: there is something behind its last block", what);
}

void packed_close(struct packed_file *f)
{
	free(f->block);
	*f = (struct packed_file){0};
}

const struct packed_block *packed_next(const struct packed_file *f, const struct packed_block *after, const char tag[4])
{
	for (const struct packed_block *b = after ? after + 1 : f->block; b && b < f->block + f->blocks; b++)
		if (!memcmp(b->tag, tag, 4))
			return b;
	return NULL;
}

/* zlib packs at most 1032 to 1: a length beyond that is a lie that would cost memory. */
u8 *packed_inflate(const u8 *data, u64 bytes, u64 max, u64 *n)
{
	u64 want = bytes > 8 ? le_get64(data) : UINT64_MAX;
	if (want > max || want / 1100 > bytes)
		return NULL;
	uLongf got = want;
	u8 *out = malloc(want + 1);
	if (out && (uncompress(out, &got, data + 8, bytes - 8) != Z_OK || got != want)) {
		free(out);
		return NULL;
	}
	*n = want;
	return out;
}
