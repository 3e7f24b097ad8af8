/*
 * SSE floating point: arithmetic, comparisons, conversions, rounding (SDM Vol. 1, chapters 10 and 11; Vol. 2).
 *
 * Every operation is the host's own instruction, run under the guest's rounding, DAZ and FTZ (vec.h), so NaN payloads,
 * signed zeros and sticky flags are the hardware's. RCPPS and RSQRTPS give the host's approximation, which differs
 * between vendors within the documented error. When the guest unmasks an exception, the same
 * instruction runs with clean flags in vec_exact(), which looks at them before committing.
 */
#include <xmmintrin.h>

#include "cpu/exec/vec_forms.h"

/* ---- MXCSR ------------------------------------------------------------------------------------------------ */

void cpu_mxcsr_load(struct cpu *cpu)
{
	_mm_setcsr((cpu->mxcsr & (MXCSR_RC | MXCSR_DAZ | MXCSR_FTZ)) | MXCSR_MASKS);
}

void cpu_mxcsr_sync(struct cpu *cpu)
{
	cpu->mxcsr |= _mm_getcsr() & MXCSR_FLAGS;
}

void cpu_mxcsr_release(struct cpu *cpu)
{
	cpu_mxcsr_sync(cpu);
	_mm_setcsr(MXCSR_RESET);
}

/* ---- host instructions ---------------------------------------------------------------------------------------- */

/* Through asm, because the compiler may commute or fold arithmetic that it understands. */
#define HOST2(op)                                                                                 \
	static ALWAYS_INLINE vec128 host_##op(vec128 a, vec128 b)                                  \
	{                                                                                          \
		asm(#op " %1, %0" : "+x"(a) : "x"(b));                                              \
		return a;                                                                           \
	}
#define HOST1(op)                                                                                 \
	static ALWAYS_INLINE vec128 host_##op(vec128 b)                                            \
	{                                                                                          \
		vec128 r;                                                                           \
		asm(#op " %1, %0" : "=x"(r) : "x"(b));                                              \
		return r;                                                                           \
	}

/* ---- exceptions ----------------------------------------------------------------------------------------------- */

#define MXCSR_PRE (MXCSR_IE | MXCSR_DE | MXCSR_ZE) /* found before computing: they suppress the rest */

struct trial {
	vec128 result;
	u32 flags;
};

/*
 * With underflow unmasked FTZ has no effect, and a tiny result underflows even when it is exact; masked
 * hosts do not flag that (SDM Vol. 1, 4.9.1.5).
 */
static bool is_tiny(vec128 r, enum vec_tiny kind)
{
	union vec v;
	unsigned n = kind == TINY_PS ? 4 : kind == TINY_PD ? 2 : 1;

	_mm_store_si128((vec128 *)&v, r);
	for (unsigned i = 0; i < n; i++) {
		if (kind <= TINY_PS && (v.d[i] & 0x7fffffff) && !(v.d[i] & 0x7f800000))
			return kind != TINY_NONE;
		if (kind >= TINY_SD && (v.q[i] & 0x7fffffffffffffff) && !(v.q[i] & 0x7ff0000000000000))
			return true;
	}
	return false;
}

static struct trial try_fn(struct cpu *cpu, vec_fn fn, vec128 a, vec128 b, u64 imm, enum vec_tiny tiny)
{
	bool ue_unmasked = !(cpu->mxcsr & MXCSR_UE << MXCSR_MASK_SHIFT);
	u32 control = MXCSR_RC | MXCSR_DAZ | (ue_unmasked ? 0 : MXCSR_FTZ);
	struct trial t;

	cpu_mxcsr_sync(cpu);
	_mm_setcsr((cpu->mxcsr & control) | MXCSR_MASKS);
	t.result = fn(a, b, imm);
	t.flags = _mm_getcsr() & MXCSR_FLAGS;
	cpu_mxcsr_load(cpu);
	if (ue_unmasked && is_tiny(t.result, tiny))
		t.flags |= MXCSR_UE;
	return t;
}

/* Commits the flags of a trial; raises what is unmasked among them (SDM Vol. 1, 11.5.2.3 and 11.5.4). */
static int commit_flags(struct cpu *cpu, u32 flags)
{
	u32 unmasked = flags & ~(cpu->mxcsr >> MXCSR_MASK_SHIFT);

	if (unmasked & MXCSR_PRE)
		flags &= MXCSR_PRE;
	cpu->mxcsr |= flags;
	if (!unmasked)
		return 0;
	if (!(cpu->cr4 & CR4_OSXMMEXCPT))
		return cpu_fault(cpu, EXC_UD, 0, "unmasked SIMD exception with CR4.OSXMMEXCPT = 0", flags);
	return cpu_fault(cpu, EXC_XM, 0, "unmasked SIMD floating-point exception", flags);
}

static int read_source(struct cpu *cpu, const struct insn *in, unsigned i, vec128 *v)
{
	const struct operand *o = &in->op[i];
	union vec buf = {.q = {0}};
	u64 gpr;

	switch (o->kind) {
	case OPK_VEC: *v = XMM(operand_off(o)); return 0;
	case OPK_GPR:
		gpr = (u64)sext(cpu->r[o->reg], o->size * 8);
		*v = _mm_cvtsi64_si128((s64)gpr);
		return 0;
	default:
		if (op_read_bytes(cpu, in, i, &buf))
			return 1;
		/* Integers of 4 bytes are wanted sign-extended; for a float the rest does not matter. */
		if (o->size == 4)
			buf.q[0] = (u64)(s64)(s32)buf.d[0];
		*v = _mm_load_si128((const vec128 *)&buf);
		return 0;
	}
}

int vec_exact(struct cpu *cpu, const struct insn *in, vec_fn fn, u64 imm, enum vec_tiny tiny)
{
	const struct operand *dst = &in->op[0];
	vec128 a = _mm_setzero_si128(), b;
	struct trial t;

	if (read_source(cpu, in, 1, &b))
		return 1;
	if (dst->kind == OPK_VEC)
		a = XMM(operand_off(dst));
	t = try_fn(cpu, fn, a, b, imm, tiny);
	if (commit_flags(cpu, t.flags))
		return 1;
	if (dst->kind == OPK_VEC)
		XMM(operand_off(dst)) = t.result;
	else if (dst->kind == OPK_MM)
		PUT_M(operand_off(dst), t.result);
	else
		reg_write(cpu, dst->reg, dst->size, (u64)_mm_cvtsi128_si64(t.result));
	if (dst->kind == OPK_MM || in->op[1].kind == OPK_MM)
		vec_mmx_enter(cpu, dst->kind == OPK_MM ? dst->reg : -1);
	return 0;
}

/* The exact twin of a line: the same expression as a function, and the simple operation that tries it. */
#define EXACT(name, tiny, expr)                                                                   \
	static vec128 try_##name(vec128 a UNUSED, vec128 b UNUSED, u64 imm UNUSED)                  \
	{                                                                                          \
		return expr;                                                                        \
	}                                                                                          \
	static int exact_##name(struct cpu *cpu, const struct insn *in)                             \
	{                                                                                          \
		return vec_exact(cpu, in, try_##name, (u8)in->imm, tiny);                           \
	}

#define FP(name, size, tiny, expr)                                                                \
	EXACT(name, tiny, expr)                                                                    \
	VEC_HANDLERS(x_##name, X, size, expr)                                                      \
	VEC_DESC(name, .x = VEC_FORM(x_##name), .exact = exact_##name);

/* ---- arithmetic ------------------------------------------------------------------------------------------------- */

#define ARITH(name, size, tiny)                                                                   \
	HOST2(name)                                                                                \
	FP(name, size, tiny, host_##name(a, b))
#define ARITH4(op)                                                                                \
	ARITH(op##ss, 4, TINY_SS)                                                                  \
	ARITH(op##ps, 16A, TINY_PS)                                                                \
	ARITH(op##sd, 8, TINY_SD)                                                                  \
	ARITH(op##pd, 16A, TINY_PD)

ARITH4(add)
ARITH4(sub)
ARITH4(mul)
ARITH4(div)

ARITH(minss, 4, TINY_NONE)
ARITH(minps, 16A, TINY_NONE)
ARITH(minsd, 8, TINY_NONE)
ARITH(minpd, 16A, TINY_NONE)
ARITH(maxss, 4, TINY_NONE)
ARITH(maxps, 16A, TINY_NONE)
ARITH(maxsd, 8, TINY_NONE)
ARITH(maxpd, 16A, TINY_NONE)

ARITH(sqrtss, 4, TINY_NONE)
ARITH(sqrtsd, 8, TINY_NONE)
ARITH(rcpss, 4, TINY_NONE)
ARITH(rsqrtss, 4, TINY_NONE)

ARITH(addsubps, 16A, TINY_PS)
ARITH(addsubpd, 16A, TINY_PD)
ARITH(haddps, 16A, TINY_PS)
ARITH(haddpd, 16A, TINY_PD)
ARITH(hsubps, 16A, TINY_PS)
ARITH(hsubpd, 16A, TINY_PD)

#define UNARY(name, size, tiny)                                                                   \
	HOST1(name)                                                                                \
	FP(name, size, tiny, host_##name(b))

UNARY(sqrtps, 16A, TINY_NONE)
UNARY(sqrtpd, 16A, TINY_NONE)
UNARY(rcpps, 16A, TINY_NONE)
UNARY(rsqrtps, 16A, TINY_NONE)

/* ---- comparison by predicate: legacy encodings have eight (imm8 bits 2:0) ------------------------------------------ */

#define CMP_CASE(op, n)                                                                           \
	case n: asm(#op " %2, %1, %0" : "+x"(a) : "x"(b), "i"(n)); break;
#define HOST_CMP(op)                                                                              \
	static ALWAYS_INLINE vec128 host_##op(vec128 a, vec128 b, u64 imm)                          \
	{                                                                                          \
		switch (imm & 7) {                                                                  \
			CMP_CASE(op, 0)                                                             \
			CMP_CASE(op, 1)                                                             \
			CMP_CASE(op, 2)                                                             \
			CMP_CASE(op, 3)                                                             \
			CMP_CASE(op, 4)                                                             \
			CMP_CASE(op, 5)                                                             \
			CMP_CASE(op, 6)                                                             \
			CMP_CASE(op, 7)                                                             \
		}                                                                                   \
		return a;                                                                           \
	}
#define COMPARE(op, size)                                                                         \
	HOST_CMP(op)                                                                               \
	FP(op, size, TINY_NONE, host_##op(a, b, imm))

COMPARE(cmpss, 4)
COMPARE(cmpps, 16A)
COMPARE(cmpsd, 8)
COMPARE(cmppd, 16A)

/* ---- COMIS, UCOMIS: the host's ZF, PF, CF; SF, OF and AF are cleared. Left as FK_RES ----------------------------- */

struct comparison {
	bool zf, pf, cf;
};

#define HOST_COMI(op)                                                                             \
	static ALWAYS_INLINE struct comparison host_##op(vec128 a, vec128 b)                        \
	{                                                                                          \
		struct comparison c;                                                                \
		asm(#op " %4, %3" : "=@ccz"(c.zf), "=@ccp"(c.pf), "=@ccc"(c.cf) : "x"(a), "x"(b));    \
		return c;                                                                           \
	}

/* A zero result has even parity: "equal" must invert it. Any odd one serves for "not equal". */
#define COMI_FLAGS(op, bval)                                                                      \
	do {                                                                                       \
		struct comparison c = host_##op(XMM(u->dst), (bval));                               \
		fa = !c.zf;                                                                         \
		fb = (u64)c.cf | (u64)(c.zf & !c.pf) << 2;                                          \
		cpu->flag_kind = FK_RES;                                                            \
	} while (0)
_Static_assert(FL_PF == 1 << 2 && FL_CF == 1, "positions in fb");

#define COMI(name, size)                                                                            \
	HOST_COMI(name)                                                                              \
	static void name##_rr(UOP_ARGS)                                                              \
	{                                                                                          \
		COMI_FLAGS(name, XMM(u->src));                                                        \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(name, size, COMI_FLAGS(name, WIDEN_##size(m)))                                         \
	static vec128 try_##name(vec128 a, vec128 b, u64 imm UNUSED)                                  \
	{                                                                                          \
		struct comparison c = host_##name(a, b);                                              \
		return _mm_cvtsi32_si128((s32)((c.zf ? FL_ZF : 0) | (c.pf ? FL_PF : 0) |              \
					       (c.cf ? FL_CF : 0)));                                \
	}                                                                                          \
	static int exact_##name(struct cpu *cpu, const struct insn *in)                               \
	{                                                                                          \
		return exact_comi(cpu, in, try_##name);                                               \
	}                                                                                          \
	static const struct vec_form name##_form = VEC_FORM(name);                                     \
	VEC_GEN(name)                                                                                \
	{                                                                                          \
		emit_comi(b, in, &name##_form, exact_##name);                                           \
	}

static int exact_comi(struct cpu *cpu, const struct insn *in, vec_fn fn)
{
	struct trial t;
	vec128 b;

	if (read_source(cpu, in, 1, &b))
		return 1;
	t = try_fn(cpu, fn, XMM(operand_off(&in->op[0])), b, 0, TINY_NONE);
	if (commit_flags(cpu, t.flags))
		return 1;
	cpu->rflags = (cpu->rflags & ~FL_ARITH) | (u32)_mm_cvtsi128_si32(t.result);
	return 0;
}

static void emit_comi(struct builder *b, const struct insn *in, const struct vec_form *f, exec_op exact)
{
	if (b->mode & MODE_MXCSR_EXACT)
		return emit_call(b, in, exact);
	vec_emit_form(b, in, f, 1);
	b->sf = SF_DYNAMIC;
}

COMI(ucomiss, 4)
COMI(ucomisd, 8)
COMI(comiss, 4)
COMI(comisd, 8)

/* ---- conversions within vector registers -------------------------------------------------------------------------- */

ARITH(cvtss2sd, 4, TINY_NONE)
ARITH(cvtsd2ss, 8, TINY_SS)
UNARY(cvtps2pd, 8, TINY_NONE)
UNARY(cvtpd2ps, 16A, TINY_PS)
UNARY(cvtdq2ps, 16A, TINY_NONE)
UNARY(cvtps2dq, 16A, TINY_NONE)
UNARY(cvttps2dq, 16A, TINY_NONE)
UNARY(cvtdq2pd, 8, TINY_NONE)
UNARY(cvtpd2dq, 16A, TINY_NONE)
UNARY(cvttpd2dq, 16A, TINY_NONE)

/*
 * Between MMX and XMM: as the 128-bit conversions with zeros above, which convert without raising anything.
 * Stated per kind: MMX sources are read as 8 bytes, MMX destinations written so.
 */
#define LOW(b) _mm_move_epi64(b)
#define CVT_FROM_MM(name, expr)                                                                   \
	EXACT(name, TINY_NONE, expr)                                                               \
	VEC_HANDLERS(x_##name, X, 8, expr)                                                         \
	VEC_DESC(name, .x = VEC_FORM(x_##name), .exact = exact_##name);
CVT_FROM_MM(cvtpi2ps, _mm_blend_epi16(a, host_cvtdq2ps(LOW(b)), 0x0f))
CVT_FROM_MM(cvtpi2pd, host_cvtdq2pd(b))

#define CVT_TO_MM(name, size, expr)                                                               \
	EXACT(name, TINY_NONE, expr)                                                               \
	static void m_##name##_rr(UOP_ARGS)                                                        \
	{                                                                                          \
		VEC_COMPUTE(M, XMM(u->src), expr);                                                  \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(m_##name, size, VEC_COMPUTE(M, WIDEN_##size(m), expr))                             \
	VEC_DESC(name, .x = VEC_FORM(m_##name), .exact = exact_##name);
CVT_TO_MM(cvtps2pi, 8, host_cvtps2dq(LOW(b)))
CVT_TO_MM(cvttps2pi, 8, host_cvttps2dq(LOW(b)))
CVT_TO_MM(cvtpd2pi, 16A, host_cvtpd2dq(b))
CVT_TO_MM(cvttpd2pi, 16A, host_cvttpd2dq(b))

/* ---- conversions with general registers ------------------------------------------------------------------------------ */

#define HOST_FROM_INT(op)                                                                         \
	static ALWAYS_INLINE vec128 host_##op(vec128 a, s64 g)                                     \
	{                                                                                          \
		asm(#op "q %1, %0" : "+x"(a) : "r"(g));                                             \
		return a;                                                                           \
	}
/* A sign-extended 32-bit integer converts to the same value with the same flags. */
#define FROM_INT(name)                                                                              \
	HOST_FROM_INT(name)                                                                          \
	EXACT(name, TINY_NONE, host_##name(a, _mm_cvtsi128_si64(b)))                                    \
	static void name##_4_rr(UOP_ARGS)                                                            \
	{                                                                                          \
		XMM(u->dst) = host_##name(XMM(u->dst), SREG32(u->src));                               \
		NEXT;                                                                               \
	}                                                                                          \
	static void name##_8_rr(UOP_ARGS)                                                            \
	{                                                                                          \
		XMM(u->dst) = host_##name(XMM(u->dst), SREG64(u->src));                               \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(name##_4, 4, XMM(u->dst) = host_##name(XMM(u->dst), (s32)m))                           \
	VEC_LOAD(name##_8, 8, XMM(u->dst) = host_##name(XMM(u->dst), (s64)m))                           \
	static const struct vec_form name##_forms[] = {VEC_FORM(name##_4), VEC_FORM(name##_8)};           \
	VEC_GEN(name)                                                                                \
	{                                                                                          \
		emit_gpr_form(b, in, name##_forms, in->op[1].size, exact_##name);                   \
	}

/* Chooses the 4- or 8-byte form by the size of the integer operand. */
static void emit_gpr_form(struct builder *b, const struct insn *in, const struct vec_form *f, unsigned size,
			  exec_op exact)
{
	if (b->mode & MODE_MXCSR_EXACT)
		emit_call(b, in, exact);
	else
		vec_emit_form(b, in, &f[size == 8], 1);
}

FROM_INT(cvtsi2ss)
FROM_INT(cvtsi2sd)

#define HOST_TO_INT(op)                                                                           \
	static ALWAYS_INLINE u64 host_##op##_4(vec128 b)                                           \
	{                                                                                          \
		u32 g;                                                                              \
		asm(#op "l %1, %0" : "=r"(g) : "x"(b));                                             \
		return g;                                                                           \
	}                                                                                          \
	static ALWAYS_INLINE u64 host_##op##_8(vec128 b)                                           \
	{                                                                                          \
		u64 g;                                                                              \
		asm(#op "q %1, %0" : "=r"(g) : "x"(b));                                             \
		return g;                                                                           \
	}
#define TO_INT_SIZE(op, n, size)                                                                  \
	EXACT(op##_##n, TINY_NONE, _mm_cvtsi64_si128((s64)host_##op##_##n(b)))                       \
	static void op##_##n##_rr(UOP_ARGS)                                                        \
	{                                                                                          \
		REG64(u->dst) = host_##op##_##n(XMM(u->src));                                       \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(op##_##n, size, REG64(u->dst) = host_##op##_##n(WIDEN_##size(m)))
#define TO_INT(name, msize)                                                                          \
	HOST_TO_INT(name)                                                                            \
	TO_INT_SIZE(name, 4, msize)                                                                   \
	TO_INT_SIZE(name, 8, msize)                                                                   \
	static const struct vec_form name##_forms[] = {VEC_FORM(name##_4), VEC_FORM(name##_8)};           \
	VEC_GEN(name)                                                                                \
	{                                                                                          \
		emit_gpr_form(b, in, name##_forms, in->op[0].size,                                    \
			      in->op[0].size == 8 ? exact_##name##_8 : exact_##name##_4);                \
	}

TO_INT(cvtss2si, 4)
TO_INT(cvttss2si, 4)
TO_INT(cvtsd2si, 8)
TO_INT(cvttsd2si, 8)

/* ---- rounding to integral values: imm8 bits 1:0 RC, 2 use MXCSR.RC, 3 suppress precision --------------------------- */

#define ROUND_CASE(op, n)                                                                         \
	case n: asm(#op " %2, %1, %0" : "+x"(a) : "x"(b), "i"(n)); break;
#define ROUND4(op, n) ROUND_CASE(op, n) ROUND_CASE(op, n + 1) ROUND_CASE(op, n + 2) ROUND_CASE(op, n + 3)
#define HOST_ROUND(op)                                                                            \
	static ALWAYS_INLINE vec128 host_##op(vec128 a, vec128 b, u64 imm)                          \
	{                                                                                          \
		switch (imm & 15) {                                                                 \
			ROUND4(op, 0)                                                               \
			ROUND4(op, 4)                                                               \
			ROUND4(op, 8)                                                               \
			ROUND4(op, 12)                                                              \
		}                                                                                   \
		return a;                                                                           \
	}
#define ROUND(op, size)                                                                           \
	HOST_ROUND(op)                                                                             \
	FP(op, size, TINY_NONE, host_##op(a, b, imm))

ROUND(roundss, 4)
ROUND(roundps, 16A)
ROUND(roundsd, 8)
ROUND(roundpd, 16A)

/* ---- dot products: imm8 bits 7:4 select the products, 3:0 where the sum goes --------------------------------------- */

static ALWAYS_INLINE vec128 host_dpps(vec128 a, vec128 b)
{
	asm("dpps $0xff, %1, %0" : "+x"(a) : "x"(b));
	return a;
}

static ALWAYS_INLINE vec128 host_dppd(vec128 a, vec128 b)
{
	asm("dppd $0x33, %1, %0" : "+x"(a) : "x"(b));
	return a;
}

/* Bit i of @bits as all ones in element i. */
static ALWAYS_INLINE vec128 mask4(u64 bits)
{
	vec128 weight = _mm_setr_epi32(1, 2, 4, 8), v = _mm_set1_epi32((s32)bits);
	return _mm_cmpeq_epi32(_mm_and_si128(v, weight), weight);
}

static ALWAYS_INLINE vec128 mask2(u64 bits)
{
	vec128 weight = _mm_setr_epi32(1, 1, 2, 2), v = _mm_set1_epi32((s32)bits);
	return _mm_cmpeq_epi32(_mm_and_si128(v, weight), weight);
}

/* A product that is not selected is +0: so is the product of operands replaced by +0. */
FP(dpps, 16A, TINY_PS,
   _mm_and_si128(host_dpps(_mm_and_si128(a, mask4(imm >> 4)), _mm_and_si128(b, mask4(imm >> 4))), mask4(imm)))
FP(dppd, 16A, TINY_PD,
   _mm_and_si128(host_dppd(_mm_and_si128(a, mask2(imm >> 4)), _mm_and_si128(b, mask2(imm >> 4))), mask2(imm)))
