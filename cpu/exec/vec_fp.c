/*
 * SSE floating point: arithmetic, comparisons, conversions, rounding (SDM Vol. 1, chapters 10 and 11; Vol. 2).
 *
 * Every operation is the host's own instruction, run under the guest's rounding, DAZ and FTZ (vec.h), so NaN payloads,
 * signed zeros and sticky flags are the hardware's. RCPPS and RSQRTPS give Intel's approximation on every host (vec_approx.h).
 * When the guest unmasks an exception, the same instruction runs with clean flags in vec_exact(), which looks at them
 * before committing.
 */
#include <xmmintrin.h>

#include "cpu/exec/vec_approx.h"
#include "cpu/exec/vec_forms.h"
#include "cpu/fpu/softfloat.h"

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
	if (vec_host_avx2()) /* the handlers of vec_ymm.c leave the upper halves used */
		asm volatile("vzeroupper");
	cpu_mxcsr_sync(cpu);
	_mm_setcsr(MXCSR_RESET);
}

/* ---- host instructions ---------------------------------------------------------------------------------------- */

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
 * The host, run with exceptions masked, cannot tell what unmasked overflow and underflow would have reported: a tiny
 * result underflows even if exact, and PE then speaks of the result with unbounded exponent (SDM Vol. 1,
 * 4.9.1.4, 4.9.1.5). For those the flags come from cpu/fpu, element by element; so do those of dot products, which
 * stop after the stage that raised something.
 */
enum soft_shape { SOFT_SCALAR, SOFT_PACKED, SOFT_ADDSUB, SOFT_HORIZONTAL, SOFT_DOT, SOFT_NARROW1, SOFT_NARROW2 };

struct soft_op {
	enum soft_shape shape;
	unsigned size; /* bytes of an element */
	u32 (*f32)(u32 a, u32 b, struct sse_env *env);
	u64 (*f64)(u64 a, u64 b, struct sse_env *env);
};

static const struct soft_op soft_add = {.f32 = f32_add, .f64 = f64_add}, soft_sub = {.f32 = f32_sub, .f64 = f64_sub},
			    soft_mul = {.f32 = f32_mul, .f64 = f64_mul};

struct soft_run {
	unsigned size;
	struct sse_env env;
};

static u64 soft_apply(struct soft_run *r, const struct soft_op *op, u64 x, u64 y)
{
	return r->size == 4 ? op->f32((u32)x, (u32)y, &r->env) : op->f64(x, y, &r->env);
}

static u64 element(const union vec *v, unsigned i, unsigned size)
{
	return size == 4 ? v->d[i] : v->q[i];
}

/* An unmasked exception found before computing hides those of the result (SDM Vol. 1, 11.5.2.3). */
static u32 visible(u32 flags, u32 mxcsr)
{
	return flags & ~(mxcsr >> MXCSR_MASK_SHIFT) & MXCSR_PRE ? flags & MXCSR_PRE : flags;
}

/* Adds the flags of a stage that ended to @sum; true if one is unmasked: the stage was the last. */
static bool soft_stage(struct soft_run *r, u32 *sum)
{
	u32 flags = visible(r->env.raised, r->env.mxcsr);

	r->env.raised = 0;
	*sum |= flags;
	return flags & ~(r->env.mxcsr >> MXCSR_MASK_SHIFT);
}

/* Products, sums of pairs, their sum, each stage in all lanes. */
static u32 soft_dot(struct soft_run *r, const union vec *a, const union vec *b, u64 imm, unsigned lanes)
{
	unsigned n = 16 / r->size;
	u64 t[8] = {0};
	u32 sum = 0;

	for (unsigned i = 0; i < n * lanes; i++)
		if (imm >> (4 + i % n) & 1)
			t[i] = soft_apply(r, &soft_mul, element(a, i, r->size), element(b, i, r->size));
	if (soft_stage(r, &sum))
		return sum;
	for (unsigned i = 0; i < n * lanes; i += 2)
		t[i / 2] = soft_apply(r, &soft_add, t[i], t[i + 1]);
	if (soft_stage(r, &sum) || n == 2)
		return sum;
	for (unsigned i = 0; i < lanes; i++)
		soft_apply(r, &soft_add, t[2 * i], t[2 * i + 1]);
	soft_stage(r, &sum);
	return sum;
}

static u32 soft_flags(const struct soft_op *op, vec128 va, vec128 vb, u64 imm, u32 mxcsr)
{
	struct soft_run r = {op->size, {.mxcsr = mxcsr & ~MXCSR_FLAGS}};
	unsigned n = op->shape == SOFT_SCALAR || op->shape == SOFT_NARROW1 ? 1 : 16 / op->size;
	union vec a, b;

	_mm_store_si128((vec128 *)&a, va);
	_mm_store_si128((vec128 *)&b, vb);
	if (op->shape == SOFT_DOT)
		return soft_dot(&r, &a, &b, imm, 1);
	for (unsigned i = 0; i < n; i++) {
		const union vec *h = i < n / 2 ? &a : &b;
		unsigned k = 2 * i % n;

		switch (op->shape) {
		case SOFT_ADDSUB:
			soft_apply(&r, i & 1 ? &soft_add : &soft_sub, element(&a, i, r.size), element(&b, i, r.size));
			break;
		case SOFT_HORIZONTAL: soft_apply(&r, op, element(h, k, r.size), element(h, k + 1, r.size)); break;
		case SOFT_NARROW1:
		case SOFT_NARROW2: f64_to_f32(b.q[i], &r.env); break;
		default: soft_apply(&r, op, element(&a, i, r.size), element(&b, i, r.size)); break;
		}
	}
	return visible(r.env.raised, mxcsr);
}

static struct trial try_fn(struct cpu *cpu, vec_fn fn, vec128 a, vec128 b, u64 imm, const struct soft_op *soft)
{
	const u32 range = (MXCSR_OE | MXCSR_UE) << MXCSR_MASK_SHIFT;
	struct trial t;

	cpu_mxcsr_sync(cpu);
	cpu_mxcsr_load(cpu);
	/* Holds the host's instruction between the two accesses to MXCSR, should fn be inlined. */
	asm volatile("" : "+x"(a), "+x"(b));
	t.result = fn(a, b, imm);
	asm volatile("" : "+x"(t.result));
	t.flags = visible(_mm_getcsr() & MXCSR_FLAGS, cpu->mxcsr);
	cpu_mxcsr_load(cpu);
	if (soft && (soft->shape == SOFT_DOT || (~cpu->mxcsr & range)))
		t.flags = soft_flags(soft, a, b, imm, cpu->mxcsr);
	return t;
}

/* Commits the flags of a trial; raises what is unmasked among them (SDM Vol. 1, 11.5.2.3 and 11.5.4). */
static int commit_flags(struct cpu *cpu, u32 flags)
{
	u32 unmasked = flags & ~(cpu->mxcsr >> MXCSR_MASK_SHIFT);

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

int vec_commit_flags(struct cpu *cpu, u32 flags)
{
	cpu_mxcsr_sync(cpu);
	return commit_flags(cpu, visible(flags, cpu->mxcsr));
}

/* The second source's lanes, of a VEX instruction; an integer is sign-extended. */
static int read_lanes(struct cpu *cpu, const struct insn *in, unsigned s, union vec *b)
{
	const struct operand *o = &in->op[s];

	memset(b, 0, sizeof(*b));
	if (o->kind != OPK_GPR && op_read_bytes(cpu, in, s, b))
		return 1;
	if (o->kind == OPK_GPR)
		b->q[0] = (u64)sext(cpu->r[o->reg], o->size * 8);
	else if (o->size == 4)
		b->q[0] = (u64)(s64)(s32)b->d[0];
	return 0;
}

#define LANE(v, n) _mm_load_si128((const vec128 *)&(v).q[2 * (n)])

/* Writes 16 or 32 bytes of result to a VEX destination, or a general register. */
static void write_lanes(struct cpu *cpu, const struct operand *dst, vec128 r0, vec128 r1)
{
	u16 off = operand_off(dst);

	if (dst->kind == OPK_GPR) {
		reg_write(cpu, dst->reg, dst->size, (u64)_mm_cvtsi128_si64(r0));
		return;
	}
	XMM(off) = r0;
	XMM(off + 16) = r1;
}

int avx_exact(struct cpu *cpu, const struct insn *in, vec_fn fn, u64 imm, const struct soft_op *soft)
{
	unsigned s = avx_last_source(in);
	const union vec *a = (const void *)((char *)cpu + operand_off(&in->op[s == 2]));
	bool two = in->op[0].size == 32;
	struct trial t0, t1 = {_mm_setzero_si128(), 0};
	union vec b;
	u32 flags;

	if (read_lanes(cpu, in, s, &b))
		return 1;
	t0 = try_fn(cpu, fn, LANE(*a, 0), LANE(b, 0), imm, soft);
	if (two)
		t1 = try_fn(cpu, fn, LANE(*a, 1), LANE(b, 1), imm, soft);
	flags = t0.flags | t1.flags;
	if (two && soft && soft->shape == SOFT_DOT) {
		struct soft_run r = {soft->size, {.mxcsr = cpu->mxcsr & ~MXCSR_FLAGS}};
		flags = soft_dot(&r, a, &b, imm, 2);
	}
	if (!soft || soft->shape != SOFT_DOT) /* which has seen to it by stages */
		flags = visible(flags, cpu->mxcsr);
	if (commit_flags(cpu, flags))
		return 1;
	write_lanes(cpu, &in->op[0], t0.result, t1.result);
	return 0;
}

int avx_exact_convert(struct cpu *cpu, const struct insn *in, vec_fn fn, bool widen, const struct soft_op *soft)
{
	bool two = in->vex_l == 32;
	vec128 zero = _mm_setzero_si128(), b1;
	struct trial t0, t1 = {zero, 0};
	union vec b;

	if (read_lanes(cpu, in, 1, &b))
		return 1;
	b1 = widen ? _mm_srli_si128(LANE(b, 0), 8) : LANE(b, 1);
	t0 = try_fn(cpu, fn, zero, LANE(b, 0), 0, soft);
	if (two)
		t1 = try_fn(cpu, fn, zero, b1, 0, soft);
	if (commit_flags(cpu, visible(t0.flags | t1.flags, cpu->mxcsr)))
		return 1;
	if (widen)
		write_lanes(cpu, &in->op[0], t0.result, t1.result);
	else
		write_lanes(cpu, &in->op[0], _mm_unpacklo_epi64(t0.result, t1.result), zero);
	return 0;
}

int vec_exact(struct cpu *cpu, const struct insn *in, vec_fn fn, u64 imm, const struct soft_op *soft)
{
	const struct operand *dst = &in->op[0];
	vec128 a = _mm_setzero_si128(), b;
	struct trial t;

	if (read_source(cpu, in, 1, &b))
		return 1;
	if (dst->kind == OPK_VEC)
		a = XMM(operand_off(dst));
	t = try_fn(cpu, fn, a, b, imm, soft);
	/* Hardware enters MMX state even when the conversion then raises #XM. */
	if (dst->kind == OPK_MM || in->op[1].kind == OPK_MM)
		vec_mmx_enter(cpu, -1);
	if (commit_flags(cpu, t.flags))
		return 1;
	if (dst->kind == OPK_MM)
		vec_mmx_enter(cpu, dst->reg);
	if (dst->kind == OPK_VEC)
		XMM(operand_off(dst)) = t.result;
	else if (dst->kind == OPK_MM)
		PUT_M(operand_off(dst), t.result);
	else
		reg_write(cpu, dst->reg, dst->size, (u64)_mm_cvtsi128_si64(t.result));
	return 0;
}

#define SOFT(shape, size, op) (&(const struct soft_op){SOFT_##shape, size, f32_##op, f64_##op})

/* The exact twin of a line: the same expression as a function, and the simple operation that tries it. */
#define EXACT(name, soft, expr)                                                                   \
	static vec128 try_##name(vec128 a UNUSED, vec128 b UNUSED, u64 imm UNUSED)                  \
	{                                                                                          \
		return expr;                                                                        \
	}                                                                                          \
	static int exact_##name(struct cpu *cpu, const struct insn *in)                             \
	{                                                                                          \
		return vec_exact(cpu, in, try_##name, (u8)in->imm, soft);                           \
	}

#define FP_LEGACY(name, size, soft, expr)                                                         \
	EXACT(name, soft, expr)                                                                    \
	VEC_HANDLERS(x_##name, X, size, expr)                                                      \
	VEC_DESC(name, .x = VEC_FORM(x_##name), .exact = exact_##name);

#define AVX_EXACT(name, soft)                                                                     \
	static int exact_v##name(struct cpu *cpu, const struct insn *in)                            \
	{                                                                                          \
		return avx_exact(cpu, in, try_##name, (u8)in->imm, soft);                           \
	}
#define AVX_FP_4(name, soft, expr) AVX_FP_SCALAR(name, 4, soft, expr)
#define AVX_FP_8(name, soft, expr) AVX_FP_SCALAR(name, 8, soft, expr)
#define AVX_FP_SCALAR(name, size, soft, expr)                                                     \
	AVX_EXACT(name, soft)                                                                      \
	AVX_128(name, size, expr)                                                                  \
	AVX_DESC(name, .w = VEC_FORM(w_##name), .exact = exact_v##name);
#define AVX_FP_16A(name, soft, expr)                                                              \
	AVX_EXACT(name, soft)                                                                      \
	AVX_128(name, 16, expr)                                                                    \
	AVX_256(name, expr)                                                                        \
	AVX_DESC(name, AVX_FORMS(name), .exact = exact_v##name);

#define FP(name, size, soft, expr)                                                                \
	FP_LEGACY(name, size, soft, expr)                                                          \
	AVX_FP_##size(name, soft, expr)

/* ---- arithmetic ------------------------------------------------------------------------------------------------- */

#define ARITH(name, size, soft)                                                                   \
	HOST2(name)                                                                                \
	FP(name, size, soft, host_##name(a, b))
#define ARITH4(op)                                                                                \
	ARITH(op##ss, 4, SOFT(SCALAR, 4, op))                                                       \
	ARITH(op##ps, 16A, SOFT(PACKED, 4, op))                                                     \
	ARITH(op##sd, 8, SOFT(SCALAR, 8, op))                                                       \
	ARITH(op##pd, 16A, SOFT(PACKED, 8, op))

ARITH4(add)
ARITH4(sub)
ARITH4(mul)
ARITH4(div)

ARITH(minss, 4, NULL)
ARITH(minps, 16A, NULL)
ARITH(minsd, 8, NULL)
ARITH(minpd, 16A, NULL)
ARITH(maxss, 4, NULL)
ARITH(maxps, 16A, NULL)
ARITH(maxsd, 8, NULL)
ARITH(maxpd, 16A, NULL)

ARITH(sqrtss, 4, NULL)
ARITH(sqrtsd, 8, NULL)

ARITH(addsubps, 16A, SOFT(ADDSUB, 4, add))
ARITH(addsubpd, 16A, SOFT(ADDSUB, 8, add))
ARITH(haddps, 16A, SOFT(HORIZONTAL, 4, add))
ARITH(haddpd, 16A, SOFT(HORIZONTAL, 8, add))
ARITH(hsubps, 16A, SOFT(HORIZONTAL, 4, sub))
ARITH(hsubpd, 16A, SOFT(HORIZONTAL, 8, sub))

#define UNARY(name, size, soft)                                                                   \
	HOST1(name)                                                                                \
	FP(name, size, soft, host_##name(b))

UNARY(sqrtps, 16A, NULL)
UNARY(sqrtpd, 16A, NULL)

/* ---- approximations -------------------------------------------------------------------------------------------- */

/* The host's own, and as simple operations, which hosts of other makers use always, Intel's. */
#define APPROX(op)                                                                                \
	static vec128 own_##op##ps(vec128 b)                                                        \
	{                                                                                          \
		union {                                                                             \
			vec128 v;                                                                   \
			u32 d[4];                                                                   \
		} x = {b};                                                                          \
		for (unsigned i = 0; i < 4; i++)                                                    \
			x.d[i] = approx_##op(x.d[i]);                                               \
		return x.v;                                                                         \
	}                                                                                          \
	HOST1(op##ps)                                                                              \
	HOST2(op##ss)                                                                              \
	EXACT(op##ps, NULL, own_##op##ps(b))                                                        \
	EXACT(op##ss, NULL, _mm_blend_epi16(a, own_##op##ps(b), 3))                                 \
	AVX_EXACT(op##ps, NULL)                                                                    \
	AVX_EXACT(op##ss, NULL)                                                                    \
	VEC_HANDLERS(x_##op##ps, X, 16A, host_##op##ps(b))                                          \
	VEC_HANDLERS(x_##op##ss, X, 4, host_##op##ss(a, b))                                         \
	AVX_128(op##ps, 16, host_##op##ps(b))                                                       \
	AVX_128(op##ss, 4, host_##op##ss(a, b))                                                     \
	AVX_256(op##ps, host_##op##ps(b))                                                           \
	VEC_DESC(op##ps, .x = VEC_FORM(x_##op##ps), .exact = exact_##op##ps, .intels = true);       \
	VEC_DESC(op##ss, .x = VEC_FORM(x_##op##ss), .exact = exact_##op##ss, .intels = true);       \
	AVX_DESC(op##ps, AVX_FORMS(op##ps), .exact = exact_v##op##ps, .intels = true);              \
	AVX_DESC(op##ss, .w = VEC_FORM(w_##op##ss), .exact = exact_v##op##ss, .intels = true);

APPROX(rcp)
APPROX(rsqrt)

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
	FP_LEGACY(op, size, NULL, host_##op(a, b, imm))

COMPARE(cmpss, 4)
COMPARE(cmpps, 16A)
COMPARE(cmpsd, 8)
COMPARE(cmppd, 16A)

/* VEX has 32 predicates: those beyond the host's eight by cpu/fpu, as a simple operation. */
static vec128 soft_cmp(vec128 va, vec128 vb, unsigned predicate, unsigned n, unsigned size)
{
	struct sse_env env = {.mxcsr = _mm_getcsr() & ~MXCSR_FLAGS};
	union vec a, b;

	_mm_store_si128((vec128 *)&a, va);
	_mm_store_si128((vec128 *)&b, vb);
	for (unsigned i = 0; i < n; i++) {
		if (size == 4)
			a.d[i] = f32_cmp(a.d[i], b.d[i], predicate, &env) ? 0xffffffff : 0;
		else
			a.q[i] = f64_cmp(a.q[i], b.q[i], predicate, &env) ? ~0ull : 0;
	}
	_mm_setcsr(_mm_getcsr() | env.raised);
	return LANE(a, 0);
}

#define AVX_COMPARE(op, size, n, bytes)                                                           \
	static vec128 try_v##op(vec128 a, vec128 b, u64 imm)                                        \
	{                                                                                          \
		imm &= 31;                                                                          \
		return imm < 8 ? host_##op(a, b, imm) : soft_cmp(a, b, (unsigned)imm, n, bytes);     \
	}                                                                                          \
	static int exact_v##op(struct cpu *cpu, const struct insn *in)                              \
	{                                                                                          \
		return avx_exact(cpu, in, try_v##op, (u8)in->imm, NULL);                            \
	}                                                                                          \
	static const struct avx_forms v##op##_forms = {AVX_CMP_FORMS_##size(op), .exact = exact_v##op};\
	VEC_GEN(v##op)                                                                             \
	{                                                                                          \
		if ((in->imm & 31) < 8)                                                             \
			avx_emit(b, in, &v##op##_forms);                                            \
		else                                                                                \
			emit_call(b, in, exact_v##op);                                              \
	}
#define AVX_CMP_FORMS_4(op) .w = VEC_FORM(w_##op)
#define AVX_CMP_FORMS_8(op) .w = VEC_FORM(w_##op)
#define AVX_CMP_FORMS_16(op) AVX_FORMS(op)
AVX_128(cmpss, 4, host_cmpss(a, b, imm))
AVX_128(cmpsd, 8, host_cmpsd(a, b, imm))
AVX_128(cmpps, 16, host_cmpps(a, b, imm))
AVX_128(cmppd, 16, host_cmppd(a, b, imm))
AVX_256(cmpps, host_cmpps(a, b, imm))
AVX_256(cmppd, host_cmppd(a, b, imm))
AVX_COMPARE(cmpss, 4, 1, 4)
AVX_COMPARE(cmpsd, 8, 1, 8)
AVX_COMPARE(cmpps, 16, 4, 4)
AVX_COMPARE(cmppd, 16, 2, 8)

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

/* SF_COMPARED: fa has even parity, and FL_PF in fb undoes it. */
#define COMI_FLAGS(op, bval)                                                                      \
	do {                                                                                       \
		struct comparison c = host_##op(XMM(u->dst), (bval));                               \
		fa = c.zf ? 0 : 3;                                                                  \
		fb = (u64)c.cf | (u64)!c.pf << 2;                                                   \
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
	t = try_fn(cpu, fn, XMM(operand_off(&in->op[0])), b, 0, NULL);
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
	b->sf = SF_COMPARED;
}

COMI(ucomiss, 4)
COMI(ucomisd, 8)
COMI(comiss, 4)
COMI(comisd, 8)

/* ---- conversions within vector registers -------------------------------------------------------------------------- */

/* These change the size of elements: VEX.256 reads or writes half a register. */
#define CONVERT(name, size, soft)                                                                 \
	HOST1(name)                                                                                \
	FP_LEGACY(name, size, soft, host_##name(b))                                                \
	AVX_CONVERT_##size(name, soft)
#define AVX_CONVERT_8(name, soft)                                                                 \
	AVX_CONVERT(name, true, soft)                                                              \
	AVX_128(name, 8, host_##name(b))                                                           \
	static void y_##name##_rr(UOP_ARGS)                                                        \
	{                                                                                          \
		vec128 h = _mm_srli_si128(XMM(u->base), 8);                                         \
		AVX_LANE(0, XMM(u->base), host_##name(b));                                          \
		AVX_LANE(1, h, host_##name(b));                                                     \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(y_##name, 16, AVX_LANE(0, m, host_##name(b));                                      \
		 AVX_LANE(1, _mm_srli_si128(m, 8), host_##name(b)))                                 \
	AVX_DESC(name, AVX_FORMS(name), .exact = exact_v##name);
#define AVX_CONVERT_16A(name, soft)                                                               \
	AVX_CONVERT(name, false, soft)                                                             \
	AVX_128(name, 16, host_##name(b))                                                          \
	static void y_##name##_rr(UOP_ARGS)                                                        \
	{                                                                                          \
		XMM(u->dst) = _mm_unpacklo_epi64(host_##name(XMM(u->base)), host_##name(XMM(u->base + 16)));\
		ZERO_UPPER(u->dst);                                                                 \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(y_##name, 32,                                                                      \
		 XMM(u->dst) = _mm_unpacklo_epi64(host_##name(m.l[0]), host_##name(m.l[1]));         \
		 ZERO_UPPER(u->dst))                                                                \
	AVX_DESC(name, AVX_FORMS(name), .exact = exact_v##name);
#define AVX_CONVERT(name, widen, soft)                                                            \
	static int exact_v##name(struct cpu *cpu, const struct insn *in)                            \
	{                                                                                          \
		return avx_exact_convert(cpu, in, try_##name, widen, soft);                         \
	}

ARITH(cvtss2sd, 4, NULL)
ARITH(cvtsd2ss, 8, SOFT(NARROW1, 8, add))
CONVERT(cvtps2pd, 8, NULL)
CONVERT(cvtpd2ps, 16A, SOFT(NARROW2, 8, add))
UNARY(cvtdq2ps, 16A, NULL)
UNARY(cvtps2dq, 16A, NULL)
UNARY(cvttps2dq, 16A, NULL)
CONVERT(cvtdq2pd, 8, NULL)
CONVERT(cvtpd2dq, 16A, NULL)
CONVERT(cvttpd2dq, 16A, NULL)

/*
 * Between MMX and XMM: as the 128-bit conversions with zeros above, which convert without raising anything.
 * Stated per kind: MMX sources are read as 8 bytes, MMX destinations written so.
 */
#define LOW(b) _mm_move_epi64(b)
#define CVT_FROM_MM(name, expr)                                                                   \
	EXACT(name, NULL, expr)                                                               \
	VEC_HANDLERS(x_##name, X, 8, expr)                                                         \
	VEC_DESC(name, .x = VEC_FORM(x_##name), .exact = exact_##name);
CVT_FROM_MM(cvtpi2ps, _mm_blend_epi16(a, host_cvtdq2ps(LOW(b)), 0x0f))
CVT_FROM_MM(cvtpi2pd, host_cvtdq2pd(b))

#define CVT_TO_MM(name, size, expr)                                                               \
	EXACT(name, NULL, expr)                                                               \
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
	EXACT(name, NULL, host_##name(a, _mm_cvtsi128_si64(b)))                                    \
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
	}                                                                                          \
	AVX_FROM_INT(name)

#define AVX_FROM_INT(name)                                                                        \
	AVX_EXACT(name, NULL)                                                                      \
	static void w_##name##_4_rr(UOP_ARGS)                                                      \
	{                                                                                          \
		XMM(u->dst) = host_##name(XMM(u->src), SREG32(u->base));                            \
		ZERO_UPPER(u->dst);                                                                 \
		NEXT;                                                                               \
	}                                                                                          \
	static void w_##name##_8_rr(UOP_ARGS)                                                      \
	{                                                                                          \
		XMM(u->dst) = host_##name(XMM(u->src), SREG64(u->base));                            \
		ZERO_UPPER(u->dst);                                                                 \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(w_##name##_4, 4, XMM(u->dst) = host_##name(XMM(u->src), (s32)m); ZERO_UPPER(u->dst))\
	VEC_LOAD(w_##name##_8, 8, XMM(u->dst) = host_##name(XMM(u->src), (s64)m); ZERO_UPPER(u->dst))\
	static const struct vec_form v##name##_forms[] = {VEC_FORM(w_##name##_4), VEC_FORM(w_##name##_8)};\
	VEC_GEN(v##name)                                                                           \
	{                                                                                          \
		if (b->mode & MODE_MXCSR_EXACT)                                                     \
			emit_call(b, in, exact_v##name);                                            \
		else                                                                                \
			avx_emit_form(b, in, &v##name##_forms[in->op[2].size == 8], 2);             \
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
	EXACT(op##_##n, NULL, _mm_cvtsi64_si128((s64)host_##op##_##n(b)))                       \
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
	FP(op, size, NULL, host_##op(a, b, imm))

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
FP(dpps, 16A, SOFT(DOT, 4, mul),
   _mm_and_si128(host_dpps(_mm_and_si128(a, mask4(imm >> 4)), _mm_and_si128(b, mask4(imm >> 4))), mask4(imm)))
FP(dppd, 16A, SOFT(DOT, 8, mul),
   _mm_and_si128(host_dppd(_mm_and_si128(a, mask2(imm >> 4)), _mm_and_si128(b, mask2(imm >> 4))), mask2(imm)))
