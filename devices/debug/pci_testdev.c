/*
 * pci-testdev of kvm-unit-tests (1b36:0005): BAR 0 memory, BAR 1 ports. Writing a test's number to
 * byte 0 selects it; the header then tells width, offset and data of the write to be made, and
 * counts the writes that matched. One test per BAR (plain writes); the eventfd variants concern
 * hosts, not guests.
 */
#include "devices/chipset/pci.h"

#define MEM_BYTES   4096u
#define IO_BYTES    256u
#define DATA_OFFSET 0x80u
#define DATA_VALUE  0xfau

enum { SPACE_MEM, SPACE_IO, SPACES };

struct header {
	u8 test, width, pad[2];
	u32 offset, data, count;
	char name[16];
};

struct pci_testdev {
	struct device dev;
	struct pci_function fn;
	struct header header[SPACES];
};

#define HEADER_FIELDS(V, S, H, P) V(test) V(width) H(pad) V(offset) V(data) V(count) V(name)
SNAPSHOT(testdev_header_snapshot, "pci-testdev-header", 1, struct header, HEADER_FIELDS);
/* clang-format off */
#define PCI_TESTDEV_FIELDS(V, S, H, P) \
	H(dev) S(fn, pci_function_snapshot) S(header, testdev_header_snapshot)
/* clang-format on */
SNAPSHOT(pci_testdev_snapshot, "pci-testdev", 1, struct pci_testdev, PCI_TESTDEV_FIELDS);

static void select_test(struct header *h, unsigned space, u8 test)
{
	*h = (struct header){.test = test};
	if (test)
		return; /* width 0: there is no such test */
	h->width = 1;
	h->offset = DATA_OFFSET;
	h->data = DATA_VALUE;
	strcpy(h->name, space == SPACE_MEM ? "mmio-no-eventfd" : "port-no-eventfd");
}

static u64 read_space(struct pci_testdev *t, unsigned space, u64 offset, unsigned size)
{
	u64 v = 0;
	if (offset + size <= sizeof(struct header))
		memcpy(&v, (const u8 *)&t->header[space] + offset, size);
	return v;
}

static void write_space(struct pci_testdev *t, unsigned space, u64 offset, u64 v, unsigned size)
{
	struct header *h = &t->header[space];
	if (offset == 0)
		select_test(h, space, (u8)v);
	else if (h->width && offset == h->offset && size == h->width && v == h->data)
		h->count++;
}

static u64 mem_read(void *ctx, u64 offset, unsigned size)
{
	return read_space(ctx, SPACE_MEM, offset, size);
}

static void mem_write(void *ctx, u64 offset, u64 value, unsigned size)
{
	write_space(ctx, SPACE_MEM, offset, value, size);
}

static u32 io_read(void *ctx, u16 port, unsigned size)
{
	struct pci_testdev *t = ctx;
	return (u32)read_space(t, SPACE_IO, port - pci_bar_base(&t->fn, 1), size);
}

static void io_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct pci_testdev *t = ctx;
	write_space(t, SPACE_IO, port - pci_bar_base(&t->fn, 1), value, size);
}

static const struct mmio_ops mem_ops = {mem_read, mem_write, 4};
static const struct port_ops io_ops = {io_read, io_write, IO_ANY};

static void reset(struct device *d, enum reset_kind kind)
{
	struct pci_testdev *t = (struct pci_testdev *)d;
	memset(t->header, 0, sizeof(t->header));
}

static const struct pci_ident ident = {
    .vendor = 0x1b36,
    .device = 0x0005,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0xff0000,
    .devfn = -1,
    .bar = {{.kind = PCI_BAR_MEM32, .size = MEM_BYTES, .mmio = &mem_ops},
	    {.kind = PCI_BAR_IO, .size = IO_BYTES, .io = &io_ops}},
};

const struct device_type pci_testdev_type = {
    .name = "pci-testdev",
    .help = "PCI test device of kvm-unit-tests",
    .category = "debug",
    .size = sizeof(struct pci_testdev),
    .pci = &ident,
    .pci_offset = offsetof(struct pci_testdev, fn),
    .snapshot = &pci_testdev_snapshot,
    .reset = reset,
};
