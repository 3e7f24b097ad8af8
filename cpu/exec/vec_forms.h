/*
 * How MMX and SSE instructions are written: one line each, from which come the register form, the three memory
 * forms, their slow twin, and the MMX forms (registers of 8 bytes, computed in the low half of an XMM).
 *
 * In a line's expression `a` is the first operand (old destination), `b` the second (register, or memory
 * zero-extended to 16 bytes), `imm` the immediate or what the line's prepare function made of it.
 * Registers are always read and written as whole XMMs so that the host can forward stores to loads.
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

#define TYPE_16A vec128
#define TYPE_16 vec128
#define TYPE_8 u64
#define TYPE_4 u32
#define TYPE_2 u16
#define TYPE_1 u8
/* Tags are page addresses: one test covers hit, page and alignment. */
#define MISS_16A(e) unlikely((ea - (e)->tag) & ~0xff0ull)
#define MISS_16(e) TLB_MISS(e, 16)
#define MISS_8(e) TLB_MISS(e, 8)
#define MISS_4(e) TLB_MISS(e, 4)
#define MISS_2(e) TLB_MISS(e, 2)
#define MISS_1(e) TLB_MISS(e, 1)
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

/* ---- handlers ------------------------------------------------------------------------------------------ */

/* name_slow and name_bd, _bis, _pre: loads `m`, then the statement that follows. */
#define VEC_LOAD_FORM(name, eam, size, ...)                                                       \
	static void name##_##eam(UOP_ARGS)                                                         \
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
#define VEC_LOAD(name, size, ...)                                                                 \
	static COLD void name##_slow(UOP_ARGS)                                                     \
	{                                                                                          \
		TYPE_##size m;                                                                      \
		if (MISALIGNED_##size)                                                              \
			return vec_misaligned(UOP_PASS);                                            \
		if (SLOW_READ(m))                                                                   \
			return;                                                                     \
		__VA_ARGS__;                                                                        \
		SLOW_NEXT;                                                                          \
	}                                                                                          \
	VEC_LOAD_FORM(name, bd, size, __VA_ARGS__)                                                        \
	VEC_LOAD_FORM(name, bis, size, __VA_ARGS__)                                                       \
	VEC_LOAD_FORM(name, pre, size, __VA_ARGS__)

#define VEC_STORE_FORM(name, eam, size, value)                                                    \
	static void name##_##eam(UOP_ARGS)                                                         \
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
		PUT_##kind(u->dst, (expr));                                                         \
	} while (0)

/* All handlers of one register kind: name_rr and the memory forms. */
#define VEC_HANDLERS(name, kind, size, expr)                                                      \
	static void name##_rr(UOP_ARGS)                                                            \
	{                                                                                          \
		VEC_COMPUTE(kind, GET_##kind(u->src), expr);                                        \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(name, size, VEC_COMPUTE(kind, WIDEN_##size(m), expr))

/* ---- forms: what emission chooses from ---------------------------------------------------------------- */

struct vec_form {
	uop_fn rr;
	uop_fn mem[EAM_COUNT];
};

struct vec_forms {
	struct vec_form x, mmx;
	u64 (*prepare)(u64 imm);                /* imm of the micro-operation; NULL: the immediate itself */
	exec_op exact;                          /* when an SSE exception is unmasked; NULL: raises none */
};

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

/* One instruction on XMM with a memory operand of @size, and an immediate prepared by @prep. */
#define VEC_XP(name, size, prep, expr)                                                            \
	VEC_HANDLERS(x_##name, X, size, expr)                                                      \
	VEC_DESC(name, .x = VEC_FORM(x_##name), .prepare = prep);
#define VEC_X(name, size, expr) VEC_XP(name, size, NULL, expr)
/* On XMM by @xexpr and on MMX by @mexpr, with MMX memory operands of @msize. */
#define VEC_XMP(name, msize, prep, xexpr, mexpr)                                                  \
	VEC_HANDLERS(x_##name, X, 16A, xexpr)                                                      \
	VEC_HANDLERS(m_##name, M, msize, mexpr)                                                    \
	VEC_DESC(name, .x = VEC_FORM(x_##name), .mmx = VEC_FORM(m_##name), .prepare = prep);
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

/* ---- tables for shuffles by immediate (vec_perm.c) ------------------------------------------------------- */

/* PSHUFB controls: bytes 16..31 of the window count 0..15, the rest select zero. */
extern const u8 vec_window[64];
static inline vec128 vec_byte_shift_control(const u8 *p)
{
	return _mm_loadu_si128((const vec128 *)p);
}

#endif
