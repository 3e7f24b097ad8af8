/* AdLib card: a YMF262 alone at 388h-38Bh, compatible with the OPL2 of the first cards. */
#include "devices/audio/opl3.h"
#include "devices/device.h"

struct adlib {
	struct device dev;
	struct opl3 opl;
	u16 index; /* of the register that 389h reaches */
	u8 pad[6];
};

#define ADLIB_FIELDS(V, S, H, P) H(dev) S(opl, opl3_snapshot) V(index) H(pad)
SNAPSHOT(adlib_snapshot, "adlib", 1, struct adlib, ADLIB_FIELDS);

static u32 adlib_read(void *ctx, u16 port, unsigned size)
{
	struct adlib *a = ctx;
	return port & 1 ? 0xff : opl3_status(&a->opl, clock_now(a->dev.env->clock));
}

static void adlib_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct adlib *a = ctx;
	if (port & 1)
		opl3_write(&a->opl, a->index, (u8)value, clock_now(a->dev.env->clock));
	else
		a->index = (u16)((value & 0xff) | (port & 2) << 7);
}

static int init(struct device *d, char *err, size_t n)
{
	opl3_init(&((struct adlib *)d)->opl, d->env->audio, "adlib");
	return 0;
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct adlib *a = (struct adlib *)d;
	a->index = 0;
	opl3_reset(&a->opl, clock_now(d->env->clock));
}

static void release(struct device *d)
{
	opl3_free(&((struct adlib *)d)->opl);
}

static void loaded(struct device *d)
{
	opl3_loaded(&((struct adlib *)d)->opl, clock_now(d->env->clock));
}

static const struct port_ops ports = {adlib_read, adlib_write, IO_1};

const struct device_type adlib_type = {
    .name = "adlib",
    .help = "AdLib FM synthesiser (YMF262, OPL3) at 388h",
    .category = "sound",
    .size = sizeof(struct adlib),
    .ports = (const struct port_claim[]){{0x388, 4, &ports}, {0}},
    .snapshot = &adlib_snapshot,
    .init = init,
    .reset = reset,
    .free = release,
    .loaded = loaded,
};
