/*
 * POST Memory Manager (Phoenix and Intel, 1.01): memory for option ROMs while they start. Blocks below 1 MiB come from 128 to 512 KiB, others
 * from 2 MiB up, and permanent ones from the top of memory, which operating systems then find reserved. Not offered: permanent memory
 * below 1 MiB. What is not permanent is anybody's once a device is started; it is not cleared, for a ROM that is such a device goes on in it.
 */
#include "bios/rt/rt.h"

#define CONVENTIONAL     0x20000
#define CONVENTIONAL_END POST_DATA
#define ANONYMOUS        0xffffffffu
#define MAX_BLOCKS       16
#define ARGUMENTS        18 /* from the saved stack pointer to the function's number (entry.S: pmm_entry) */

enum { WANT_CONVENTIONAL = 1, WANT_EXTENDED = 2, WANT_ALIGNED = 4, WANT_PERMANENT = 8 };

static struct block {
	u32 handle, base, bytes; /* bytes 0: unused */
} blocks[MAX_BLOCKS];

static struct block *with_handle(u32 handle)
{
	for (unsigned i = 0; handle != ANONYMOUS && i < MAX_BLOCKS; i++)
		if (blocks[i].bytes && blocks[i].handle == handle)
			return &blocks[i];
	return NULL;
}

/* The end of a block that stands in [at, at + bytes), or 0. */
static u32 in_the_way(u32 at, u32 bytes)
{
	for (unsigned i = 0; i < MAX_BLOCKS; i++)
		if (blocks[i].bytes && blocks[i].base < at + bytes && at < blocks[i].base + blocks[i].bytes)
			return blocks[i].base + blocks[i].bytes;
	return 0;
}

/* The lowest place for @bytes, aligned to @align; 0: none. */
static u32 place(u32 at, u32 end, u32 bytes, u32 align)
{
	u32 next;
	for (at = (at + align - 1) & -align; at < end && bytes <= end - at; at = (next + align - 1) & -align) {
		next = in_the_way(at, bytes);
		if (!next)
			return at;
	}
	return 0;
}

/* The largest gap between blocks. */
static u32 largest(u32 start, u32 end)
{
	u32 best = 0;
	for (u32 at = start; at < end;) {
		u32 gap = end - at, next = end;
		for (unsigned i = 0; i < MAX_BLOCKS; i++)
			if (blocks[i].bytes && blocks[i].base >= at && blocks[i].base - at < gap) {
				gap = blocks[i].base - at;
				next = blocks[i].base + blocks[i].bytes;
			}
		best = MAX(best, gap);
		at = next;
	}
	return best;
}

static u32 available(u16 flags)
{
	u32 low = flags & WANT_CONVENTIONAL && !(flags & WANT_PERMANENT) ? largest(CONVENTIONAL, CONVENTIONAL_END) : 0;
	u32 high = flags & WANT_EXTENDED ? largest(pmm.extended, pmm.extended_end) : 0;
	return MAX(low, high) / 16;
}

/* From the top, so that the pool ends lower from now on; whole pages, as the memory map has them. */
static u32 permanent(u32 bytes, u32 align)
{
	u32 size = (bytes + 4095) & ~4095u, at = pmm.extended_end;
	if (size < bytes || size > at - pmm.extended)
		return 0;
	at = (at - size) & -MAX(align, 4096u);
	if (at < pmm.extended || in_the_way(at, pmm.extended_end - at))
		return 0;
	pmm.extended_end = at;
	return at;
}

static u32 allocate(u32 paragraphs, u32 handle, u16 flags)
{
	u32 bytes = paragraphs * 16, align = flags & WANT_ALIGNED ? bytes & -bytes : 16, at = 0;
	struct block *b = blocks;
	if (!(flags & (WANT_CONVENTIONAL | WANT_EXTENDED)))
		return 0;
	if (!paragraphs)
		return available(flags);
	while (b < blocks + MAX_BLOCKS && b->bytes)
		b++;
	if (b == blocks + MAX_BLOCKS || paragraphs > 0x0fffffff || with_handle(handle))
		return 0;
	if (flags & WANT_EXTENDED)
		at = flags & WANT_PERMANENT ? permanent(bytes, align) : place(pmm.extended, pmm.extended_end, bytes, align);
	if (!at && flags & WANT_CONVENTIONAL && !(flags & WANT_PERMANENT))
		at = place(CONVENTIONAL, CONVENTIONAL_END, bytes, align);
	if (at)
		*b = (struct block){handle, at, bytes};
	return at;
}

static u32 find(u32 handle)
{
	const struct block *b = with_handle(handle);
	return b ? b->base : 0;
}

/* 0: done. */
static u16 deallocate(u32 base)
{
	for (unsigned i = 0; i < MAX_BLOCKS; i++)
		if (blocks[i].bytes && blocks[i].base == base) {
			blocks[i].bytes = 0;
			return 0;
		}
	return 1;
}

void pmm_call(struct regs *r)
{
	u32 at = (r->esp & 0xffff) + ARGUMENTS, v = 0xffffffff;
	if (pmm.open)
		switch (peek16(r->ss, at)) {
		case 0: v = allocate(peek32(r->ss, at + 2), peek32(r->ss, at + 6), peek16(r->ss, at + 10)); break;
		case 1: v = find(peek32(r->ss, at + 2)); break;
		case 2: v = deallocate(peek32(r->ss, at + 2)); break;
		default: break;
		}
	r->ax = (u16)v;
	r->dx = (u16)(v >> 16);
}
