/*
 * Micro-operations for the common cases of the common x87 instructions.
 *
 * Each is emitted in front of the call of the simple operation (x87.c) and either does the whole
 * instruction and skips that call, or does nothing and falls into it: on a TLB miss, a stack fault,
 * any exception but a masked #P, or arithmetic under another control word than the usual one
 * (64-bit precision, to nearest, all masked).
 *
 * In the micro-operation: dst is 16 i, for ST(i), or where the operand's segment register is; src has the bits of x87.empty that
 * the instruction is about; imm is FOP.
 */
#include "cpu/exec/builder.h"
#include "cpu/exec/x87_host.h"
#include "cpu/exec/x87_ops.h"

/*
 * The address in ea has served: its register, which shifts want, need not be kept. And u is advanced in place, not beforehand in
 * another register.
 */
#define SKIP(n)                                                                                    \
	do {                                                                                       \
		u += n;                                                                            \
		asm("" : "=r"(ea), "+r"(u));                                                       \
		return u->fn(UOP_PASS);                                                            \
	} while (0)
#define DONE SKIP(2)
#define FALL_BACK                                                                                  \
	do {                                                                                       \
		asm("" : "=r"(ea));                                                                \
		return fall_back(UOP_PASS);                                                        \
	} while (0)

/* Not in line: the way out that is taken shall have the registers it needs. */
static NOINLINE void fall_back(UOP_ARGS)
{
	NEXT;
}

static ALWAYS_INLINE void note_pointers(struct cpu *cpu, const struct uop *u)
{
	struct x87 *f = &cpu->x87;

	f->fip = cpu->r[R_CODE] + u->off;
	f->fcs = cpu->seg[CS].sel;
	f->fop = (u16)u->imm;
}

static ALWAYS_INLINE void note_operand(struct cpu *cpu, const struct uop *u, u64 ea)
{
	cpu->x87.fdp = ea;
	cpu->x87.fds = REG16(u->dst);
}

/*
 * Every handler twice: name_bare leaves FIP, FCS and FOP to the next instruction, which replaces them (pointers_dead()).
 * @done does the instruction, of one on memory with m, the host address of the operand, or says no.
 */
#define REG_HANDLER(name, done, note)                                                              \
	static void name(UOP_ARGS)                                                                 \
	{                                                                                          \
		if (!done)                                                                         \
			FALL_BACK;                                                                 \
		note;                                                                              \
		DONE;                                                                              \
	}
#define REG_FORM(name, done)                                                                       \
	REG_HANDLER(name, done, note_pointers(cpu, u))                                             \
	REG_HANDLER(name##_bare, done, (void)0)

#define MEM_HANDLER(name, eam, side, size, done, note)                                             \
	static void name##_##eam(UOP_ARGS)                                                         \
	{                                                                                          \
		ea = EA_##eam;                                                                     \
		const struct tlb_entry *e = &cpu->tlb->side[tlb_index(ea)];                        \
		if (TLB_MISS(e, size))                                                             \
			FALL_BACK;                                                                 \
		u8 *m = (u8 *)(e->host + ea);                                                      \
		if (!done)                                                                         \
			FALL_BACK;                                                                 \
		note_operand(cpu, u, ea);                                                          \
		note;                                                                              \
		DONE;                                                                              \
	}
#define MEM_HANDLERS(name, side, size, done, note)                                                 \
	MEM_HANDLER(name, bd, side, size, done, note)                                              \
	MEM_HANDLER(name, bis, side, size, done, note)                                             \
	MEM_HANDLER(name, pre, side, size, done, note)
#define MEM_FORM(name, side, size, done)                                                           \
	MEM_HANDLERS(name, side, size, done, note_pointers(cpu, u))                                \
	MEM_HANDLERS(name##_bare, side, size, done, (void)0)

#define REG_FNS(name) {name, name##_bare}
#define MEM_FNS(name) {EAM3(name), EAM3(name##_bare)}

/* ---- the stack --------------------------------------------------------------------------- */

static ALWAYS_INLINE struct x87_reg *at(struct cpu *cpu, u64 place)
{
	return (struct x87_reg *)((u8 *)cpu->x87.r + place);
}

static ALWAYS_INLINE bool all_full(const struct cpu *cpu, unsigned tags)
{
	return likely(!((u16)cpu->x87.empty & tags));
}

static ALWAYS_INLINE bool ready(const struct cpu *cpu, unsigned tags)
{
	return likely(!(cpu->x87.sw & X87_ES)) && all_full(cpu, tags);
}

static ALWAYS_INLINE bool can_push(const struct cpu *cpu)
{
	return likely(!(cpu->x87.sw & X87_ES)) && likely(cpu->x87.empty & 0x80);
}

/* gcc would work a place out twice, as an index and as a byte to store. */
#define ONCE(place) asm("" : "+r"(place))

/* Where ST(0) is, and where a push goes. */
static ALWAYS_INLINE u64 place_st0(const struct cpu *cpu)
{
	u64 place = cpu->x87.st0;

	ONCE(place);
	return place;
}

static ALWAYS_INLINE u64 place_sti(const struct cpu *cpu, const struct uop *u)
{
	return (cpu->x87.st0 + u->dst) & 0x70;
}

static ALWAYS_INLINE u64 next_place(const struct cpu *cpu)
{
	u64 place = (cpu->x87.st0 - 16) & 0x70;

	ONCE(place);
	return place;
}

/* The new ST(0) stands at @place, next_place(). */
static ALWAYS_INLINE bool pushed(struct cpu *cpu, u64 place)
{
	cpu->x87.st0 = (u8)place;
	cpu->x87.empty = (s16)(cpu->x87.empty * 2);
	cpu->x87.c1 = (u16)place; /* whose bit is clear in it */
	return true;
}

static ALWAYS_INLINE void popped(struct cpu *cpu, u64 place)
{
	cpu->x87.st0 = (place + 16) & 0x70;
	cpu->x87.empty >>= 1;
}

/* ---- arithmetic -------------------------------------------------------------------------- */

/*
 * ES is not looked at: it comes with an unusual control word, under which all is refused. The host's TOP, 7 with the result still
 * on its stack, sees to it.
 */
static ALWAYS_INLINE bool arith(struct cpu *cpu, const struct uop *u, enum fp_op op, bool to_sti, bool pops)
{
	const u64 a = place_st0(cpu), b = place_sti(cpu, u);
	u16 sw;

	if (!all_full(cpu, u->src) || !host_arith(cpu, op, to_sti ? b : a, to_sti ? a : b, &sw))
		return false;
	cpu->x87.c1 = sw;
	if (pops)
		popped(cpu, a);
	return true;
}

static ALWAYS_INLINE bool arith_f64(struct cpu *cpu, enum fp_op op, const u8 *m)
{
	u16 sw;

	if (!all_full(cpu, 1) || !host_arith_f64(cpu, op, cpu->x87.st0, (const double *)m, &sw))
		return false;
	cpu->x87.c1 = sw;
	return true;
}

static ALWAYS_INLINE bool arith_f32(struct cpu *cpu, enum fp_op op, const u8 *m)
{
	u16 sw;

	if (!all_full(cpu, 1) || !host_arith_f32(cpu, op, cpu->x87.st0, (const float *)m, &sw))
		return false;
	cpu->x87.c1 = sw;
	return true;
}

#define ARITH(name, op)                                                                            \
	REG_FORM(name##_st0, arith(cpu, u, op, false, false))                                      \
	REG_FORM(name##_sti, arith(cpu, u, op, true, false))                                       \
	REG_FORM(name##_pop, arith(cpu, u, op, true, true))                                        \
	MEM_FORM(name##_f64, r, 8, arith_f64(cpu, op, m))                                          \
	MEM_FORM(name##_f32, r, 4, arith_f32(cpu, op, m))
ARITH(x87_add, FP_ADD)
ARITH(x87_sub, FP_SUB)
ARITH(x87_subr, FP_SUBR)
ARITH(x87_mul, FP_MUL)
ARITH(x87_div, FP_DIV)
ARITH(x87_divr, FP_DIVR)

struct arith_handlers {
	uop_fn st0[2], sti[2], pop[2], f64[2][EAM_COUNT], f32[2][EAM_COUNT];
};

static const struct arith_handlers arith_handlers[] = {
#define HANDLERS(op, name)                                                                         \
	[op] = {REG_FNS(name##_st0), REG_FNS(name##_sti), REG_FNS(name##_pop), MEM_FNS(name##_f64), MEM_FNS(name##_f32)}
    HANDLERS(FP_ADD, x87_add), HANDLERS(FP_SUB, x87_sub), HANDLERS(FP_SUBR, x87_subr),
    HANDLERS(FP_MUL, x87_mul), HANDLERS(FP_DIV, x87_div), HANDLERS(FP_DIVR, x87_divr),
#undef HANDLERS
};

/* ---- loads ------------------------------------------------------------------------------- */

static ALWAYS_INLINE bool load_f64(struct cpu *cpu, const u8 *m)
{
	const u64 place = next_place(cpu);

	return can_push(cpu) && host_load_f64(cpu, place, (const double *)m) && pushed(cpu, place);
}

static ALWAYS_INLINE bool load_f32(struct cpu *cpu, const u8 *m)
{
	const u64 place = next_place(cpu);

	return can_push(cpu) && host_load_f32(cpu, place, (const float *)m) && pushed(cpu, place);
}

static ALWAYS_INLINE bool load_f80(struct cpu *cpu, const u8 *m)
{
	const u64 place = next_place(cpu);

	if (!can_push(cpu))
		return false;
	host_load_f80(cpu, place, m);
	return pushed(cpu, place);
}

static ALWAYS_INLINE bool load_int(struct cpu *cpu, const u8 *m, unsigned bits)
{
	const u64 place = next_place(cpu);

	if (!can_push(cpu))
		return false;
	host_load_int(cpu, place, m, bits);
	return pushed(cpu, place);
}

static ALWAYS_INLINE bool load_sti(struct cpu *cpu, const struct uop *u)
{
	u64 place;

	if (!can_push(cpu) || !all_full(cpu, u->src))
		return false;
	place = next_place(cpu);
	host_copy(cpu, place, place_sti(cpu, u));
	return pushed(cpu, place);
}

MEM_FORM(x87_load_f64, r, 8, load_f64(cpu, m))
MEM_FORM(x87_load_f32, r, 4, load_f32(cpu, m))
MEM_FORM(x87_load_f80, r, 10, load_f80(cpu, m))
MEM_FORM(x87_load_s16, r, 2, load_int(cpu, m, 16))
MEM_FORM(x87_load_s32, r, 4, load_int(cpu, m, 32))
MEM_FORM(x87_load_s64, r, 8, load_int(cpu, m, 64))
REG_FORM(x87_load_sti, load_sti(cpu, u))

/* ---- stores ------------------------------------------------------------------------------ */

/* The host's stack is empty behind a store, and its TOP 0: what is refused whatever comes, ES with it, is looked at before. */
static ALWAYS_INLINE bool can_store(const struct cpu *cpu)
{
	return all_full(cpu, 1) && likely(!(cpu->x87.refuse_store & BIT(15)));
}

static ALWAYS_INLINE bool store_float(struct cpu *cpu, u8 *m, unsigned bits, bool pops)
{
	const u64 place = place_st0(cpu);
	u16 sw;
	u64 v;

	if (!can_store(cpu) || !host_store_float(cpu, place, bits, &v, &sw))
		return false;
	cpu->x87.c1 = sw;
	memcpy(m, &v, bits / 8);
	if (pops)
		popped(cpu, place);
	return true;
}

static ALWAYS_INLINE bool storep_int(struct cpu *cpu, u8 *m, unsigned bits)
{
	const u64 place = place_st0(cpu);
	u16 sw;
	u64 v;

	if (!can_store(cpu) || !host_store_int(cpu, place, bits, &v, &sw))
		return false;
	cpu->x87.c1 = sw;
	memcpy(m, &v, bits / 8);
	popped(cpu, place);
	return true;
}

static ALWAYS_INLINE bool storep_f80(struct cpu *cpu, u8 *m)
{
	const u64 place = place_st0(cpu);

	if (!ready(cpu, 1))
		return false;
	host_store_f80(cpu, place, m);
	cpu->x87.c1 = 0;
	popped(cpu, place);
	return true;
}

static ALWAYS_INLINE bool store_sti(struct cpu *cpu, const struct uop *u, bool pops)
{
	const u64 place = place_st0(cpu), to = place_sti(cpu, u);

	if (!ready(cpu, 1))
		return false;
	host_copy(cpu, to, place);
	cpu->x87.empty &= (s16)~u->src;
	cpu->x87.c1 = 0;
	if (pops)
		popped(cpu, place);
	return true;
}

MEM_FORM(x87_store_f64, w, 8, store_float(cpu, m, 64, false))
MEM_FORM(x87_store_f32, w, 4, store_float(cpu, m, 32, false))
MEM_FORM(x87_storep_f64, w, 8, store_float(cpu, m, 64, true))
MEM_FORM(x87_storep_f32, w, 4, store_float(cpu, m, 32, true))
MEM_FORM(x87_storep_f80, w, 10, storep_f80(cpu, m))
MEM_FORM(x87_storep_s16, w, 2, storep_int(cpu, m, 16))
MEM_FORM(x87_storep_s32, w, 4, storep_int(cpu, m, 32))
MEM_FORM(x87_storep_s64, w, 8, storep_int(cpu, m, 64))
REG_FORM(x87_store_sti, store_sti(cpu, u, false))
REG_FORM(x87_storep_sti, store_sti(cpu, u, true))

/* ---- on the stack alone ------------------------------------------------------------------ */

static ALWAYS_INLINE bool exchange(struct cpu *cpu, const struct uop *u)
{
	struct x87_reg *a = at(cpu, cpu->x87.st0), *b = at(cpu, place_sti(cpu, u));
	u64 mant;
	u16 se;

	if (!ready(cpu, u->src))
		return false;
	mant = a->mant;
	a->mant = b->mant;
	b->mant = mant;
	se = a->se;
	a->se = b->se;
	b->se = se;
	cpu->x87.c1 = 0;
	return true;
}

static ALWAYS_INLINE bool set_sign(struct cpu *cpu, u16 kept, u16 flipped)
{
	struct x87_reg *a = at(cpu, cpu->x87.st0);

	if (!ready(cpu, 1))
		return false;
	a->se = (a->se & kept) ^ flipped;
	cpu->x87.c1 = 0;
	return true;
}

static ALWAYS_INLINE bool root(struct cpu *cpu)
{
	u16 sw;

	if (!all_full(cpu, 1) || !host_sqrt(cpu, cpu->x87.st0, &sw))
		return false;
	cpu->x87.c1 = sw;
	return true;
}

static ALWAYS_INLINE bool load_constant(struct cpu *cpu, u64 mant, u16 se)
{
	const u64 place = next_place(cpu);

	if (!can_push(cpu))
		return false;
	at(cpu, place)->mant = mant;
	at(cpu, place)->se = se;
	return pushed(cpu, place);
}

REG_FORM(x87_fxch, exchange(cpu, u))
REG_FORM(x87_fchs, set_sign(cpu, 0xffff, 0x8000))
REG_FORM(x87_fabs, set_sign(cpu, 0x7fff, 0))
REG_FORM(x87_fsqrt, root(cpu))
REG_FORM(x87_fld1, load_constant(cpu, BIT64(63), 0x3fff))
REG_FORM(x87_fldz, load_constant(cpu, 0, 0))

/* ---- comparison into RFLAGS -------------------------------------------------------------- */

/*
 * SF_COMPARED: fa = 0 is ZF, and its low byte has even parity; fb has CF and, to undo that parity, the inverse of PF. The
 * host's C3 and C0 are ZF and CF, both eight bits up; unordered is left to the simple operation, whose flags
 * compared_flags() brings into the same form.
 */
#define COMI(name, after)                                                                          \
	static void name(UOP_ARGS)                                                                 \
	{                                                                                          \
		const u64 place = place_st0(cpu);                                                  \
		u16 sw;                                                                            \
                                                                                                   \
		if (!ready(cpu, u->src) || !host_compare(cpu, place, place_sti(cpu, u), &sw))      \
			FALL_BACK;                                                                 \
		fa = ~sw & X87_C3;                                                                 \
		fb = FL_PF | (sw >> 8 & FL_CF);                                                    \
		cpu->flag_kind = FK_RES;                                                           \
		after;                                                                             \
		note_pointers(cpu, u);                                                             \
		SKIP(3);                                                                           \
	}
COMI(x87_comi, (void)0)
COMI(x87_comip, popped(cpu, place))

static void compared_flags(UOP_ARGS)
{
	fa = (~cpu->rflags & FL_ZF) << 8;
	fb = (cpu->rflags & FL_CF) | (~cpu->rflags & FL_PF);
	cpu->flag_kind = FK_RES;
	NEXT;
}

/* ---- generators -------------------------------------------------------------------------- */

/* Where offset and linear address are one, and nothing but paging is to be checked. */
static bool flat(const struct builder *b, const struct insn *in)
{
	u32 m = b->mode & (MODE_FLAT_DATA | MODE_AC | MODE_BITS);

	return (m == (MODE_FLAT_DATA | MODE_32) || m == (MODE_FLAT_DATA | MODE_64)) &&
	       in->seg < FS && in->seg != CS;
}

static bool is_mem(const struct insn *in)
{
	return in->modrm < 0xc0;
}

/* Those on registers, of whose handlers and simple operations all note the pointers. */
static bool notes_pointers(const struct insn *in)
{
	const struct exec_desc *x = insn_exec(in);

	return x && !is_mem(in) &&
	       (x->gen == gen_x87_arith || x->gen == gen_x87_load || x->gen == gen_x87_store || x->gen == gen_x87_unary ||
		x->gen == gen_x87_comi);
}

/*
 * Does the next instruction replace FIP, FCS and FOP before anybody can look at them? One on registers does, whoever does
 * it: it has no operand to fault on, and no exception is pending behind what was done here.
 */
static bool pointers_dead(const struct builder *b)
{
	return b->cur + 1 < b->count && notes_pointers(&b->insn[b->cur + 1]) && !watch_insn(b, b->cur + 1);
}

static u64 fop(const struct insn *in)
{
	return (in->opcode & 7u) << 8 | in->modrm;
}

static void emit_mem_form(struct builder *b, const struct insn *in, const uop_fn fns[2][EAM_COUNT],
			  unsigned size, unsigned acc)
{
	struct uop *u;

	if (flat(b, in)) {
		u = emit_mem(b, in, fns[pointers_dead(b)], size, acc);
		u->dst = (u16)(offsetof(struct cpu, seg) + in->seg * sizeof(struct seg) + offsetof(struct seg, sel));
		u->imm = fop(in);
	}
	emit_call(b, in, insn_exec(in)->op);
}

/* @tags: the bits of x87.empty that the handlers are about. */
static void emit_reg_form(struct builder *b, const struct insn *in, uop_fn fn, unsigned tags)
{
	struct uop *u;

	if ((b->mode & MODE_BITS) != MODE_16) {
		u = emit(b, fn);
		u->dst = (in->modrm & 7) * 16;
		u->src = (u16)tags;
		u->imm = fop(in);
	}
	emit_call(b, in, insn_exec(in)->op);
}

static unsigned tag_sti(const struct insn *in)
{
	return 1u << (in->modrm & 7);
}

void gen_x87_arith(struct builder *b, const struct insn *in, u32 arg)
{
	const struct arith_handlers *h = &arith_handlers[arg];
	const uop_fn *fns = in->opcode == 0xd8 ? h->st0 : in->opcode == 0xdc ? h->sti : h->pop;

	if (!is_mem(in))
		emit_reg_form(b, in, fns[pointers_dead(b)], 1 | tag_sti(in));
	else if (in->opcode == 0xdc)
		emit_mem_form(b, in, h->f64, 8, ACC_R);
	else
		emit_mem_form(b, in, h->f32, 4, ACC_R);
}

void gen_x87_load(struct builder *b, const struct insn *in, u32 arg)
{
	static const uop_fn f32[2][EAM_COUNT] = MEM_FNS(x87_load_f32), f64[2][EAM_COUNT] = MEM_FNS(x87_load_f64),
			    f80[2][EAM_COUNT] = MEM_FNS(x87_load_f80), reg[2] = REG_FNS(x87_load_sti);
	static const uop_fn s16_[2][EAM_COUNT] = MEM_FNS(x87_load_s16), s32_[2][EAM_COUNT] = MEM_FNS(x87_load_s32),
			    s64_[2][EAM_COUNT] = MEM_FNS(x87_load_s64);

	if (!is_mem(in))
		emit_reg_form(b, in, reg[pointers_dead(b)], tag_sti(in));
	else if (in->opcode == 0xdd)
		emit_mem_form(b, in, f64, 8, ACC_R);
	else if (in->opcode == 0xd9)
		emit_mem_form(b, in, f32, 4, ACC_R);
	else if (in->opcode == 0xdb && arg)
		emit_mem_form(b, in, s32_, 4, ACC_R);
	else if (in->opcode == 0xdb)
		emit_mem_form(b, in, f80, 10, ACC_R);
	else if (in->modrm & 0x38)
		emit_mem_form(b, in, s64_, 8, ACC_R);
	else
		emit_mem_form(b, in, s16_, 2, ACC_R);
}

static void gen_fistp(struct builder *b, const struct insn *in)
{
	static const uop_fn s16_[2][EAM_COUNT] = MEM_FNS(x87_storep_s16), s32_[2][EAM_COUNT] = MEM_FNS(x87_storep_s32),
			    s64_[2][EAM_COUNT] = MEM_FNS(x87_storep_s64);

	if (in->opcode == 0xdb)
		emit_mem_form(b, in, s32_, 4, ACC_W);
	else if ((in->modrm & 0x38) == 0x38)
		emit_mem_form(b, in, s64_, 8, ACC_W);
	else
		emit_mem_form(b, in, s16_, 2, ACC_W);
}

void gen_x87_store(struct builder *b, const struct insn *in, u32 arg)
{
	static const uop_fn f32[2][2][EAM_COUNT] = {MEM_FNS(x87_store_f32), MEM_FNS(x87_storep_f32)};
	static const uop_fn f64[2][2][EAM_COUNT] = {MEM_FNS(x87_store_f64), MEM_FNS(x87_storep_f64)};
	static const uop_fn f80[2][EAM_COUNT] = MEM_FNS(x87_storep_f80);
	static const uop_fn reg[2][2] = {REG_FNS(x87_store_sti), REG_FNS(x87_storep_sti)};

	if (arg == 2)
		gen_fistp(b, in);
	else if (!is_mem(in))
		emit_reg_form(b, in, reg[arg][pointers_dead(b)], tag_sti(in));
	else if (in->opcode == 0xdd)
		emit_mem_form(b, in, f64[arg], 8, ACC_W);
	else if (in->opcode == 0xd9)
		emit_mem_form(b, in, f32[arg], 4, ACC_W);
	else
		emit_mem_form(b, in, f80, 10, ACC_W);
}

void gen_x87_unary(struct builder *b, const struct insn *in, u32 arg)
{
	static const uop_fn fns[][2] = {
	    [X87_FXCH] = REG_FNS(x87_fxch),   [X87_FCHS] = REG_FNS(x87_fchs), [X87_FABS] = REG_FNS(x87_fabs),
	    [X87_FSQRT] = REG_FNS(x87_fsqrt), [X87_FLD1] = REG_FNS(x87_fld1), [X87_FLDZ] = REG_FNS(x87_fldz),
	};

	emit_reg_form(b, in, fns[arg][pointers_dead(b)], 1 | tag_sti(in));
}

void gen_x87_comi(struct builder *b, const struct insn *in, u32 arg)
{
	emit_reg_form(b, in, arg ? x87_comip : x87_comi, 1 | tag_sti(in));
	emit(b, compared_flags);
	b->sf = SF_COMPARED;
}
