/*
 * Conditions and near control transfer as micro-operations (SDM Vol. 1, 7.3.8; Vol. 2, Jcc, SETcc, CMOVcc, CALL, RET, JMP).
 *
 * A condition is compiled against what the builder knows of the lazy flags: after a compare it is one compare of the
 * operands, after a result one test of the result; only where nothing is known does it look at cpu->flag_kind.
 *
 * A block goes on behind a conditional branch that is not taken; one that is leads to its link stub, apart from the block.
 */
#include "cpu/exec/builder.h"

static unsigned lg(unsigned size)
{
	return (unsigned)__builtin_ctz(size);
}

/* ---- conditions ------------------------------------------------------------------------------------- */

/* The eight positive conditions, cc >> 1; odd codes negate. */
enum cond { C_O, C_B, C_Z, C_BE, C_S, C_P, C_L, C_LE };

/* By flag kind. X in the kinds' lists below only where a short form exists; the rest is evaluated dynamically. */
#define SUB_b (fa < fb)
#define SUB_z (fa == fb)
#define SUB_be (fa <= fb)
#define SUB_l ((s64)fa < (s64)fb)
#define SUB_le ((s64)fa <= (s64)fb)
#define RES_o (fb & FL_OF)
#define RES_b (fb & FL_CF)
#define RES_z (fa == 0)
#define RES_be ((fb & FL_CF) || fa == 0)
#define RES_s ((s64)fa < 0)
#define RES_p (!__builtin_parity((u8)fa))
#define RES_l ((fa >> 52 ^ fb) & FL_OF) /* SF is bit 63 */
#define RES_le (fa == 0 || RES_l)
#define LOGIC_l ((s64)fa < 0)
#define LOGIC_le ((s64)fa <= 0)
#define ADD_b (fa < fb)
#define COMPARED_p (!(fb & FL_PF))

#define FOR_SHORT_CONDITIONS(X)                                                                   \
	X(SUB, b) X(SUB, z) X(SUB, be) X(SUB, l) X(SUB, le)                                        \
	X(RES, o) X(RES, b) X(RES, z) X(RES, be) X(RES, s) X(RES, p) X(RES, l) X(RES, le)          \
	X(LOGIC, l) X(LOGIC, le) X(ADD, b) X(COMPARED, p)

/* Any condition for flags of any kind: out of line. cc in u->sh. */
static bool condition_dynamic(struct cpu *cpu, unsigned cc, u64 fa, u64 fb)
{
	u32 flags = cpu->flag_kind == FK_EXACT ? cpu->rflags : flags_compute(cpu->flag_kind, fa, fb);
	return flags_condition(cc, flags);
}

/* A table indexed [enum static_flags][enum cond] of handlers PREFIX_KIND_cond. */
#define COND_TABLE(P)                                                                             \
	{                                                                                          \
		[SF_DYNAMIC] = {P##_DYN_any, P##_DYN_b, P##_DYN_z, P##_DYN_be, P##_DYN_any,          \
				P##_DYN_any, P##_DYN_l, P##_DYN_le},                                \
		[SF_SUB] = {P##_DYN_any, P##_SUB_b, P##_SUB_z, P##_SUB_be, P##_DYN_any,              \
			    P##_DYN_any, P##_SUB_l, P##_SUB_le},                                    \
		[SF_ADD] = {P##_DYN_any, P##_ADD_b, P##_RES_z, P##_DYN_any, P##_RES_s, P##_RES_p,    \
			    P##_DYN_any, P##_DYN_any},                                              \
		[SF_RES] = {P##_RES_o, P##_RES_b, P##_RES_z, P##_RES_be, P##_RES_s, P##_RES_p,       \
			    P##_RES_l, P##_RES_le},                                                 \
		[SF_LOGIC] = {P##_RES_o, P##_RES_b, P##_RES_z, P##_RES_be, P##_RES_s, P##_RES_p,     \
			      P##_LOGIC_l, P##_LOGIC_le},                                           \
		[SF_COMPARED] = {P##_RES_o, P##_RES_b, P##_RES_z, P##_RES_be, P##_RES_s, P##_COMPARED_p, \
				 P##_RES_l, P##_RES_le},                                             \
	}
#define SF_KINDS 6

/* ---- Jcc -------------------------------------------------------------------------------------------- */

/* Each twice: jcc_ is taken where the condition holds, jncc_ where it does not. */
#define JCC(kind, c)                                                                              \
	void jcc_##kind##_##c(UOP_ARGS)                                                            \
	{                                                                                          \
		TAKE_BRANCH(kind##_##c, 1);                                                         \
	}                                                                                          \
	void jncc_##kind##_##c(UOP_ARGS)                                                           \
	{                                                                                          \
		TAKE_BRANCH(!kind##_##c, 1);                                                        \
	}
FOR_SHORT_CONDITIONS(JCC)

static NOINLINE void jcc_DYN_any(UOP_ARGS)
{
	TAKE_BRANCH(condition_dynamic(cpu, u->sh, fa, fb), 1);
}

static NOINLINE void jncc_DYN_any(UOP_ARGS)
{
	TAKE_BRANCH(!condition_dynamic(cpu, u->sh, fa, fb), 1);
}

/* Most flags that reach a block's start were left by a compare. */
#define JCC_DYN(name, not, c)                                                                     \
	static void name##_DYN_##c(UOP_ARGS)                                                       \
	{                                                                                          \
		if (unlikely(cpu->flag_kind < FK_SUB))                                              \
			return name##_DYN_any(UOP_PASS);                                            \
		TAKE_BRANCH(not SUB_##c, 1);                                                        \
	}
JCC_DYN(jcc, , b)
JCC_DYN(jncc, !, b)
JCC_DYN(jcc, , z)
JCC_DYN(jncc, !, z)
JCC_DYN(jcc, , be)
JCC_DYN(jncc, !, be)
JCC_DYN(jcc, , l)
JCC_DYN(jncc, !, l)
JCC_DYN(jcc, , le)
JCC_DYN(jncc, !, le)

/* [negated] */
static const uop_fn jcc_fns[2][SF_KINDS][8] = {COND_TABLE(jcc), COND_TABLE(jncc)};

/* ---- compare and branch in one ------------------------------------------------------------------------ */

#define DO_cmp(bits) (fa = SX(bits, a), fb = SX(bits, b), KIND(FK_SUB + LG##bits))
#define DO_test(bits) (fa = SX(bits, a & b), fb = 0, KIND(FK_RES))
#define cmp_b SUB_b
#define cmp_z SUB_z
#define cmp_be SUB_be
#define cmp_l SUB_l
#define cmp_le SUB_le
#define test_z RES_z
#define test_s RES_s
#define test_le LOGIC_le

#define FUSED_MEM(name, not, eam, bits, op, c, aval, bval)                                            \
	static COLD void name##_slow(UOP_ARGS)                                                     \
	{                                                                                          \
		u##bits m;                                                                          \
		if (SLOW_READ(m))                                                                   \
			return;                                                                     \
		u##bits a = aval, b = bval;                                                         \
		DO_##op(bits);                                                                      \
		if (cpu->attn) /* between the two */                                                \
			return uop_leave_next(UOP_PASS);                                            \
		TAKE_BRANCH(not op##_##c, 2);                                                           \
	}                                                                                          \
	void name(UOP_ARGS)                                                                 \
	{                                                                                          \
		ea = EA_##eam;                                                                      \
		const struct tlb_entry *e = &cpu->tlb->r[tlb_index(ea)];                            \
		if (TLB_MISS(e, sizeof(u##bits)))                                                   \
			return name##_slow(UOP_PASS);                                               \
		u##bits m = HOST(u##bits, e->host + ea);                                          \
		u##bits a = aval, b = bval;                                                         \
		DO_##op(bits);                                                                      \
		TAKE_BRANCH(not op##_##c, 2);                                                           \
	}
#define FUSED_MEM3(name, not, bits, op, c, aval, bval)                                                \
	FUSED_MEM(name##_bd, not, bd, bits, op, c, aval, bval)                                          \
	FUSED_MEM(name##_bis, not, bis, bits, op, c, aval, bval)                                        \
	FUSED_MEM(name##_pre, not, pre, bits, op, c, aval, bval)

#define FUSED(j, not, op, c, bits)                                                                     \
	void j##_##op##_##c##bits##_rr(UOP_ARGS)                                              \
	{                                                                                          \
		u##bits a = REG##bits(u->dst), b = REG##bits(u->src);                               \
		DO_##op(bits);                                                                      \
		TAKE_BRANCH(not op##_##c, 2);                                                           \
	}                                                                                          \
	void j##_##op##_##c##bits##_ri(UOP_ARGS)                                              \
	{                                                                                          \
		u##bits a = REG##bits(u->dst), b = (u##bits)u->disp;                                \
		DO_##op(bits);                                                                      \
		TAKE_BRANCH(not op##_##c, 2);                                                           \
	}                                                                                          \
	FUSED_MEM3(j##_##op##_##c##bits##_rm, not, bits, op, c, REG##bits(u->dst), m)                     \
	FUSED_MEM3(j##_##op##_##c##bits##_mr, not, bits, op, c, m, REG##bits(u->src))                     \
	FUSED_MEM3(j##_##op##_##c##bits##_mi, not, bits, op, c, m, (u##bits)u->imm32)
#define FUSED_SIZES(op, c)                                                                        \
	FUSED(j, , op, c, 8) FUSED(j, , op, c, 16) FUSED(j, , op, c, 32) FUSED(j, , op, c, 64)      \
	FUSED(jn, !, op, c, 8) FUSED(jn, !, op, c, 16) FUSED(jn, !, op, c, 32) FUSED(jn, !, op, c, 64)
FUSED_SIZES(cmp, b)
FUSED_SIZES(cmp, z)
FUSED_SIZES(cmp, be)
FUSED_SIZES(cmp, l)
FUSED_SIZES(cmp, le)
FUSED_SIZES(test, z)
FUSED_SIZES(test, s)
FUSED_SIZES(test, le)

struct fused_fns {
	uop_fn rr, ri, rm[EAM_COUNT], mr[EAM_COUNT], mi[EAM_COUNT];
};
#define FUSED_FNS(j, op, c, bits)                                                                 \
	{j##_##op##_##c##bits##_rr, j##_##op##_##c##bits##_ri, EAM3(j##_##op##_##c##bits##_rm),    \
	 EAM3(j##_##op##_##c##bits##_mr), EAM3(j##_##op##_##c##bits##_mi)}
#define FUSED_ROW(j, op, c)                                                                       \
	{FUSED_FNS(j, op, c, 8), FUSED_FNS(j, op, c, 16), FUSED_FNS(j, op, c, 32), FUSED_FNS(j, op, c, 64)}
#define FUSED_TABLE(j)                                                                            \
	{                                                                                          \
		{[C_B] = FUSED_ROW(j, cmp, b), [C_Z] = FUSED_ROW(j, cmp, z), [C_BE] = FUSED_ROW(j, cmp, be), \
		 [C_L] = FUSED_ROW(j, cmp, l), [C_LE] = FUSED_ROW(j, cmp, le)},                     \
		{[C_Z] = FUSED_ROW(j, test, z), [C_S] = FUSED_ROW(j, test, s),                       \
		 [C_L] = FUSED_ROW(j, test, s), [C_LE] = FUSED_ROW(j, test, le)},                    \
	}

/* [negated][0 cmp, 1 test][condition][log2 size] */
static const struct fused_fns fused_fns[2][2][8][4] = {FUSED_TABLE(j), FUSED_TABLE(jn)};

/* ---- building branches --------------------------------------------------------------------------------- */

/* rip after the current instruction, as an offset from the page's first byte. */
static s64 next_off(const struct builder *b)
{
	return b->off[b->cur] + b->insn[b->cur].len;
}

/* Offset from the page's first byte of a relative branch's target; false if no stub can hold it. */
static bool branch_target(const struct builder *b, const struct insn *in, s64 *disp)
{
	s64 d = next_off(b) + (s64)in->imm;

	if (in->opsize == 2 && (b->mode & MODE_BITS) != MODE_16)
		return false; /* the target depends on rip's upper half, which the block's key does not hold */
	if ((b->mode & MODE_BITS) != MODE_64) {
		u64 rip = b->rip_page + (u64)d;
		rip &= in->opsize == 2 ? 0xffff : 0xffffffff;
		if (rip > b->cpu->seg[CS].limit)
			return false;
		d = (s32)(u32)(rip - b->rip_page);
	}
	*disp = d;
	return d == (s32)d;
}

static u64 branch_mask(const struct insn *in)
{
	return in->opsize == 8 ? ~0ull : in->opsize == 4 ? 0xffffffff : 0xffff;
}

/* Sets rip to @target after the checks of a near transfer (SDM Vol. 2A, JMP/CALL operation). */
static int jump_near(struct cpu *cpu, u64 target)
{
	if (cpu_long64(cpu)) {
		unsigned bits = cpu->cr4 & CR4_LA57 ? 57 : 48;
		if ((u64)sext(target, bits) != target)
			return cpu_fault(cpu, EXC_GP, 0, "near branch target is not canonical", target);
	} else if (target > cpu->seg[CS].limit) {
		return cpu_fault(cpu, EXC_GP, 0, "near branch target is beyond the CS limit", target);
	}
	cpu->rip = target;
	return 0;
}

static int op_jump_rel(struct cpu *cpu, const struct insn *in)
{
	return jump_near(cpu, (cpu->rip + in->imm) & branch_mask(in));
}

static int op_jcc(struct cpu *cpu, const struct insn *in)
{
	return flags_condition(in->opcode & 15, cpu_rflags(cpu)) ? op_jump_rel(cpu, in) : 0;
}

static void gen_jcc(struct builder *b, const struct insn *in, u32 arg)
{
	unsigned cc = in->opcode & 15;
	s64 taken;

	if (!branch_target(b, in, &taken)) {
		emit_call_end(b, in, op_jcc);
		return;
	}
	struct uop *u = emit(b, jcc_fns[cc & 1][b->sf][cc >> 1]);
	u->sh = (u8)(cc & ~1u);
	uop_set_exit(b, u, taken);
}
const struct exec_desc exec_jcc = {.gen = gen_jcc};

bool fuse_compare_branch(struct builder *b, const struct insn *in, bool is_test)
{
	if (b->cur + 1 >= b->count || insn_exec(&b->insn[b->cur + 1]) != &exec_jcc || watch_insn(b, b->cur + 1))
		return false;
	const struct insn *j = &b->insn[b->cur + 1];
	unsigned cc = j->opcode & 15;
	const struct fused_fns *f = &fused_fns[cc & 1][is_test][cc >> 1][lg(in->op[0].size)];
	const struct operand *d = &in->op[0], *s = &in->op[1];
	struct uop *u;
	s64 taken;

	if (!f->rr)
		return false;
	b->cur++; /* the branch's own position, for its target */
	bool ok = branch_target(b, j, &taken);
	b->cur--;
	if (!ok)
		return false;

	if (d->kind == OPK_MEM) {
		bool imm = s->kind == OPK_IMM;
		u = emit_mem(b, in, imm ? f->mi : f->mr, d->size, ACC_R);
		if (imm)
			u->imm32 = (s32)in->imm;
		else
			u->src = operand_off(s);
	} else if (s->kind == OPK_MEM) {
		u = emit_mem(b, in, f->rm, s->size, ACC_R);
		u->dst = operand_off(d);
	} else {
		u = emit(b, s->kind == OPK_IMM ? f->ri : f->rr);
		u->dst = operand_off(d);
		if (s->kind == OPK_IMM)
			u->disp = (s32)in->imm;
		else
			u->src = operand_off(s);
	}
	uop_set_exit(b, u, taken);
	b->cur++;
	b->sf = is_test ? SF_LOGIC : SF_SUB;
	b->sf_lg = lg(in->op[0].size);
	return true;
}

/* ---- SETcc, CMOVcc ------------------------------------------------------------------------------------- */

/*
 * sh bit 0 negates. SETcc writes the whole register: what comes next mostly reads more than the byte, and a host cannot forward
 * that from a narrow store and the wide one before it.
 */
#define SETCC(kind, c)                                                                            \
	void setcc_##kind##_##c(UOP_ARGS)                                                   \
	{                                                                                          \
		ea = !!(kind##_##c) ^ (u->sh & 1);                                                  \
		SETREG8_WIDE(u->dst, ea);                                                           \
		NEXT;                                                                               \
	}                                                                                          \
	void cmov_##kind##_##c(UOP_ARGS)                                                    \
	{                                                                                          \
		CMOV(!!(kind##_##c));                                                               \
		NEXT;                                                                               \
	}
FOR_SHORT_CONDITIONS(SETCC)

static NOINLINE void setcc_DYN_any(UOP_ARGS)
{
	SETREG8_WIDE(u->dst, condition_dynamic(cpu, u->sh, fa, fb));
	NEXT;
}

static NOINLINE void cmov_DYN_any(UOP_ARGS)
{
	REG64(u->dst) = REG64(condition_dynamic(cpu, u->sh, fa, fb) ? u->src : u->dst) & u->imm;
	NEXT;
}

#define SETCC_DYN(c)                                                                              \
	static void setcc_DYN_##c(UOP_ARGS)                                                        \
	{                                                                                          \
		if (unlikely(cpu->flag_kind < FK_SUB))                                              \
			return setcc_DYN_any(UOP_PASS);                                             \
		SETREG8_WIDE(u->dst, (SUB_##c) ^ (u->sh & 1));                                      \
		NEXT;                                                                               \
	}                                                                                          \
	static void cmov_DYN_##c(UOP_ARGS)                                                         \
	{                                                                                          \
		if (unlikely(cpu->flag_kind < FK_SUB))                                              \
			return cmov_DYN_any(UOP_PASS);                                              \
		CMOV(SUB_##c);                                                                      \
		NEXT;                                                                               \
	}
SETCC_DYN(b)
SETCC_DYN(z)
SETCC_DYN(be)
SETCC_DYN(l)
SETCC_DYN(le)

static const uop_fn setcc_fns[SF_KINDS][8] = COND_TABLE(setcc);
static const uop_fn cmov_fns[SF_KINDS][8] = COND_TABLE(cmov);

static int op_setcc(struct cpu *cpu, const struct insn *in)
{
	return op_write(cpu, in, 0, flags_condition(in->opcode & 15, cpu_rflags(cpu)));
}

static void gen_setcc(struct builder *b, const struct insn *in, u32 arg)
{
	unsigned cc = in->opcode & 15;

	if (in->op[0].kind != OPK_GPR) { /* memory, AH to BH */
		emit_call(b, in, op_setcc);
		return;
	}
	struct uop *u = emit_pure(b, setcc_fns[b->sf][cc >> 1]);
	u->dst = operand_off(&in->op[0]);
	u->sh = (u8)cc;
}
const struct exec_desc exec_setcc = {.gen = gen_setcc};

static int op_cmovcc(struct cpu *cpu, const struct insn *in)
{
	u64 v;
	if (op_read(cpu, in, 1, &v))
		return 1;
	if (!flags_condition(in->opcode & 15, cpu_rflags(cpu)))
		v = cpu->r[in->op[0].reg];
	return op_write(cpu, in, 0, v);
}

static void gen_cmovcc(struct builder *b, const struct insn *in, u32 arg)
{
	unsigned cc = in->opcode & 15, size = in->op[0].size;

	if (size == 2) {
		emit_call(b, in, op_cmovcc);
		return;
	}
	/* The source is read whether the condition holds or not. */
	u16 src = emit_load_tmp(b, in, 1);
	struct uop *u = emit_pure(b, cmov_fns[b->sf][cc >> 1]);
	u->dst = operand_off(&in->op[0]);
	u->src = src;
	u->sh = (u8)cc;
	u->imm = size == 4 ? 0xffffffff : ~0ull;
}
const struct exec_desc exec_cmovcc = {.gen = gen_cmovcc};

/* ---- JMP, CALL, RET ---------------------------------------------------------------------------------------- */

void jmp_direct64(UOP_ARGS)
{
	FOLLOW_LINK(64, u->icnt + 1);
}

static void jmp_direct(UOP_ARGS)
{
	CONTINUE_AT(u->target, u->icnt + 1);
}

static void gen_jmp_rel(struct builder *b, const struct insn *in, u32 arg)
{
	s64 taken;

	if (b->cur + 1 < b->count) /* followed: the block goes on at its target */
		return;

	if (!branch_target(b, in, &taken)) {
		emit_call_end(b, in, op_jump_rel);
		return;
	}
	if ((b->mode & MODE_BITS) == MODE_64)
		uop_set_link(b, emit(b, jmp_direct64), taken);
	else
		uop_set_exit(b, emit(b, jmp_direct), taken);
	b->ended = true;
}
const struct exec_desc exec_jmp_rel = {.gen = gen_jmp_rel};

/* Continues at @rip_ (flat code) through the jump cache; commit runs only on the fast path. */
#define JUMP_INDIRECT(rip_, miss, commit)                                                         \
	do {                                                                                       \
		const struct jump_cache_entry *j_ =                                                 \
			&cpu->jump_cache[jump_cache_index(rip_, cpu->jump_key)];                    \
		if (unlikely(j_->rip != (rip_) || j_->key != cpu->jump_key))                        \
			return miss(UOP_PASS);                                                      \
		commit;                                                                             \
		cpu->r[R_CODE] = (rip_) & ~0xfffull;                                                \
		CONTINUE_AT(j_->uops, u->icnt + 1);                                                 \
	} while (0)

static bool canonical_target(const struct cpu *cpu, u64 target)
{
	return !cpu_long64(cpu) || (u64)sext(target, cpu->cr4 & CR4_LA57 ? 57 : 48) == target;
}

static COLD void bad_target(UOP_ARGS, u64 target)
{
	(void)!cpu_fault(cpu, EXC_GP, 0, "near branch target is not canonical", target);
	uop_fault(UOP_PASS);
}

static COLD void jmp_indirect_miss(UOP_ARGS)
{
	u64 target = REG64(u->src) & u->imm;
	if (!canonical_target(cpu, target))
		return bad_target(UOP_PASS, target);
	ea = target;
	return uop_leave_rip(UOP_PASS);
}

void jmp_indirect(UOP_ARGS)
{
	u64 target = REG64(u->src) & u->imm;
	JUMP_INDIRECT(target, jmp_indirect_miss, );
}

static int op_jmp_ind(struct cpu *cpu, const struct insn *in)
{
	u64 target;
	return op_read(cpu, in, 0, &target) || jump_near(cpu, target & branch_mask(in));
}

/* Flat code and the natural operand size: targets need no limit check and no truncation surprises. */
static bool flat_branch(const struct builder *b, const struct insn *in)
{
	if ((b->mode & MODE_BITS) == MODE_64)
		return in->opsize == 8;
	return (b->mode & MODE_BITS) == MODE_32 && in->opsize == 4 && (b->mode & MODE_FLAT_CODE);
}

static void gen_jmp_ind(struct builder *b, const struct insn *in, u32 arg)
{
	if (!flat_branch(b, in)) {
		emit_call_end(b, in, op_jmp_ind);
		return;
	}
	u16 src = emit_load_tmp(b, in, 0);
	struct uop *u = emit(b, jmp_indirect);
	u->src = src;
	u->imm = branch_mask(in);
	b->ended = true;
}
const struct exec_desc exec_jmp_ind = {.gen = gen_jmp_ind};

#define RSP_REG cpu->r[RSP]

/* The return address of the CALL @u; sh is its length. */
#define RETURN_ADDRESS(bits) ((u##bits)(cpu->r[R_CODE] + u->off + u->sh))

/* Where the block goes on behind the CALL @u, the @n-th instruction, for its RET to find. */
#define REMEMBER_RETURN(back, n)                                                                  \
	do {                                                                                       \
		ea = (cpu->return_top + sizeof(struct call_return)) % sizeof(cpu->returns);         \
		cpu->return_top = ea;                                                               \
		struct call_return *r_ = LAST_CALL(ea);                                             \
		r_->rip = back;                                                                     \
		IN_ORDER;                                                                           \
		r_->key = cpu->jump_key;                                                            \
		r_->uops = u + 1;                                                                   \
		r_->before = n;                                                                     \
	} while (0)
#define FORGET_RETURN(back, n) (void)0

/* Keeps what the compiler would compute early, in registers that a leaf does not have. */
#define IN_ORDER __asm__ volatile("" ::: "memory")
#define LAST_CALL(top) ((struct call_return *)((char *)cpu->returns + (top)))

/* Twice: for a CALL that ends its block, and for one behind which it goes on. */
#define CALLS(bits, name, remember)                                                               \
	static COLD void call_direct##bits##name##_slow(UOP_ARGS)                                  \
	{                                                                                          \
		u##bits m = RETURN_ADDRESS(bits);                                                   \
		if (SLOW_WRITE(m))                                                                  \
			return;                                                                     \
		RSP_REG = ea;                                                                       \
		if (cpu->attn)                                                                      \
			cd = uop_clip(cpu, cd, u->icnt + 1);                                        \
		FOLLOW_LINK(bits, u->icnt + 1);                                                     \
	}                                                                                          \
	void call_direct##bits##name(UOP_ARGS)                                                     \
	{                                                                                          \
		ea = (u##bits)(RSP_REG - bits / 8);                                                 \
		const struct tlb_entry *e = &cpu->tlb->w[tlb_index(ea)];                            \
		if (TLB_MISS(e, bits / 8))                                                          \
			return call_direct##bits##name##_slow(UOP_PASS);                            \
		RSP_REG = ea;                                                                       \
		ea += e->host;                                                                      \
		IN_ORDER;                                                                           \
		u##bits back = RETURN_ADDRESS(bits);                                                \
		HOST(u##bits, ea) = back;                                                           \
		remember(back, u->icnt + 1u);                                                       \
		IN_ORDER;                                                                           \
		FOLLOW_LINK(bits, u->icnt + 1);                                                     \
	}                                                                                          \
	static COLD void call_indirect##bits##name##_slow(UOP_ARGS)                                \
	{                                                                                          \
		u64 target = REG64(u->src) & u->imm;                                                \
		u##bits m = RETURN_ADDRESS(bits);                                                   \
		ea = (u##bits)(RSP_REG - bits / 8);                                                 \
		if (SLOW_WRITE(m))                                                                  \
			return;                                                                     \
		if (!canonical_target(cpu, target)) /* the push stays in memory, RSP does not move */ \
			return bad_target(UOP_PASS, target);                                        \
		RSP_REG = ea;                                                                       \
		ea = target;                                                                        \
		return uop_leave_rip(UOP_PASS);                                                     \
	}                                                                                          \
	void call_indirect##bits##name(UOP_ARGS)                                                   \
	{                                                                                          \
		u64 target = REG64(u->src) & u->imm;                                                \
		ea = (u##bits)(RSP_REG - bits / 8);                                                 \
		const struct tlb_entry *e = &cpu->tlb->w[tlb_index(ea)];                            \
		if (TLB_MISS(e, bits / 8))                                                          \
			return call_indirect##bits##name##_slow(UOP_PASS);                          \
		JUMP_INDIRECT(target, call_indirect##bits##name##_slow, {                           \
			u##bits back = RETURN_ADDRESS(bits);                                        \
			HOST(u##bits, e->host + ea) = back;                                         \
			RSP_REG = ea;                                                               \
			remember(back, u->icnt + 1u);                                               \
		});                                                                                 \
	}

/* A RET mostly belongs to the last CALL. Others go through the jump cache. */
#define RETS(bits)                                                                                \
	static COLD void ret##bits##_slow(UOP_ARGS)                                                \
	{                                                                                          \
		u##bits m;                                                                          \
		ea = (u##bits)RSP_REG;                                                              \
		if (SLOW_READ(m))                                                                   \
			return;                                                                     \
		if (!canonical_target(cpu, m))                                                      \
			return bad_target(UOP_PASS, m);                                             \
		RSP_REG = (u##bits)(ea + bits / 8 + u->imm);                                        \
		ea = m;                                                                             \
		return uop_leave_rip(UOP_PASS);                                                     \
	}                                                                                          \
	static NOINLINE void ret##bits##_elsewhere(UOP_ARGS)                                       \
	{                                                                                          \
		ea = (u##bits)RSP_REG;                                                              \
		const struct tlb_entry *e = &cpu->tlb->r[tlb_index(ea)];                            \
		u64 target = HOST(u##bits, e->host + ea);                                           \
		JUMP_INDIRECT(target, ret##bits##_slow,                                             \
			      RSP_REG = (u##bits)(ea + bits / 8 + u->imm));                         \
	}                                                                                          \
	void ret##bits(UOP_ARGS)                                                                   \
	{                                                                                          \
		ea = (u##bits)RSP_REG;                                                              \
		const struct tlb_entry *e = &cpu->tlb->r[tlb_index(ea)];                            \
		if (TLB_MISS(e, bits / 8))                                                          \
			return ret##bits##_slow(UOP_PASS);                                          \
		u64 target = HOST(u##bits, e->host + ea);                                           \
		const struct call_return *r = LAST_CALL(cpu->return_top);                           \
		if (unlikely(r->rip != target || cd < 2 * BLOCK_MAX_INSNS))                         \
			return ret##bits##_elsewhere(UOP_PASS);                                     \
		IN_ORDER;                                                                           \
		if (unlikely(r->key != cpu->jump_key))                                              \
			return ret##bits##_elsewhere(UOP_PASS);                                     \
		RSP_REG = (u##bits)(ea + bits / 8 + u->imm);                                        \
		cpu->r[R_CODE] = target & ~0xfffull;                                                \
		cd += (s64)r->before - u->icnt - 1;                                                 \
		u = r->uops;                                                                        \
		IN_ORDER;                                                                           \
		cpu->return_top = (cpu->return_top - sizeof(struct call_return)) % sizeof(cpu->returns); \
		return u->fn(UOP_PASS);                                                             \
	}
#define NEAR(bits)                                                                                \
	CALLS(bits, , FORGET_RETURN) CALLS(bits, _on, REMEMBER_RETURN) RETS(bits)                    \
	static const uop_fn call_direct##bits##_fns[] = {call_direct##bits, call_direct##bits##_on}; \
	static const uop_fn call_indirect##bits##_fns[] = {call_indirect##bits, call_indirect##bits##_on};
NEAR(32)
NEAR(64)

/* Appends a CALL, from the handlers of one that ends its block and of one behind which it goes on. */
static struct uop *emit_near_call(struct builder *b, const struct insn *in, const uop_fn fns[2])
{
	bool on = b->cur + 1 < b->count;
	struct uop *u = emit(b, fns[on]);

	u->sh = in->len;
	b->sf = SF_DYNAMIC;
	b->ended = !on;
	return u;
}

static int op_call_rel(struct cpu *cpu, const struct insn *in)
{
	u64 back = cpu->rip, sp = cpu->r[RSP];

	if (push_value(cpu, in->opsize, back))
		return 1;
	if (jump_near(cpu, (back + in->imm) & branch_mask(in))) {
		cpu->r[RSP] = sp;
		return 1;
	}
	return 0;
}

static int op_call_ind(struct cpu *cpu, const struct insn *in)
{
	u64 target, back = cpu->rip, sp = cpu->r[RSP];

	if (op_read(cpu, in, 0, &target) || push_value(cpu, in->opsize, back))
		return 1;
	if (jump_near(cpu, target & branch_mask(in))) {
		cpu->r[RSP] = sp;
		return 1;
	}
	return 0;
}

static int op_ret(struct cpu *cpu, const struct insn *in)
{
	u64 target, sp = cpu->r[RSP], extra = in->nops ? in->imm & 0xffff : 0, mask = stack_mask(cpu);

	if (pop_value(cpu, in->opsize, &target))
		return 1;
	if (jump_near(cpu, target & branch_mask(in))) {
		cpu->r[RSP] = sp;
		return 1;
	}
	sp = cpu->r[RSP];
	cpu->r[RSP] = mask == 0xffff ? (sp & ~mask) | ((sp + extra) & mask) : (sp + extra) & mask;
	return 0;
}

static void gen_call_rel(struct builder *b, const struct insn *in, u32 arg)
{
	s64 taken;

	if (!flat_branch(b, in) || !flat_stack(b, in->opsize) || !branch_target(b, in, &taken)) {
		emit_call_end(b, in, op_call_rel);
		return;
	}
	uop_set_link(b, emit_near_call(b, in, in->opsize == 8 ? call_direct64_fns : call_direct32_fns), taken);
}
const struct exec_desc exec_call_rel = {.gen = gen_call_rel};

static void gen_call_ind(struct builder *b, const struct insn *in, u32 arg)
{
	if (!flat_branch(b, in) || !flat_stack(b, in->opsize)) {
		emit_call_end(b, in, op_call_ind);
		return;
	}
	u16 src = emit_load_tmp(b, in, 0);
	struct uop *u = emit_near_call(b, in, in->opsize == 8 ? call_indirect64_fns : call_indirect32_fns);
	u->src = src;
	u->imm = branch_mask(in);
}
const struct exec_desc exec_call_ind = {.gen = gen_call_ind};

static void gen_ret(struct builder *b, const struct insn *in, u32 arg)
{
	if (!flat_branch(b, in) || !flat_stack(b, in->opsize)) {
		emit_call_end(b, in, op_ret);
		return;
	}
	emit(b, in->opsize == 8 ? ret64 : ret32)->imm = in->nops ? in->imm & 0xffff : 0;
	b->ended = true;
}
const struct exec_desc exec_ret = {.gen = gen_ret};

/* ---- LOOP, JCXZ --------------------------------------------------------------------------------------------- */

/* The count register has the address size. */
static int loop(struct cpu *cpu, const struct insn *in, bool condition)
{
	u64 count = reg_read(cpu, RCX, in->adsize) - 1;

	if (zext_bytes(count, in->adsize) && condition && op_jump_rel(cpu, in))
		return 1;
	reg_write(cpu, RCX, in->adsize, count);
	return 0;
}

SIMPLE(loop)
{
	return loop(cpu, in, true);
}

SIMPLE(loope)
{
	return loop(cpu, in, cpu->rflags & FL_ZF);
}

SIMPLE(loopne)
{
	return loop(cpu, in, !(cpu->rflags & FL_ZF));
}

SIMPLE(jcxz)
{
	return reg_read(cpu, RCX, in->adsize) ? 0 : op_jump_rel(cpu, in);
}
