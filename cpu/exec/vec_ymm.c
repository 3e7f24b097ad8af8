/*
 * 256-bit AVX and AVX2 by the host's own (SDM Vol. 2). Compiled for AVX2: the builder takes these forms on a host that
 * has it (vec_host_avx2()), else the two lanes of vec_int.c, vec_perm.c, vec_fp.c and vec_avx.c, which a line here must
 * equal to the bit.
 *
 * The upper halves of the host's registers are left as they are from one handler to the next, for clearing them costs
 * as much as the work; cpu_mxcsr_release() and the guest's own VZEROUPPER do it.
 */
#include "cpu/exec/vec_ymm.h"

/* In a line's expression: a the first source, b the second (register or memory), imm as the 128-bit form prepares it. */
#define Y(name, expr)                                                                             \
	void ymm_##name##_rr(UOP_ARGS);                                                            \
	void ymm_##name##_rr(UOP_ARGS)                                                            \
	{                                                                                          \
		YMM_COMPUTE(YMM(u->base), expr);                                                    \
		NEXT;                                                                               \
	}                                                                                          \
	YMM_LOAD(ymm_##name, 32Y, YMM_COMPUTE(m, expr))                                            \
	const struct ymm_form ymm_##name = {.form = VEC_FORM(ymm_##name)};
#define Y2(name, op) Y(name, op(a, b))
/* As VEC_LOAD; [base + disp] and [base + index] are known to vec_pairs.c. */
#define YMM_LOAD(name, size, ...)                                                                 \
	VEC_LOAD_SLOW(name, size, __VA_ARGS__)                                                     \
	void name##_bd(UOP_ARGS);                                                                  \
	void name##_bis(UOP_ARGS);                                                                 \
	VEC_LOAD_FORM(, name, bd, size, __VA_ARGS__)                                               \
	VEC_LOAD_FORM(, name, bis, size, __VA_ARGS__)                                              \
	VEC_LOAD_FORM(static, name, pre, size, __VA_ARGS__)

Y2(paddb, _mm256_add_epi8)
Y2(paddw, _mm256_add_epi16)
Y2(paddd, _mm256_add_epi32)
Y2(paddq, _mm256_add_epi64)
Y2(paddsb, _mm256_adds_epi8)
Y2(paddsw, _mm256_adds_epi16)
Y2(paddusb, _mm256_adds_epu8)
Y2(paddusw, _mm256_adds_epu16)
Y2(psubb, _mm256_sub_epi8)
Y2(psubw, _mm256_sub_epi16)
Y2(psubd, _mm256_sub_epi32)
Y2(psubq, _mm256_sub_epi64)
Y2(psubsb, _mm256_subs_epi8)
Y2(psubsw, _mm256_subs_epi16)
Y2(psubusb, _mm256_subs_epu8)
Y2(psubusw, _mm256_subs_epu16)
Y2(pavgb, _mm256_avg_epu8)
Y2(pavgw, _mm256_avg_epu16)
Y2(pminub, _mm256_min_epu8)
Y2(pmaxub, _mm256_max_epu8)
Y2(pminsw, _mm256_min_epi16)
Y2(pmaxsw, _mm256_max_epi16)
Y2(pminsb, _mm256_min_epi8)
Y2(pmaxsb, _mm256_max_epi8)
Y2(pminuw, _mm256_min_epu16)
Y2(pmaxuw, _mm256_max_epu16)
Y2(pminsd, _mm256_min_epi32)
Y2(pmaxsd, _mm256_max_epi32)
Y2(pminud, _mm256_min_epu32)
Y2(pmaxud, _mm256_max_epu32)
Y(pabsb, _mm256_abs_epi8(b))
Y(pabsw, _mm256_abs_epi16(b))
Y(pabsd, _mm256_abs_epi32(b))
Y2(psignb, _mm256_sign_epi8)
Y2(psignw, _mm256_sign_epi16)
Y2(psignd, _mm256_sign_epi32)

Y2(pmullw, _mm256_mullo_epi16)
Y2(pmulhw, _mm256_mulhi_epi16)
Y2(pmulhuw, _mm256_mulhi_epu16)
Y2(pmulhrsw, _mm256_mulhrs_epi16)
Y2(pmuludq, _mm256_mul_epu32)
Y2(pmuldq, _mm256_mul_epi32)
Y2(pmulld, _mm256_mullo_epi32)
Y2(pmaddwd, _mm256_madd_epi16)
Y2(pmaddubsw, _mm256_maddubs_epi16)
Y2(psadbw, _mm256_sad_epu8)
Y2(phaddw, _mm256_hadd_epi16)
Y2(phaddd, _mm256_hadd_epi32)
Y2(phaddsw, _mm256_hadds_epi16)
Y2(phsubw, _mm256_hsub_epi16)
Y2(phsubd, _mm256_hsub_epi32)
Y2(phsubsw, _mm256_hsubs_epi16)
Y2(packsswb, _mm256_packs_epi16)
Y2(packssdw, _mm256_packs_epi32)
Y2(packuswb, _mm256_packus_epi16)
Y2(packusdw, _mm256_packus_epi32)

Y2(pand, _mm256_and_si256)
Y2(pandn, _mm256_andnot_si256)
Y2(por, _mm256_or_si256)
Y2(pxor, _mm256_xor_si256)
Y2(andps, _mm256_and_si256)
Y2(andpd, _mm256_and_si256)
Y2(andnps, _mm256_andnot_si256)
Y2(andnpd, _mm256_andnot_si256)
Y2(orps, _mm256_or_si256)
Y2(orpd, _mm256_or_si256)
Y2(xorps, _mm256_xor_si256)
Y2(xorpd, _mm256_xor_si256)
Y2(pcmpeqb, _mm256_cmpeq_epi8)
Y2(pcmpeqw, _mm256_cmpeq_epi16)
Y2(pcmpeqd, _mm256_cmpeq_epi32)
Y2(pcmpeqq, _mm256_cmpeq_epi64)
Y2(pcmpgtb, _mm256_cmpgt_epi8)
Y2(pcmpgtw, _mm256_cmpgt_epi16)
Y2(pcmpgtd, _mm256_cmpgt_epi32)
Y2(pcmpgtq, _mm256_cmpgt_epi64)

/* ---- shuffles: the same 16 bytes of control serve both lanes -------------------------------------------------------- */

#define BOTH_LANES(p) _mm256_broadcastsi128_si256(_mm_loadu_si128((const vec128 *)(p)))
#define CONTROL_AT(k) BOTH_LANES((const u8 *)imm + (k))
Y2(pshufb, _mm256_shuffle_epi8)
Y(pshufd, _mm256_shuffle_epi8(b, CONTROL_AT(0)))
Y(pshuflw, _mm256_shuffle_epi8(b, CONTROL_AT(0)))
Y(pshufhw, _mm256_shuffle_epi8(b, CONTROL_AT(0)))
Y(shufps, _mm256_blend_epi16(_mm256_shuffle_epi8(a, CONTROL_AT(0)), _mm256_shuffle_epi8(b, CONTROL_AT(0)), 0xf0))
Y(palignr, _mm256_or_si256(_mm256_shuffle_epi8(b, CONTROL_AT(0)), _mm256_shuffle_epi8(a, CONTROL_AT(-16))))
Y(pblendw, _mm256_blendv_epi8(a, b, CONTROL_AT(0)))
Y2(punpcklbw, _mm256_unpacklo_epi8)
Y2(punpcklwd, _mm256_unpacklo_epi16)
Y2(punpckldq, _mm256_unpacklo_epi32)
Y2(punpckhbw, _mm256_unpackhi_epi8)
Y2(punpckhwd, _mm256_unpackhi_epi16)
Y2(punpckhdq, _mm256_unpackhi_epi32)
Y2(punpcklqdq, _mm256_unpacklo_epi64)
Y2(punpckhqdq, _mm256_unpackhi_epi64)
Y2(unpcklps, _mm256_unpacklo_epi32)
Y2(unpckhps, _mm256_unpackhi_epi32)
Y2(unpcklpd, _mm256_unpacklo_epi64)
Y2(unpckhpd, _mm256_unpackhi_epi64)
Y(movddup, _mm256_unpacklo_epi64(b, b))

/* ---- blends: a byte of the prepared immediate, 0 or ff, for each doubleword of the result ------------------------------ */

static u64 blend_dwords(u64 imm)
{
	u64 v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= imm >> i & 1 ? 0xffull << 8 * i : 0;
	return v;
}

static u64 blend_qwords(u64 imm)
{
	u64 v = 0;

	for (unsigned i = 0; i < 4; i++)
		v |= imm >> i & 1 ? 0xffffull << 16 * i : 0;
	return v;
}

#define BLEND(name, prep)                                                                         \
	const struct ymm_form ymm_##name = {.form = VEC_FORM(ymm_blend), .prepare = prep};
#define BLEND_OF(bval) YMM_COMPUTE(bval, _mm256_blendv_epi8(a, b, _mm256_cvtepi8_epi32(_mm_cvtsi64_si128((s64)imm))))

void ymm_blend_rr(UOP_ARGS);
void ymm_blend_rr(UOP_ARGS)
{
	BLEND_OF(YMM(u->base));
	NEXT;
}
VEC_LOAD(ymm_blend, 32Y, BLEND_OF(m))
BLEND(blendps, blend_dwords)
BLEND(pblendd, blend_dwords)
BLEND(blendpd, blend_qwords)

/* The mask is loaded first, for a handler has few registers to spare. */
#define BLENDV(name, expr)                                                                        \
	static ALWAYS_INLINE __m256i host_##name(__m256i a, __m256i b, __m256i mask)               \
	{                                                                                          \
		asm("" : "+x"(mask));                                                               \
		return (__m256i)(expr);                                                             \
	}                                                                                          \
	Y(name, host_##name(YMM(u->src), b, YMM(imm)))
BLENDV(pblendvb, _mm256_blendv_epi8(a, b, mask))
BLENDV(blendvps, _mm256_blendv_ps((__m256)a, (__m256)b, (__m256)mask))
BLENDV(blendvpd, _mm256_blendv_pd((__m256d)a, (__m256d)b, (__m256d)mask))

/* ---- from narrower sources: broadcasts, widening moves, conversions; b has 16 bytes, of memory @size ------------------- */

#define Y_FROM(name, size, expr)                                                                  \
	static void name##_rr(UOP_ARGS)                                                            \
	{                                                                                          \
		vec128 b = XMM(u->base);                                                            \
		YMM(u->dst) = (expr);                                                               \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(name, size, vec128 b = WIDEN_##size(m); YMM(u->dst) = (expr))                      \
	const struct ymm_form ymm_##name = {.form = VEC_FORM(name)};

Y_FROM(pbroadcastb, 1, _mm256_broadcastb_epi8(b))
Y_FROM(pbroadcastw, 2, _mm256_broadcastw_epi16(b))
Y_FROM(pbroadcastd, 4, _mm256_broadcastd_epi32(b))
Y_FROM(pbroadcastq, 8, _mm256_broadcastq_epi64(b))
Y_FROM(broadcastss, 4, _mm256_broadcastd_epi32(b))
Y_FROM(broadcastsd, 8, _mm256_broadcastq_epi64(b))
Y_FROM(broadcastf128, 16, _mm256_broadcastsi128_si256(b))
Y_FROM(broadcasti128, 16, _mm256_broadcastsi128_si256(b))
Y_FROM(pmovsxbw, 16, _mm256_cvtepi8_epi16(b))
Y_FROM(pmovsxbd, 8, _mm256_cvtepi8_epi32(b))
Y_FROM(pmovsxbq, 4, _mm256_cvtepi8_epi64(b))
Y_FROM(pmovsxwd, 16, _mm256_cvtepi16_epi32(b))
Y_FROM(pmovsxwq, 8, _mm256_cvtepi16_epi64(b))
Y_FROM(pmovsxdq, 16, _mm256_cvtepi32_epi64(b))
Y_FROM(pmovzxbw, 16, _mm256_cvtepu8_epi16(b))
Y_FROM(pmovzxbd, 8, _mm256_cvtepu8_epi32(b))
Y_FROM(pmovzxbq, 4, _mm256_cvtepu8_epi64(b))
Y_FROM(pmovzxwd, 16, _mm256_cvtepu16_epi32(b))
Y_FROM(pmovzxwq, 8, _mm256_cvtepu16_epi64(b))
Y_FROM(pmovzxdq, 16, _mm256_cvtepu32_epi64(b))

/* ---- shifts: by the low quadword of 16 bytes, or by an immediate --------------------------------------------------------- */

#define Y_SHIFT(name, op)                                                                         \
	static void name##_rr(UOP_ARGS)                                                            \
	{                                                                                          \
		YMM(u->dst) = op(YMM(u->src), XMM(u->base));                                        \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(name, 16, YMM(u->dst) = op(YMM(u->src), m))                                        \
	const struct ymm_form ymm_##name = {.form = VEC_FORM(name)};                                \
	void ymm_##name##_imm(UOP_ARGS)                                                            \
	{                                                                                          \
		YMM(u->dst) = op(YMM(u->src), _mm_cvtsi64_si128((s64)u->imm));                      \
		NEXT;                                                                               \
	}

Y_SHIFT(psllw, _mm256_sll_epi16)
Y_SHIFT(pslld, _mm256_sll_epi32)
Y_SHIFT(psllq, _mm256_sll_epi64)
Y_SHIFT(psrlw, _mm256_srl_epi16)
Y_SHIFT(psrld, _mm256_srl_epi32)
Y_SHIFT(psrlq, _mm256_srl_epi64)
Y_SHIFT(psraw, _mm256_sra_epi16)
Y_SHIFT(psrad, _mm256_sra_epi32)

void ymm_byte_shift(UOP_ARGS)
{
	YMM(u->dst) = _mm256_shuffle_epi8(YMM(u->src), BOTH_LANES(u->imm));
	NEXT;
}

/* ---- moves ---------------------------------------------------------------------------------------------------------------- */

void ymm_mov_rr(UOP_ARGS);
void ymm_mov_rr(UOP_ARGS)
{
	YMM(u->dst) = YMM(u->base);
	NEXT;
}
YMM_LOAD(ymm_mov, 32Y, YMM(u->dst) = m)
YMM_LOAD(ymm_mova, 32YA, YMM(u->dst) = m)
const struct ymm_form ymm_mov = {.form = VEC_FORM(ymm_mov)}, ymm_mova = {.form = {ymm_mov_rr, EAM3(ymm_mova)}};

/* As two halves: an address that is a multiple of 16 only, as malloc() gives them, would split every other store. */
#define PUT_32(at) HOST(vec128, at) = XMM(u->src), HOST(vec128, (at) + 16) = XMM(u->src + 16)
#define PUT_32A(at) HOST(__m256i, at) = YMM(u->src)
#define STORE(name, eam, size)                                                                    \
	void name##_##eam(UOP_ARGS);                                                               \
	void name##_##eam(UOP_ARGS)                                                                \
	{                                                                                          \
		ea = EA_##eam;                                                                      \
		const struct tlb_entry *e = &cpu->tlb->w[tlb_index(ea)];                            \
		if (MISS_##size(e))                                                                 \
			return name##_slow(UOP_PASS);                                               \
		PUT_##size(e->host + ea);                                                           \
		NEXT;                                                                               \
	}
#define STORES(name, size)                                                                        \
	static COLD void name##_slow(UOP_ARGS)                                                     \
	{                                                                                          \
		if (MISALIGNED_##size)                                                              \
			return vec_misaligned(UOP_PASS);                                            \
		if (SLOW_WRITE(YMM(u->src)))                                                        \
			return;                                                                     \
		SLOW_NEXT;                                                                          \
	}                                                                                          \
	STORE(name, bd, size)                                                                      \
	STORE(name, bis, size)                                                                     \
	STORE(name, pre, size)
STORES(ymm_store, 32)
STORES(ymm_storea, 32A)
const uop_fn ymm_store[EAM_COUNT] = EAM3(ymm_store), ymm_storea[EAM_COUNT] = EAM3(ymm_storea);

void ymm_pmovmskb(UOP_ARGS)
{
	REG64(u->dst) = (u32)_mm256_movemask_epi8(YMM(u->src));
	NEXT;
}

void ymm_movmskps(UOP_ARGS)
{
	REG64(u->dst) = (u32)_mm256_movemask_ps((__m256)YMM(u->src));
	NEXT;
}

void ymm_movmskpd(UOP_ARGS)
{
	REG64(u->dst) = (u32)_mm256_movemask_pd((__m256d)YMM(u->src));
	NEXT;
}

/* VZEROUPPER in 64-bit mode: what runs after it is SSE, which wants the host's upper halves clear, too. */
void ymm_zero_upper(UOP_ARGS)
{
	for (unsigned i = 0; i < 16; i++)
		ZERO_UPPER(VEC_OFF(i));
	_mm256_zeroupper();
	NEXT;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* As PTEST in vec_int.c. */
#define YPTEST(bval)                                                                              \
	do {                                                                                       \
		__m256i b = (bval), a = YMM(u->dst);                                                \
		fa = !_mm256_testz_si256(a, b);                                                     \
		fb = (u64)_mm256_testc_si256(a, b) | (fa ? 0 : FL_PF);                              \
		cpu->flag_kind = FK_RES;                                                            \
	} while (0)

static void yptest_rr(UOP_ARGS)
{
	YPTEST(YMM(u->base));
	NEXT;
}
VEC_LOAD(yptest, 32Y, YPTEST(m))
const struct ymm_form ymm_ptest = {.form = VEC_FORM(yptest)};

/* ---- floating point: through asm, because the compiler may commute or fold arithmetic that it understands ------------------ */

#define HOST1(op)                                                                                 \
	static ALWAYS_INLINE __m256i host_##op(__m256i b)                                          \
	{                                                                                          \
		asm("v" #op " %1, %0" : "=x"(b) : "x"(b));                                          \
		return b;                                                                           \
	}
#define YF2(op) YMM_HOST2(op) Y(op, host_v##op(a, b))
#define YF1(op) HOST1(op) Y(op, host_##op(b))
#define YF2_PS_PD(op) YF2(op##ps) YF2(op##pd)

Y2(addps, host_vaddps)
Y2(addpd, host_vaddpd)
Y2(mulps, host_vmulps)
Y2(mulpd, host_vmulpd)
YF2_PS_PD(sub)
YF2_PS_PD(div)
YF2_PS_PD(min)
YF2_PS_PD(max)
YF2_PS_PD(addsub)
YF2_PS_PD(hadd)
YF2_PS_PD(hsub)
YF1(sqrtps)
YF1(sqrtpd)
YF1(cvtdq2ps)
YF1(cvtps2dq)
YF1(cvttps2dq)

/* Fused multiplication: the old destination is the third operand. */
#define YFMA(op)                                                                                  \
	static ALWAYS_INLINE __m256i host_##op(__m256i d, __m256i a, __m256i b)                    \
	{                                                                                          \
		asm("v" #op " %2, %1, %0" : "+x"(d) : "x"(a), "x"(b));                              \
		return d;                                                                           \
	}                                                                                          \
	Y(op, host_##op(YMM(u->dst), a, b))
#define YFMA6(op) YFMA(op##132ps) YFMA(op##213ps) YFMA(op##231ps) YFMA(op##132pd) YFMA(op##213pd) YFMA(op##231pd)
YFMA6(fmadd)
YFMA6(fmsub)
YFMA6(fnmadd)
YFMA6(fnmsub)
YFMA6(fmaddsub)
YFMA6(fmsubadd)

/* ---- gathers: all elements wanted, every page in the TLB, so that nothing can stop it; else the next micro-operation ---- */

/*
 * dst: destination, src: mask, base, disp: the address without its index, which is the vector at `index`. In 64-bit
 * mode without a segment base. (A page that is not canonical is never in the TLB.) The elements are put together in
 * registers, for narrow stores do not forward to the wide load of the next handler. Handlers exist for each scale, and
 * keep the base in cpu->slow: they have three registers.
 */
#define ELEMENT_AT(i, size)                                                                       \
	asm volatile("" : : : "memory"); /* nothing is kept for the next element */                  \
	ea = ((u64)(s64)AT(itype, x + (i) * sizeof(itype)) << scale) + HOST(u64, cpu->slow);         \
	e = &cpu->tlb->r[tlb_index(ea)];                                                            \
	if (TLB_MISS(e, size))                                                                      \
		NEXT;                                                                              \
	ea += e->host
#define FIRST_DWORD(v, i)                                                                         \
	ELEMENT_AT(i, 4);                                                                          \
	vec128 v = _mm_cvtsi32_si128(HOST(s32, ea))
#define NEXT_DWORD(v, i)                                                                          \
	ELEMENT_AT(i, 4);                                                                          \
	v = _mm_insert_epi32(v, HOST(s32, ea), (i) & 3);                                            \
	asm volatile("" : "+x"(v)) /* now, not when all are loaded */
#define TWO_DWORDS(v, i)                                                                          \
	FIRST_DWORD(v, i);                                                                         \
	NEXT_DWORD(v, (i) + 1)
#define FOUR_DWORDS(v, i)                                                                         \
	TWO_DWORDS(v, i);                                                                          \
	NEXT_DWORD(v, (i) + 2);                                                                    \
	NEXT_DWORD(v, (i) + 3)
#define TWO_QWORDS(v, i)                                                                          \
	ELEMENT_AT(i, 8);                                                                          \
	vec128 v = _mm_cvtsi64_si128(HOST(s64, ea));                                               \
	ELEMENT_AT((i) + 1, 8);                                                                    \
	v = _mm_insert_epi64(v, HOST(s64, ea), 1);                                                  \
	asm volatile("" : "+x"(v))

#define MASK_d(r) _mm256_movemask_ps((__m256)(r))
#define MASK_q(r) _mm256_movemask_pd((__m256d)(r))
/* @n elements of kind @k, d or q, under indices of type @type: @rest makes `r` of them. */
#define GATHER(name, sc, n, k, type, ...)                                                         \
	static void name##_##sc(UOP_ARGS)                                                          \
	{                                                                                          \
		typedef type itype;                                                                \
		enum { scale = sc };                                                                \
		const struct tlb_entry *e;                                                          \
		u64 x = u->index;                                                                   \
		if (unlikely(~MASK_##k(YMM(u->src)) & ((1 << (n)) - 1)))                            \
			NEXT;                                                                      \
		HOST(u64, cpu->slow) = REG64(u->base) + (u64)(s64)u->disp;                          \
		asm volatile("" : "+r"(x) : : "memory");                                            \
		__VA_ARGS__;                                                                       \
		YMM(u->src) = _mm256_setzero_si256();                                               \
		YMM(u->dst) = r;                                                                    \
		return u[2].fn(cpu, u + 2, fa, ea, fb, cd);                                         \
	}
#define LOW_HALF(v) __m256i r = _mm256_zextsi128_si256(v)
#define HALVES __m256i r = _mm256_set_m128i(high, low)
#define GATHERS(sc)                                                                               \
	GATHER(gather8d_d, sc, 8, d, s32, FOUR_DWORDS(low, 0); FOUR_DWORDS(high, 4); HALVES)        \
	GATHER(gather4d_d, sc, 4, d, s32, FOUR_DWORDS(low, 0); LOW_HALF(low))                       \
	GATHER(gather4d_q, sc, 4, d, s64, FOUR_DWORDS(low, 0); LOW_HALF(low))                       \
	GATHER(gather2d_q, sc, 2, d, s64, TWO_DWORDS(low, 0); LOW_HALF(low))                        \
	GATHER(gather2q_d, sc, 2, q, s32, TWO_QWORDS(low, 0); LOW_HALF(low))                        \
	GATHER(gather2q_q, sc, 2, q, s64, TWO_QWORDS(low, 0); LOW_HALF(low))                        \
	GATHER(gather4q_d, sc, 4, q, s32, TWO_QWORDS(low, 0); TWO_QWORDS(high, 2); HALVES)          \
	GATHER(gather4q_q, sc, 4, q, s64, TWO_QWORDS(low, 0); TWO_QWORDS(high, 2); HALVES)
GATHERS(0)
GATHERS(1)
GATHERS(2)
GATHERS(3)

#define GATHER_ROW(sc)                                                                            \
	{{{gather4d_d_##sc, gather8d_d_##sc}, {gather2q_d_##sc, gather4q_d_##sc}},                   \
	 {{gather2d_q_##sc, gather4d_q_##sc}, {gather2q_q_##sc, gather4q_q_##sc}}}
/* By scale, size of the index (4, 8), of the element (4, 8), length (16, 32). */
const uop_fn ymm_gather[4][2][2][2] = {GATHER_ROW(0), GATHER_ROW(1), GATHER_ROW(2), GATHER_ROW(3)};
