/* Random floating-point operands that meet the corners often, a deterministic generator, and how many to draw. */
#ifndef ORRERY_TESTS_FPU_RANDOM_H
#define ORRERY_TESTS_FPU_RANDOM_H

#include <stdlib.h>

#include "cpu/fpu/softfloat.h"

/* Sanitizers make a case ten times as slow; they look for wrong accesses, which need fewer. */
#ifdef __has_feature
#define SANITIZED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif
#define FEWER (SANITIZED ? 20 : 1)

/* @n random cases, scaled by the environment's ORRERY_FPU_SCALE. */
static inline unsigned long cases(unsigned long n)
{
	const char *scale = getenv("ORRERY_FPU_SCALE");

	return (scale ? n * strtoul(scale, NULL, 0) : n) / FEWER;
}

static inline u64 rnd(u64 *state)
{
	u64 x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* A significand of 64 bits: random, few bits set, or runs of ones. */
static inline u64 rnd_bits(u64 *s)
{
	u64 r = rnd(s);

	switch (r & 7) {
	case 0: return 0;
	case 1: return ~0ull;
	case 2: return 1ull << (r >> 8 & 63);
	case 3: return ~0ull << (r >> 8 & 63);
	case 4: return ~0ull >> (r >> 8 & 63);
	case 5: return (1ull << (r >> 8 & 63)) + (1ull << (r >> 16 & 63));
	default: return rnd(s);
	}
}

/* @emax: the largest biased exponent. */
static inline unsigned rnd_exp(u64 *s, unsigned emax)
{
	u64 r = rnd(s);
	unsigned near = (unsigned)(r >> 8) % 140;

	switch (r % 10) {
	case 0: return 0;
	case 1: return emax;
	case 2: return 1 + near % 70 % emax;
	case 3: return emax - 1 - near % 70 % emax;
	case 4: return (unsigned)(r >> 16) % (emax + 1);
	default: return (emax / 2 + near - 70) & emax;
	}
}

static inline struct f80 rnd_f80(u64 *s)
{
	struct f80 v = {rnd_bits(s), 0};
	u64 r = rnd(s);

	v.se = (u16)((r & 1) << 15 | rnd_exp(s, 0x7fff));
	if ((r >> 8 & 31) == 0) {
		v.mant = rnd_bits(s); /* any encoding: unnormals, pseudo-denormals */
	} else if (v.se & 0x7fff) {
		v.mant |= 1ull << 63;
	} else {
		v.mant &= ~(1ull << 63);
	}
	if ((r >> 16 & 15) == 0)
		v = (struct f80){0, v.se & 0x8000};
	if ((r >> 16 & 31) == 1)
		v = (struct f80){1ull << 63, v.se | 0x7fff};
	return v;
}

static inline u64 rnd_f64(u64 *s)
{
	u64 frac = rnd_bits(s) & 0xfffffffffffffull;

	return rnd(s) << 63 | (u64)rnd_exp(s, 0x7ff) << 52 | frac;
}

static inline u32 rnd_f32(u64 *s)
{
	u32 frac = rnd_bits(s) & 0x7fffff;

	return (u32)rnd(s) << 31 | rnd_exp(s, 0xff) << 23 | frac;
}

#endif
