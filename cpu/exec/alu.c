/*
 * Integer arithmetic and logic, moves, stack, bit and condition instructions as micro-operations
 * (SDM Vol. 1, 7.3.1-7.3.7). Near branches are in branch.c.
 *
 * Naming: op_size_form[_flags]. Forms: rr (register, register), ri (register, immediate), rm (register, memory),
 * mr (memory, register), mi (memory, immediate); the suffix f keeps the flags, n does not.
 * Instructions without fused memory forms load into R_TMP, work on it, and store it back.
 */
#include "cpu/exec/builder.h"

/* ---- two-operand arithmetic ---------------------------------------------------------------------- */

/* Each: a, b in; r the result. _f also leaves the lazy flags. */
#define DO_add_n(bits) r = (u##bits)(a + b)
#define DO_add_f(bits) r = (u##bits)(a + b), fa = SX(bits, r), fb = SX(bits, b), KIND(FK_ADD + LG##bits)
#define DO_sub_n(bits) r = (u##bits)(a - b)
#define DO_sub_f(bits) r = (u##bits)(a - b), fa = SX(bits, a), fb = SX(bits, b), KIND(FK_SUB + LG##bits)
#define DO_and_n(bits) r = a & b
#define DO_and_f(bits) r = a & b, fa = SX(bits, r), fb = 0, KIND(FK_RES)
#define DO_or_n(bits) r = a | b
#define DO_or_f(bits) r = a | b, fa = SX(bits, r), fb = 0, KIND(FK_RES)
#define DO_xor_n(bits) r = a ^ b
#define DO_xor_f(bits) r = a ^ b, fa = SX(bits, r), fb = 0, KIND(FK_RES)
/* ADC, SBB: carry in from FK_RES, which a preceding micro-operation made sure of. */
#define TOP_BIT(bits, v) ((v) >> (bits - 1) & 1)
#define DO_adc_n(bits) r = (u##bits)(a + b + (fb & FL_CF))
#define DO_adc_f(bits) WITH_CARRY(bits, "adc")
#define DO_sbb_n(bits) r = (u##bits)(a - b - (fb & FL_CF))
#define DO_sbb_f(bits) WITH_CARRY(bits, "sbb")
/* The host's own carry and overflow: made of a, b and r they take twice the instructions. */
#define WITH_CARRY(bits, insn)                                                                     \
	bool carry, overflow;                                                                      \
	r = a;                                                                                     \
	asm("bt $0, %k[flags]\n\t" insn " %[b], %[r]"                                              \
	    : [r] "+q"(r), "=@ccc"(carry), "=@cco"(overflow)                                       \
	    : [b] "q"(b), [flags] "r"(fb));                                                        \
	fa = SX(bits, r);                                                                          \
	fb = carry | ((a ^ b ^ r) & FL_AF) | (u64)overflow << 11;                                  \
	KIND(FK_RES)

/* A slow access may be where the block is left, so the slow twin leaves the flags even if they are dead by then. */
#define ALU_LOAD3_f(name, type, ...) UOP_LOAD3(name##_f, type, __VA_ARGS__)
#define ALU_LOAD3_n(name, type, ...) UOP_LOAD3_FAST(name##_n, name##_f_slow, type, __VA_ARGS__)
#define ALU_RMW3_f(name, type, ...) UOP_RMW3(name##_f, type, __VA_ARGS__)
#define ALU_RMW3_n(name, type, ...) UOP_RMW3_FAST(name##_n, name##_f_slow, type, __VA_ARGS__)
#define ALU_ONE(op, bits, fl)                                                                     \
	void op##bits##_rr_##fl(UOP_ARGS)                                                   \
	{                                                                                          \
		u##bits a = REG##bits(u->base), b = REG##bits(u->src), r;                           \
		DO_##op##_##fl(bits);                                                               \
		SETREG##bits(u->dst, r);                                                            \
		NEXT;                                                                               \
	}                                                                                          \
	void op##bits##_ri_##fl(UOP_ARGS)                                                   \
	{                                                                                          \
		u##bits a = REG##bits(u->base), b = (u##bits)u->imm, r;                             \
		DO_##op##_##fl(bits);                                                               \
		SETREG##bits(u->dst, r);                                                            \
		NEXT;                                                                               \
	}                                                                                          \
	ALU_LOAD3_##fl(op##bits##_rm, u##bits, {                                                   \
		u##bits a = REG##bits(u->dst);                                                      \
		u##bits b = m;                                                                      \
		u##bits r;                                                                          \
		DO_##op##_##fl(bits);                                                               \
		SETREG##bits(u->dst, r);                                                            \
	})                                                                                         \
	ALU_RMW3_##fl(op##bits##_mr, u##bits, {                                                    \
		u##bits a = m;                                                                      \
		u##bits b = REG##bits(u->src);                                                      \
		u##bits r;                                                                          \
		DO_##op##_##fl(bits);                                                               \
		m = r;                                                                              \
	})                                                                                         \
	ALU_RMW3_##fl(op##bits##_mi, u##bits, {                                                    \
		u##bits a = m;                                                                      \
		u##bits b = (u##bits)u->imm;                                                        \
		u##bits r;                                                                          \
		DO_##op##_##fl(bits);                                                               \
		m = r;                                                                              \
	})
#define ALU_SIZE(op, bits) ALU_ONE(op, bits, f) ALU_ONE(op, bits, n)
#define ALU(op) ALU_SIZE(op, 8) ALU_SIZE(op, 16) ALU_SIZE(op, 32) ALU_SIZE(op, 64)

ALU(add)
ALU(sub)
ALU(and)
ALU(or)
ALU(xor)
ALU(adc)
ALU(sbb)

/* CMP and TEST write nothing but flags. */
#define DO_cmp(bits) fa = SX(bits, a), fb = SX(bits, b), KIND(FK_SUB + LG##bits)
#define DO_test(bits) fa = SX(bits, a & b), fb = 0, KIND(FK_RES)
#define CMP_SIZE(op, bits)                                                                        \
	void op##bits##_rr(UOP_ARGS)                                                        \
	{                                                                                          \
		u##bits a = REG##bits(u->dst), b = REG##bits(u->src);                               \
		DO_##op(bits);                                                                      \
		NEXT;                                                                               \
	}                                                                                          \
	void op##bits##_ri(UOP_ARGS)                                                        \
	{                                                                                          \
		u##bits a = REG##bits(u->dst), b = (u##bits)u->imm;                                 \
		DO_##op(bits);                                                                      \
		NEXT;                                                                               \
	}                                                                                          \
	UOP_LOAD3(op##bits##_rm, u##bits, {                                                        \
		u##bits a = REG##bits(u->dst);                                                      \
		u##bits b = m;                                                                      \
		DO_##op(bits);                                                                      \
	})                                                                                         \
	UOP_LOAD3(op##bits##_mr, u##bits, {                                                        \
		u##bits a = m;                                                                      \
		u##bits b = REG##bits(u->src);                                                      \
		DO_##op(bits);                                                                      \
	})                                                                                         \
	UOP_LOAD3(op##bits##_mi, u##bits, {                                                        \
		u##bits a = m;                                                                      \
		u##bits b = (u##bits)u->imm;                                                        \
		DO_##op(bits);                                                                      \
	})
#define CMPS(op) CMP_SIZE(op, 8) CMP_SIZE(op, 16) CMP_SIZE(op, 32) CMP_SIZE(op, 64)
CMPS(cmp)
CMPS(test)

struct alu_fns {
	uop_fn rr, ri, rm[EAM_COUNT], mr[EAM_COUNT], mi[EAM_COUNT];
};

#define ALU_FNS(op, bits, fl)                                                                     \
	{op##bits##_rr_##fl, op##bits##_ri_##fl, EAM3(op##bits##_rm_##fl),                         \
	 EAM3(op##bits##_mr_##fl), EAM3(op##bits##_mi_##fl)}
#define ALU_ROW(op)                                                                               \
	{                                                                                          \
		{ALU_FNS(op, 8, n), ALU_FNS(op, 16, n), ALU_FNS(op, 32, n), ALU_FNS(op, 64, n)},     \
		{ALU_FNS(op, 8, f), ALU_FNS(op, 16, f), ALU_FNS(op, 32, f), ALU_FNS(op, 64, f)},     \
	}
#define CMP_FNS(op, bits)                                                                         \
	{op##bits##_rr, op##bits##_ri, EAM3(op##bits##_rm), EAM3(op##bits##_mr), EAM3(op##bits##_mi)}
#define CMP_ROW(op)                                                                               \
	{                                                                                          \
		{CMP_FNS(op, 8), CMP_FNS(op, 16), CMP_FNS(op, 32), CMP_FNS(op, 64)},                 \
		{CMP_FNS(op, 8), CMP_FNS(op, 16), CMP_FNS(op, 32), CMP_FNS(op, 64)},                 \
	}

enum alu { ALU_ADD, ALU_SUB, ALU_AND, ALU_OR, ALU_XOR, ALU_ADC, ALU_SBB, ALU_CMP, ALU_TEST };

/* [operation][flags kept][log2 size] */
static const struct alu_fns alu_fns[][2][4] = {
	[ALU_ADD] = ALU_ROW(add), [ALU_SUB] = ALU_ROW(sub), [ALU_AND] = ALU_ROW(and),
	[ALU_OR] = ALU_ROW(or),	  [ALU_XOR] = ALU_ROW(xor), [ALU_ADC] = ALU_ROW(adc),
	[ALU_SBB] = ALU_ROW(sbb), [ALU_CMP] = CMP_ROW(cmp), [ALU_TEST] = CMP_ROW(test),
};

static unsigned lg(unsigned size)
{
	return (unsigned)__builtin_ctz(size);
}

/* ---- conversion of the lazy flags to FK_RES ------------------------------------------------------- */

#define RES_ADD(bits)                                                                             \
	static void flags_res_add##bits(UOP_ARGS)                                                  \
	{                                                                                          \
		u##bits r = (u##bits)fa, b = (u##bits)fb, a = (u##bits)(r - b);                     \
		fb = (r < b) | ((a ^ b ^ r) & FL_AF) | TOP_BIT(bits, (a ^ r) & (b ^ r)) << 11;      \
		KIND(FK_RES);                                                                       \
		NEXT;                                                                               \
	}                                                                                          \
	static void flags_res_sub##bits(UOP_ARGS)                                                  \
	{                                                                                          \
		u##bits a = (u##bits)fa, b = (u##bits)fb, r = (u##bits)(a - b);                     \
		fa = SX(bits, r);                                                                   \
		fb = (a < b) | ((a ^ b ^ r) & FL_AF) | TOP_BIT(bits, (a ^ b) & (a ^ r)) << 11;      \
		KIND(FK_RES);                                                                       \
		NEXT;                                                                               \
	}
RES_ADD(8)
RES_ADD(16)
RES_ADD(32)
RES_ADD(64)

static COLD void flags_res_dynamic_slow(UOP_ARGS)
{
	cpu->fa = fa;
	cpu->fb = fb;
	u32 rflags = cpu_rflags(cpu);
	flags_to_res(rflags, &cpu->fa, &cpu->fb);
	cpu->flag_kind = FK_RES;
	fa = cpu->fa;
	fb = cpu->fb;
	NEXT;
}

static void flags_res_dynamic(UOP_ARGS)
{
	if (cpu->flag_kind != FK_RES)
		return flags_res_dynamic_slow(UOP_PASS);
	NEXT;
}

/* After this fb holds CF, AF and OF. */
static void need_res(struct builder *b)
{
	static const uop_fn from_add[] = {flags_res_add8, flags_res_add16, flags_res_add32,
					  flags_res_add64};
	static const uop_fn from_sub[] = {flags_res_sub8, flags_res_sub16, flags_res_sub32,
					  flags_res_sub64};
	switch (b->sf) {
	case SF_RES:
	case SF_LOGIC: return;
	case SF_ADD: emit(b, from_add[b->sf_lg]); break;
	case SF_SUB: emit(b, from_sub[b->sf_lg]); break;
	case SF_COMPARED: b->sf = SF_DYNAMIC; return;
	case SF_DYNAMIC: emit(b, flags_res_dynamic); return; /* SF and PF may be inverted: still dynamic */
	}
	b->sf = SF_RES;
}

/* For ADC and SBB, which read CF and replace all: between registers nothing can look at the rest in between. */
void carry_of_difference(UOP_ARGS)
{
	fb = fa < fb;
	NEXT;
}

static void need_carry(struct builder *b, const struct insn *in)
{
	bool known = b->sf == SF_SUB || b->sf == SF_ADD; /* a sum less than its second operand has overflowed */

	if (known && in->op[0].kind != OPK_MEM && in->op[1].kind != OPK_MEM)
		emit(b, carry_of_difference);
	else
		need_res(b);
}

void builder_need_res(struct builder *b)
{
	need_res(b);
}

static void set_sf(struct builder *b, enum static_flags sf, unsigned size)
{
	b->sf = sf;
	b->sf_lg = lg(size);
}

void mov32_rr(UOP_ARGS);
void mov64_rr(UOP_ARGS);

/*
 * "mov d, s; op d, x" is how compilers write "d = s op x": register operations take their first operand from `base`, and
 * swallow the move that feeds it, also from a few operations before, when those are pure and do not mind.
 */
#define SWALLOW_REACH 6

static bool is_move_to(const struct uop *u, u16 dst, unsigned size)
{
	return u->dst == dst && u->src != dst &&
	       ((u->fn == mov32_rr && size == 4) || (u->fn == mov64_rr && size >= 4));
}

/* Does @u touch the register at @off? */
static bool touches(const struct uop *u, u16 off)
{
	off >>= 3;
	return u->dst >> 3 == off || u->src >> 3 == off || u->base >> 3 == off || u->index >> 3 == off;
}

/*
 * The move that gives @dst its value for an operation of @size, or NULL. Its source is still what it was then, unless @early
 * allows the operation to be done where the move stands.
 */
static struct uop *find_move(struct builder *b, u16 dst, unsigned size, bool early)
{
	unsigned i = b->n, end = i > SWALLOW_REACH ? i - SWALLOW_REACH : 0;
	struct uop *m;

	for (;;) {
		if (i == end || !b->pure[i - 1])
			return NULL;
		m = &b->u[--i];
		if (is_move_to(m, dst, size))
			break;
		if (touches(m, dst))
			return NULL;
	}
	for (unsigned k = i + 1; k < b->n && !early; k++)
		if (b->u[k].dst >> 3 == m->src >> 3)
			return NULL;
	return m;
}

/* Takes @m out; a chain left in front of what now stands there resumes at the move. */
static void remove_move(struct builder *b, struct uop *m)
{
	unsigned i = (unsigned)(m - b->u);
	u16 off = m->off;
	u8 icnt = m->icnt;

	b->n--;
	memmove(m, m + 1, (b->n - i) * sizeof(*m));
	b->u[i].off = off;
	b->u[i].icnt = icnt;
}

/* "mov d, s; ...; op d, constant", where op makes no flags: done at once where the move stood. NULL: there is no such move. */
static struct uop *emit_early(struct builder *b, uop_fn fn, u16 d, unsigned size)
{
	struct uop *m = find_move(b, d, size, true);

	if (m) {
		m->fn = fn;
		m->base = m->src;
		m->src = REG_OFF(R_ZERO);
	}
	return m;
}

/* Appends @fn working on register @d and register @s, first operand in base. */
static struct uop *emit_op(struct builder *b, uop_fn fn, u16 d, u16 s, unsigned size)
{
	struct uop *m = find_move(b, d, size, false), *u;
	u16 base = d, off = b->off[b->cur];
	u8 icnt = (u8)b->cur;

	if (m) {
		base = m->src;
		if (m == &b->u[b->n - 1]) { /* the pair begins where the move did */
			off = m->off;
			icnt = m->icnt;
			b->n--;
		} else {
			remove_move(b, m);
		}
	}
	u = emit_pure(b, fn);
	u->off = off;
	u->icnt = icnt;
	u->dst = d;
	u->base = base;
	u->src = s == d ? base : s;
	b->pure[b->n - 1] = d < REG_OFF(16);
	return u;
}

static void emit_alu(struct builder *b, const struct insn *in, const struct alu_fns *f)
{
	const struct operand *d = &in->op[0], *s = &in->op[1];
	struct uop *u;

	if (d->kind == OPK_MEM) {
		bool reg = s->kind != OPK_IMM;
		u = emit_mem(b, in, reg ? f->mr : f->mi, d->size, d->rw & 2 ? ACC_RW : ACC_R);
		if (reg)
			u->src = operand_off(s);
		else
			u->imm = in->imm;
		return;
	}
	if (s->kind == OPK_MEM) {
		u = emit_mem(b, in, f->rm, s->size, ACC_R);
		u->dst = operand_off(d);
	} else if (d->rw != 3) { /* moves and compares */
		u = emit_pure(b, s->kind == OPK_IMM ? f->ri : f->rr);
		b->pure[b->n - 1] = d->rw == 2;
		u->dst = operand_off(d);
		if (s->kind == OPK_IMM)
			u->imm = in->imm;
		else
			u->src = operand_off(s);
	} else if (s->kind == OPK_IMM) {
		emit_op(b, f->ri, operand_off(d), REG_OFF(R_ZERO), d->size)->imm = in->imm;
	} else {
		emit_op(b, f->rr, operand_off(d), operand_off(s), d->size);
	}
}

void zero32(UOP_ARGS)
{
	REG64(u->dst) = 0;
	NEXT;
}

void zero32_f(UOP_ARGS)
{
	REG64(u->dst) = 0;
	fa = fb = 0;
	KIND(FK_RES);
	NEXT;
}

static bool is_zeroing(const struct insn *in, u32 op)
{
	return (op == ALU_XOR || op == ALU_SUB) && in->op[0].kind == OPK_GPR &&
	       in->op[1].kind == OPK_GPR && in->op[0].reg == in->op[1].reg && in->op[0].size >= 4;
}

static void gen_alu(struct builder *b, const struct insn *in, u32 op)
{
	static const enum static_flags after[] = {
		[ALU_ADD] = SF_ADD,  [ALU_SUB] = SF_SUB, [ALU_AND] = SF_LOGIC, [ALU_OR] = SF_LOGIC,
		[ALU_XOR] = SF_LOGIC, [ALU_ADC] = SF_RES, [ALU_SBB] = SF_RES,   [ALU_CMP] = SF_SUB,
		[ALU_TEST] = SF_LOGIC,
	};
	bool keep = flags_needed(b) != 0;

	if (op >= ALU_CMP && fuse_compare_branch(b, in, op == ALU_TEST))
		return;
	if (!keep && op >= ALU_CMP && in->op[0].kind != OPK_MEM && in->op[1].kind != OPK_MEM)
		return;
	if (is_zeroing(in, op)) {
		emit_pure(b, keep ? zero32_f : zero32)->dst = operand_off(&in->op[0]);
		if (keep)
			b->sf = SF_LOGIC;
		return;
	}
	if (op == ALU_ADC || op == ALU_SBB)
		need_carry(b, in);
	emit_alu(b, in, &alu_fns[op][keep][lg(in->op[0].size)]);
	if (keep || op >= ALU_CMP)
		set_sf(b, after[op], in->op[0].size);
	else if (in->op[0].kind == OPK_MEM || in->op[1].kind == OPK_MEM)
		b->sf = SF_DYNAMIC; /* the slow twin left flags, the fast one did not */
}

#define ALU_DESC(name, member) const struct exec_desc exec_##name = {.gen = gen_alu, .arg = member};
ALU_DESC(add, ALU_ADD)
ALU_DESC(sub, ALU_SUB)
ALU_DESC(and, ALU_AND)
ALU_DESC(or, ALU_OR)
ALU_DESC(xor, ALU_XOR)
ALU_DESC(adc, ALU_ADC)
ALU_DESC(sbb, ALU_SBB)
ALU_DESC(cmp, ALU_CMP)
ALU_DESC(test, ALU_TEST)

/* ---- moves ----------------------------------------------------------------------------------------- */

#define MOV_FNS(bits)                                                                             \
	{mov##bits##_rr, mov##bits##_ri, EAM3(mov##bits##_rm), EAM3(mov##bits##_mr),               \
	 EAM3(mov##bits##_mi)}
#define MOVE(bits)                                                                                \
	void mov##bits##_rr(UOP_ARGS)                                                       \
	{                                                                                          \
		SETREG##bits(u->dst, REG##bits(u->src));                                            \
		NEXT;                                                                               \
	}                                                                                          \
	void mov##bits##_ri(UOP_ARGS)                                                       \
	{                                                                                          \
		SETREG##bits(u->dst, u->imm);                                                       \
		NEXT;                                                                               \
	}                                                                                          \
	UOP_LOAD3(mov##bits##_rm, u##bits, SETREG##bits(u->dst, m))                                \
	UOP_STORE3(mov##bits##_mr, u##bits, REG##bits(u->src), )                                   \
	UOP_STORE3(mov##bits##_mi, u##bits, (u##bits)u->imm, )                                     \
	static COLD void rmw##bits##_load_slow(UOP_ARGS)                                           \
	{                                                                                          \
		u##bits m;                                                                          \
		if (SLOW_READ_RMW(m))                                                               \
			return;                                                                     \
		REG64(u->dst) = m;                                                                  \
		cpu->r[R_EA] = ea;                                                                  \
		NEXT;                                                                               \
	}                                                                                          \
	static void rmw##bits##_load(UOP_ARGS) /* at ea, checked for the write to come */          \
	{                                                                                          \
		const struct tlb_entry *e = &cpu->tlb->w[tlb_index(ea)];                            \
		if (TLB_MISS(e, sizeof(u##bits)))                                                   \
			return rmw##bits##_load_slow(UOP_PASS);                                     \
		REG64(u->dst) = HOST(u##bits, e->host + ea);                                      \
		cpu->r[R_EA] = ea;                                                                  \
		NEXT;                                                                               \
	}
MOVE(8)
MOVE(16)
MOVE(32)
MOVE(64)

static const struct alu_fns mov_fns[4] = {MOV_FNS(8), MOV_FNS(16), MOV_FNS(32), MOV_FNS(64)};

static void gen_mov(struct builder *b, const struct insn *in, u32 arg)
{
	emit_alu(b, in, &mov_fns[lg(in->op[0].size)]);
}
const struct exec_desc exec_mov = {.gen = gen_mov};

u16 emit_load_tmp(struct builder *b, const struct insn *in, unsigned i)
{
	const struct operand *o = &in->op[i];

	if (o->kind != OPK_MEM)
		return operand_off(o);
	emit_mem(b, in, mov_fns[lg(o->size)].rm, o->size, ACC_R)->dst = REG_OFF(R_TMP);
	return REG_OFF(R_TMP);
}

/* The same for an operand that is written back with store_tmp(). */
static u16 load_rmw_tmp(struct builder *b, const struct insn *in, unsigned i)
{
	static const uop_fn load[] = {rmw8_load, rmw16_load, rmw32_load, rmw64_load};
	const struct operand *o = &in->op[i];

	if (o->kind != OPK_MEM)
		return operand_off(o);
	emit_ea(b, in, o->size, ACC_RW);
	emit(b, load[lg(o->size)])->dst = REG_OFF(R_TMP);
	return REG_OFF(R_TMP);
}

static void store_tmp(struct builder *b, const struct insn *in, unsigned i)
{
	const struct operand *o = &in->op[i];

	if (o->kind != OPK_MEM)
		return;
	struct uop *u = emit(b, mov_fns[lg(o->size)].mr[EAM_BD]);
	u->src = REG_OFF(R_TMP);
	u->base = REG_OFF(R_EA);
}

#define EXTEND(name, from, to, T, expr)                                                           \
	void name##_rr(UOP_ARGS)                                                            \
	{                                                                                          \
		T m = (T)REG##from(u->src);                                                         \
		SETREG##to(u->dst, expr);                                                           \
		NEXT;                                                                               \
	}                                                                                          \
	UOP_LOAD3(name##_rm, T, SETREG##to(u->dst, expr))
EXTEND(movzx8_16, 8, 16, u8, m)
EXTEND(movzx8_32, 8, 32, u8, m)
EXTEND(movzx16_32, 16, 32, u16, m)
EXTEND(movsx8_16, 8, 16, s8, (s64)m)
EXTEND(movsx8_32, 8, 32, s8, (s64)m)
EXTEND(movsx8_64, 8, 64, s8, (s64)m)
EXTEND(movsx16_32, 16, 32, s16, (s64)m)
EXTEND(movsx16_64, 16, 64, s16, (s64)m)
EXTEND(movsx32_64, 32, 64, s32, (s64)m)

/* [sign][log2 source size][log2 destination size]; zero extension to 64 bits is that to 32 */
#define EXT(name) {name##_rr, NULL, EAM3(name##_rm), {NULL}, {NULL}}
static const struct alu_fns extend_fns[2][3][4] = {
	{{[1] = EXT(movzx8_16), [2] = EXT(movzx8_32), [3] = EXT(movzx8_32)},
	 {[1] = MOV_FNS(16), [2] = EXT(movzx16_32), [3] = EXT(movzx16_32)},
	 {[2] = MOV_FNS(32), [3] = MOV_FNS(32)}},
	{{[1] = EXT(movsx8_16), [2] = EXT(movsx8_32), [3] = EXT(movsx8_64)},
	 {[1] = MOV_FNS(16), [2] = EXT(movsx16_32), [3] = EXT(movsx16_64)},
	 {[2] = MOV_FNS(32), [3] = EXT(movsx32_64)}},
};

static void gen_extend(struct builder *b, const struct insn *in, u32 sign)
{
	unsigned from = lg(in->op[1].size), to = lg(in->op[0].size);

	if (to < from) /* MOVSXD r16, r/m16 decodes a 32-bit source on some tables; only 16 bits count */
		from = to;
	emit_alu(b, in, &extend_fns[sign][from][to]);
}
const struct exec_desc exec_movzx = {.gen = gen_extend, .arg = 0};
const struct exec_desc exec_movsx = {.gen = gen_extend, .arg = 1};
const struct exec_desc exec_movsxd = {.gen = gen_extend, .arg = 1};

#define LEA(bits)                                                                                 \
	void lea##bits##_bd(UOP_ARGS)                                                       \
	{                                                                                          \
		ea = EA_bd;                                                                        \
		SETREG##bits(u->dst, ea);                                                        \
		NEXT;                                                                               \
	}                                                                                          \
	void lea##bits##_bis(UOP_ARGS)                                                      \
	{                                                                                          \
		ea = EA_bis;                                                                        \
		SETREG##bits(u->dst, ea);                                                       \
		NEXT;                                                                               \
	}
LEA(16)
LEA(32)
LEA(64)

static int op_lea(struct cpu *cpu, const struct insn *in)
{
	reg_write(cpu, in->op[0].reg, in->op[0].size, op_ea(cpu, in));
	return 0;
}

static void gen_lea(struct builder *b, const struct insn *in, u32 arg)
{
	static const uop_fn bd[] = {NULL, lea16_bd, lea32_bd, lea64_bd};
	static const uop_fn bis[] = {NULL, lea16_bis, lea32_bis, lea64_bis};
	unsigned l = lg(in->op[0].size);

	if (in->adsize < in->op[0].size || in->base == R_CODE || in->disp != (s32)in->disp) {
		/* rip-relative goes through the general address code unless it fits */
		s64 disp = b->off[b->cur] + in->len + in->disp;
		if (in->base == R_CODE && in->adsize == 8 && disp == (s32)disp) {
			struct uop *u = emit_pure(b, bd[l]);
			u->dst = operand_off(&in->op[0]);
			u->base = REG_OFF(R_CODE);
			u->disp = (s32)disp;
			return;
		}
		emit_call(b, in, op_lea);
		return;
	}
	struct uop *u = emit_pure(b, in->index == R_ZERO ? bd[l] : bis[l]);
	u->dst = operand_off(&in->op[0]);
	u->base = REG_OFF(in->base);
	u->index = REG_OFF(in->index);
	u->sh = in->scale;
	u->disp = (s32)in->disp;
}
const struct exec_desc exec_lea = {.gen = gen_lea};

#define XCHG(bits)                                                                                \
	static void xchg##bits##_rr(UOP_ARGS)                                                      \
	{                                                                                          \
		u##bits t = REG##bits(u->dst);                                                      \
		SETREG##bits(u->dst, REG##bits(u->src));                                            \
		SETREG##bits(u->src, t);                                                            \
		NEXT;                                                                               \
	}
XCHG(8)
XCHG(16)
XCHG(32)
XCHG(64)

static void gen_xchg(struct builder *b, const struct insn *in, u32 arg)
{
	static const uop_fn rr[] = {xchg8_rr, xchg16_rr, xchg32_rr, xchg64_rr};
	unsigned m = in->op[1].kind == OPK_MEM, l = lg(in->op[0].size);

	if (in->op[m].kind == OPK_MEM) {
		const struct operand *r = &in->op[!m];
		load_rmw_tmp(b, in, m);
		struct uop *x = emit(b, rr[l]);
		x->dst = REG_OFF(R_TMP);
		x->src = operand_off(r);
		store_tmp(b, in, m);
		return;
	}
	struct uop *u = emit(b, rr[l]);
	u->dst = operand_off(&in->op[0]);
	u->src = operand_off(&in->op[1]);
}
const struct exec_desc exec_xchg = {.gen = gen_xchg};

static void gen_nothing(struct builder *b, const struct insn *in, u32 arg)
{
}
const struct exec_desc exec_nop = {.gen = gen_nothing};
const struct exec_desc exec_prefetch = {.gen = gen_nothing};
const struct exec_desc exec_lfence = {.gen = gen_nothing};
const struct exec_desc exec_mfence = {.gen = gen_nothing};
const struct exec_desc exec_sfence = {.gen = gen_nothing};

/* ---- the stack -------------------------------------------------------------------------------------- */

#define SP32 ((u32)REG64(REG_OFF(RSP)))
#define SET_SP(v) (REG64(REG_OFF(RSP)) = (v))

#define PUSH(name, type, new_sp, value)                                                           \
	static COLD void name##_slow(UOP_ARGS)                                                     \
	{                                                                                          \
		type m = (type)(value);                                                             \
		if (SLOW_WRITE(m))                                                                  \
			return;                                                                     \
		SET_SP(ea);                                                                         \
		SLOW_NEXT;                                                                          \
	}                                                                                          \
	void name(UOP_ARGS)                                                                 \
	{                                                                                          \
		ea = new_sp;                                                                        \
		const struct tlb_entry *e = &cpu->tlb->w[tlb_index(ea)];                            \
		if (TLB_MISS(e, sizeof(type)))                                                      \
			return name##_slow(UOP_PASS);                                               \
		HOST(type, e->host + ea) = (type)(value);                                         \
		SET_SP(ea);                                                                         \
		NEXT;                                                                               \
	}
PUSH(push64_r, u64, REG64(REG_OFF(RSP)) - 8, REG64(u->src))
PUSH(push64_i, u64, REG64(REG_OFF(RSP)) - 8, u->imm)
PUSH(push32_r, u32, (u32)(SP32 - 4), REG32(u->src))
PUSH(push32_i, u32, (u32)(SP32 - 4), u->imm)

#define POP(name, type, sp, size)                                                                 \
	static COLD void name##_slow(UOP_ARGS)                                                     \
	{                                                                                          \
		type m;                                                                             \
		if (SLOW_READ(m))                                                                   \
			return;                                                                     \
		SET_SP((type)(ea + size));                                                          \
		REG64(u->dst) = m;                                                                  \
		SLOW_NEXT;                                                                          \
	}                                                                                          \
	void name(UOP_ARGS)                                                                 \
	{                                                                                          \
		ea = sp;                                                                            \
		const struct tlb_entry *e = &cpu->tlb->r[tlb_index(ea)];                            \
		if (TLB_MISS(e, sizeof(type)))                                                      \
			return name##_slow(UOP_PASS);                                               \
		type m = HOST(type, e->host + ea);                                                \
		SET_SP((type)(ea + size));                                                          \
		REG64(u->dst) = m;                                                                  \
		NEXT;                                                                               \
	}
POP(pop64_r, u64, REG64(REG_OFF(RSP)), 8)
POP(pop32_r, u32, SP32, 4)

static int op_push(struct cpu *cpu, const struct insn *in)
{
	u64 v;
	if (in->op[0].kind == OPK_IMM)
		v = in->imm;
	else if (op_read(cpu, in, 0, &v))
		return 1;
	return push_value(cpu, in->opsize, v);
}

/* POP to memory computes its address after the stack pointer moved (SDM Vol. 2B, POP). */
static int op_pop(struct cpu *cpu, const struct insn *in)
{
	u64 v, old = cpu->r[RSP];

	if (pop_value(cpu, in->opsize, &v))
		return 1;
	if (op_write(cpu, in, 0, v)) {
		cpu->r[RSP] = old;
		return 1;
	}
	return 0;
}

bool flat_stack(const struct builder *b, unsigned size)
{
	if (b->mode & MODE_AC)
		return false;
	if ((b->mode & MODE_BITS) == MODE_64)
		return size == 8;
	return size == 4 && (b->mode & MODE_SS32) && (b->mode & MODE_FLAT_DATA);
}

static void gen_push(struct builder *b, const struct insn *in, u32 arg)
{
	bool wide = in->opsize == 8;
	struct uop *u;

	if (!flat_stack(b, in->opsize)) {
		emit_call(b, in, op_push);
		return;
	}
	if (in->op[0].kind == OPK_IMM) {
		u = emit(b, wide ? push64_i : push32_i);
		u->imm = in->imm;
		return;
	}
	u16 src = emit_load_tmp(b, in, 0);
	u = emit(b, wide ? push64_r : push32_r);
	u->src = src;
}
const struct exec_desc exec_push = {.gen = gen_push};

static void gen_pop(struct builder *b, const struct insn *in, u32 arg)
{
	if (!flat_stack(b, in->opsize) || in->op[0].kind != OPK_GPR)
		emit_call(b, in, op_pop);
	else
		emit(b, in->opsize == 8 ? pop64_r : pop32_r)->dst = operand_off(&in->op[0]);
}
const struct exec_desc exec_pop = {.gen = gen_pop};

/* ---- one-operand arithmetic --------------------------------------------------------------------------- */

#define UNARY(bits)                                                                               \
	static void inc##bits##_n(UOP_ARGS)                                                        \
	{                                                                                          \
		SETREG##bits(u->dst, REG##bits(u->base) + 1);                                       \
		NEXT;                                                                               \
	}                                                                                          \
	static void inc##bits##_f(UOP_ARGS)                                                        \
	{                                                                                          \
		u##bits r = (u##bits)(REG##bits(u->base) + 1);                                      \
		SETREG##bits(u->dst, r);                                                            \
		fa = SX(bits, r);                                                                   \
		fb = (fb & FL_CF) | ((r & 15) == 0 ? FL_AF : 0) |                                   \
		     (r == (u##bits)BIT64(bits - 1) ? FL_OF : 0);                                   \
		KIND(FK_RES);                                                                       \
		NEXT;                                                                               \
	}                                                                                          \
	static void dec##bits##_n(UOP_ARGS)                                                        \
	{                                                                                          \
		SETREG##bits(u->dst, REG##bits(u->base) - 1);                                       \
		NEXT;                                                                               \
	}                                                                                          \
	static void dec##bits##_f(UOP_ARGS)                                                        \
	{                                                                                          \
		u##bits r = (u##bits)(REG##bits(u->base) - 1);                                      \
		SETREG##bits(u->dst, r);                                                            \
		fa = SX(bits, r);                                                                   \
		fb = (fb & FL_CF) | ((r & 15) == 15 ? FL_AF : 0) |                                  \
		     (r == (u##bits)(BIT64(bits - 1) - 1) ? FL_OF : 0);                             \
		KIND(FK_RES);                                                                       \
		NEXT;                                                                               \
	}                                                                                          \
	void not##bits(UOP_ARGS)                                                            \
	{                                                                                          \
		SETREG##bits(u->dst, ~REG##bits(u->base));                                          \
		NEXT;                                                                               \
	}                                                                                          \
	static void neg##bits(UOP_ARGS)                                                            \
	{                                                                                          \
		u##bits v = REG##bits(u->base);                                                     \
		SETREG##bits(u->dst, 0 - v);                                                        \
		fa = 0;                                                                             \
		fb = SX(bits, v);                                                                   \
		KIND(FK_SUB + LG##bits);                                                            \
		NEXT;                                                                               \
	}
UNARY(8)
UNARY(16)
UNARY(32)
UNARY(64)

/* INC and DEC of memory, which keep CF whatever the flags' kind. */
#define KEEP_CARRY                                                                                \
	do {                                                                                      \
		if (likely(cpu->flag_kind >= FK_ADD))                                             \
			fb = fa < fb;                                                             \
		else if (cpu->flag_kind == FK_RES)                                                \
			fb &= FL_CF;                                                              \
		else                                                                              \
			fb = cpu->rflags & FL_CF;                                                 \
	} while (0)

/* Of @m, come about by adding @by: what changed tells AF, and with the @larger one's sign, OF. */
#define STEP_FLAGS(bits, by, larger)                                                              \
	fa = SX(bits, m);                                                                         \
	u64 was = SX(bits, m - (by)), changed = was ^ fa;                                         \
	fb |= changed & FL_AF;                                                                    \
	fb |= (changed & larger) >> 63 << 11;                                                     \
	KIND(FK_RES)
#define STEP_MEM_FAST(name, slow, eam, bits, by, larger)                                          \
	void name##_##eam(UOP_ARGS)                                                               \
	{                                                                                         \
		ea = EA_##eam;                                                                    \
		const struct tlb_entry *e = &cpu->tlb->w[tlb_index(ea)];                          \
		if (TLB_MISS(e, sizeof(u##bits)))                                                 \
			return slow(UOP_PASS);                                                    \
		ea += e->host;                                                                    \
		KEEP_CARRY;                                                                       \
		u##bits m = (u##bits)(HOST(u##bits, ea) + (by));                                  \
		HOST(u##bits, ea) = m;                                                            \
		STEP_FLAGS(bits, by, larger);                                                     \
		NEXT;                                                                             \
	}
#define STEP_MEM(name, bits, by, larger)                                                          \
	UOP_RMW_SLOW(name##bits##_m_slow, u##bits, {                                              \
		KEEP_CARRY;                                                                       \
		m = (u##bits)(m + (by));                                                          \
		STEP_FLAGS(bits, by, larger);                                                     \
	})                                                                                        \
	STEP_MEM_FAST(name##bits##_m, name##bits##_m_slow, bd, bits, by, larger)                  \
	STEP_MEM_FAST(name##bits##_m, name##bits##_m_slow, bis, bits, by, larger)                 \
	STEP_MEM_FAST(name##bits##_m, name##bits##_m_slow, pre, bits, by, larger)
#define INC_DEC_MEM(bits)                                                                         \
	STEP_MEM(inc, bits, 1, fa)                                                                \
	STEP_MEM(dec, bits, -1, was)
INC_DEC_MEM(8)
INC_DEC_MEM(16)
INC_DEC_MEM(32)
INC_DEC_MEM(64)

enum unary { UN_INC, UN_DEC, UN_NOT, UN_NEG };

static void gen_unary(struct builder *b, const struct insn *in, u32 op)
{
	static const uop_fn fns[][2][4] = {
		[UN_INC] = {{inc8_n, inc16_n, inc32_n, inc64_n}, {inc8_f, inc16_f, inc32_f, inc64_f}},
		[UN_DEC] = {{dec8_n, dec16_n, dec32_n, dec64_n}, {dec8_f, dec16_f, dec32_f, dec64_f}},
		[UN_NOT] = {{not8, not16, not32, not64}, {not8, not16, not32, not64}},
		[UN_NEG] = {{neg8, neg16, neg32, neg64}, {neg8, neg16, neg32, neg64}},
	};
	static const uop_fn mem[][4][EAM_COUNT] = {
		[UN_INC] = {EAM3(inc8_m), EAM3(inc16_m), EAM3(inc32_m), EAM3(inc64_m)},
		[UN_DEC] = {EAM3(dec8_m), EAM3(dec16_m), EAM3(dec32_m), EAM3(dec64_m)},
	};
	bool keep = op != UN_NOT && flags_needed(b);
	unsigned size = in->op[0].size;

	if (op <= UN_DEC && in->op[0].kind == OPK_MEM) {
		emit_mem(b, in, mem[op][lg(size)], size, ACC_RW);
		b->sf = SF_RES;
		return;
	}
	if (keep && op != UN_NEG)
		need_res(b);
	u16 off = load_rmw_tmp(b, in, 0);
	emit_op(b, fns[op][keep][lg(size)], off, REG_OFF(R_ZERO), size);
	store_tmp(b, in, 0);
	if (op == UN_NEG)
		set_sf(b, SF_SUB, size);
	else if (keep)
		b->sf = SF_RES;
}
const struct exec_desc exec_inc = {.gen = gen_unary, .arg = UN_INC};
const struct exec_desc exec_dec = {.gen = gen_unary, .arg = UN_DEC};
const struct exec_desc exec_not = {.gen = gen_unary, .arg = UN_NOT};
const struct exec_desc exec_neg = {.gen = gen_unary, .arg = UN_NEG};

/* ---- shifts and rotates ------------------------------------------------------------------------------ */

/*
 * Each: v the operand, c the masked count (not 0); r the result, cf and of. OF is defined for counts of 1 only; the same
 * formula serves all counts. Rotates keep ZF, SF, PF (fa) and AF.
 */
#define SHIFT_SAR(bits, v, c) ((u##bits)((s64)(s##bits)(v) >> (c)))
#define SHIFT_SHL(bits, v, c) ((u##bits)((u64)(v) << (c)))
#define SHIFT_SHR(bits, v, c) ((u##bits)((u64)(v) >> (c)))
#define CALC_shl(bits, c)                                                                         \
	r = SHIFT_SHL(bits, v, c);                                                                 \
	cf = TOP_BIT(bits, SHIFT_SHL(bits, v, (c - 1) & 63));                                             \
	of = TOP_BIT(bits, r) ^ cf
#define CALC_shr(bits, c)                                                                         \
	r = SHIFT_SHR(bits, v, c);                                                                 \
	cf = SHIFT_SHR(bits, v, (c - 1) & 63) & 1;                                                        \
	of = TOP_BIT(bits, v)
#define CALC_sar(bits, c)                                                                         \
	r = SHIFT_SAR(bits, v, c);                                                                 \
	cf = SHIFT_SAR(bits, v, (c - 1) & 63) & 1;                                                        \
	of = 0
#define CALC_rol(bits, c)                                                                         \
	r = ROT_L(bits, v, c);                                                                     \
	cf = r & 1;                                                                                \
	of = TOP_BIT(bits, r) ^ cf
#define CALC_ror(bits, c)                                                                         \
	r = ROT_L(bits, v, -c);                                                                    \
	cf = TOP_BIT(bits, r);                                                                     \
	of = TOP_BIT(bits, r) ^ (r >> (bits - 2) & 1)

#define COUNT_MASK(bits) (bits == 64 ? 63 : 31)
/*
 * OF is defined for counts of 1 only; other counts leave it 0 (shifts) or alone (rotates of 32 and 64 bits, which
 * hashes are made of).
 */
#define SHIFT_FLAGS(bits, overflow) fa = SX(bits, r), fb = cf | (overflow) << 11, KIND(FK_RES)
#define ROTATE_FLAGS(bits, overflow) ROTATE_FLAGS_##overflow
#define ROTATE_FLAGS_of fb = (fb & ~(u64)(FL_CF | FL_OF)) | cf | of << 11
#define ROTATE_FLAGS_0 fb = (fb & ~(u64)FL_CF) | cf
#define SHIFT_ONE(op, bits, FLAGS)                                                                \
	void op##bits##_i_n(UOP_ARGS)                                                       \
	{                                                                                          \
		u##bits v = REG##bits(u->base), r;                                                  \
		unsigned c = u->sh;                                                                 \
		ea = c;                                                                             \
		u64 cf __attribute__((unused)), of __attribute__((unused));                         \
		CALC_##op(bits, c);                                                                    \
		SETREG##bits(u->dst, r);                                                            \
		NEXT;                                                                               \
	}                                                                                          \
	void op##bits##_o_f(UOP_ARGS)                                                       \
	{                                                                                          \
		u##bits v = REG##bits(u->base), r;                                                  \
		unsigned c = u->sh;                                                                 \
		ea = c;                                                                             \
		u64 cf, of;                                                                         \
		CALC_##op(bits, c);                                                                 \
		SETREG##bits(u->dst, r);                                                            \
		FLAGS(bits, of);                                                                    \
		NEXT;                                                                               \
	}                                                                                          \
	void op##bits##_i_f(UOP_ARGS)                                                       \
	{                                                                                          \
		u##bits v = REG##bits(u->base), r;                                                  \
		unsigned c = u->sh;                                                                 \
		ea = c;                                                                             \
		u64 cf, of __attribute__((unused));                                                 \
		CALC_##op(bits, c);                                                                 \
		SETREG##bits(u->dst, r);                                                            \
		FLAGS(bits, 0);                                                                     \
		NEXT;                                                                               \
	}                                                                                          \
	void op##bits##_c_n(UOP_ARGS)                                                       \
	{                                                                                          \
		u##bits v = REG##bits(u->base), r;                                                  \
		unsigned c = REG8(REG_OFF(RCX)) & COUNT_MASK(bits);                                 \
		ea = c;                                                                             \
		u64 cf __attribute__((unused)), of __attribute__((unused));                         \
		CALC_##op(bits, c); /* right for a count of 0 too: the flags are not wanted */          \
		SETREG##bits(u->dst, r);                                                            \
		NEXT;                                                                               \
	}                                                                                          \
	void op##bits##_c_f(UOP_ARGS)                                                       \
	{                                                                                          \
		u##bits v = REG##bits(u->base), r = v;                                              \
		unsigned c = REG8(REG_OFF(RCX)) & COUNT_MASK(bits);                                 \
		ea = c;                                                                             \
		u64 cf, of;                                                                         \
		if (c) {                                                                            \
			CALC_##op(bits, c);                                                            \
			FLAGS(bits, of);                                                                \
		}                                                                                   \
		SETREG##bits(u->dst, r);                                                            \
		NEXT;                                                                               \
	}
#define SHIFT(op, FLAGS)                                                                          \
	SHIFT_ONE(op, 8, FLAGS)                                                                    \
	SHIFT_ONE(op, 16, FLAGS) SHIFT_ONE(op, 32, FLAGS) SHIFT_ONE(op, 64, FLAGS)
SHIFT(shl, SHIFT_FLAGS)
SHIFT(shr, SHIFT_FLAGS)
SHIFT(sar, SHIFT_FLAGS)
SHIFT(rol, ROTATE_FLAGS)
SHIFT(ror, ROTATE_FLAGS)

enum shift { SH_SHL, SH_SHR, SH_SAR, SH_ROL, SH_ROR };
#define SHIFT_FNS(op)                                                                             \
	{                                                                                          \
		{{op##8_i_n, op##16_i_n, op##32_i_n, op##64_i_n},                                    \
		 {op##8_i_f, op##16_i_f, op##32_i_f, op##64_i_f}},                                   \
		{{op##8_i_n, op##16_i_n, op##32_i_n, op##64_i_n},                                    \
		 {op##8_o_f, op##16_o_f, op##32_o_f, op##64_o_f}},                                   \
		{{op##8_c_n, op##16_c_n, op##32_c_n, op##64_c_n},                                    \
		 {op##8_c_f, op##16_c_f, op##32_c_f, op##64_c_f}},                                   \
	}

static void gen_shift(struct builder *b, const struct insn *in, u32 op)
{
	/* [operation][by constant, the same with OF, by CL][flags kept][log2 size] */
	static const uop_fn fns[][3][2][4] = {
		[SH_SHL] = SHIFT_FNS(shl), [SH_SHR] = SHIFT_FNS(shr), [SH_SAR] = SHIFT_FNS(sar),
		[SH_ROL] = SHIFT_FNS(rol), [SH_ROR] = SHIFT_FNS(ror),
	};
	unsigned size = in->op[0].size;
	bool by_cl = in->op[1].kind == OPK_GPR, rotate = op >= SH_ROL;
	unsigned count = in->op[1].kind == OPK_ONE ? 1 : in->imm & (size == 8 ? 63 : 31);
	bool with_of = count == 1 || (rotate && size <= 2);
	bool keep = flags_needed(b);

	if (rotate && !by_cl && !with_of)
		keep = b->live[b->cur] & FL_CF; /* it leaves OF alone */
	if (!by_cl && count == 0 && in->op[0].kind != OPK_MEM) {
		if (size == 4) { /* a count of 0 still clears the upper half */
			struct uop *u = emit(b, mov32_rr);
			u->dst = u->src = operand_off(&in->op[0]);
		}
		return;
	}
	if (keep && rotate)
		need_res(b);
	u16 off = load_rmw_tmp(b, in, 0);
	if (by_cl || count) {
		uop_fn fn = fns[op][by_cl ? 2 : with_of][keep][lg(size)];
		if (by_cl && off == REG_OFF(RCX)) { /* the count is in the register it works on */
			struct uop *u = emit(b, fn);
			u->dst = u->base = off;
		} else {
			struct uop *u = by_cl || keep ? NULL : emit_early(b, fn, off, size);
			if (!u)
				u = emit_op(b, fn, off, REG_OFF(by_cl ? RCX : R_ZERO), size);
			u->sh = (u8)count;
		}
	}
	store_tmp(b, in, 0);
	if (keep && (by_cl || count)) {
		if (by_cl && !rotate)
			b->sf = SF_DYNAMIC;
		else if (!rotate || b->sf == SF_LOGIC)
			b->sf = SF_RES;
	}
}
const struct exec_desc exec_shl = {.gen = gen_shift, .arg = SH_SHL};
const struct exec_desc exec_shr = {.gen = gen_shift, .arg = SH_SHR};
const struct exec_desc exec_sar = {.gen = gen_shift, .arg = SH_SAR};
const struct exec_desc exec_rol = {.gen = gen_shift, .arg = SH_ROL};
const struct exec_desc exec_ror = {.gen = gen_shift, .arg = SH_ROR};

/* Rotate through carry: a ring of bits + 1 (SDM Vol. 2B, RCL/RCR). */
static int rotate_carry(struct cpu *cpu, const struct insn *in, bool left)
{
	unsigned bits = in->op[0].size * 8;
	u64 count, v, lin = 0;
	bool mem = in->op[0].kind == OPK_MEM;

	if (op_read(cpu, in, 1, &count))
		return 1;
	if (mem && (op_linear(cpu, in, in->op[0].size, ACC_RW, &lin) ||
		    mem_probe(cpu, lin, in->op[0].size, ACC_RW)))
		return 1;
	if (op_read(cpu, in, 0, &v))
		return 1;
	count &= bits == 64 ? 63 : 31;
	unsigned c = (unsigned)count % (bits + 1);
	u128 ring = (u128)(cpu->rflags & FL_CF) << bits | v;
	u128 mask = ((u128)1 << (bits + 1)) - 1;
	if (!left)
		c = (bits + 1 - c) % (bits + 1);
	if (c)
		ring = (ring << c | ring >> (bits + 1 - c)) & mask;
	u64 r = (u64)ring & (bits == 64 ? ~0ull : BIT64(bits) - 1);
	if (op_write(cpu, in, 0, r))
		return 1;
	if (!count)
		return 0;
	bool cf = ring >> bits & 1, top = r >> (bits - 1) & 1;
	bool of = left ? top != cf : top != (r >> (bits - 2) & 1);
	cpu->rflags = (cpu->rflags & ~(FL_CF | FL_OF)) | (cf ? FL_CF : 0) | (of ? FL_OF : 0);
	return 0;
}

SIMPLE(rcl)
{
	return rotate_carry(cpu, in, true);
}

SIMPLE(rcr)
{
	return rotate_carry(cpu, in, false);
}

/* Result flags of the simple operations here: ZF, SF, PF from @r; @extra the rest. */
static void set_result_flags(struct cpu *cpu, u64 r, unsigned size, u32 extra)
{
	u32 zsp = flags_compute(FK_RES, (u64)sext(r, size * 8), 0);
	cpu->rflags = (cpu->rflags & ~FL_ARITH) | zsp | extra;
}

static int double_shift(struct cpu *cpu, const struct insn *in, bool left)
{
	unsigned size = in->op[0].size, bits = size * 8;
	u64 v, fill, count, lin = 0, r;

	if (in->op[0].kind == OPK_MEM && (op_linear(cpu, in, size, ACC_RW, &lin) ||
					  mem_probe(cpu, lin, size, ACC_RW)))
		return 1;
	if (op_read(cpu, in, 0, &v) || op_read(cpu, in, 1, &fill) || op_read(cpu, in, 2, &count))
		return 1;
	unsigned c = count & (bits == 64 ? 63 : 31);
	if (!c)
		return op_write(cpu, in, 0, v);
	/* 16-bit counts of 17..31 are undefined; hardware shifts through destination:source:destination. */
	bool cf;
	if (bits == 16) {
		u64 ring = left ? v << 32 | fill << 16 | v : v << 32 | fill << 16 | v;
		u64 out = left ? ring << c >> 32 : ring >> c;
		cf = left ? ring >> (48 - c) & 1 : ring >> (c - 1) & 1;
		r = out & 0xffff;
	} else {
		r = left ? v << c | fill >> (bits - c) : v >> c | fill << (bits - c);
		r = zext_bytes(r, size);
		cf = left ? v >> (bits - c) & 1 : v >> (c - 1) & 1;
	}
	if (op_write(cpu, in, 0, r))
		return 1;
	bool of = (r ^ v) >> (bits - 1) & 1;
	set_result_flags(cpu, r, size, (cf ? FL_CF : 0) | (of ? FL_OF : 0));
	return 0;
}

SIMPLE(shld)
{
	return double_shift(cpu, in, true);
}

SIMPLE(shrd)
{
	return double_shift(cpu, in, false);
}

/* ---- multiply and divide -------------------------------------------------------------------------------- */

#define IMUL(bits)                                                                                \
	void imul##bits##_rr(UOP_ARGS)                                                      \
	{                                                                                          \
		s##bits p;                                                                          \
		fb = __builtin_mul_overflow((s##bits)REG##bits(u->src),                              \
					    (s##bits)REG##bits(u->base), &p)                        \
			     ? FL_CF | FL_OF                                                        \
			     : 0;                                                                   \
		SETREG##bits(u->dst, p);                                                            \
		fa = SX(bits, p);                                                                   \
		KIND(FK_RES);                                                                       \
		NEXT;                                                                               \
	}                                                                                          \
	void imul##bits##_rri(UOP_ARGS)                                                     \
	{                                                                                          \
		s##bits p;                                                                          \
		fb = __builtin_mul_overflow((s##bits)REG##bits(u->src), (s##bits)u->imm, &p)         \
			     ? FL_CF | FL_OF                                                        \
			     : 0;                                                                   \
		SETREG##bits(u->dst, p);                                                            \
		fa = SX(bits, p);                                                                   \
		KIND(FK_RES);                                                                       \
		NEXT;                                                                               \
	}                                                                                          \
	void imul##bits##_rr_n(UOP_ARGS)                                                    \
	{                                                                                          \
		SETREG##bits(u->dst, (u64)REG##bits(u->src) * REG##bits(u->base));                  \
		NEXT;                                                                               \
	}                                                                                          \
	void imul##bits##_rri_n(UOP_ARGS)                                                   \
	{                                                                                          \
		SETREG##bits(u->dst, (u64)REG##bits(u->src) * (u##bits)u->imm);                     \
		NEXT;                                                                               \
	}
IMUL(16)
IMUL(32)
IMUL(64)

static void gen_imul(struct builder *b, const struct insn *in, u32 arg)
{
	static const uop_fn rr[2][4] = {{NULL, imul16_rr_n, imul32_rr_n, imul64_rr_n},
					{NULL, imul16_rr, imul32_rr, imul64_rr}};
	static const uop_fn rri[2][4] = {{NULL, imul16_rri_n, imul32_rri_n, imul64_rri_n},
					 {NULL, imul16_rri, imul32_rri, imul64_rri}};
	unsigned l = lg(in->op[0].size);
	bool keep = flags_needed(b), three = in->op[2].kind == OPK_IMM;
	u16 src = emit_load_tmp(b, in, 1);
	struct uop *u = emit(b, three ? rri[keep][l] : rr[keep][l]);

	u->dst = operand_off(&in->op[0]);
	u->src = src;
	u->base = u->dst;
	if (three)
		u->imm = in->imm;
	if (keep)
		b->sf = SF_RES;
}
const struct exec_desc exec_imul = {.gen = gen_imul};

/* MUL and one-operand IMUL: rDX:rAX (AX for bytes). */
#define MUL_ONE(name, T, W, bits, extends, fl, FLAGS)                                             \
	void name##bits##_##fl(UOP_ARGS)                                                    \
	{                                                                                          \
		W p = (W)(T)REG##bits(REG_OFF(RAX)) * (T)REG##bits(u->src);                         \
		u##bits lo = (u##bits)p, hi = (u##bits)(p >> bits);                                 \
		SETREG##bits(REG_OFF(RAX), lo);                                                     \
		SETREG##bits(bits == 8 ? REG8H_OFF(RAX) : REG_OFF(RDX), hi);                        \
		FLAGS(bits, extends);                                                               \
		NEXT;                                                                               \
	}
/* CF and OF tell that the upper half is more than the extension of the lower. */
#define MUL_FLAGS(bits, extends)                                                                  \
	fa = SX(bits, lo), fb = (extends) ? 0 : FL_CF | FL_OF, KIND(FK_RES)
#define NO_FLAGS(bits, extends) (void)0
#define MUL(name, T, W, bits, extends)                                                            \
	MUL_ONE(name, T, W, bits, extends, n, NO_FLAGS)                                            \
	MUL_ONE(name, T, W, bits, extends, f, MUL_FLAGS)
MUL(mul, u8, u32, 8, hi == 0)
MUL(mul, u16, u32, 16, hi == 0)
MUL(mul, u32, u64, 32, hi == 0)
MUL(mul, u64, u128, 64, hi == 0)
MUL(imul1_, s8, s32, 8, (s8)hi == (s8)lo >> 7)
MUL(imul1_, s16, s32, 16, (s16)hi == (s16)lo >> 15)
MUL(imul1_, s32, s64, 32, (s32)hi == (s32)lo >> 31)
MUL(imul1_, s64, s128, 64, (s64)hi == (s64)lo >> 63)
#define MUL_FNS(fl)                                                                               \
	{                                                                                          \
		{mul8_##fl, mul16_##fl, mul32_##fl, mul64_##fl},                                     \
		{imul1_8_##fl, imul1_16_##fl, imul1_32_##fl, imul1_64_##fl},                         \
	}

static void gen_mul(struct builder *b, const struct insn *in, u32 is_signed)
{
	/* [flags kept][signed][log2 size] */
	static const uop_fn fns[2][2][4] = {MUL_FNS(n), MUL_FNS(f)};
	unsigned i = in->nops > 1 && in->op[1].kind == OPK_MEM ? 1 : 0;
	bool keep = flags_needed(b);
	u16 src = emit_load_tmp(b, in, i);

	emit(b, fns[keep][is_signed][lg(in->op[i].size)])->src = src;
	if (keep)
		b->sf = SF_RES;
}
const struct exec_desc exec_mul = {.gen = gen_mul, .arg = 0};
const struct exec_desc exec_imul1 = {.gen = gen_mul, .arg = 1};

static COLD void divide_error(UOP_ARGS)
{
	(void)!cpu_fault(cpu, EXC_DE, 0, "divisor is 0 or the quotient does not fit", REG64(u->src & ~7u));
	uop_fault(UOP_PASS);
}

/* DIV, IDIV: quotient to rAX (AL), remainder to rDX (AH); flags are left as they were. */
#define DIV(bits, U, S, UDIV, SDIV)                                                               \
	static void div##bits(UOP_ARGS)                                                            \
	{                                                                                          \
		U n = UDIV, d = REG##bits(u->src);                                                  \
		if (unlikely(d == 0 || n >> bits >= d))                                             \
			return divide_error(UOP_PASS);                                              \
		U q = n / d, r = n % d;                                                             \
		SETREG##bits(REG_OFF(RAX), q);                                                      \
		SETREG##bits(bits == 8 ? REG8H_OFF(RAX) : REG_OFF(RDX), r);                         \
		NEXT;                                                                               \
	}                                                                                          \
	static void idiv##bits(UOP_ARGS)                                                           \
	{                                                                                          \
		S n = SDIV, d = (s##bits)REG##bits(u->src);                                         \
		if (unlikely(d == 0 || (d == -1 && n == (S)((U)1 << (sizeof(S) * 8 - 1)))))         \
			return divide_error(UOP_PASS);                                              \
		S q = n / d, r = n % d;                                                             \
		if (unlikely(q != (s##bits)q))                                                      \
			return divide_error(UOP_PASS);                                              \
		SETREG##bits(REG_OFF(RAX), q);                                                      \
		SETREG##bits(bits == 8 ? REG8H_OFF(RAX) : REG_OFF(RDX), r);                         \
		NEXT;                                                                               \
	}
DIV(8, u32, s32, REG16(REG_OFF(RAX)), (s16)REG16(REG_OFF(RAX)))
DIV(16, u32, s32, (u32)REG16(REG_OFF(RDX)) << 16 | REG16(REG_OFF(RAX)),
    (s32)((u32)REG16(REG_OFF(RDX)) << 16 | REG16(REG_OFF(RAX))))
DIV(32, u64, s64, (u64)REG32(REG_OFF(RDX)) << 32 | REG32(REG_OFF(RAX)),
    (s64)((u64)REG32(REG_OFF(RDX)) << 32 | REG32(REG_OFF(RAX))))

/* 64 bits: the dividend is nearly always an extended RAX; the other case divides 128 bits out of line. */
static COLD void div64_wide(UOP_ARGS)
{
	u64 d = REG64(u->src), hi = REG64(REG_OFF(RDX));
	if (d == 0 || hi >= d)
		return divide_error(UOP_PASS);
	u128 n = (u128)hi << 64 | REG64(REG_OFF(RAX));
	REG64(REG_OFF(RAX)) = (u64)(n / d);
	REG64(REG_OFF(RDX)) = (u64)(n % d);
	NEXT;
}

static void div64(UOP_ARGS)
{
	u64 n = REG64(REG_OFF(RAX)), d = REG64(u->src);
	if (unlikely(d == 0 || REG64(REG_OFF(RDX)) != 0))
		return div64_wide(UOP_PASS);
	REG64(REG_OFF(RAX)) = n / d;
	REG64(REG_OFF(RDX)) = n % d;
	NEXT;
}

static COLD void idiv64_wide(UOP_ARGS)
{
	s64 d = (s64)REG64(u->src);
	s128 n = (s128)((u128)REG64(REG_OFF(RDX)) << 64 | REG64(REG_OFF(RAX)));
	if (d == 0 || (d == -1 && n == (s128)((u128)1 << 127)) || (s64)(n / d) != n / d)
		return divide_error(UOP_PASS);
	REG64(REG_OFF(RAX)) = (u64)(n / d);
	REG64(REG_OFF(RDX)) = (u64)(n % d);
	NEXT;
}

static void idiv64(UOP_ARGS)
{
	s64 n = (s64)REG64(REG_OFF(RAX)), d = (s64)REG64(u->src);
	if (unlikely((u64)(d + 1) <= 1 || (s64)REG64(REG_OFF(RDX)) != n >> 63))
		return idiv64_wide(UOP_PASS);
	REG64(REG_OFF(RAX)) = (u64)(n / d);
	REG64(REG_OFF(RDX)) = (u64)(n % d);
	NEXT;
}

static void gen_div(struct builder *b, const struct insn *in, u32 is_signed)
{
	static const uop_fn fns[2][4] = {{div8, div16, div32, div64}, {idiv8, idiv16, idiv32, idiv64}};
	unsigned i = in->nops > 1 && in->op[1].kind == OPK_MEM ? 1 : 0;
	u16 src = emit_load_tmp(b, in, i);

	emit(b, fns[is_signed][lg(in->op[i].size)])->src = src;
}
const struct exec_desc exec_div = {.gen = gen_div, .arg = 0};
const struct exec_desc exec_idiv = {.gen = gen_div, .arg = 1};

/* ---- widening, byte order, bit scans -------------------------------------------------------------------- */

#define WIDEN(name, dst, v)                                                                       \
	void name(UOP_ARGS)                                                                 \
	{                                                                                          \
		dst(v);                                                                             \
		NEXT;                                                                               \
	}
#define TO_AX(v) SETREG16(REG_OFF(RAX), v)
#define TO_EAX(v) SETREG32(REG_OFF(RAX), v)
#define TO_RAX(v) SETREG64(REG_OFF(RAX), v)
#define TO_DX(v) SETREG16(REG_OFF(RDX), v)
#define TO_EDX(v) SETREG32(REG_OFF(RDX), v)
#define TO_RDX(v) SETREG64(REG_OFF(RDX), v)
WIDEN(cbw, TO_AX, SREG8(REG_OFF(RAX)))
WIDEN(cwde, TO_EAX, SREG16(REG_OFF(RAX)))
WIDEN(cdqe, TO_RAX, SREG32(REG_OFF(RAX)))
WIDEN(cwd, TO_DX, SREG16(REG_OFF(RAX)) >> 63)
WIDEN(cdq, TO_EDX, SREG32(REG_OFF(RAX)) >> 63)
WIDEN(cqo, TO_RDX, SREG64(REG_OFF(RAX)) >> 63)

static void gen_widen(struct builder *b, const struct insn *in, u32 to_rdx)
{
	static const uop_fn fns[2][4] = {{NULL, cbw, cwde, cdqe}, {NULL, cwd, cdq, cqo}};
	emit(b, fns[to_rdx][lg(in->opsize)]);
}
const struct exec_desc exec_cbw = {.gen = gen_widen, .arg = 0};
const struct exec_desc exec_cwd = {.gen = gen_widen, .arg = 1};

static void bswap16(UOP_ARGS) /* undefined by the SDM; hardware clears the register */
{
	SETREG16(u->dst, 0);
	NEXT;
}

static void bswap32(UOP_ARGS)
{
	SETREG32(u->dst, __builtin_bswap32(REG32(u->dst)));
	NEXT;
}

static void bswap64(UOP_ARGS)
{
	SETREG64(u->dst, __builtin_bswap64(REG64(u->dst)));
	NEXT;
}

static void gen_bswap(struct builder *b, const struct insn *in, u32 arg)
{
	static const uop_fn fns[] = {NULL, bswap16, bswap32, bswap64};
	emit(b, fns[lg(in->op[0].size)])->dst = operand_off(&in->op[0]);
}
const struct exec_desc exec_bswap = {.gen = gen_bswap};

static u64 reverse_bytes(u64 v, unsigned size)
{
	return __builtin_bswap64(v) >> (64 - size * 8);
}

SIMPLE(movbe)
{
	u64 v;
	return op_read(cpu, in, 1, &v) || op_write(cpu, in, 0, reverse_bytes(v, in->op[0].size));
}

/*
 * BSF, BSR leave the destination alone for a zero source (as all Intel processors do); other flags than ZF
 * are undefined. TZCNT, LZCNT: CF tells a zero source. POPCNT clears all but ZF.
 */
#define SCAN(bits)                                                                                \
	static void bsf##bits(UOP_ARGS)                                                            \
	{                                                                                          \
		u##bits v = REG##bits(u->src);                                                      \
		if (v)                                                                              \
			SETREG##bits(u->dst, __builtin_ctzll(v));                                   \
		fa = v != 0;                                                                        \
		fb = 0;                                                                             \
		KIND(FK_RES);                                                                       \
		NEXT;                                                                               \
	}                                                                                          \
	static void bsr##bits(UOP_ARGS)                                                            \
	{                                                                                          \
		u##bits v = REG##bits(u->src);                                                      \
		if (v)                                                                              \
			SETREG##bits(u->dst, 63 - __builtin_clzll(v));                              \
		fa = v != 0;                                                                        \
		fb = 0;                                                                             \
		KIND(FK_RES);                                                                       \
		NEXT;                                                                               \
	}                                                                                          \
	static void tzcnt##bits(UOP_ARGS)                                                          \
	{                                                                                          \
		u##bits v = REG##bits(u->src);                                                      \
		u64 r = v ? (u64)__builtin_ctzll(v) : bits;                                         \
		SETREG##bits(u->dst, r);                                                            \
		fa = r;                                                                             \
		fb = v ? 0 : FL_CF;                                                                 \
		KIND(FK_RES);                                                                       \
		NEXT;                                                                               \
	}                                                                                          \
	static void lzcnt##bits(UOP_ARGS)                                                          \
	{                                                                                          \
		u##bits v = REG##bits(u->src);                                                      \
		u64 r = v ? (u64)__builtin_clzll(v) - (64 - bits) : bits;                           \
		SETREG##bits(u->dst, r);                                                            \
		fa = r;                                                                             \
		fb = v ? 0 : FL_CF;                                                                 \
		KIND(FK_RES);                                                                       \
		NEXT;                                                                               \
	}                                                                                          \
	static void popcnt##bits(UOP_ARGS)                                                         \
	{                                                                                          \
		u64 r = (u64)__builtin_popcountll(REG##bits(u->src));                               \
		SETREG##bits(u->dst, r);                                                            \
		fa = r;                                                                             \
		fb = r ? (__builtin_parity((u8)r) ? 0 : FL_PF) : FL_PF; /* PF reads 0 */             \
		KIND(FK_RES);                                                                       \
		NEXT;                                                                               \
	}
SCAN(16)
SCAN(32)
SCAN(64)

static void gen_scan(struct builder *b, const struct insn *in, u32 op)
{
	static const uop_fn fns[][4] = {
		{NULL, bsf16, bsf32, bsf64},	   {NULL, bsr16, bsr32, bsr64},
		{NULL, tzcnt16, tzcnt32, tzcnt64}, {NULL, lzcnt16, lzcnt32, lzcnt64},
		{NULL, popcnt16, popcnt32, popcnt64},
	};
	u16 src = emit_load_tmp(b, in, 1);
	struct uop *u = emit(b, fns[op][lg(in->op[0].size)]);

	u->dst = operand_off(&in->op[0]);
	u->src = src;
	b->sf = op == 4 ? SF_DYNAMIC : SF_RES;
}
const struct exec_desc exec_bsf = {.gen = gen_scan, .arg = 0};
const struct exec_desc exec_bsr = {.gen = gen_scan, .arg = 1};
const struct exec_desc exec_tzcnt = {.gen = gen_scan, .arg = 2};
const struct exec_desc exec_lzcnt = {.gen = gen_scan, .arg = 3};
const struct exec_desc exec_popcnt = {.gen = gen_scan, .arg = 4};

/* ---- bit test ---------------------------------------------------------------------------------------------- */

/* CF = the bit; the rest of the flags stays (ZF by definition, the others by hardware). fb is FK_RES by now. */
#define BIT_TEST(name, bits, change)                                                              \
	void name##bits##_rr(UOP_ARGS)                                                      \
	{                                                                                          \
		u##bits v = REG##bits(u->dst), one = 1;                                             \
		unsigned n = REG##bits(u->src) & (bits - 1);                                        \
		ea = n;                                                                             \
		fb = (fb & ~(u64)FL_CF) | (v >> n & 1);                                             \
		change;                                                                             \
		NEXT;                                                                               \
	}                                                                                          \
	void name##bits##_ri(UOP_ARGS)                                                      \
	{                                                                                          \
		u##bits v = REG##bits(u->dst), one = 1;                                             \
		unsigned n = u->sh;                                                                 \
		ea = n;                                                                             \
		fb = (fb & ~(u64)FL_CF) | (v >> n & 1);                                             \
		change;                                                                             \
		NEXT;                                                                               \
	}
#define BIT_TESTS(bits)                                                                           \
	BIT_TEST(bt, bits, (void)one)                                                              \
	BIT_TEST(bts, bits, SETREG##bits(u->dst, v | (u##bits)(one << n)))                         \
	BIT_TEST(btr, bits, SETREG##bits(u->dst, v & (u##bits) ~(one << n)))                       \
	BIT_TEST(btc, bits, SETREG##bits(u->dst, v ^ (u##bits)(one << n)))
BIT_TESTS(16)
BIT_TESTS(32)
BIT_TESTS(64)

enum bit_op { BIT_BT, BIT_BTS, BIT_BTR, BIT_BTC };

/* A register bit offset into memory reaches beyond the operand (SDM Vol. 2A, BT). */
static int bit_string(struct cpu *cpu, const struct insn *in, enum bit_op op)
{
	unsigned size = in->op[0].size, bits = size * 8;
	s64 offset = sext(reg_read(cpu, in->op[1].reg, size), bits);
	u64 ea = zext_bytes(op_ea(cpu, in) + (u64)((offset >> lg(bits)) * size), in->adsize);
	unsigned acc = op == BIT_BT ? ACC_R : ACC_RW;
	u64 lin, v = 0, bit = BIT64(offset & (bits - 1));

	if (seg_linear(cpu, in->seg, ea, size, acc, &lin) ||
	    (op != BIT_BT && mem_probe(cpu, lin, size, acc)) || mem_read(cpu, lin, &v, size, acc))
		return 1;
	u64 r = op == BIT_BTS ? v | bit : op == BIT_BTR ? v & ~bit : v ^ bit;
	if (op != BIT_BT && mem_write(cpu, lin, &r, size, acc))
		return 1;
	cpu->rflags = (cpu->rflags & ~FL_CF) | (v & bit ? FL_CF : 0);
	return 0;
}

static int op_bt(struct cpu *cpu, const struct insn *in)
{
	return bit_string(cpu, in, BIT_BT);
}

static int op_bts(struct cpu *cpu, const struct insn *in)
{
	return bit_string(cpu, in, BIT_BTS);
}

static int op_btr(struct cpu *cpu, const struct insn *in)
{
	return bit_string(cpu, in, BIT_BTR);
}

static int op_btc(struct cpu *cpu, const struct insn *in)
{
	return bit_string(cpu, in, BIT_BTC);
}

static void gen_bit(struct builder *b, const struct insn *in, u32 op)
{
	static const exec_op strings[] = {op_bt, op_bts, op_btr, op_btc};
	static const uop_fn rr[][4] = {{NULL, bt16_rr, bt32_rr, bt64_rr},
				       {NULL, bts16_rr, bts32_rr, bts64_rr},
				       {NULL, btr16_rr, btr32_rr, btr64_rr},
				       {NULL, btc16_rr, btc32_rr, btc64_rr}};
	static const uop_fn ri[][4] = {{NULL, bt16_ri, bt32_ri, bt64_ri},
				       {NULL, bts16_ri, bts32_ri, bts64_ri},
				       {NULL, btr16_ri, btr32_ri, btr64_ri},
				       {NULL, btc16_ri, btc32_ri, btc64_ri}};
	unsigned size = in->op[0].size;
	bool imm = in->op[1].kind == OPK_IMM;

	if (in->op[0].kind == OPK_MEM && !imm) {
		emit_call(b, in, strings[op]);
		return;
	}
	need_res(b);
	u16 off = op == BIT_BT ? emit_load_tmp(b, in, 0) : load_rmw_tmp(b, in, 0);
	struct uop *u = emit(b, imm ? ri[op][lg(size)] : rr[op][lg(size)]);
	u->dst = off;
	if (imm)
		u->sh = in->imm & (size * 8 - 1);
	else
		u->src = operand_off(&in->op[1]);
	if (op != BIT_BT)
		store_tmp(b, in, 0);
	if (b->sf == SF_LOGIC)
		b->sf = SF_RES;
}
const struct exec_desc exec_bt = {.gen = gen_bit, .arg = BIT_BT};
const struct exec_desc exec_bts = {.gen = gen_bit, .arg = BIT_BTS};
const struct exec_desc exec_btr = {.gen = gen_bit, .arg = BIT_BTR};
const struct exec_desc exec_btc = {.gen = gen_bit, .arg = BIT_BTC};

/* ---- read-modify-write with two results ------------------------------------------------------------------- */

/* Leaves the flags of @a - @b (or @a + @b) lazily, as the micro-operations do. */
static void leave_flags(struct cpu *cpu, u32 kind, u64 a, u64 b, unsigned size)
{
	u32 f = flags_compute(kind + lg(size), (u64)sext(a, size * 8), (u64)sext(b, size * 8));
	cpu->rflags = (cpu->rflags & ~FL_ARITH) | f;
}

static int rmw_begin(struct cpu *cpu, const struct insn *in, u64 *lin, u64 *v)
{
	unsigned size = in->op[0].size;

	if (in->op[0].kind != OPK_MEM)
		return op_read(cpu, in, 0, v);
	*v = 0;
	return op_linear(cpu, in, size, ACC_RW, lin) || mem_probe(cpu, *lin, size, ACC_RW) ||
	       mem_read(cpu, *lin, v, size, ACC_RW);
}

static int rmw_end(struct cpu *cpu, const struct insn *in, u64 lin, u64 v)
{
	if (in->op[0].kind != OPK_MEM)
		return op_write(cpu, in, 0, v);
	return mem_write(cpu, lin, &v, in->op[0].size, ACC_RW);
}

static int op_xadd(struct cpu *cpu, const struct insn *in)
{
	unsigned size = in->op[0].size;
	u64 lin, d, s, sum;

	if (rmw_begin(cpu, in, &lin, &d) || op_read(cpu, in, 1, &s))
		return 1;
	sum = zext_bytes(d + s, size);
	if (in->op[0].kind == OPK_MEM && rmw_end(cpu, in, lin, sum))
		return 1;
	if (op_write(cpu, in, 1, d))
		return 1;
	if (in->op[0].kind != OPK_MEM && op_write(cpu, in, 0, sum))
		return 1;
	leave_flags(cpu, FK_ADD, sum, s, size);
	return 0;
}

static int op_cmpxchg(struct cpu *cpu, const struct insn *in)
{
	unsigned size = in->op[0].size;
	u64 lin, d, s, acc = reg_read(cpu, RAX, size);

	if (rmw_begin(cpu, in, &lin, &d) || op_read(cpu, in, 1, &s))
		return 1;
	/* The destination is written in either case (SDM Vol. 2A, CMPXCHG). */
	if (d == acc) {
		if (rmw_end(cpu, in, lin, s))
			return 1;
	} else {
		if (in->op[0].kind == OPK_MEM && rmw_end(cpu, in, lin, d))
			return 1;
		reg_write(cpu, RAX, size, d);
	}
	leave_flags(cpu, FK_SUB, acc, d, size);
	return 0;
}

#define XADD_MEM(bits)                                                                            \
	UOP_RMW3(xadd##bits##_m, u##bits, {                                                        \
		u##bits d = m;                                                                      \
		fb = SX(bits, REG##bits(u->src));                                                   \
		m = (u##bits)(m + fb);                                                              \
		fa = SX(bits, m);                                                                   \
		KIND(FK_ADD + LG##bits);                                                            \
		SETREG##bits(u->src, d);                                                            \
	})
/* The destination is written in either case (SDM Vol. 2A, CMPXCHG). */
#define CMPXCHG_MEM(bits)                                                                         \
	UOP_RMW3(cmpxchg##bits##_m, u##bits, {                                                     \
		fa = SX(bits, REG##bits(REG_OFF(RAX)));                                             \
		fb = SX(bits, m);                                                                   \
		KIND(FK_SUB + LG##bits);                                                            \
		if (fa == fb)                                                                       \
			m = REG##bits(u->src);                                                      \
		else                                                                                \
			SETREG##bits(REG_OFF(RAX), m);                                              \
	})
XADD_MEM(8)
XADD_MEM(16)
XADD_MEM(32)
XADD_MEM(64)
CMPXCHG_MEM(8)
CMPXCHG_MEM(16)
CMPXCHG_MEM(32)
CMPXCHG_MEM(64)

static void gen_exchange(struct builder *b, const struct insn *in, u32 compare)
{
	static const uop_fn mem[2][4][EAM_COUNT] = {
		{EAM3(xadd8_m), EAM3(xadd16_m), EAM3(xadd32_m), EAM3(xadd64_m)},
		{EAM3(cmpxchg8_m), EAM3(cmpxchg16_m), EAM3(cmpxchg32_m), EAM3(cmpxchg64_m)},
	};
	unsigned size = in->op[0].size;

	if (in->op[0].kind != OPK_MEM) {
		emit_call(b, in, insn_exec(in)->op);
		return;
	}
	emit_mem(b, in, mem[compare][lg(size)], size, ACC_RW)->src = operand_off(&in->op[1]);
	set_sf(b, compare ? SF_SUB : SF_ADD, size);
}
const struct exec_desc exec_xadd = {.gen = gen_exchange, .op = op_xadd, .arg = 0};
const struct exec_desc exec_cmpxchg = {.gen = gen_exchange, .op = op_cmpxchg, .arg = 1};
