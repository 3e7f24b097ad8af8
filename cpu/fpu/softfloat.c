/*
 * Exact floating point: SDM Vol. 1, chapters 4 (formats, NaNs, exceptions), 8 (x87) and 11 (SSE).
 *
 * Modelled: every format, rounding mode, precision control, masked and unmasked responses, tininess
 * after rounding, x87 unsupported encodings. Not here: the transcendental instructions
 * (transcendental.c).
 */
#include "cpu/fpu/softfloat.h"

struct format {
	u8 prec;  /* significand bits with the integer bit */
	s32 emin; /* exponent of the smallest normal number */
	s32 emax;
	s32 wrap; /* exponent bias adjustment of unmasked overflow and underflow */
};

static const struct format fmt80 = {64, -16382, 16383, 24576};
static const struct format fmt64 = {53, -1022, 1023, 1536};
static const struct format fmt32 = {24, -126, 127, 192};
static const struct format fmt16 = {11, -14, 15, 24};

/* A rounded result: significand of prec bits, right-aligned. */
struct packed {
	bool sign;
	u32 be; /* biased exponent */
	u64 sig;
};

#define SIG_TOP ((u128)1 << 127)

static unsigned clz128(u128 v)
{
	u64 hi = (u64)(v >> 64);

	return hi ? (unsigned)__builtin_clzll(hi) : 64 + (unsigned)__builtin_clzll((u64)v);
}

/* Right shift that keeps a lost bit visible in bit 0. */
static u128 shift_jam(u128 v, u32 n)
{
	if (n == 0)
		return v;
	if (n > 127)
		return v != 0;
	return v >> n | (v << (128 - n) != 0);
}

static void normalize(struct fp_num *n)
{
	unsigned z;

	if (n->sig == 0) {
		n->cls = FP_CLS_ZERO;
		return;
	}
	z = clz128(n->sig);
	n->sig <<= z;
	n->exp -= (s32)z;
}

/* ---- unpacking --------------------------------------------------------------------------- */

struct fp_num fp_from_f80(struct f80 v)
{
	struct fp_num n = {.sign = v.se >> 15, .sig = (u128)v.mant << 64};
	unsigned be = v.se & 0x7fff;

	n.exp = (s32)be - 16383;
	if (be == 0) {
		n.cls = v.mant ? FP_CLS_FINITE : FP_CLS_ZERO;
		n.denorm = v.mant != 0;
		n.exp = fmt80.emin;
		if (v.mant)
			normalize(&n);
	} else if (!(v.mant >> 63)) {
		n.cls = FP_CLS_UNSUPPORTED;
	} else if (be == 0x7fff) {
		if (v.mant << 1 == 0)
			n.cls = FP_CLS_INF;
		else
			n.cls = v.mant >> 62 & 1 ? FP_CLS_QNAN : FP_CLS_SNAN;
	} else {
		n.cls = FP_CLS_FINITE;
	}
	return n;
}

static struct fp_num unpack(u64 v, const struct format *f)
{
	unsigned fbits = f->prec - 1u;
	u32 max = 2 * (u32)f->emax + 1;
	u32 be = (u32)(v >> fbits) & max;
	u64 frac = v & (BIT64(fbits) - 1);
	unsigned top = fbits == 52 ? 63 : fbits == 23 ? 31 : 15;
	struct fp_num n = {.sign = v >> top & 1, .exp = (s32)be - f->emax};

	n.sig = (u128)(frac | BIT64(fbits)) << (127 - fbits);
	n.cls = FP_CLS_FINITE;
	if (be == 0) {
		n.sig = (u128)frac << (127 - fbits);
		n.exp = f->emin;
		n.denorm = frac != 0;
		normalize(&n);
	} else if (be == max) {
		n.cls = frac >> (fbits - 1) & 1 ? FP_CLS_QNAN : frac ? FP_CLS_SNAN : FP_CLS_INF;
	}
	return n;
}

struct fp_num fp_from_f64(u64 v)
{
	return unpack(v, &fmt64);
}

struct fp_num fp_from_f32(u32 v)
{
	return unpack(v, &fmt32);
}

struct fp_num fp_from_s64(s64 v)
{
	struct fp_num n = {.cls = FP_CLS_FINITE, .sign = v < 0, .exp = 63};

	n.sig = (u128)(v < 0 ? 0 - (u64)v : (u64)v) << 64;
	normalize(&n);
	return n;
}

/* ---- rounding and packing ---------------------------------------------------------------- */

/* Whether the magnitude grows, given the bits beyond the last place: their top bit and whether any
 * other is set. */
static bool rounds_up(u8 rc, bool sign, bool odd, bool half, bool rest)
{
	switch (rc) {
	case RC_NEAREST: return half && (rest || odd);
	case RC_DOWN: return sign && (half || rest);
	case RC_UP: return !sign && (half || rest);
	default: return false;
	}
}

/* Rounds sig to its upper prec bits, right-aligned; a carry out gives 2^prec. */
static u64 round_sig(u128 sig, unsigned prec, bool sign, u8 rc, bool *inexact, bool *up,
		     bool *carry)
{
	unsigned drop = 128 - prec;
	u64 kept = (u64)(sig >> drop);
	u128 rem = sig << prec;
	bool half = rem >> 127;
	bool rest = rem << 1 != 0;

	*inexact = half || rest;
	*up = rounds_up(rc, sign, kept & 1, half, rest);
	kept += *up;
	*carry = *up && (prec == 64 ? kept == 0 : kept >> prec);
	return kept;
}

static bool is_tiny(const struct fp_num *n, const struct format *f, unsigned prec, u8 rc)
{
	bool inexact, up, carry;

	if (n->exp >= f->emin)
		return false;
	if (n->exp < f->emin - 1)
		return true;
	round_sig(n->sig, prec, n->sign, rc, &inexact, &up, &carry);
	return !carry;
}

static struct packed pack_overflow(const struct fp_num *n, const struct format *f, unsigned prec,
				   struct fp_env *env)
{
	bool inf = env->rc == RC_NEAREST || env->rc == (n->sign ? RC_DOWN : RC_UP);
	u64 ones = ~0ull << (64 - prec);

	env->flags |= FPE_OE | FPE_PE;
	env->c1 = inf;
	if (inf)
		return (struct packed){n->sign, 2 * (u32)f->emax + 1, BIT64(f->prec - 1)};
	return (struct packed){n->sign, 2 * (u32)f->emax, ones >> (64 - f->prec)};
}

/*
 * Rounds a finite non-zero number to @prec bits (less than the format's own under precision
 * control) and packs it. Raises #O, #U, #P.
 */
static struct packed pack(const struct fp_num *n, const struct format *f, unsigned prec,
			  struct fp_env *env)
{
	bool tiny = is_tiny(n, f, prec, env->rc);
	s32 exp = n->exp;
	u128 sig = n->sig;
	bool inexact, up, carry;
	u64 kept;

	if (tiny && !(env->masks & FPE_UE) && f->prec == 11 && n->denorm) {
		env->flags |= FPE_UE; /* VCVTPS2PH of a denormal: PE speaks of the denormal result */
	} else if (tiny && !(env->masks & FPE_UE)) {
		env->flags |= FPE_UE;
		exp += f->wrap;
		/* Too small even when wrapped: FSCALE, or CVTSD2SS and VCVTPS2PH, whose value nobody will see. */
		if (exp < f->emin && !env->sse) {
			env->flags |= FPE_PE;
			return (struct packed){.sign = n->sign};
		}
		exp = exp < f->emin ? f->emin : exp;
		tiny = false;
	} else if (tiny && env->ftz) {
		env->flags |= FPE_UE | FPE_PE;
		return (struct packed){.sign = n->sign};
	}
	if (exp < f->emin) {
		sig = shift_jam(sig, (u32)(f->emin - exp));
		exp = f->emin;
	}
	kept = round_sig(sig, prec, n->sign, env->rc, &inexact, &up, &carry);
	if (carry) {
		kept = BIT64(prec - 1);
		exp++;
	}
	if (exp > f->emax) {
		if (env->masks & FPE_OE)
			return pack_overflow(n, f, prec, env);
		env->flags |= FPE_OE;
		exp -= f->wrap;
		if (exp > f->emax && env->sse) { /* CVTSD2SS: only the flags matter */
			exp = f->emax;
		} else if (exp > f->emax) { /* FSCALE: too large even when wrapped */
			env->flags |= FPE_PE;
			env->c1 = true;
			return (struct packed){n->sign, 2 * (u32)f->emax + 1, BIT64(f->prec - 1)};
		}
	}
	if (inexact) {
		env->flags |= tiny ? FPE_UE | FPE_PE : FPE_PE;
		env->c1 = up;
	}
	return (struct packed){n->sign, kept >> (prec - 1) ? (u32)(exp + f->emax) : 0,
			       kept << (f->prec - prec)};
}

static struct f80 f80_special(const struct fp_num *n)
{
	u16 sign = (u16)(n->sign << 15);

	switch (n->cls) {
	case FP_CLS_ZERO: return (struct f80){0, sign};
	case FP_CLS_INF: return (struct f80){BIT64(63), sign | 0x7fff};
	default: return (struct f80){(u64)(n->sig >> 64) | 3ull << 62, sign | 0x7fff};
	}
}

static struct f80 f80_pack(const struct fp_num *n, unsigned prec, struct fp_env *env)
{
	struct packed p;

	if (n->cls != FP_CLS_FINITE)
		return f80_special(n);
	p = pack(n, &fmt80, prec, env);
	return (struct f80){p.sig, (u16)(p.sign << 15 | p.be)};
}

static u64 fp_pack(const struct fp_num *n, const struct format *f, struct fp_env *env)
{
	unsigned fbits = f->prec - 1u;
	unsigned top = fbits == 52 ? 63 : fbits == 23 ? 31 : 15;
	u64 inf = (u64)(2 * (u32)f->emax + 1) << fbits;
	u64 sign = (u64)n->sign << top;
	struct packed p;

	switch (n->cls) {
	case FP_CLS_ZERO: return sign;
	case FP_CLS_INF: return sign | inf;
	case FP_CLS_FINITE: break;
	default:
		return sign | inf | BIT64(fbits - 1) |
		       ((u64)(n->sig >> (127 - fbits)) & (BIT64(fbits) - 1));
	}
	p = pack(n, f, f->prec, env);
	return (u64)p.sign << top | (u64)p.be << fbits | (p.sig & (BIT64(fbits) - 1));
}

/* ---- operand classes --------------------------------------------------------------------- */

static bool is_nan(const struct fp_num *n)
{
	return n->cls >= FP_CLS_QNAN;
}

static struct fp_num indefinite(struct fp_env *env)
{
	env->flags |= FPE_IE;
	return (struct fp_num){.cls = FP_CLS_QNAN, .sign = true, .sig = (u128)3 << 126};
}

/* The NaN an operation with NaN operands gives (SDM Vol. 1, table 4-7). At least one of a, b is
 * one. */
static struct fp_num pick_nan(const struct fp_num *a, const struct fp_num *b, struct fp_env *env)
{
	if (a->cls == FP_CLS_UNSUPPORTED || b->cls == FP_CLS_UNSUPPORTED)
		return indefinite(env);
	if (a->cls == FP_CLS_SNAN || b->cls == FP_CLS_SNAN)
		env->flags |= FPE_IE;
	if (!is_nan(b) || (env->sse && is_nan(a)))
		return *a;
	if (!is_nan(a))
		return *b;
	if (a->cls != b->cls)
		return a->cls == FP_CLS_QNAN ? *a : *b;
	if (a->sig != b->sig)
		return a->sig > b->sig ? *a : *b;
	return a->sign ? *b : *a;
}

static bool denormal_stops(bool denorm, struct fp_env *env)
{
	if (denorm)
		env->flags |= FPE_DE;
	return denorm && !(env->masks & FPE_DE);
}

/* ---- the operations ---------------------------------------------------------------------- */

static struct fp_num add_magnitudes(struct fp_num a, const struct fp_num *b, bool subtract, u8 rc)
{
	struct fp_num small = *b;

	if (small.exp > a.exp || (small.exp == a.exp && small.sig > a.sig)) {
		struct fp_num t = a;

		a = small;
		small = t;
	}
	/* One bit of headroom; at most 107 significant bits are in use, so nothing is lost. */
	a.sig >>= 1;
	a.exp++;
	small.sig = shift_jam(small.sig, (u32)(a.exp - small.exp));
	if (!subtract) {
		a.sig += small.sig;
	} else {
		a.sig -= small.sig;
		if (a.sig == 0)
			a.sign = rc == RC_DOWN;
	}
	normalize(&a);
	return a;
}

static struct fp_num do_add(struct fp_num a, struct fp_num b, struct fp_env *env)
{
	bool subtract = a.sign != b.sign;

	if (a.cls == FP_CLS_INF || b.cls == FP_CLS_INF) {
		if (a.cls == b.cls && subtract)
			return indefinite(env);
		if (denormal_stops(a.denorm || b.denorm, env))
			return a;
		return a.cls == FP_CLS_INF ? a : b;
	}
	if (denormal_stops(a.denorm || b.denorm, env))
		return a;
	if (b.cls == FP_CLS_ZERO) {
		if (a.cls == FP_CLS_ZERO && subtract)
			a.sign = env->rc == RC_DOWN;
		return a;
	}
	if (a.cls == FP_CLS_ZERO)
		return b;
	return add_magnitudes(a, &b, subtract, env->rc);
}

static struct fp_num do_mul(struct fp_num a, const struct fp_num *b, struct fp_env *env)
{
	if ((a.cls == FP_CLS_INF && b->cls == FP_CLS_ZERO) ||
	    (a.cls == FP_CLS_ZERO && b->cls == FP_CLS_INF))
		return indefinite(env);
	if (denormal_stops(a.denorm || b->denorm, env))
		return a;
	a.sign ^= b->sign;
	if (a.cls == FP_CLS_INF || b->cls == FP_CLS_INF) {
		a.cls = FP_CLS_INF;
	} else if (a.cls == FP_CLS_ZERO || b->cls == FP_CLS_ZERO) {
		a.cls = FP_CLS_ZERO;
	} else {
		a.sig = (a.sig >> 64) * (b->sig >> 64);
		a.exp += b->exp + 1;
		normalize(&a);
	}
	return a;
}

static struct fp_num do_div(struct fp_num a, const struct fp_num *b, struct fp_env *env)
{
	u64 d = (u64)(b->sig >> 64);
	u128 hi, lo, rem;

	if (a.cls == b->cls && a.cls != FP_CLS_FINITE)
		return indefinite(env);
	a.sign ^= b->sign;
	if (b->cls == FP_CLS_ZERO && a.cls != FP_CLS_INF) {
		env->flags |= FPE_ZE;
		a.cls = FP_CLS_INF;
		return a;
	}
	if (denormal_stops(a.denorm || b->denorm, env))
		return a;
	if (a.cls == FP_CLS_INF || a.cls == FP_CLS_ZERO)
		return a;
	if (b->cls == FP_CLS_INF) {
		a.cls = FP_CLS_ZERO;
		return a;
	}
	rem = a.sig >> 1;
	hi = rem / d;
	rem = (rem % d) << 64;
	lo = rem / d;
	a.sig = hi << 64 | lo | (rem % d != 0);
	a.exp -= b->exp;
	normalize(&a);
	return a;
}

static struct fp_num do_sqrt(struct fp_num a, struct fp_env *env)
{
	u128 rem = 0, root = 0, in;

	if (a.sign && a.cls != FP_CLS_ZERO)
		return indefinite(env);
	if (denormal_stops(a.denorm, env))
		return a;
	if (a.cls != FP_CLS_FINITE)
		return a;
	/* 68 digits of the root of a significand in [1, 4): more than 64 + 2, the rest is sticky.
	 */
	in = a.exp & 1 ? a.sig : a.sig >> 1;
	a.exp = (a.exp - (a.exp & 1)) / 2;
	for (unsigned i = 0; i < 68; i++) {
		u128 trial = root << 2 | 1;

		rem = rem << 2 | (in >> 126);
		in <<= 2;
		root <<= 1;
		if (rem >= trial) {
			rem -= trial;
			root |= 1;
		}
	}
	a.sig = root << 60 | (rem != 0);
	normalize(&a);
	return a;
}

/* a op b after NaNs; subtraction has already flipped b's sign. */
static struct fp_num arith(enum fp_op op, struct fp_num a, struct fp_num b, struct fp_env *env)
{
	if (is_nan(&a) || is_nan(&b))
		return pick_nan(&a, &b, env);
	switch (op) {
	case FP_ADD: return do_add(a, b, env);
	case FP_SUB: b.sign = !b.sign; return do_add(a, b, env);
	case FP_SUBR: a.sign = !a.sign; return do_add(b, a, env);
	case FP_MUL: return do_mul(a, &b, env);
	case FP_DIV: return do_div(a, &b, env);
	default: return do_div(b, &a, env);
	}
}

static bool stopped(const struct fp_env *env)
{
	return env->flags & ~env->masks & FPE_PRE;
}

/* ---- x87 --------------------------------------------------------------------------------- */

struct f80 f80_arith(enum fp_op op, const struct fp_num *a, const struct fp_num *b,
		     struct fp_env *env)
{
	struct fp_num r = arith(op, *a, *b, env);

	return stopped(env) ? F80_INDEFINITE : f80_pack(&r, env->pc, env);
}

/* NaN or unsupported operand of a one-operand instruction: true and *r when it is one. */
static bool unary_nan(const struct fp_num *a, struct fp_env *env, struct f80 *r)
{
	struct fp_num n;

	if (!is_nan(a))
		return false;
	n = pick_nan(a, a, env);
	*r = f80_special(&n);
	return true;
}

struct f80 f80_sqrt(struct f80 v, struct fp_env *env)
{
	struct fp_num a = fp_from_f80(v);
	struct f80 r;

	if (unary_nan(&a, env, &r))
		return r;
	a = do_sqrt(a, env);
	return stopped(env) ? F80_INDEFINITE : f80_pack(&a, env->pc, env);
}

/* Rounds to an integer magnitude; false when it needs more than 64 bits. */
static bool to_magnitude(const struct fp_num *a, u8 rc, u64 *mag, bool *inexact, bool *up)
{
	u128 fixed;
	u64 frac;

	*inexact = *up = false;
	*mag = 0;
	if (a->cls == FP_CLS_ZERO)
		return true;
	if (a->cls != FP_CLS_FINITE || a->exp > 63)
		return false;
	fixed = shift_jam(a->sig, (u32)(63 - a->exp));
	*mag = (u64)(fixed >> 64);
	frac = (u64)fixed;
	*inexact = frac != 0;
	*up = rounds_up(rc, a->sign, *mag & 1, frac >> 63, frac << 1 != 0);
	*mag += *up;
	return !(*up && *mag == 0);
}

/* Rounds a finite number to an integral value in place. */
static void round_integral(struct fp_num *a, struct fp_env *env)
{
	bool inexact, up;
	u64 mag;

	if (a->cls != FP_CLS_FINITE || a->exp >= 63)
		return;
	to_magnitude(a, env->rc, &mag, &inexact, &up);
	if (inexact) {
		env->flags |= FPE_PE;
		env->c1 = up;
	}
	a->sig = (u128)mag << 64;
	a->exp = 63;
	normalize(a);
}

struct f80 f80_round_int(struct f80 v, struct fp_env *env)
{
	struct fp_num a = fp_from_f80(v);
	struct f80 r;

	if (unary_nan(&a, env, &r))
		return r;
	if (denormal_stops(a.denorm, env))
		return v;
	round_integral(&a, env);
	return f80_pack(&a, 64, env);
}

/* The operand itself as the result: a pseudo-denormal is normalized, a denormal raises no #U. */
static struct f80 f80_unchanged(const struct fp_num *n)
{
	struct fp_env quiet = {.masks = FPE_ALL};

	return f80_pack(n, 64, &quiet);
}

struct f80 f80_scale(struct f80 va, struct f80 vb, struct fp_env *env)
{
	struct fp_num a = fp_from_f80(va), b = fp_from_f80(vb);
	bool inexact, up;
	u64 mag;
	s32 n;

	if (is_nan(&a) || is_nan(&b)) {
		a = pick_nan(&a, &b, env);
		return f80_special(&a);
	}
	if (b.cls == FP_CLS_INF && a.cls == (b.sign ? FP_CLS_INF : FP_CLS_ZERO)) {
		a = indefinite(env);
		return f80_special(&a);
	}
	if (denormal_stops(a.denorm || b.denorm, env))
		return va;
	if (b.cls == FP_CLS_INF)
		a.cls = b.sign ? FP_CLS_ZERO : FP_CLS_INF;
	if (a.cls != FP_CLS_FINITE)
		return f80_special(&a);
	n = to_magnitude(&b, RC_ZERO, &mag, &inexact, &up) && mag < 0x10000 ? (s32)mag : 0x10000;
	if (b.cls == FP_CLS_ZERO)
		return f80_unchanged(&a);
	a.exp += b.sign ? -n : n;
	return f80_pack(&a, 64, env);
}

struct f80 f80_extract(struct f80 v, struct f80 *exponent, struct fp_env *env)
{
	struct fp_num a = fp_from_f80(v);
	struct f80 r;

	if (unary_nan(&a, env, &r)) {
		*exponent = r;
		return r;
	}
	if (a.cls == FP_CLS_ZERO) {
		env->flags |= FPE_ZE;
		*exponent = (struct f80){BIT64(63), 0xffff};
		return v;
	}
	if (a.cls == FP_CLS_INF) {
		*exponent = (struct f80){BIT64(63), 0x7fff};
		return v;
	}
	if (denormal_stops(a.denorm, env))
		return v;
	*exponent = f80_from_s64(a.exp);
	return (struct f80){(u64)(a.sig >> 64), (u16)(a.sign << 15 | 0x3fff)};
}

/* r = r * 2^n mod d with the quotient's low bits; r, d normalized significands or r < d. */
static u64 mod_shift(u128 *r, u64 d, unsigned n)
{
	u64 q = 0;

	for (unsigned i = 0;; i++) {
		q <<= 1;
		if (*r >= d) {
			*r -= d;
			q |= 1;
		}
		if (i == n)
			return q;
		*r <<= 1;
	}
}

/* Remainder of finite non-zero a by b. */
static struct fp_num do_rem(struct fp_num a, const struct fp_num *b, bool nearest, u64 *q,
			    bool *partial)
{
	s32 diff = a.exp - b->exp;
	u64 d = (u64)(b->sig >> 64);
	u128 r = a.sig >> 64;

	if (diff < -1 || (diff < 0 && !nearest))
		return a;
	*partial = diff >= 64;
	if (*partial) {
		/* The amount of a partial reduction is the implementation's (32 to 63): Intel's
		 * choice. */
		unsigned n = ((u32)diff & 31) | 32;

		mod_shift(&r, d, n);
		a.exp -= (s32)n;
		a.sig = r << 64;
		normalize(&a);
		return a;
	}
	if (diff >= 0)
		*q = mod_shift(&r, d, (unsigned)diff);
	a.exp = MIN(a.exp, b->exp);
	if (nearest) {
		u128 twice = diff < 0 ? r : r << 1;

		if (twice > d || (twice == d && (*q & 1))) {
			r = diff < 0 ? ((u128)d << 1) - r : d - r;
			a.sign = !a.sign;
			(*q)++;
		}
	}
	a.exp += 64;
	a.sig = r;
	if (r == 0 && nearest)
		a.cls = FP_CLS_ZERO;
	normalize(&a);
	return a;
}

struct f80 f80_rem(struct f80 va, struct f80 vb, bool nearest, u64 *quotient, bool *partial,
		   struct fp_env *env)
{
	struct fp_num a = fp_from_f80(va), b = fp_from_f80(vb);
	bool sign = a.sign;

	*quotient = 0;
	*partial = false;
	if (is_nan(&a) || is_nan(&b)) {
		a = pick_nan(&a, &b, env);
		return f80_special(&a);
	}
	if (a.cls == FP_CLS_INF || b.cls == FP_CLS_ZERO) {
		a = indefinite(env);
		return f80_special(&a);
	}
	if (denormal_stops(a.denorm || b.denorm, env))
		return va;
	if (b.cls == FP_CLS_INF)
		return f80_unchanged(&a);
	if (a.cls == FP_CLS_FINITE)
		a = do_rem(a, &b, nearest, quotient, partial);
	if (a.cls == FP_CLS_ZERO)
		a.sign = sign;
	return f80_pack(&a, 64, env);
}

int fp_compare(const struct fp_num *a, const struct fp_num *b, bool quiet, struct fp_env *env)
{
	bool less;

	if (is_nan(a) || is_nan(b)) {
		if (!quiet || a->cls > FP_CLS_QNAN || b->cls > FP_CLS_QNAN)
			env->flags |= FPE_IE;
		return 2;
	}
	denormal_stops(a->denorm || b->denorm, env);
	if (a->cls == FP_CLS_ZERO && b->cls == FP_CLS_ZERO)
		return 0;
	if (a->cls == FP_CLS_ZERO)
		return b->sign ? 1 : -1;
	if (b->cls == FP_CLS_ZERO || a->sign != b->sign)
		return a->sign ? -1 : 1;
	if (a->cls == FP_CLS_INF && b->cls == FP_CLS_INF)
		return 0;
	if (a->cls == b->cls && a->exp == b->exp && a->sig == b->sig)
		return 0;
	if (a->cls != b->cls)
		less = b->cls == FP_CLS_INF;
	else
		less = a->exp != b->exp ? a->exp < b->exp : a->sig < b->sig;
	return less != a->sign ? -1 : 1;
}

static struct f80 f80_widen(struct fp_num a, struct fp_env *env)
{
	struct f80 r;

	if (unary_nan(&a, env, &r))
		return r;
	denormal_stops(a.denorm, env);
	return f80_pack(&a, 64, env);
}

struct f80 f80_from_f64(u64 v, struct fp_env *env)
{
	return f80_widen(fp_from_f64(v), env);
}

struct f80 f80_from_f32(u32 v, struct fp_env *env)
{
	return f80_widen(fp_from_f32(v), env);
}

struct f80 f80_from_s64(s64 v)
{
	u64 mag = v < 0 ? 0 - (u64)v : (u64)v;
	unsigned z;

	if (v == 0)
		return (struct f80){0, 0};
	z = (unsigned)__builtin_clzll(mag);
	return (struct f80){mag << z, (u16)((v < 0) << 15 | (16383 + 63 - z))};
}

static u64 f80_narrow(struct f80 v, const struct format *f, struct fp_env *env)
{
	struct fp_num a = fp_from_f80(v);

	if (is_nan(&a))
		a = pick_nan(&a, &a, env);
	return fp_pack(&a, f, env);
}

u64 f80_to_f64(struct f80 a, struct fp_env *env)
{
	return f80_narrow(a, &fmt64, env);
}

u32 f80_to_f32(struct f80 a, struct fp_env *env)
{
	return (u32)f80_narrow(a, &fmt32, env);
}

static s64 num_to_int(const struct fp_num *a, unsigned bits, u8 rc, struct fp_env *env)
{
	u64 limit = BIT64(bits - 1);
	bool inexact, up;
	u64 mag;

	if (!to_magnitude(a, rc, &mag, &inexact, &up) || mag > limit - !a->sign) {
		env->flags |= FPE_IE;
		return sext(limit, bits);
	}
	if (inexact) {
		env->flags |= FPE_PE;
		env->c1 = up;
	}
	return a->sign ? (s64)(0 - mag) : (s64)mag;
}

s64 f80_to_int(struct f80 v, unsigned bits, struct fp_env *env)
{
	struct fp_num a = fp_from_f80(v);

	return num_to_int(&a, bits, env->rc, env);
}

struct f80 f80_from_bcd(const u8 *bcd)
{
	struct f80 r;
	u64 mag = 0;

	for (int i = 8; i >= 0; i--)
		mag = mag * 100 + (u64)(bcd[i] >> 4) * 10 + (bcd[i] & 15);
	r = f80_from_s64((s64)mag);
	r.se |= (u16)((bcd[9] & 0x80) << 8);
	return r;
}

void f80_to_bcd(struct f80 v, u8 *bcd, struct fp_env *env)
{
	struct fp_num a = fp_from_f80(v);
	bool inexact, up;
	u64 mag;

	if (!to_magnitude(&a, env->rc, &mag, &inexact, &up) || mag > 999999999999999999ull) {
		env->flags |= FPE_IE;
		memset(bcd, 0, 7);
		bcd[7] = 0xc0;
		bcd[8] = bcd[9] = 0xff;
		return;
	}
	if (inexact) {
		env->flags |= FPE_PE;
		env->c1 = up;
	}
	for (unsigned i = 0; i < 9; i++, mag /= 100)
		bcd[i] = (u8)(mag % 100 / 10 << 4 | mag % 10);
	bcd[9] = a.sign ? 0x80 : 0;
}

/* ---- SSE --------------------------------------------------------------------------------- */

static struct fp_env sse_begin(const struct sse_env *env)
{
	return (struct fp_env){
	    .rc = env->mxcsr >> 13 & 3,
	    .masks = env->mxcsr >> 7 & FPE_ALL,
	    .daz = env->mxcsr >> 6 & 1,
	    .ftz = env->mxcsr >> 15 & 1,
	    .sse = true,
	};
}

static struct fp_num sse_in(u64 v, const struct format *f, const struct fp_env *e)
{
	struct fp_num n = unpack(v, f);

	if (n.denorm && e->daz) {
		n.cls = FP_CLS_ZERO;
		n.denorm = false;
	}
	return n;
}

static u64 sse_out(const struct fp_num *n, const struct format *f, struct fp_env *e,
		   struct sse_env *env)
{
	u64 r = stopped(e) ? 0 : fp_pack(n, f, e);

	env->raised |= e->flags;
	return r;
}

static u64 sse_arith(enum fp_op op, u64 a, u64 b, const struct format *f, struct sse_env *env)
{
	struct fp_env e = sse_begin(env);
	struct fp_num r = arith(op, sse_in(a, f, &e), sse_in(b, f, &e), &e);

	return sse_out(&r, f, &e, env);
}

static u64 sse_sqrt(u64 a, const struct format *f, struct sse_env *env)
{
	struct fp_env e = sse_begin(env);
	struct fp_num n = sse_in(a, f, &e);

	n = is_nan(&n) ? pick_nan(&n, &n, &e) : do_sqrt(n, &e);
	return sse_out(&n, f, &e, env);
}

/* MINxx, MAXxx: the second operand unless the first is strictly the smaller (larger). */
static u64 sse_minmax(u64 a, u64 b, int wanted, const struct format *f, struct sse_env *env)
{
	struct fp_env e = sse_begin(env);
	struct fp_num x = sse_in(a, f, &e), y = sse_in(b, f, &e);
	int order = fp_compare(&x, &y, false, &e);
	const struct fp_num *r = order == wanted ? &x : &y;

	env->raised |= e.flags;
	if (r->cls == FP_CLS_ZERO) /* a denormal under DAZ is delivered as zero */
		return fp_pack(r, f, &e);
	return order == wanted ? a : b;
}

static int sse_compare(u64 a, u64 b, bool quiet, const struct format *f, struct sse_env *env)
{
	struct fp_env e = sse_begin(env);
	struct fp_num x = sse_in(a, f, &e), y = sse_in(b, f, &e);
	int order = fp_compare(&x, &y, quiet, &e);

	env->raised |= e.flags;
	return order;
}

/* Bit (order + 1) set: the predicate holds for less, equal, greater, unordered. Rows repeat after 8
 * up to equality's treatment of unordered operands (SDM Vol. 2A, table 3-1). */
static bool sse_predicate(int order, unsigned p)
{
	static const u8 holds[16] = {
	    0x2, 0x1, 0x3, 0x8, 0xd, 0xe, 0xc, 0x7, /* EQ LT LE UNORD NEQ NLT NLE ORD */
	    0xa, 0x9, 0xb, 0x0, 0x5, 0x6, 0x4, 0xf, /* EQ_UQ NGE NGT FALSE NEQ_OQ GE GT TRUE */
	};

	return holds[p & 15] >> (order + 1) & 1;
}

static bool sse_predicate_quiet(unsigned p)
{
	/* LT LE NLT NLE (and NGE NGT GE GT) signal in the first half; the second half is the
	 * reverse. */
	bool signals = (p & 3) == 1 || (p & 3) == 2;

	return signals == (p >> 4 & 1);
}

static u32 comi_flags(int order)
{
	return order == 2 ? 0x45 : order == 0 ? 0x40 : order < 0 ? 0x1 : 0;
}

static u64 sse_round_int(u64 a, unsigned imm, const struct format *f, struct sse_env *env)
{
	struct fp_env e = sse_begin(env);
	struct fp_num n = sse_in(a, f, &e);

	if (!(imm & 4))
		e.rc = imm & 3;
	if (is_nan(&n))
		n = pick_nan(&n, &n, &e);
	else
		round_integral(&n, &e); /* denormals do not raise #D here (SDM, ROUNDPD) */
	if (imm & 8)
		e.flags &= (u8)~FPE_PE;
	return sse_out(&n, f, &e, env);
}

static u64 sse_to_int(u64 a, unsigned bits, bool truncate, const struct format *f,
		      struct sse_env *env)
{
	struct fp_env e = sse_begin(env);
	struct fp_num n = sse_in(a, f, &e);
	s64 r = num_to_int(&n, bits, truncate ? RC_ZERO : e.rc, &e);

	env->raised |= e.flags;
	return bits == 32 ? (u32)r : (u64)r;
}

static u64 sse_from_int(s64 v, const struct format *f, struct sse_env *env)
{
	struct fp_env e = sse_begin(env);
	struct fp_num n = fp_from_s64(v);

	return sse_out(&n, f, &e, env);
}

static u64 sse_convert(struct fp_num n, const struct format *to, struct fp_env *e,
		       struct sse_env *env)
{
	if (is_nan(&n))
		n = pick_nan(&n, &n, e);
	else
		denormal_stops(n.denorm, e);
	return sse_out(&n, to, e, env);
}

static struct fp_num do_fma(const struct fp_num *a, const struct fp_num *b, struct fp_num c,
			    bool neg_product, struct fp_env *e)
{
	struct fp_num x = *a, y = *b, p;
	bool bad = (a->cls == FP_CLS_INF && b->cls == FP_CLS_ZERO) ||
		   (a->cls == FP_CLS_ZERO && b->cls == FP_CLS_INF);

	if (is_nan(a) || is_nan(b) || is_nan(&c)) {
		/* First NaN in the order of the operands; an SNaN anywhere is invalid. */
		if (a->cls == FP_CLS_SNAN || b->cls == FP_CLS_SNAN || c.cls == FP_CLS_SNAN)
			e->flags |= FPE_IE;
		return is_nan(a) ? *a : is_nan(b) ? *b : c;
	}
	if (bad)
		return indefinite(e);
	c.denorm |= a->denorm || b->denorm;
	/* #D is due once, and only when the sum is not invalid. */
	x.denorm = y.denorm = false;
	p = do_mul(x, &y, e);
	p.sign ^= neg_product;
	return do_add(p, c, e);
}

static u64 sse_fma(u64 va, u64 vb, u64 vc, bool neg_product, bool neg_c, const struct format *f,
		   struct sse_env *env)
{
	struct fp_env e = sse_begin(env);
	struct fp_num a = sse_in(va, f, &e), b = sse_in(vb, f, &e), c = sse_in(vc, f, &e);
	struct fp_num r;

	if (!is_nan(&c))
		c.sign ^= neg_c;
	r = do_fma(&a, &b, c, neg_product, &e);
	return sse_out(&r, f, &e, env);
}

#define SSE_ELEMENT(name, type, fmt)                                                               \
	type name##_add(type a, type b, struct sse_env *env)                                       \
	{                                                                                          \
		return (type)sse_arith(FP_ADD, a, b, &fmt, env);                                   \
	}                                                                                          \
	type name##_sub(type a, type b, struct sse_env *env)                                       \
	{                                                                                          \
		return (type)sse_arith(FP_SUB, a, b, &fmt, env);                                   \
	}                                                                                          \
	type name##_mul(type a, type b, struct sse_env *env)                                       \
	{                                                                                          \
		return (type)sse_arith(FP_MUL, a, b, &fmt, env);                                   \
	}                                                                                          \
	type name##_div(type a, type b, struct sse_env *env)                                       \
	{                                                                                          \
		return (type)sse_arith(FP_DIV, a, b, &fmt, env);                                   \
	}                                                                                          \
	type name##_min(type a, type b, struct sse_env *env)                                       \
	{                                                                                          \
		return (type)sse_minmax(a, b, -1, &fmt, env);                                      \
	}                                                                                          \
	type name##_max(type a, type b, struct sse_env *env)                                       \
	{                                                                                          \
		return (type)sse_minmax(a, b, 1, &fmt, env);                                       \
	}                                                                                          \
	type name##_sqrt(type a, struct sse_env *env)                                              \
	{                                                                                          \
		return (type)sse_sqrt(a, &fmt, env);                                               \
	}                                                                                          \
	type name##_fma(type a, type b, type c, bool np, bool nc, struct sse_env *env)             \
	{                                                                                          \
		return (type)sse_fma(a, b, c, np, nc, &fmt, env);                                  \
	}                                                                                          \
	bool name##_cmp(type a, type b, unsigned predicate, struct sse_env *env)                   \
	{                                                                                          \
		bool quiet = sse_predicate_quiet(predicate);                                       \
                                                                                                   \
		return sse_predicate(sse_compare(a, b, quiet, &fmt, env), predicate);              \
	}                                                                                          \
	u32 name##_comi(type a, type b, bool quiet, struct sse_env *env)                           \
	{                                                                                          \
		return comi_flags(sse_compare(a, b, quiet, &fmt, env));                            \
	}                                                                                          \
	type name##_round_int(type a, unsigned imm, struct sse_env *env)                           \
	{                                                                                          \
		return (type)sse_round_int(a, imm, &fmt, env);                                     \
	}                                                                                          \
	u64 name##_to_int(type a, unsigned bits, bool truncate, struct sse_env *env)               \
	{                                                                                          \
		return sse_to_int(a, bits, truncate, &fmt, env);                                   \
	}                                                                                          \
	type name##_from_int(s64 v, struct sse_env *env)                                           \
	{                                                                                          \
		return (type)sse_from_int(v, &fmt, env);                                           \
	}

SSE_ELEMENT(f64, u64, fmt64)
SSE_ELEMENT(f32, u32, fmt32)

u32 f64_to_f32(u64 a, struct sse_env *env)
{
	struct fp_env e = sse_begin(env);

	return (u32)sse_convert(sse_in(a, &fmt64, &e), &fmt32, &e, env);
}

u64 f32_to_f64(u32 a, struct sse_env *env)
{
	struct fp_env e = sse_begin(env);

	return sse_convert(sse_in(a, &fmt32, &e), &fmt64, &e, env);
}

u16 f32_to_f16(u32 a, unsigned imm, struct sse_env *env)
{
	struct fp_env e = sse_begin(env);

	e.ftz = false;
	if (!(imm & 4))
		e.rc = imm & 3;
	return (u16)sse_convert(sse_in(a, &fmt32, &e), &fmt16, &e, env);
}

u32 f16_to_f32(u16 a, struct sse_env *env)
{
	struct fp_env e = sse_begin(env);
	struct fp_num n = unpack(a, &fmt16);

	n.denorm = false; /* half-precision denormals raise nothing (SDM, VCVTPH2PS) */
	return (u32)sse_convert(n, &fmt32, &e, env);
}
