/*
 * Far transfers: JMP, CALL, RET between segments, call gates, SYSENTER/SYSEXIT, SYSCALL/SYSRET
 * (SDM Vol. 2 under those names; Vol. 3A, 5.8). Task gates and TSS targets go to tasks.c.
 */
#include "cpu/exec/builder.h"
#include "cpu/exec/flags.h"
#include "cpu/exec/system.h"

void cs_install(struct cpu *cpu, const struct desc *d, unsigned cpl, u64 rip)
{
	seg_install(cpu, CS, (d->sel & ~3u) | cpl, d->raw);
	cpu->cpl = cpl;
	cpu->rip = rip;
	cpu_mode_changed(cpu);
}

int rip_check(struct cpu *cpu, u64 raw, u64 rip)
{
	if (cpu_lma(cpu) && desc_ar(raw) & AR_L) {
		if (!canonical(cpu, rip))
			return cpu_fault(cpu, EXC_GP, 0, "target RIP is not canonical", rip);
	} else if (rip > desc_limit(raw)) {
		return cpu_fault(cpu, EXC_GP, 0, "target offset is outside the CS limit", rip);
	}
	return 0;
}

/* The far pointer operand: immediate, or in memory with the selector behind the offset. */
static int far_pointer(struct cpu *cpu, const struct insn *in, u16 *sel, u64 *off)
{
	u64 lin;

	if (in->op[0].kind != OPK_MEM) {
		*sel = in->imm2;
		*off = zext_bytes(in->imm, in->opsize);
		return 0;
	}
	*off = 0;
	return op_linear(cpu, in, in->opsize + 2, ACC_R, &lin) ||
	       mem_read(cpu, lin, off, in->opsize, ACC_R) ||
	       mem_read16(cpu, lin + in->opsize, sel, 0);
}

static int far_real(struct cpu *cpu, const struct insn *in, u16 sel, u64 off, bool call)
{
	struct frame f = {.n = 0};
	struct stack st;

	if (off > cpu->seg[CS].limit)
		return cpu_fault(cpu, EXC_GP, 0, "target offset is outside the CS limit", off);
	if (call) {
		stack_current(cpu, &st);
		frame_add(&f, cpu->seg[CS].sel);
		frame_add(&f, cpu->rip);
		if (frame_push(cpu, &st, &f, in->opsize))
			return 1;
		stack_commit(cpu, &st);
	}
	seg_install_real(cpu, CS, sel, cpu_v86(cpu));
	cpu->rip = off;
	cpu_mode_changed(cpu);
	return 0;
}

static int far_code_segment(struct cpu *cpu, const struct insn *in, struct desc *d, u64 off,
			    bool call)
{
	u32 ar = desc_ar(d->raw), err = d->sel & ~3u;
	struct frame f = {.n = 0};
	struct stack st;

	if (ar_conforming(ar)) {
		if (ar_dpl(ar) > cpu->cpl)
			return cpu_fault(cpu, EXC_GP, err, "conforming code segment DPL > CPL",
					 d->raw);
	} else if ((d->sel & 3u) > cpu->cpl || ar_dpl(ar) != cpu->cpl) {
		return cpu_fault(cpu, EXC_GP, err, "code segment: RPL > CPL or DPL != CPL", d->raw);
	}
	if (cpu_lma(cpu) && (ar & (AR_L | AR_DB)) == (AR_L | AR_DB))
		return cpu_fault(cpu, EXC_GP, err, "code segment has both L and D set", d->raw);
	if (!(ar & AR_P))
		return cpu_fault(cpu, EXC_NP, err, "code segment is not present", d->raw);
	if (rip_check(cpu, d->raw, off) || desc_touch(cpu, d))
		return 1;
	if (call) {
		stack_current(cpu, &st);
		frame_add(&f, cpu->seg[CS].sel);
		frame_add(&f, cpu->rip);
		if (frame_push(cpu, &st, &f, in->opsize))
			return 1;
		stack_commit(cpu, &st);
	}
	cs_install(cpu, d, cpu->cpl, off);
	return 0;
}

/* ---- call gates ---------------------------------------------------------------------- */

struct gate {
	struct desc cs;
	u64 rip;
	unsigned size;   /* of the slots it pushes: 2, 4, 8 */
	unsigned params; /* slots copied to an inner stack */
};

static int gate_open(struct cpu *cpu, const struct desc *d, struct gate *g)
{
	u32 ar = desc_ar(d->raw), err = d->sel & ~3u;
	u16 sel = d->raw >> 16;
	u64 high = 0;

	if (ar_dpl(ar) < cpu->cpl || ar_dpl(ar) < (d->sel & 3u))
		return cpu_fault(cpu, EXC_GP, err, "call gate DPL < CPL or RPL", d->raw);
	if (!(ar & AR_P))
		return cpu_fault(cpu, EXC_NP, err, "call gate is not present", d->raw);
	if (cpu_lma(cpu) && desc_read_high(cpu, d, EXC_GP, 0, &high))
		return 1;
	g->size = cpu_lma(cpu) ? 8 : ar & 8 ? 4 : 2;
	g->params = d->raw >> 32 & 31;
	g->rip = (d->raw & 0xffff) | (g->size > 2 ? d->raw >> 32 & 0xffff0000 : 0) | high << 32;
	if (sel_null(sel))
		return cpu_fault(cpu, EXC_GP, 0, "code selector of the call gate is null", sel);
	if (desc_read(cpu, sel, EXC_GP, 0, &g->cs))
		return 1;
	ar = desc_ar(g->cs.raw);
	err = sel & ~3u;
	if (!ar_code(ar) || ar_dpl(ar) > cpu->cpl)
		return cpu_fault(cpu, EXC_GP, err,
				 "call gate's segment is not code, or its DPL > CPL", g->cs.raw);
	if (cpu_lma(cpu) && (ar & (AR_L | AR_DB)) != AR_L)
		return cpu_fault(cpu, EXC_GP, err, "call gate's segment is not a 64-bit one",
				 g->cs.raw);
	if (!(ar & AR_P))
		return cpu_fault(cpu, EXC_NP, err, "call gate's code segment is not present",
				 g->cs.raw);
	return 0;
}

static int gate_call_inner(struct cpu *cpu, struct gate *g, unsigned cpl)
{
	bool lma = cpu_lma(cpu);
	struct stack st = {.long64 = true, .mask = ~0ull, .acc = ACC_SYS}, old;
	struct desc ss = {.raw = 0};
	struct frame f = {.n = 0};
	u64 params[31];
	u16 ss_sel = cpl;

	if (lma) {
		if (tss_rsp(cpu, cpl, 0, &st.sp))
			return 1;
	} else {
		u64 sp;

		if (tss_stack(cpu, cpl, 0, &ss_sel, &sp) ||
		    ss_check(cpu, ss_sel, cpl, EXC_TS, 0, &ss))
			return 1;
		stack_from_desc(&st, ss_sel, ss.raw, sp, cpl);
	}
	if (rip_check(cpu, g->cs.raw, g->rip))
		return 1;
	frame_add(&f, cpu->seg[SS].sel);
	frame_add(&f, cpu->r[RSP]);
	if (!lma) {
		stack_current(cpu, &old);
		if (frame_peek(cpu, &old, params, g->params, g->size))
			return 1;
		for (unsigned i = g->params; i-- > 0;)
			frame_add(&f, params[i]);
	}
	frame_add(&f, cpu->seg[CS].sel);
	frame_add(&f, cpu->rip);
	if ((!lma && desc_touch(cpu, &ss)) || desc_touch(cpu, &g->cs) ||
	    frame_push(cpu, &st, &f, g->size))
		return 1;
	if (lma)
		seg_install_null(cpu, SS, ss_sel, cpl);
	else
		seg_install(cpu, SS, ss_sel, ss.raw);
	stack_commit(cpu, &st);
	cs_install(cpu, &g->cs, cpl, g->rip);
	return 0;
}

static int far_call_gate(struct cpu *cpu, const struct desc *d, bool call)
{
	struct frame f = {.n = 0};
	struct stack st;
	struct gate g;
	u32 ar;

	if (gate_open(cpu, d, &g))
		return 1;
	ar = desc_ar(g.cs.raw);
	if (!ar_conforming(ar) && ar_dpl(ar) < cpu->cpl) {
		if (call)
			return gate_call_inner(cpu, &g, ar_dpl(ar));
		return cpu_fault(cpu, EXC_GP, g.cs.sel & ~3u,
				 "JMP through a call gate to an inner level", g.cs.raw);
	}
	if (rip_check(cpu, g.cs.raw, g.rip) || desc_touch(cpu, &g.cs))
		return 1;
	if (call) {
		stack_current(cpu, &st);
		frame_add(&f, cpu->seg[CS].sel);
		frame_add(&f, cpu->rip);
		if (frame_push(cpu, &st, &f, g.size))
			return 1;
		stack_commit(cpu, &st);
	}
	cs_install(cpu, &g.cs, cpu->cpl, g.rip);
	return 0;
}

static int far_tss(struct cpu *cpu, const struct desc *d, bool call)
{
	u32 ar = desc_ar(d->raw), err = d->sel & ~3u;
	enum task_reason why = call ? TASK_CALL : TASK_JMP;

	if (ar_dpl(ar) < cpu->cpl || ar_dpl(ar) < (d->sel & 3u))
		return cpu_fault(cpu, EXC_GP, err, "TSS or task gate DPL < CPL or RPL", d->raw);
	if ((ar & AR_TYPE) == ST_TASK) {
		if (!(ar & AR_P))
			return cpu_fault(cpu, EXC_NP, err, "task gate is not present", d->raw);
		return task_switch_gate(cpu, d->raw >> 16, why, false, 0);
	}
	if (d->sel & 4)
		return cpu_fault(cpu, EXC_GP, err, "TSS selector is not in the GDT", d->sel);
	if (!(ar & AR_P))
		return cpu_fault(cpu, EXC_NP, err, "TSS is not present", d->raw);
	return task_switch(cpu, d, why, false, 0);
}

static int far_protected(struct cpu *cpu, const struct insn *in, u16 sel, u64 off, bool call)
{
	struct desc d;
	u32 ar;

	if (sel_null(sel))
		return cpu_fault(cpu, EXC_GP, 0, "far target selector is null", sel);
	if (desc_read(cpu, sel, EXC_GP, 0, &d))
		return 1;
	ar = desc_ar(d.raw);
	if (ar_code(ar))
		return far_code_segment(cpu, in, &d, off, call);
	switch (ar & (AR_S | AR_TYPE)) {
	case ST_CALL: return far_call_gate(cpu, &d, call);
	case ST_CALL16:
		if (!cpu_lma(cpu))
			return far_call_gate(cpu, &d, call);
		break;
	case ST_TSS:
	case ST_TSS16:
	case ST_TASK:
		if (!cpu_lma(cpu))
			return transfer_result(cpu, far_tss(cpu, &d, call));
		break;
	}
	return cpu_fault(cpu, EXC_GP, sel & ~3u,
			 "far target is not code, a gate or an available TSS", d.raw);
}

static int far_transfer(struct cpu *cpu, const struct insn *in, bool call)
{
	u64 off;
	u16 sel;

	if (far_pointer(cpu, in, &sel, &off))
		return 1;
	if (!cpu_protected(cpu))
		return far_real(cpu, in, sel, off, call);
	return far_protected(cpu, in, sel, off, call);
}

SIMPLE(jmp_far)
{
	return far_transfer(cpu, in, false);
}

SIMPLE(call_far)
{
	return far_transfer(cpu, in, true);
}

/* ---- RET ----------------------------------------------------------------------------- */

static void stack_release(struct cpu *cpu, u64 bytes)
{
	u64 mask = stack_mask(cpu);

	cpu->r[RSP] = mask == 0xffff ? (cpu->r[RSP] & ~mask) | ((cpu->r[RSP] + bytes) & mask)
				     : (cpu->r[RSP] + bytes) & mask;
}

static int ret_far_real(struct cpu *cpu, unsigned size, u16 imm)
{
	struct stack st;
	u64 v[2];

	stack_current(cpu, &st);
	if (frame_peek(cpu, &st, v, 2, size))
		return 1;
	if (v[0] > cpu->seg[CS].limit)
		return cpu_fault(cpu, EXC_GP, 0, "return IP is outside the CS limit", v[0]);
	stack_release(cpu, 2 * size + imm);
	seg_install_real(cpu, CS, v[1], cpu_v86(cpu));
	cpu->rip = v[0];
	cpu_mode_changed(cpu);
	return 0;
}

static int ret_far_outer(struct cpu *cpu, struct desc *cs, u64 rip, unsigned size, u16 imm, u64 *v,
			 const struct stack *at)
{
	bool to64 = cpu_lma(cpu) && desc_ar(cs->raw) & AR_L, null_ss;
	unsigned cpl = cs->sel & 3;
	struct stack st = *at;
	struct desc ss = {.raw = 0};

	st.sp += 2 * size + imm;
	if (frame_peek(cpu, &st, v, 2, size))
		return 1;
	null_ss = sel_null(v[1]) && to64 && cpl != 3;
	if (null_ss && (v[1] & 3) != cpl)
		return cpu_fault(cpu, EXC_GP, 0, "RPL of the null SS selector is not CPL", v[1]);
	if (!null_ss && (ss_check(cpu, v[1], cpl, EXC_GP, 0, &ss) || desc_touch(cpu, &ss)))
		return 1;
	if (rip_check(cpu, cs->raw, rip) || desc_touch(cpu, cs))
		return 1;
	if (null_ss)
		seg_install_null(cpu, SS, v[1], cpl);
	else
		seg_install(cpu, SS, v[1], ss.raw);
	if (to64 || ss.raw >> 54 & 1)
		cpu->r[RSP] = v[0];
	else
		reg_write(cpu, RSP, 2, v[0]);
	cs_install(cpu, cs, cpl, rip);
	segs_drop_inner(cpu);
	cpu_mode_changed(cpu);
	stack_release(cpu, imm);
	return 0;
}

static int ret_far_protected(struct cpu *cpu, unsigned size, u16 imm)
{
	struct stack st;
	struct desc cs;
	u64 v[2], rip;

	stack_current(cpu, &st);
	if (frame_peek(cpu, &st, v, 2, size) || return_cs(cpu, v[1], &cs))
		return 1;
	rip = v[0];
	if ((cs.sel & 3u) > cpu->cpl)
		return ret_far_outer(cpu, &cs, rip, size, imm, v, &st);
	if (rip_check(cpu, cs.raw, rip) || desc_touch(cpu, &cs))
		return 1;
	stack_release(cpu, 2 * size + imm);
	cs_install(cpu, &cs, cpu->cpl, rip);
	return 0;
}

SIMPLE(ret_far)
{
	u16 imm = in->nops ? in->imm : 0;

	if (!cpu_protected(cpu))
		return ret_far_real(cpu, in->opsize, imm);
	return ret_far_protected(cpu, in->opsize, imm);
}

/* ---- fast system calls --------------------------------------------------------------- */

#define FLAT_CODE (AR_G | AR_P | AR_S | AR_TYPE_CODE | AR_TYPE_WR | AR_TYPE_ACCESSED)
#define FLAT_DATA (AR_G | AR_DB | AR_P | AR_S | AR_TYPE_WR | AR_TYPE_ACCESSED)

/* CS and SS become fixed flat segments: the descriptors in memory are not read. */
static void install_flat(struct cpu *cpu, u16 cs, u16 ss, unsigned cpl, bool code64)
{
	u32 dpl = cpl << AR_DPL_SHIFT;

	cpu->seg[CS] =
	    (struct seg){(cs & ~3u) | cpl, FLAT_CODE | dpl | (code64 ? AR_L : AR_DB), 0xffffffff};
	cpu->seg[SS] = (struct seg){(ss & ~3u) | cpl, FLAT_DATA | dpl, 0xffffffff};
	cpu->r[R_SEGBASE + CS] = 0;
	cpu->r[R_SEGBASE + SS] = 0;
	cpu->cpl = cpl;
}

SIMPLE(sysenter)
{
	bool lma = cpu_lma(cpu);

	if (sel_null(cpu->sysenter_cs))
		return cpu_fault(cpu, EXC_GP, 0, "IA32_SYSENTER_CS is null", cpu->sysenter_cs);
	install_flat(cpu, cpu->sysenter_cs, cpu->sysenter_cs + 8, 0, lma);
	cpu->r[RSP] = lma ? cpu->sysenter_esp : (u32)cpu->sysenter_esp;
	cpu->rip = lma ? cpu->sysenter_eip : (u32)cpu->sysenter_eip;
	rflags_load(cpu, 0, FL_VM | FL_IF | FL_RF);
	return 0;
}

SIMPLE(sysexit)
{
	bool to64 = in->opsize == 8;

	if (cpu->cpl)
		return cpu_fault(cpu, EXC_GP, 0, "SYSEXIT with CPL > 0", cpu->cpl);
	if (sel_null(cpu->sysenter_cs))
		return cpu_fault(cpu, EXC_GP, 0, "IA32_SYSENTER_CS is null", cpu->sysenter_cs);
	if (to64 && !canonical(cpu, cpu->r[RDX]))
		return cpu_fault(cpu, EXC_GP, 0, "SYSEXIT target RIP is not canonical",
				 cpu->r[RDX]);
	if (to64 && !canonical(cpu, cpu->r[RCX]))
		return cpu_fault(cpu, EXC_GP, 0, "SYSEXIT target RSP is not canonical",
				 cpu->r[RCX]);
	install_flat(cpu, cpu->sysenter_cs + (to64 ? 32 : 16), cpu->sysenter_cs + (to64 ? 40 : 24),
		     3, to64);
	cpu->r[RSP] = to64 ? cpu->r[RCX] : (u32)cpu->r[RCX];
	cpu->rip = to64 ? cpu->r[RDX] : (u32)cpu->r[RDX];
	cpu_mode_changed(cpu);
	return 0;
}

SIMPLE(syscall)
{
	u32 flags;

	if (!cpu_long64(cpu) || !(cpu->efer & EFER_SCE))
		return cpu_fault(cpu, EXC_UD, 0, "SYSCALL outside 64-bit mode or with EFER.SCE = 0",
				 cpu->efer);
	flags = cpu_rflags(cpu) & ~FL_RF;
	cpu->r[RCX] = cpu->rip;
	cpu->r[R11] = flags;
	cpu->rip = cpu->lstar;
	install_flat(cpu, cpu->star >> 32, (cpu->star >> 32) + 8, 0, true);
	cpu_set_rflags(cpu, (flags & ~(u32)cpu->sfmask) | FL_R1);
	cpu_mode_changed(cpu);
	return 0;
}

#define SYSRET_FLAGS 0x3c7fd7u

SIMPLE(sysret)
{
	bool to64 = in->opsize == 8;
	u16 cs = cpu->star >> 48;

	if (!cpu_long64(cpu) || !(cpu->efer & EFER_SCE))
		return cpu_fault(cpu, EXC_UD, 0, "SYSRET outside 64-bit mode or with EFER.SCE = 0",
				 cpu->efer);
	if (cpu->cpl)
		return cpu_fault(cpu, EXC_GP, 0, "SYSRET with CPL > 0", cpu->cpl);
	if (to64 && !canonical(cpu, cpu->r[RCX]))
		return cpu_fault(cpu, EXC_GP, 0, "SYSRET target RIP is not canonical", cpu->r[RCX]);
	install_flat(cpu, to64 ? cs + 16 : cs, cs + 8, 3, to64);
	cpu->rip = to64 ? cpu->r[RCX] : (u32)cpu->r[RCX];
	cpu_set_rflags(cpu, (cpu->r[R11] & SYSRET_FLAGS & ~FL_RF) | FL_R1);
	cpu_mode_changed(cpu);
	return 0;
}

static ALWAYS_INLINE void exchange_gs(struct cpu *cpu)
{
	u64 base = seg_base(cpu, GS);

	cpu->r[R_SEGBASE + GS] = cpu->kernel_gs_base;
	cpu->kernel_gs_base = base;
}

static int op_swapgs(struct cpu *cpu, const struct insn *in)
{
	if (cpu->cpl)
		return cpu_fault(cpu, EXC_GP, 0, "SWAPGS with CPL > 0", cpu->cpl);
	exchange_gs(cpu);
	return 0;
}

/* The row's gate (emit_gates()) stands in front of it and has looked at the CPL. */
static void swapgs(UOP_ARGS)
{
	exchange_gs(cpu);
	NEXT;
}

static void gen_swapgs(struct builder *b, const struct insn *in, u32 arg)
{
	emit(b, swapgs);
}
const struct exec_desc exec_swapgs = {.gen = gen_swapgs, .op = op_swapgs};
