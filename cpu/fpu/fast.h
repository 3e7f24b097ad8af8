/*
 * The common cases of x87 arithmetic, done without the exact path: integer code for conversions and
 * comparison, and on an x86-64 host the host's x87 for ADD SUB MUL DIV SQRT.
 *
 * Every function returns false when the case is not plain (NaN, infinity, denormal, any exception
 * but a masked #P): the caller then takes the exact path. tests/fpu holds both equal.
 */
#ifndef ORRERY_FPU_FAST_H
#define ORRERY_FPU_FAST_H

#include "cpu/fpu/softfloat.h"

#define X87_SW_C1 0x200u

/* A normal number or a true zero. */
static ALWAYS_INLINE bool f80_plain(struct f80 v)
{
	unsigned be = v.se & 0x7fff;

	return likely(be - 1u < 0x7ffe) ? v.mant >> 63 : v.mant == 0 && be == 0;
}

static ALWAYS_INLINE bool f80_fast_from_f64(u64 v, struct f80 *r)
{
	unsigned be = v >> 52 & 0x7ff;

	if (unlikely(be - 1u >= 0x7fe)) {
		*r = (struct f80){0, (u16)(v >> 48 & 0x8000)};
		return v << 1 == 0;
	}
	*r = (struct f80){BIT64(63) | v << 11, (u16)((v >> 48 & 0x8000) | (be + 15360))};
	return true;
}

static ALWAYS_INLINE bool f80_fast_from_f32(u32 v, struct f80 *r)
{
	unsigned be = v >> 23 & 0xff;

	if (unlikely(be - 1u >= 0xfe)) {
		*r = (struct f80){0, (u16)(v >> 16 & 0x8000)};
		return v << 1 == 0;
	}
	*r = (struct f80){BIT64(63) | (u64)v << 40, (u16)((v >> 16 & 0x8000) | (be + 16256))};
	return true;
}

/* Whether the magnitude grows when @low, below a unit of 2 * @half, is rounded away. */
static ALWAYS_INLINE bool f80_fast_up(u64 kept, u64 low, u64 half, bool sign, unsigned cw)
{
	unsigned rc = (cw & X87_CW_RC) >> 10;

	if (likely(rc == RC_NEAREST))
		return low + (kept & 1) > half;
	return low && rc == (sign ? RC_DOWN : RC_UP);
}

/* Drops @drop bits; @rebias is the difference of the biases, @maxbe the exponent of the target's
 * infinities. */
static ALWAYS_INLINE bool f80_fast_narrow(struct f80 v, unsigned drop, unsigned rebias,
					  unsigned maxbe, unsigned cw, u16 *sw, u64 *r)
{
	unsigned be = (v.se & 0x7fffu) - rebias;
	u64 low = v.mant & (BIT64(drop) - 1), kept = v.mant >> drop;
	bool up;

	*r = 0;
	if (unlikely(be - 1u >= maxbe - 2u || !(v.mant >> 63)))
		return (v.se & 0x7fff) == 0 && v.mant == 0;
	if (unlikely(low && !(cw & FPE_PE)))
		return false;
	up = f80_fast_up(kept, low, BIT64(drop - 1), v.se >> 15, cw);
	*sw |= (u16)((low ? FPE_PE : 0) | (up ? X87_SW_C1 : 0));
	/* The integer bit adds one to the exponent field, hence be - 1; so does a carry. */
	*r = ((u64)(be - 1) << (63 - drop)) + kept + up;
	return true;
}

/** @sw gets the flags and C1 that FST would set (C1 must be clear on entry). */
static ALWAYS_INLINE bool f80_fast_to_f64(struct f80 v, unsigned cw, u16 *sw, u64 *r)
{
	bool ok = f80_fast_narrow(v, 11, 15360, 0x7ff, cw, sw, r);

	*r |= (u64)(v.se & 0x8000) << 48;
	return ok;
}

static ALWAYS_INLINE bool f80_fast_to_f32(struct f80 v, unsigned cw, u16 *sw, u32 *r)
{
	u64 wide;
	bool ok = f80_fast_narrow(v, 40, 16256, 0xff, cw, sw, &wide);

	*r = (u32)wide | (u32)(v.se & 0x8000) << 16;
	return ok;
}

static ALWAYS_INLINE bool f80_fast_to_int(struct f80 v, unsigned bits, unsigned cw, u16 *sw, s64 *r)
{
	unsigned exp = (v.se & 0x7fffu) - 16383u;
	bool sign = v.se >> 15, up;
	u64 kept, low;

	if (unlikely(exp >= bits - 2 || !(v.mant >> 63)))
		return *r = 0, (v.se & 0x7fff) == 0 && v.mant == 0;
	kept = v.mant >> (63 - exp);
	low = v.mant << (exp + 1);
	if (unlikely(low && !(cw & FPE_PE)))
		return false;
	up = f80_fast_up(kept, low >> 1 | (low & 1), BIT64(62), sign, cw);
	*sw |= (u16)((low ? FPE_PE : 0) | (up ? X87_SW_C1 : 0));
	kept += up;
	*r = sign ? -(s64)kept : (s64)kept;
	return true;
}

/** -1, 0, 1 in *@order. */
static ALWAYS_INLINE bool f80_fast_compare(struct f80 a, struct f80 b, int *order)
{
	int mag;

	if (unlikely(!f80_plain(a) || !f80_plain(b)))
		return false;
	if ((a.se ^ b.se) & 0x8000) {
		*order = a.mant | b.mant ? (a.se & 0x8000 ? -1 : 1) : 0;
		return true;
	}
	if (a.se != b.se)
		mag = (a.se & 0x7fff) < (b.se & 0x7fff) ? -1 : 1;
	else
		mag = (a.mant > b.mant) - (a.mant < b.mant);
	*order = a.se & 0x8000 ? -mag : mag;
	return true;
}

#if defined(__x86_64__)

static ALWAYS_INLINE void host_x87_fldcw(u16 cw)
{
	__asm__ volatile("fldcw %0" ::"m"(cw));
}

/* Two bytes of opcode: "ST(1) = ST(1) op ST(0), pop", unambiguous between the assemblers' spellings
 * of FSUB and FDIV. */
#define HOST_X87_RUN(bytes)                                                                        \
	__asm__ volatile("fldt %[a]\n\tfldt %[b]\n\t.byte " bytes "\n\tfnstsw %%ax\n\tfstpt %[r]"  \
			 : "=a"(sw), [r] "=m"(*r)                                                  \
			 : [a] "m"(*a), [b] "m"(*b)                                                \
			 : "st", "st(1)")

static ALWAYS_INLINE u16 host_x87_op(enum fp_op op, const struct f80 *a, const struct f80 *b,
				     struct f80 *r)
{
	u16 sw;

	switch (op) {
	case FP_ADD: HOST_X87_RUN("0xde, 0xc1"); break;
	case FP_SUB: HOST_X87_RUN("0xde, 0xe9"); break;
	case FP_SUBR: HOST_X87_RUN("0xde, 0xe1"); break;
	case FP_MUL: HOST_X87_RUN("0xde, 0xc9"); break;
	case FP_DIV: HOST_X87_RUN("0xde, 0xf9"); break;
	default: HOST_X87_RUN("0xde, 0xf1"); break;
	}
	return sw;
}

static ALWAYS_INLINE u16 host_x87_fsqrt(const struct f80 *a, struct f80 *r)
{
	u16 sw;

	__asm__ volatile("fldt %[a]\n\tfsqrt\n\tfnstsw %%ax\n\tfstpt %[r]"
			 : "=a"(sw), [r] "=m"(*r)
			 : [a] "m"(*a)
			 : "st");
	return sw;
}

/* The host's flags are sticky and never cleared on the fast path: clears them, for a second look.
 */
static COLD void host_x87_clear(void)
{
	__asm__ volatile("fnclex");
}

/* Runs @expr, which yields the host's status word in hsw, under guest control word cw. */
#define HOST_X87_FAST(expr)                                                                        \
	do {                                                                                       \
		bool same = (cw & (X87_CW_PC | X87_CW_RC)) == X87_CW_PC;                           \
		u16 hsw;                                                                           \
                                                                                                   \
		if (unlikely((cw & FPE_ALL) != FPE_ALL))                                           \
			return false;                                                              \
		if (unlikely(!same))                                                               \
			host_x87_fldcw((u16)cw);                                                   \
		hsw = (expr);                                                                      \
		if (unlikely(hsw & ~*sw & FPE_ALL)) {                                              \
			host_x87_clear();                                                          \
			hsw = (expr);                                                              \
		}                                                                                  \
		if (unlikely(!same))                                                               \
			host_x87_fldcw(0x37f);                                                     \
		if (unlikely(hsw & FPE_ALL & ~FPE_PE)) {                                           \
			host_x87_clear();                                                          \
			return false;                                                              \
		}                                                                                  \
		*sw |= hsw & (FPE_PE | X87_SW_C1);                                                 \
		return true;                                                                       \
	} while (0)

/**
 * *@r = *@a op *@b with the host's x87 under control word @cw. @sw, the guest's status word with C1
 * clear, gets #P and C1. The host must stand at its default control word 37Fh.
 */
static ALWAYS_INLINE bool f80_fast_arith(enum fp_op op, const struct f80 *a, const struct f80 *b,
					 unsigned cw, u16 *sw, struct f80 *r)
{
	HOST_X87_FAST(host_x87_op(op, a, b, r));
}

static ALWAYS_INLINE bool f80_fast_sqrt(const struct f80 *a, unsigned cw, u16 *sw, struct f80 *r)
{
	HOST_X87_FAST(host_x87_fsqrt(a, r));
}

#else

static inline bool f80_fast_arith(enum fp_op op, const struct f80 *a, const struct f80 *b,
				  unsigned cw, u16 *sw, struct f80 *r)
{
	return false;
}

static inline bool f80_fast_sqrt(const struct f80 *a, unsigned cw, u16 *sw, struct f80 *r)
{
	return false;
}

#endif
#endif
