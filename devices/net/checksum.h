/* The Internet checksum (RFC 1071), as cards compute it for their drivers. */
#ifndef ORRERY_NET_CHECKSUM_H
#define ORRERY_NET_CHECKSUM_H

#include "base/types.h"

static inline u16 net_get16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static inline void net_put16(u8 *p, u32 v)
{
	p[0] = (u8)(v >> 8);
	p[1] = (u8)v;
}

static inline u32 net_get32(const u8 *p)
{
	return (u32)net_get16(p) << 16 | net_get16(p + 2);
}

static inline void net_put32(u8 *p, u32 v)
{
	net_put16(p, v >> 16);
	net_put16(p + 2, v);
}

/** The ones' complement sum of @n bytes as big-endian words, added to @seed, folded to 16 bits, not
 * complemented. */
static inline u16 net_sum(const u8 *p, size_t n, u32 seed)
{
	u64 sum = 0;
	u32 v;
	/* RFC 1071, 2(B): the sum may be taken in the host's order and swapped at the end. */
	for (; n >= 4; n -= 4, p += 4) {
		memcpy(&v, p, 4);
		sum += v;
	}
	u8 tail[4] = {0};
	memcpy(tail, p, n);
	memcpy(&v, tail, 4);
	sum += v;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = seed + (u64)__builtin_bswap16((u16)sum);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (u16)sum;
}

#endif
