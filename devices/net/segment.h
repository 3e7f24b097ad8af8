/* Segmentation that cards do for their drivers: one large TCP or UDP packet in many frames. */
#ifndef ORRERY_NET_SEGMENT_H
#define ORRERY_NET_SEGMENT_H

#include "base/types.h"

struct net_headers {
	u32 ip, transport; /* where they begin in the frame */
	bool ipv4;         /* else IPv6 */
	bool tcp;          /* else UDP */
};

/**
 * Makes the headers of a frame @p of @n bytes those of segment number @i, whose payload begins
 * @from bytes behind the first's: lengths, IPv4 identification, TCP sequence number, and PSH and
 * FIN on the @last alone. Checksums are the caller's.
 */
void net_adapt_headers(const struct net_headers *h, u8 *p, u32 n, u32 i, u32 from, bool last);

#endif
