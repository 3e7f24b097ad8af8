/*
 * Transcendental instructions, SDM Vol. 1, 8.3.8-8.3.10.
 *
 * On an x86-64 host the host's own instruction runs under the guest's control word, so the results,
 * flags and C1 are those of the host processor bit by bit. On other hosts the results come from
 * libm's long double functions: within an ulp or so, #P always raised for inexact-looking results,
 * C1 not modelled.
 */
#include "cpu/fpu/transcendental.h"

#define SW_C1 0x200u
#define SW_C2 0x400u

#if defined(__x86_64__)

/* Unmasked exceptions are harmless: the status is read and cleared before the next waiting
 * instruction. FNINIT clears C2 too, which not all of these set, but a comparison may have. */
#define RUN(insn)                                                                                  \
	__asm__ volatile(                                                                          \
	    "fninit\n\tfldt %[b]\n\tfldt %[a]\n\tfldcw %[cw]\n\t" insn                             \
	    "\n\tfnstsw %%ax\n\tfnclex\n\tfldcw %[dfl]\n\tfstpt %[r0]\n\tfstpt %[r1]\n\t"          \
	    "fninit"                                                                               \
	    : "=&a"(sw), [r0] "=m"(*r0), [r1] "=m"(*r1)                                            \
	    : [a] "m"(a), [b] "m"(b), [cw] "m"(cw), [dfl] "m"(dfl)                                 \
	    : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)")

u16 f80_transcendental(enum fp_trans op, struct f80 a, struct f80 b, u16 cw, struct f80 *r0,
		       struct f80 *r1)
{
	const u16 dfl = 0x37f;
	u16 sw;

	switch (op) {
	case FP_F2XM1: RUN("f2xm1"); break;
	case FP_FYL2X: RUN("fyl2x"); break;
	case FP_FYL2XP1: RUN("fyl2xp1"); break;
	case FP_FPATAN: RUN("fpatan"); break;
	case FP_FSIN: RUN("fsin"); break;
	case FP_FCOS: RUN("fcos"); break;
	case FP_FSINCOS: RUN("fsincos"); break;
	default: RUN("fptan"); break;
	}
	return sw & (FPE_ALL | SW_C1 | SW_C2);
}

#else

#include <math.h>

static long double to_host(struct f80 v)
{
	struct fp_num n = fp_from_f80(v);
	long double r;

	switch (n.cls) {
	case FP_CLS_ZERO: r = 0; break;
	case FP_CLS_INF: r = INFINITY; break;
	case FP_CLS_FINITE: r = ldexpl((long double)(u64)(n.sig >> 64), n.exp - 63); break;
	default: r = NAN; break;
	}
	return n.sign ? -r : r;
}

static struct f80 from_host(long double v, struct fp_env *env)
{
	struct fp_num n = fp_from_s64(1), one = n;
	int e;

	if (isnan(v))
		return F80_INDEFINITE;
	n.sign = signbit(v);
	v = frexpl(fabsl(v), &e);
	if (isinf(v)) {
		n.cls = FP_CLS_INF;
	} else if (v == 0) {
		n.cls = FP_CLS_ZERO;
	} else {
		n.sig = (u128)(u64)ldexpl(v, 64) << 64;
		n.exp = e - 1;
		env->flags |= FPE_PE;
	}
	env->pc = 64;
	return f80_arith(FP_MUL, &n, &one, env);
}

u16 f80_transcendental(enum fp_trans op, struct f80 a, struct f80 b, u16 cw, struct f80 *r0,
		       struct f80 *r1)
{
	bool binary = op == FP_FYL2X || op == FP_FYL2XP1 || op == FP_FPATAN;
	struct fp_num na = fp_from_f80(a), nb = binary ? fp_from_f80(b) : fp_from_s64(1);
	struct fp_env env = {.rc = cw >> 10 & 3, .pc = 64, .masks = cw & FPE_ALL};
	long double x = to_host(a), y = to_host(b), r, ln2 = logl(2.0L);

	if (na.cls >= FP_CLS_QNAN || nb.cls >= FP_CLS_QNAN) {
		*r0 = *r1 = f80_arith(FP_ADD, &na, &nb, &env);
		return env.flags;
	}
	if (na.denorm || nb.denorm)
		env.flags |= FPE_DE;
	if (op >= FP_FSIN && na.cls == FP_CLS_FINITE && na.exp >= 63)
		return SW_C2;
	switch (op) {
	case FP_F2XM1: r = expm1l(x * ln2); break;
	case FP_FYL2X: r = y * log2l(x); break;
	case FP_FYL2XP1: r = y * log1pl(x) / ln2; break;
	case FP_FPATAN: r = atan2l(y, x); break;
	case FP_FCOS: r = cosl(x); break;
	case FP_FPTAN: r = tanl(x); break;
	default: r = sinl(x); break;
	}
	if (isnan(r))
		env.flags |= FPE_IE;
	else if (op == FP_FYL2X && na.cls == FP_CLS_ZERO && isinf(r) && nb.cls != FP_CLS_INF)
		env.flags |= FPE_ZE;
	*r0 = *r1 = from_host(r, &env);
	if (op == FP_FSINCOS)
		*r0 = from_host(cosl(x), &env);
	else if (op == FP_FPTAN)
		*r0 = f80_from_s64(1);
	return env.flags;
}

#endif
