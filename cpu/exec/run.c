/*
 * The run loop: enters chains of blocks, and does between them what cannot be done within: events, exceptions, traps,
 * single steps, the exact end of the budget.
 */
#include <stdlib.h>
#include "cpu/exec/blocks.h"
#include "cpu/exec/cpuid.h"
#include "cpu/exec/system.h"
#include "cpu/exec/vec.h"
#include "cpu/exec/x87.h"
#include "cpu/fault_log.h"
#include "cpu/vmx/vmx.h"

/* ---- leaving a chain -------------------------------------------------------------------------------- */

static u64 code_rip(const struct cpu *cpu, s64 disp)
{
	u64 rip = cpu->r[R_CODE] + (u64)disp;
	return cpu_long64(cpu) ? rip : (u32)rip;
}

static void save_state(struct cpu *cpu, u64 fa, u64 fb, s64 cd)
{
	cpu->fa = fa;
	cpu->fb = fb;
	cpu->cd = cd;
}

static bool is_stub(const struct uop *u)
{
	return u->fn == uop_unlinked || u->fn == uop_cross_link64 || u->fn == uop_cross_link32;
}

/* Page offset of the block that begins with @u: a NOP at its start has left no micro-operation. */
static s32 block_start(const struct uop *u)
{
	return block_of(u)->phys & 0xfff;
}

NOINLINE void uop_leave_at(UOP_ARGS)
{
	cpu->rip = code_rip(cpu, is_stub(u) ? u->disp : block_start(u));
	save_state(cpu, fa, fb, cd);
}

NOINLINE void uop_leave_rip(UOP_ARGS)
{
	cpu->rip = ea;
	save_state(cpu, fa, fb, cd - u->icnt - 1);
}

NOINLINE void uop_leave_next(UOP_ARGS)
{
	if (u[1].icnt == u->icnt) {
		cd = uop_clip(cpu, cd, u->icnt + 1u);
		u = block_rest_of_insn(cpu, u);
		return u->fn(UOP_PASS);
	}
	cpu->rip = code_rip(cpu, u[1].icnt == u->icnt + 1 ? u[1].off : block_next_insn(u));
	save_state(cpu, fa, fb, cd - u->icnt - 1);
}

void uop_insn_end(UOP_ARGS)
{
	cpu->rip = code_rip(cpu, u->off);
	save_state(cpu, fa, fb, cd - u->icnt);
}

NOINLINE void uop_unlinked(UOP_ARGS)
{
	cpu->link_from = (struct uop *)u;
	uop_leave_at(UOP_PASS);
}

void uop_dead(UOP_ARGS)
{
	uop_leave_at(UOP_PASS);
}

NOINLINE void uop_cross_link_slow(UOP_ARGS)
{
	if (!mmu_code_again(cpu, ea, u->phys))
		return uop_leave_at(UOP_PASS);
	cpu->r[R_CODE] = ea;
	return u->target->fn(cpu, u->target, fa, ea, fb, cd);
}

NOINLINE void uop_follow_slow(UOP_ARGS)
{
	const struct uop *t = u->target;

	if (u->phys == NO_LINK)
		CONTINUE_AT(t, 0);
	if (cd < BLOCK_MAX_INSNS || !mmu_code_again(cpu, ea, u->phys)) {
		cpu->rip = code_rip(cpu, u->disp);
		save_state(cpu, fa, fb, cd);
		return;
	}
	cpu->r[R_CODE] = ea;
	return t->fn(cpu, t, fa, ea, fb, cd);
}

#define CROSS_LINK(name, type)                                                                    \
	void name(UOP_ARGS)                                                                        \
	{                                                                                          \
		CROSS_PAGE(type);                                                                   \
	}
CROSS_LINK(uop_cross_link64, u64)
CROSS_LINK(uop_cross_link32, u32)

static NOINLINE void second_page_slow(UOP_ARGS)
{
	if (!mmu_code_again(cpu, ea, u->phys))
		return uop_leave_at(UOP_PASS);
	NEXT;
}

#define SECOND_PAGE(name, type)                                                                   \
	void name(UOP_ARGS)                                                                        \
	{                                                                                          \
		ea = (type)(cpu->r[R_CODE] + 4096);                                                 \
		const struct itlb_entry *e = &cpu->tlb->x[itlb_index(ea)];                          \
		if (unlikely(e->tag != ea || e->phys != u->phys))                                   \
			return second_page_slow(UOP_PASS);                                         \
		NEXT;                                                                               \
	}
SECOND_PAGE(uop_second_page64, u64)
SECOND_PAGE(uop_second_page32, u32)

NOINLINE void uop_fault(UOP_ARGS)
{
	cpu->rip = code_rip(cpu, u->off);
	cpu->fault_pending = true;
	cpu->block_insns = u->icnt;
	save_state(cpu, fa, fb, cd - u->icnt);
}

COLD void uop_undefined(UOP_ARGS)
{
	if (u->insn->row == UINT16_MAX && u->insn->opcode)
		(void)!cpu_fault(cpu, EXC_GP, 0, "the instruction is longer than 15 bytes", 0);
	else
		undefined_fault(cpu, code_rip(cpu, u->off));
	uop_fault(UOP_PASS);
}

s64 uop_clip(struct cpu *cpu, s64 cd, unsigned n)
{
	cpu->icount_end -= (u64)(cd - n);
	return n;
}

/* ---- slow memory accesses --------------------------------------------------------------------------------- */

/* Does the memory operand of @in lie at @va? (PUSH and CALL may have reached the stack instead.) */
static bool is_operand_address(struct cpu *cpu, const struct insn *in, u64 va)
{
	return op_ea(cpu, in) + (in->seg == FS || in->seg == GS ? seg_base(cpu, in->seg) : 0) == va;
}

bool insn_at(struct cpu *cpu, u64 rip, struct insn *in)
{
	const struct decode_mode m = decode_mode_of(cpu);
	u64 lin = cpu_long64(cpu) ? rip : (u32)(rip + seg_base(cpu, CS));
	u8 code[30];
	unsigned n, more = 0;

	if (mmu_fetch(cpu, lin, code, &n))
		return false;
	if (n < 15 && insn_decode(&m, code, n, in) != DECODE_OK && mmu_fetch(cpu, lin + n, code + n, &more))
		return false;
	return insn_decode(&m, code, MIN(n + more, 15u), in) == DECODE_OK;
}

/* In 64-bit mode the TLB never holds a non-canonical page; which fault it is depends on the segment (SDM Vol. 1, 3.3.7.1). */
static COLD int fault_canonical(struct cpu *cpu, u64 va)
{
	struct insn in;
	bool ss = true; /* not the memory operand: a push, pop, call or return */

	if (insn_at(cpu, cpu->insn_rip, &in))
		for (unsigned i = 0; i < in.nops; i++)
			if (in.op[i].kind == OPK_MEM && (in.seg == SS || is_operand_address(cpu, &in, va)))
				ss = in.seg == SS;
	return cpu_fault(cpu, ss ? EXC_SS : EXC_GP, 0, "the linear address is not canonical", va);
}

static int slow_begin(UOP_ARGS)
{
	save_state(cpu, fa, fb, cd - u->icnt);
	cpu->block_insns = u->icnt;
	cpu->insn_rip = code_rip(cpu, u->off);
	if (cpu_long64(cpu) && (u64)sext(ea, cpu->cr4 & CR4_LA57 ? 57 : 48) != ea)
		return fault_canonical(cpu, ea);
	return 0;
}

/* Addresses computed in 64 bits by 32-bit code (builder.c) wrap at 4 GiB. */
static u64 slow_address(const struct cpu *cpu, u64 ea)
{
	return cpu_long64(cpu) ? ea : (u32)ea;
}

static int slow_failed(struct cpu *cpu)
{
	cpu->rip = cpu->insn_rip;
	cpu->fault_pending = true;
	return 1;
}

/* The commonest slow access crosses from one page to the next, both in the TLB: what it does of the rest is nothing. */
static bool crosses_mapped(const struct tlb_entry *t, u64 ea, unsigned size)
{
	return (ea & 0xfff) > 4096 - size && t[tlb_index(ea)].tag == (ea & ~0xfffull) &&
	       t[tlb_index(ea + 4096)].tag == (ea & ~0xfffull) + 4096;
}

NOINLINE int uop_slow_read(UOP_ARGS, unsigned size)
{
	const struct tlb_entry *t = cpu->tlb->r;
	unsigned first = 4096 - (ea & 0xfff);

	if (crosses_mapped(t, ea, size)) {
		memcpy(cpu->slow, (const void *)(t[tlb_index(ea)].host + ea), first);
		memcpy(cpu->slow + first, (const void *)(t[tlb_index(ea + 4096)].host + ea + first), size - first);
		return 0;
	}
	if (slow_begin(UOP_PASS) || mem_read(cpu, slow_address(cpu, ea), cpu->slow, size, ACC_R))
		return slow_failed(cpu);
	return 0;
}

NOINLINE int uop_slow_write(UOP_ARGS, unsigned size)
{
	const struct tlb_entry *t = cpu->tlb->w;
	unsigned first = 4096 - (ea & 0xfff);

	if (crosses_mapped(t, ea, size)) {
		memcpy((void *)(t[tlb_index(ea)].host + ea), cpu->slow, first);
		memcpy((void *)(t[tlb_index(ea + 4096)].host + ea + first), cpu->slow + first, size - first);
		return 0;
	}
	if (slow_begin(UOP_PASS) || mem_write(cpu, slow_address(cpu, ea), cpu->slow, size, ACC_W))
		return slow_failed(cpu);
	return 0;
}

NOINLINE int uop_slow_read_rmw(UOP_ARGS, unsigned size)
{
	if (slow_begin(UOP_PASS) || mem_probe(cpu, slow_address(cpu, ea), size, ACC_RW) ||
	    mem_read(cpu, slow_address(cpu, ea), cpu->slow, size, ACC_RW))
		return slow_failed(cpu);
	return 0;
}

/* With no event waiting, blocking by STI matters only to what the VM exit of the next instruction saves: a chain notes it. */
static bool must_step(struct cpu *cpu)
{
	if (!cpu->events && !(cpu->mode & MODE_TF) &&
	    (cpu->vmx_mode == VMX_OFF || (cpu->vmx_mode == VMX_ROOT && cpu->int_shadow == SHADOW_STI)))
		cpu->int_shadow = 0;
	if ((cpu->mode & MODE_TF) || (cpu->rflags & FL_RF) || cpu->dr6_pending)
		return true;
	return cpu->int_shadow && (cpu->events || cpu->int_shadow != SHADOW_STI || !vmx_nonroot(cpu));
}

/* ---- simple operations ---------------------------------------------------------------------------------------- */

static int call_op(UOP_ARGS)
{
	const struct insn *in = u->insn;

	save_state(cpu, fa, fb, cd - u->icnt);
	cpu->insn_rip = code_rip(cpu, u->off);
	cpu->rip = code_rip(cpu, u->off + in->len);
	if (((int (*)(struct cpu *, const struct insn *))(uintptr_t)u->phys)(cpu, in)) {
		cpu->rip = cpu->insn_rip;
		cpu->fault_pending = true;
		cpu->block_insns = u->icnt;
		return 1;
	}
	return 0;
}

void uop_call(UOP_ARGS)
{
	if (unlikely(call_op(UOP_PASS)))
		return;
	if (unlikely(cpu->attn)) {
		cpu->cd--;
		return;
	}
	NEXT;
}

void uop_call_flags(UOP_ARGS)
{
	save_state(cpu, fa, fb, cd);
	cpu_rflags(cpu);
	if (unlikely(call_op(UOP_PASS)))
		return;
	if (unlikely(cpu->attn)) {
		cpu->cd--;
		return;
	}
	NEXT;
}

/* Would the run loop only enter the next block now? Then that must happen: an interrupt shadow that hides nothing is over. */
static bool nothing_between(struct cpu *cpu)
{
	const bool guest = vmx_nonroot(cpu);
	const bool masked = !guest && cpu->events == CPU_EV_INTR && !(cpu->rflags & FL_IF);

	return !cpu->attn && (!cpu->events || masked) && cpu->cd >= BLOCK_MAX_INSNS && cpu->activity == CPU_ACTIVE &&
	       !must_step(cpu);
}

/* Mostly a system call, or the way back from one: the block that follows is known to the jump cache. */
void uop_call_end(UOP_ARGS)
{
	const struct jump_cache_entry *j;
	const u8 vmx_mode = cpu->vmx_mode; /* a VM entry needs the run loop: the preemption timer may end the slice */
	u64 key;

	save_state(cpu, fa, fb, cd);
	cpu_rflags(cpu);
	if (unlikely(call_op(UOP_PASS)))
		return;
	cpu->cd--;
	key = jump_key(cpu);
	j = &cpu->jump_cache[jump_cache_index(cpu->rip, key)];
	if (j->rip != cpu->rip || j->key != key || cpu->vmx_mode != vmx_mode || !nothing_between(cpu))
		return;
	if (unlikely(cpu->int_shadow)) { /* STI's, in a guest: as run_chain() notes it */
		cpu->vmx_shadow = cpu->int_shadow;
		cpu->vmx_shadow_end = cpu_icount(cpu);
		cpu->int_shadow = 0;
	}
	cpu->jump_key = key;
	cpu->r[R_CODE] = cpu->rip & ~0xfffull;
	u = j->uops;
	fa = cpu->fa;
	fb = cpu->fb;
	cd = cpu->cd;
	return u->fn(UOP_PASS);
}

void uop_call_checked(UOP_ARGS)
{
	u32 mode = cpu->mode;

	if (unlikely(call_op(UOP_PASS)))
		return;
	if (cpu->attn || cpu->events || cpu->mode != mode || (cpu->rflags & FL_RF)) {
		cpu->cd--;
		return;
	}
	cpu->jump_key = jump_key(cpu);
	fa = cpu->fa;
	fb = cpu->fb;
	NEXT;
}

void uop_intercept(UOP_ARGS)
{
	const struct insn *in = u->insn;

	save_state(cpu, fa, fb, cd - u->icnt);
	cpu->insn_rip = code_rip(cpu, u->off);
	cpu->rip = code_rip(cpu, u->off + in->len);
	if (vmx_intercept(cpu, in)) {
		cpu->rip = cpu->insn_rip;
		cpu->fault_pending = true;
		return;
	}
	NEXT;
}

/*
 * Where PAUSE takes longer than its one instruction, the slice ends as much earlier. It does so right behind the instruction
 * when what is left of it is short: blocks count on BLOCK_MAX_INSNS.
 */
void uop_pause(UOP_ARGS)
{
	s64 left = cd - u->icnt - 1;
	u32 n = 0;

	save_state(cpu, fa, fb, cd - u->icnt);
	if (cpu->others_wait)
		cpu->paused = true;
	else if (cpu->bus.pause)
		n = cpu->bus.pause(cpu->bus.ctx);
	if (likely(!cpu->paused && (!n || left > (s64)n + BLOCK_MAX_INSNS))) {
		cpu->icount_end -= n;
		cpu->run_end -= n;
		cd -= n;
		NEXT;
	}
	cpu_event_set(cpu, CPU_EV_STOP);
	cpu->rip = code_rip(cpu, u->off + u->insn->len);
	cpu->cd = left;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

void cpu_event_set(struct cpu *cpu, u32 ev)
{
	cpu->events |= ev;
	cpu->attn = 1;
}

void cpu_event_clear(struct cpu *cpu, u32 ev)
{
	cpu->events &= ~ev;
}

static void interrupt(struct cpu *cpu, unsigned vector, enum int_kind kind)
{
	cpu->activity = CPU_ACTIVE;
	if (int_deliver(cpu, vector, kind, false, 0))
		cpu->fault_pending = true;
	else
		cpu->cd--; /* counts, so that an interrupt that never goes away still comes to the budget's end */
}

/* SDM Vol. 3A, 8.4.3: the start-up vector is a page of real-mode code. */
static void start_up(struct cpu *cpu)
{
	cpu->seg[CS].sel = (u16)(cpu->sipi_vector << 8);
	cpu->r[R_SEGBASE + CS] = (u64)cpu->sipi_vector << 12;
	cpu->rip = 0;
	cpu->activity = CPU_ACTIVE;
	cpu_mode_changed(cpu);
}

/* In the order of SDM Vol. 3A, table 6-2; one at a time. True if rip or the activity may have changed. */
static bool take_events(struct cpu *cpu)
{
	bool blocked = cpu->int_shadow;

	if (cpu->int_shadow == SHADOW_MOV_SS)
		return false; /* all of them, with the debug exceptions that wait too */
	if (vmx_nonroot(cpu))
		return vmx_take_events(cpu);
	if ((cpu->events & CPU_EV_INIT) && !cpu->smm && cpu->vmx_mode == VMX_OFF) {
		cpu_event_clear(cpu, CPU_EV_INIT);
		cpu_reset(cpu, true);
		return true;
	}
	if (cpu->activity == CPU_WAIT_SIPI) {
		if (cpu->events & CPU_EV_SIPI)
			start_up(cpu);
		cpu_event_clear(cpu, CPU_EV_SIPI);
		return true;
	}
	cpu_event_clear(cpu, CPU_EV_SIPI);
	if (cpu->activity == CPU_SHUTDOWN && !(cpu->events & CPU_EV_NMI))
		return false;
	if ((cpu->events & CPU_EV_SMI) && !cpu->smm) {
		cpu_event_clear(cpu, CPU_EV_SMI);
		smm_enter(cpu);
		cpu->activity = CPU_ACTIVE;
		return true;
	}
	if ((cpu->events & CPU_EV_NMI) && !cpu->nmi_blocked && !blocked) {
		cpu_event_clear(cpu, CPU_EV_NMI);
		cpu->nmi_blocked = 1;
		interrupt(cpu, EXC_NMI, INT_NMI);
		return true;
	}
	if ((cpu->events & CPU_EV_INTR) && (cpu->rflags & FL_IF) && !blocked) {
		interrupt(cpu, cpu->bus.intack(cpu->bus.ctx), INT_EXTERNAL);
		return true;
	}
	return false;
}

/* ---- the loop ------------------------------------------------------------------------------------------------------- */

extern const struct exec_desc exec_popf, exec_iret;

static bool loads_flags(const struct insn *in)
{
	const struct exec_desc *x = insn_exec(in);
	return x && (x == &exec_popf || x == &exec_iret);
}

static void enter(struct cpu *cpu, struct block *b)
{
	const struct uop *u = b->uops + guards_second_page(b->phys2, b->mode); /* block_find() has just looked */

	u->fn(cpu, u, cpu->fa, 0, cpu->fb, cpu->cd);
}

static void deliver_fault(struct cpu *cpu)
{
	cpu->fault_pending = false;
	cpu->link_from = NULL;
	if (!vmx_nonroot(cpu))
		cpu->dr6_pending = 0;
	cpu_rflags(cpu);
	cpu->activity = CPU_ACTIVE; /* a single step out of HLT */
	exc_deliver(cpu);
	cpu->block_insns = 0;
	if (vmx_nonroot(cpu))
		vmx_stepped(cpu);
}

/*
 * Traps after an instruction (SDM Vol. 3A, 6.9): data breakpoints and the single step, in one #DB. MOV SS and POP SS put
 * data breakpoints off to the next instruction and lose the step (6.8.3).
 */
static void trap_after(struct cpu *cpu, u64 dr6)
{
	if (cpu->fault_pending) {
		if (!vmx_nonroot(cpu) || cpu->vmx_shadow != SHADOW_MOV_SS) /* else a VM exit keeps them pending */
			cpu->dr6_pending = 0;
		return;
	}
	if (cpu->int_shadow == SHADOW_MOV_SS)
		return;
	dr6 |= cpu->dr6_pending;
	cpu->dr6_pending = 0;
	if (dr6 && vmx_mtf(cpu)) {
		cpu->dr6_pending = dr6; /* the MTF exit comes first, and keeps them pending */
	} else if (dr6) {
		cpu->vmx_shadow = cpu->int_shadow; /* a trap: the instruction is over */
		(void)!debug_trap(cpu, dr6, dr6 & DR6_BS ? "RFLAGS.TF is set" : "data breakpoint");
		deliver_fault(cpu);
	}
}

/* One instruction, for what needs its end to be seen: TF, RF, interrupt shadow, breakpoints. */
static void step_one(struct cpu *cpu)
{
	bool tf = cpu->rflags & FL_TF;
	u64 lin = cpu_long64(cpu) ? cpu->rip : (u32)(cpu->rip + seg_base(cpu, CS));
	u64 now = cpu_icount(cpu);
	struct block *b;

	cpu->link_from = NULL;
	if (cpu->int_shadow != SHADOW_MOV_SS && debug_code_breakpoint(cpu, lin)) {
		cpu->fault_pending = true;
		return;
	}
	b = block_find(cpu, 1);
	if (!b) {
		cpu->fault_pending = true;
		return;
	}
	bool flags_loaded = loads_flags(b->insns);
	u8 vmx_mode = cpu->vmx_mode;
	u32 rf = cpu->rflags & FL_RF;
	cpu->vmx_shadow = cpu->int_shadow;
	cpu->vmx_shadow_end = ~0ull;
	cpu->int_shadow = 0;
	cpu->rflags &= ~FL_RF; /* before the instruction, which may load it or, a REP to be resumed, set it */
	cpu->icount_end = now + 1;
	cpu->cd = 1;
	enter(cpu, b);
	if (unlikely(cpu->cd == 1 && (cpu->events & CPU_EV_STOP) && !cpu->fault_pending)) { /* a probe stopped in front of it */
		cpu->int_shadow = cpu->vmx_shadow;
		cpu->rflags |= rf;
		return;
	}
	if (unlikely(cpu->vmx_mode != vmx_mode))
		return; /* VM entry, VMXON, VMXOFF */
	if (unlikely(vmx_mode == VMX_NONROOT) && !cpu->fault_pending)
		vmx_stepped(cpu);
	trap_after(cpu, tf && (flags_loaded || (cpu->rflags & FL_TF)) ? DR6_BS : 0);
}

static void run_chain(struct cpu *cpu, u64 end)
{
	u64 now = cpu_icount(cpu);
	u8 shadow = cpu->int_shadow; /* STI's, in a guest: should its first instruction exit */
	struct block *b;

	cpu->vmx_shadow = shadow;
	cpu->vmx_shadow_end = now;
	b = block_find(cpu, (unsigned)MIN(end - now, (u64)BLOCK_MAX_INSNS));
	if (unlikely(cpu->attn)) { /* the code was read from a device that raised an event: due behind one instruction */
		end = now + 1;
		if (b && b->count > 1)
			b = block_find(cpu, 1);
	}
	cpu->int_shadow = 0;
	if (!b) {
		cpu->link_from = NULL;
		cpu->fault_pending = true;
		return;
	}
	if (cpu->link_from) {
		block_link(cpu, cpu->link_from, b);
		cpu->link_from = NULL;
	}
	cpu->icount_end = end;
	cpu->cd = (s64)(end - now);
	enter(cpu, b);
	if (unlikely(cpu->dr6_pending))
		trap_after(cpu, 0);
	if (unlikely(shadow || cpu->vmx_shadow_end != now) && !cpu->fault_pending) {
		if (cpu_icount(cpu) == cpu->vmx_shadow_end) /* a probe stopped in front of it */
			cpu->int_shadow = cpu->vmx_shadow;
		cpu->vmx_shadow = 0;
	}
}

enum cpu_exit cpu_run(struct cpu *cpu, u64 max_insns)
{
	const u64 end = cpu_icount(cpu) + max_insns;
	enum cpu_exit why;

	cpu->run_end = end;
	cpu->link_from = NULL; /* whoever ran in between may have moved rip */
	cpu_mxcsr_load(cpu);
	for (;;) {
		if (cpu->fault_pending) {
			deliver_fault(cpu);
			cpu->cd--; /* a fault counts, so that a guest faulting for ever still comes to its end */
			continue;
		}
		cpu->attn = 0;
		if (cpu->events & CPU_EV_STOP) {
			cpu_event_clear(cpu, CPU_EV_STOP);
			why = CPU_EXIT_STOP;
			break;
		}
		if (cpu_icount(cpu) >= cpu->run_end) {
			why = cpu->run_end == end ? CPU_EXIT_BUDGET : CPU_EXIT_STOP;
			break;
		}
		u64 stop = cpu->run_end;
		if (unlikely(vmx_nonroot(cpu)))
			stop = vmx_slice_end(cpu, stop);
		if (cpu->events) {
			u64 now = cpu_icount(cpu);
			cpu_rflags(cpu);
			if (take_events(cpu))
				cpu->link_from = NULL;
			if (cpu->fault_pending || cpu_icount(cpu) != now)
				continue;
		}
		if (cpu->activity != CPU_ACTIVE) {
			if (cpu_wait_over(cpu)) {
				cpu_wait_end(cpu);
				continue;
			}
			why = cpu->activity == CPU_SHUTDOWN ? CPU_EXIT_SHUTDOWN : CPU_EXIT_HALT;
			break;
		}
		if (unlikely(must_step(cpu)))
			step_one(cpu);
		else
			run_chain(cpu, stop);
	}
	cpu_rflags(cpu);
	cpu_mxcsr_release(cpu);
	cpu->icount_end = cpu_icount(cpu);
	cpu->cd = 0;
	return why;
}

/* ---- power-on, RESET, INIT -------------------------------------------------------------------------------------------- */

int cpu_init(struct cpu *cpu)
{
	int err = mmu_init(cpu);

	if (!err)
		err = blocks_init(cpu);
	if (!err)
		err = vmx_init(cpu);
	if (!err)
		cpu->fault_log = calloc(1, sizeof(*cpu->fault_log)); /* without it there is less to tell */
	if (err) {
		cpu_free(cpu);
		return err;
	}
	cpu_reset(cpu, false);
	return 0;
}

void cpu_free(struct cpu *cpu)
{
	free(cpu->fault_log);
	cpu->fault_log = NULL;
	vmx_free(cpu);
	blocks_free(cpu);
	mmu_free(cpu);
}

static void reset_segments(struct cpu *cpu)
{
	for (unsigned s = 0; s < NSEGS; s++) {
		cpu->seg[s] = (struct seg){.limit = 0xffff, .ar = AR_P | AR_S | AR_TYPE_WR | AR_TYPE_ACCESSED};
		cpu->r[R_SEGBASE + s] = 0;
	}
	cpu->seg[CS].ar |= AR_TYPE_CODE;
	cpu->seg[CS].sel = 0xf000;
	cpu->r[R_SEGBASE + CS] = 0xffff0000;
	cpu->seg[LDTR].ar = AR_P | ST_LDT;
	cpu->seg[TR].ar = AR_P | ST_TSS_BUSY;
	cpu->gdtr = cpu->idtr = (struct dtr){.limit = 0xffff};
}

/* SDM Vol. 3A, table 9-1. */
void cpu_reset(struct cpu *cpu, bool init_only)
{
	u64 cache_bits = init_only ? cpu->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW;

	memset(cpu->r, 0, sizeof(cpu->r));
	cpu->r[R_4GIB] = BIT64(32);
	cpu->r[RDX] = cpu->model ? cpu_model_signature(cpu->model) : 0;
	cpu_set_rflags(cpu, FL_R1);
	cpu->rip = 0xfff0;
	reset_segments(cpu);
	cpu->cr0 = CR0_ET | cache_bits;
	cpu->cr2 = cpu->cr3 = cpu->cr4 = 0;
	memset(cpu->dr, 0, sizeof(cpu->dr));
	cpu->dr[6] = DR6_FIXED;
	cpu->dr[7] = DR7_FIXED;
	cpu->cpl = 0;
	cpu->int_shadow = cpu->nmi_blocked = 0;
	cpu->smm = false;
	cpu->fault_pending = false;
	cpu->dr6_pending = 0;
	cpu->efer = 0;
	cpu->activity = cpu->bsp ? CPU_ACTIVE : CPU_WAIT_SIPI; /* 8.4.1: the others wait to be started */
	cpu->monitor_armed = cpu->monitor_user = cpu->paused = false;
	if (!init_only) {
		cpu->xcr0 = 1;
		cpu->pkru = 0;
		cpu->mxcsr = MXCSR_RESET;
		memset(&cpu->x87, 0, sizeof(cpu->x87));
		memset(cpu->v, 0, sizeof(cpu->v));
		memset(cpu->k, 0, sizeof(cpu->k));
		x87_all_tags(&cpu->x87, true);
		x87_set_cw(&cpu->x87, 0x40);
		cpu->events = 0;
		cpu->smbase = 0x30000;
		vmx_reset(cpu);
		cpu_blocks_flush(cpu);
	}
	msr_reset(cpu, init_only);
	mmu_flush_all(cpu);
	cpu_mode_changed(cpu);
}
