/*
 * pc-testdev, as kvm-unit-tests expects it: E0h-E3h echo of any width, E4h flush (of no effect
 * here: there is nothing to split), E8h echo of bytes, 2000h-2017h drive interrupt lines 0-23,
 * FF000000h 64 KiB of MMIO that behaves as memory.
 */
#include "devices/device.h"
#include "devices/irq/gsi.h"

#define MEM_BASE 0xff000000u
#define MEM_SIZE 0x10000u

struct testdev {
	struct device dev;
	struct irq_line line[24];
	u32 echo;
	u8 echo_bytes[4];
	u8 mem[MEM_SIZE];
};

#define TESTDEV_FIELDS(V, S, H, P) H(dev) V(line) V(echo) V(echo_bytes) V(mem)
SNAPSHOT(testdev_snapshot, "pc-testdev", 1, struct testdev, TESTDEV_FIELDS);

/* A narrow write replaces the low bytes and leaves the others, wherever in E0h-E3h it went. */
static void echo_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct testdev *t = ctx;
	unsigned shift = (port & 3) * 8;
	u32 mask = (u32)(zext_bytes(UINT64_MAX, size) << shift);
	t->echo = (t->echo & ~mask) | (value << shift & mask);
}

static u32 echo_read(void *ctx, u16 port, unsigned size)
{
	return ((struct testdev *)ctx)->echo >> (port & 3) * 8;
}

static void flush_write(void *ctx, u16 port, u32 value, unsigned size)
{
}

static u32 bytes_read(void *ctx, u16 port, unsigned size)
{
	return ((struct testdev *)ctx)->echo_bytes[port & 3];
}

static void bytes_write(void *ctx, u16 port, u32 value, unsigned size)
{
	((struct testdev *)ctx)->echo_bytes[port & 3] = (u8)value;
}

static void line_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct testdev *t = ctx;
	irq_set(&t->line[(port - 0x2000) % 24], value != 0);
}

static u64 mem_read(void *ctx, u64 offset, unsigned size)
{
	u64 v = 0;
	memcpy(&v, ((struct testdev *)ctx)->mem + offset, size);
	return v;
}

static void mem_write(void *ctx, u64 offset, u64 value, unsigned size)
{
	memcpy(((struct testdev *)ctx)->mem + offset, &value, size);
}

static int init(struct device *d, char *err, size_t n)
{
	struct testdev *t = (struct testdev *)d;
	for (unsigned i = 0; i < 24 && d->env->gsi; i++)
		irq_connect(&t->line[i], i < 16 ? gsi_isa_sink : gsi_ioapic_sink, d->env->gsi, i);
	return 0;
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct testdev *t = (struct testdev *)d;
	for (unsigned i = 0; i < 24; i++)
		irq_set(&t->line[i], false);
	t->echo = 0;
	memset(t->mem, 0, sizeof(t->mem));
}

static const struct port_ops echo_ports = {echo_read, echo_write, IO_ANY};
static const struct port_ops flush_ports = {NULL, flush_write, IO_ANY};
static const struct port_ops bytes_ports = {bytes_read, bytes_write, IO_1};
static const struct port_ops line_ports = {NULL, line_write, IO_ANY};
static const struct mmio_ops mem_ops = {mem_read, mem_write, 8};

const struct device_type pc_testdev_type = {
    .name = "pc-testdev",
    .help = "test device of kvm-unit-tests",
    .category = "debug",
    .size = sizeof(struct testdev),
    .ports = (const struct port_claim[]){{0xe0, 4, &echo_ports},
					 {0xe4, 4, &flush_ports},
					 {0xe8, 1, &bytes_ports},
					 {0x2000, 24, &line_ports},
					 {0}},
    .mmio = (const struct mmio_claim[]){{MEM_BASE, MEM_SIZE, MEM_PRIO_ROM, &mem_ops}, {0}},
    .snapshot = &testdev_snapshot,
    .init = init,
    .reset = reset,
};
