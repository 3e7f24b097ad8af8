/*
 * Micro-operations for the common cases of the common x87 instructions.
 *
 * Each is emitted in front of the call of the simple operation (x87.c) and either does the whole
 * instruction and skips that call, or does nothing and falls into it: on a TLB miss, a stack fault,
 * any exception but a masked #P, or arithmetic under another control word than the usual one
 * (64-bit precision, to nearest, all masked).
 */
#include "cpu/exec/builder.h"
#include "cpu/exec/x87_ops.h"

/* The address in ea has served: its register, which shifts want, need not be kept. */
#define EA_SERVED asm("" : "=r"(ea))
#define DONE                                                                                       \
	do {                                                                                       \
		EA_SERVED;                                                                         \
		return u[2].fn(cpu, u + 2, fa, ea, fb, cd);                                        \
	} while (0)
#define FALL_BACK                                                                                  \
	do {                                                                                       \
		EA_SERVED;                                                                         \
		NEXT;                                                                              \
	} while (0)

/* Rounding, precision and masks of FNINIT; unmasked bits would also let ES be set. */
#define CW_MATTERS 0xf3fu
#define CW_USUAL   0x33fu

static ALWAYS_INLINE void note_pointers(struct cpu *cpu, const struct uop *u)
{
	struct x87 *f = &cpu->x87;

	f->fip = cpu->r[R_CODE] + u->off;
	f->fcs = cpu->seg[CS].sel;
	f->fop = (u16)u->imm;
}

static ALWAYS_INLINE void note_mem(struct cpu *cpu, const struct uop *u, u64 ea)
{
	note_pointers(cpu, u);
	cpu->x87.fdp = ea;
	cpu->x87.fds = cpu->seg[u->imm >> 16].sel;
}

static ALWAYS_INLINE void clear_c1(struct x87 *f)
{
	f->sw &= (u16)~X87_C1;
}

static ALWAYS_INLINE bool usual(const struct x87 *f)
{
	return likely((f->cw & CW_MATTERS) == CW_USUAL);
}

/*
 * What in the host's status says that the simple operation must do it. The host's #P is sticky and only trusted when the guest has
 * it already (fast.h clears it for the rest).
 */
static ALWAYS_INLINE u16 refused(const struct x87 *f)
{
	return FPE_ALL & ~(f->sw & FPE_PE);
}

/* All went well: the guest gets C1. */
static ALWAYS_INLINE bool accepted(struct x87 *f, unsigned hsw)
{
	f->sw = (u16)((f->sw & ~X87_C1) | (hsw & X87_C1));
	return true;
}

/* C1 and, with it, a new TOP. */
static ALWAYS_INLINE void set_c1_and_top(struct x87 *f, unsigned c1, unsigned top)
{
	f->top = (u8)top;
	f->sw = (u16)((f->sw & ~(X87_C1 | X87_TOP)) | c1 | top << 11);
}

/* ---- arithmetic -------------------------------------------------------------------------- */

static ALWAYS_INLINE bool arith_reg(struct x87 *f, enum fp_op op, unsigned d, unsigned s, bool pops)
{
	const u32 valid = f->valid;
	u16 hsw = 0;

	if (unlikely(!usual(f) || !(valid >> d & 1) || !(valid >> s & 1)) ||
	    unlikely(host_x87_in_place(op, &f->r[d], &f->r[s], refused(f), &hsw)))
		return false;
	if (!pops)
		return accepted(f, hsw);
	f->valid = (u8)(valid & ~(1u << s));
	set_c1_and_top(f, hsw & X87_C1, (s + 1) & 7);
	return true;
}

#define ARITH_REG(name, op)                                                                        \
	static void name##_st0(UOP_ARGS)                                                           \
	{                                                                                          \
		struct x87 *f = &cpu->x87;                                                         \
                                                                                                   \
		if (!arith_reg(f, op, f->top, phys(f, u->sh), false))                              \
			FALL_BACK;                                                                 \
		note_pointers(cpu, u);                                                             \
		DONE;                                                                              \
	}                                                                                          \
	static void name##_sti(UOP_ARGS)                                                           \
	{                                                                                          \
		struct x87 *f = &cpu->x87;                                                         \
                                                                                                   \
		if (!arith_reg(f, op, phys(f, u->sh), f->top, false))                              \
			FALL_BACK;                                                                 \
		note_pointers(cpu, u);                                                             \
		DONE;                                                                              \
	}                                                                                          \
	static void name##_pop(UOP_ARGS)                                                           \
	{                                                                                          \
		struct x87 *f = &cpu->x87;                                                         \
                                                                                                   \
		if (!arith_reg(f, op, phys(f, u->sh), f->top, true))                               \
			FALL_BACK;                                                                 \
		note_pointers(cpu, u);                                                             \
		DONE;                                                                              \
	}

/* A handler per addressing form; @body does the instruction on the host address p, or says no. */
#define MEM_FORM(name, eam, side, size, body)                                                      \
	static void name##_##eam(UOP_ARGS)                                                         \
	{                                                                                          \
		ea = EA_##eam;                                                                     \
		const struct tlb_entry *e = &cpu->tlb->side[tlb_index(ea)];                        \
		if (TLB_MISS(e, size) || !body(&cpu->x87, (u8 *)(e->host + ea)))                   \
			FALL_BACK;                                                                 \
		note_mem(cpu, u, ea);                                                              \
		DONE;                                                                              \
	}
#define MEM_FORMS(name, side, size, body)                                                          \
	MEM_FORM(name, bd, side, size, body)                                                       \
	MEM_FORM(name, bis, side, size, body)                                                      \
	MEM_FORM(name, pre, side, size, body)

#define ARITH_MEM(name, op)                                                                        \
	static ALWAYS_INLINE bool name##_f64(struct x87 *f, const u8 *m)                           \
	{                                                                                          \
		unsigned p = phys(f, 0);                                                           \
		u16 hsw = 0;                                                                       \
                                                                                                   \
		if (unlikely(!usual(f) || !full(f, p)))                                            \
			return false;                                                              \
		return likely(!host_x87_in_place_f64(op, &f->r[p], (const double *)m, refused(f), \
						      &hsw)) &&                                    \
		       accepted(f, hsw);                                                           \
	}                                                                                          \
	static ALWAYS_INLINE bool name##_f32(struct x87 *f, const u8 *m)                           \
	{                                                                                          \
		unsigned p = phys(f, 0);                                                           \
		u16 hsw = 0;                                                                       \
                                                                                                   \
		if (unlikely(!usual(f) || !full(f, p)))                                            \
			return false;                                                              \
		return likely(!host_x87_in_place_f32(op, &f->r[p], (const float *)m, refused(f),  \
						      &hsw)) &&                                    \
		       accepted(f, hsw);                                                           \
	}                                                                                          \
	MEM_FORMS(name##_f64, r, 8, name##_f64)                                                    \
	MEM_FORMS(name##_f32, r, 4, name##_f32)

#define ARITH(name, op)                                                                            \
	ARITH_REG(name, op)                                                                        \
	ARITH_MEM(name, op)
ARITH(x87_add, FP_ADD)
ARITH(x87_sub, FP_SUB)
ARITH(x87_subr, FP_SUBR)
ARITH(x87_mul, FP_MUL)
ARITH(x87_div, FP_DIV)
ARITH(x87_divr, FP_DIVR)

struct arith_handlers {
	uop_fn st0, sti, pop, f64[EAM_COUNT], f32[EAM_COUNT];
};

static const struct arith_handlers arith_handlers[] = {
#define HANDLERS(op, name)                                                                         \
	[op] = {name##_st0, name##_sti, name##_pop, EAM3(name##_f64), EAM3(name##_f32)}
    HANDLERS(FP_ADD, x87_add), HANDLERS(FP_SUB, x87_sub), HANDLERS(FP_SUBR, x87_subr),
    HANDLERS(FP_MUL, x87_mul), HANDLERS(FP_DIV, x87_div), HANDLERS(FP_DIVR, x87_divr),
#undef HANDLERS
};

/* ---- loads ------------------------------------------------------------------------------- */

static ALWAYS_INLINE bool can_push(const struct x87 *f)
{
	return likely(!(f->sw & X87_ES) && !full(f, phys(f, 7)));
}

/* As push(), and clears C1. */
static ALWAYS_INLINE void push_plain(struct x87 *f, struct f80 v)
{
	const unsigned p = phys(f, 7);

	set_c1_and_top(f, 0, p);
	put(f, p, v);
}

static ALWAYS_INLINE bool x87_load_f64(struct x87 *f, const u8 *m)
{
	struct f80 v;
	u64 raw;

	memcpy(&raw, m, 8);
	if (!can_push(f) || !f80_fast_from_f64(raw, &v))
		return false;
	push_plain(f, v);
	return true;
}

static ALWAYS_INLINE bool x87_load_f32(struct x87 *f, const u8 *m)
{
	struct f80 v;
	u32 raw;

	memcpy(&raw, m, 4);
	if (!can_push(f) || !f80_fast_from_f32(raw, &v))
		return false;
	push_plain(f, v);
	return true;
}

static ALWAYS_INLINE bool x87_load_f80(struct x87 *f, const u8 *m)
{
	struct f80 v;

	if (!can_push(f))
		return false;
	memcpy(&v.mant, m, 8);
	memcpy(&v.se, m + 8, 2);
	push_plain(f, v);
	return true;
}

static ALWAYS_INLINE bool load_int(struct x87 *f, s64 v)
{
	if (!can_push(f))
		return false;
	push_plain(f, f80_from_s64(v));
	return true;
}

static ALWAYS_INLINE bool x87_load_s16(struct x87 *f, const u8 *m)
{
	s16 v;

	memcpy(&v, m, 2);
	return load_int(f, v);
}

static ALWAYS_INLINE bool x87_load_s32(struct x87 *f, const u8 *m)
{
	s32 v;

	memcpy(&v, m, 4);
	return load_int(f, v);
}

static ALWAYS_INLINE bool x87_load_s64(struct x87 *f, const u8 *m)
{
	s64 v;

	memcpy(&v, m, 8);
	return load_int(f, v);
}

MEM_FORMS(x87_load_f64, r, 8, x87_load_f64)
MEM_FORMS(x87_load_f32, r, 4, x87_load_f32)
MEM_FORMS(x87_load_f80, r, 10, x87_load_f80)
MEM_FORMS(x87_load_s16, r, 2, x87_load_s16)
MEM_FORMS(x87_load_s32, r, 4, x87_load_s32)
MEM_FORMS(x87_load_s64, r, 8, x87_load_s64)

static void x87_load_sti(UOP_ARGS)
{
	struct x87 *f = &cpu->x87;
	unsigned p = phys(f, u->sh);

	if (!can_push(f) || !full(f, p))
		FALL_BACK;
	push_plain(f, get(f, p));
	note_pointers(cpu, u);
	DONE;
}

/* ---- stores ------------------------------------------------------------------------------ */

static ALWAYS_INLINE bool can_store(const struct x87 *f)
{
	return likely(!(f->sw & X87_ES) && full(f, phys(f, 0)));
}

static ALWAYS_INLINE bool x87_store_f64(struct x87 *f, u8 *m)
{
	u16 sw = f->sw & (u16)~X87_C1;
	u64 v;

	if (!can_store(f) || !f80_fast_to_f64(get(f, phys(f, 0)), f->cw, &sw, &v))
		return false;
	memcpy(m, &v, 8);
	f->sw = sw;
	return true;
}

static ALWAYS_INLINE bool x87_store_f32(struct x87 *f, u8 *m)
{
	u16 sw = f->sw & (u16)~X87_C1;
	u32 v;

	if (!can_store(f) || !f80_fast_to_f32(get(f, phys(f, 0)), f->cw, &sw, &v))
		return false;
	memcpy(m, &v, 4);
	f->sw = sw;
	return true;
}

static ALWAYS_INLINE bool popped(struct x87 *f, bool stored)
{
	if (stored)
		pop(f);
	return stored;
}

static ALWAYS_INLINE bool x87_storep_f64(struct x87 *f, u8 *m)
{
	return popped(f, x87_store_f64(f, m));
}

static ALWAYS_INLINE bool x87_storep_f32(struct x87 *f, u8 *m)
{
	return popped(f, x87_store_f32(f, m));
}

static ALWAYS_INLINE bool x87_storep_f80(struct x87 *f, u8 *m)
{
	unsigned p = phys(f, 0);

	if (!can_store(f))
		return false;
	memcpy(m, &f->r[p].mant, 8);
	memcpy(m + 8, &f->r[p].se, 2);
	clear_c1(f);
	pop(f);
	return true;
}

static ALWAYS_INLINE bool storep_int(struct x87 *f, u8 *m, unsigned bits)
{
	u16 sw = f->sw & (u16)~X87_C1;
	s64 v;

	if (!can_store(f) || !f80_fast_to_int(get(f, phys(f, 0)), bits, f->cw, &sw, &v))
		return false;
	memcpy(m, &v, bits / 8);
	f->sw = sw;
	pop(f);
	return true;
}

static ALWAYS_INLINE bool x87_storep_s16(struct x87 *f, u8 *m)
{
	return storep_int(f, m, 16);
}

static ALWAYS_INLINE bool x87_storep_s32(struct x87 *f, u8 *m)
{
	return storep_int(f, m, 32);
}

static ALWAYS_INLINE bool x87_storep_s64(struct x87 *f, u8 *m)
{
	return storep_int(f, m, 64);
}

MEM_FORMS(x87_store_f64, w, 8, x87_store_f64)
MEM_FORMS(x87_store_f32, w, 4, x87_store_f32)
MEM_FORMS(x87_storep_f64, w, 8, x87_storep_f64)
MEM_FORMS(x87_storep_f32, w, 4, x87_storep_f32)
MEM_FORMS(x87_storep_f80, w, 10, x87_storep_f80)
MEM_FORMS(x87_storep_s16, w, 2, x87_storep_s16)
MEM_FORMS(x87_storep_s32, w, 4, x87_storep_s32)
MEM_FORMS(x87_storep_s64, w, 8, x87_storep_s64)

static void x87_store_sti(UOP_ARGS)
{
	struct x87 *f = &cpu->x87;

	if (!can_store(f))
		FALL_BACK;
	clear_c1(f);
	put(f, phys(f, u->sh), get(f, phys(f, 0)));
	note_pointers(cpu, u);
	DONE;
}

static void x87_storep_sti(UOP_ARGS)
{
	struct x87 *f = &cpu->x87;

	if (!can_store(f))
		FALL_BACK;
	clear_c1(f);
	put(f, phys(f, u->sh), get(f, phys(f, 0)));
	pop(f);
	note_pointers(cpu, u);
	DONE;
}

/* ---- on the stack alone ------------------------------------------------------------------ */

static void x87_fxch(UOP_ARGS)
{
	struct x87 *f = &cpu->x87;
	unsigned pa = phys(f, 0), pb = phys(f, u->sh);
	struct f80 a = get(f, pa), b = get(f, pb);

	if (unlikely((f->sw & X87_ES) || !(f->valid >> pa & f->valid >> pb & 1)))
		FALL_BACK;
	clear_c1(f);
	put(f, pa, b);
	put(f, pb, a);
	note_pointers(cpu, u);
	DONE;
}

static void x87_fchs(UOP_ARGS)
{
	struct x87 *f = &cpu->x87;

	if (!can_store(f))
		FALL_BACK;
	clear_c1(f);
	f->r[phys(f, 0)].se ^= 0x8000;
	note_pointers(cpu, u);
	DONE;
}

static void x87_fabs(UOP_ARGS)
{
	struct x87 *f = &cpu->x87;

	if (!can_store(f))
		FALL_BACK;
	clear_c1(f);
	f->r[phys(f, 0)].se &= 0x7fff;
	note_pointers(cpu, u);
	DONE;
}

static ALWAYS_INLINE bool root(struct x87 *f)
{
	unsigned p = phys(f, 0);
	u16 hsw = 0;

	if (unlikely(!usual(f) || !full(f, p)))
		return false;
	return likely(!host_x87_fsqrt_in_place(&f->r[p], refused(f), &hsw)) && accepted(f, hsw);
}

static void x87_fsqrt(UOP_ARGS)
{
	if (!root(&cpu->x87))
		FALL_BACK;
	note_pointers(cpu, u);
	DONE;
}

static void x87_fld1(UOP_ARGS)
{
	struct x87 *f = &cpu->x87;

	if (!can_push(f))
		FALL_BACK;
	push_plain(f, (struct f80){BIT64(63), 0x3fff});
	note_pointers(cpu, u);
	DONE;
}

static void x87_fldz(UOP_ARGS)
{
	struct x87 *f = &cpu->x87;

	if (!can_push(f))
		FALL_BACK;
	push_plain(f, (struct f80){0, 0});
	note_pointers(cpu, u);
	DONE;
}

/* ---- comparison into RFLAGS -------------------------------------------------------------- */

/* Unordered is left to the simple operation; the rest as FK_RES has it: fa = 0 is ZF, with its even
 * parity undone. */
#define COMI(name, after)                                                                          \
	static void name(UOP_ARGS)                                                                 \
	{                                                                                          \
		struct x87 *f = &cpu->x87;                                                         \
		unsigned pa = phys(f, 0), pb = phys(f, u->sh);                                     \
		int order = 0;                                                                     \
                                                                                                   \
		if (unlikely((f->sw & X87_ES) || !(f->valid >> pa & f->valid >> pb & 1) ||         \
			     !f80_fast_compare(get(f, pa), get(f, pb), &order)))                   \
			FALL_BACK;                                                                 \
		fa = order != 0;                                                                   \
		fb = order == 0 ? FL_PF : order < 0 ? FL_CF : 0;                                   \
		cpu->flag_kind = FK_RES;                                                           \
		after;                                                                             \
		note_pointers(cpu, u);                                                             \
		DONE;                                                                              \
	}
COMI(x87_comi, (void)0)
COMI(x87_comip, pop(f))

/* ---- generators -------------------------------------------------------------------------- */

/* Where offset and linear address are one, and nothing but paging is to be checked. */
static bool flat(const struct builder *b, const struct insn *in)
{
	u32 m = b->mode & (MODE_FLAT_DATA | MODE_AC | MODE_BITS);

	return (m == (MODE_FLAT_DATA | MODE_32) || m == (MODE_FLAT_DATA | MODE_64)) &&
	       in->seg < FS && in->seg != CS;
}

/* For note_pointers() and note_mem(): FOP, and the segment. */
static u64 pointers(const struct insn *in)
{
	return ((in->opcode & 7u) << 8 | in->modrm) | (u64)in->seg << 16;
}

static void emit_mem_form(struct builder *b, const struct insn *in, const uop_fn fns[EAM_COUNT],
			  unsigned size, unsigned acc)
{
	if (flat(b, in) && fns)
		emit_mem(b, in, fns, size, acc)->imm = pointers(in);
	emit_call(b, in, insn_exec(in)->op);
}

static void emit_reg_form(struct builder *b, const struct insn *in, uop_fn fn)
{
	struct uop *u;

	if ((b->mode & MODE_BITS) != MODE_16) {
		u = emit(b, fn);
		u->sh = in->modrm & 7;
		u->imm = pointers(in);
	}
	emit_call(b, in, insn_exec(in)->op);
}

static bool is_mem(const struct insn *in)
{
	return in->modrm < 0xc0;
}

void gen_x87_arith(struct builder *b, const struct insn *in, u32 arg)
{
	const struct arith_handlers *h = &arith_handlers[arg];

	if (!is_mem(in))
		emit_reg_form(b, in,
			      in->opcode == 0xd8   ? h->st0
			      : in->opcode == 0xdc ? h->sti
						   : h->pop);
	else if (in->opcode == 0xdc)
		emit_mem_form(b, in, h->f64, 8, ACC_R);
	else
		emit_mem_form(b, in, h->f32, 4, ACC_R);
}

void gen_x87_load(struct builder *b, const struct insn *in, u32 arg)
{
	static const uop_fn f32[] = EAM3(x87_load_f32), f64[] = EAM3(x87_load_f64),
			    f80[] = EAM3(x87_load_f80);
	static const uop_fn s16_[] = EAM3(x87_load_s16), s32_[] = EAM3(x87_load_s32),
			    s64_[] = EAM3(x87_load_s64);

	if (!is_mem(in))
		emit_reg_form(b, in, x87_load_sti);
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
	static const uop_fn s16_[] = EAM3(x87_storep_s16), s32_[] = EAM3(x87_storep_s32),
			    s64_[] = EAM3(x87_storep_s64);

	if (in->opcode == 0xdb)
		emit_mem_form(b, in, s32_, 4, ACC_W);
	else if ((in->modrm & 0x38) == 0x38)
		emit_mem_form(b, in, s64_, 8, ACC_W);
	else
		emit_mem_form(b, in, s16_, 2, ACC_W);
}

void gen_x87_store(struct builder *b, const struct insn *in, u32 arg)
{
	static const uop_fn f32[2][EAM_COUNT] = {EAM3(x87_store_f32), EAM3(x87_storep_f32)};
	static const uop_fn f64[2][EAM_COUNT] = {EAM3(x87_store_f64), EAM3(x87_storep_f64)};
	static const uop_fn f80[] = EAM3(x87_storep_f80);

	if (arg == 2)
		gen_fistp(b, in);
	else if (!is_mem(in))
		emit_reg_form(b, in, arg ? x87_storep_sti : x87_store_sti);
	else if (in->opcode == 0xdd)
		emit_mem_form(b, in, f64[arg], 8, ACC_W);
	else if (in->opcode == 0xd9)
		emit_mem_form(b, in, f32[arg], 4, ACC_W);
	else
		emit_mem_form(b, in, f80, 10, ACC_W);
}

void gen_x87_unary(struct builder *b, const struct insn *in, u32 arg)
{
	static const uop_fn fns[] = {
	    [X87_FXCH] = x87_fxch,   [X87_FCHS] = x87_fchs, [X87_FABS] = x87_fabs,
	    [X87_FSQRT] = x87_fsqrt, [X87_FLD1] = x87_fld1, [X87_FLDZ] = x87_fldz,
	};

	emit_reg_form(b, in, fns[arg]);
}

void gen_x87_comi(struct builder *b, const struct insn *in, u32 arg)
{
	emit_reg_form(b, in, arg ? x87_comip : x87_comi); /* the call makes the flags dynamic */
}
