/* What network cards share. See nic.h. */
#include "devices/net/nic.h"

#include <errno.h>
#include <stdlib.h>

static int parse_mac(const char *text, u8 *mac)
{
	for (unsigned i = 0; i < 6; i++) {
		char *end;
		unsigned long v = strtoul(text, &end, 16);
		if (end == text || end - text > 2 || v > 255 ||
		    (i < 5 ? *end != ':' && *end != '-' : *end))
			return -EINVAL;
		mac[i] = (u8)v;
		text = end + 1;
	}
	return mac[0] & 1 ? -EINVAL : 0;
}

static int connect_net(struct nic *nic, struct device *d, char *err, size_t n)
{
	const struct machine_hooks *h = &d->env->hooks;
	if (!*nic->netdev)
		return 0;
	nic->net = h->find_net ? h->find_net(h->ctx, nic->netdev) : NULL;
	if (!nic->net) {
		snprintf(err, n, "%s: there is no -netdev with id=%s", d->id, nic->netdev);
		return -ENODEV;
	}
	for (const struct nic *c = d->env->nics; c; c = c->next)
		if (c->net == nic->net) {
			snprintf(err, n, "%s: %s is connected to netdev %s already", d->id,
				 c->dev->id, nic->netdev);
			nic->net = NULL;
			return -EBUSY;
		}
	return 0;
}

int nic_init(struct nic *nic, struct device *d, const struct nic_ops *ops, char *err, size_t n)
{
	static const u8 first[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
	struct nic **last = &d->env->nics;
	nic->dev = d;
	nic->ops = ops;
	memcpy(nic->mac, first, 6);
	for (; *last; last = &(*last)->next)
		nic->mac[5]++;
	if (*nic->mac_text && parse_mac(nic->mac_text, nic->mac)) {
		snprintf(err, n,
			 "%s: mac=%s is not the address of a card (such as 52:54:00:12:34:56)",
			 d->id, nic->mac_text);
		return -EINVAL;
	}
	int e = connect_net(nic, d, err, n);
	if (!e)
		*last = nic;
	return e;
}

void nic_exit(struct nic *nic)
{
	if (!nic->dev)
		return;
	for (struct nic **p = &nic->dev->env->nics; *p; p = &(*p)->next)
		if (*p == nic) {
			*p = nic->next;
			return;
		}
}

void nic_ready(struct nic *nic)
{
	const struct machine_hooks *h = &nic->dev->env->hooks;
	if (nic->net && h->net_ready)
		h->net_ready(h->ctx);
}

void nic_send(struct nic *nic, const void *frame, size_t bytes)
{
	if (!nic->net)
		return;
	device_activity(nic->dev, ACTIVITY_NET);
	net_send(nic->net, frame, bytes);
	nic_ready(nic); /* user networking may have answered at once */
}

void nic_receive(struct nic *nic, const u8 *frame, size_t bytes)
{
	if (bytes < NET_FRAME_MIN || bytes > NET_FRAME_MAX)
		return;
	device_activity(nic->dev, ACTIVITY_NET);
	nic->ops->receive(nic->dev, frame, bytes);
}

#define CRC_POLYNOMIAL 0x04c11db7u

u32 nic_crc_be(const void *data, size_t n)
{
	const u8 *p = data;
	u32 crc = UINT32_MAX;
	for (; n--; p++)
		for (unsigned bit = 0; bit < 8; bit++) {
			u32 carry = (crc >> 31) ^ (*p >> bit & 1u);
			crc = crc << 1 ^ (carry ? CRC_POLYNOMIAL : 0);
		}
	return crc;
}

u32 nic_crc(const void *data, size_t n)
{
	u32 be = nic_crc_be(data, n), v = 0;
	for (unsigned i = 0; i < 32; i++)
		v |= (be >> i & 1) << (31 - i);
	return ~v;
}
