/* What every network card has: its host end, its address, and the ways between card and machine. */
#ifndef ORRERY_DEVICES_NIC_H
#define ORRERY_DEVICES_NIC_H

#include "devices/backends/net.h"
#include "devices/device.h"

struct nic_ops {
	/* Frames the card takes now. 0: they wait at the host's end until nic_ready(). */
	unsigned (*room)(struct device *d);
	void (*receive)(struct device *d, const u8 *frame, size_t bytes);
};

struct nic {
	struct device *dev;
	const struct nic_ops *ops;
	struct net *net; /* NULL: the cable is not plugged in */
	struct nic *next;
	char netdev[PROP_TEXT_SIZE], mac_text[PROP_TEXT_SIZE]; /* settings */
	u8 mac[6];
	u8 pad[2];
};

/* The settings of a card whose state has a member `nic`. */
#define NIC_PROPS(state)                                                                           \
	{.name = "netdev",                                                                         \
	 .type = PROP_TEXT,                                                                        \
	 .offset = offsetof(state, nic.netdev),                                                    \
	 .def = "",                                                                                \
	 .help = "id of the -netdev it is connected to"},                                          \
	{                                                                                          \
		.name = "mac", .type = PROP_TEXT, .offset = offsetof(state, nic.mac_text),         \
		.def = "",                                                                         \
		.help = "address, six hexadecimal bytes; 52:54:00:12:34:56 and on if not given"    \
	}

/** For init: connects @nic of @d. 0, or -errno with a message. nic_exit() goes into free. */
MUST_CHECK int nic_init(struct nic *nic, struct device *d, const struct nic_ops *ops, char *err,
			size_t n);
void nic_exit(struct nic *nic);
/** From the card: a frame without its check sequence. */
void nic_send(struct nic *nic, const void *frame, size_t bytes);
/** The card can take frames that it could not before. */
void nic_ready(struct nic *nic);
/** To the card, if it has room. */
void nic_receive(struct nic *nic, const u8 *frame, size_t bytes);
/** Is the cable plugged in? */
static inline bool nic_link(const struct nic *nic)
{
	return nic->net != NULL;
}

/** CRC-32 of IEEE 802.3, 3.2.9, most significant bit first as address filters hash it: bit 31 is
 * the first that was shifted. */
u32 nic_crc_be(const void *data, size_t n);
/** The same in the order of the check sequence on the wire (reflected, complemented). */
u32 nic_crc(const void *data, size_t n);
static inline bool nic_is_broadcast(const u8 *mac)
{
	return (mac[0] & mac[1] & mac[2] & mac[3] & mac[4] & mac[5]) == 0xff;
}

#endif
