/*
 * Pairs (pairs.c says what they are) of 256-bit operations of vec_ymm.c, and a few longer runs that every vector
 * loop has: a rotation by two shifts, a test of a comparison's mask. Both micro-operations of a pair are done on the
 * spot, but for branches, which are jumped to. Compiled for AVX2, like vec_ymm.c, whose handlers alone lead here.
 */
#include "cpu/exec/vec_ymm.h"

/* What works on registers only: X(second half, name, what it does). */
#define RR(X, b, name, op) X(b, name##_rr, PUT(op(YMM(u->src), YMM(u->base))))
#define REGISTERS(X, b)                                                                           \
	RR(X, b, paddb, _mm256_add_epi8)                                                           \
	RR(X, b, paddd, _mm256_add_epi32)                                                          \
	RR(X, b, paddq, _mm256_add_epi64)                                                          \
	RR(X, b, psubb, _mm256_sub_epi8)                                                           \
	RR(X, b, psubd, _mm256_sub_epi32)                                                          \
	RR(X, b, pand, _mm256_and_si256)                                                           \
	RR(X, b, por, _mm256_or_si256)                                                             \
	RR(X, b, pxor, _mm256_xor_si256)                                                           \
	RR(X, b, pshufb, _mm256_shuffle_epi8)                                                      \
	RR(X, b, pcmpeqb, _mm256_cmpeq_epi8)                                                       \
	RR(X, b, pminub, _mm256_min_epu8)                                                          \
	RR(X, b, psrlvd, _mm256_srlv_epi32)                                                        \
	RR(X, b, punpckldq, _mm256_unpacklo_epi32)                                                 \
	RR(X, b, punpckhdq, _mm256_unpackhi_epi32)                                                 \
	X(b, permd_rr, PUT(_mm256_permutevar8x32_epi32(YMM(u->base), YMM(u->src))))       \
	X(b, permq_rr, PUT(_mm256_permutevar8x32_epi32(YMM(u->base), BYTES_TO_DWORDS(u->imm)))) \
	X(b, blend_rr, PUT(_mm256_blendv_epi8(YMM(u->src), YMM(u->base), SIGNS_TO_DWORDS(u->imm)))) \
	X(b, pslld_imm, PUT(_mm256_sll_epi32(YMM(u->src), COUNT)))                        \
	X(b, psrld_imm, PUT(_mm256_srl_epi32(YMM(u->src), COUNT)))                        \
	X(b, psllq_imm, PUT(_mm256_sll_epi64(YMM(u->src), COUNT)))                        \
	X(b, psrlq_imm, PUT(_mm256_srl_epi64(YMM(u->src), COUNT)))                        \
	X(b, mov_rr, PUT(YMM(u->base)))                                                   \
	X(b, extract_half, PUT(_mm256_zextsi128_si256(XMM(u->src))))                      \
	X(b, insert_low_rr, PUT(_mm256_set_m128i(XMM(u->src + 16), XMM(u->base))))        \
	X(b, insert_high_rr, PUT(_mm256_set_m128i(XMM(u->base), XMM(u->src))))            \
	X(b, pmovmskb, REG64(u->dst) = (u32)_mm256_movemask_epi8(YMM(u->src)))                     \
	RR(X, b, addps, host_vaddps)                                                               \
	RR(X, b, addpd, host_vaddpd)                                                               \
	RR(X, b, mulps, host_vmulps)                                                               \
	RR(X, b, mulpd, host_vmulpd)

/* What goes to memory: X(second half, name, shape, ...); the shapes are below. */
#define MEMORY(X, b)                                                                              \
	X(b, mov_bd, LOAD, EA_bd, 32, m)                                                           \
	X(b, mov_bis, LOAD, EA_bis, 32, m)                                                         \
	X(b, mova_bd, LOAD, EA_bd, 32A, m)                                                         \
	X(b, mova_bis, LOAD, EA_bis, 32A, m)                                                       \
	X(b, paddd_bd, LOAD, EA_bd, 32, _mm256_add_epi32(YMM(u->src), m))                          \
	X(b, pxor_bd, LOAD, EA_bd, 32, _mm256_xor_si256(YMM(u->src), m))                           \
	X(b, pshufb_bd, LOAD, EA_bd, 32, _mm256_shuffle_epi8(YMM(u->src), m))                      \
	X(b, pcmpeqb_bd, LOAD, EA_bd, 32, _mm256_cmpeq_epi8(YMM(u->src), m))                       \
	X(b, mulpd_bd, LOAD, EA_bd, 32, host_vmulpd(YMM(u->src), m))                               \
	X(b, addpd_bd, LOAD, EA_bd, 32, host_vaddpd(YMM(u->src), m))                               \
	X(b, mulps_bd, LOAD, EA_bd, 32, host_vmulps(YMM(u->src), m))                               \
	X(b, addps_bd, LOAD, EA_bd, 32, host_vaddps(YMM(u->src), m))                               \
	X(b, pminub_bd, LOAD, EA_bd, 32, _mm256_min_epu8(YMM(u->src), m))                          \
	X(b, store_bd, STORE, EA_bd, 32)                                                           \
	X(b, store_bis, STORE, EA_bis, 32)                                                         \
	X(b, storea_bd, STORE, EA_bd, 32A)                                                         \
	X(b, storea_bis, STORE, EA_bis, 32A)

/* Second halves that are jumped to. */
#define OTHERS(X)                                                                                  \
	BRANCHES(X, test_z32_rr) BRANCHES(X, cmp_z64_rr) BRANCHES(X, cmp_z32_ri) BRANCHES(X, cmp_b64_rr) \
	X(add64_ri_n) X(sub64_ri_n) X(sub32_ri_f) X(sub64_ri_f)

#define PUT(v) YMM(u->dst) = (v)
#define COUNT                  _mm_cvtsi64_si128((s64)u->imm)
#define BYTES_TO_DWORDS(imm)   _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((s64)(imm)))
#define SIGNS_TO_DWORDS(imm)   _mm256_cvtepi8_epi32(_mm_cvtsi64_si128((s64)(imm)))

#define HALF_LOAD(a, address, size, value)                                                        \
	ea = address;                                                                              \
	const struct tlb_entry *e = &cpu->tlb->r[tlb_index(ea)];                                   \
	if (MISS_##size(e))                                                                        \
		return ymm_##a(UOP_PASS);                                                          \
	__m256i m = HOST(__m256i, e->host + ea);                                                   \
	YMM(u->dst) = value
#define HALF_STORE(a, address, size)                                                              \
	ea = address;                                                                              \
	const struct tlb_entry *e = &cpu->tlb->w[tlb_index(ea)];                                   \
	if (MISS_##size(e))                                                                        \
		return ymm_##a(UOP_PASS);                                                          \
	PUT_##size(e->host + ea)
#define PUT_32A(at) HOST(__m256i, at) = YMM(u->src)
#define PUT_32(at) HOST(vec128, at) = XMM(u->src), HOST(vec128, (at) + 16) = XMM(u->src + 16)

typedef void uop_handler(UOP_ARGS);
#define DECLARE(name)               uop_handler name;
#define DECLARE_YMM(b, name, ...)   uop_handler ymm_##name;
OTHERS(DECLARE)
REGISTERS(DECLARE_YMM, )
MEMORY(DECLARE_YMM, )

#define INLINE_REGISTER(b, name, ...)                                                             \
	static ALWAYS_INLINE void then_##name(UOP_ARGS)                                            \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
		NEXT;                                                                              \
	}
#define INLINE_MEMORY(b, name, shape, ...)                                                        \
	static ALWAYS_INLINE void then_##name(UOP_ARGS)                                            \
	{                                                                                          \
		HALF_##shape(name, __VA_ARGS__);                                                   \
		NEXT;                                                                              \
	}
REGISTERS(INLINE_REGISTER, )
MEMORY(INLINE_MEMORY, )

#define PAIR(a, b, second, ...)                                                                   \
	static void a##__##b(UOP_ARGS)                                                             \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
		return second(cpu, u + 1, fa, ea, fb, cd);                                         \
	}
#define REGISTER_THEN(b, a, ...)      PAIR(a, b, then_##b, __VA_ARGS__)
#define REGISTER_JUMP(b, a, ...)      PAIR(a, b, b, __VA_ARGS__)
#define MEMORY_THEN(b, a, shape, ...) PAIR(a, b, then_##b, HALF_##shape(a, __VA_ARGS__))
#define MEMORY_JUMP(b, a, shape, ...) PAIR(a, b, b, HALF_##shape(a, __VA_ARGS__))

/* The lists a second time, by names alone: a macro does not expand within itself. */
#define SECONDS(X)                                                                                \
	X(paddb_rr) X(paddd_rr) X(paddq_rr) X(psubb_rr) X(psubd_rr) X(pand_rr) X(por_rr) X(pxor_rr) X(pshufb_rr)  \
	X(pcmpeqb_rr) X(pminub_rr) X(psrlvd_rr) X(punpckldq_rr) X(punpckhdq_rr) X(permd_rr) X(permq_rr)          \
	X(blend_rr) X(pslld_imm) X(psrld_imm) X(psllq_imm) X(psrlq_imm) X(mov_rr) X(extract_half)               \
	X(insert_low_rr) X(insert_high_rr) X(pmovmskb) X(addps_rr) X(addpd_rr) X(mulps_rr) X(mulpd_rr)           \
	X(mov_bd) X(mov_bis) X(mova_bd) X(mova_bis) X(paddd_bd) X(pxor_bd) X(pshufb_bd) X(pcmpeqb_bd)            \
	X(mulpd_bd) X(addpd_bd) X(mulps_bd) X(addps_bd) X(pminub_bd) X(store_bd) X(store_bis) X(storea_bd) X(storea_bis)
#define ALL_THEN(b) REGISTERS(REGISTER_THEN, b) MEMORY(MEMORY_THEN, b)
#define ALL_JUMP(b) REGISTERS(REGISTER_JUMP, b) MEMORY(MEMORY_JUMP, b)
SECONDS(ALL_THEN)
OTHERS(ALL_JUMP)

#define NAME(name)               name,
#define NAME_YMM(name)           ymm_##name,
#define NAME_FIRST(b, name, ...) ymm_##name,
#define NAME_PAIR(b, a, ...)     a##__##b,
#define ROW(b)                   {REGISTERS(NAME_PAIR, b) MEMORY(NAME_PAIR, b)},

static const uop_fn firsts[] = {REGISTERS(NAME_FIRST, ) MEMORY(NAME_FIRST, )};
static const uop_fn seconds[] = {SECONDS(NAME_YMM) OTHERS(NAME)};
static const uop_fn pairs[][ARRAY_SIZE(firsts)] = {SECONDS(ROW) OTHERS(ROW)};

const struct pair_table ymm_pairs = {firsts, seconds, &pairs[0][0], ARRAY_SIZE(firsts), ARRAY_SIZE(seconds)};

/* ---- runs ------------------------------------------------------------------------------------------------------------------ */

/*
 * Accesses by one base register and displacements near each other mostly lie in one page, so that one look at the TLB serves all:
 * for the entry of the lowest (@lo, a place in the run) the last byte of the highest (@hi) must be in the page, too. Else
 * the first one's own handler goes on.
 */
#define SAME_PAGE(name, t, size, lo, hi, first, ...)                                              \
	static void name(UOP_ARGS)                                                                 \
	{                                                                                          \
		u64 base = REG64(u->base);                                                          \
		ea = base + (u64)(s64)u[lo].disp;                                                   \
		const struct tlb_entry *e = &cpu->tlb->t[tlb_index(ea)];                            \
		ea = base + (u64)(s64)u[hi].disp;                                                   \
		if (MISS_##size(e))                                                                 \
			return first(UOP_PASS);                                                     \
		ea = e->host + base;                                                                \
		asm volatile("" : "+r"(ea) : : "memory"); /* registers are few */                   \
		__VA_ARGS__;                                                                       \
		RUN_END;                                                                           \
	}
#define RUN_END return u[2].fn(cpu, u + 2, fa, ea, fb, cd)
#define AT_DISP(n) (ea + (u64)(s64)u[n].disp)
#define LOAD2(name, size, lo, hi, first, op)                                                      \
	SAME_PAGE(name, r, size, lo, hi, first, YMM(u->dst) = op(YMM(u->src), HOST(__m256i, AT_DISP(0))); \
		  YMM(u[1].dst) = op(YMM(u[1].src), HOST(__m256i, AT_DISP(1))))
#define LOAD2_BOTH(name, size, first, op)                                                         \
	LOAD2(name##_up, size, 0, 1, first, op)                                                    \
	LOAD2(name##_down, size, 1, 0, first, op)
#define LOADED(a, b) (b)
LOAD2_BOTH(mov2, 32, ymm_mov_bd, LOADED)
LOAD2_BOTH(mova2, 32A, ymm_mova_bd, LOADED)
LOAD2_BOTH(pcmpeqb2, 32, ymm_pcmpeqb_bd, _mm256_cmpeq_epi8)
LOAD2_BOTH(pshufb2, 32, ymm_pshufb_bd, _mm256_shuffle_epi8)
#define PUT2(n) HOST(vec128, AT_DISP(n)) = XMM(u[n].src), HOST(vec128, AT_DISP(n) + 16) = XMM(u[n].src + 16)
#define PUT1(n) HOST(__m256i, AT_DISP(n)) = YMM(u[n].src)
SAME_PAGE(store2_up, w, 32, 0, 1, ymm_store_bd, PUT2(0); PUT2(1))
SAME_PAGE(store2_down, w, 32, 1, 0, ymm_store_bd, PUT2(0); PUT2(1))
SAME_PAGE(storea2_up, w, 32A, 0, 1, ymm_storea_bd, PUT1(0); PUT1(1))
SAME_PAGE(storea2_down, w, 32A, 1, 0, ymm_storea_bd, PUT1(0); PUT1(1))
#undef RUN_END
#define RUN_END return u[4].fn(cpu, u + 4, fa, ea, fb, cd)
SAME_PAGE(store4_up, w, 32, 0, 3, ymm_store_bd, PUT2(0); PUT2(1); PUT2(2); PUT2(3))
SAME_PAGE(mov4_up, r, 32, 0, 3, ymm_mov_bd, YMM(u->dst) = HOST(__m256i, AT_DISP(0));
	  YMM(u[1].dst) = HOST(__m256i, AT_DISP(1)); YMM(u[2].dst) = HOST(__m256i, AT_DISP(2));
	  YMM(u[3].dst) = HOST(__m256i, AT_DISP(3)))

/*
 * Runs whose values go from one operation to the next in registers, because what waits for them is long: branches on the mask of a
 * comparison, which are mispredicted now and then. @fits says that they are connected so.
 */
#define MASK_BRANCH(v, taken, ...)                                                                \
	do {                                                                                       \
		u32 mask = (u32)_mm256_movemask_epi8(v);                                            \
		REG64(u->dst) = mask;                                                               \
		__VA_ARGS__;                                                                        \
		fa = (u64)(s64)(s32)mask; /* as DO_test() of branch.c */                            \
		fb = 0;                                                                             \
		KIND(FK_RES);                                                                       \
		u++;                                                                                \
		TAKE_BRANCH(taken, 2);                                                              \
	} while (0)

static bool mask_tested(const struct uop *u)
{
	return u[1].dst == u[0].dst && u[1].src == u[0].dst;
}

static bool combined_and_tested(const struct uop *u)
{
	return u[1].src == u[0].dst && mask_tested(u + 1);
}

/* By one base, the second above the first by so little that both may be in one page; and if aligned, both. */
static bool above(const struct uop *u, const struct uop *v)
{
	s64 d = (s64)v->disp - u->disp;

	return u->base == v->base && d > 0 && d < 2048 && d % 32 == 0;
}

static bool up(const struct uop *u)
{
	return above(u, u + 1);
}

static bool down(const struct uop *u)
{
	return above(u + 1, u);
}

static bool four_up(const struct uop *u)
{
	return up(u) && up(u + 1) && up(u + 2) && above(u, u + 3);
}

static bool two_compared(const struct uop *u)
{
	return u[0].dst != u[1].dst && combined_and_tested(u + 2) &&
	       ((u[2].src == u[0].dst && u[2].base == u[1].dst) || (u[2].src == u[1].dst && u[2].base == u[0].dst));
}

static bool search_up(const struct uop *u)
{
	return up(u) && two_compared(u);
}

static bool search_down(const struct uop *u)
{
	return down(u) && two_compared(u);
}

#define COMBINED(name, op, taken)                                                                 \
	static void name(UOP_ARGS)                                                                 \
	{                                                                                          \
		__m256i v = op(YMM(u->src), YMM(u->base));                                          \
		YMM(u->dst) = v;                                                                    \
		u++;                                                                                \
		MASK_BRANCH(v, taken);                                                              \
	}
COMBINED(or_mask_jz, _mm256_or_si256, !mask)
COMBINED(or_mask_jnz, _mm256_or_si256, mask)
COMBINED(eq_mask_jz, _mm256_cmpeq_epi8, !mask)
COMBINED(eq_mask_jnz, _mm256_cmpeq_epi8, mask)

#undef RUN_END
#define RUN_END (void)0
#define SEARCH2(name, lo, hi, taken)                                                              \
	SAME_PAGE(name, r, 32, lo, hi, ymm_pcmpeqb_bd,                                              \
		  __m256i v = _mm256_cmpeq_epi8(YMM(u->src), HOST(__m256i, AT_DISP(0)));            \
		  YMM(u->dst) = v;                                                                  \
		  __m256i w = _mm256_cmpeq_epi8(YMM(u[1].src), HOST(__m256i, AT_DISP(1)));          \
		  YMM(u[1].dst) = w;                                                                \
		  v = _mm256_or_si256(v, w);                                                        \
		  YMM(u[2].dst) = v;                                                                \
		  u += 3;                                                                           \
		  MASK_BRANCH(v, taken))
SEARCH2(search2_up_jz, 0, 1, !mask)
SEARCH2(search2_up_jnz, 0, 1, mask)
SEARCH2(search2_down_jz, 1, 0, !mask)
SEARCH2(search2_down_jnz, 1, 0, mask)

/* The least of four loads compared, mostly with zero: how strlen() finds the end. The pointer moves on in front of the test. */
static bool min_connected(const struct uop *u)
{
	return four_up(u) && u[1].src == u[0].dst && u[3].src == u[2].dst && u[2].dst != u[1].dst &&
	       ((u[4].src == u[1].dst && u[4].base == u[3].dst) || (u[4].src == u[3].dst && u[4].base == u[1].dst)) &&
	       (u[5].src == u[4].dst || u[5].base == u[4].dst) && u[6].src == u[5].dst && u[7].dst != u[6].dst &&
	       u[8].dst == u[6].dst && u[8].src == u[6].dst;
}

#define MIN4(name, taken)                                                                         \
	SAME_PAGE(name, r, 32A, 0, 3, ymm_mova_bd,                                                  \
		  __m256i v = HOST(__m256i, AT_DISP(0)), w = HOST(__m256i, AT_DISP(2));             \
		  YMM(u->dst) = v;                                                                  \
		  YMM(u[1].dst) = v = _mm256_min_epu8(v, HOST(__m256i, AT_DISP(1)));                \
		  YMM(u[2].dst) = w;                                                                \
		  YMM(u[3].dst) = w = _mm256_min_epu8(w, HOST(__m256i, AT_DISP(3)));                \
		  YMM(u[4].dst) = v = _mm256_min_epu8(v, w);                                        \
		  v = _mm256_cmpeq_epi8(v, YMM(u[5].src == u[4].dst ? u[5].base : u[5].src));       \
		  YMM(u[5].dst) = v;                                                                \
		  u += 6;                                                                           \
		  MASK_BRANCH(v, taken, u++; SETREG64(u->dst, REG64(u->base) - u->imm)))
MIN4(min4_jz, !mask)
MIN4(min4_jnz, mask)

/* A result that is copied at once: both registers have it without waiting for the first. */
#undef PUT
#define PUT(v)                                                                                    \
	__m256i f = (v);                                                                           \
	YMM(u->dst) = f;                                                                           \
	YMM(u[1].dst) = f
#define COPIED(b, name, ...)                                                                      \
	static void name##__copy(UOP_ARGS)                                                         \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
		return u[2].fn(cpu, u + 2, fa, ea, fb, cd);                                         \
	}
REGISTERS(COPIED, )
#define NAME_COPY(b, name, ...) name##__copy,
static const uop_fn copies[] = {REGISTERS(NAME_COPY, )};

#define SLL YMM(u->dst) = _mm256_sll_epi32(YMM(u->src), COUNT)
#define SRL YMM(u->dst) = _mm256_srl_epi32(YMM(u->src), COUNT)
#define ROTATE(name, first, second)                                                               \
	static void name(UOP_ARGS)                                                                 \
	{                                                                                          \
		first;                                                                             \
		u++;                                                                               \
		second;                                                                            \
		u++;                                                                               \
		YMM(u->dst) = _mm256_or_si256(YMM(u->src), YMM(u->base));                           \
		NEXT;                                                                              \
	}
ROTATE(sll_srl_or, SLL, SRL)
ROTATE(srl_sll_or, SRL, SLL)

static const struct {
	uop_fn fn[9], fused;
	u8 n;
	bool (*fits)(const struct uop *u);
} runs[] = {
#define SEARCHES(j, jcc)                                                                           \
	{{ymm_pcmpeqb_bd, ymm_pcmpeqb_bd, ymm_por_rr, ymm_pmovmskb, j}, search2_up_##jcc, 5, search_up}, \
	{{ymm_pcmpeqb_bd, ymm_pcmpeqb_bd, ymm_por_rr, ymm_pmovmskb, j}, search2_down_##jcc, 5, search_down}, \
	{{ymm_mova_bd, ymm_pminub_bd, ymm_mova_bd, ymm_pminub_bd, ymm_pminub_rr, ymm_pcmpeqb_rr, ymm_pmovmskb, sub64_ri_n, j}, \
	 min4_##jcc, 9, min_connected},                                                             \
	{{ymm_por_rr, ymm_pmovmskb, j}, or_mask_##jcc, 3, combined_and_tested},                     \
	{{ymm_pcmpeqb_rr, ymm_pmovmskb, j}, eq_mask_##jcc, 3, combined_and_tested}
	SEARCHES(j_test_z32_rr, jz),
	SEARCHES(jn_test_z32_rr, jnz),
	{{ymm_mov_bd, ymm_mov_bd, ymm_mov_bd, ymm_mov_bd}, mov4_up, 4, four_up},
	{{ymm_store_bd, ymm_store_bd, ymm_store_bd, ymm_store_bd}, store4_up, 4, four_up},
#define UP_DOWN(fn, name) {{fn, fn}, name##_up, 2, up}, {{fn, fn}, name##_down, 2, down}
	UP_DOWN(ymm_mov_bd, mov2),
	UP_DOWN(ymm_mova_bd, mova2),
	UP_DOWN(ymm_pcmpeqb_bd, pcmpeqb2),
	UP_DOWN(ymm_pshufb_bd, pshufb2),
	UP_DOWN(ymm_store_bd, store2),
	UP_DOWN(ymm_storea_bd, storea2),
	{{ymm_pslld_imm, ymm_psrld_imm, ymm_por_rr}, sll_srl_or, 3, NULL},
	{{ymm_psrld_imm, ymm_pslld_imm, ymm_por_rr}, srl_sll_or, 3, NULL},
};

uop_fn ymm_run(const struct uop *u, unsigned left, unsigned *n)
{
	for (unsigned i = 0; i < ARRAY_SIZE(runs); i++) {
		bool same = left >= runs[i].n;

		for (unsigned k = 0; same && k < runs[i].n; k++)
			same = u[k].fn == runs[i].fn[k];
		if (!same || (runs[i].fits && !runs[i].fits(u)))
			continue;
		*n = runs[i].n;
		return runs[i].fused;
	}
	/* The lists begin with REGISTERS; PMOVMSKB, whose result is no vector, is never what a move of vectors copies. */
	for (unsigned i = 0; i < ARRAY_SIZE(copies) && left >= 2 && u[1].fn == ymm_mov_rr && u[1].base == u[0].dst; i++) {
		*n = 2;
		if (firsts[i] == u[0].fn)
			return copies[i];
	}
	return NULL;
}
