/*
 * From decoded instructions to micro-operations: flag liveness, addresses, gates, calls of simple operations.
 */
#include "base/log.h"
#include "cpu/exec/blocks.h"
#include "cpu/exec/system.h"
#include "cpu/exec/watch.h"
#include "cpu/exec/x87.h"

/* How every row executes: the decoder's rows, seen through their first column. */
#define ROW(exec, ...) extern const struct exec_desc exec_##exec __attribute__((weak));
#include "cpu/decoder/insns.def"
#undef ROW

static const struct exec_desc *const row_exec[] = {
#define ROW(exec, ...) &exec_##exec,
#include "cpu/decoder/insns.def"
#undef ROW
};

const struct exec_desc *insn_exec(const struct insn *in)
{
	/* UINT16_MAX: bytes that are no instruction, which raise #UD when reached. */
	return in->row == UINT16_MAX ? NULL : row_exec[in->row];
}

struct uop *emit(struct builder *b, uop_fn fn)
{
	struct uop *u = &b->u[b->n++];

	*u = (struct uop){.fn = fn, .off = b->off[b->cur], .icnt = (u8)b->cur};
	b->has_insn[u - b->u] = false;
	b->pure[u - b->u] = false;
	return u;
}

void uop_set_insn(struct builder *b, struct uop *u, const struct insn *in)
{
	u->insn = in;
	b->has_insn[u - b->u] = true;
}

void uop_set_exit(struct builder *b, struct uop *u, s64 disp)
{
	struct uop_exit *x = &b->exit[b->nexits++];

	*x = (struct uop_exit){.u = u, .disp = (s32)disp, .kind = LINK_ACROSS};
}

void uop_set_link(struct builder *b, struct uop *u, s64 disp)
{
	u->phys = NO_LINK;
	u->disp = (s32)disp;
	uop_set_exit(b, u, disp);
	b->exit[b->nexits - 1].kind = LINK_BRANCH;
}

struct uop *emit_pure(struct builder *b, uop_fn fn)
{
	struct uop *u = emit(b, fn);

	u->src = u->base = u->index = REG_OFF(R_ZERO);
	b->pure[b->n - 1] = true;
	return u;
}

/* ---- addresses ------------------------------------------------------------------------------------ */

/* ea = base + (index << sh) + disp + segment base (imm: its offset), 64-bit. */
static void ea64_seg(UOP_ARGS)
{
	ea = EA_bis + REG64(u->imm);
	NEXT;
}

/* 32-bit address size in 64-bit mode. */
static void ea32_64(UOP_ARGS)
{
	ea = (u32)EA_bis + REG64(u->imm);
	NEXT;
}

/* Flat 32-bit. */
static void ea32(UOP_ARGS)
{
	ea = (u32)EA_bis;
	NEXT;
}

/* base + 64-bit displacement */
static void ea_abs(UOP_ARGS)
{
	ea = REG64(u->base) + u->imm;
	NEXT;
}

static void ea_add(UOP_ARGS)
{
	ea += REG64(u->base);
	NEXT;
}

/* The segment @imm & ff, address size, access kind and size of a checked address: see emit_checked(). */
#define CHECKED(seg, adsize, acc, size) ((seg) | (u64)(adsize) << 8 | (u64)(acc) << 16 | (u64)(size) << 32)

static COLD void ea_checked_slow(UOP_ARGS)
{
	u64 off = zext_bytes(EA_bis, u->imm >> 8 & 0xff);
	u64 *lin = (u64 *)cpu->slow; /* not a local: see SLOW_READ */

	if (seg_linear(cpu, u->imm & 0xff, off, (unsigned)(u->imm >> 32), u->imm >> 16 & 0xff, lin))
		return uop_fault(UOP_PASS);
	ea = *lin;
	NEXT;
}

/* Every segmentation check; a present, writable, expand-up data segment is judged in place. */
static void ea_checked(UOP_ARGS)
{
	const struct seg *s = &cpu->seg[u->imm & 0xff];
	u64 off = EA_bis & ((u->imm >> 8 & 0xff) == 2 ? 0xffff : 0xffffffff);

	if (unlikely((s->ar & (AR_UNUSABLE | AR_P | AR_S | AR_TYPE_CODE | AR_TYPE_ED | AR_TYPE_WR)) !=
			     (AR_P | AR_S | AR_TYPE_WR) ||
		     off + (u->imm >> 32) > (u64)s->limit + 1))
		return ea_checked_slow(UOP_PASS);
	ea = (u32)(off + seg_base(cpu, u->imm & 0xff));
	NEXT;
}

/* An address that is not canonical is left to the access, which faults on it: #GP and #SS come before #AC. */
static COLD void alignment_slow(UOP_ARGS)
{
	if (cpu_long64(cpu) && !canonical(cpu, ea))
		NEXT;
	(void)!cpu_fault(cpu, EXC_AC, 0, "misaligned access with CR0.AM = 1, RFLAGS.AC = 1, CPL = 3", ea);
	uop_fault(UOP_PASS);
}

static void check_alignment(UOP_ARGS)
{
	if (ea & u->imm)
		return alignment_slow(UOP_PASS);
	NEXT;
}

static s64 operand_disp(const struct builder *b, const struct insn *in)
{
	return in->base == R_CODE ? b->off[b->cur] + in->len + in->disp : in->disp;
}

/* Base of FS or GS can stand where an index would. */
static bool base_as_index(const struct builder *b, const struct insn *in)
{
	return (b->mode & MODE_BITS) == MODE_64 && (in->seg == FS || in->seg == GS) && in->adsize == 8 &&
	       in->index == R_ZERO;
}

/*
 * Outside IA-32e mode the upper halves of all registers are 0 (cpu_mode_changed() sees to it), so that a flat 32-bit address
 * may be computed in 64 bits: one that wraps misses the TLB, and the slow path truncates it. Small negative
 * displacements rarely wrap; others do not qualify, except that without a base 4 GiB can stand in for it.
 */
static bool plain32(const struct builder *b, const struct insn *in)
{
	return !(b->mode & MODE_LMA) && in->adsize == 4 && (in->disp >= -0x10000 || in->base == R_ZERO) &&
	       in->disp == (s32)in->disp;
}

static void fill_address(struct builder *b, const struct insn *in, struct uop *u)
{
	bool seg_index = base_as_index(b, in);

	u->base = REG_OFF(in->base);
	u->index = REG_OFF(seg_index ? R_SEGBASE + in->seg : in->index);
	u->sh = seg_index ? 0 : in->scale;
	u->disp = (s32)operand_disp(b, in);
	if (in->adsize == 4 && in->base == R_ZERO && u->disp < 0 && !(b->mode & MODE_LMA))
		u->base = REG_OFF(R_4GIB);
}

static struct uop *emit_address(struct builder *b, const struct insn *in, uop_fn fn, u64 imm)
{
	struct uop *u = emit(b, fn);

	fill_address(b, in, u);
	u->imm = imm;
	return u;
}

/* Emits what computes `ea`, unless the access can do it itself (and @whole is false); tells how the access shall get it. */
static enum ea_mode prepare_ea(struct builder *b, const struct insn *in, unsigned size, unsigned acc, bool whole)
{
	bool long64 = (b->mode & MODE_BITS) == MODE_64;
	bool seg_based = in->seg == FS || in->seg == GS;
	bool flat = long64 || ((b->mode & MODE_FLAT_DATA) && !seg_based && in->seg != CS);
	u16 seg_off = REG_OFF(seg_based ? R_SEGBASE + in->seg : R_ZERO);
	s64 disp = operand_disp(b, in);

	if (!flat || in->adsize == 2) {
		emit_address(b, in, ea_checked, CHECKED(in->seg, in->adsize, acc, size));
	} else if (in->adsize == 8 && disp != (s32)disp) { /* moffs, or rip-relative across 2 GiB: no index */
		struct uop *u = emit(b, ea_abs);
		u->base = REG_OFF(in->base);
		u->imm = (u64)disp;
		if (seg_based)
			emit(b, ea_add)->base = seg_off;
	} else if (in->adsize == 8 ? !seg_based || base_as_index(b, in) : !long64 && plain32(b, in)) {
		if (!whole)
			return in->index == R_ZERO && !seg_based ? EAM_BD : EAM_BIS;
		emit_address(b, in, long64 ? ea64_seg : ea32, REG_OFF(R_ZERO));
	} else {
		emit_address(b, in, in->adsize == 8 ? ea64_seg : long64 ? ea32_64 : ea32, seg_off);
	}
	return EAM_PRE;
}

static void emit_alignment_check(struct builder *b, unsigned size)
{
	if ((b->mode & MODE_AC) && size > 1 && size <= 8)
		emit(b, check_alignment)->imm = size - 1;
}

void emit_ea(struct builder *b, const struct insn *in, unsigned size, unsigned acc)
{
	prepare_ea(b, in, size, acc, true);
	emit_alignment_check(b, size);
}

struct uop *emit_mem(struct builder *b, const struct insn *in, const uop_fn fns[EAM_COUNT], unsigned size,
		     unsigned acc)
{
	enum ea_mode eam = prepare_ea(b, in, size, acc, b->mode & MODE_AC);
	struct uop *u;

	if (eam == EAM_PRE)
		emit_alignment_check(b, size);
	u = emit(b, fns[eam]);
	if (eam != EAM_PRE)
		fill_address(b, in, u);
	return u;
}

/* ---- calls, gates ------------------------------------------------------------------------------------ */

static struct uop *emit_call_as(struct builder *b, const struct insn *in, exec_op op, uop_fn fn)
{
	struct uop *u = emit(b, fn);

	_Static_assert(sizeof(op) == sizeof(u->phys), "a pointer fits the operand slots");
	u->phys = (u64)(uintptr_t)op;
	uop_set_insn(b, u, in);
	return u;
}

static bool touches_flags(const struct insn *in)
{
	const struct insn_row *r = &insn_rows[in->row];
	return (r->fl_read | r->fl_write | r->fl_undef) & FL_ARITH;
}

static void emit_call_all_flags(struct builder *b, const struct insn *in, exec_op op)
{
	emit_call_as(b, in, op, uop_call);
	b->sf = SF_DYNAMIC;
}

void emit_call(struct builder *b, const struct insn *in, exec_op op)
{
	bool flags = touches_flags(in);

	emit_call_as(b, in, op, flags ? uop_call_flags : uop_call);
	if (flags)
		b->sf = SF_DYNAMIC;
}

static void emit_call_checked(struct builder *b, const struct insn *in, exec_op op)
{
	emit_call_as(b, in, op, uop_call_checked);
	if (touches_flags(in))
		b->sf = SF_DYNAMIC;
}

void emit_call_end(struct builder *b, const struct insn *in, exec_op op)
{
	emit_call_as(b, in, op, uop_call_end);
	b->ended = true;
}

/* Which bit disables an instruction with the attributes @attr. */
static COLD int gate_fault(struct cpu *cpu, unsigned vector, u32 attr)
{
	bool vex = attr & (IA_AVX | IA_AVX512);

	if (vector == EXC_GP)
		return cpu_fault(cpu, EXC_GP, 0, "privileged instruction with CPL > 0", cpu->cpl);
	if (vector == EXC_NM && cpu->cr0 & CR0_TS)
		return cpu_fault(cpu, EXC_NM, 0, "x87, MMX, SSE or AVX instruction with CR0.TS = 1", cpu->cr0);
	if (vector == EXC_NM)
		return cpu_fault(cpu, EXC_NM, 0, "x87 instruction with CR0.EM = 1", cpu->cr0);
	if (vex && !(cpu->cr4 & CR4_OSXSAVE))
		return cpu_fault(cpu, EXC_UD, 0, "AVX instruction with CR4.OSXSAVE = 0", cpu->cr4);
	if (vex)
		return cpu_fault(cpu, EXC_UD, 0, "AVX instruction whose state XCR0 does not enable", cpu->xcr0);
	if (cpu->cr0 & CR0_EM)
		return cpu_fault(cpu, EXC_UD, 0, "MMX or SSE instruction with CR0.EM = 1", cpu->cr0);
	return cpu_fault(cpu, EXC_UD, 0, "SSE instruction with CR4.OSFXSR = 0", cpu->cr4);
}

/* imm: vector, and the row's attributes */
static COLD void raise_exception(UOP_ARGS)
{
	(void)!gate_fault(cpu, u->imm & 0xff, (u32)((u64)u->imm >> 8));
	uop_fault(UOP_PASS);
}

static void check_cpl0(UOP_ARGS)
{
	if (unlikely(cpu->cpl))
		return raise_exception(UOP_PASS);
	NEXT;
}

static void emit_raise(struct builder *b, unsigned vector, u32 attr)
{
	emit(b, raise_exception)->imm = vector | (u64)attr << 8;
	b->ended = true;
}

static COLD void x87_pending_slow(UOP_ARGS)
{
	if (x87_check_pending(cpu))
		return uop_fault(UOP_PASS);
	NEXT;
}

/* MMX instructions wait for x87 exceptions (SDM Vol. 3A, 12.5); x87 ones see to it themselves. */
static void check_x87_pending(UOP_ARGS)
{
	if (unlikely(cpu->x87.sw & X87_ES))
		return x87_pending_slow(UOP_PASS);
	NEXT;
}

/* What the row declares about CR0, CR4, XCR0 and CPL (SDM Vol. 3A, tables 2-2 and 13-1). */
static void emit_gates(struct builder *b, u32 attr)
{
	const struct insn *in = &b->insn[b->cur];
	u32 m = b->mode;

	if (attr & IA_CPL0)
		emit(b, check_cpl0)->imm = EXC_GP;
	if ((attr & (IA_AVX | IA_AVX512)) && (m & (attr & IA_AVX512 ? MODE_AVX512_UD : MODE_AVX_UD)))
		emit_raise(b, EXC_UD, attr);
	else if ((attr & IA_SSE) && (m & MODE_SSE_UD))
		emit_raise(b, EXC_UD, attr);
	else if ((attr & IA_MMX) && (m & MODE_EM))
		emit_raise(b, EXC_UD, attr);
	else if ((attr & (IA_SSE | IA_MMX | IA_AVX | IA_AVX512)) && (m & MODE_SSE_NM))
		emit_raise(b, EXC_NM, attr);
	else if ((attr & IA_X87) && (m & MODE_X87_NM))
		emit_raise(b, EXC_NM, attr);
	else if ((attr & IA_MMX) && !(in->op[0].kind == OPK_VEC && in->op[1].kind == OPK_MEM))
		emit(b, check_x87_pending); /* CVTPI2PS and CVTPI2PD from memory touch no MMX state */
}

unsigned watch_insn(const struct builder *b, unsigned i)
{
	return watch_of_insn(b->cpu, b->mode, &b->insn[i], b->phys_page, b->off[i] & 4095u);
}

/* ---- liveness --------------------------------------------------------------------------------------------- */

static bool has_memory(const struct insn *in)
{
	for (unsigned i = 0; i < in->nops; i++)
		if (in->op[i].kind == OPK_MEM)
			return true;
	return false;
}

extern const struct exec_desc exec_div, exec_idiv, exec_push, exec_pop, exec_shl, exec_shr, exec_sar, exec_rol, exec_ror;
extern const struct exec_desc exec_add, exec_sub, exec_and, exec_or, exec_xor, exec_adc, exec_sbb, exec_test, exec_jmp_rel;

/* May its execution fault, leave the block, or look at RFLAGS as a whole? */
static bool is_barrier(const struct insn *in)
{
	const struct exec_desc *x = insn_exec(in);

	return !x || !x->gen || x->op || insn_rows[in->row].vmx || x == &exec_div || x == &exec_idiv || x == &exec_push || x == &exec_pop ||
	       has_memory(in) || (insn_rows[in->row].attr & (IA_END | IA_BRANCH | IA_SSE | IA_MMX | IA_X87 | IA_AVX | IA_AVX512));
}

static bool constant_count(const struct insn *in)
{
	return in->op[1].kind == OPK_ONE ||
	       (in->op[1].kind == OPK_IMM && (in->imm & (in->op[0].size == 8 ? 63 : 31)));
}

/*
 * Flags that are surely new after the instruction, where the row must be careful: shifts and rotates by CL may leave
 * everything, by a constant they do not; what logic leaves undefined is 0 here.
 */
static u32 surely_written(const struct insn *in)
{
	const struct exec_desc *x = insn_exec(in);

	if (x == &exec_and || x == &exec_or || x == &exec_xor || x == &exec_test)
		return FL_ARITH;
	if ((x == &exec_shl || x == &exec_shr || x == &exec_sar) && constant_count(in))
		return FL_ARITH;
	if ((x == &exec_rol || x == &exec_ror) && constant_count(in))
		return FL_CF;
	return 0;
}

/*
 * A slow access can end the chain behind its instruction, where the flags must then be right. The handlers of the ALU
 * family see to that themselves; the others keep their flags.
 */
static bool may_leave_behind(const struct insn *in)
{
	const struct exec_desc *x = insn_exec(in);

	return has_memory(in) && x != &exec_add && x != &exec_sub && x != &exec_and && x != &exec_or && x != &exec_xor &&
	       x != &exec_adc && x != &exec_sbb;
}

static void find_live_flags(struct builder *b)
{
	u32 live = FL_ARITH;

	for (unsigned i = b->count; i-- > 0;) {
		const struct insn *in = &b->insn[i];

		if (i + 1 < b->count && watch_insn(b, i + 1))
			live = FL_ARITH;
		b->live[i] = live;
		if (i + 1 < b->count && insn_exec(in) == &exec_jmp_rel)
			continue; /* a followed jump leaves no trace */
		if (in->row == UINT16_MAX || is_barrier(in)) {
			if (in->row != UINT16_MAX && may_leave_behind(in))
				b->live[i] = FL_ARITH;
			live = FL_ARITH;
			continue;
		}
		const struct insn_row *r = &insn_rows[in->row];
		u32 sure = surely_written(in);
		if (sure)
			live &= ~sure;
		else
			live = (live & ~(u32)r->fl_write) | (r->fl_read & FL_ARITH);
	}
}

/* ---- the whole block -------------------------------------------------------------------------------------- */

static void emit_insn(struct builder *b, const struct insn *in)
{
	const struct exec_desc *x = insn_exec(in);

	if (!x) {
		uop_set_insn(b, emit(b, uop_undefined), in);
		b->ended = true;
		return;
	}
	const struct insn_row *r = &insn_rows[in->row];
	emit_gates(b, r->attr);
	if (b->ended)
		return;
	if (r->vmx && (b->mode & MODE_NONROOT))
		uop_set_insn(b, emit(b, uop_intercept), in);
	if (x->gen)
		x->gen(b, in, x->arg);
	else if ((r->attr & (IA_END | IA_BRANCH)) || ((r->attr & IA_REP) && (in->prefixes & (PFX_REP | PFX_REPNE))))
		emit_call_end(b, in, x->op);
	else if (x->checked)
		emit_call_checked(b, in, x->op);
	else if (x->all_flags)
		emit_call_all_flags(b, in, x->op);
	else
		emit_call(b, in, x->op);
}

/* Falls through to the next instruction, which another block holds. */
static void fall_through(UOP_ARGS)
{
	CONTINUE_AT(u->target, u->icnt);
}

static void emit_watch(struct builder *b)
{
	const struct insn *in = &b->insn[b->cur];
	unsigned how = watch_insn(b, b->cur);

	if (b->cur == 0 && watch_on(b->cpu, WATCH_BLOCK)) {
		struct uop *u = emit(b, trace_block);
		u->sh = (u8)(u - b->u);
	}
	if (how & PROBED)
		uop_set_insn(b, emit(b, trace_probe), in);
	if (how & SHOWN)
		uop_set_insn(b, emit(b, trace_insn), in);
}

void builder_emit_all(struct builder *b)
{
	find_live_flags(b);
	b->n = b->nexits = 0;
	b->sf = SF_DYNAMIC;
	b->ended = false;
	b->cur = 0;
	if (guards_second_page(b->phys2, b->mode))
		emit(b, (b->mode & MODE_BITS) == MODE_64 ? uop_second_page64 : uop_second_page32)->phys = b->phys2;
	for (; b->cur < b->count && !b->ended; b->cur++) {
		emit_watch(b);
		emit_insn(b, &b->insn[b->cur]); /* for a NOP, or what has become useless: nothing */
	}
	if (!b->ended)
		uop_set_exit(b, emit(b, fall_through), b->off[b->count]);
	fuse_pairs(b);
}
