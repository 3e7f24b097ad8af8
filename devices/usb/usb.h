/*
 * USB 2.0 (full speed) between a host controller and the devices at its ports: packets, and the requests of endpoint 0
 * that every device answers (chapter 9). A device gives descriptors and its own endpoints. Not modelled: hubs, data toggles
 * (whatever the controller says is accepted: nothing is ever lost here), isochronous endpoints, remote wake-up.
 */
#ifndef ORRERY_DEVICES_USB_H
#define ORRERY_DEVICES_USB_H

#include "devices/device.h"

#define USB_PORTS       2
#define USB_CONTROL_MAX 256u /* bytes of a control transfer */

enum usb_pid { USB_IN = 0x69, USB_OUT = 0xe1, USB_SETUP = 0x2d };
/* What a packet comes to, besides a number of bytes. */
enum usb_result { USB_NAK = -1, USB_STALL = -2, USB_SILENCE = -3 };

#define USB_GET_DESCRIPTOR 6
#define USB_DT_DEVICE      1
#define USB_DT_CONFIG      2
#define USB_DT_STRING      3

struct usb_request { /* 9.3 */
	u8 type, request;
	u16 value, index, length;
};

struct usb_device;

struct usb_device_ops {
	/* A descriptor, its size in *@n; NULL: there is none. Strings are plain text, ending with a zero. */
	const u8 *(*descriptor)(struct device *d, u8 type, u8 index, unsigned *n);
	/* A request that chapter 9 does not define: fills or takes @data; bytes, or USB_STALL. */
	int (*control)(struct device *d, const struct usb_request *r, u8 *data);
	/* An interrupt or bulk endpoint: bytes put into @data (at most @max), or a usb_result. */
	int (*in)(struct device *d, unsigned endpoint, u8 *data, unsigned max);
	int (*out)(struct device *d, unsigned endpoint, const u8 *data, unsigned n);
	/* Bus reset: what the device itself holds. May be NULL. */
	void (*reset)(struct device *d);
};

struct usb_bus { /* of a controller */
	struct device *controller;
	struct usb_device *port[USB_PORTS];
	void (*plugged)(struct device *controller, unsigned port);
	void (*news)(struct device *controller); /* a device that answered NAK has something now */
};

struct usb_device { /* in the state of every device */
	struct device *dev;
	const struct usb_device_ops *ops;
	struct usb_bus *bus;
	u8 data[USB_CONTROL_MAX];
	u8 setup[8];
	u16 length, at;          /* of data */
	u16 halted_in, halted_out; /* endpoints, a bit each */
	u8 stage;
	u8 address, new_address, configuration;
	u8 pad[4];
};
extern const struct snapshot_desc usb_device_snapshot;

/** For init: takes a free port of the machine's controller. 0, or -ENODEV, -ENOSPC with a message. */
MUST_CHECK int usb_attach(struct usb_device *u, struct device *d, const struct usb_device_ops *ops, char *err, size_t n);
/** For free. */
void usb_detach(struct usb_device *u);
/** Bus reset: address 0, not configured. */
void usb_reset(struct usb_device *u);
/** A snapshot was loaded: what could lead astray is put right. */
void usb_loaded(struct usb_device *u);
/** There is something to say to an IN packet. */
void usb_news(struct usb_device *u);
/** One packet at @u: takes or fills at most @n bytes of @data; how many, or a usb_result. */
int usb_packet(struct usb_device *u, enum usb_pid pid, unsigned endpoint, u8 *data, unsigned n);

/* ---- the tablet (usb_tablet.c) */

/** Does the guest ask it where the pointer is? */
bool usb_tablet_wanted(const struct device *d);
/** The pointer stands at (@x, @y), 0..32767 each; wheel steps towards the user, buttons 1 left, 2 right, 4 middle. */
void usb_tablet_move(struct device *d, unsigned x, unsigned y, int wheel, unsigned buttons);

#endif
