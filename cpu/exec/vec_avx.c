/*
 * What AVX, AVX2, FMA and F16C have beyond wider SSE: broadcasts, lane crossing, permutations, masked moves,
 * variable shifts, fused multiplication, half precision (SDM Vol. 2C; Vol. 1, chapter 14). The widened SSE
 * instructions come from the lines of vec_int.c, vec_perm.c, vec_move.c and vec_fp.c.
 * Gathers: vec_gather.c. Not modelled: AVX-512.
 */
#include "cpu/exec/vec_cross.h"
#include "cpu/exec/vec_forms.h"
#include "cpu/fpu/softfloat.h"

/* ---- broadcasts and widening moves --------------------------------------------------------------------------- */

/* The same 16 bytes of source serve both lanes. */
#define AVX_SAME(name, size, expr)                                                                \
	AVX_128(name, size, expr)                                                                  \
	static void y_##name##_rr(UOP_ARGS)                                                        \
	{                                                                                          \
		vec128 s = XMM(u->base);                                                            \
		AVX_LANE(0, s, expr);                                                               \
		AVX_LANE(1, s, expr);                                                               \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(y_##name, size, AVX_LANE(0, WIDEN_##size(m), expr);                                \
		 AVX_LANE(1, WIDEN_##size(m), expr))                                                \
	AVX_DESC(name, AVX_FORMS(name));

AVX_SAME(pbroadcastb, 1, _mm_shuffle_epi8(b, _mm_setzero_si128()))
AVX_SAME(pbroadcastw, 2, _mm_shuffle_epi8(b, _mm_set1_epi16(0x0100)))
AVX_SAME(pbroadcastd, 4, _mm_shuffle_epi32(b, 0))
AVX_SAME(pbroadcastq, 8, _mm_unpacklo_epi64(b, b))
AVX_SAME(broadcastss, 4, _mm_shuffle_epi32(b, 0))
AVX_SAME(broadcastsd, 8, _mm_unpacklo_epi64(b, b))
AVX_SAME(broadcastf128, 16, b)
AVX_SAME(broadcasti128, 16, b)

/* A YMM result takes twice the source bytes: the upper lane from byte @wsize on. */
#define AVX_WIDEN(name, wsize, ysize, op)                                                         \
	AVX_128(name, wsize, op(b))                                                                \
	static void y_##name##_rr(UOP_ARGS)                                                        \
	{                                                                                          \
		vec128 s = XMM(u->base);                                                            \
		AVX_LANE(0, s, op(b));                                                              \
		AVX_LANE(1, _mm_srli_si128(s, wsize), op(b));                                       \
		NEXT;                                                                               \
	}                                                                                          \
	VEC_LOAD(y_##name, ysize, AVX_LANE(0, WIDEN_##ysize(m), op(b));                             \
		 AVX_LANE(1, _mm_srli_si128(WIDEN_##ysize(m), wsize), op(b)))                        \
	AVX_DESC(name, AVX_FORMS(name));

AVX_WIDEN(pmovsxbw, 8, 16, _mm_cvtepi8_epi16)
AVX_WIDEN(pmovsxbd, 4, 8, _mm_cvtepi8_epi32)
AVX_WIDEN(pmovsxbq, 2, 4, _mm_cvtepi8_epi64)
AVX_WIDEN(pmovsxwd, 8, 16, _mm_cvtepi16_epi32)
AVX_WIDEN(pmovsxwq, 4, 8, _mm_cvtepi16_epi64)
AVX_WIDEN(pmovsxdq, 8, 16, _mm_cvtepi32_epi64)
AVX_WIDEN(pmovzxbw, 8, 16, _mm_cvtepu8_epi16)
AVX_WIDEN(pmovzxbd, 4, 8, _mm_cvtepu8_epi32)
AVX_WIDEN(pmovzxbq, 2, 4, _mm_cvtepu8_epi64)
AVX_WIDEN(pmovzxwd, 8, 16, _mm_cvtepu16_epi32)
AVX_WIDEN(pmovzxwq, 4, 8, _mm_cvtepu16_epi64)
AVX_WIDEN(pmovzxdq, 8, 16, _mm_cvtepu32_epi64)

/* ---- blends by a register: its offset is the immediate --------------------------------------------------------- */

#define PS(v) _mm_castsi128_ps(v)
#define PD(v) _mm_castsi128_pd(v)
#define MASK XMM(imm + 16 * lane)
#define AVX_BLENDV(name, expr)                                                                    \
	AVX_128(name, 16, expr)                                                                    \
	AVX_256(name, expr)                                                                        \
	static const struct vec_form v##name##_forms[2] = {VEC_FORM(w_##name), VEC_FORM(y_##name)}; \
	YMM_FORM(name);                                                                            \
	VEC_GEN(v##name)                                                                           \
	{                                                                                          \
		const struct vec_form *f = &v##name##_forms[in->vex_l == 32];                        \
		if (in->vex_l == 32)                                                                \
			f = vec_ymm_or(&ymm_##name, f);                                             \
		avx_emit_form(b, in, f, 2)->imm = operand_off(&in->op[3]);                           \
	}
AVX_BLENDV(pblendvb, _mm_blendv_epi8(a, b, MASK))
AVX_BLENDV(blendvps, _mm_castps_si128(_mm_blendv_ps(PS(a), PS(b), PS(MASK))))
AVX_BLENDV(blendvpd, _mm_castpd_si128(_mm_blendv_pd(PD(a), PD(b), PD(MASK))))

/* ---- tests -------------------------------------------------------------------------------------------------------- */

/* ZF: no common bit; CF: b within a; the rest cleared. As FK_RES. */
#define VPTEST(b0, b1, ahi)                                                                       \
	do {                                                                                       \
		vec128 x0 = (b0), x1 = (b1), a0 = XMM(u->dst), a1 = (ahi);                          \
		vec128 common = _mm_or_si128(_mm_and_si128(a0, x0), _mm_and_si128(a1, x1));          \
		vec128 beyond = _mm_or_si128(_mm_andnot_si128(a0, x0), _mm_andnot_si128(a1, x1));    \
		fa = !_mm_testz_si128(common, common);                                              \
		fb = (u64)_mm_testz_si128(beyond, beyond) | (fa ? 0 : FL_PF);                        \
		cpu->flag_kind = FK_RES;                                                            \
	} while (0)
#define NOTHING _mm_setzero_si128()

static void w_ptest_rr(UOP_ARGS)
{
	VPTEST(XMM(u->base), NOTHING, NOTHING);
	NEXT;
}
VEC_LOAD(w_ptest, 16, VPTEST(m, NOTHING, NOTHING))

static void y_ptest_rr(UOP_ARGS)
{
	VPTEST(XMM(u->base), XMM(u->base + 16), XMM(u->dst + 16));
	NEXT;
}
VEC_LOAD(y_ptest, 32, VPTEST(m.l[0], m.l[1], XMM(u->dst + 16)))

static const struct vec_form vptest_forms[2] = {VEC_FORM(w_ptest), VEC_FORM(y_ptest)};

YMM_FORM(ptest);

VEC_GEN(vptest)
{
	avx_emit_form(b, in, in->vex_l == 32 ? vec_ymm_or(&ymm_ptest, &vptest_forms[1]) : &vptest_forms[0], 1);
	b->sf = SF_DYNAMIC;
}

/* Sign bits only. */
static int test_signs(struct cpu *cpu, const struct insn *in, u64 sign)
{
	const union vec *a = &cpu->v[in->op[0].reg];
	u64 common = 0, beyond = 0;
	union vec b;

	if (op_read_bytes(cpu, in, 1, &b))
		return 1;
	for (unsigned i = 0; i < in->vex_l / 8u; i++) {
		common |= a->q[i] & b.q[i] & sign;
		beyond |= ~a->q[i] & b.q[i] & sign;
	}
	cpu->rflags = (cpu->rflags & ~FL_ARITH) | (common ? 0 : FL_ZF) | (beyond ? 0 : FL_CF);
	return 0;
}

SIMPLE(vtestps)
{
	return test_signs(cpu, in, 0x8000000080000000);
}

SIMPLE(vtestpd)
{
	return test_signs(cpu, in, 1ull << 63);
}

/* ---- VZEROUPPER, VZEROALL -------------------------------------------------------------------------------------- */

static void zero_upper(UOP_ARGS)
{
	for (unsigned i = 0; i < 16; i++)
		ZERO_UPPER(VEC_OFF(i));
	NEXT;
}

extern const struct exec_desc exec_vzeroall;
YMM_FN(zero_upper);

VEC_GEN(vzeroupper)
{
	/* Only eight registers outside 64-bit mode; the others then hold what 64-bit code left there. */
	if ((b->mode & MODE_BITS) == MODE_64)
		emit(b, vec_ymm_fn(ymm_zero_upper, zero_upper));
	else
		emit_call(b, in, exec_vzeroall.op);
}

/* VZEROALL, and VZEROUPPER outside 64-bit mode: told apart by L. */
SIMPLE(vzeroall)
{
	unsigned n = cpu_long64(cpu) ? 16 : 8;
	unsigned from = in->vex_l == 32 ? 0 : 16;

	for (unsigned i = 0; i < n; i++)
		memset(cpu->v[i].b + from, 0, sizeof(cpu->v[i]) - from);
	return 0;
}

/* ---- simple operations on whole registers ----------------------------------------------------------------------- */

/* Destination operand 0: @n bytes of @r, zeros above. */
static int put_vec(struct cpu *cpu, const struct insn *in, const union vec *r, unsigned n)
{
	union vec *dst = &cpu->v[in->op[0].reg];

	if (in->op[0].kind == OPK_MEM)
		return op_write_bytes(cpu, in, 0, r);
	memset(dst, 0, sizeof(*dst));
	memcpy(dst, r, n);
	return 0;
}

static int extract128(struct cpu *cpu, const struct insn *in)
{
	union vec r;

	memcpy(&r, cpu->v[in->op[1].reg].b + (in->imm & 1) * 16, 16);
	return put_vec(cpu, in, &r, 16);
}

static int insert128(struct cpu *cpu, const struct insn *in)
{
	union vec r = cpu->v[in->op[1].reg], s;

	if (op_read_bytes(cpu, in, 2, &s))
		return 1;
	memcpy(r.b + (in->imm & 1) * 16, &s, 16);
	return put_vec(cpu, in, &r, 32);
}

/* Each half of the result: one of four halves, or zero. */
static int perm128(struct cpu *cpu, const struct insn *in)
{
	union vec s[2] = {cpu->v[in->op[1].reg]}, r = {.q = {0}};

	if (op_read_bytes(cpu, in, 2, &s[1]))
		return 1;
	for (unsigned i = 0; i < 2; i++) {
		unsigned c = in->imm >> 4 * i & 15;
		if (!(c & 8))
			memcpy(r.b + 16 * i, s[c >> 1 & 1].b + (c & 1) * 16, 16);
	}
	return put_vec(cpu, in, &r, 32);
}

int avx_op_vextracti128(struct cpu *cpu, const struct insn *in)
{
	return extract128(cpu, in);
}

int avx_op_vinserti128(struct cpu *cpu, const struct insn *in)
{
	return insert128(cpu, in);
}

int avx_op_vperm2f128(struct cpu *cpu, const struct insn *in)
{
	return perm128(cpu, in);
}

int avx_op_vperm2i128(struct cpu *cpu, const struct insn *in)
{
	return perm128(cpu, in);
}

/* Within lanes, by register or immediate. */
int avx_op_vpermilps(struct cpu *cpu, const struct insn *in)
{
	bool imm = in->op[2].kind == OPK_IMM;
	union vec s, c = {.q = {0}}, r;

	if (op_read_bytes(cpu, in, imm ? 1 : 2, imm ? &s : &c))
		return 1;
	if (!imm)
		s = cpu->v[in->op[1].reg];
	for (unsigned i = 0; i < in->vex_l / 4u; i++) {
		unsigned k = imm ? (unsigned)(in->imm >> 2 * (i & 3)) : c.d[i];
		r.d[i] = s.d[(i & 4) | (k & 3)];
	}
	return put_vec(cpu, in, &r, in->vex_l);
}

int avx_op_vpermilpd(struct cpu *cpu, const struct insn *in)
{
	bool imm = in->op[2].kind == OPK_IMM;
	union vec s, c = {.q = {0}}, r;

	if (op_read_bytes(cpu, in, imm ? 1 : 2, imm ? &s : &c))
		return 1;
	if (!imm)
		s = cpu->v[in->op[1].reg];
	for (unsigned i = 0; i < in->vex_l / 8u; i++) {
		unsigned k = imm ? (unsigned)(in->imm >> i) & 1 : (unsigned)(c.q[i] >> 1) & 1;
		r.q[i] = s.q[(i & 2) | k];
	}
	return put_vec(cpu, in, &r, in->vex_l);
}

/* VPERMD, VPERMPS: across the register, indices in the first source. */
static int permute_dwords(struct cpu *cpu, const struct insn *in)
{
	union vec c = cpu->v[in->op[1].reg], s, r;

	if (op_read_bytes(cpu, in, 2, &s))
		return 1;
	for (unsigned i = 0; i < 8; i++)
		r.d[i] = s.d[c.d[i] & 7];
	return put_vec(cpu, in, &r, 32);
}

static int permute_qwords(struct cpu *cpu, const struct insn *in)
{
	union vec s, r;

	if (op_read_bytes(cpu, in, 1, &s))
		return 1;
	for (unsigned i = 0; i < 4; i++)
		r.q[i] = s.q[in->imm >> 2 * i & 3];
	return put_vec(cpu, in, &r, 32);
}

int avx_op_vpermd(struct cpu *cpu, const struct insn *in)
{
	return permute_dwords(cpu, in);
}

int avx_op_vpermps(struct cpu *cpu, const struct insn *in)
{
	return permute_dwords(cpu, in);
}

int avx_op_vpermq(struct cpu *cpu, const struct insn *in)
{
	return permute_qwords(cpu, in);
}

int avx_op_vpermpd(struct cpu *cpu, const struct insn *in)
{
	return permute_qwords(cpu, in);
}

/* ---- insertions ------------------------------------------------------------------------------------------------- */

static int insert_element(struct cpu *cpu, const struct insn *in, unsigned size)
{
	union vec r = cpu->v[in->op[1].reg];
	u64 v;

	if (op_read(cpu, in, 2, &v))
		return 1;
	memcpy(r.b + ((in->imm * size) & 15), &v, size);
	return put_vec(cpu, in, &r, 16);
}

int avx_op_vpinsrb(struct cpu *cpu, const struct insn *in)
{
	return insert_element(cpu, in, 1);
}

int avx_op_vpinsrw(struct cpu *cpu, const struct insn *in)
{
	return insert_element(cpu, in, 2);
}

int avx_op_vpinsrd(struct cpu *cpu, const struct insn *in)
{
	return insert_element(cpu, in, 4);
}

int avx_op_vpinsrq(struct cpu *cpu, const struct insn *in)
{
	return insert_element(cpu, in, 8);
}

SIMPLE(vinsertps)
{
	union vec r = cpu->v[in->op[1].reg];
	u32 v;

	if (in->op[2].kind == OPK_VEC)
		v = cpu->v[in->op[2].reg].d[in->imm >> 6 & 3];
	else if (op_read_bytes(cpu, in, 2, &v))
		return 1;
	r.d[in->imm >> 4 & 3] = v;
	for (unsigned i = 0; i < 4; i++)
		if (in->imm >> i & 1)
			r.d[i] = 0;
	return put_vec(cpu, in, &r, 16);
}

/* ---- shifts by element -------------------------------------------------------------------------------------------- */

enum { SHIFT_LEFT, SHIFT_RIGHT, SHIFT_ARITHMETIC };

static u64 shift_one(u64 v, u64 n, unsigned bits, unsigned kind)
{
	if (kind == SHIFT_ARITHMETIC)
		return (u64)(sext(v, bits) >> (n < bits ? n : bits - 1));
	if (n >= bits)
		return 0;
	return kind == SHIFT_LEFT ? v << n : v >> n;
}

static int shift_elements(struct cpu *cpu, const struct insn *in, unsigned size, unsigned kind)
{
	union vec s = cpu->v[in->op[1].reg], n, r;

	if (op_read_bytes(cpu, in, 2, &n))
		return 1;
	for (unsigned i = 0; i < in->vex_l / size; i++) {
		if (size == 4)
			r.d[i] = (u32)shift_one(s.d[i], n.d[i], 32, kind);
		else
			r.q[i] = shift_one(s.q[i], n.q[i], 64, kind);
	}
	return put_vec(cpu, in, &r, in->vex_l);
}

int avx_op_vpsllvd(struct cpu *cpu, const struct insn *in)
{
	return shift_elements(cpu, in, 4, SHIFT_LEFT);
}

int avx_op_vpsllvq(struct cpu *cpu, const struct insn *in)
{
	return shift_elements(cpu, in, 8, SHIFT_LEFT);
}

int avx_op_vpsrlvd(struct cpu *cpu, const struct insn *in)
{
	return shift_elements(cpu, in, 4, SHIFT_RIGHT);
}

int avx_op_vpsrlvq(struct cpu *cpu, const struct insn *in)
{
	return shift_elements(cpu, in, 8, SHIFT_RIGHT);
}

int avx_op_vpsravd(struct cpu *cpu, const struct insn *in)
{
	return shift_elements(cpu, in, 4, SHIFT_ARITHMETIC);
}

/* ---- masked moves: elements whose mask has its sign clear are not accessed ------------------------------------------ */

static bool selected(const union vec *mask, unsigned i, unsigned size)
{
	return mask->b[(i + 1) * size - 1] & 0x80;
}

/* Linear address of element @i: segment and canonical checks too are made of what is accessed only. */
static int element_linear(struct cpu *cpu, const struct insn *in, unsigned i, unsigned size, unsigned acc, u64 *lin)
{
	return seg_linear(cpu, in->seg, zext_bytes(op_ea(cpu, in) + i * size, in->adsize), size, acc, lin);
}

static int masked_load(struct cpu *cpu, const struct insn *in, unsigned size)
{
	const union vec *mask = &cpu->v[in->op[1].reg];
	union vec r = {.q = {0}};
	u64 lin;

	for (unsigned i = 0; i < in->vex_l / size; i++)
		if (selected(mask, i, size) && (element_linear(cpu, in, i, size, ACC_R, &lin) ||
						mem_read(cpu, lin, r.b + i * size, size, ACC_R | ACC_VEC)))
			return 1;
	return put_vec(cpu, in, &r, in->vex_l);
}

/*
 * A store across pages, as hardware reports it: the first page's elements by their first byte; then the second page by
 * the last byte of the last element, or, when the first page had none, by the first byte of the first.
 */
static int probe_selected(struct cpu *cpu, const u64 *lin, const union vec *mask, unsigned n, unsigned size)
{
	int first = -1, last = -1;

	for (unsigned i = 0; i < n; i++) {
		if (!selected(mask, i, size))
			continue;
		if (first < 0)
			first = (int)i;
		last = (int)i;
		if (!((lin[i] ^ lin[first]) >> 12) && mem_probe(cpu, lin[i], 1, ACC_W))
			return 1;
	}
	if (last < 0)
		return 0;
	return mem_probe(cpu, lin[last] + size - 1, 1, ACC_W);
}

static int masked_store(struct cpu *cpu, const struct insn *in, unsigned size)
{
	const union vec *mask = &cpu->v[in->op[1].reg], *data = &cpu->v[in->op[2].reg];
	unsigned n = in->vex_l / size;
	u64 lin[8];

	for (unsigned i = 0; i < n; i++)
		if (selected(mask, i, size) && element_linear(cpu, in, i, size, ACC_W, &lin[i]))
			return 1;
	if (probe_selected(cpu, lin, mask, n, size))
		return 1;
	for (unsigned i = 0; i < n; i++)
		if (selected(mask, i, size) && mem_write(cpu, lin[i], data->b + i * size, size, ACC_W | ACC_VEC))
			return 1;
	return 0;
}

static int masked_move(struct cpu *cpu, const struct insn *in, unsigned size)
{
	return in->op[0].kind == OPK_MEM ? masked_store(cpu, in, size) : masked_load(cpu, in, size);
}

SIMPLE(vmaskmovps)
{
	return masked_move(cpu, in, 4);
}

SIMPLE(vmaskmovpd)
{
	return masked_move(cpu, in, 8);
}

SIMPLE(vpmaskmovd)
{
	return masked_move(cpu, in, 4);
}

SIMPLE(vpmaskmovq)
{
	return masked_move(cpu, in, 8);
}

/* ---- F16C ------------------------------------------------------------------------------------------------------------ */

static struct sse_env sse_env(struct cpu *cpu)
{
	return (struct sse_env){.mxcsr = cpu->mxcsr & ~MXCSR_FLAGS};
}

SIMPLE(vcvtph2ps)
{
	struct sse_env env = sse_env(cpu);
	union vec s, r;

	if (op_read_bytes(cpu, in, 1, &s))
		return 1;
	for (unsigned i = 0; i < in->vex_l / 4u; i++)
		r.d[i] = f16_to_f32(s.w[i], &env);
	return vec_commit_flags(cpu, env.raised) || put_vec(cpu, in, &r, in->vex_l);
}

SIMPLE(vcvtps2ph)
{
	const union vec *s = &cpu->v[in->op[1].reg];
	struct sse_env env = sse_env(cpu);
	union vec r;

	for (unsigned i = 0; i < in->vex_l / 4u; i++)
		r.w[i] = f32_to_f16(s->d[i], (u8)in->imm, &env);
	/* Flags come before the store: hardware keeps them when it faults. */
	return vec_commit_flags(cpu, env.raised) || put_vec(cpu, in, &r, in->vex_l / 2u);
}

/* ---- FMA: by the host where it has it and exceptions are masked, else by cpu/fpu ----------------------------------------- */

struct fma {
	unsigned size;
	bool scalar, negate_product;
	u8 negate_c; /* bit 0: even elements, bit 1: odd ones */
	u8 order;    /* 9: 132, 10: 213, 11: 231 */
};

static struct fma fma_of(const struct insn *in)
{
	unsigned op = in->opcode & 15;
	struct fma f = {.size = in->vex_w ? 8 : 4, .order = in->opcode >> 4};

	f.scalar = op >= 8 && (op & 1);
	f.negate_product = op >= 12;
	if (op == 6)
		f.negate_c = 1; /* MADDSUB: even elements subtract */
	else if (op == 7)
		f.negate_c = 2;
	else
		f.negate_c = op & 2 ? 3 : 0;
	return f;
}

static void fma_element(const struct fma *f, union vec *d, const union vec *v, const union vec *w, unsigned i,
			struct sse_env *env)
{
	bool neg = f->negate_c >> (i & 1) & 1;
	/* 132: d * w + v; 213: v * d + w; 231: v * w + d */
	const union vec *a = f->order == 9 ? d : v, *b = f->order == 10 ? d : w;
	const union vec *c = f->order == 9 ? v : f->order == 10 ? w : d;

	if (f->size == 4)
		d->d[i] = f32_fma(a->d[i], b->d[i], c->d[i], f->negate_product, neg, env);
	else
		d->q[i] = f64_fma(a->q[i], b->q[i], c->q[i], f->negate_product, neg, env);
}

static int fma_simple(struct cpu *cpu, const struct insn *in)
{
	struct fma f = fma_of(in);
	struct sse_env env;
	unsigned n = f.scalar ? 1 : in->vex_l / f.size;
	union vec r = cpu->v[in->op[0].reg], w;

	cpu_mxcsr_sync(cpu);
	env = sse_env(cpu);
	if (op_read_bytes(cpu, in, 2, &w))
		return 1;
	for (unsigned i = 0; i < n; i++)
		fma_element(&f, &r, &cpu->v[in->op[1].reg], &w, i, &env);
	return vec_commit_flags(cpu, env.raised) || put_vec(cpu, in, &r, f.scalar ? 16 : in->vex_l);
}

static void emit_fma(struct builder *b, const struct insn *in, const struct vec_form *w, const struct vec_form *y)
{
	if ((b->mode & MODE_MXCSR_EXACT) || !__builtin_cpu_supports("fma"))
		emit_call(b, in, fma_simple);
	else
		avx_emit_form(b, in, in->vex_l == 32 && y ? y : w, 2);
}

/* In expressions, the old destination lane is the third operand. */
#define HOST_FMA(op)                                                                              \
	static ALWAYS_INLINE vec128 host_##op(vec128 d, vec128 a, vec128 b)                         \
	{                                                                                          \
		asm("v" #op " %2, %1, %0" : "+x"(d) : "x"(a), "x"(b));                              \
		return d;                                                                           \
	}
#define OLD XMM(u->dst + 16 * lane)
#define FMA_PACKED(op)                                                                            \
	HOST_FMA(op)                                                                               \
	AVX_128(op, 16, host_##op(OLD, a, b))                                                      \
	AVX_256(op, host_##op(OLD, a, b))                                                          \
	YMM_FORM(op);                                                                              \
	VEC_GEN(v##op)                                                                             \
	{                                                                                          \
		static const struct vec_form w = VEC_FORM(w_##op), y = VEC_FORM(y_##op);            \
		emit_fma(b, in, &w, vec_ymm_or(&ymm_##op, &y));                                      \
	}
#define FMA_SCALAR(op, size)                                                                      \
	HOST_FMA(op)                                                                               \
	AVX_128(op, size, host_##op(OLD, a, b))                                                    \
	VEC_GEN(v##op)                                                                             \
	{                                                                                          \
		static const struct vec_form w = VEC_FORM(w_##op);                                  \
		emit_fma(b, in, &w, NULL);                                                          \
	}
#define FMA_PS_PD(op)                                                                             \
	FMA_PACKED(op##132ps)                                                                      \
	FMA_PACKED(op##213ps)                                                                      \
	FMA_PACKED(op##231ps)                                                                      \
	FMA_PACKED(op##132pd)                                                                      \
	FMA_PACKED(op##213pd)                                                                      \
	FMA_PACKED(op##231pd)
#define FMA_SS_SD(op)                                                                             \
	FMA_SCALAR(op##132ss, 4)                                                                   \
	FMA_SCALAR(op##213ss, 4)                                                                   \
	FMA_SCALAR(op##231ss, 4)                                                                   \
	FMA_SCALAR(op##132sd, 8)                                                                   \
	FMA_SCALAR(op##213sd, 8)                                                                   \
	FMA_SCALAR(op##231sd, 8)

FMA_PS_PD(fmadd)
FMA_PS_PD(fmsub)
FMA_PS_PD(fnmadd)
FMA_PS_PD(fnmsub)
FMA_PS_PD(fmaddsub)
FMA_PS_PD(fmsubadd)
FMA_SS_SD(fmadd)
FMA_SS_SD(fmsub)
FMA_SS_SD(fnmadd)
FMA_SS_SD(fnmsub)
