/*
 * The physical address spaces: 64 KiB of I/O ports, and memory made of regions.
 *
 * Memory regions have a priority; where regions overlap the highest priority one that claims the
 * kind of access (read, write) answers. Two regions of equal priority must not overlap. So RAM
 * shadowing (PAM), SMRAM and ROM are regions switched on and off for reads and writes apart. The
 * regions are flattened to a sorted table at every change.
 *
 * All device DMA passes dma_*, with the requester ID (bus 15:8, device 7:3, function 2:0): an IOMMU
 * will stand there.
 */
#ifndef ORRERY_BASE_BUS_H
#define ORRERY_BASE_BUS_H

#include "base/types.h"

struct log;

/* ---- I/O ports --------------------------------------------------------------------------- */

/* Access sizes a handler takes; others are split. */
#define IO_1   0x1u
#define IO_2   0x2u
#define IO_4   0x4u
#define IO_ANY 0x7u
#define IO_RUN 0x8u /* not a size: the ops are those of a struct port_run_ops */

struct port_ops {
	u32 (*read)(void *ctx, u16 port, unsigned size);              /* NULL: reads all ones */
	void (*write)(void *ctx, u16 port, u32 value, unsigned size); /* NULL: ignored */
	u8 sizes;                                                     /* IO_*; 0 means IO_1 */
};

/* Ports for string instructions: .ops.sizes has IO_RUN. */
struct port_run_ops {
	struct port_ops ops;
	/*
	 * Several accesses of one string instruction at once: up to @count units of @size bytes. Only units whose access does
	 * nothing but move them; the next one that does more is left to read or write. Returns the units moved, 0 if none may be.
	 */
	u32 (*read_run)(void *ctx, u16 port, unsigned size, u8 *data, u32 count);
	u32 (*write_run)(void *ctx, u16 port, unsigned size, const u8 *data, u32 count);
};

struct port_region {
	const struct port_ops *ops; /* NULL: free slot */
	void *ctx;
	const char *name;
	u16 base;
	u32 count;
};

/* ---- memory ------------------------------------------------------------------------------ */

struct mmio_ops {
	/* @offset is from the region's base; size 1, 2, 4 or 8, at most max_size, never crossing
	 * the region's end. */
	u64 (*read)(void *ctx, u64 offset, unsigned size);
	void (*write)(void *ctx, u64 offset, u64 value, unsigned size);
	u8 max_size; /* wider accesses are split; 0 means 4 */
};

enum mem_kind { MEM_RAM, MEM_ROM, MEM_MMIO };

#define MEM_PRIO_RAM    0 /* main memory */
#define MEM_PRIO_ROM    1 /* system ROM, option ROMs, ISA MMIO */
#define MEM_PRIO_PCI    2 /* BARs (equal priority BARs that overlap: the second is not mapped) */
#define MEM_PRIO_SHADOW 3 /* PAM, SMRAM */
#define MEM_PRIO_APIC   4

struct mem_region {
	u64 base, size; /* bytes */
	u8 *host;       /* MEM_RAM, MEM_ROM: the first byte */
	const struct mmio_ops *ops;
	void *ctx;
	const char *name;
	enum mem_kind kind;
	int prio;
	bool reads, writes; /* claims these accesses */
	bool used;
};

struct mem_range { /* flattened: [start, end], non-overlapping, sorted */
	u64 start, last;
	struct mem_region *rd, *wr; /* NULL: nothing answers */
};

#define BUS_MAX_PORT_REGIONS 256
#define BUS_MAX_MEM_REGIONS  128

struct bus_hooks {
	void *ctx;
	/* The memory map changed: translations to host pages are stale (flush TLBs and decoded
	 * code). */
	void (*map_changed)(void *ctx);
	/* The same, if only @n bytes at @gpa changed; NULL: map_changed is called. */
	void (*range_changed)(void *ctx, u64 gpa, u64 n);
	/* DMA wrote @n bytes of RAM at @gpa. */
	void (*ram_written)(void *ctx, u64 gpa, u64 n);
	/* A device reached @n bytes at @gpa; may be NULL: for who looks. */
	void (*dma)(void *ctx, u64 gpa, u64 n, bool write);
	/* A device wrote a message-signalled interrupt (address FEEx_xxxxh). */
	void (*msi)(void *ctx, u16 requester, u64 addr, u32 data);
};

struct bus {
	u8 port_map[65536]; /* index into port; 0: nothing */
	struct port_region port[BUS_MAX_PORT_REGIONS];
	struct mem_region mem[BUS_MAX_MEM_REGIONS];
	struct mem_range range[2 * BUS_MAX_MEM_REGIONS];
	unsigned ranges;
	unsigned batch; /* > 0: flattening is postponed */
	bool dirty;
	struct bus_hooks hooks;
	struct log *log; /* may be NULL */
	struct dirty_map *written; /* base/dirty.h: told of what devices write; may be NULL */
};

void bus_init(struct bus *b, const struct bus_hooks *hooks /* may be NULL */, struct log *log);

/** Claims ports [base, base+count). The slot (1..255), or -EEXIST on overlap, -ENOSPC, -EINVAL. */
int bus_add_ports(struct bus *b, u16 base, u32 count, const struct port_ops *ops, void *ctx,
		  const char *name);
void bus_remove_ports(struct bus *b, int slot);
/** Guest port access; size 1, 2 or 4. Absent ports read all ones. */
u32 bus_io_read(struct bus *b, u16 port, unsigned size);
void bus_io_write(struct bus *b, u16 port, u32 value, unsigned size);
/** As read_run and write_run of struct port_run_ops; 0 where a port has none. */
u32 bus_io_read_run(struct bus *b, u16 port, unsigned size, u8 *data, u32 count);
u32 bus_io_write_run(struct bus *b, u16 port, unsigned size, const u8 *data, u32 count);

/**
 * Adds a region (copied). Returns the bus's own copy, or NULL with errno-like code in @*err:
 * -EEXIST when an enabled region of the same priority overlaps, -ENOSPC, -EINVAL (size 0, wrap).
 */
struct mem_region *bus_add_mem(struct bus *b, const struct mem_region *r, int *err);
void bus_remove_mem(struct bus *b, struct mem_region *r);
/** Changes which accesses the region claims. */
void bus_enable_mem(struct bus *b, struct mem_region *r, bool reads, bool writes);
/** Makes the region @r what @to says (place, memory, accesses). The caller sees to it that it clashes with no other. */
void bus_change_mem(struct bus *b, struct mem_region *r, const struct mem_region *to);
/** Groups several changes into one re-flattening. Calls nest. */
void bus_batch_begin(struct bus *b);
void bus_batch_end(struct bus *b);

/** The range that covers @gpa, or NULL. */
const struct mem_range *bus_find(const struct bus *b, u64 gpa);
/**
 * Host address of the 4-KiB page at @gpa if reads come from plain memory, else NULL. @*writable:
 * stores may go there too (same memory answers writes). For struct cpu_bus.ram_page.
 */
u8 *bus_ram_page(struct bus *b, u64 gpa, bool *writable);
/** Guest physical accesses of 1, 2, 4, 8 bytes; any alignment. Absent memory reads all ones. */
u64 bus_mem_read(struct bus *b, u64 gpa, unsigned size);
void bus_mem_write(struct bus *b, u64 gpa, u64 value, unsigned size);

/* ---- DMA --------------------------------------------------------------------------------- */

/* 0, or -EFAULT if some bytes were not memory (those read all ones and are not written). DMA never
 * reaches MMIO handlers. */
int dma_read(struct bus *b, u16 requester, u64 gpa, void *buf, u64 n);
int dma_write(struct bus *b, u16 requester, u64 gpa, const void *buf, u64 n);
/** Host address of memory at @gpa, @*n cut to what is contiguous; NULL if not memory. Ends with
 * dma_unmap(). */
void *dma_map(struct bus *b, u16 requester, u64 gpa, u64 *n, bool write);
void dma_unmap(struct bus *b, u16 requester, u64 gpa, u64 n, bool wrote);

#endif
