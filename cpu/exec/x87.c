/*
 * The x87 instructions: SDM Vol. 1, chapter 8; Vol. 2, the F* pages.
 *
 * Modelled: stack faults, tags, every masked and unmasked response, C0-C3, precision and rounding
 * control, the last instruction and operand pointers (every non-control instruction updates them,
 * as before the FDP_EXCPTN_ONLY processors), #MF, FERR#. Arithmetic is in cpu/fpu: the plain cases
 * inline (fast.h), the rest exact. Not modelled: IGNNE# and the freeze that waits for it; with
 * CR0.NE = 0 it behaves as always asserted.
 */
#include "base/log.h"
#include "cpu/exec/exec.h"
#include "cpu/exec/x87_ops.h"
#include "cpu/fpu/fast.h"
#include "cpu/fpu/transcendental.h"

#define CW_INIT 0x37fu

/* ---- exceptions -------------------------------------------------------------------------- */

static COLD void set_summary(struct cpu *cpu)
{
	cpu->x87.sw |= X87_ES | X87_B;
	if (!(cpu->cr0 & CR0_NE) && cpu->bus.ferr)
		cpu->bus.ferr(cpu->bus.ctx, true);
}

static void clear_summary(struct cpu *cpu)
{
	if ((cpu->x87.sw & X87_ES) && !(cpu->cr0 & CR0_NE) && cpu->bus.ferr)
		cpu->bus.ferr(cpu->bus.ctx, false);
	cpu->x87.sw &= (u16) ~(X87_ES | X87_B);
}

void x87_update_summary(struct cpu *cpu)
{
	if (cpu->x87.sw & ~cpu->x87.cw & FPE_ALL)
		set_summary(cpu);
	else
		clear_summary(cpu);
	x87_settle(&cpu->x87);
}

COLD int x87_check_pending(struct cpu *cpu)
{
	if (!(cpu->x87.sw & X87_ES))
		return 0;
	if (cpu->cr0 & CR0_NE)
		return cpu_fault(cpu, EXC_MF, 0, "unmasked x87 exception pending", x87_sw(&cpu->x87));
	log_unimplemented(
	    cpu->log, "x87: IGNNE# (CR0.NE = 0 with an x87 exception pending): execution goes on");
	return 0;
}

/* Enters raised flags in the status word. True: an unmasked exception forbids storing any result.
 */
static bool raise(struct cpu *cpu, unsigned flags, bool c1)
{
	unsigned unmasked = flags & ~cpu->x87.cw & FPE_ALL;

	cpu->x87.sw |= (u16)flags;
	if (c1)
		cpu->x87.c1 = X87_C1;
	if (unmasked)
		set_summary(cpu);
	return unmasked & FPE_PRE;
}

static bool raise_env(struct cpu *cpu, const struct fp_env *e)
{
	return raise(cpu, e->flags, e->c1);
}

/* Stack fault: C1 tells overflow from underflow. True: unmasked, nothing more happens. */
static COLD bool stack_fault(struct cpu *cpu, bool overflow)
{
	cpu->x87.c1 = 0;
	return raise(cpu, FPE_IE | X87_SF, overflow);
}

/* What one of fast.h made of the status word: with C1. */
static ALWAYS_INLINE void take_status(struct x87 *f, u16 sw)
{
	f->c1 = sw;
	f->sw = sw & (u16)~X87_C1;
}

static struct fp_env env_of(unsigned cw)
{
	static const u8 precision[4] = {24, 64, 53, 64};

	return (struct fp_env){
	    .rc = cw >> 10 & 3, .pc = precision[cw >> 8 & 3], .masks = cw & FPE_ALL};
}

/* ---- instruction frame ------------------------------------------------------------------- */

static ALWAYS_INLINE bool is_mem(const struct insn *in)
{
	return in->modrm < 0xc0;
}

/* The last-instruction pointers, for every instruction that is not a control instruction. */
static ALWAYS_INLINE void note_pointers(struct cpu *cpu, const struct insn *in)
{
	struct x87 *f = &cpu->x87;

	f->fip = cpu->insn_rip;
	f->fcs = cpu->seg[CS].sel;
	f->fop = (u16)((in->opcode & 7) << 8 | in->modrm);
}

/* The same; and nearly all of them clear C1. */
static ALWAYS_INLINE void note(struct cpu *cpu, const struct insn *in)
{
	note_pointers(cpu, in);
	cpu->x87.c1 = 0;
}

static ALWAYS_INLINE void note_mem(struct cpu *cpu, const struct insn *in, u64 ea)
{
	note(cpu, in);
	cpu->x87.fdp = ea;
	cpu->x87.fds = cpu->seg[in->seg].sel;
}

static ALWAYS_INLINE u64 fast_ea(const struct cpu *cpu, const struct insn *in)
{
	u64 base = in->base == R_CODE ? cpu->rip : cpu->r[in->base];
	u64 ea = base + (cpu->r[in->index] << in->scale) + (u64)in->disp;

	return in->adsize == 8 ? ea : in->adsize == 4 ? (u32)ea : (u16)ea;
}

/* Whether offset and linear address are the same and no check but paging is due. */
static ALWAYS_INLINE bool flat(const struct cpu *cpu, const struct insn *in)
{
	return (cpu->mode & (MODE_FLAT_DATA | MODE_AC)) == MODE_FLAT_DATA && in->seg != CS &&
	       in->seg < FS;
}

static NOINLINE int slow_read(struct cpu *cpu, const struct insn *in, void *buf, unsigned size)
{
	u64 lin;

	return op_linear(cpu, in, size, ACC_R, &lin) || mem_read(cpu, lin, buf, size, ACC_R);
}

static ALWAYS_INLINE int operand_read(struct cpu *cpu, const struct insn *in, void *buf,
				      unsigned size, u64 *ea)
{
	const struct tlb_entry *e;

	*ea = fast_ea(cpu, in);
	e = &cpu->tlb->r[tlb_index(*ea)];
	if (likely(flat(cpu, in) && *ea - e->tag <= 4096 - size)) {
		memcpy(buf, (const void *)(e->host + *ea), size);
		return 0;
	}
	return slow_read(cpu, in, buf, size);
}

static NOINLINE int slow_write(struct cpu *cpu, const struct insn *in, const void *buf,
			       unsigned size)
{
	u64 lin;

	return op_linear(cpu, in, size, ACC_W, &lin) || mem_write(cpu, lin, buf, size, ACC_W);
}

static ALWAYS_INLINE int operand_write(struct cpu *cpu, const struct insn *in, const void *buf,
				       unsigned size, u64 *ea)
{
	const struct tlb_entry *e;

	*ea = fast_ea(cpu, in);
	e = &cpu->tlb->w[tlb_index(*ea)];
	if (likely(flat(cpu, in) && *ea - e->tag <= 4096 - size)) {
		memcpy((void *)(e->host + *ea), buf, size);
		return 0;
	}
	return slow_write(cpu, in, buf, size);
}

/* A waiting instruction: pending exceptions first. */
#define X87_WAITING(name)                                                                          \
	static ALWAYS_INLINE int x87_##name(struct cpu *cpu, const struct insn *in);               \
	static int op_##name(struct cpu *cpu, const struct insn *in)                               \
	{                                                                                          \
		int err;                                                                           \
                                                                                                   \
		if (unlikely(cpu->x87.sw & X87_ES) && x87_check_pending(cpu))                      \
			return 1;                                                                  \
		err = x87_##name(cpu, in);                                                         \
		x87_settle(&cpu->x87);                                                             \
		return err;                                                                        \
	}                                                                                          \
	static ALWAYS_INLINE int x87_##name(struct cpu *cpu, const struct insn *in)

#define X87(name)                                                                                  \
	static int op_##name(struct cpu *cpu, const struct insn *in);                              \
	const struct exec_desc exec_##name = {.op = op_##name};                                    \
	X87_WAITING(name)

/* The same, with micro-operations for its common cases (x87_hot.c). */
#define X87_HOT(name, gen_fn, gen_arg)                                                             \
	static int op_##name(struct cpu *cpu, const struct insn *in);                              \
	const struct exec_desc exec_##name = {.op = op_##name, .gen = gen_fn, .arg = gen_arg};     \
	X87_WAITING(name)

#define ALIAS(name, of) const struct exec_desc exec_##name = {.op = op_##of};

/* ---- memory operands of arithmetic and comparison ---------------------------------------- */

enum src { SRC_F32, SRC_F64, SRC_S32, SRC_S16 };

/* D8, DA, DC, DE select the format. */
static ALWAYS_INLINE enum src src_of(const struct insn *in)
{
	static const u8 by_opcode[4] = {SRC_F32, SRC_S32, SRC_F64, SRC_S16};

	return by_opcode[in->opcode >> 1 & 3];
}

static ALWAYS_INLINE int src_read(struct cpu *cpu, const struct insn *in, enum src s, u64 *raw)
{
	u64 ea, v = 0;
	int err;

	switch (s) {
	case SRC_F64: err = operand_read(cpu, in, &v, 8, &ea); break;
	case SRC_S16: err = operand_read(cpu, in, &v, 2, &ea); break;
	default: err = operand_read(cpu, in, &v, 4, &ea); break;
	}
	if (err)
		return 1;
	*raw = v;
	note_mem(cpu, in, ea);
	return 0;
}

static ALWAYS_INLINE bool src_fast(enum src s, u64 raw, struct f80 *v)
{
	switch (s) {
	case SRC_F32: return f80_fast_from_f32((u32)raw, v);
	case SRC_F64: return f80_fast_from_f64(raw, v);
	case SRC_S32: *v = f80_from_s64((s32)raw); return true;
	default: *v = f80_from_s64((s16)raw); return true;
	}
}

static struct fp_num src_num(enum src s, u64 raw)
{
	switch (s) {
	case SRC_F32: return fp_from_f32((u32)raw);
	case SRC_F64: return fp_from_f64(raw);
	case SRC_S32: return fp_from_s64((s32)raw);
	default: return fp_from_s64((s16)raw);
	}
}

/* ---- ADD SUB MUL DIV --------------------------------------------------------------------- */

/* False: an unmasked exception left everything in place, and nothing may be popped. */
static NOINLINE bool arith_exact(struct cpu *cpu, enum fp_op op, unsigned dst,
				 const struct fp_num *b)
{
	struct fp_env e = env_of(cpu->x87.cw);
	struct fp_num a = fp_from_f80(get(&cpu->x87, dst));
	struct f80 r = f80_arith(op, &a, b, &e);

	if (raise_env(cpu, &e))
		return false;
	put(&cpu->x87, dst, r);
	return true;
}

static COLD bool arith_underflow(struct cpu *cpu, unsigned dst)
{
	if (stack_fault(cpu, false))
		return false;
	put(&cpu->x87, dst, F80_INDEFINITE);
	return true;
}

static ALWAYS_INLINE int arith_mem(struct cpu *cpu, const struct insn *in, enum fp_op op,
				   enum src s)
{
	struct x87 *f = &cpu->x87;
	struct f80 a, b, r;
	u16 sw = f->sw;
	struct fp_num n;
	u64 raw;

	if (src_read(cpu, in, s, &raw))
		return 1;
	if (unlikely(!full(f, 0))) {
		arith_underflow(cpu, 0);
		return 0;
	}
	a = get(f, 0);
	if (likely(src_fast(s, raw, &b) && f80_fast_arith(op, &a, &b, f->cw, &sw, &r))) {
		take_status(f, sw);
		put(f, 0, r);
		return 0;
	}
	n = src_num(s, raw);
	arith_exact(cpu, op, 0, &n);
	return 0;
}

static ALWAYS_INLINE int arith_reg(struct cpu *cpu, const struct insn *in, enum fp_op op)
{
	struct x87 *f = &cpu->x87;
	bool to_st0 = !(in->opcode & 4);
	unsigned i = in->modrm & 7;
	unsigned dst = to_st0 ? 0 : i, src = to_st0 ? i : 0;
	u16 sw = f->sw;
	struct f80 a = get(f, dst), b = get(f, src), r;
	bool done = true;
	struct fp_num n;

	note(cpu, in);
	if (unlikely(!full(f, dst) || !full(f, src))) {
		done = arith_underflow(cpu, dst);
	} else if (likely(f80_fast_arith(op, &a, &b, f->cw, &sw, &r))) {
		take_status(f, sw);
		put(f, dst, r);
	} else {
		n = fp_from_f80(b);
		done = arith_exact(cpu, op, dst, &n);
	}
	if ((in->opcode & 6) == 6 && done)
		pop(f);
	return 0;
}

#define ARITH(name, op)                                                                            \
	X87_HOT(name, gen_x87_arith, op)                                                           \
	{                                                                                          \
		if (!is_mem(in))                                                                   \
			return arith_reg(cpu, in, op);                                             \
		if (in->opcode & 4)                                                                \
			return arith_mem(cpu, in, op, SRC_F64);                                    \
		return arith_mem(cpu, in, op, SRC_F32);                                            \
	}                                                                                          \
	X87_HOT(name##p, gen_x87_arith, op)                                                        \
	{                                                                                          \
		return arith_reg(cpu, in, op);                                                     \
	}

#define IARITH(name, op)                                                                           \
	X87(name)                                                                                  \
	{                                                                                          \
		return arith_mem(cpu, in, op, in->opcode & 4 ? SRC_S16 : SRC_S32);                 \
	}

ARITH(fadd, FP_ADD)
ARITH(fmul, FP_MUL)
ARITH(fsub, FP_SUB)
ARITH(fsubr, FP_SUBR)
ARITH(fdiv, FP_DIV)
ARITH(fdivr, FP_DIVR)
IARITH(fiadd, FP_ADD)
IARITH(fimul, FP_MUL)
IARITH(fisub, FP_SUB)
IARITH(fisubr, FP_SUBR)
IARITH(fidiv, FP_DIV)
IARITH(fidivr, FP_DIVR)

/* ---- comparison -------------------------------------------------------------------------- */

enum compare_kind { CMP_QUIET = 1, CMP_RFLAGS = 2 };

/* By order + 1: less, equal, greater, unordered. */
static const u16 compare_cc[4] = {X87_C0, X87_C3, 0, X87_C0 | X87_C2 | X87_C3};
static const u8 compare_rflags[4] = {FL_CF, FL_ZF, 0, FL_CF | FL_PF | FL_ZF};

static ALWAYS_INLINE void compare_result(struct cpu *cpu, int order, unsigned kind)
{
	if (kind & CMP_RFLAGS)
		cpu->rflags = (cpu->rflags & ~FL_ARITH) | compare_rflags[order + 1];
	else
		cpu->x87.sw = (u16)((cpu->x87.sw & ~X87_CC) | compare_cc[order + 1]);
}

/* False: unmasked exception, nothing is popped; the condition is reported even so. */
static NOINLINE bool compare_exact(struct cpu *cpu, const struct fp_num *a, const struct fp_num *b,
				   unsigned kind)
{
	struct fp_env e = env_of(cpu->x87.cw);
	int order = fp_compare(a, b, kind & CMP_QUIET, &e);

	compare_result(cpu, order, kind);
	return !raise_env(cpu, &e);
}

static ALWAYS_INLINE int compare_reg(struct cpu *cpu, const struct insn *in, unsigned i,
				     unsigned pops, unsigned kind)
{
	struct x87 *f = &cpu->x87;
	struct f80 a = get(f, 0), b = get(f, i);
	bool done = true;
	int order;

	note_pointers(cpu, in);
	if (!(kind & CMP_RFLAGS)) /* FCOMI and kin leave C1 alone */
		f->c1 = 0;
	if (unlikely(!full(f, 0) || !full(f, i))) {
		compare_result(cpu, 2, kind);
		done = !stack_fault(cpu, false);
	} else if (likely(f80_fast_compare(a, b, &order))) {
		compare_result(cpu, order, kind);
	} else {
		struct fp_num na = fp_from_f80(a), nb = fp_from_f80(b);

		done = compare_exact(cpu, &na, &nb, kind);
	}
	for (; done && pops; pops--)
		pop(f);
	return 0;
}

static ALWAYS_INLINE int compare_mem(struct cpu *cpu, const struct insn *in, unsigned pops)
{
	struct x87 *f = &cpu->x87;
	enum src s = src_of(in);
	bool done = true;
	struct f80 a, b;
	int order;
	u64 raw;

	if (src_read(cpu, in, s, &raw))
		return 1;
	a = get(f, 0);
	if (!full(f, 0)) {
		compare_result(cpu, 2, 0);
		done = !stack_fault(cpu, false);
	} else if (likely(src_fast(s, raw, &b) && f80_fast_compare(a, b, &order))) {
		compare_result(cpu, order, 0);
	} else {
		struct fp_num na = fp_from_f80(a), nb = src_num(s, raw);

		done = compare_exact(cpu, &na, &nb, 0);
	}
	if (done && pops)
		pop(f);
	return 0;
}

X87(fcom)
{
	return is_mem(in) ? compare_mem(cpu, in, 0) : compare_reg(cpu, in, in->modrm & 7, 0, 0);
}

X87(fcomp)
{
	return is_mem(in) ? compare_mem(cpu, in, 1) : compare_reg(cpu, in, in->modrm & 7, 1, 0);
}

X87(ficom)
{
	return compare_mem(cpu, in, 0);
}
X87(ficomp)
{
	return compare_mem(cpu, in, 1);
}
X87(fcompp)
{
	return compare_reg(cpu, in, 1, 2, 0);
}
X87(fucom)
{
	return compare_reg(cpu, in, in->modrm & 7, 0, CMP_QUIET);
}
X87(fucomp)
{
	return compare_reg(cpu, in, in->modrm & 7, 1, CMP_QUIET);
}
X87(fucompp)
{
	return compare_reg(cpu, in, 1, 2, CMP_QUIET);
}
X87_HOT(fcomi, gen_x87_comi, 0)
{
	return compare_reg(cpu, in, in->modrm & 7, 0, CMP_RFLAGS);
}
X87_HOT(fcomip, gen_x87_comi, 1)
{
	return compare_reg(cpu, in, in->modrm & 7, 1, CMP_RFLAGS);
}
X87_HOT(fucomi, gen_x87_comi, 0)
{
	return compare_reg(cpu, in, in->modrm & 7, 0, CMP_RFLAGS | CMP_QUIET);
}
X87_HOT(fucomip, gen_x87_comi, 1)
{
	return compare_reg(cpu, in, in->modrm & 7, 1, CMP_RFLAGS | CMP_QUIET);
}

X87(ftst)
{
	struct fp_num zero = {.cls = FP_CLS_ZERO}, a;
	struct x87 *f = &cpu->x87;

	note(cpu, in);
	if (!full(f, 0)) {
		compare_result(cpu, 2, 0);
		stack_fault(cpu, false);
		return 0;
	}
	a = fp_from_f80(get(f, 0));
	compare_exact(cpu, &a, &zero, 0);
	return 0;
}

X87(fxam)
{
	/* C3 C2 C0 by class: SDM Vol. 2A, FXAM. */
	static const u16 cc[] = {
	    [FP_CLS_ZERO] = X87_C3, [FP_CLS_FINITE] = X87_C2, [FP_CLS_INF] = X87_C2 | X87_C0,
	    [FP_CLS_QNAN] = X87_C0, [FP_CLS_SNAN] = X87_C0,   [FP_CLS_UNSUPPORTED] = 0,
	};
	struct x87 *f = &cpu->x87;
	struct fp_num a = fp_from_f80(get(f, 0));
	unsigned bits = cc[a.cls];

	note(cpu, in);
	if (!full(f, 0))
		bits = X87_C3 | X87_C0;
	else if (a.denorm)
		bits = X87_C3 | X87_C2;
	f->sw = (u16)((f->sw & ~X87_CC) | bits);
	f->c1 = a.sign ? X87_C1 : 0;
	return 0;
}

/* ---- loads ------------------------------------------------------------------------------- */

/* Pushes @v, or the indefinite on stack overflow. */
static ALWAYS_INLINE void push_checked(struct cpu *cpu, struct f80 v)
{
	struct x87 *f = &cpu->x87;

	if (unlikely(full(f, 7))) {
		if (stack_fault(cpu, true))
			return;
		v = F80_INDEFINITE;
	}
	push(f, v);
}

/* NaNs and denormals of FLD m32, m64. */
static NOINLINE void push_exact(struct cpu *cpu, enum src s, u64 raw)
{
	struct fp_env e = env_of(cpu->x87.cw);
	struct f80 v = {0, 0};

	if (!full(&cpu->x87, 7)) {
		v = s == SRC_F32 ? f80_from_f32((u32)raw, &e) : f80_from_f64(raw, &e);
		/* An unmasked #D is raised, but does not keep the value off the stack (seen on
		 * hardware). */
		if (raise_env(cpu, &e) && (e.flags & FPE_IE))
			return;
	}
	push_checked(cpu, v);
}

static ALWAYS_INLINE int load_float(struct cpu *cpu, const struct insn *in, enum src s)
{
	struct f80 v;
	u64 raw;

	if (src_read(cpu, in, s, &raw))
		return 1;
	if (likely(src_fast(s, raw, &v)))
		push_checked(cpu, v);
	else
		push_exact(cpu, s, raw);
	return 0;
}

static ALWAYS_INLINE int load_f80(struct cpu *cpu, const struct insn *in)
{
	struct f80 v;
	u8 buf[10];
	u64 ea;

	if (operand_read(cpu, in, buf, 10, &ea))
		return 1;
	note_mem(cpu, in, ea);
	memcpy(&v.mant, buf, 8);
	memcpy(&v.se, buf + 8, 2);
	push_checked(cpu, v);
	return 0;
}

static ALWAYS_INLINE int load_reg(struct cpu *cpu, const struct insn *in)
{
	struct x87 *f = &cpu->x87;
	unsigned i = in->modrm & 7;

	note(cpu, in);
	if (likely(full(f, i)))
		push_checked(cpu, get(f, i));
	else if (!stack_fault(cpu, false)) /* goes before overflow */
		push(f, F80_INDEFINITE);
	return 0;
}

X87_HOT(fld, gen_x87_load, 0)
{
	if (!is_mem(in))
		return load_reg(cpu, in);
	if (in->opcode == 0xdd)
		return load_float(cpu, in, SRC_F64);
	if (in->opcode == 0xd9)
		return load_float(cpu, in, SRC_F32);
	return load_f80(cpu, in);
}

X87_HOT(fild, gen_x87_load, 1)
{
	u64 ea;
	s64 v;

	/* DF /0 m16, DB /0 m32, DF /5 m64 */
	if (in->opcode == 0xdb) {
		s32 w;

		if (operand_read(cpu, in, &w, 4, &ea))
			return 1;
		v = w;
	} else if (in->modrm & 0x38) {
		if (operand_read(cpu, in, &v, 8, &ea))
			return 1;
	} else {
		s16 w;

		if (operand_read(cpu, in, &w, 2, &ea))
			return 1;
		v = w;
	}
	note_mem(cpu, in, ea);
	push_checked(cpu, f80_from_s64(v));
	return 0;
}

X87(fbld)
{
	u8 buf[10];
	u64 ea;

	if (operand_read(cpu, in, buf, 10, &ea))
		return 1;
	note_mem(cpu, in, ea);
	push_checked(cpu, f80_from_bcd(buf));
	return 0;
}

/* Truncated significand, exponent, and whether round to nearest goes up (SDM Vol. 2A, FLD1). */
static const struct constant {
	u64 mant;
	u16 se;
	u8 inexact, nearest_up;
} constants[7] = {
    {0x8000000000000000ull, 0x3fff, 0, 0}, /* 1 */
    {0xd49a784bcd1b8afeull, 0x4000, 1, 0}, /* log2 10 */
    {0xb8aa3b295c17f0bbull, 0x3fff, 1, 1}, /* log2 e */
    {0xc90fdaa22168c234ull, 0x4000, 1, 1}, /* pi */
    {0x9a209a84fbcff798ull, 0x3ffd, 1, 1}, /* log10 2 */
    {0xb17217f7d1cf79abull, 0x3ffe, 1, 1}, /* ln 2 */
    {0, 0, 0, 0},                          /* 0 */
};

X87_HOT(fld1, gen_x87_unary, X87_FLD1)
{
	const struct constant *c = &constants[MIN(in->modrm & 7, 6)]; /* D9 E8+i */
	unsigned rc = cpu->x87.cw >> 10 & 3;
	bool up = rc == RC_UP ? c->inexact : rc == RC_NEAREST ? c->nearest_up : 0;

	note(cpu, in);
	push_checked(cpu, (struct f80){c->mant + up, c->se});
	return 0;
}

ALIAS(fldl2t, fld1)
ALIAS(fldl2e, fld1)
ALIAS(fldpi, fld1)
ALIAS(fldlg2, fld1)
ALIAS(fldln2, fld1)
const struct exec_desc exec_fldz = {.op = op_fld1, .gen = gen_x87_unary, .arg = X87_FLDZ};

/* ---- stores ------------------------------------------------------------------------------ */

/* What a store to memory has computed before anything is committed. */
struct store {
	u8 buf[16];
	unsigned size;
	u16 raise; /* FPE_*, SF and C1 to enter */
	bool skip; /* an unmasked exception: nothing is written or popped */
};

static void store_finish(struct cpu *cpu, struct store *s, const struct fp_env *e,
			 unsigned blocking)
{
	s->raise = (u16)(e->flags | (e->c1 ? X87_C1 : 0));
	s->skip = e->flags & ~e->masks & blocking;
}

static NOINLINE int store_commit(struct cpu *cpu, const struct insn *in, const struct store *s,
				 bool pops)
{
	u64 ea = op_ea(cpu, in);

	/* An unmasked exception comes before any look at the operand's address (seen on hardware).
	 */
	if (!s->skip && operand_write(cpu, in, s->buf, s->size, &ea))
		return 1;
	note_mem(cpu, in, ea);
	raise(cpu, s->raise & ~X87_C1, s->raise & X87_C1);
	if (pops && !s->skip)
		pop(&cpu->x87);
	return 0;
}

static NOINLINE int store_exact(struct cpu *cpu, const struct insn *in, unsigned size, bool pops)
{
	struct x87 *f = &cpu->x87;
	struct fp_env e = env_of(f->cw);
	struct store s = {.size = size};
	struct f80 v = F80_INDEFINITE;
	u64 r;

	if (full(f, 0))
		v = get(f, 0);
	else
		e.flags = FPE_IE | X87_SF;
	r = size == 8 ? f80_to_f64(v, &e) : f80_to_f32(v, &e);
	memcpy(s.buf, &r, size);
	/* A memory destination keeps its value on unmasked overflow and underflow too (SDM Vol.
	 * 1, 8.5.4, 8.5.5). */
	store_finish(cpu, &s, &e, FPE_PRE | FPE_OE | FPE_UE);
	if (s.skip)
		s.raise &= (u16) ~(FPE_PE | X87_C1);
	return store_commit(cpu, in, &s, pops);
}

static ALWAYS_INLINE int store_float(struct cpu *cpu, const struct insn *in, unsigned size,
				     bool pops)
{
	struct x87 *f = &cpu->x87;
	struct f80 v = get(f, 0);
	u16 sw = f->sw;
	u64 r, ea;
	u32 r32;

	if (unlikely(!full(f, 0)))
		return store_exact(cpu, in, size, pops);
	if (size == 8 ? !f80_fast_to_f64(v, f->cw, &sw, &r) : !f80_fast_to_f32(v, f->cw, &sw, &r32))
		return store_exact(cpu, in, size, pops);
	if (operand_write(cpu, in, size == 8 ? (void *)&r : (void *)&r32, size, &ea))
		return 1;
	note_mem(cpu, in, ea);
	take_status(f, sw);
	if (pops)
		pop(f);
	return 0;
}

static int store_f80(struct cpu *cpu, const struct insn *in)
{
	struct x87 *f = &cpu->x87;
	struct f80 v = get(f, 0);
	struct fp_env e = env_of(f->cw);
	struct store s = {.size = 10};

	if (!full(f, 0)) {
		e.flags = FPE_IE | X87_SF;
		v = F80_INDEFINITE;
	}
	store_finish(cpu, &s, &e, FPE_PRE);
	memcpy(s.buf, &v.mant, 8);
	memcpy(s.buf + 8, &v.se, 2);
	return store_commit(cpu, in, &s, true);
}

static ALWAYS_INLINE int store_reg(struct cpu *cpu, const struct insn *in, bool pops)
{
	struct x87 *f = &cpu->x87;
	unsigned dst = in->modrm & 7;
	struct f80 v = get(f, 0);

	note(cpu, in);
	if (unlikely(!full(f, 0))) {
		if (in->opcode == 0xd9) { /* D9 D8+i (FSTPNCE): an empty register is only popped */
			pop(f);
			return 0;
		}
		if (stack_fault(cpu, false))
			return 0;
		v = F80_INDEFINITE;
	}
	put(f, dst, v);
	if (pops)
		pop(f);
	return 0;
}

static ALWAYS_INLINE int store(struct cpu *cpu, const struct insn *in, bool pops)
{
	if (!is_mem(in))
		return store_reg(cpu, in, pops);
	if (in->opcode == 0xdd)
		return store_float(cpu, in, 8, pops);
	if (in->opcode == 0xd9)
		return store_float(cpu, in, 4, pops);
	return store_f80(cpu, in); /* DB /7, FSTP only */
}

X87_HOT(fst, gen_x87_store, 0)
{
	return store(cpu, in, false);
}
X87_HOT(fstp, gen_x87_store, 1)
{
	return store(cpu, in, true);
}

/* Any exception but plain #P, an empty register, a value beyond the range. */
static NOINLINE int store_int_exact(struct cpu *cpu, const struct insn *in, unsigned bits,
				    unsigned cw, bool pops)
{
	struct x87 *f = &cpu->x87;
	struct fp_env e = env_of(cw);
	struct store s = {.size = bits / 8};
	u64 r;

	if (full(f, 0)) {
		r = (u64)f80_to_int(get(f, 0), bits, &e);
	} else {
		r = BIT64(bits - 1);
		e.flags = FPE_IE | X87_SF;
	}
	memcpy(s.buf, &r, s.size);
	store_finish(cpu, &s, &e, FPE_PRE);
	return store_commit(cpu, in, &s, pops);
}

static ALWAYS_INLINE int store_int(struct cpu *cpu, const struct insn *in, unsigned bits,
				   unsigned cw, bool pops)
{
	struct x87 *f = &cpu->x87;
	u16 sw = f->sw;
	u64 ea;
	s64 r;

	if (unlikely(!full(f, 0) || !f80_fast_to_int(get(f, 0), bits, cw, &sw, &r)))
		return store_int_exact(cpu, in, bits, cw, pops);
	if (operand_write(cpu, in, &r, bits / 8, &ea))
		return 1;
	note_mem(cpu, in, ea);
	take_status(f, sw);
	if (pops)
		pop(f);
	return 0;
}

static ALWAYS_INLINE int store_int_sized(struct cpu *cpu, const struct insn *in, unsigned cw,
					 bool pops)
{
	/* DB: m32; DD: m64 (FISTTP); DF: m16 for /1 /2 /3, m64 for /7 */
	if (in->opcode == 0xdb)
		return store_int(cpu, in, 32, cw, pops);
	if (in->opcode == 0xdd || (in->modrm & 0x38) == 0x38)
		return store_int(cpu, in, 64, cw, pops);
	return store_int(cpu, in, 16, cw, pops);
}

X87(fist)
{
	return store_int_sized(cpu, in, cpu->x87.cw, false);
}
X87_HOT(fistp, gen_x87_store, 2)
{
	return store_int_sized(cpu, in, cpu->x87.cw, true);
}
X87(fisttp)
{
	return store_int_sized(cpu, in, cpu->x87.cw | X87_CW_RC, true);
}

X87(fbstp)
{
	struct x87 *f = &cpu->x87;
	struct fp_env e = env_of(f->cw);
	struct store s = {.size = 10};

	if (full(f, 0)) {
		f80_to_bcd(get(f, 0), s.buf, &e);
	} else {
		e.flags = FPE_IE | X87_SF;
		memcpy(s.buf, (const u8[10]){[7] = 0xc0, [8] = 0xff, [9] = 0xff}, 10);
	}
	store_finish(cpu, &s, &e, FPE_PRE);
	return store_commit(cpu, in, &s, true);
}

/* ---- moves between registers ------------------------------------------------------------- */

X87_HOT(fxch, gen_x87_unary, X87_FXCH)
{
	struct x87 *f = &cpu->x87;
	unsigned i = in->modrm & 7;
	struct x87_reg t;

	note(cpu, in);
	if (unlikely(!full(f, 0) || !full(f, i))) {
		if (stack_fault(cpu, false))
			return 0;
		if (!full(f, 0))
			put(f, 0, F80_INDEFINITE);
		if (!full(f, i))
			put(f, i, F80_INDEFINITE);
	}
	t = *st(f, 0);
	*st(f, 0) = *st(f, i);
	*st(f, i) = t;
	return 0;
}

X87(fcmovcc)
{
	static const u8 tested[4] = {FL_CF, FL_ZF, FL_CF | FL_ZF, FL_PF};
	struct x87 *f = &cpu->x87;
	unsigned i = in->modrm & 7;
	/* DA C0+8n: moves if one is set; DB C0+8n: if none is. */
	bool cond = !!(cpu->rflags & tested[in->modrm >> 3 & 3]) != (in->opcode & 1);

	note_pointers(cpu, in); /* C1 stays */
	if (!full(f, 0) || !full(f, i))
		arith_underflow(cpu, 0);
	else if (cond)
		put(f, 0, get(f, i));
	return 0;
}

ALIAS(fcmovb, fcmovcc)
ALIAS(fcmove, fcmovcc)
ALIAS(fcmovbe, fcmovcc)
ALIAS(fcmovu, fcmovcc)
ALIAS(fcmovnb, fcmovcc)
ALIAS(fcmovne, fcmovcc)
ALIAS(fcmovnbe, fcmovcc)
ALIAS(fcmovnu, fcmovcc)

/* ---- one-operand arithmetic -------------------------------------------------------------- */

static ALWAYS_INLINE int sign_op(struct cpu *cpu, const struct insn *in, u16 and, u16 flip)
{
	struct x87 *f = &cpu->x87;

	note(cpu, in);
	if (unlikely(!full(f, 0)))
		arith_underflow(cpu, 0);
	else
		st(f, 0)->se = (st(f, 0)->se & and) ^ flip;
	return 0;
}

X87_HOT(fchs, gen_x87_unary, X87_FCHS)
{
	return sign_op(cpu, in, 0xffff, 0x8000);
}
X87_HOT(fabs, gen_x87_unary, X87_FABS)
{
	return sign_op(cpu, in, 0x7fff, 0);
}

static NOINLINE void unary_exact(struct cpu *cpu, struct f80 (*fn)(struct f80, struct fp_env *))
{
	struct x87 *f = &cpu->x87;
	struct fp_env e = env_of(f->cw);
	struct f80 r = fn(get(f, 0), &e);

	if (!raise_env(cpu, &e))
		put(f, 0, r);
}

X87_HOT(fsqrt, gen_x87_unary, X87_FSQRT)
{
	struct x87 *f = &cpu->x87;
	u16 sw = f->sw;
	struct f80 a = get(f, 0), r;

	note(cpu, in);
	if (unlikely(!full(f, 0))) {
		arith_underflow(cpu, 0);
	} else if (likely(f80_fast_sqrt(&a, f->cw, &sw, &r))) {
		take_status(f, sw);
		put(f, 0, r);
	} else {
		unary_exact(cpu, f80_sqrt);
	}
	return 0;
}

X87(frndint)
{
	note(cpu, in);
	if (!full(&cpu->x87, 0))
		arith_underflow(cpu, 0);
	else
		unary_exact(cpu, f80_round_int);
	return 0;
}

X87(fscale)
{
	struct x87 *f = &cpu->x87;
	struct fp_env e = env_of(f->cw);
	struct f80 r;

	note(cpu, in);
	if (!full(f, 0) || !full(f, 1)) {
		arith_underflow(cpu, 0);
		return 0;
	}
	r = f80_scale(get(f, 0), get(f, 1), &e);
	if (!raise_env(cpu, &e))
		put(f, 0, r);
	return 0;
}

/* FXTRACT, FPTAN, FSINCOS push a second result: both stack faults give two indefinites. False:
 * fault handled. */
static bool push_pair_ok(struct cpu *cpu)
{
	struct x87 *f = &cpu->x87;
	bool underflow = !full(f, 0);

	if (!underflow && !full(f, 7))
		return true;
	if (stack_fault(cpu, !underflow))
		return false;
	put(f, 0, F80_INDEFINITE);
	push(f, F80_INDEFINITE);
	return false;
}

X87(fxtract)
{
	struct x87 *f = &cpu->x87;
	struct fp_env e = env_of(f->cw);
	struct f80 sig, exponent;

	note(cpu, in);
	if (!push_pair_ok(cpu))
		return 0;
	sig = f80_extract(get(f, 0), &exponent, &e);
	if (raise_env(cpu, &e))
		return 0;
	put(f, 0, exponent);
	push(f, sig);
	return 0;
}

static bool f80_is_nan(struct f80 v)
{
	return (v.se & 0x7fff) == 0x7fff && v.mant << 1 != 0;
}

static int remainder_op(struct cpu *cpu, const struct insn *in, bool nearest)
{
	struct x87 *f = &cpu->x87;
	struct fp_env e = env_of(f->cw);
	struct f80 r;
	bool partial;
	u64 quot;

	note(cpu, in);
	f->sw &= (u16)~X87_C2;
	if (!full(f, 0) || !full(f, 1)) {
		arith_underflow(cpu, 0);
		return 0;
	}
	r = f80_rem(get(f, 0), get(f, 1), nearest, &quot, &partial, &e);
	if (raise_env(cpu, &e))
		return 0;
	if (!(e.flags & FPE_IE) && !f80_is_nan(r)) /* else C0 and C3 stay */
		f->sw &= (u16)~X87_CC;
	f->sw |= partial ? X87_C2 : 0;
	f->c1 = quot & 1 ? X87_C1 : 0;
	f->sw |= (quot & 2 ? X87_C3 : 0) | (quot & 4 ? X87_C0 : 0);
	put(f, 0, r);
	return 0;
}

X87(fprem)
{
	return remainder_op(cpu, in, false);
}
X87(fprem1)
{
	return remainder_op(cpu, in, true);
}

/* ---- transcendentals --------------------------------------------------------------------- */

/* True: nothing is stored (an unmasked exception, or an operand beyond the range of FSIN and kin).
 */
static bool raise_trans(struct cpu *cpu, u16 sw)
{
	cpu->x87.sw |= sw & X87_C2;
	return raise(cpu, sw & FPE_ALL, sw & X87_C1) || (sw & X87_C2);
}

static int trans_unary(struct cpu *cpu, const struct insn *in, enum fp_trans op)
{
	struct x87 *f = &cpu->x87;
	struct f80 r, unused;
	u16 sw;

	note(cpu, in);
	if (op != FP_F2XM1) /* which leaves C2 alone */
		f->sw &= (u16)~X87_C2;
	if (!full(f, 0)) {
		arith_underflow(cpu, 0);
		return 0;
	}
	sw = f80_transcendental(op, get(f, 0), F80_INDEFINITE, f->cw, &r, &unused);
	if (!raise_trans(cpu, sw))
		put(f, 0, r);
	return 0;
}

/* The result goes to ST(1), then the stack is popped. C2 stays. */
static int trans_binary(struct cpu *cpu, const struct insn *in, enum fp_trans op)
{
	struct x87 *f = &cpu->x87;
	struct f80 r, unused;
	bool done;
	u16 sw;

	note(cpu, in);
	if (!full(f, 0) || !full(f, 1)) {
		done = arith_underflow(cpu, 1);
	} else {
		sw = f80_transcendental(op, get(f, 0), get(f, 1), f->cw, &r, &unused);
		done = !raise_trans(cpu, sw & (u16)~X87_C2);
		if (done)
			put(f, 1, r);
	}
	if (done)
		pop(f);
	return 0;
}

static int trans_pair(struct cpu *cpu, const struct insn *in, enum fp_trans op)
{
	struct x87 *f = &cpu->x87;
	struct f80 a, r0, r1;

	note(cpu, in);
	f->sw &= (u16)~X87_C2;
	if (!push_pair_ok(cpu))
		return 0;
	a = get(f, 0);
	if (raise_trans(cpu, f80_transcendental(op, a, F80_INDEFINITE, f->cw, &r0, &r1)))
		return 0;
	put(f, 0, r1);
	push(f, r0);
	return 0;
}

X87(f2xm1)
{
	return trans_unary(cpu, in, FP_F2XM1);
}
X87(fsin)
{
	return trans_unary(cpu, in, FP_FSIN);
}
X87(fcos)
{
	return trans_unary(cpu, in, FP_FCOS);
}
X87(fyl2x)
{
	return trans_binary(cpu, in, FP_FYL2X);
}
X87(fyl2xp1)
{
	return trans_binary(cpu, in, FP_FYL2XP1);
}
X87(fpatan)
{
	return trans_binary(cpu, in, FP_FPATAN);
}
X87(fsincos)
{
	return trans_pair(cpu, in, FP_FSINCOS);
}
X87(fptan)
{
	return trans_pair(cpu, in, FP_FPTAN);
}

/* ---- stack management -------------------------------------------------------------------- */

X87(fincstp)
{
	note(cpu, in);
	x87_set_top(&cpu->x87, x87_top(&cpu->x87) + 1);
	return 0;
}

X87(fdecstp)
{
	note(cpu, in);
	x87_set_top(&cpu->x87, x87_top(&cpu->x87) - 1);
	return 0;
}

X87(ffree)
{
	struct x87 *f = &cpu->x87;

	note(cpu, in);
	f->empty |= (s16)BIT(in->modrm & 7);
	return 0;
}

X87(ffreep)
{
	struct x87 *f = &cpu->x87;

	note(cpu, in);
	f->empty |= (s16)BIT(in->modrm & 7);
	pop(f);
	return 0;
}

/* FNOP; also FENI, FDISI, FSETPM of the 8087 and 80287 (DB E0, E1, E4), which do not wait and have
 * no effect. */
SIMPLE(fnop)
{
	if (in->opcode == 0xdb)
		return 0;
	if (x87_check_pending(cpu))
		return 1;
	cpu->x87.fip = cpu->insn_rip;
	return 0;
}

/* ---- control ----------------------------------------------------------------------------- */

/* FWAIT looks at CR0.MP, not CR0.EM. */
SIMPLE(wait)
{
	if ((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		return cpu_fault(cpu, EXC_NM, 0, "WAIT with CR0.MP = 1 and CR0.TS = 1", cpu->cr0);
	return x87_check_pending(cpu);
}

void x87_init(struct cpu *cpu)
{
	struct x87 *f = &cpu->x87;

	clear_summary(cpu);
	f->cw = CW_INIT;
	x87_set_sw(f, 0);
	x87_all_tags(f, false);
	f->fop = f->fcs = f->fds = 0;
	f->fip = f->fdp = 0;
}

SIMPLE(fninit)
{
	x87_init(cpu);
	return 0;
}

SIMPLE(fnclex)
{
	clear_summary(cpu);
	cpu->x87.sw &= (u16) ~(FPE_ALL | X87_SF);
	x87_settle(&cpu->x87);
	return 0;
}

static void set_cw(struct cpu *cpu, u16 cw)
{
	/* Bit 6 reads as one, 7 and 15:13 as zero. */
	cpu->x87.cw = (cw & 0x1f3f) | 0x40;
	x87_update_summary(cpu);
}

X87(fldcw)
{
	u64 ea;
	u16 cw;

	if (operand_read(cpu, in, &cw, 2, &ea))
		return 1;
	set_cw(cpu, cw);
	return 0;
}

SIMPLE(fnstcw)
{
	u64 ea;

	return operand_write(cpu, in, &cpu->x87.cw, 2, &ea);
}

SIMPLE(fnstsw)
{
	u16 sw = x87_sw(&cpu->x87);
	u64 ea;

	if (is_mem(in))
		return operand_write(cpu, in, &sw, 2, &ea);
	reg_write(cpu, RAX, 2, sw);
	return 0;
}

static unsigned tag_of(struct x87_reg r)
{
	unsigned be = r.se & 0x7fff;

	if (be == 0 && r.mant == 0)
		return 1;
	return be == 0 || be == 0x7fff || !(r.mant >> 63) ? 2 : 0;
}

u16 x87_tag_word(const struct x87 *f)
{
	u16 tw = 0;

	for (unsigned i = 0; i < 8; i++)
		tw |= (u16)((x87_valid(f) >> i & 1 ? tag_of(f->r[i]) : 3u) << (2 * i));
	return tw;
}

void x87_set_tag_word(struct x87 *f, u16 tw)
{
	u8 valid = 0;

	for (unsigned i = 0; i < 8; i++)
		valid |= (u8)((tw >> (2 * i) & 3) != 3) << i;
	x87_set_valid(f, valid);
}

static bool real_format(const struct cpu *cpu)
{
	return !cpu_protected(cpu);
}

static void put16(u8 *buf, unsigned at, u64 v)
{
	u16 w = (u16)v;

	memcpy(buf + at, &w, 2);
}

static void put32(u8 *buf, unsigned at, u64 v)
{
	u32 w = (u32)v;

	memcpy(buf + at, &w, 4);
}

static u32 get16(const u8 *buf, unsigned at)
{
	u16 w;

	memcpy(&w, buf + at, 2);
	return w;
}

static u32 get32(const u8 *buf, unsigned at)
{
	u32 w;

	memcpy(&w, buf + at, 4);
	return w;
}

/* The environment images, SDM Vol. 1, figures 8-9 to 8-12. Returns the size. */
static unsigned env_image(const struct cpu *cpu, unsigned opsize, u8 *buf)
{
	const struct x87 *f = &cpu->x87;
	bool real = real_format(cpu);
	u32 ip = (u32)f->fip, dp = (u32)f->fdp;

	if (real) {
		ip += (u32)f->fcs << 4;
		dp += (u32)f->fds << 4;
	}
	memset(buf, 0xff, 28);
	if (opsize == 2) {
		put16(buf, 0, f->cw);
		put16(buf, 2, x87_sw(f));
		put16(buf, 4, x87_tag_word(f));
		put16(buf, 6, ip);
		put16(buf, 8, real ? (ip >> 4 & 0xf000) | f->fop : f->fcs);
		put16(buf, 10, dp);
		put16(buf, 12, real ? dp >> 4 & 0xf000 : f->fds);
		return 14;
	}
	put16(buf, 0, f->cw);
	put16(buf, 4, x87_sw(f));
	put16(buf, 8, x87_tag_word(f));
	if (real) {
		put16(buf, 12, ip);
		put32(buf, 16, (ip >> 4 & 0x0ffff000) | f->fop);
		put16(buf, 20, dp);
		put32(buf, 24, dp >> 4 & 0x0ffff000);
	} else {
		put32(buf, 12, ip);
		put32(buf, 16, f->fcs | (u32)f->fop << 16);
		put32(buf, 20, dp);
		put16(buf, 24, f->fds);
	}
	return 28;
}

static void env_load(struct cpu *cpu, unsigned opsize, const u8 *buf)
{
	unsigned step = opsize == 2 ? 2 : 4;
	bool real = real_format(cpu);
	struct x87 *f = &cpu->x87;

	x87_set_sw(f, (unsigned)get16(buf, step));
	x87_set_tag_word(f, (u16)get16(buf, 2 * step));
	f->fcs = f->fds = f->fop = 0;
	if (opsize == 2) {
		f->fip = get16(buf, 6);
		f->fdp = get16(buf, 10);
	} else {
		f->fip = real ? get16(buf, 12) : get32(buf, 12);
		f->fdp = real ? get16(buf, 20) : get32(buf, 20);
	}
	if (real) {
		u32 hi = opsize == 2 ? get16(buf, 8) : get32(buf, 16);
		u32 dhi = opsize == 2 ? get16(buf, 12) : get32(buf, 24);

		f->fip |= (hi & 0x0ffff000) << 4;
		f->fdp |= (dhi & 0x0ffff000) << 4;
		f->fop = hi & 0x7ff;
	} else {
		f->fcs = (u16)get16(buf, opsize == 2 ? 8 : 16);
		f->fds = (u16)get16(buf, opsize == 2 ? 12 : 24);
		f->fop = opsize == 2 ? 0 : get16(buf, 18) & 0x7ff;
	}
	set_cw(cpu, (u16)get16(buf, 0));
}

/* Environments are aligned like their fields (Table 6-7). */
static int env_read(struct cpu *cpu, const struct insn *in, u8 *buf, unsigned n)
{
	u64 lin;

	return op_linear(cpu, in, n, ACC_R, &lin) || mem_aligned(cpu, lin, in->opsize == 2 ? 2 : 4, ACC_R) ||
	       mem_read(cpu, lin, buf, n, ACC_R);
}

static int env_write(struct cpu *cpu, const struct insn *in, const u8 *buf, unsigned n)
{
	u64 lin;

	return op_linear(cpu, in, n, ACC_W, &lin) || mem_aligned(cpu, lin, in->opsize == 2 ? 2 : 4, ACC_W) ||
	       mem_write(cpu, lin, buf, n, ACC_W);
}

SIMPLE(fnstenv)
{
	u8 buf[28];
	unsigned n = env_image(cpu, in->opsize, buf);

	if (env_write(cpu, in, buf, n))
		return 1;
	clear_summary(cpu);
	x87_set_cw(&cpu->x87, cpu->x87.cw | FPE_ALL);
	return 0;
}

X87(fldenv)
{
	u8 buf[28];

	if (env_read(cpu, in, buf, in->opsize == 2 ? 14 : 28))
		return 1;
	env_load(cpu, in->opsize, buf);
	return 0;
}

SIMPLE(fnsave)
{
	u8 buf[108];
	unsigned n = env_image(cpu, in->opsize, buf);

	for (unsigned i = 0; i < 8; i++, n += 10) {
		const struct x87_reg *r = st(&cpu->x87, i);

		memcpy(buf + n, &r->mant, 8);
		memcpy(buf + n + 8, &r->se, 2);
	}
	if (env_write(cpu, in, buf, n))
		return 1;
	x87_init(cpu);
	return 0;
}

X87(frstor)
{
	unsigned n = in->opsize == 2 ? 14 : 28;
	u8 buf[108];

	if (env_read(cpu, in, buf, n + 80))
		return 1;
	env_load(cpu, in->opsize, buf);
	for (unsigned i = 0; i < 8; i++, n += 10) {
		struct x87_reg *r = st(&cpu->x87, i);

		memcpy(&r->mant, buf + n, 8);
		memcpy(&r->se, buf + n + 8, 2);
	}
	return 0;
}
