/*
 * Shuffles, unpacks, blends, insertions, extractions and widening moves of MMX and SSE..SSE4.1 (SDM Vol. 2).
 *
 * The host's shuffles want their immediate at compile time; here the immediate picks, when the block is built, a PSHUFB
 * control from a constant table, and the micro-operation holds its address.
 */
#include "cpu/exec/vec_forms.h"

/* ---- tables of controls ------------------------------------------------------------------------------------ */

#define IOTA4(f, i) f(i), f((i) + 1), f((i) + 2), f((i) + 3)
#define IOTA16(f, i) IOTA4(f, i), IOTA4(f, (i) + 4), IOTA4(f, (i) + 8), IOTA4(f, (i) + 12)
#define IOTA64(f, i) IOTA16(f, i), IOTA16(f, (i) + 16), IOTA16(f, (i) + 32), IOTA16(f, (i) + 48)
#define IOTA256(f) IOTA64(f, 0), IOTA64(f, 64), IOTA64(f, 128), IOTA64(f, 192)

/* A control element of @w bytes that selects element @k, counted from byte @o. */
#define SEL2(k, o) (o) + 2 * ((k) & 3), (o) + 2 * ((k) & 3) + 1
#define SEL4(k) 4 * ((k) & 3), 4 * ((k) & 3) + 1, 4 * ((k) & 3) + 2, 4 * ((k) & 3) + 3
#define PSHUFD_ROW(i) {SEL4(i), SEL4((i) >> 2), SEL4((i) >> 4), SEL4((i) >> 6)}
#define WORDS(i, o) SEL2(i, o), SEL2((i) >> 2, o), SEL2((i) >> 4, o), SEL2((i) >> 6, o)
#define PSHUFLW_ROW(i) {WORDS(i, 0), 8, 9, 10, 11, 12, 13, 14, 15}
#define PSHUFHW_ROW(i) {0, 1, 2, 3, 4, 5, 6, 7, WORDS(i, 8)}
#define BIT_BYTE(i, n) ((i) >> (n)&1 ? 0xff : 0)
#define BLEND2(i, n) BIT_BYTE(i, n), BIT_BYTE(i, n)
#define BLENDW_ROW(i)                                                                             \
	{                                                                                          \
		BLEND2(i, 0), BLEND2(i, 1), BLEND2(i, 2), BLEND2(i, 3), BLEND2(i, 4), BLEND2(i, 5),      \
			BLEND2(i, 6), BLEND2(i, 7)                                                  \
	}

#define TABLE static const u8 __attribute__((aligned(16)))
TABLE pshufd_table[256][16] = {IOTA256(PSHUFD_ROW)};
TABLE pshuflw_table[256][16] = {IOTA256(PSHUFLW_ROW)};
TABLE pshufhw_table[256][16] = {IOTA256(PSHUFHW_ROW)};
TABLE blendw_table[256][16] = {IOTA256(BLENDW_ROW)};

/* Any 16 bytes of it shift a register: from byte 16 + n right by n bytes, from byte 16 - n left by n bytes. */
#define Z4 0x80, 0x80, 0x80, 0x80
const u8 vec_window[64] = {Z4, Z4, Z4, Z4, 0,  1,  2,  3,  4,  5, 6, 7, 8, 9,
			   10, 11, 12, 13, 14, 15, Z4, Z4, Z4, Z4, Z4, Z4, Z4, Z4};

static u64 prep_pshufd(u64 imm)
{
	return (uintptr_t)pshufd_table[(u8)imm];
}

static u64 prep_pshuflw(u64 imm)
{
	return (uintptr_t)pshuflw_table[(u8)imm];
}

static u64 prep_pshufhw(u64 imm)
{
	return (uintptr_t)pshufhw_table[(u8)imm];
}

/* SHUFPD is SHUFPS with both halves of a quadword chosen together. A table index per lane. */
static u64 shufpd_index(u64 imm)
{
	return (imm & 1 ? 0x0e : 0x04) | (imm & 2 ? 0xe0 : 0x40);
}

static u64 prep_shufpd(u64 imm)
{
	return shufpd_index(imm) | shufpd_index(imm >> 2) << 8;
}

static u64 prep_blendw(u64 imm)
{
	return (uintptr_t)blendw_table[(u8)imm];
}

/* Each immediate bit spread over the words of its element; a table index per lane. */
static u64 prep_blendps(u64 imm)
{
	u64 w = 0;
	for (unsigned i = 0; i < 8; i++)
		w |= imm >> i & 1 ? 3ull << 2 * i : 0;
	return w;
}

static u64 prep_blendpd(u64 imm)
{
	u64 w = 0;
	for (unsigned i = 0; i < 4; i++)
		w |= imm >> i & 1 ? 15ull << 4 * i : 0;
	return w;
}

/* For legacy SSE, which has one lane: the table row itself. */
static u64 prep_shufpd1(u64 imm)
{
	return prep_pshufd(shufpd_index(imm));
}

static u64 prep_blendps1(u64 imm)
{
	return prep_blendw(prep_blendps(imm));
}

static u64 prep_blendpd1(u64 imm)
{
	return prep_blendw(prep_blendpd(imm));
}

static u64 prep_palignr(u64 imm)
{
	return (uintptr_t)(vec_window + 16 + MIN((u8)imm, 32));
}

#define TABLE_ROW _mm_load_si128((const vec128 *)imm)
#define LANE_ROW(table) _mm_load_si128((const vec128 *)(table)[imm >> 8 * lane & 0xff])

/* ---- shuffles ------------------------------------------------------------------------------------------------- */

VEC_XM(pshufb, _mm_shuffle_epi8(a, b), _mm_shuffle_epi8(a, _mm_and_si128(b, _mm_set1_epi8((char)0x87))))
VEC_XP(pshufd, prep_pshufd, _mm_shuffle_epi8(b, TABLE_ROW))
VEC_XP(pshuflw, prep_pshuflw, _mm_shuffle_epi8(b, TABLE_ROW))
VEC_XP(pshufhw, prep_pshufhw, _mm_shuffle_epi8(b, TABLE_ROW))

/* The low half of the result comes from a, the high half from b, by the same control. */
#define SHUF2(row) _mm_blend_epi16(_mm_shuffle_epi8(a, row), _mm_shuffle_epi8(b, row), 0xf0)
VEC_XP(shufps, prep_pshufd, SHUF2(TABLE_ROW))
VEC_LEGACY_P(shufpd, 16A, prep_shufpd1, SHUF2(TABLE_ROW))
AVX_P(shufpd, prep_shufpd, SHUF2(LANE_ROW(pshufd_table)))

/* PSHUFW exists on MMX only. */
VEC_HANDLERS(m_pshufw, M, 8, _mm_shuffle_epi8(b, TABLE_ROW))
VEC_DESC(pshufw, .x = VEC_FORM(m_pshufw), .prepare = prep_pshuflw);

/* dst:src as one value, shifted right: src by n bytes, dst by n - 16 (or left by 16 - n). */
#define CONTROL_AT(k) vec_byte_shift_control((const u8 *)imm + (k))
VEC_XMP(palignr, 8, prep_palignr,
	_mm_or_si128(_mm_shuffle_epi8(b, CONTROL_AT(0)), _mm_shuffle_epi8(a, CONTROL_AT(-16))),
	_mm_shuffle_epi8(_mm_unpacklo_epi64(b, a), CONTROL_AT(0)))

/* ---- unpacks -------------------------------------------------------------------------------------------------- */

/* On MMX the low forms read 4 bytes of memory; the high ones are the upper half of an XMM low unpack. */
#define UNPACK_LOW(name, op) VEC_XMP(name, 4, NULL, op(a, b), op(a, b))
#define UNPACK_HIGH(name, op, low) VEC_XM(name, op(a, b), _mm_srli_si128(low(a, b), 8))
UNPACK_LOW(punpcklbw, _mm_unpacklo_epi8)
UNPACK_LOW(punpcklwd, _mm_unpacklo_epi16)
UNPACK_LOW(punpckldq, _mm_unpacklo_epi32)
UNPACK_HIGH(punpckhbw, _mm_unpackhi_epi8, _mm_unpacklo_epi8)
UNPACK_HIGH(punpckhwd, _mm_unpackhi_epi16, _mm_unpacklo_epi16)
UNPACK_HIGH(punpckhdq, _mm_unpackhi_epi32, _mm_unpacklo_epi32)
VEC_X(punpcklqdq, _mm_unpacklo_epi64(a, b))
VEC_X(punpckhqdq, _mm_unpackhi_epi64(a, b))
VEC_X(unpcklps, _mm_unpacklo_epi32(a, b))
VEC_X(unpckhps, _mm_unpackhi_epi32(a, b))
VEC_X(unpcklpd, _mm_unpacklo_epi64(a, b))
VEC_X(unpckhpd, _mm_unpackhi_epi64(a, b))

/* ---- blends ----------------------------------------------------------------------------------------------------- */

#define PS(v) _mm_castsi128_ps(v)
#define PD(v) _mm_castsi128_pd(v)
VEC_XP(pblendw, prep_blendw, _mm_blendv_epi8(a, b, TABLE_ROW))
VEC_LEGACY_P(blendps, 16A, prep_blendps1, _mm_blendv_epi8(a, b, TABLE_ROW))
VEC_LEGACY_P(blendpd, 16A, prep_blendpd1, _mm_blendv_epi8(a, b, TABLE_ROW))
AVX_P(blendps, prep_blendps, _mm_blendv_epi8(a, b, LANE_ROW(blendw_table)))
AVX_P(blendpd, prep_blendpd, _mm_blendv_epi8(a, b, LANE_ROW(blendw_table)))
/* VPBLENDD: the same as VBLENDPS on integers. */
AVX_P(pblendd, prep_blendps, _mm_blendv_epi8(a, b, LANE_ROW(blendw_table)))
/* By the sign bits of XMM0. */
VEC_LEGACY(pblendvb, 16A, _mm_blendv_epi8(a, b, cpu_xmm0(cpu)))
VEC_LEGACY(blendvps, 16A, _mm_castps_si128(_mm_blendv_ps(PS(a), PS(b), PS(cpu_xmm0(cpu)))))
VEC_LEGACY(blendvpd, 16A, _mm_castpd_si128(_mm_blendv_pd(PD(a), PD(b), PD(cpu_xmm0(cpu)))))

/* ---- widening moves ---------------------------------------------------------------------------------------------- */

VEC_LEGACY(pmovsxbw, 8, _mm_cvtepi8_epi16(b))
VEC_LEGACY(pmovsxbd, 4, _mm_cvtepi8_epi32(b))
VEC_LEGACY(pmovsxbq, 2, _mm_cvtepi8_epi64(b))
VEC_LEGACY(pmovsxwd, 8, _mm_cvtepi16_epi32(b))
VEC_LEGACY(pmovsxwq, 4, _mm_cvtepi16_epi64(b))
VEC_LEGACY(pmovsxdq, 8, _mm_cvtepi32_epi64(b))
VEC_LEGACY(pmovzxbw, 8, _mm_cvtepu8_epi16(b))
VEC_LEGACY(pmovzxbd, 4, _mm_cvtepu8_epi32(b))
VEC_LEGACY(pmovzxbq, 2, _mm_cvtepu8_epi64(b))
VEC_LEGACY(pmovzxwd, 8, _mm_cvtepu16_epi32(b))
VEC_LEGACY(pmovzxwq, 4, _mm_cvtepu16_epi64(b))
VEC_LEGACY(pmovzxdq, 8, _mm_cvtepu32_epi64(b))

/* ---- insertions: the element is a slice of the register at an offset known when the block is built ------------------ */

#define INSERT(size)                                                                              \
	static void insert##size##_rr(UOP_ARGS)                                                    \
	{                                                                                          \
		AT(TYPE_##size, u->dst) = AT(TYPE_##size, u->src);                                  \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(insert##size, size, AT(TYPE_##size, u->dst) = m)

INSERT(1)
INSERT(2)
INSERT(4)
INSERT(8)
static const struct vec_form insert_forms[] = {VEC_FORM(insert1), VEC_FORM(insert2), VEC_FORM(insert4),
					       VEC_FORM(insert8)};

/* Index of the element of 1 << @lg bytes that the immediate names, as a byte offset in operand @o. */
static u16 element_off(const struct operand *o, const struct insn *in, unsigned lg)
{
	unsigned bytes = o->kind == OPK_MM ? 8 : 16;
	return (u16)(operand_off(o) + ((in->imm << lg) & (bytes - 1)));
}

static void emit_insert(struct builder *b, const struct insn *in, unsigned lg)
{
	struct uop *u = vec_emit_form(b, in, &insert_forms[lg], 1);
	u->dst = element_off(&in->op[0], in, lg);
	vec_emit_mmx_done(b, in);
}

VEC_GEN(pinsrb)
{
	emit_insert(b, in, 0);
}

VEC_GEN(pinsrw)
{
	emit_insert(b, in, 1);
}

VEC_GEN(pinsrd)
{
	emit_insert(b, in, in->op[1].size == 8 ? 3 : 2);
}

VEC_GEN(pinsrq)
{
	emit_insert(b, in, 3);
}

/* INSERTPS: bits 7:6 choose the source element (memory has one), 5:4 the place, 3:0 the elements to zero. */
#define INSERTPS(element)                                                                         \
	do {                                                                                       \
		u32 value = (element);                                                              \
		AT(u32, u->dst + (u->imm >> 4 & 3) * 4) = value;                                    \
		XMM(u->dst) = _mm_andnot_si128(                                                     \
			_mm_load_si128((const vec128 *)blendw_table[u->imm >> 8]), XMM(u->dst));      \
	} while (0)

static void insertps_rr(UOP_ARGS)
{
	INSERTPS(AT(u32, u->src + (u->imm >> 6 & 3) * 4));
	NEXT;
}
VEC_LOAD(insertps, 4, INSERTPS(m))
static const struct vec_form insertps_form = VEC_FORM(insertps);

VEC_GEN(insertps)
{
	struct uop *u = vec_emit_form(b, in, &insertps_form, 1);
	u->imm = (u8)in->imm | prep_blendps(in->imm & 15) << 8;
}

/* ---- extractions ---------------------------------------------------------------------------------------------------- */

#define EXTRACT(size)                                                                             \
	static void extract##size##_rr(UOP_ARGS)                                                   \
	{                                                                                          \
		REG64(u->dst) = AT(TYPE_##size, u->src);                                            \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_STORE(extract##size, size, AT(TYPE_##size, u->src))

EXTRACT(1)
EXTRACT(2)
EXTRACT(4)
EXTRACT(8)
static const struct vec_form extract_forms[] = {VEC_FORM(extract1), VEC_FORM(extract2), VEC_FORM(extract4),
						VEC_FORM(extract8)};

static void emit_extract(struct builder *b, const struct insn *in, unsigned lg)
{
	const struct vec_form *f = &extract_forms[lg];
	struct uop *u;

	if (in->op[0].kind == OPK_MEM) {
		u = emit_mem(b, in, f->mem, 1u << lg, ACC_W);
	} else {
		u = emit(b, f->rr);
		u->dst = operand_off(&in->op[0]);
	}
	u->src = element_off(&in->op[1], in, lg);
	vec_emit_mmx_done(b, in);
}

VEC_GEN(pextrb)
{
	emit_extract(b, in, 0);
}

VEC_GEN(pextrw)
{
	emit_extract(b, in, 1);
}

VEC_GEN(pextrd)
{
	emit_extract(b, in, in->op[0].size == 8 ? 3 : 2);
}

VEC_GEN(pextrq)
{
	emit_extract(b, in, 3);
}

VEC_GEN(extractps)
{
	emit_extract(b, in, 2);
}
