/* A board with one card on a memory network, for tests that act as its driver and as its peer. */
#ifndef TESTS_NET_LAN_H
#define TESTS_NET_LAN_H

#include "devices/backends/net.h"
#include "devices/net/checksum.h"
#include "devices/net/nic.h"
#include "tests/devices/board.h"

#define SLOT 4u
#define BAR  0xe8000000u

struct lan {
	struct board *b;
	struct net *net;
	u8 frame[NET_SEND_MAX]; /* the last one taken */
	size_t bytes;
};

static struct net *the_net; /* one test at a time, each in a process of its own */

static struct net *lan_find(void *ctx, const char *id)
{
	return strcmp(id, "lan") ? NULL : the_net;
}

static inline struct lan *lan_new(const char *card, const char *props)
{
	char err[300] = "";
	struct lan *l = calloc(1, sizeof(*l));
	l->b = board_new(1);
	l->net = the_net = net_open("lan", "memory", &l->b->clock, err, sizeof(err));
	ck_assert_msg(l->net != NULL, "%s", err);
	l->b->pc.env.hooks.find_net = lan_find;
	ck_assert_msg(device_create(&l->b->pc.env, card, "card", props, err, sizeof(err)) != NULL,
		      "%s", err);
	return l;
}

static inline void lan_free(struct lan *l)
{
	board_free(l->b);
	net_close(l->net);
	free(l);
}

/* What the card sent next; 0 bytes if nothing. */
static inline size_t lan_take(struct lan *l)
{
	l->bytes = net_memory_take(l->net, l->frame);
	return l->bytes;
}

/* A frame comes from the cable. */
static inline void lan_give(struct lan *l, const u8 *frame, size_t bytes)
{
	pc_net_receive(&l->b->pc, l->net, frame, bytes);
}

/* An Ethernet frame to @to of @bytes, filled with a pattern. */
static inline void lan_frame(u8 *frame, const u8 *to, u16 type, size_t bytes)
{
	static const u8 from[6] = {0x02, 1, 2, 3, 4, 5};
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	net_put16(frame + 12, type);
	for (size_t i = 14; i < bytes; i++)
		frame[i] = (u8)(i * 7);
}

static const u8 card_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static const u8 broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

#endif
