/*
 * RCPPS and RSQRTPS on hosts of other makers: the approximations of Intel's processors, bit for bit, so that a run is the same on
 * every host (SDM Vol. 2B, RCPPS, RSQRTPS, give only the bound: 1.5 * 2^-12). Found by measuring one over all mantissas: the
 * value at the middle of the interval that the upper 11 (RCPPS) or 10 (RSQRTPS) bits of the mantissa leave, rounded to 12 bits.
 * Denormals count as zero, results that would be denormal are zero, whatever MXCSR says; no flag is set.
 */
#ifndef ORRERY_CPU_EXEC_VEC_APPROX_H
#define ORRERY_CPU_EXEC_VEC_APPROX_H

#include "base/types.h"

#define APPROX_SIGN 0x80000000u
#define APPROX_INF  0x7f800000u

static inline bool approx_nan(u32 x)
{
	return (x & ~APPROX_SIGN) > APPROX_INF;
}

/** 1 / @x, both binary32. */
static inline u32 approx_rcp(u32 x)
{
	u32 e = x >> 23 & 0xff, r;

	if (approx_nan(x))
		return x | 0x400000;
	if (!e)
		return (x & APPROX_SIGN) | APPROX_INF;
	if (e >= 253)
		return x & APPROX_SIGN;
	r = (BIT(26) / (4097 + 2 * (x >> 12 & 0x7ff)) + 1) >> 1; /* 13 bits, the uppermost 1 */
	return (x & APPROX_SIGN) | (253 - e) << 23 | (r & 0xfff) << 11;
}

/** 1 / sqrt(@x), both binary32. */
static inline u32 approx_rsqrt(u32 x)
{
	u32 e = x >> 23 & 0xff, odd = ~e & 1, twice = 0; /* the exponent itself is e - 127 */
	u64 square;

	if (approx_nan(x))
		return x | 0x400000;
	if (!e)
		return (x & APPROX_SIGN) | APPROX_INF;
	if (x & APPROX_SIGN)
		return 0xffc00000;
	if (e == 255)
		return 0;
	square = BIT64(odd ? 38 : 39) / (2049 + 2 * (x >> 13 & 0x3ff)); /* of twice the 13 bits */
	for (u32 bit = BIT(14); bit; bit >>= 1)
		if ((u64)(twice + bit) * (twice + bit) <= square)
			twice += bit;
	return (odd ? 127 - (e - 126) / 2 : 126 - (e - 127) / 2) << 23 | ((twice + 1) >> 1 & 0xfff) << 11;
}

#endif
