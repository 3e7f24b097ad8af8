/* Packets and standard requests: see usb.h. Sections are those of the USB 2.0 specification. */
#include "devices/usb/usb.h"

#include <errno.h>

enum stage { STAGE_IDLE, STAGE_IN, STAGE_OUT, STAGE_STATUS_IN, STAGE_STATUS_OUT, STAGE_STALL };

#define EP0_PACKET 8u
#define TYPE_IN       0x80
#define TYPE_KIND     0x60 /* 0: standard */
#define TO_ENDPOINT   0x02
#define FEATURE_HALT  0

/* clang-format off */
#define USB_FIELDS(V, S, H, P) \
	H(dev) H(ops) H(bus) V(data) V(setup) V(length) V(at) V(halted_in) V(halted_out) V(stage) V(address) V(new_address) \
	V(configuration) H(pad)
/* clang-format on */
SNAPSHOT(usb_device_snapshot, "usb-device", 1, struct usb_device, USB_FIELDS);

int usb_attach(struct usb_device *u, struct device *d, const struct usb_device_ops *ops, char *err, size_t n)
{
	struct usb_bus *bus = d->env->usb;
	u->dev = d;
	u->ops = ops;
	if (!bus) {
		snprintf(err, n, "%s: there is no USB controller (-usb adds one)", d->id);
		return -ENODEV;
	}
	for (unsigned i = 0; i < USB_PORTS; i++) {
		if (bus->port[i])
			continue;
		u->bus = bus;
		bus->port[i] = u;
		bus->plugged(bus->controller, i);
		return 0;
	}
	snprintf(err, n, "%s: all %d USB ports are taken", d->id, USB_PORTS);
	return -ENOSPC;
}

void usb_detach(struct usb_device *u)
{
	for (unsigned i = 0; u->bus && i < USB_PORTS; i++)
		if (u->bus->port[i] == u) {
			u->bus->port[i] = NULL;
			u->bus->plugged(u->bus->controller, i);
		}
	u->bus = NULL;
}

void usb_reset(struct usb_device *u)
{
	u->stage = STAGE_IDLE;
	u->length = u->at = u->halted_in = u->halted_out = 0;
	u->address = u->new_address = u->configuration = 0;
	if (u->ops->reset)
		u->ops->reset(u->dev);
}

void usb_loaded(struct usb_device *u)
{
	u->length = MIN(u->length, USB_CONTROL_MAX);
	u->at = MIN(u->at, u->length);
}

void usb_news(struct usb_device *u)
{
	if (u->bus)
		u->bus->news(u->bus->controller);
}

/* ---- requests of endpoint 0 (9.4) ----------------------------------------------------------- */

static struct usb_request request_of(const struct usb_device *u)
{
	const u8 *s = u->setup;
	return (struct usb_request){s[0], s[1], (u16)(s[2] | s[3] << 8), (u16)(s[4] | s[5] << 8), (u16)(s[6] | s[7] << 8)};
}

/* 9.6.7: a string is UTF-16 behind two bytes; string 0 is the list of languages. */
static int string_descriptor(struct usb_device *u, u8 index)
{
	unsigned n;
	u8 *out = u->data;
	if (!index) {
		memcpy(out, (const u8[]){4, USB_DT_STRING, 0x09, 0x04}, 4); /* English (US) */
		return 4;
	}
	const char *text = (const char *)u->ops->descriptor(u->dev, USB_DT_STRING, index, &n);
	if (!text)
		return USB_STALL;
	n = 2;
	for (; *text && n + 2 <= USB_CONTROL_MAX - 2; text++, n += 2) {
		out[n] = (u8)*text;
		out[n + 1] = 0;
	}
	out[0] = (u8)n;
	out[1] = USB_DT_STRING;
	return (int)n;
}

static int get_descriptor(struct usb_device *u, const struct usb_request *r)
{
	u8 type = (u8)(r->value >> 8), index = (u8)r->value;
	unsigned n;
	if (type == USB_DT_STRING)
		return string_descriptor(u, index);
	const u8 *d = u->ops->descriptor(u->dev, type, index, &n);
	if (!d || n > USB_CONTROL_MAX)
		return USB_STALL;
	memcpy(u->data, d, n);
	return (int)n;
}

/* The halt bits of the endpoint in wIndex. */
static u16 *halted(struct usb_device *u, const struct usb_request *r, u16 *bit)
{
	*bit = (u16)(1u << (r->index & 15));
	return r->index & 0x80 ? &u->halted_in : &u->halted_out;
}

static int feature(struct usb_device *u, const struct usb_request *r, bool set)
{
	u16 bit, *bits = halted(u, r, &bit);
	if ((r->type & 0x1f) != TO_ENDPOINT || r->value != FEATURE_HALT)
		return USB_STALL;
	*bits = set ? *bits | bit : *bits & (u16)~bit;
	return 0;
}

static int get_status(struct usb_device *u, const struct usb_request *r)
{
	u16 bit, *bits = halted(u, r, &bit);
	u->data[0] = (r->type & 0x1f) == TO_ENDPOINT && *bits & bit;
	u->data[1] = 0;
	return 2;
}

static int standard(struct usb_device *u, const struct usb_request *r)
{
	switch (r->request) {
	case 0: return get_status(u, r);
	case 1: return feature(u, r, false);
	case 3: return feature(u, r, true);
	case 5: u->new_address = r->value & 0x7f; return 0; /* from the end of this transfer on */
	case USB_GET_DESCRIPTOR:
		/* HID 1.11, 7.1: its descriptors are asked of the interface. */
		return get_descriptor(u, r);
	case 8: u->data[0] = u->configuration; return 1;
	case 9:
		if (r->value > 1)
			return USB_STALL;
		u->configuration = (u8)r->value;
		u->halted_in = u->halted_out = 0;
		return 0;
	case 10: u->data[0] = 0; return 1;
	case 11: return r->value ? USB_STALL : 0;
	default: return USB_STALL;
	}
}

static int carry_out(struct usb_device *u)
{
	struct usb_request r = request_of(u);
	return r.type & TYPE_KIND ? u->ops->control(u->dev, &r, u->data) : standard(u, &r);
}

static int setup(struct usb_device *u, const u8 *data, unsigned n)
{
	if (n != 8)
		return USB_SILENCE;
	memcpy(u->setup, data, 8);
	struct usb_request r = request_of(u);
	u->at = u->length = 0;
	u->new_address = u->address;
	if (!(r.type & TYPE_IN) && r.length) {
		u->stage = r.length > USB_CONTROL_MAX ? STAGE_STALL : STAGE_OUT;
		return 8;
	}
	int got = carry_out(u);
	u->length = (u16)MIN(MAX(got, 0), r.length);
	u->stage = got < 0 ? STAGE_STALL : r.type & TYPE_IN && r.length ? STAGE_IN : STAGE_STATUS_IN;
	return 8;
}

static int control_in(struct usb_device *u, u8 *data, unsigned n)
{
	switch (u->stage) {
	case STAGE_IN:
		n = MIN(MIN(n, EP0_PACKET), (unsigned)(u->length - u->at));
		memcpy(data, u->data + u->at, n);
		u->at = (u16)(u->at + n);
		return (int)n;
	case STAGE_STATUS_IN:
		u->address = u->new_address;
		u->stage = STAGE_IDLE;
		return 0;
	default: return USB_STALL;
	}
}

static int control_out(struct usb_device *u, const u8 *data, unsigned n)
{
	if (u->stage == STAGE_IN) { /* the status stage: the host has read enough */
		u->stage = STAGE_IDLE;
		return (int)n;
	}
	if (u->stage != STAGE_OUT)
		return USB_STALL;
	u16 want = request_of(u).length;
	if (u->length > want || n > (unsigned)(want - u->length) || want > USB_CONTROL_MAX)
		return USB_STALL;
	memcpy(u->data + u->length, data, n);
	u->length = (u16)(u->length + n);
	if (u->length == want)
		u->stage = carry_out(u) < 0 ? STAGE_STALL : STAGE_STATUS_IN;
	return (int)n;
}

int usb_packet(struct usb_device *u, enum usb_pid pid, unsigned endpoint, u8 *data, unsigned n)
{
	if (pid == USB_SETUP)
		return endpoint ? USB_STALL : setup(u, data, n);
	if (!endpoint)
		return pid == USB_IN ? control_in(u, data, n) : control_out(u, data, n);
	if (!u->configuration)
		return USB_SILENCE;
	if ((pid == USB_IN ? u->halted_in : u->halted_out) >> endpoint & 1)
		return USB_STALL;
	return pid == USB_IN ? u->ops->in(u->dev, endpoint, data, n) : u->ops->out(u->dev, endpoint, data, n);
}
