/*
 * Packed integer arithmetic, logic, comparison and shifts of MMX and SSE..SSE4.2 (SDM Vol. 2B, the P pages).
 * The expressions are the host's own instructions; MMX forms compute in the low half of an XMM register.
 */
#include "cpu/exec/vec_forms.h"

/* ---- addition, subtraction, averages, extremes --------------------------------------------------------- */

VEC_BOTH(paddb, _mm_add_epi8(a, b))
VEC_BOTH(paddw, _mm_add_epi16(a, b))
VEC_BOTH(paddd, _mm_add_epi32(a, b))
VEC_BOTH(paddq, _mm_add_epi64(a, b))
VEC_BOTH(paddsb, _mm_adds_epi8(a, b))
VEC_BOTH(paddsw, _mm_adds_epi16(a, b))
VEC_BOTH(paddusb, _mm_adds_epu8(a, b))
VEC_BOTH(paddusw, _mm_adds_epu16(a, b))
VEC_BOTH(psubb, _mm_sub_epi8(a, b))
VEC_BOTH(psubw, _mm_sub_epi16(a, b))
VEC_BOTH(psubd, _mm_sub_epi32(a, b))
VEC_BOTH(psubq, _mm_sub_epi64(a, b))
VEC_BOTH(psubsb, _mm_subs_epi8(a, b))
VEC_BOTH(psubsw, _mm_subs_epi16(a, b))
VEC_BOTH(psubusb, _mm_subs_epu8(a, b))
VEC_BOTH(psubusw, _mm_subs_epu16(a, b))
VEC_BOTH(pavgb, _mm_avg_epu8(a, b))
VEC_BOTH(pavgw, _mm_avg_epu16(a, b))
VEC_BOTH(pminub, _mm_min_epu8(a, b))
VEC_BOTH(pmaxub, _mm_max_epu8(a, b))
VEC_BOTH(pminsw, _mm_min_epi16(a, b))
VEC_BOTH(pmaxsw, _mm_max_epi16(a, b))
VEC_X(pminsb, _mm_min_epi8(a, b))
VEC_X(pmaxsb, _mm_max_epi8(a, b))
VEC_X(pminuw, _mm_min_epu16(a, b))
VEC_X(pmaxuw, _mm_max_epu16(a, b))
VEC_X(pminsd, _mm_min_epi32(a, b))
VEC_X(pmaxsd, _mm_max_epi32(a, b))
VEC_X(pminud, _mm_min_epu32(a, b))
VEC_X(pmaxud, _mm_max_epu32(a, b))
VEC_BOTH(pabsb, _mm_abs_epi8(b))
VEC_BOTH(pabsw, _mm_abs_epi16(b))
VEC_BOTH(pabsd, _mm_abs_epi32(b))
VEC_BOTH(psignb, _mm_sign_epi8(a, b))
VEC_BOTH(psignw, _mm_sign_epi16(a, b))
VEC_BOTH(psignd, _mm_sign_epi32(a, b))

/* ---- multiplication and sums ------------------------------------------------------------------------------ */

VEC_BOTH(pmullw, _mm_mullo_epi16(a, b))
VEC_BOTH(pmulhw, _mm_mulhi_epi16(a, b))
VEC_BOTH(pmulhuw, _mm_mulhi_epu16(a, b))
VEC_BOTH(pmulhrsw, _mm_mulhrs_epi16(a, b))
VEC_BOTH(pmuludq, _mm_mul_epu32(a, b))
VEC_X(pmuldq, _mm_mul_epi32(a, b))
VEC_X(pmulld, _mm_mullo_epi32(a, b))
VEC_BOTH(pmaddwd, _mm_madd_epi16(a, b))
VEC_BOTH(pmaddubsw, _mm_maddubs_epi16(a, b))
VEC_BOTH(psadbw, _mm_sad_epu8(a, b))
VEC_X(phminposuw, _mm_minpos_epu16(b))

/* MPSADBW: imm8 bit 2 chooses where in the destination, bits 1:0 where in the source; upper lane: bits 5:3. */
static ALWAYS_INLINE vec128 mpsadbw(vec128 a, vec128 b, u64 imm)
{
	switch (imm & 7) {
	case 0: return _mm_mpsadbw_epu8(a, b, 0);
	case 1: return _mm_mpsadbw_epu8(a, b, 1);
	case 2: return _mm_mpsadbw_epu8(a, b, 2);
	case 3: return _mm_mpsadbw_epu8(a, b, 3);
	case 4: return _mm_mpsadbw_epu8(a, b, 4);
	case 5: return _mm_mpsadbw_epu8(a, b, 5);
	case 6: return _mm_mpsadbw_epu8(a, b, 6);
	default: return _mm_mpsadbw_epu8(a, b, 7);
	}
}
VEC_X(mpsadbw, mpsadbw(a, b, imm >> 3 * lane))

/* Horizontal: on MMX both operands fit one register. */
#define HORIZONTAL(name, op)                                                                      \
	VEC_XM(name, op(a, b), op(_mm_unpacklo_epi64(a, b), _mm_setzero_si128()))
HORIZONTAL(phaddw, _mm_hadd_epi16)
HORIZONTAL(phaddd, _mm_hadd_epi32)
HORIZONTAL(phaddsw, _mm_hadds_epi16)
HORIZONTAL(phsubw, _mm_hsub_epi16)
HORIZONTAL(phsubd, _mm_hsub_epi32)
HORIZONTAL(phsubsw, _mm_hsubs_epi16)
HORIZONTAL(packsswb, _mm_packs_epi16)
HORIZONTAL(packssdw, _mm_packs_epi32)
HORIZONTAL(packuswb, _mm_packus_epi16)
VEC_X(packusdw, _mm_packus_epi32(a, b))

/* ---- logic and comparison ---------------------------------------------------------------------------------- */

VEC_BOTH(pand, _mm_and_si128(a, b))
VEC_BOTH(pandn, _mm_andnot_si128(a, b))
VEC_BOTH(por, _mm_or_si128(a, b))
VEC_BOTH(pxor, _mm_xor_si128(a, b))
VEC_X(andps, _mm_and_si128(a, b))
VEC_X(andpd, _mm_and_si128(a, b))
VEC_X(andnps, _mm_andnot_si128(a, b))
VEC_X(andnpd, _mm_andnot_si128(a, b))
VEC_X(orps, _mm_or_si128(a, b))
VEC_X(orpd, _mm_or_si128(a, b))
VEC_X(xorps, _mm_xor_si128(a, b))
VEC_X(xorpd, _mm_xor_si128(a, b))
VEC_BOTH(pcmpeqb, _mm_cmpeq_epi8(a, b))
VEC_BOTH(pcmpeqw, _mm_cmpeq_epi16(a, b))
VEC_BOTH(pcmpeqd, _mm_cmpeq_epi32(a, b))
VEC_X(pcmpeqq, _mm_cmpeq_epi64(a, b))
VEC_BOTH(pcmpgtb, _mm_cmpgt_epi8(a, b))
VEC_BOTH(pcmpgtw, _mm_cmpgt_epi16(a, b))
VEC_BOTH(pcmpgtd, _mm_cmpgt_epi32(a, b))
VEC_X(pcmpgtq, _mm_cmpgt_epi64(a, b))

/* PTEST: ZF = no common bit, CF = b within a, the rest cleared; encoded as FK_RES. */
#define PTEST(bval)                                                                               \
	do {                                                                                       \
		vec128 b = (bval), a = XMM(u->dst);                                                 \
		fa = !_mm_testz_si128(a, b);                                                        \
		fb = (u64)_mm_testc_si128(a, b) | (fa ? 0 : FL_PF);                                 \
		cpu->flag_kind = FK_RES;                                                            \
	} while (0)

static void ptest_rr(UOP_ARGS)
{
	PTEST(XMM(u->src));
	NEXT;
}
VEC_LOAD(ptest, 16A, PTEST(m))
static const struct vec_form ptest_form = VEC_FORM(ptest);

VEC_GEN(ptest)
{
	vec_emit_form(b, in, &ptest_form, 1);
	b->sf = SF_DYNAMIC;
}

/* ---- shifts: by the low quadword of an operand, or by an immediate ---------------------------------------- */

#define VEC_SHIFT(name, op)                                                                       \
	VEC_HANDLERS(x_##name, X, 16A, op(a, b))                                                   \
	VEC_HANDLERS(m_##name, M, 8, op(a, b))                                                     \
	static void x_##name##_imm(UOP_ARGS)                                                       \
	{                                                                                          \
		XMM(u->dst) = op(XMM(u->dst), _mm_cvtsi64_si128((s64)u->imm));                      \
		NEXT;                                                                               \
	}                                                                                          \
	static void m_##name##_imm(UOP_ARGS)                                                       \
	{                                                                                          \
		PUT_M(u->dst, op(GET_M(u->dst), _mm_cvtsi64_si128((s64)u->imm)));                   \
		NEXT;                                                                               \
	}                                                                                          \
	static const struct vec_forms name##_forms = {.x = VEC_FORM(x_##name),                      \
						      .mmx = VEC_FORM(m_##name)};                   \
	VEC_GEN(name)                                                                              \
	{                                                                                          \
		emit_shift(b, in, &name##_forms, x_##name##_imm, m_##name##_imm);                   \
	}                                                                                          \
	AVX_SHIFT(name, op)

/* One count for both lanes: of 16 bytes also in memory, or an immediate. */
#define AVX_SHIFT(name, op)                                                                       \
	AVX_128(name, 16, op(a, b))                                                                \
	static void y_##name##_rr(UOP_ARGS)                                                        \
	{                                                                                          \
		vec128 count = XMM(u->base);                                                        \
		AVX_LANE(0, count, op(a, b));                                                       \
		AVX_LANE(1, count, op(a, b));                                                       \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(y_##name, 16, AVX_LANE(0, m, op(a, b)); AVX_LANE(1, m, op(a, b)))                   \
	static void w_##name##_imm(UOP_ARGS)                                                       \
	{                                                                                          \
		AVX_LANE(0, _mm_cvtsi64_si128((s64)u->imm), op(a, b));                              \
		ZERO_UPPER(u->dst);                                                                 \
		NEXT;                                                                               \
	}                                                                                          \
	static void y_##name##_imm(UOP_ARGS)                                                       \
	{                                                                                          \
		AVX_LANE(0, _mm_cvtsi64_si128((s64)u->imm), op(a, b));                              \
		AVX_LANE(1, _mm_cvtsi64_si128((s64)u->imm), op(a, b));                              \
		NEXT;                                                                               \
	}                                                                                          \
	YMM_FORM(name);                                                                            \
	YMM_FN(name##_imm);                                                                        \
	static const struct avx_forms v##name##_forms = {AVX_FORMS(name), .ymm = &ymm_##name};      \
	VEC_GEN(v##name)                                                                           \
	{                                                                                          \
		emit_avx_shift(b, in, &v##name##_forms, w_##name##_imm,                             \
			       vec_ymm_fn(ymm_##name##_imm, y_##name##_imm));                       \
	}

static void emit_avx_shift(struct builder *b, const struct insn *in, const struct avx_forms *f, uop_fn w,
			   uop_fn y)
{
	struct uop *u;

	if (in->op[2].kind != OPK_IMM)
		return avx_emit(b, in, f);
	u = emit(b, in->vex_l == 32 ? y : w);
	u->dst = operand_off(&in->op[0]);
	u->src = operand_off(&in->op[1]);
	u->imm = (u8)in->imm;
}

static void emit_shift(struct builder *b, const struct insn *in, const struct vec_forms *f, uop_fn ximm,
		       uop_fn mimm)
{
	struct uop *u;

	if (in->op[1].kind != OPK_IMM)
		return vec_emit(b, in, f);
	u = emit(b, in->op[0].kind == OPK_MM ? mimm : ximm);
	u->dst = operand_off(&in->op[0]);
	u->imm = (u8)in->imm;
	vec_emit_mmx_done(b, in);
}

VEC_SHIFT(psllw, _mm_sll_epi16)
VEC_SHIFT(pslld, _mm_sll_epi32)
VEC_SHIFT(psllq, _mm_sll_epi64)
VEC_SHIFT(psrlw, _mm_srl_epi16)
VEC_SHIFT(psrld, _mm_srl_epi32)
VEC_SHIFT(psrlq, _mm_srl_epi64)
VEC_SHIFT(psraw, _mm_sra_epi16)
VEC_SHIFT(psrad, _mm_sra_epi32)

/* Whole-register byte shifts, as shuffles by a window of controls (vec_perm.c). */
static void byte_shift(UOP_ARGS)
{
	XMM(u->dst) = _mm_shuffle_epi8(XMM(u->dst), vec_byte_shift_control((const u8 *)u->imm));
	NEXT;
}

static void emit_byte_shift(struct builder *b, const struct insn *in, const u8 *control)
{
	struct uop *u = emit(b, byte_shift);
	u->dst = operand_off(&in->op[0]);
	u->imm = (uintptr_t)control;
}

static void w_byte_shift(UOP_ARGS)
{
	AVX_LANE(0, XMM(u->src), _mm_shuffle_epi8(a, vec_byte_shift_control((const u8 *)imm)));
	ZERO_UPPER(u->dst);
	NEXT;
}

static void y_byte_shift(UOP_ARGS)
{
	AVX_LANE(0, XMM(u->src), _mm_shuffle_epi8(a, vec_byte_shift_control((const u8 *)imm)));
	AVX_LANE(1, XMM(u->src + 16), _mm_shuffle_epi8(a, vec_byte_shift_control((const u8 *)imm)));
	NEXT;
}

YMM_FN(byte_shift);

static void emit_avx_byte_shift(struct builder *b, const struct insn *in, const u8 *control)
{
	struct uop *u = emit(b, in->vex_l == 32 ? vec_ymm_fn(ymm_byte_shift, y_byte_shift) : w_byte_shift);
	u->dst = operand_off(&in->op[0]);
	u->src = operand_off(&in->op[1]);
	u->imm = (uintptr_t)control;
}

VEC_GEN(vpsrldq)
{
	emit_avx_byte_shift(b, in, vec_window + 16 + MIN((u8)in->imm, 16));
}

VEC_GEN(vpslldq)
{
	emit_avx_byte_shift(b, in, vec_window + 16 - MIN((u8)in->imm, 16));
}

VEC_GEN(psrldq)
{
	emit_byte_shift(b, in, vec_window + 16 + MIN((u8)in->imm, 16));
}

VEC_GEN(pslldq)
{
	emit_byte_shift(b, in, vec_window + 16 - MIN((u8)in->imm, 16));
}

/* ---- CRC32 (SDM Vol. 2A): polynomial 11EDC6F41h, reflected; a 32-bit result, zero-extended -------------- */

#define CRC32(size, op)                                                                           \
	static void crc32_##size##_rr(UOP_ARGS)                                                    \
	{                                                                                          \
		REG64(u->dst) = op(REG32(u->dst), AT(TYPE_##size, u->src));                         \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(crc32_##size, size, REG64(u->dst) = op(REG32(u->dst), m))

CRC32(1, _mm_crc32_u8)
CRC32(2, _mm_crc32_u16)
CRC32(4, _mm_crc32_u32)
CRC32(8, _mm_crc32_u64)

static const struct vec_form crc32_forms[] = {VEC_FORM(crc32_1), VEC_FORM(crc32_2), VEC_FORM(crc32_4),
					      VEC_FORM(crc32_8)};

VEC_GEN(crc32)
{
	vec_emit_form(b, in, &crc32_forms[__builtin_ctz(in->op[1].size)], 1);
}
