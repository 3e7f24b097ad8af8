/*
 * VEX instructions that do not work lane by lane - permutations, insertions, extractions - and shifts by element, as
 * micro-operations of the host's AVX2 (SDM Vol. 2B, 2C). Compiled for AVX2, like vec_ymm.c: on a host without it, which the
 * builder looks at, the simple operations of vec_avx.c serve.
 */
#include "cpu/exec/vec_cross.h"
#include "cpu/exec/vec_ymm.h"

#define INDEXES(imm) _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((s64)(imm)))

/* In a line's expression: a the first source (src), b the second (base, or memory), imm the immediate as prepared. */
#define CROSS_COMPUTE(type, get, put, bval, expr)                                                 \
	do {                                                                                       \
		type b = (bval);                                                                    \
		type a UNUSED = get(u->src);                                                        \
		u64 imm UNUSED = u->imm;                                                            \
		put(u->dst, (expr));                                                                \
	} while (0)
#define PUT_YMM(off, v) (YMM(off) = (v))
#define PUT_XMM(off, v) (YMM(off) = _mm256_zextsi128_si256(v))
#define CROSS_Y(name, expr)                                                                       \
	void ymm_##name##_rr(UOP_ARGS);                                                            \
	void ymm_##name##_rr(UOP_ARGS)                                                             \
	{                                                                                          \
		CROSS_COMPUTE(__m256i, YMM, PUT_YMM, YMM(u->base), expr);                           \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(ymm_##name, 32Y, CROSS_COMPUTE(__m256i, YMM, PUT_YMM, m, expr))
#define CROSS_W(name, expr)                                                                       \
	static void w_##name##_rr(UOP_ARGS)                                                        \
	{                                                                                          \
		CROSS_COMPUTE(vec128, XMM, PUT_XMM, XMM(u->base), expr);                            \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(w_##name, 16, CROSS_COMPUTE(vec128, XMM, PUT_XMM, m, expr))

/* By the host's AVX2, or as the simple operation. */
static void emit_cross(struct builder *b, const struct insn *in, const struct avx_forms *f, exec_op simple)
{
	if (vec_host_avx2())
		avx_emit(b, in, f);
	else
		emit_call(b, in, simple);
}

#define CROSS_DESC(name, ...)                                                                     \
	VEC_GEN(v##name)                                                                           \
	{                                                                                          \
		static const struct avx_forms forms = {__VA_ARGS__};                                \
		emit_cross(b, in, &forms, avx_op_v##name);                                          \
	}

/* ---- permutations across the register ------------------------------------------------------------------------ */

CROSS_Y(permd, _mm256_permutevar8x32_epi32(b, a))
CROSS_DESC(permd, .y = VEC_FORM(ymm_permd))
CROSS_DESC(permps, .y = VEC_FORM(ymm_permd))

/* Four quadwords: as the indexes of eight doublewords, a byte each. */
static u64 quadword_indexes(u64 imm)
{
	u64 v = 0;

	for (unsigned i = 0; i < 4; i++) {
		u64 k = imm >> 2 * i & 3;
		v |= (2 * k | (2 * k + 1) << 8) << 16 * i;
	}
	return v;
}

CROSS_Y(permq, _mm256_permutevar8x32_epi32(b, INDEXES(imm)))
CROSS_DESC(permq, .y = VEC_FORM(ymm_permq), .prepare = quadword_indexes)
CROSS_DESC(permpd, .y = VEC_FORM(ymm_permq), .prepare = quadword_indexes)

/* One of four halves, or zero. */
static ALWAYS_INLINE vec128 half_of(__m256i a, __m256i b, unsigned c)
{
	__m256i from = c & 2 ? b : a;
	vec128 h = c & 1 ? _mm256_extracti128_si256(from, 1) : _mm256_castsi256_si128(from);

	return c & 8 ? _mm_setzero_si128() : h;
}

CROSS_Y(perm2i128, _mm256_set_m128i(half_of(a, b, imm >> 4 & 15), half_of(a, b, imm & 15)))
CROSS_DESC(perm2i128, .y = VEC_FORM(ymm_perm2i128))
CROSS_DESC(perm2f128, .y = VEC_FORM(ymm_perm2i128))

/* ---- within lanes ------------------------------------------------------------------------------------------------ */

#define PS(v) _mm_castsi128_ps(v)
#define PD(v) _mm_castsi128_pd(v)
#define PS8(v) _mm256_castsi256_ps(v)
#define PD4(v) _mm256_castsi256_pd(v)
CROSS_Y(permilps, _mm256_castps_si256(_mm256_permutevar_ps(PS8(a), b)))
CROSS_W(permilps, _mm_castps_si128(_mm_permutevar_ps(PS(a), b)))
CROSS_Y(permilpd, _mm256_castpd_si256(_mm256_permutevar_pd(PD4(a), b)))
CROSS_W(permilpd, _mm_castpd_si128(_mm_permutevar_pd(PD(a), b)))

/* By an immediate: the same with the indexes, a byte each, spread over the lanes. */
CROSS_Y(permilps_i, _mm256_castps_si256(_mm256_permutevar_ps(PS8(b), INDEXES(imm))))
CROSS_W(permilps_i, _mm_castps_si128(_mm_permutevar_ps(PS(b), _mm_cvtepu8_epi32(_mm_cvtsi64_si128((s64)imm)))))
CROSS_Y(permilpd_i, _mm256_castpd_si256(_mm256_permutevar_pd(
		    PD4(b), _mm256_cvtepu8_epi64(_mm_cvtsi64_si128((s64)imm)))))
CROSS_W(permilpd_i, _mm_castpd_si128(_mm_permutevar_pd(PD(b), _mm_cvtepu8_epi64(_mm_cvtsi64_si128((s64)imm)))))

static u64 permilps_indexes(u64 imm)
{
	u64 v = (imm & 3) | (imm >> 2 & 3) << 8 | (imm >> 4 & 3) << 16 | (imm >> 6 & 3) << 24;

	return v | v << 32;
}

static u64 permilpd_indexes(u64 imm) /* VPERMILPD looks at bit 1 */
{
	return (imm & 1) << 1 | (imm & 2) << 8 | (imm & 4) << 15 | (imm & 8) << 22;
}

VEC_GEN(vpermilps)
{
	static const struct avx_forms reg = {.w = VEC_FORM(w_permilps), .y = VEC_FORM(ymm_permilps)};
	static const struct avx_forms immediate = {
		.w = VEC_FORM(w_permilps_i), .y = VEC_FORM(ymm_permilps_i), .prepare = permilps_indexes};
	emit_cross(b, in, in->op[2].kind == OPK_IMM ? &immediate : &reg, avx_op_vpermilps);
}

VEC_GEN(vpermilpd)
{
	static const struct avx_forms reg = {.w = VEC_FORM(w_permilpd), .y = VEC_FORM(ymm_permilpd)};
	static const struct avx_forms immediate = {
		.w = VEC_FORM(w_permilpd_i), .y = VEC_FORM(ymm_permilpd_i), .prepare = permilpd_indexes};
	emit_cross(b, in, in->op[2].kind == OPK_IMM ? &immediate : &reg, avx_op_vpermilpd);
}

/* ---- shifts by element ------------------------------------------------------------------------------------------- */

#define SHIFTS(name, y256, w128)                                                                        \
	CROSS_Y(name, y256(a, b))                                                                     \
	CROSS_W(name, w128(a, b))                                                                     \
	CROSS_DESC(name, .w = VEC_FORM(w_##name), .y = VEC_FORM(ymm_##name))
SHIFTS(psllvd, _mm256_sllv_epi32, _mm_sllv_epi32)
SHIFTS(psllvq, _mm256_sllv_epi64, _mm_sllv_epi64)
SHIFTS(psrlvd, _mm256_srlv_epi32, _mm_srlv_epi32)
SHIFTS(psrlvq, _mm256_srlv_epi64, _mm_srlv_epi64)
SHIFTS(psravd, _mm256_srav_epi32, _mm_srav_epi32)

/* ---- halves ---------------------------------------------------------------------------------------------------------- */

/* src is where the half lies. */
void ymm_extract_half(UOP_ARGS);
void ymm_extract_half(UOP_ARGS)
{
	PUT_XMM(u->dst, XMM(u->src));
	NEXT;
}
VEC_STORE(store_half, 16, XMM(u->src))

static void gen_extract(struct builder *b, const struct insn *in, u32 arg)
{
	static const uop_fn store[EAM_COUNT] = EAM3(store_half);
	struct uop *u;

	if (!vec_host_avx2())
		return emit_call(b, in, avx_op_vextracti128);
	if (in->op[0].kind == OPK_MEM) {
		u = emit_mem(b, in, store, 16, ACC_W);
	} else {
		u = emit(b, ymm_extract_half);
		u->dst = operand_off(&in->op[0]);
	}
	u->src = (u16)(operand_off(&in->op[1]) + 16 * (in->imm & 1));
}

#define INSERT(name, expr)                                                                        \
	void name##_rr(UOP_ARGS);                                                                  \
	void name##_rr(UOP_ARGS)                                                                   \
	{                                                                                          \
		vec128 m = XMM(u->base);                                                            \
		YMM(u->dst) = (expr);                                                               \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(name, 16, YMM(u->dst) = (expr))
INSERT(ymm_insert_low, _mm256_set_m128i(XMM(u->src + 16), m))
INSERT(ymm_insert_high, _mm256_set_m128i(m, XMM(u->src)))

static void gen_insert(struct builder *b, const struct insn *in, u32 arg)
{
	static const struct vec_form forms[2] = {VEC_FORM(ymm_insert_low), VEC_FORM(ymm_insert_high)};

	if (vec_host_avx2())
		avx_emit_form(b, in, &forms[in->imm & 1], 2);
	else
		emit_call(b, in, avx_op_vinserti128);
}

#define HALF_DESC(name, g)                                                                        \
	extern const struct exec_desc exec_##name;                                                 \
	const struct exec_desc exec_##name = {.gen = g}
HALF_DESC(vextractf128, gen_extract);
HALF_DESC(vextracti128, gen_extract);
HALF_DESC(vinsertf128, gen_insert);
HALF_DESC(vinserti128, gen_insert);

/* ---- elements: broadcast and blended under a mask that the immediate chooses ------------------------------------------- */

#define ELEMENT(name, size, type, set1)                                                           \
	static void name##_rr(UOP_ARGS)                                                            \
	{                                                                                          \
		type m = AT(type, u->base);                                                         \
		PUT_XMM(u->dst, _mm_blendv_epi8(XMM(u->src), set1(m), *(const vec128 *)u->imm));     \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(name, size,                                                                       \
		 PUT_XMM(u->dst, _mm_blendv_epi8(XMM(u->src), set1(m), *(const vec128 *)u->imm)))
ELEMENT(pinsr1, 1, u8, (vec128)_mm_set1_epi8)
ELEMENT(pinsr2, 2, u16, (vec128)_mm_set1_epi16)
ELEMENT(pinsr4, 4, u32, (vec128)_mm_set1_epi32)
ELEMENT(pinsr8, 8, u64, (vec128)_mm_set1_epi64x)

/* ff's in the first element, and a window on them for each place. */
static const u8 element_mask[4][16][16] __attribute__((aligned(16))) = {
#define ROW1(k) [k] = {[k] = 0xff}
	{ROW1(0), ROW1(1), ROW1(2), ROW1(3), ROW1(4), ROW1(5), ROW1(6), ROW1(7), ROW1(8), ROW1(9), ROW1(10), ROW1(11),
	 ROW1(12), ROW1(13), ROW1(14), ROW1(15)},
#define ROW2(k) [k] = {[2 * (k)] = 0xff, 0xff}
	{ROW2(0), ROW2(1), ROW2(2), ROW2(3), ROW2(4), ROW2(5), ROW2(6), ROW2(7)},
#define ROW4(k) [k] = {[4 * (k)] = 0xff, 0xff, 0xff, 0xff}
	{ROW4(0), ROW4(1), ROW4(2), ROW4(3)},
#define ROW8(k) [k] = {[8 * (k)] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	{ROW8(0), ROW8(1)},
};

static void gen_pinsr(struct builder *b, const struct insn *in, u32 lg)
{
	static const struct vec_form forms[4] = {VEC_FORM(pinsr1), VEC_FORM(pinsr2), VEC_FORM(pinsr4), VEC_FORM(pinsr8)};
	static const exec_op simple[4] = {avx_op_vpinsrb, avx_op_vpinsrw, avx_op_vpinsrd, avx_op_vpinsrq};
	unsigned k = in->imm & (15u >> lg);

	if (vec_host_avx2())
		avx_emit_form(b, in, &forms[lg], 2)->imm = (u64)(uintptr_t)element_mask[lg][k];
	else
		emit_call(b, in, simple[lg]);
}

#define PINSR_DESC(name, lg)                                                                      \
	extern const struct exec_desc exec_##name;                                                 \
	const struct exec_desc exec_##name = {.gen = gen_pinsr, .arg = lg}
PINSR_DESC(vpinsrb, 0);
PINSR_DESC(vpinsrw, 1);
PINSR_DESC(vpinsrd, 2);
PINSR_DESC(vpinsrq, 3);
