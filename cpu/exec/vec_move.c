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

VEC_LEGACY(movddup, 8, _mm_unpacklo_epi64(b, b))
VEC_X(movsldup, _mm_shuffle_epi32(b, 0xa0))
VEC_X(movshdup, _mm_shuffle_epi32(b, 0xf5))

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

static void mask_ps256(UOP_ARGS)
{
	vec128 l = XMM(u->src), h = XMM(u->src + 16);
	SETREG64(u->dst, (u32)(_mm_movemask_ps(_mm_castsi128_ps(l)) | _mm_movemask_ps(_mm_castsi128_ps(h)) << 4));
	NEXT;
}

static void mask_pd256(UOP_ARGS)
{
	vec128 l = XMM(u->src), h = XMM(u->src + 16);
	SETREG64(u->dst, (u32)(_mm_movemask_pd(_mm_castsi128_pd(l)) | _mm_movemask_pd(_mm_castsi128_pd(h)) << 2));
	NEXT;
}

static void mask_ymm(UOP_ARGS)
{
	vec128 l = XMM(u->src), h = XMM(u->src + 16);
	SETREG64(u->dst, (u32)_mm_movemask_epi8(l) | (u32)_mm_movemask_epi8(h) << 16);
	NEXT;
}

YMM_FN(movmskps);
YMM_FN(movmskpd);
YMM_FN(pmovmskb);

VEC_GEN(vmovmskps)
{
	emit_reg(b, in, in->vex_l == 32 ? vec_ymm_fn(ymm_movmskps, mask_ps256) : mask_ps);
}

VEC_GEN(vmovmskpd)
{
	emit_reg(b, in, in->vex_l == 32 ? vec_ymm_fn(ymm_movmskpd, mask_pd256) : mask_pd);
}

VEC_GEN(vpmovmskb)
{
	emit_reg(b, in, in->vex_l == 32 ? vec_ymm_fn(ymm_pmovmskb, mask_ymm) : mask_xmm);
}

/* ---- VEX: whole registers -------------------------------------------------------------------------------------- */

AVX_128(mov, 16, b)
AVX_256(mov, b)
VEC_LOAD(w_mova, 16A, AVX_LANE(0, m, b); ZERO_UPPER(u->dst))
VEC_LOAD(y_mova, 32A, AVX_LANE(0, m.l[0], b); AVX_LANE(1, m.l[1], b))
VEC_STORE(store32, 32, ((struct vec256){{XMM(u->src), XMM(u->src + 16)}}))
VEC_STORE(store32a, 32A, ((struct vec256){{XMM(u->src), XMM(u->src + 16)}}))

/* By length: 128, 256. */
static const struct vec_form avx_mov[2] = {VEC_FORM(w_mov), VEC_FORM(y_mov)},
			     avx_mova[2] = {{w_mov_rr, EAM3(w_mova)}, {y_mov_rr, EAM3(y_mova)}};
static const uop_fn avx_store[2][EAM_COUNT] = {EAM3(store16), EAM3(store32)},
		    avx_storea[2][EAM_COUNT] = {EAM3(store16a), EAM3(store32a)};

YMM_FORM(mov);
YMM_FORM(mova);
extern const uop_fn ymm_store[EAM_COUNT] __attribute__((weak)), ymm_storea[EAM_COUNT] __attribute__((weak));

static void emit_avx_move(struct builder *b, const struct insn *in, const struct vec_form load[2],
			  const uop_fn store[2][EAM_COUNT])
{
	bool y = in->vex_l == 32, aligned = load == avx_mova, ymm = y && ymm_store && vec_host_avx2();

	if (in->op[0].kind == OPK_MEM)
		vec_emit_store(b, in, !ymm ? store[y] : aligned ? ymm_storea : ymm_store);
	else
		avx_emit_form(b, in, !ymm ? &load[y] : aligned ? &ymm_mova.form : &ymm_mov.form, 1);
}

#define AVX_MOVE(name, load, store)                                                               \
	VEC_GEN(name)                                                                              \
	{                                                                                          \
		emit_avx_move(b, in, load, store);                                                  \
	}
AVX_MOVE(vmovaps, avx_mova, avx_storea)
AVX_MOVE(vmovapd, avx_mova, avx_storea)
AVX_MOVE(vmovdqa, avx_mova, avx_storea)
AVX_MOVE(vmovntps, avx_mova, avx_storea)
AVX_MOVE(vmovntpd, avx_mova, avx_storea)
AVX_MOVE(vmovntdq, avx_mova, avx_storea)
AVX_MOVE(vmovntdqa, avx_mova, avx_storea)
AVX_MOVE(vmovups, avx_mov, avx_store)
AVX_MOVE(vmovupd, avx_mov, avx_store)
AVX_MOVE(vmovdqu, avx_mov, avx_store)
AVX_MOVE(vlddqu, avx_mov, avx_store)

/* ---- VEX: scalars and halves -------------------------------------------------------------------------------------- */

AVX_128(movq, 8, _mm_move_epi64(b))
AVX_128(movd, 4, b)
AVX_128(merge_sd, 8, _mm_blend_epi16(a, b, 0x0f))
AVX_128(merge_ss, 4, _mm_blend_epi16(a, b, 0x03))
AVX_128(merge_high, 8, _mm_unpacklo_epi64(a, b))
AVX_128(high_low, 8, _mm_unpackhi_epi64(b, a))

static const struct vec_form avx_movq = VEC_FORM(w_movq), avx_movd = VEC_FORM(w_movd),
			     avx_merge_sd = VEC_FORM(w_merge_sd), avx_merge_ss = VEC_FORM(w_merge_ss),
			     avx_merge_high = VEC_FORM(w_merge_high), avx_high_low = VEC_FORM(w_high_low);

/* Stores have memory first; merging forms have three operands. */
static void emit_avx_part(struct builder *b, const struct insn *in, const struct vec_form *load,
			  const struct vec_form *merge, const uop_fn store[EAM_COUNT])
{
	if (in->op[0].kind == OPK_MEM)
		vec_emit_store(b, in, store);
	else if (in->nops == 3)
		avx_emit_form(b, in, merge, 2);
	else
		avx_emit_form(b, in, load, 1);
}

#define AVX_PART(name, load, merge, store)                                                        \
	VEC_GEN(name)                                                                              \
	{                                                                                          \
		emit_avx_part(b, in, &load, &merge, store);                                         \
	}
AVX_PART(vmovq, avx_movq, avx_movq, store8_mem)
AVX_PART(vmovsd, avx_movq, avx_merge_sd, store8_mem)
AVX_PART(vmovss, avx_movd, avx_merge_ss, store4_mem)
AVX_PART(vmovlps, avx_movq, avx_merge_sd, store8_mem)
AVX_PART(vmovlpd, avx_movq, avx_merge_sd, store8_mem)
AVX_PART(vmovhps, avx_movq, avx_merge_high, store8hi_mem)
AVX_PART(vmovhpd, avx_movq, avx_merge_high, store8hi_mem)
AVX_PART(vmovlhps, avx_movq, avx_merge_high, store8_mem)
AVX_PART(vmovhlps, avx_movq, avx_high_low, store8_mem)

static void w_gpr32_rr(UOP_ARGS)
{
	XMM(u->dst) = _mm_cvtsi32_si128((s32)REG32(u->base));
	ZERO_UPPER(u->dst);
	NEXT;
}

static void w_gpr64_rr(UOP_ARGS)
{
	XMM(u->dst) = _mm_cvtsi64_si128((s64)REG64(u->base));
	ZERO_UPPER(u->dst);
	NEXT;
}

static const struct vec_form avx_from_gpr[2] = {{w_gpr32_rr, EAM3(w_movd)}, {w_gpr64_rr, EAM3(w_movq)}};

VEC_GEN(vmovd_q)
{
	avx_emit_form(b, in, &avx_from_gpr[in->op[1].size == 8], 1);
}

AVX_128(movddup, 8, _mm_unpacklo_epi64(b, b))
AVX_256(movddup, _mm_unpacklo_epi64(b, b))
AVX_DESC(movddup, AVX_FORMS(movddup));

/* ---- MASKMOVQ, MASKMOVDQU: selected bytes to [rDI] --------------------------------------------------------------- */

/* Probes for selected byte @i. Hardware reports a fault where the upper half begins, if that is in the same page. */
static int probe_byte(struct cpu *cpu, u64 lin, unsigned n, unsigned i)
{
	u64 page = (lin + i) & ~0xfffull, upper = lin + n - 8;

	if ((upper & ~0xfffull) == page)
		return mem_probe(cpu, upper, 1, ACC_W);
	return mem_probe(cpu, MAX(page, lin), 1, ACC_W);
}

/* Bytes that are not selected are not accessed, but for a mask that selects none. */
static int masked_store(struct cpu *cpu, const struct insn *in, const u8 *data, const u8 *mask, unsigned n)
{
	u64 off = zext_bytes(cpu->r[RDI], in->adsize), lin;

	if (seg_linear(cpu, in->seg, off, n, ACC_W, &lin) || mem_aligned(cpu, lin, 8, ACC_W))
		return 1;
	bool any = false;
	for (unsigned i = n; i-- > 0;) {
		if (mask[i] & 0x80 && probe_byte(cpu, lin, n, i))
			return 1;
		any |= mask[i] & 0x80;
	}
	if (!any) /* may fault or not by the SDM; processors do */
		return mem_probe(cpu, lin, n, ACC_W);
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
