/*
 * Exact binary floating point in portable integer arithmetic: the reference for every x87 and SSE
 * result.
 *
 * 80-bit extended (SDM Vol. 1, 8.2), 64-, 32- and 16-bit (4.2). All state is in the environment
 * that is passed. Operands are unpacked to struct fp_num, computed on a 128-bit significand, and
 * rounded once.
 */
#ifndef ORRERY_FPU_SOFTFLOAT_H
#define ORRERY_FPU_SOFTFLOAT_H

#include "base/types.h"

/* Exception flags, at the bit positions of the x87 status word, MXCSR and both sets of masks. */
#define FPE_IE 0x01u /* invalid */
#define FPE_DE 0x02u /* denormal operand */
#define FPE_ZE 0x04u /* divide by zero */
#define FPE_OE 0x08u /* overflow */
#define FPE_UE 0x10u /* underflow */
#define FPE_PE 0x20u /* inexact */
#define FPE_PRE                                                                                    \
	(FPE_IE | FPE_DE | FPE_ZE) /* detected before the result: unmasked, nothing is stored */
#define FPE_ALL 0x3fu

/* x87 control word: precision and rounding control */
#define X87_CW_PC 0x300u
#define X87_CW_RC 0xc00u

/* Rounding control, as in the x87 control word and MXCSR. */
enum fp_rc { RC_NEAREST, RC_DOWN, RC_UP, RC_ZERO };

struct fp_env {
	u8 rc;    /* enum fp_rc */
	u8 pc;    /* significand bits of x87 ADD SUB MUL DIV SQRT: 24, 53 or 64 */
	u8 masks; /* FPE_*: 1 = masked */
	u8 flags; /* FPE_* raised; only ever added to */
	bool c1;  /* the result was rounded away from zero */
	bool sse; /* NaN selection of SSE; x87's otherwise */
	bool daz, ftz;
};

struct f80 {
	u64 mant;
	u16 se; /* sign and biased exponent */
};

#define F80_INDEFINITE ((struct f80){0xc000000000000000ull, 0xffff})
#define F64_INDEFINITE 0xfff8000000000000ull
#define F32_INDEFINITE 0xffc00000u

enum fp_class {
	FP_CLS_ZERO,
	FP_CLS_FINITE,
	FP_CLS_INF,
	FP_CLS_QNAN,
	FP_CLS_SNAN,
	FP_CLS_UNSUPPORTED
};

/* An unpacked number: sig * 2^(exp - 127), bit 127 of sig set when finite. A NaN's payload is
 * left-aligned alike. */
struct fp_num {
	u8 cls; /* enum fp_class */
	bool sign;
	bool denorm; /* was denormal or pseudo-denormal: raises #D when used */
	s32 exp;
	u128 sig;
};

enum fp_op { FP_ADD, FP_SUB, FP_SUBR, FP_MUL, FP_DIV, FP_DIVR };

struct fp_num fp_from_f80(struct f80 v);
struct fp_num fp_from_f64(u64 v);
struct fp_num fp_from_f32(u32 v);
struct fp_num fp_from_s64(s64 v);

/* ---- x87 --------------------------------------------------------------------------------- */

/*
 * An operation that raises an unmasked FPE_PRE flag returns an unspecified value: the caller stores
 * nothing. Unmasked overflow and underflow return the result with its exponent wrapped by 24576
 * (SDM Vol. 1, 8.5.4, 8.5.5).
 */

/** @a op @b, rounded to env->pc bits. FP_SUBR and FP_DIVR are @b - @a and @b / @a. */
struct f80 f80_arith(enum fp_op op, const struct fp_num *a, const struct fp_num *b,
		     struct fp_env *env);
struct f80 f80_sqrt(struct f80 a, struct fp_env *env);
struct f80 f80_round_int(struct f80 a, struct fp_env *env);
/** a * 2^trunc(b) */
struct f80 f80_scale(struct f80 a, struct f80 b, struct fp_env *env);
/** Splits @a in significand (returned) and exponent (@exponent). */
struct f80 f80_extract(struct f80 a, struct f80 *exponent, struct fp_env *env);
/**
 * FPREM (@nearest false: quotient truncated) and FPREM1. *@quotient gets the low quotient bits;
 * *@partial is set when the reduction is incomplete (C2).
 */
struct f80 f80_rem(struct f80 a, struct f80 b, bool nearest, u64 *quotient, bool *partial,
		   struct fp_env *env);

/** -1, 0, 1, or 2 when unordered. @quiet: only SNaNs and unsupported formats are invalid (FUCOM,
 * UCOMIS). */
int fp_compare(const struct fp_num *a, const struct fp_num *b, bool quiet, struct fp_env *env);

struct f80 f80_from_f64(u64 v, struct fp_env *env); /* raises #D, #IA as FLD m64 does */
struct f80 f80_from_f32(u32 v, struct fp_env *env);
struct f80 f80_from_s64(s64 v);
u64 f80_to_f64(struct f80 a, struct fp_env *env);
u32 f80_to_f32(struct f80 a, struct fp_env *env);
/** To a signed integer of @bits (16, 32, 64); the integer indefinite and #IA when it does not fit.
 */
s64 f80_to_int(struct f80 a, unsigned bits, struct fp_env *env);
/** 18-digit packed BCD (SDM Vol. 1, 4.7), 10 bytes. */
struct f80 f80_from_bcd(const u8 *bcd);
void f80_to_bcd(struct f80 a, u8 *bcd, struct fp_env *env);

/* ---- SSE --------------------------------------------------------------------------------- */

/*
 * One element each. env->raised collects FPE_* as the element raises them; with an unmasked
 * exception the value is unspecified and the caller delivers #XM. Rounding, DAZ, FTZ and masks
 * come from env->mxcsr.
 */
struct sse_env {
	u32 mxcsr;
	u32 raised;
};

#define SSE_BINARY(op)                                                                             \
	u64 f64_##op(u64 a, u64 b, struct sse_env *env);                                           \
	u32 f32_##op(u32 a, u32 b, struct sse_env *env);
SSE_BINARY(add)
SSE_BINARY(sub)
SSE_BINARY(mul)
SSE_BINARY(div)
SSE_BINARY(min)
SSE_BINARY(max)
#undef SSE_BINARY
u64 f64_sqrt(u64 a, struct sse_env *env);
u32 f32_sqrt(u32 a, struct sse_env *env);
/** a * b + c, rounded once; @negate_product and @negate_c give the FNM and MSUB forms. */
u64 f64_fma(u64 a, u64 b, u64 c, bool negate_product, bool negate_c, struct sse_env *env);
u32 f32_fma(u32 a, u32 b, u32 c, bool negate_product, bool negate_c, struct sse_env *env);
/** CMPPS/VCMPPS predicate 0..31 (SDM Vol. 2A, CMPPD table 3-1). */
bool f64_cmp(u64 a, u64 b, unsigned predicate, struct sse_env *env);
bool f32_cmp(u32 a, u32 b, unsigned predicate, struct sse_env *env);
/** UCOMIS (@quiet) and COMIS: RFLAGS ZF, PF, CF bits of the result (0x40, 0x4, 0x1). */
u32 f64_comi(u64 a, u64 b, bool quiet, struct sse_env *env);
u32 f32_comi(u32 a, u32 b, bool quiet, struct sse_env *env);
/** ROUNDSD and kin: @imm as encoded (bit 3: no #P, bit 2: MXCSR.RC, bits 1:0: rounding). */
u64 f64_round_int(u64 a, unsigned imm, struct sse_env *env);
u32 f32_round_int(u32 a, unsigned imm, struct sse_env *env);
/** To a signed integer of @bits (32 or 64), zero-extended; @truncate as in CVTT. */
u64 f64_to_int(u64 a, unsigned bits, bool truncate, struct sse_env *env);
u64 f32_to_int(u32 a, unsigned bits, bool truncate, struct sse_env *env);
u64 f64_from_int(s64 v, struct sse_env *env);
u32 f32_from_int(s64 v, struct sse_env *env);
u32 f64_to_f32(u64 a, struct sse_env *env);
u64 f32_to_f64(u32 a, struct sse_env *env);
/** VCVTPS2PH with rounding @imm (bit 2: MXCSR.RC), VCVTPH2PS. DAZ holds for the single source; FTZ
 * never. */
u16 f32_to_f16(u32 a, unsigned imm, struct sse_env *env);
u32 f16_to_f32(u16 a, struct sse_env *env);

#endif
