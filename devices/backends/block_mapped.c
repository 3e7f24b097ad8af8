/* Images that are a table of equal blocks: see block_mapped.h. */
#include "devices/backends/block_mapped.h"

#include <stdlib.h>

int mapped_init(struct image *im, u64 block, u64 entries, struct block_error *e)
{
	struct mapped *m = im->state;
	if (entries > MAPPED_ENTRIES_MAX)
		return block_fail(e, -EINVAL, im->file->path,
				  "damaged header: more blocks than can be");
	m->block = block;
	m->entries = entries;
	m->place = calloc(MAX(entries, 1), sizeof(u64));
	return m->place ? 0 : block_fail(e, -ENOMEM, im->file->path, "out of memory");
}

void mapped_close(struct image *im)
{
	struct mapped *m = im->state;
	if (!m)
		return;
	free(m->place);
	free(m);
}

static int damaged(struct image *im, u64 at)
{
	return image_complain(im,
			      "the place of the disk's data at %llxh is beyond the file's end or "
			      "impossible: the file is damaged or was truncated",
			      (unsigned long long)at);
}

int mapped_read(struct image *im, u64 at, u8 *data, u64 n)
{
	struct mapped *m = im->state;
	int r = 0;
	while (n && !r) {
		u64 i = at / m->block, in = at % m->block, len = MIN(n, m->block - in);
		u64 place = i < m->entries ? m->place[i] : MAPPED_NOWHERE;
		if (place == MAPPED_NOWHERE)
			memset(data, 0, len);
		else if (place == MAPPED_BAD || place + in + len > im->file->size)
			r = damaged(im, at);
		else
			r = file_read(im->file, place + in, data, len);
		at += len;
		data += len;
		n -= len;
	}
	return r;
}

static int place_block(struct image *im, u64 i)
{
	struct mapped *m = im->state;
	if (!m->append)
		return -EROFS;
	int r = m->append(im, i, &m->place[i]);
	if (r) {
		m->place[i] = MAPPED_NOWHERE;
		return r;
	}
	bool clean = m->dirty_from == m->dirty_to;
	m->dirty_from = clean ? i : MIN(m->dirty_from, i);
	m->dirty_to = clean ? i + 1 : MAX(m->dirty_to, i + 1);
	return 0;
}

static bool all_zero(const u8 *data, u64 n)
{
	return !data[0] && !memcmp(data, data + 1, n - 1);
}

int mapped_write(struct image *im, u64 at, const u8 *data, u64 n)
{
	struct mapped *m = im->state;
	int r = 0;
	while (n && !r) {
		u64 i = at / m->block, in = at % m->block, len = MIN(n, m->block - in);
		if (i >= m->entries || m->place[i] == MAPPED_BAD ||
		    (m->place[i] && m->place[i] >= im->file->size))
			return damaged(im, at);
		if (m->place[i] != MAPPED_NOWHERE || !all_zero(data, len)) {
			if (m->place[i] == MAPPED_NOWHERE)
				r = place_block(im, i);
			if (!r)
				r = file_write(im->file, m->place[i] + in, data, len);
		}
		at += len;
		data += len;
		n -= len;
	}
	return r;
}

int mapped_flush(struct image *im)
{
	struct mapped *m = im->state;
	int r = file_sync(im->file);
	if (!r && m->dirty_from != m->dirty_to && m->write_table) {
		r = m->write_table(im);
		if (!r)
			m->dirty_from = m->dirty_to = 0;
	}
	return r ? r : file_sync(im->file);
}
