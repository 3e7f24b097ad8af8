/* isa-debug-exit: a write ends the emulator with status (value << 1) | 1. */
#include "devices/device.h"

struct debug_exit {
	struct device dev;
	u64 iobase, iosize;
};

#define DEBUG_EXIT_FIELDS(V, S, H, P) H(dev) H(iobase) H(iosize)
SNAPSHOT(debug_exit_snapshot, "isa-debug-exit", 1, struct debug_exit, DEBUG_EXIT_FIELDS);

static u32 exit_read(void *ctx, u16 port, unsigned size)
{
	return 0;
}

static void exit_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct debug_exit *e = ctx;
	const struct machine_hooks *h = &e->dev.env->hooks;
	if (h->debug_exit)
		h->debug_exit(h->ctx, value);
}

static const struct port_ops exit_ports = {exit_read, exit_write, IO_ANY};

static int init(struct device *d, char *err, size_t n)
{
	struct debug_exit *e = (struct debug_exit *)d;
	return device_claim_ports(d, (u16)e->iobase, (u32)e->iosize, &exit_ports, err, n);
}

static const struct prop props[] = {
    {"iobase", PROP_UINT, offsetof(struct debug_exit, iobase), "0x501", "first port", 0, 0xfffc,
     NULL},
    {"iosize", PROP_UINT, offsetof(struct debug_exit, iosize), "2", "number of ports", 1, 4, NULL},
    {0},
};

const struct device_type debug_exit_type = {
    .name = "isa-debug-exit",
    .help = "ends the emulator with a status of the guest's choice",
    .category = "debug",
    .size = sizeof(struct debug_exit),
    .props = props,
    .snapshot = &debug_exit_snapshot,
    .init = init,
};
