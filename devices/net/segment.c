#include "devices/net/segment.h"

#include "devices/net/checksum.h"

void net_adapt_headers(const struct net_headers *h, u8 *p, u32 n, u32 i, u32 from, bool last)
{
	u32 ip = h->ip, at = h->transport;
	if (h->ipv4 && ip + 6 <= n) {
		net_put16(p + ip + 2, n - ip);
		net_put16(p + ip + 4, net_get16(p + ip + 4) + i);
	} else if (!h->ipv4 && ip + 40 <= n) {
		net_put16(p + ip + 4, n - ip - 40);
	}
	if (h->tcp && at + 14 <= n) {
		net_put32(p + at + 4, net_get32(p + at + 4) + from);
		if (!last)
			p[at + 13] &= (u8)~9u; /* FIN and PSH belong to the last */
	} else if (!h->tcp && at + 6 <= n) {
		net_put16(p + at + 4, n - at);
	}
}
