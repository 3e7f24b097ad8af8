/*
 * A pointing device that says where it is, not how it moved: USB HID 1.11 with one report of five buttons, X and Y of 15 bits
 * each, and a wheel. Systems since Windows 98 SE and Linux 2.4 have the driver, and the guest's pointer stands where the host's
 * does, so that no grab is needed. Not modelled: the boot protocol (for a BIOS there is the PS/2 mouse), remote wake-up.
 */
#include "devices/usb/usb.h"

#define EVENTS      16u /* power of two */
#define REPORT      6u
#define WANTED_NS   1000000000ull /* so long ago the guest last asked, at most */
#define IDLE_UNIT_NS 4000000ull

struct pointer_event {
	u16 x, y;
	s8 wheel;
	u8 buttons;
};
/* clang-format off */
#define EVENT_FIELDS(V, S, H, P) V(x) V(y) V(wheel) V(buttons)
SNAPSHOT(pointer_event_snapshot, "pointer-event", 1, struct pointer_event, EVENT_FIELDS);

struct tablet {
	struct device dev;
	struct usb_device usb;
	u64 asked_ns, said_ns; /* the last IN packet; the last report */
	struct pointer_event event[EVENTS], now; /* to be reported; what was reported last */
	u32 head, tail;
	u8 idle, protocol;
	bool asked;
	u8 pad[5];
};

#define TABLET_FIELDS(V, S, H, P) \
	H(dev) S(usb, usb_device_snapshot) V(asked_ns) V(said_ns) S(event, pointer_event_snapshot) \
	S(now, pointer_event_snapshot) V(head) V(tail) V(idle) V(protocol) V(asked) H(pad) P(2)
/* clang-format on */
SNAPSHOT(tablet_snapshot, "usb-tablet", 1, struct tablet, TABLET_FIELDS);

/* ---- descriptors ---------------------------------------------------------------------------- */

#define HID_DT        0x21
#define HID_DT_REPORT 0x22

static const u8 report_descriptor[] = {
    0x05, 0x01,       /* usage page: generic desktop */
    0x09, 0x02,       /* usage: mouse */
    0xa1, 0x01,       /* collection: application */
    0x09, 0x01,       /*   usage: pointer */
    0xa1, 0x00,       /*   collection: physical */
    0x05, 0x09,       /*     usage page: buttons */
    0x19, 0x01,       /*     1 .. */
    0x29, 0x05,       /*     5 */
    0x15, 0x00,       /*     0 .. */
    0x25, 0x01,       /*     1 */
    0x95, 0x05,       /*     five fields */
    0x75, 0x01,       /*     of one bit */
    0x81, 0x02,       /*     input: data, variable, absolute */
    0x95, 0x01,       /*     one */
    0x75, 0x03,       /*     of three bits */
    0x81, 0x01,       /*     input: constant */
    0x05, 0x01,       /*     usage page: generic desktop */
    0x09, 0x30,       /*     X */
    0x09, 0x31,       /*     Y */
    0x26, 0xff, 0x7f, /*     0 .. 32767 */
    0x35, 0x00,       /*     physically 0 .. */
    0x46, 0xff, 0x7f, /*     32767 */
    0x75, 0x10,       /*     of 16 bits */
    0x95, 0x02,       /*     two */
    0x81, 0x02,       /*     input: data, variable, absolute */
    0x09, 0x38,       /*     wheel */
    0x15, 0x81,       /*     -127 .. */
    0x25, 0x7f,       /*     127 */
    0x35, 0x00,       /*     no physical */
    0x45, 0x00,       /*     unit */
    0x75, 0x08,       /*     of 8 bits */
    0x95, 0x01,       /*     one */
    0x81, 0x06,       /*     input: data, variable, relative */
    0xc0, 0xc0,
};

/* 1209h is pid.codes', which gives numbers to projects like this; 0001h is for trials. */
static const u8 device_descriptor[] = {18, 1, 0x10, 0x01, 0, 0, 0, 8, 0x09, 0x12, 0x01, 0x00, 0x00, 0x01, 1, 2, 3, 1};

static const u8 config_descriptor[] = {
    9, 2, 34, 0, 1, 1, 0, 0x80, 50,                   /* one interface, powered by the bus, 100 mA */
    9, 4, 0, 0, 1, 3, 0, 0, 0,                                 /* HID, no boot interface */
    9, HID_DT, 0x11, 0x01, 0, 1, HID_DT_REPORT, sizeof(report_descriptor), 0,
    7, 5, 0x81, 3, 8, 0, 8,                                    /* interrupt IN, 8 bytes, every 8 ms */
};

static const u8 *descriptor(struct device *d, u8 type, u8 index, unsigned *n)
{
	static const char *const strings[] = {"Orrery", "USB Tablet", "1"};
	switch (type) {
	case USB_DT_DEVICE: *n = sizeof(device_descriptor); return device_descriptor;
	case USB_DT_CONFIG: *n = sizeof(config_descriptor); return index ? NULL : config_descriptor;
	case USB_DT_STRING: *n = 0; return index <= ARRAY_SIZE(strings) ? (const u8 *)strings[index - 1] : NULL;
	case HID_DT: *n = 9; return config_descriptor + 18;
	case HID_DT_REPORT: *n = sizeof(report_descriptor); return report_descriptor;
	default: return NULL;
	}
}

/* ---- reports -------------------------------------------------------------------------------- */

static int put_report(const struct pointer_event *e, u8 *data)
{
	const u8 r[REPORT] = {e->buttons, (u8)e->x, (u8)(e->x >> 8), (u8)e->y, (u8)(e->y >> 8), (u8)e->wheel};
	memcpy(data, r, REPORT);
	return REPORT;
}

static int in(struct device *d, unsigned endpoint, u8 *data, unsigned max)
{
	struct tablet *t = (struct tablet *)d;
	u64 now = clock_now(d->env->clock);
	if (endpoint != 1)
		return USB_STALL;
	t->asked_ns = now;
	t->asked = true;
	if (t->tail != t->head)
		t->now = t->event[t->tail++ % EVENTS];
	else if (!t->idle || now - t->said_ns < t->idle * IDLE_UNIT_NS)
		return USB_NAK;
	t->said_ns = now;
	u8 r[REPORT];
	put_report(&t->now, r);
	t->now.wheel = 0;
	memcpy(data, r, MIN(max, REPORT));
	return (int)MIN(max, REPORT);
}

static int out(struct device *d, unsigned endpoint, const u8 *data, unsigned n)
{
	return USB_STALL;
}

/* HID 1.11, 7.2. */
static int control(struct device *d, const struct usb_request *r, u8 *data)
{
	struct tablet *t = (struct tablet *)d;
	switch (r->type << 8 | r->request) {
	case 0xa101: return put_report(&t->now, data);
	case 0xa102: data[0] = t->idle; return 1;
	case 0xa103: data[0] = t->protocol; return 1;
	case 0x2109: return 0; /* SET_REPORT: there is nothing to set */
	case 0x210a: t->idle = (u8)(r->value >> 8); return 0;
	case 0x210b: t->protocol = r->value & 1; return 0;
	default: return USB_STALL;
	}
}

static void bus_reset(struct device *d)
{
	struct tablet *t = (struct tablet *)d;
	t->head = t->tail = 0;
	t->idle = 0;
	t->protocol = 1;
	t->asked = false;
	t->asked_ns = t->said_ns = 0;
}

bool usb_tablet_wanted(const struct device *d)
{
	const struct tablet *t = (const struct tablet *)d;
	return t->asked && clock_now(d->env->clock) - t->asked_ns < WANTED_NS;
}

void usb_tablet_move(struct device *d, unsigned x, unsigned y, int wheel, unsigned buttons)
{
	struct tablet *t = (struct tablet *)d;
	/* HID: away from the user is positive. */
	struct pointer_event e = {(u16)MIN(x, 32767u), (u16)MIN(y, 32767u), (s8)(wheel > 127 ? -127 : wheel < -127 ? 127 : -wheel),
				  buttons & 0x1f};
	if (!usb_tablet_wanted(d)) {
		t->head = t->tail = 0;
		t->now = e;
		t->now.wheel = 0;
		return;
	}
	/* Motion replaces what was not fetched yet; a change of the buttons is an event of its own. */
	unsigned waiting = t->head - t->tail;
	struct pointer_event *last = &t->event[(t->head - 1) % EVENTS];
	const struct pointer_event *before = waiting > 1 ? &t->event[(t->head - 2) % EVENTS] : &t->now;
	if (waiting == EVENTS || (waiting && last->buttons == e.buttons && before->buttons == e.buttons)) {
		int sum = last->wheel + e.wheel;
		e.wheel = (s8)(sum > 127 ? 127 : sum < -127 ? -127 : sum);
		*last = e;
	} else {
		t->event[t->head++ % EVENTS] = e;
	}
	usb_news(&t->usb);
}

/* ---- life ----------------------------------------------------------------------------------- */

static const struct usb_device_ops ops = {descriptor, control, in, out, bus_reset};

static int init(struct device *d, char *err, size_t n)
{
	int e = usb_attach(&((struct tablet *)d)->usb, d, &ops, err, n);
	if (!e)
		d->env->tablet = d;
	return e;
}

static void reset(struct device *d, enum reset_kind kind)
{
	usb_reset(&((struct tablet *)d)->usb);
	((struct tablet *)d)->now = (struct pointer_event){0};
}

static void exit_(struct device *d)
{
	usb_detach(&((struct tablet *)d)->usb);
	if (d->env->tablet == d)
		d->env->tablet = NULL;
}

/* A snapshot is a file: indices must lie in the ring. */
static void loaded(struct device *d)
{
	struct tablet *t = (struct tablet *)d;
	if (t->head - t->tail > EVENTS)
		t->head = t->tail = 0;
	usb_loaded(&t->usb);
}

const struct device_type usb_tablet_type = {
    .name = "usb-tablet",
    .help = "USB tablet: the guest's pointer stands where the host's does",
    .category = "input",
    .size = sizeof(struct tablet),
    .snapshot = &tablet_snapshot,
    .init = init,
    .reset = reset,
    .free = exit_,
    .loaded = loaded,
};
