/* The debug console of Bochs and of QEMU's isa-debugcon: bytes written to a port go to a chardev;
 * reading gives the readback value. */
#include <errno.h>

#include "devices/backends/chardev.h"
#include "devices/device.h"

struct port_e9 {
	struct device dev;
	struct chardev *chardev;
	u64 iobase, readback;
	char chardev_id[PROP_TEXT_SIZE];
};

#define PORT_E9_FIELDS(V, S, H, P) H(dev) H(chardev) H(iobase) H(readback) H(chardev_id)
SNAPSHOT(port_e9_snapshot, "isa-debugcon", 1, struct port_e9, PORT_E9_FIELDS);

static u32 e9_read(void *ctx, u16 port, unsigned size)
{
	return (u32)((struct port_e9 *)ctx)->readback;
}

static void e9_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct port_e9 *p = ctx;
	u8 byte = (u8)value;
	if (p->chardev)
		chardev_write(p->chardev, &byte, 1);
}

static const struct port_ops e9_ports = {e9_read, e9_write, IO_1};

static int init(struct device *d, char *err, size_t n)
{
	struct port_e9 *p = (struct port_e9 *)d;
	if (p->chardev_id[0]) {
		if (d->env->find_chardev)
			p->chardev = d->env->find_chardev(d->env->hooks.ctx, p->chardev_id);
		if (!p->chardev) {
			snprintf(err, n, "%s: no chardev '%s'", d->id, p->chardev_id);
			return -ENOENT;
		}
	}
	return device_claim_ports(d, (u16)p->iobase, 1, &e9_ports, err, n);
}

static const struct prop props[] = {
    {"iobase", PROP_UINT, offsetof(struct port_e9, iobase), "0xe9", "the port", 0, 0xffff, NULL},
    {"readback", PROP_UINT, offsetof(struct port_e9, readback), "0xe9", "what reading gives", 0,
     0xff, NULL},
    {"chardev", PROP_TEXT, offsetof(struct port_e9, chardev_id), "", "where the bytes go", 0, 0,
     NULL},
    {0},
};

const struct device_type port_e9_type = {
    .name = "isa-debugcon",
    .help = "debug console port",
    .category = "debug",
    .size = sizeof(struct port_e9),
    .props = props,
    .snapshot = &port_e9_snapshot,
    .init = init,
};
