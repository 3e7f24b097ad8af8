/*
 * Moves of MMX and SSE..SSE4.1: loads, stores, register moves, non-temporal forms, GPR transfers, sign masks,
 * MASKMOVQ/MASKMOVDQU (SDM Vol. 2, the MOV* pages). Non-temporal hints are plain stores: caches are not modelled.
 */
#include "cpu/exec/vec_forms.h"

/* ---- what all moves are made of ------------------------------------------------------------------------ */

VEC_HANDLERS(load16a, X, 16A, b)
VEC_HANDLERS(load16, X, 16, b)
VEC_HANDLERS(load8, X, 8, _mm_move_epi64(b)) /* and zero the rest */
VEC_STORE(store16a, 16A, XMM(u->src))
VEC_STORE(store16, 16, XMM(u->src))
VEC_STORE(store8, 8, REG64(u->src))
VEC_STORE(store8hi, 8, REG64(u->src + 8))
VEC_STORE(store4, 4, REG32(u->src))

/* MMX and GPR sources are the same 8 bytes at an offset. */
VEC_HANDLERS(mload8, M, 8, b)
VEC_LOAD(mload4, 4, REG64(u->dst) = m)

static const struct vec_form load16a_form = VEC_FORM(load16a), load16_form = VEC_FORM(load16),
			     load8_form = VEC_FORM(load8), mload8_form = VEC_FORM(mload8);
static const uop_fn store16a_mem[] = EAM3(store16a), store16_mem[] = EAM3(store16), store8_mem[] = EAM3(store8),
		    store8hi_mem[] = EAM3(store8hi), store4_mem[] = EAM3(store4);

/* Load, register move or store of whole registers. */
static void emit_move(struct builder *b, const struct insn *in, const struct vec_form *load,
		      const uop_fn store[EAM_COUNT])
{
	if (in->op[0].kind == OPK_MEM) {
		vec_emit_store(b, in, store);
	} else {
		vec_emit_form(b, in, load, 1);
		vec_emit_mmx_done(b, in);
	}
}

#define MOVE_16A(name)                                                                            \
	VEC_GEN(name)                                                                              \
	{                                                                                          \
		emit_move(b, in, &load16a_form, store16a_mem);                                      \
	}
#define MOVE_16(name)                                                                             \
	VEC_GEN(name)                                                                              \
	{                                                                                          \
		emit_move(b, in, &load16_form, store16_mem);                                        \
	}

MOVE_16A(movaps)
MOVE_16A(movapd)
MOVE_16A(movdqa)
MOVE_16A(movntps)
MOVE_16A(movntpd)
MOVE_16A(movntdq)
MOVE_16A(movntdqa)
MOVE_16(movups)
MOVE_16(movupd)
MOVE_16(movdqu)
MOVE_16(lddqu)

/* ---- 64 bits --------------------------------------------------------------------------------------------- */

VEC_GEN(movntq)
{
	emit_move(b, in, &mload8_form, store8_mem);
}

/* MOVQ2DQ, MOVDQ2Q: between register files, low 64 bits. */
static void mm_to_xmm(UOP_ARGS)
{
	XMM(u->dst) = GET_M(u->src);
	NEXT;
}

static void xmm_to_mm(UOP_ARGS)
{
	REG64(u->dst) = REG64(u->src);
	NEXT;
}

static void emit_reg(struct builder *b, const struct insn *in, uop_fn fn)
{
	struct uop *u = emit(b, fn);
	u->dst = operand_off(&in->op[0]);
	u->src = operand_off(&in->op[1]);
	u->imm = in->imm;
}

VEC_GEN(movq2dq)
{
	emit_reg(b, in, mm_to_xmm);
	vec_emit_mmx_done(b, in);
}

VEC_GEN(movdq2q)
{
	emit_reg(b, in, xmm_to_mm);
	vec_emit_mmx_done(b, in);
}

/* ---- MOVD and MOVQ with general registers ------------------------------------------------------------------ */

static void gpr32_to_xmm(UOP_ARGS)
{
	XMM(u->dst) = _mm_cvtsi32_si128((s32)REG32(u->src));
	NEXT;
}

static void gpr32_to_mm(UOP_ARGS)
{
	REG64(u->dst) = REG32(u->src);
	NEXT;
}

VEC_LOAD(load4, 4, XMM(u->dst) = WIDEN_4(m))

static const struct vec_form movd_to_xmm[] = {{gpr32_to_xmm, EAM3(load4)}, {mm_to_xmm, EAM3(load8)}},
			     movd_to_mm[] = {{gpr32_to_mm, EAM3(mload4)}, {xmm_to_mm, EAM3(mload8)}};

VEC_GEN(movd_q)
{
	const struct operand *dst = &in->op[0], *src = &in->op[1];

	if (dst->kind == OPK_MEM)
		return vec_emit_store(b, in, dst->size == 8 ? store8_mem : store4_mem);
	if (dst->kind == OPK_GPR)
		emit_reg(b, in, dst->size == 8 ? xmm_to_mm : gpr32_to_mm);
	else
		vec_emit_form(b, in, &(dst->kind == OPK_MM ? movd_to_mm : movd_to_xmm)[src->size == 8], 1);
	vec_emit_mmx_done(b, in);
}

VEC_GEN(movq)
{
	bool mmx = in->op[0].kind == OPK_MM || in->op[1].kind == OPK_MM;

	if (in->op[0].kind == OPK_GPR || in->op[1].kind == OPK_GPR)
		return gen_movd_q(b, in, arg);
	emit_move(b, in, mmx ? &mload8_form : &load8_form, store8_mem);
}

VEC_GEN(movnti)
{
	vec_emit_store(b, in, in->op[0].size == 8 ? store8_mem : store4_mem);
}

/* ---- scalars: from memory the rest is zeroed, from a register it is kept ------------------------------------- */

static void movsd_rr(UOP_ARGS)
{
	XMM(u->dst) = _mm_blend_epi16(XMM(u->dst), XMM(u->src), 0x0f);
	NEXT;
}

static void movss_rr(UOP_ARGS)
{
	XMM(u->dst) = _mm_blend_epi16(XMM(u->dst), XMM(u->src), 0x03);
	NEXT;
}

static const struct vec_form movsd_form = {movsd_rr, EAM3(load8)}, movss_form = {movss_rr, EAM3(load4)};

VEC_GEN(movsd)
{
	emit_move(b, in, &movsd_form, store8_mem);
}

VEC_GEN(movss)
{
	emit_move(b, in, &movss_form, store4_mem);
}

/* ---- halves -------------------------------------------------------------------------------------------------- */

/* From registers MOVHLPS takes the high half into the low, MOVLHPS the low into the high. */
static void movl_rr(UOP_ARGS)
{
	XMM(u->dst) = _mm_unpackhi_epi64(XMM(u->src), XMM(u->dst));
	NEXT;
}
VEC_LOAD(movl, 8, XMM(u->dst) = _mm_blend_epi16(XMM(u->dst), WIDEN_8(m), 0x0f))

static void movh_rr(UOP_ARGS)
{
	XMM(u->dst) = _mm_unpacklo_epi64(XMM(u->dst), XMM(u->src));
	NEXT;
}
VEC_LOAD(movh, 8, XMM(u->dst) = _mm_unpacklo_epi64(XMM(u->dst), WIDEN_8(m)))

static const struct vec_form movl_form = VEC_FORM(movl), movh_form = VEC_FORM(movh);

#define MOVE_HALF(name, form, store)                                                              \
	VEC_GEN(name)                                                                              \
	{                                                                                          \
		emit_move(b, in, &form, store);                                                     \
	}

MOVE_HALF(movlps, movl_form, store8_mem)
MOVE_HALF(movlpd, movl_form, store8_mem)
MOVE_HALF(movhlps, movl_form, store8_mem)
MOVE_HALF(movhps, movh_form, store8hi_mem)
MOVE_HALF(movhpd, movh_form, store8hi_mem)
MOVE_HALF(movlhps, movh_form, store8hi_mem)

/* ---- duplications ------------------------------------------------------------------------------------------- */

VEC_X(movddup, 8, _mm_unpacklo_epi64(b, b))
VEC_X(movsldup, 16A, _mm_shuffle_epi32(b, 0xa0))
VEC_X(movshdup, 16A, _mm_shuffle_epi32(b, 0xf5))

/* ---- sign masks to a general register ------------------------------------------------------------------------ */

#define SIGN_MASK(name, expr)                                                                     \
	static void mask_##name(UOP_ARGS)                                                          \
	{                                                                                          \
		vec128 b = XMM(u->src);                                                             \
		SETREG64(u->dst, (u32)(expr));                                                      \
		NEXT;                                                                               \
	}

SIGN_MASK(ps, _mm_movemask_ps(_mm_castsi128_ps(b)))
SIGN_MASK(pd, _mm_movemask_pd(_mm_castsi128_pd(b)))
SIGN_MASK(xmm, _mm_movemask_epi8(b))
SIGN_MASK(mm, _mm_movemask_epi8(b) & 0xff)

VEC_GEN(movmskps)
{
	emit_reg(b, in, mask_ps);
}

VEC_GEN(movmskpd)
{
	emit_reg(b, in, mask_pd);
}

VEC_GEN(pmovmskb)
{
	emit_reg(b, in, in->op[1].kind == OPK_MM ? mask_mm : mask_xmm);
	vec_emit_mmx_done(b, in);
}

/* ---- MASKMOVQ, MASKMOVDQU: selected bytes to [rDI] --------------------------------------------------------------- */

/* Probes for selected byte @i. Hardware reports a fault where the upper half begins, if that is in the same page. */
static int probe_byte(struct cpu *cpu, u64 lin, unsigned n, unsigned i)
{
	u64 page = (lin + i) & ~0xfffull, upper = lin + n - 8;

	if ((upper & ~0xfffull) == page)
		return mem_probe(cpu, upper, 1, ACC_W);
	return mem_probe(cpu, MAX(page, lin), 1, ACC_W);
}

/* Bytes that are not selected are not accessed. */
static int masked_store(struct cpu *cpu, const struct insn *in, const u8 *data, const u8 *mask, unsigned n)
{
	u64 off = zext_bytes(cpu->r[RDI], in->adsize), lin;

	if (seg_linear(cpu, in->seg, off, n, ACC_W, &lin))
		return 1;
	for (unsigned i = n; i-- > 0;)
		if (mask[i] & 0x80 && probe_byte(cpu, lin, n, i))
			return 1;
	for (unsigned i = 0; i < n; i++)
		if (mask[i] & 0x80 && mem_write(cpu, lin + i, data + i, 1, ACC_W))
			return 1;
	return 0;
}

/* The two register operands are the last two, whether or not a row names the implied memory operand first. */
static int masked_move(struct cpu *cpu, const struct insn *in, unsigned n)
{
	const struct operand *data = &in->op[in->op[0].kind == OPK_MEM], *mask = data + 1;

	return masked_store(cpu, in, (u8 *)cpu + operand_off(data), (u8 *)cpu + operand_off(mask), n);
}

SIMPLE(maskmovq)
{
	if (masked_move(cpu, in, 8))
		return 1;
	vec_mmx_enter(cpu, -1);
	return 0;
}

SIMPLE(maskmovdqu)
{
	return masked_move(cpu, in, 16);
}
