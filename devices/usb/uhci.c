/*
 * Universal Host Controller Interface (UHCI Design Guide 1.1) as function 2 of the PIIX3 (82371SB): frame list, queue heads,
 * transfer descriptors, two root ports. A frame's schedule is carried out when the frame begins; a schedule that brought only
 * NAK for a while is looked at every eighth frame, and at once when a device has something to say: an idle guest costs little.
 *
 * Not modelled: isochronous bandwidth, software debug mode, the resume signal (nothing sleeps), legacy keyboard emulation
 * (its register can be read and written).
 */
#include <errno.h>

#include "devices/chipset/pci.h"
#include "devices/usb/usb.h"

#define FRAME_NS    1000000u
#define QUIET_AFTER 32u /* frames without news */
#define QUIET_STEP  8u  /* then so many at once */

#define CMD_RUN     0x0001u
#define CMD_HCRESET 0x0002u
#define CMD_GRESET  0x0004u

#define STS_INT       0x01u
#define STS_ERROR     0x02u
#define STS_RESUME    0x04u
#define STS_PROCESS   0x10u
#define STS_HALTED    0x20u
#define STS_CLEARABLE 0x1fu

#define INTR_ERROR  0x1u
#define INTR_IOC    0x4u
#define INTR_SHORT  0x8u

#define PORT_CONNECTED 0x0001u
#define PORT_CONNECT_CHANGE 0x0002u
#define PORT_ENABLED   0x0004u
#define PORT_ENABLE_CHANGE 0x0008u
#define PORT_LINE      0x0030u
#define PORT_DPLUS     0x0010u
#define PORT_ALWAYS    0x0080u
#define PORT_RESET     0x0200u
#define PORT_SUSPEND   0x1000u
#define PORT_KEPT      (PORT_RESET | PORT_SUSPEND | 0x40u)

#define LINK_END   1u
#define LINK_QUEUE 2u
#define LINK_DEPTH 4u

#define TD_ACTIVE  BIT(23)
#define TD_STALLED BIT(22)
#define TD_NAK     BIT(19)
#define TD_TIMEOUT BIT(18)
#define TD_IOC     BIT(24)
#define TD_SPD     BIT(29)
#define TD_ERRORS  0x007e0000u
#define TD_CERR    27

#define PACKET_MAX  1280u /* 3.2.3: more is a consistency error */
#define FRAME_BYTES 1400u /* what full speed carries in a millisecond, without overhead */
#define STEPS_MAX   512u  /* links of a frame: its schedule may be a loop */

enum outcome { TD_DONE, TD_STOP };

struct uhci {
	struct device dev;
	struct pci_function fn;
	struct usb_bus bus;
	struct timer timer;
	u64 frame_ns; /* when the frame of frnum began */
	u32 base;     /* of the frame list */
	u32 quiet;    /* frames since something happened */
	u16 cmd, sts, intr, frnum;
	u16 port[USB_PORTS];
	u8 sof;
	bool ioc, spd; /* why STS_INT is set */
	bool progress; /* in this frame */
};

/* clang-format off */
#define UHCI_FIELDS(V, S, H, P) \
	H(dev) S(fn, pci_function_snapshot) H(bus) V(timer) V(frame_ns) V(base) V(quiet) V(cmd) V(sts) V(intr) V(frnum) \
	V(port) V(sof) V(ioc) V(spd) V(progress)
/* clang-format on */
SNAPSHOT(uhci_snapshot, "piix3-usb-uhci", 1, struct uhci, UHCI_FIELDS);

static void update_irq(struct uhci *u)
{
	bool level = (u->sts & STS_INT && ((u->ioc && u->intr & INTR_IOC) || (u->spd && u->intr & INTR_SHORT))) ||
		     (u->sts & STS_ERROR && u->intr & INTR_ERROR) || u->sts & STS_PROCESS;
	pci_set_intx(&u->fn, level);
}

/* ---- the schedule --------------------------------------------------------------------------- */

static bool fetch(struct uhci *u, u32 at, u32 *words, unsigned n)
{
	u8 raw[16];
	if (dma_read(u->dev.env->bus, pci_requester(&u->fn), at & ~15u, raw, n * 4))
		return false;
	for (unsigned i = 0; i < n; i++)
		words[i] = raw[i * 4] | raw[i * 4 + 1] << 8 | raw[i * 4 + 2] << 16 | (u32)raw[i * 4 + 3] << 24;
	return true;
}

static void store(struct uhci *u, u32 at, u32 v)
{
	const u8 raw[4] = {(u8)v, (u8)(v >> 8), (u8)(v >> 16), (u8)(v >> 24)};
	(void)!dma_write(u->dev.env->bus, pci_requester(&u->fn), at, raw, 4);
}

static struct usb_device *find(struct uhci *u, u8 address)
{
	for (unsigned i = 0; i < USB_PORTS; i++)
		if (u->bus.port[i] && u->port[i] & PORT_ENABLED && u->bus.port[i]->address == address)
			return u->bus.port[i];
	return NULL;
}

static void process_error(struct uhci *u, const char *what)
{
	log_line(u->dev.env->log, LOG_GUEST_ERRORS, "uhci: the schedule is not consistent: %s", what);
	u->sts |= STS_PROCESS;
	u->cmd &= ~CMD_RUN;
}

static int transact(struct uhci *u, const u32 td[4], unsigned n)
{
	u8 data[PACKET_MAX];
	struct usb_device *d = find(u, td[2] >> 8 & 0x7f);
	enum usb_pid pid = (enum usb_pid)(td[2] & 0xff);
	u16 requester = pci_requester(&u->fn);
	if (!d)
		return USB_SILENCE;
	if (pid != USB_IN && n && dma_read(u->dev.env->bus, requester, td[3], data, n))
		memset(data, 0xff, n);
	int r = usb_packet(d, pid, td[2] >> 15 & 15, data, n);
	if (pid == USB_IN && r > 0)
		(void)!dma_write(u->dev.env->bus, requester, td[3], data, (u64)r);
	return r;
}

/* A transaction failed: three tries (or as many as the descriptor allows), then it is stalled (3.2.2). */
static u32 failed(struct uhci *u, u32 control, int result)
{
	u32 tries = control >> TD_CERR & 3;
	if (result == USB_SILENCE) {
		control |= TD_TIMEOUT;
		if (tries != 1)
			return tries ? control - (1u << TD_CERR) : control;
		control &= ~(3u << TD_CERR);
	}
	u->sts |= STS_ERROR;
	return (control & ~TD_ACTIVE) | TD_STALLED;
}

/* One transfer descriptor at @at, whose words are in @td. */
static enum outcome run_td(struct uhci *u, u32 at, u32 td[4], bool queued, unsigned *bytes)
{
	u32 control = td[1], pid = td[2] & 0xff;
	unsigned n = ((td[2] >> 21) + 1) & 0x7ff;
	if (!(control & TD_ACTIVE))
		return queued ? TD_STOP : TD_DONE;
	if (n > PACKET_MAX || (pid != USB_IN && pid != USB_OUT && pid != USB_SETUP)) {
		process_error(u, n > PACKET_MAX ? "a packet is too long" : "a packet has no kind");
		return TD_STOP;
	}
	int r = transact(u, td, n);
	*bytes += n + 16;
	if (r == USB_NAK)
		control |= TD_NAK;
	else if (r < 0)
		control = failed(u, control, r);
	else
		control = (control & ~(TD_ACTIVE | TD_ERRORS | 0x7ffu)) | ((unsigned)(r - 1) & 0x7ff);
	if (control != td[1])
		store(u, at + 4, control);
	if (r < 0 && control & TD_ACTIVE)
		return TD_STOP;
	u->progress = true;
	if (control & TD_IOC) {
		u->ioc = true;
		u->sts |= STS_INT;
	}
	if (r < 0)
		return TD_STOP;
	if (pid == USB_IN && (unsigned)r < n && control & TD_SPD && queued) {
		u->spd = true;
		u->sts |= STS_INT;
		return TD_STOP; /* the queue stays where it is: 3.4.2 */
	}
	return TD_DONE;
}

/* The transfers of the queue head at @at, from its element on; what its element link is in the end. */
static u32 run_queue(struct uhci *u, u32 at, u32 element, unsigned *bytes, unsigned *steps)
{
	u32 td[4];
	while (!(element & (LINK_END | LINK_QUEUE)) && *bytes < FRAME_BYTES && (*steps)++ < STEPS_MAX) {
		if (!fetch(u, element, td, 4) || run_td(u, element & ~15u, td, true, bytes) != TD_DONE)
			break;
		element = td[0];
		store(u, at + 4, element);
		if (!(element & LINK_DEPTH))
			break;
	}
	return element;
}

static void run_frame(struct uhci *u)
{
	u32 link, first = 0, w[4];
	unsigned bytes = 0, steps = 0;
	u8 raw[4];
	if (dma_read(u->dev.env->bus, pci_requester(&u->fn), (u->base & ~0xfffu) + (u->frnum & 1023u) * 4, raw, 4))
		return;
	link = raw[0] | raw[1] << 8 | raw[2] << 16 | (u32)raw[3] << 24;
	while (!(link & LINK_END) && u->cmd & CMD_RUN && bytes < FRAME_BYTES && steps++ < STEPS_MAX) {
		u32 at = link & ~15u;
		if (!(link & LINK_QUEUE)) {
			if (!fetch(u, at, w, 4))
				break;
			run_td(u, at, w, false, &bytes);
			link = w[0];
			continue;
		}
		/* Bandwidth reclamation makes a loop of the last queues: once around without news is enough. */
		unsigned before = bytes;
		if (at == first || !fetch(u, at, w, 2))
			break;
		if (!first)
			first = at;
		link = run_queue(u, at, w[1], &bytes, &steps);
		if (u->progress && bytes != before)
			first = 0;
		link = link & LINK_QUEUE && !(link & LINK_END) ? link : w[0];
	}
}

static void schedule(struct uhci *u)
{
	if (!(u->cmd & CMD_RUN))
		timer_disarm(&u->timer);
	else
		timer_arm(&u->timer, u->frame_ns + (u->quiet >= QUIET_AFTER ? QUIET_STEP : 1) * (u64)FRAME_NS);
}

static void frames(void *device)
{
	struct uhci *u = device;
	u64 now = clock_now(u->dev.env->clock);
	/* A jump of time, as after a suspended machine: the frames between are lost. */
	if (now - u->frame_ns > 64ull * FRAME_NS) {
		u64 lost = (now - u->frame_ns) / FRAME_NS - 8;
		u->frame_ns += lost * FRAME_NS;
		u->frnum = (u16)((u->frnum + lost) & 0x7ff);
	}
	while (u->cmd & CMD_RUN && now - u->frame_ns >= FRAME_NS) {
		u->frame_ns += FRAME_NS;
		u->frnum = (u16)((u->frnum + 1) & 0x7ff);
		u->progress = false;
		if (pci_bus_master(&u->fn))
			run_frame(u);
		u->quiet = u->progress ? 0 : MIN(u->quiet + 1, QUIET_AFTER);
	}
	if (!(u->cmd & CMD_RUN))
		u->sts |= STS_HALTED;
	update_irq(u);
	schedule(u);
}

/* The guest or a device did something: the next frame is carried out. */
static void wake(struct uhci *u)
{
	u64 now = clock_now(u->dev.env->clock);
	u->quiet = 0;
	if (!(u->cmd & CMD_RUN))
		return;
	u64 begun = (now - u->frame_ns) / FRAME_NS;
	timer_arm(&u->timer, u->frame_ns + (begun + 1) * FRAME_NS);
}

static void news(struct device *d)
{
	wake((struct uhci *)d);
}

/* ---- ports ---------------------------------------------------------------------------------- */

static void plugged(struct device *d, unsigned n)
{
	struct uhci *u = (struct uhci *)d;
	u16 change = PORT_CONNECT_CHANGE;
	if (u->port[n] & PORT_ENABLED)
		change |= PORT_ENABLE_CHANGE;
	u->port[n] = (u16)((u->port[n] & (PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE)) | change | (u->bus.port[n] ? PORT_CONNECTED : 0));
}

static void reset_ports(struct uhci *u)
{
	for (unsigned i = 0; i < USB_PORTS; i++) {
		u->port[i] = 0;
		if (!u->bus.port[i])
			continue;
		usb_reset(u->bus.port[i]);
		plugged(&u->dev, i);
	}
}

static u32 read_port(const struct uhci *u, unsigned n)
{
	bool idle = u->port[n] & PORT_CONNECTED && !(u->port[n] & PORT_RESET);
	return u->port[n] | PORT_ALWAYS | (idle ? PORT_DPLUS : 0);
}

static void write_port(struct uhci *u, unsigned n, u16 v)
{
	u16 p = u->port[n] & (PORT_CONNECTED | PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE);
	p &= (u16)~(v & (PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE));
	if (v & PORT_RESET && u->bus.port[n])
		usb_reset(u->bus.port[n]);
	if (p & PORT_CONNECTED && !(v & PORT_RESET))
		p |= v & PORT_ENABLED;
	u->port[n] = (u16)(p | (v & PORT_KEPT));
}

/* ---- registers (2.1) ------------------------------------------------------------------------ */

static void controller_reset(struct uhci *u)
{
	u->cmd = u->intr = u->frnum = 0;
	u->sts = STS_HALTED;
	u->base = 0;
	u->sof = 0x40;
	u->ioc = u->spd = u->progress = false;
	u->quiet = 0;
	u->frame_ns = 0;
	timer_disarm(&u->timer);
	reset_ports(u);
}

static void write_command(struct uhci *u, u16 v)
{
	u16 old = u->cmd;
	if (v & (CMD_HCRESET | CMD_GRESET)) {
		controller_reset(u);
		u->cmd = v & CMD_GRESET; /* the other bit clears itself */
		return;
	}
	u->cmd = v & 0xff;
	if (v & CMD_RUN && !(old & CMD_RUN)) {
		u->frame_ns = clock_now(u->dev.env->clock);
		u->sts &= (u16)~STS_HALTED;
	} else if (!(v & CMD_RUN)) {
		u->sts |= STS_HALTED;
	}
	u->quiet = 0;
	schedule(u);
}

static u32 frame_number(const struct uhci *u)
{
	u64 passed = u->cmd & CMD_RUN ? (clock_now(u->dev.env->clock) - u->frame_ns) / FRAME_NS : 0;
	return (u32)(u->frnum + passed) & 0x7ff;
}

static u32 read16(struct uhci *u, unsigned reg)
{
	switch (reg) {
	case 0x00: return u->cmd;
	case 0x02: return u->sts;
	case 0x04: return u->intr;
	case 0x06: return frame_number(u);
	case 0x08: return u->base & 0xffff;
	case 0x0a: return u->base >> 16;
	case 0x0c: return u->sof;
	case 0x10: return read_port(u, 0);
	case 0x12: return read_port(u, 1);
	default: return reg < 0x10 ? 0 : 0xff7f; /* no third port */
	}
}

static void write16(struct uhci *u, unsigned reg, u16 v)
{
	switch (reg) {
	case 0x00: write_command(u, v); break;
	case 0x02:
		u->sts &= (u16)~(v & STS_CLEARABLE);
		if (v & STS_INT)
			u->ioc = u->spd = false;
		break;
	case 0x04: u->intr = v & 15; break;
	case 0x06:
		if (!(u->cmd & CMD_RUN))
			u->frnum = v & 0x7ff;
		break;
	case 0x08: u->base = (u->base & 0xffff0000) | (v & 0xf000); break;
	case 0x0a: u->base = (u->base & 0xffff) | (u32)v << 16; break;
	case 0x0c: u->sof = v & 0x7f; break;
	case 0x10:
	case 0x12: write_port(u, reg >> 1 & 1, v); break;
	default: break;
	}
	update_irq(u);
	wake(u);
}

static u32 io_read(void *ctx, u16 port, unsigned size)
{
	struct uhci *u = ctx;
	unsigned reg = (unsigned)(port - pci_bar_base(&u->fn, 4));
	if (size == 1)
		return read16(u, reg & ~1u) >> (reg & 1) * 8 & 0xff;
	return size == 2 ? read16(u, reg) : read16(u, reg) | read16(u, reg + 2) << 16;
}

static void io_write(void *ctx, u16 port, u32 v, unsigned size)
{
	struct uhci *u = ctx;
	unsigned reg = (unsigned)(port - pci_bar_base(&u->fn, 4));
	if (size == 1 && reg != 0x0c) {
		/* The other half as it is, but nothing that is cleared by writing ones. */
		u32 old = reg < 0x04 && reg >= 0x02 ? 0 : reg >= 0x10 ? read16(u, reg & ~1u) & ~10u : read16(u, reg & ~1u);
		unsigned shift = (reg & 1) * 8;
		write16(u, reg & ~1u, (u16)((old & ~(0xffu << shift)) | (v & 0xff) << shift));
		return;
	}
	write16(u, reg, (u16)v);
	if (size == 4)
		write16(u, reg + 2, (u16)(v >> 16));
}

/* ---- life ----------------------------------------------------------------------------------- */

static int init(struct device *d, char *err, size_t n)
{
	struct uhci *u = (struct uhci *)d;
	u->bus = (struct usb_bus){.controller = d, .plugged = plugged, .news = news};
	if (!d->env->usb)
		d->env->usb = &u->bus;
	pci_put16(u->fn.wmask, 0xc0, 0xbfff);
	return 0;
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct uhci *u = (struct uhci *)d;
	u->fn.cfg[0x60] = 0x10; /* USB 1.0 */
	pci_put16(u->fn.cfg, 0xc0, 0x2000);
	controller_reset(u);
	update_irq(u);
}

static void exit_(struct device *d)
{
	struct uhci *u = (struct uhci *)d;
	for (unsigned i = 0; i < USB_PORTS; i++)
		if (u->bus.port[i])
			u->bus.port[i]->bus = NULL;
	if (d->env->usb == &u->bus)
		d->env->usb = NULL;
}

static void loaded(struct device *d)
{
	struct uhci *u = (struct uhci *)d;
	u->frnum &= 0x7ff;
	u->quiet = MIN(u->quiet, QUIET_AFTER);
}

static const struct port_ops ports = {io_read, io_write, IO_ANY};

static const struct pci_ident ident = {
    .vendor = 0x8086,
    .device = 0x7020,
    .revision = 1,
    .class_code = 0x0c0300,
    .pin = 4,
    .devfn = 1 << 3 | 2,
    .bar = {[4] = {.kind = PCI_BAR_IO, .size = 32, .io = &ports}},
};

const struct device_type uhci_type = {
    .name = "piix3-usb-uhci",
    .help = "82371SB USB controller (UHCI)",
    .category = "usb",
    .size = sizeof(struct uhci),
    .pci = &ident,
    .pci_offset = offsetof(struct uhci, fn),
    .timers = (const struct timer_decl[]){{"frame", offsetof(struct uhci, timer), frames}, {0}},
    .snapshot = &uhci_snapshot,
    .init = init,
    .reset = reset,
    .loaded = loaded,
    .free = exit_,
};
