#include "base/bus.h"

#include "base/dirty.h"

#include <errno.h>

#include "base/log.h"

void bus_init(struct bus *b, const struct bus_hooks *hooks, struct log *log)
{
	memset(b, 0, sizeof(*b));
	if (hooks)
		b->hooks = *hooks;
	b->log = log;
}

/* ---- I/O ports --------------------------------------------------------------------------- */

static int free_port_slot(const struct bus *b)
{
	for (int i = 1; i < BUS_MAX_PORT_REGIONS; i++)
		if (!b->port[i].ops)
			return i;
	return -ENOSPC;
}

int bus_add_ports(struct bus *b, u16 base, u32 count, const struct port_ops *ops, void *ctx,
		  const char *name)
{
	if (!count || base + count > 65536)
		return -EINVAL;
	for (u32 i = 0; i < count; i++)
		if (b->port_map[base + i])
			return -EEXIST;
	int slot = free_port_slot(b);
	if (slot < 0)
		return slot;
	b->port[slot] = (struct port_region){ops, ctx, name, base, count};
	memset(b->port_map + base, slot, count);
	return slot;
}

void bus_remove_ports(struct bus *b, int slot)
{
	if (slot <= 0)
		return;
	struct port_region *r = &b->port[slot];
	memset(b->port_map + r->base, 0, r->count);
	r->ops = NULL;
}

/* The access as a whole reaches one handler that takes its size. */
static bool port_takes(const struct bus *b, u16 port, unsigned size, const struct port_region *r)
{
	unsigned sizes = r->ops->sizes ? r->ops->sizes : IO_1;
	return (sizes & size) && port + size <= (u32)r->base + r->count;
}

static u32 ones(unsigned size)
{
	return (u32)zext_bytes(UINT64_MAX, size);
}

u32 bus_io_read(struct bus *b, u16 port, unsigned size)
{
	const struct port_region *r = &b->port[b->port_map[port]];
	if (r->ops && port_takes(b, port, size, r)) {
		u32 v = r->ops->read ? r->ops->read(r->ctx, port, size) & ones(size) : ones(size);
		if (unlikely(log_on(b->log, LOG_IO)))
			log_line(b->log, LOG_IO, "in%u %04x -> %x (%s)", size * 8, port, v,
				 r->name);
		return v;
	}
	if (size == 1) {
		if (!r->ops && log_on(b->log, LOG_IO))
			log_line(b->log, LOG_IO, "in8 %04x: nothing there", port);
		return 0xff;
	}
	unsigned half = size / 2;
	u32 low = bus_io_read(b, port, half);
	return low | bus_io_read(b, (u16)(port + half), half) << (half * 8);
}

void bus_io_write(struct bus *b, u16 port, u32 value, unsigned size)
{
	const struct port_region *r = &b->port[b->port_map[port]];
	value &= ones(size);
	if (r->ops && port_takes(b, port, size, r)) {
		if (unlikely(log_on(b->log, LOG_IO)))
			log_line(b->log, LOG_IO, "out%u %04x <- %x (%s)", size * 8, port, value,
				 r->name);
		if (r->ops->write)
			r->ops->write(r->ctx, port, value, size);
		return;
	}
	if (size == 1) {
		if (!r->ops && log_on(b->log, LOG_IO))
			log_line(b->log, LOG_IO, "out8 %04x <- %x: nothing there", port, value);
		return;
	}
	unsigned half = size / 2;
	bus_io_write(b, port, value, half);
	bus_io_write(b, (u16)(port + half), value >> (half * 8), half);
}

static const struct port_run_ops *run_ops(const struct bus *b, u16 port, unsigned size, void **ctx)
{
	const struct port_region *r = &b->port[b->port_map[port]];
	*ctx = r->ctx;
	if (!r->ops || !(r->ops->sizes & IO_RUN) || !port_takes(b, port, size, r) || log_on(b->log, LOG_IO))
		return NULL;
	return (const struct port_run_ops *)r->ops;
}

u32 bus_io_read_run(struct bus *b, u16 port, unsigned size, u8 *data, u32 count)
{
	void *ctx;
	const struct port_run_ops *o = run_ops(b, port, size, &ctx);
	return o ? o->read_run(ctx, port, size, data, count) : 0;
}

u32 bus_io_write_run(struct bus *b, u16 port, unsigned size, const u8 *data, u32 count)
{
	void *ctx;
	const struct port_run_ops *o = run_ops(b, port, size, &ctx);
	return o ? o->write_run(ctx, port, size, data, count) : 0;
}

/* ---- memory ------------------------------------------------------------------------------ */

static u64 last_of(const struct mem_region *r)
{
	return r->base + r->size - 1;
}

static bool clash(const struct mem_region *a, const struct mem_region *r)
{
	bool claims = (a->reads && r->reads) || (a->writes && r->writes);
	return a->used && a->prio == r->prio && claims && a->base <= last_of(r) &&
	       r->base <= last_of(a);
}

/* Region of the highest priority that claims reads (or writes) at @gpa. */
static struct mem_region *winner(struct bus *b, u64 gpa, bool write)
{
	struct mem_region *best = NULL;
	for (struct mem_region *r = b->mem; r < b->mem + BUS_MAX_MEM_REGIONS; r++) {
		if (!r->used || !(write ? r->writes : r->reads))
			continue;
		if (gpa < r->base || gpa > last_of(r))
			continue;
		if (!best || r->prio > best->prio)
			best = r;
	}
	return best;
}

static void insert_sorted(u64 *cut, unsigned *n, u64 v)
{
	unsigned i = *n;
	for (unsigned k = 0; k < *n; k++)
		if (cut[k] == v)
			return;
	while (i && cut[i - 1] > v) {
		cut[i] = cut[i - 1];
		i--;
	}
	cut[i] = v;
	(*n)++;
}

static void add_range(struct bus *b, u64 start, u64 last)
{
	struct mem_region *rd = winner(b, start, false), *wr = winner(b, start, true);
	if (!rd && !wr)
		return;
	struct mem_range *prev = b->ranges ? &b->range[b->ranges - 1] : NULL;
	if (prev && prev->last + 1 == start && prev->rd == rd && prev->wr == wr)
		prev->last = last;
	else
		b->range[b->ranges++] = (struct mem_range){start, last, rd, wr};
}

static void flatten(struct bus *b)
{
	u64 cut[2 * BUS_MAX_MEM_REGIONS];
	unsigned n = 0;
	for (struct mem_region *r = b->mem; r < b->mem + BUS_MAX_MEM_REGIONS; r++) {
		if (!r->used)
			continue;
		insert_sorted(cut, &n, r->base);
		if (last_of(r) != UINT64_MAX)
			insert_sorted(cut, &n, last_of(r) + 1);
	}
	b->ranges = 0;
	for (unsigned i = 0; i < n; i++)
		add_range(b, cut[i], i + 1 < n ? cut[i + 1] - 1 : UINT64_MAX);
}

static void changed(struct bus *b)
{
	b->dirty = true;
	if (b->batch)
		return;
	flatten(b);
	b->dirty = false;
	if (b->hooks.map_changed)
		b->hooks.map_changed(b->hooks.ctx);
}

/* One region changed: what lies elsewhere stays known. */
static void changed_range(struct bus *b, u64 gpa, u64 n)
{
	if (b->batch || !b->hooks.range_changed) {
		changed(b);
		return;
	}
	flatten(b);
	b->hooks.range_changed(b->hooks.ctx, gpa, n);
}

void bus_batch_begin(struct bus *b)
{
	b->batch++;
}

void bus_batch_end(struct bus *b)
{
	if (--b->batch == 0 && b->dirty)
		changed(b);
}

struct mem_region *bus_add_mem(struct bus *b, const struct mem_region *r, int *err)
{
	struct mem_region *slot = NULL;
	*err = -EINVAL;
	if (!r->size || last_of(r) < r->base)
		return NULL;
	*err = -EEXIST;
	for (struct mem_region *a = b->mem; a < b->mem + BUS_MAX_MEM_REGIONS; a++) {
		if (clash(a, r))
			return NULL;
		if (!a->used && !slot)
			slot = a;
	}
	*err = slot ? 0 : -ENOSPC;
	if (!slot)
		return NULL;
	*slot = *r;
	slot->used = true;
	changed(b);
	return slot;
}

void bus_remove_mem(struct bus *b, struct mem_region *r)
{
	if (!r || !r->used)
		return;
	r->used = false;
	changed(b);
}

void bus_enable_mem(struct bus *b, struct mem_region *r, bool reads, bool writes)
{
	if (r->reads == reads && r->writes == writes)
		return;
	r->reads = reads;
	r->writes = writes;
	changed_range(b, r->base, r->size);
}

void bus_change_mem(struct bus *b, struct mem_region *r, const struct mem_region *to)
{
	u64 first = MIN(r->base, to->base), last = MAX(last_of(r), last_of(to));
	*r = *to;
	r->used = true;
	changed_range(b, first, last - first + 1);
}

const struct mem_range *bus_find(const struct bus *b, u64 gpa)
{
	unsigned lo = 0, hi = b->ranges;
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		const struct mem_range *r = &b->range[mid];
		if (gpa < r->start)
			hi = mid;
		else if (gpa > r->last)
			lo = mid + 1;
		else
			return r;
	}
	return NULL;
}

static u8 *host_at(const struct mem_region *r, u64 gpa)
{
	return r && r->host ? r->host + (gpa - r->base) : NULL;
}

u8 *bus_ram_page(struct bus *b, u64 gpa, bool *writable)
{
	gpa &= ~0xfffull;
	const struct mem_range *r = bus_find(b, gpa);
	*writable = false;
	if (!r || r->start > gpa || r->last < gpa + 0xfff)
		return NULL;
	u8 *host = host_at(r->rd, gpa);
	if (host && r->wr && r->wr->kind == MEM_RAM)
		*writable = host_at(r->wr, gpa) == host;
	return host;
}

static u64 load(const u8 *p, unsigned size)
{
	u64 v = 0;
	memcpy(&v, p, size);
	return v;
}

static u64 region_read(struct bus *b, struct mem_region *r, u64 gpa, unsigned size)
{
	if (r->host)
		return load(host_at(r, gpa), size);
	unsigned max = r->ops->max_size ? r->ops->max_size : 4;
	if (size > max) {
		u64 low = region_read(b, r, gpa, size / 2);
		return low | region_read(b, r, gpa + size / 2, size / 2) << (size * 4);
	}
	u64 v = zext_bytes(r->ops->read(r->ctx, gpa - r->base, size), size);
	if (unlikely(log_on(b->log, LOG_IO)))
		log_line(b->log, LOG_IO, "mmio read%u %llx -> %llx (%s)", size * 8,
			 (unsigned long long)gpa, (unsigned long long)v, r->name);
	return v;
}

static void region_write(struct bus *b, struct mem_region *r, u64 gpa, u64 v, unsigned size)
{
	if (r->kind == MEM_ROM)
		return;
	if (r->host) {
		memcpy(host_at(r, gpa), &v, size);
		dirty_mark_range(b->written, host_at(r, gpa), size);
		return;
	}
	unsigned max = r->ops->max_size ? r->ops->max_size : 4;
	if (size > max) {
		region_write(b, r, gpa, zext_bytes(v, size / 2), size / 2);
		region_write(b, r, gpa + size / 2, v >> (size * 4), size / 2);
		return;
	}
	if (unlikely(log_on(b->log, LOG_IO)))
		log_line(b->log, LOG_IO, "mmio write%u %llx <- %llx (%s)", size * 8,
			 (unsigned long long)gpa, (unsigned long long)v, r->name);
	r->ops->write(r->ctx, gpa - r->base, v, size);
}

u64 bus_mem_read(struct bus *b, u64 gpa, unsigned size)
{
	const struct mem_range *r = bus_find(b, gpa);
	if (r && r->last - gpa >= size - 1)
		return r->rd ? region_read(b, r->rd, gpa, size) : zext_bytes(UINT64_MAX, size);
	if (size == 1)
		return 0xff;
	u64 low = bus_mem_read(b, gpa, size / 2);
	return low | bus_mem_read(b, gpa + size / 2, size / 2) << (size * 4);
}

void bus_mem_write(struct bus *b, u64 gpa, u64 value, unsigned size)
{
	const struct mem_range *r = bus_find(b, gpa);
	if (r && r->last - gpa >= size - 1) {
		if (r->wr)
			region_write(b, r->wr, gpa, zext_bytes(value, size), size);
		return;
	}
	if (size == 1)
		return;
	bus_mem_write(b, gpa, zext_bytes(value, size / 2), size / 2);
	bus_mem_write(b, gpa + size / 2, value >> (size * 4), size / 2);
}

/* ---- DMA --------------------------------------------------------------------------------- */

static bool is_msi(u64 gpa)
{
	return (gpa & ~0xfffffull) == 0xfee00000u;
}

void *dma_map(struct bus *b, u16 requester, u64 gpa, u64 *n, bool write)
{
	const struct mem_range *r = bus_find(b, gpa);
	struct mem_region *m = r ? (write ? r->wr : r->rd) : NULL;
	if (!m || !m->host || (write && m->kind != MEM_RAM))
		return NULL;
	u64 room = r->last - gpa;
	if (*n && *n - 1 > room)
		*n = room + 1;
	if (write)
		dirty_mark_range(b->written, host_at(m, gpa), *n);
	return host_at(m, gpa);
}

static void show_dma(struct bus *b, u64 gpa, u64 n, bool write)
{
	if (b->hooks.dma && n)
		b->hooks.dma(b->hooks.ctx, gpa, n, write);
}

void dma_unmap(struct bus *b, u16 requester, u64 gpa, u64 n, bool wrote)
{
	show_dma(b, gpa, n, wrote);
	if (wrote && n && b->hooks.ram_written)
		b->hooks.ram_written(b->hooks.ctx, gpa, n);
}

int dma_read(struct bus *b, u16 requester, u64 gpa, void *buf, u64 n)
{
	u8 *out = buf;
	int status = 0;
	show_dma(b, gpa, n, false);
	while (n) {
		u64 part = n;
		const u8 *p = dma_map(b, requester, gpa, &part, false);
		if (p) {
			memcpy(out, p, part);
		} else {
			part = MIN(n, 4096 - (gpa & 4095));
			memset(out, 0xff, part);
			status = -EFAULT;
		}
		out += part;
		gpa += part;
		n -= part;
	}
	return status;
}

int dma_write(struct bus *b, u16 requester, u64 gpa, const void *buf, u64 n)
{
	const u8 *in = buf;
	int status = 0;
	if (n == 4 && is_msi(gpa)) {
		u32 data;
		memcpy(&data, buf, 4);
		if (b->hooks.msi)
			b->hooks.msi(b->hooks.ctx, requester, gpa, data);
		return 0;
	}
	while (n) {
		u64 part = n;
		u8 *p = dma_map(b, requester, gpa, &part, true);
		if (p) {
			memcpy(p, in, part);
			dma_unmap(b, requester, gpa, part, true);
		} else {
			part = MIN(n, 4096 - (gpa & 4095));
			status = -EFAULT;
		}
		in += part;
		gpa += part;
		n -= part;
	}
	return status;
}
