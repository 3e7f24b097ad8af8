/*
 * How MMX and SSE instructions are written: one line each, from which come the register form, the three memory
 * forms, their slow twin, and the MMX forms (registers of 8 bytes, computed in the low half of an XMM).
 *
 * In a line's expression `a` is the first operand (old destination), `b` the second (register, or memory
 * zero-extended to 16 bytes), `imm` the immediate or what the line's prepare function made of it.
 * Registers are always read and written as whole XMMs so that the host can forward stores to loads.
 *
 * The same lines give the VEX forms: AVX computes each 16-byte lane by itself, with `a` the first source. An
 * expression may look at `lane` (0, 1). The bits above a VEX result are zeroed up to 256: AVX-512 does not exist here.
 */
#ifndef ORRERY_CPU_EXEC_VEC_FORMS_H
#define ORRERY_CPU_EXEC_VEC_FORMS_H

#include <nmmintrin.h>

#include "cpu/exec/builder.h"
#include "cpu/exec/vec.h"

typedef __m128i vec128;

#define UNUSED __attribute__((unused))

/** Raises #GP(0): a 16-byte operand of legacy SSE is not aligned. */
void vec_misaligned(UOP_ARGS);

/* ---- the sizes of memory operands: 16A (aligned), 16 (any address), 8, 4, 2, 1 --------------------- */

struct vec256 {
	vec128 l[2];
};

#define TYPE_32A struct vec256
#define TYPE_32 struct vec256
#define TYPE_16A vec128
#define TYPE_16 vec128
#define TYPE_8 u64
#define TYPE_4 u32
#define TYPE_2 u16
#define TYPE_1 u8
/* Tags are page addresses: one test covers hit, page and alignment. */
#define MISS_32A(e) unlikely((ea - (e)->tag) & ~0xfe0ull)
#define MISS_32(e) TLB_MISS(e, 32)
#define MISS_16A(e) unlikely((ea - (e)->tag) & ~0xff0ull)
#define MISS_16(e) TLB_MISS(e, 16)
#define MISS_8(e) TLB_MISS(e, 8)
#define MISS_4(e) TLB_MISS(e, 4)
#define MISS_2(e) TLB_MISS(e, 2)
#define MISS_1(e) TLB_MISS(e, 1)
#define MISALIGNED_32A (ea & 31)
#define MISALIGNED_32 0
#define MISALIGNED_16A (ea & 15)
#define MISALIGNED_16 0
#define MISALIGNED_8 0
#define MISALIGNED_4 0
#define MISALIGNED_2 0
#define MISALIGNED_1 0
#define WIDEN_16A(m) (m)
#define WIDEN_16(m) (m)
#define WIDEN_8(m) _mm_cvtsi64_si128((s64)(m))
#define WIDEN_4(m) _mm_cvtsi32_si128((s32)(m))
#define WIDEN_2(m) _mm_cvtsi32_si128((s32)(m))
#define WIDEN_1(m) _mm_cvtsi32_si128((s32)(m))

/* ---- registers by kind: X (XMM), M (MMX) ------------------------------------------------------------ */

#define XMM(off) AT(vec128, off)
#define GET_X(off) XMM(off)
#define GET_M(off) _mm_loadl_epi64((const vec128 *)((char *)cpu + (off)))
#define cpu_xmm0(cpu) (*(const vec128 *)&(cpu)->v[0])
#define PUT_X(off, v) (XMM(off) = (v))
#define PUT_M(off, v) _mm_storel_epi64((vec128 *)((char *)cpu + (off)), (v))

/* ---- the host's instructions ------------------------------------------------------------------------------ */

/* Through asm, because the compiler may commute or fold arithmetic that it understands. */
#define HOST2(op)                                                                                 \
	static ALWAYS_INLINE vec128 host_##op(vec128 a, vec128 b)                                  \
	{                                                                                          \
		asm(#op " %1, %0" : "+x"(a) : "x"(b));                                              \
		return a;                                                                           \
	}

/* ---- handlers ------------------------------------------------------------------------------------------ */

/* name_slow and name_bd, _bis, _pre: loads `m`, then the statement that follows. */
#define VEC_LOAD_FORM(scope, name, eam, size, ...)                                                \
	scope void name##_##eam(UOP_ARGS)                                                          \
	{                                                                                          \
		ea = EA_##eam;                                                                      \
		const struct tlb_entry *e = &cpu->tlb->r[tlb_index(ea)];                            \
		if (MISS_##size(e))                                                                 \
			return name##_slow(UOP_PASS);                                               \
		TYPE_##size m;                                                                      \
		memcpy(&m, (const void *)(e->host + ea), sizeof(m));                                \
		__VA_ARGS__;                                                                        \
		NEXT;                                                                               \
	}
#define VEC_LOAD_SLOW(name, size, ...)                                                            \
	static COLD void name##_slow(UOP_ARGS)                                                     \
	{                                                                                          \
		TYPE_##size m;                                                                      \
		if (MISALIGNED_##size)                                                              \
			return vec_misaligned(UOP_PASS);                                            \
		if (SLOW_READ(m))                                                                   \
			return;                                                                     \
		__VA_ARGS__;                                                                        \
		SLOW_NEXT;                                                                          \
	}

#define VEC_LOAD(name, size, ...)                                                                 \
	VEC_LOAD_SLOW(name, size, __VA_ARGS__)                                                            \
	VEC_LOAD_FORM(, name, bd, size, __VA_ARGS__)                                                      \
	VEC_LOAD_FORM(, name, bis, size, __VA_ARGS__)                                                     \
	VEC_LOAD_FORM(static, name, pre, size, __VA_ARGS__)

#define VEC_STORE_FORM(name, eam, size, value)                                                    \
	void name##_##eam(UOP_ARGS)                                                                \
	{                                                                                          \
		ea = EA_##eam;                                                                      \
		const struct tlb_entry *e = &cpu->tlb->w[tlb_index(ea)];                            \
		if (MISS_##size(e))                                                                 \
			return name##_slow(UOP_PASS);                                               \
		TYPE_##size m = (value);                                                            \
		memcpy((void *)(e->host + ea), &m, sizeof(m));                                      \
		NEXT;                                                                               \
	}
/* name_slow and name_bd, _bis, _pre: store @value, which may use u->src. */
#define VEC_STORE(name, size, value)                                                              \
	static COLD void name##_slow(UOP_ARGS)                                                     \
	{                                                                                          \
		TYPE_##size m = (value);                                                            \
		if (MISALIGNED_##size)                                                              \
			return vec_misaligned(UOP_PASS);                                            \
		if (SLOW_WRITE(m))                                                                  \
			return;                                                                     \
		SLOW_NEXT;                                                                          \
	}                                                                                          \
	VEC_STORE_FORM(name, bd, size, value)                                                      \
	VEC_STORE_FORM(name, bis, size, value)                                                     \
	VEC_STORE_FORM(name, pre, size, value)

#define VEC_COMPUTE(kind, bval, expr)                                                             \
	do {                                                                                       \
		vec128 b UNUSED = (bval);                                                           \
		vec128 a UNUSED = GET_##kind(u->dst);                                               \
		u64 imm UNUSED = u->imm;                                                            \
		enum { lane = 0 };                                                                  \
		PUT_##kind(u->dst, (expr));                                                         \
	} while (0)

/* All handlers of one register kind: name_rr and the memory forms. */
#define VEC_HANDLERS(name, kind, size, expr)                                                      \
	void name##_rr(UOP_ARGS)                                                                   \
	{                                                                                          \
		VEC_COMPUTE(kind, GET_##kind(u->src), expr);                                        \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(name, size, VEC_COMPUTE(kind, WIDEN_##size(m), expr))

/* ---- VEX handlers: dst, first source in src, second in base or memory -------------------------------------- */

#define ZERO_UPPER(off) (XMM((off) + 16) = _mm_setzero_si128())

#define AVX_LANE(n, bval, expr)                                                                   \
	do {                                                                                       \
		vec128 b UNUSED = (bval);                                                           \
		vec128 a UNUSED = XMM(u->src + 16 * (n));                                           \
		u64 imm UNUSED = u->imm;                                                            \
		enum { lane = (n) };                                                                \
		XMM(u->dst + 16 * (n)) = (expr);                                                    \
	} while (0)

/* w_name: 128 bits, or a scalar with the rest from the first source. */
#define AVX_128(name, size, expr)                                                                 \
	static void w_##name##_rr(UOP_ARGS)                                                        \
	{                                                                                          \
		AVX_LANE(0, XMM(u->base), expr);                                                    \
		ZERO_UPPER(u->dst);                                                                 \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(w_##name, size, AVX_LANE(0, WIDEN_##size(m), expr); ZERO_UPPER(u->dst))

/* y_name: 256 bits */
#define AVX_256(name, expr)                                                                       \
	static void y_##name##_rr(UOP_ARGS)                                                        \
	{                                                                                          \
		vec128 b1 = XMM(u->base + 16);                                                      \
		AVX_LANE(0, XMM(u->base), expr);                                                    \
		AVX_LANE(1, b1, expr);                                                              \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(y_##name, 32, AVX_LANE(0, m.l[0], expr); AVX_LANE(1, m.l[1], expr))

/* ---- forms: what emission chooses from ---------------------------------------------------------------- */

struct vec_form {
	uop_fn rr;
	uop_fn mem[EAM_COUNT];
};

struct vec_forms {
	struct vec_form x, mmx;
	u64 (*prepare)(u64 imm);                /* imm of the micro-operation; NULL: the immediate itself */
	exec_op exact;                          /* when an SSE exception is unmasked; NULL: raises none */
	bool intels;                            /* it is as Intel's processors have it: on others' hosts always exact */
};

/* 256 bits as one operation of the host's AVX2 (vec_ymm.c). Found by weak reference: absent where nobody wrote one. */
struct ymm_form {
	u64 (*prepare)(u64 imm); /* NULL: as the lanes' forms want it */
	struct vec_form form;
};
#define YMM_FORM(name) extern const struct ymm_form ymm_##name __attribute__((weak))

struct avx_forms {
	struct vec_form w, y; /* 128 bits or scalar, 256 bits */
	u64 (*prepare)(u64 imm);
	exec_op exact;
	bool intels;
	const struct ymm_form *ymm; /* in the place of y where the host has AVX2; or NULL */
};

/** Whether instructions that not every host has may be the host's own. */
static inline bool vec_host_own(void)
{
#ifdef ORRERY_NO_HOST_AVX2 /* for testing the forms that do without */
	return false;
#else
	return true;
#endif
}

/** Whether the forms of vec_ymm.c and vec_cross.c run on this host. */
static inline bool vec_host_avx2(void)
{
	return vec_host_own() && __builtin_cpu_supports("avx2");
}

/** Whether code built by @b takes the exact way; @intels: of an instruction whose results are the host's on Intel's alone. */
static inline bool vec_exactly(const struct builder *b, bool intels)
{
	return (b->mode & MODE_MXCSR_EXACT) || (intels && !(vec_host_own() && __builtin_cpu_is("intel")));
}

/** @ymm's form where it exists and the host has AVX2, else @y. */
static inline const struct vec_form *vec_ymm_or(const struct ymm_form *ymm, const struct vec_form *y)
{
	return ymm && vec_host_avx2() ? &ymm->form : y;
}

/** The same of single handlers. */
static inline uop_fn vec_ymm_fn(uop_fn ymm, uop_fn y)
{
	return ymm && vec_host_avx2() ? ymm : y;
}
#define YMM_FN(name) void ymm_##name(UOP_ARGS) __attribute__((weak))

/** Emits a VEX instruction: destination, one or two sources, immediate. */
void avx_emit(struct builder *b, const struct insn *in, const struct avx_forms *f);
/** The same with chosen handlers; the second source is operand @s. */
struct uop *avx_emit_form(struct builder *b, const struct insn *in, const struct vec_form *f, unsigned s);
/** Index of a VEX instruction's last register or memory operand. */
unsigned avx_last_source(const struct insn *in);

/** Emits a two-operand instruction (and immediate) from its forms. */
void vec_emit(struct builder *b, const struct insn *in, const struct vec_forms *f);
/** The same with chosen handlers: source operand @s (register or memory) into destination operand 0. */
struct uop *vec_emit_form(struct builder *b, const struct insn *in, const struct vec_form *f, unsigned s);
/** Emits a store of operand 1's register to operand 0 in memory; MMX state is entered if it is one of those. */
void vec_emit_store(struct builder *b, const struct insn *in, const uop_fn mem[EAM_COUNT]);
/** Ends the emission of an instruction that touched an MMX register: x87 tags valid, TOP 0. */
void vec_emit_mmx_done(struct builder *b, const struct insn *in);
/** The same for simple operations; @reg: the MMX register written, or -1. */
void vec_mmx_enter(struct cpu *cpu, int reg);

#define VEC_FORM(name) {name##_rr, EAM3(name)}

#define VEC_DESC(name, ...)                                                                       \
	static const struct vec_forms name##_forms = {__VA_ARGS__};                                \
	static void gen_##name(struct builder *b, const struct insn *in,                            \
			       u32 arg UNUSED)                                                      \
	{                                                                                          \
		vec_emit(b, in, &name##_forms);                                                     \
	}                                                                                          \
	extern const struct exec_desc exec_##name;                                                 \
	const struct exec_desc exec_##name = {.gen = gen_##name}

#define AVX_DESC(name, ...)                                                                       \
	YMM_FORM(name);                                                                            \
	static const struct avx_forms v##name##_forms = {.ymm = &ymm_##name, __VA_ARGS__};          \
	static void gen_v##name(struct builder *b, const struct insn *in,                           \
				u32 arg UNUSED)                                                     \
	{                                                                                          \
		avx_emit(b, in, &v##name##_forms);                                                  \
	}                                                                                          \
	extern const struct exec_desc exec_v##name;                                                \
	const struct exec_desc exec_v##name = {.gen = gen_v##name}
#define AVX_FORMS(name) .w = VEC_FORM(w_##name), .y = VEC_FORM(y_##name)

/* VEX alone */
#define AVX_P(name, prep, expr)                                                                   \
	AVX_128(name, 16, expr)                                                                    \
	AVX_256(name, expr)                                                                        \
	AVX_DESC(name, AVX_FORMS(name), .prepare = prep);

/* Legacy SSE alone, on XMM with a memory operand of @size and an immediate prepared by @prep. */
#define VEC_LEGACY_P(name, size, prep, expr)                                                      \
	VEC_HANDLERS(x_##name, X, size, expr)                                                      \
	VEC_DESC(name, .x = VEC_FORM(x_##name), .prepare = prep);
#define VEC_LEGACY(name, size, expr) VEC_LEGACY_P(name, size, NULL, expr)
/* One instruction on XMM and, lane by lane, YMM. */
#define VEC_XP(name, prep, expr)                                                                  \
	VEC_LEGACY_P(name, 16A, prep, expr)                                                        \
	AVX_P(name, prep, expr)
#define VEC_X(name, expr) VEC_XP(name, NULL, expr)
/* On XMM by @xexpr and on MMX by @mexpr, with MMX memory operands of @msize. */
#define VEC_XMP(name, msize, prep, xexpr, mexpr)                                                  \
	VEC_HANDLERS(x_##name, X, 16A, xexpr)                                                      \
	VEC_HANDLERS(m_##name, M, msize, mexpr)                                                    \
	VEC_DESC(name, .x = VEC_FORM(x_##name), .mmx = VEC_FORM(m_##name), .prepare = prep);          \
	AVX_P(name, prep, xexpr)
#define VEC_XM(name, xexpr, mexpr) VEC_XMP(name, 8, NULL, xexpr, mexpr)
/* The lane-wise ones: the same expression serves both. */
#define VEC_BOTH(name, expr) VEC_XM(name, expr, expr)

/* Defines the descriptor of an instruction whose gen function has its own ways. */
#define VEC_GEN(name)                                                                             \
	static void gen_##name(struct builder *b, const struct insn *in, u32 arg);                  \
	extern const struct exec_desc exec_##name;                                                 \
	const struct exec_desc exec_##name = {.gen = gen_##name};                                  \
	static void gen_##name(struct builder *b UNUSED, const struct insn *in UNUSED,              \
			       u32 arg UNUSED)

/* ---- floating point under an unmasked exception (vec_fp.c) ---------------------------------------------- */

typedef vec128 (*vec_fn)(vec128 a, vec128 b, u64 imm);

struct soft_op; /* how its elements are computed by cpu/fpu (vec_fp.c) */

/**
 * Runs @fn on the instruction's operands and raises #XM, or #UD without CR4.OSXMMEXCPT, for what the guest has
 * unmasked; else commits the result. @imm: as the expression wants it. @soft: for what can overflow or
 * underflow, else NULL.
 */
MUST_CHECK int vec_exact(struct cpu *cpu, const struct insn *in, vec_fn fn, u64 imm, const struct soft_op *soft);
/** The same for VEX instructions that compute lane by lane. */
MUST_CHECK int avx_exact(struct cpu *cpu, const struct insn *in, vec_fn fn, u64 imm, const struct soft_op *soft);

/** For conversions that double (@widen) or halve the element size. */
MUST_CHECK int avx_exact_convert(struct cpu *cpu, const struct insn *in, vec_fn fn, bool widen,
				 const struct soft_op *soft);
/** Raises or records @flags of an operation computed elsewhere (cpu/fpu): 1 if nothing may be committed. */
MUST_CHECK int vec_commit_flags(struct cpu *cpu, u32 flags);

/* ---- tables for shuffles by immediate (vec_perm.c) ------------------------------------------------------- */

/* PSHUFB controls: bytes 16..31 of the window count 0..15, the rest select zero. */
extern const u8 vec_window[64];
static inline vec128 vec_byte_shift_control(const u8 *p)
{
	return _mm_loadu_si128((const vec128 *)p);
}

#endif
