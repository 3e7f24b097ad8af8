/*
 * Interrupts, exceptions, IRET and the debug exceptions (SDM Vol. 3A, chapter 6; Vol. 2, INT n,
 * IRET; Vol. 3B, 17).
 *
 * Modelled: real mode, virtual-8086 mode with VME and PVI, 16- and 32-bit gates, task gates, 64-bit
 * gates with IST; the contributory table; triple fault; instruction and I/O breakpoints, single
 * step, general detect. Not modelled: shadow stacks, last-branch records.
 */
#include "base/log.h"
#include "cpu/exec/flags.h"
#include "cpu/exec/system.h"
#include "cpu/exec/watch.h"
#include "cpu/exec/vec.h"
#include "cpu/fault_log.h"
#include "cpu/vmx/vmx.h"

#define VECTORS_WITH_ERROR                                                                         \
	(1u << EXC_DF | 1u << EXC_TS | 1u << EXC_NP | 1u << EXC_SS | 1u << EXC_GP | 1u << EXC_PF | \
	 1u << EXC_AC | 1u << EXC_CP)

/* ---- raising ------------------------------------------------------------------------- */

int cpu_fault(struct cpu *cpu, unsigned vector, u32 err, const char *why, u64 value)
{
	cpu->fault = (struct fault){
	    .vector = vector,
	    .has_err = vector < 32 && VECTORS_WITH_ERROR >> vector & 1,
	    .err = err,
	    .why = why,
	    .value = value,
	};
	return 1;
}

int cpu_page_fault(struct cpu *cpu, u64 addr, u32 err, const char *why, u64 value)
{
	cpu_fault(cpu, EXC_PF, err, why, value);
	cpu->fault.addr = addr;
	return 1;
}

/* ---- RFLAGS -------------------------------------------------------------------------- */

/* Bits of RFLAGS that this CPU model lets software change. */
static u32 rflags_present(const struct cpu *cpu)
{
	u32 present = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_VM;

	if (cpu_has(cpu, FEAT_I486))
		present |= FL_AC;
	if (cpu_has(cpu, FEAT_CX8)) /* the Pentium: CPUID and its flag */
		present |= FL_ID;
	if (cpu_has(cpu, FEAT_VME))
		present |= FL_VIF | FL_VIP;
	return present;
}

void rflags_load(struct cpu *cpu, u32 value, u32 mask)
{
	u32 old = cpu_rflags(cpu);

	mask &= rflags_present(cpu);
	cpu_set_rflags(cpu, (old & ~mask) | (value & mask) | FL_R1);
	cpu_mode_changed(cpu);
}

/* ---- debug exceptions ---------------------------------------------------------------- */

static unsigned dr7_rw(const struct cpu *cpu, unsigned i)
{
	return cpu->dr[7] >> (16 + 4 * i) & 3;
}

static unsigned dr7_len(const struct cpu *cpu, unsigned i)
{
	static const u8 bytes[] = {1, 2, 8, 4};

	return bytes[cpu->dr[7] >> (18 + 4 * i) & 3];
}

static bool dr7_enabled(const struct cpu *cpu, unsigned i)
{
	return cpu->dr[7] >> (2 * i) & 3;
}

/* Any kind: data and I/O breakpoints trap right after their instruction, which must therefore end
 * its block. */
static bool breakpoints_armed(const struct cpu *cpu)
{
	return cpu->dr[7] & 0xff;
}

bool debug_code_breakpoint(struct cpu *cpu, u64 lin)
{
	u32 hits = 0, enabled = 0;

	if (cpu->rflags & FL_RF || !breakpoints_armed(cpu))
		return false;
	for (unsigned i = 0; i < 4; i++) {
		if (dr7_rw(cpu, i) || cpu->dr[i] != lin)
			continue;
		hits |= 1u << i;
		enabled |= dr7_enabled(cpu, i);
	}
	if (!enabled)
		return false;
	debug_trap(cpu, hits, "instruction breakpoint");
	return true;
}

int debug_trap(struct cpu *cpu, u64 dr6, const char *why)
{
	cpu_fault(cpu, EXC_DB, 0, why, dr6);
	cpu->fault.dr6 = dr6;
	return 1;
}

u32 debug_io_hits(const struct cpu *cpu, u16 port, unsigned size)
{
	u32 hits = 0;

	if (!(cpu->cr4 & CR4_DE) || !(cpu->dr[7] & 0xff))
		return 0;
	for (unsigned i = 0; i < 4; i++) {
		unsigned len = dr7_len(cpu, i);
		u64 first = cpu->dr[i] & ~(u64)(len - 1);

		if (dr7_enabled(cpu, i) && dr7_rw(cpu, i) == 2 && port < first + len &&
		    first < port + size)
			hits |= 1u << i;
	}
	return hits;
}

/* ---- the mode key -------------------------------------------------------------------- */

static bool flat_data(const struct cpu *cpu, unsigned seg)
{
	const struct seg *s = &cpu->seg[seg];

	return !seg_base(cpu, seg) && s->limit == 0xffffffff &&
	       (s->ar & (AR_UNUSABLE | AR_TYPE_CODE | AR_TYPE_ED | AR_TYPE_WR)) == AR_TYPE_WR;
}

static u32 vector_gates(const struct cpu *cpu)
{
	u32 m = 0;

	if (cpu->cr0 & (CR0_EM | CR0_TS))
		m |= MODE_X87_NM;
	if (cpu->cr0 & CR0_EM || !(cpu->cr4 & CR4_OSFXSR))
		m |= MODE_SSE_UD;
	if (cpu->cr0 & CR0_TS)
		m |= MODE_SSE_NM;
	if (cpu->cr0 & CR0_EM)
		m |= MODE_EM;
	if (!(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & 6) != 6)
		m |= MODE_AVX_UD;
	if (m & MODE_AVX_UD || (cpu->xcr0 & 0xe6) != 0xe6)
		m |= MODE_AVX512_UD;
	if (mxcsr_unmasked(cpu->mxcsr))
		m |= MODE_MXCSR_EXACT;
	return m;
}

void cpu_mode_changed(struct cpu *cpu)
{
	u32 m = (cpu->mode & MODE_TRACE) | vector_gates(cpu);
	const struct seg *cs = &cpu->seg[CS];

	if (cpu_lma(cpu))
		m |= MODE_LMA;
	if (cpu_lma(cpu) && cs->ar & AR_L) {
		m |= MODE_64 | MODE_SS32 | MODE_FLAT_DATA | MODE_FLAT_CODE;
	} else {
		if (cs->ar & AR_DB)
			m |= MODE_32;
		if (cpu->seg[SS].ar & AR_DB)
			m |= MODE_SS32;
		if (flat_data(cpu, DS) && flat_data(cpu, ES) && flat_data(cpu, SS))
			m |= MODE_FLAT_DATA;
		if (!seg_base(cpu, CS) && cs->limit == 0xffffffff)
			m |= MODE_FLAT_CODE;
	}
	if (!(cpu->cr0 & CR0_PE))
		m |= MODE_REAL;
	if (cpu_v86(cpu))
		m |= MODE_V86;
	if (cpu->rflags & FL_TF || breakpoints_armed(cpu))
		m |= MODE_TF;
	if (vmx_nonroot(cpu))
		m |= MODE_NONROOT | (vmx_mtf(cpu) ? MODE_TF : 0);
	if (cpu->rflags & FL_AC && cpu->cr0 & CR0_AM && cpu->cpl == 3)
		m |= MODE_AC;
	if (log_on(cpu->log, LOG_EXEC))
		m |= MODE_TRACE;
	/* SDM Vol. 1, 3.4.1.1: upper halves do not survive in 32-bit modes. Addresses rely on it (builder.c). */
	if (!(m & MODE_LMA) && cpu->mode & MODE_LMA)
		for (unsigned i = RAX; i <= R15; i++)
			cpu->r[i] = (u32)cpu->r[i];
	u32 old = cpu->mode;
	cpu->mode = m;
	mmu_select(cpu);
	if (unlikely(cpu->watchers && cpu->watchers->wants))
		watch_mode(cpu, old);
}

/* ---- delivery ------------------------------------------------------------------------ */

/* One event on its way through the IVT or IDT. */
struct event {
	unsigned vector, ext;
	enum int_kind kind;
	bool has_err;
	u32 err;
	u32 idt_err; /* error code of faults that concern the gate itself */
	u32 flags;   /* RFLAGS image to push */
};

static bool is_soft(enum int_kind kind)
{
	return kind == INT_SOFT || kind == INT_SOFT3;
}

static int int_real(struct cpu *cpu, const struct event *e)
{
	struct frame f = {.n = 0};
	struct stack st;
	u32 target;
	u16 cs, ip;

	if (e->vector * 4 + 3 > cpu->idtr.limit)
		return cpu_fault(cpu, EXC_GP, 0, "vector is not within the IVT limit", e->vector);
	if (mem_read32(cpu, (u32)(cpu->idtr.base + e->vector * 4), &target, ACC_SYS))
		return 1;
	ip = target;
	cs = target >> 16;
	if (ip > cpu->seg[CS].limit)
		return cpu_fault(cpu, EXC_GP, 0, "handler's IP is outside the CS limit", ip);
	stack_current(cpu, &st);
	frame_add(&f, e->flags);
	frame_add(&f, cpu->seg[CS].sel);
	frame_add(&f, cpu->rip);
	if (frame_push(cpu, &st, &f, 2))
		return 1;
	stack_commit(cpu, &st);
	seg_install_real(cpu, CS, cs, false);
	cpu->rip = ip;
	rflags_load(cpu, 0, FL_IF | FL_TF | FL_AC | FL_RF);
	return 0;
}

/* VME redirection to the virtual-8086 program's own IVT (SDM Vol. 3B, 20.3.3, methods 5 and 6). */
static int int_v86_redirected(struct cpu *cpu, const struct event *e)
{
	bool virt = cpu_iopl(cpu) < 3;
	struct frame f = {.n = 0};
	u32 target, image = e->flags;
	struct stack st;

	if (virt) {
		image |= FL_IOPL;
		image = image & FL_VIF ? image | FL_IF : image & ~FL_IF;
	}
	if (mem_read32(cpu, e->vector * 4, &target, 0))
		return 1;
	if ((target & 0xffff) > cpu->seg[CS].limit)
		return cpu_fault(cpu, EXC_GP, 0, "handler's IP is outside the CS limit", target);
	stack_current(cpu, &st);
	frame_add(&f, image);
	frame_add(&f, cpu->seg[CS].sel);
	frame_add(&f, cpu->rip);
	if (frame_push(cpu, &st, &f, 2))
		return 1;
	stack_commit(cpu, &st);
	seg_install_real(cpu, CS, target >> 16, true);
	cpu->rip = target & 0xffff;
	rflags_load(cpu, 0, FL_TF | FL_RF | FL_NT | (virt ? FL_VIF : FL_IF));
	return 0;
}

/* The software interrupt redirection bitmap lies below the I/O bitmap: bit clear means the 8086
 * handler. */
static int vme_redirection(struct cpu *cpu, unsigned vector, bool *to_v86)
{
	u64 tss = seg_base(cpu, TR);
	u16 map;
	u8 byte;

	*to_v86 = false;
	if (!(cpu->cr4 & CR4_VME) || cpu->seg[TR].limit < 103)
		return 0;
	if (mem_read16(cpu, (u32)(tss + 102), &map, ACC_SYS))
		return 1;
	if (map < 32 || map - 32u + vector / 8 > cpu->seg[TR].limit)
		return cpu_fault(cpu, EXC_GP, 0, "interrupt redirection bitmap is outside the TSS",
				 map);
	if (mem_read8(cpu, (u32)(tss + map - 32 + vector / 8), &byte, ACC_SYS))
		return 1;
	*to_v86 = !(byte >> vector % 8 & 1);
	return 0;
}

/* CS of an interrupt or trap gate. @d is filled, *@inner set when the handler is more privileged.
 */
static int gate_code(struct cpu *cpu, const struct event *e, u16 sel, struct desc *d, bool *inner)
{
	u32 err = (sel & ~3u) | e->ext, ar;

	if (sel_null(sel))
		return cpu_fault(cpu, EXC_GP, e->ext, "code selector of the gate is null", sel);
	if (desc_read(cpu, sel, EXC_GP, e->ext, d))
		return 1;
	ar = desc_ar(d->raw);
	if (!ar_code(ar))
		return cpu_fault(cpu, EXC_GP, err, "gate's segment is not a code segment", d->raw);
	if (ar_dpl(ar) > cpu->cpl)
		return cpu_fault(cpu, EXC_GP, err, "DPL of the handler's code segment > CPL",
				 d->raw);
	if (!(ar & AR_P))
		return cpu_fault(cpu, EXC_NP, err, "handler's code segment is not present", d->raw);
	if (cpu_lma(cpu) && (ar & (AR_L | AR_DB)) != AR_L)
		return cpu_fault(cpu, EXC_GP, err, "handler's code segment is not a 64-bit one",
				 d->raw);
	*inner = !ar_conforming(ar) && ar_dpl(ar) < cpu->cpl;
	if (cpu_v86(cpu) && (!*inner || ar_dpl(ar)))
		return cpu_fault(cpu, EXC_GP, err, "handler for virtual-8086 mode is not at DPL 0",
				 d->raw);
	return 0;
}

static void int_flags(struct cpu *cpu, bool interrupt_gate)
{
	rflags_load(cpu, 0, FL_TF | FL_NT | FL_RF | FL_VM | (interrupt_gate ? FL_IF : 0));
}

static int int_gate_legacy(struct cpu *cpu, const struct event *e, u64 gate)
{
	unsigned type = gate >> 40 & 15, size = type & 8 ? 4 : 2, cpl = cpu->cpl;
	u32 rip = (gate & 0xffff) | (size == 4 ? gate >> 32 & 0xffff0000 : 0);
	bool inner, v86 = cpu_v86(cpu);
	struct desc cs, ss = {.raw = 0};
	struct frame f = {.n = 0};
	struct stack st;

	if (gate_code(cpu, e, gate >> 16, &cs, &inner))
		return 1;
	if (inner) {
		u16 ss_sel;
		u64 sp;

		cpl = ar_dpl(desc_ar(cs.raw));
		if (tss_stack(cpu, cpl, e->ext, &ss_sel, &sp) ||
		    ss_check(cpu, ss_sel, cpl, EXC_TS, e->ext, &ss))
			return 1;
		stack_from_desc(&st, ss_sel, ss.raw, sp, cpl);
		st.err |= e->ext;
		if (v86) {
			frame_add(&f, cpu->seg[GS].sel);
			frame_add(&f, cpu->seg[FS].sel);
			frame_add(&f, cpu->seg[DS].sel);
			frame_add(&f, cpu->seg[ES].sel);
		}
		frame_add(&f, cpu->seg[SS].sel);
		frame_add(&f, cpu->r[RSP]);
	} else {
		stack_current(cpu, &st);
		st.err = e->ext;
	}
	if (rip > desc_limit(cs.raw))
		return cpu_fault(cpu, EXC_GP, e->ext, "handler's offset is outside the CS limit",
				 rip);
	frame_add(&f, e->flags);
	frame_add(&f, cpu->seg[CS].sel);
	frame_add(&f, cpu->rip);
	if (e->has_err)
		frame_add(&f, e->err);
	if ((inner && desc_touch(cpu, &ss)) || desc_touch(cpu, &cs) ||
	    frame_push(cpu, &st, &f, size))
		return 1;
	if (inner) {
		seg_install(cpu, SS, ss.sel, ss.raw);
		cpu->r[RSP] = st.mask == 0xffff ? (cpu->r[RSP] & ~0xffffull) : 0;
	}
	stack_commit(cpu, &st);
	if (v86)
		for (unsigned s = ES; s <= GS; s++)
			if (s != CS && s != SS)
				seg_install_null(cpu, s, 0, 0);
	cs_install(cpu, &cs, cpl, rip);
	int_flags(cpu, !(type & 1));
	return 0;
}

static int int_gate_long(struct cpu *cpu, const struct event *e, u64 gate, u64 gate_high)
{
	u64 rip = (gate & 0xffff) | (gate >> 32 & 0xffff0000) | gate_high << 32;
	unsigned type = gate >> 40 & 15, ist = gate >> 32 & 7, cpl = cpu->cpl;
	struct stack st = {.long64 = true, .mask = ~0ull, .err = e->ext};
	struct frame f = {.n = 0};
	struct desc cs;
	bool inner;

	if (gate_code(cpu, e, gate >> 16, &cs, &inner))
		return 1;
	if (inner)
		cpl = ar_dpl(desc_ar(cs.raw));
	st.sp = cpu->r[RSP];
	if (ist || inner) {
		if (tss_rsp(cpu, ist ? 3 + ist : cpl, e->ext, &st.sp))
			return 1;
	}
	st.acc = cpl == 3 ? 0 : ACC_SYS;
	st.sp &= ~15ull;
	if (!canonical(cpu, rip))
		return cpu_fault(cpu, EXC_GP, e->ext, "handler's RIP is not canonical", rip);
	frame_add(&f, cpu->seg[SS].sel);
	frame_add(&f, cpu->r[RSP]);
	frame_add(&f, e->flags);
	frame_add(&f, cpu->seg[CS].sel);
	frame_add(&f, cpu->rip);
	if (e->has_err)
		frame_add(&f, e->err);
	if (desc_touch(cpu, &cs) || frame_push(cpu, &st, &f, 8))
		return 1;
	if (inner)
		seg_install_null(cpu, SS, cpl, cpl);
	cpu->r[RSP] = st.sp;
	cs_install(cpu, &cs, cpl, rip);
	int_flags(cpu, !(type & 1));
	return 0;
}

static int int_task_gate(struct cpu *cpu, const struct event *e, u64 gate)
{
	u32 old = cpu->rflags;
	int rc;

	/* The RF that a fault pushes goes to the old task's saved EFLAGS. */
	cpu->rflags = (cpu->rflags & ~FL_RF) | (e->flags & FL_RF);
	rc = task_switch_gate(cpu, gate >> 16, TASK_INT, e->has_err, e->err);
	if (rc == 1)
		cpu->rflags = old;
	return rc;
}

static int int_idt(struct cpu *cpu, const struct event *e)
{
	bool lma = cpu_lma(cpu);
	unsigned entry = lma ? 16 : 8, type;
	u64 gate, high = 0, at = cpu->idtr.base + e->vector * entry;
	u32 types =
	    lma ? 1u << ST_INT | 1u << ST_TRAP
		: 1u << ST_INT | 1u << ST_TRAP | 1u << ST_INT16 | 1u << ST_TRAP16 | 1u << ST_TASK;

	if (!lma)
		at = (u32)at;
	if (e->vector * entry + entry - 1 > cpu->idtr.limit)
		return cpu_fault(cpu, EXC_GP, e->idt_err, "vector is not within the IDT limit",
				 e->vector);
	if (mem_read64(cpu, at, &gate, ACC_SYS) || (lma && mem_read64(cpu, at + 8, &high, ACC_SYS)))
		return 1;
	cpu->trail.gate_raw = gate;
	cpu->trail.gate_high = high;
	cpu->trail.gate_lin = at;
	type = gate >> 40 & 31;
	if (!(types >> type & 1) || (lma && high >> 40 & 31))
		return cpu_fault(cpu, EXC_GP, e->idt_err,
				 "IDT entry is not an interrupt, trap or task gate", gate);
	if (is_soft(e->kind) && ar_dpl(desc_ar(gate)) < cpu->cpl)
		return cpu_fault(cpu, EXC_GP, e->idt_err, "software interrupt: gate DPL < CPL",
				 gate);
	if (!(desc_ar(gate) & AR_P))
		return cpu_fault(cpu, EXC_NP, e->idt_err, "IDT gate is not present", gate);
	if (type == ST_TASK)
		return int_task_gate(cpu, e, gate);
	return lma ? int_gate_long(cpu, e, gate, high) : int_gate_legacy(cpu, e, gate);
}

static void log_delivery(struct cpu *cpu, const struct event *e)
{
	const struct fault *f = &cpu->fault;
	bool exc = e->kind == INT_EXCEPTION;

	if (!log_on(cpu->log, LOG_INT))
		return;
	log_line(cpu->log, LOG_INT,
		 "v=%02x e=%04x %s cpl=%u cs:rip=%04x:%016llx ss:rsp=%04x:%016llx cr2=%016llx%s%s",
		 e->vector, e->has_err ? e->err : 0,
		 exc                  ? "exception"
		 : is_soft(e->kind)   ? "int"
		 : e->kind == INT_NMI ? "nmi"
				      : "irq",
		 cpu->cpl, cpu->seg[CS].sel, (unsigned long long)cpu->rip, cpu->seg[SS].sel,
		 (unsigned long long)cpu->r[RSP], (unsigned long long)cpu->cr2,
		 exc && f->why ? " " : "", exc && f->why ? f->why : "");
}

static void show_delivery(struct cpu *cpu, const struct event *e)
{
	if (e->kind == INT_EXCEPTION)
		watch_seen(cpu, &(struct seen){.kind = WATCH_EXCEPTION, .n = e->vector, .value = e->has_err ? e->err : 0});
	else
		watch_seen(cpu, &(struct seen){.kind = WATCH_INTERRUPT, .n = e->vector, .value = e->kind});
}

/* RF in the pushed image: set for faults so that the handler's IRET steps over an instruction
 * breakpoint. */
static u32 pushed_flags(struct cpu *cpu, unsigned vector, enum int_kind kind)
{
	u32 flags = cpu_rflags(cpu);

	if (kind == INT_EXCEPTION && (vector != EXC_DB || cpu->fault.dr6 & DR6_BD))
		return flags | FL_RF;
	return is_soft(kind) ? flags & ~FL_RF : flags;
}

/* What becomes IDT-vectoring information if the delivery ends in a VM exit (SDM Vol. 3C, 27.2.4). */
static void vectoring_begins(struct cpu *cpu, const struct event *e)
{
	static const u8 types[] = {[INT_EXTERNAL] = II_EXT_INT, [INT_NMI] = II_NMI,     [INT_EXCEPTION] = II_HW_EXC,
				   [INT_SOFT] = II_SW_INT,      [INT_SOFT3] = II_SW_EXC, [INT_ICEBP] = II_PRIV_EXC};
	bool soft = types[e->kind] >= II_SW_INT;

	vmx_vectoring(cpu, e->vector | (u32)types[e->kind] << II_TYPE_SHIFT | (e->has_err ? II_ERR : 0) | II_VALID,
		      e->err, soft ? (u32)(cpu->rip - cpu->insn_rip) & 15 : 0);
}

int int_transfer(struct cpu *cpu, unsigned vector, enum int_kind kind, bool has_err, u32 err)
{
	struct event e = {.vector = vector, .kind = kind, .has_err = has_err, .err = err};
	bool to_v86 = false;
	int rc;

	e.ext = !is_soft(kind);
	e.idt_err = vector * 8 + 2 + e.ext;
	e.flags = pushed_flags(cpu, vector, kind);
	log_delivery(cpu, &e);
	if (unlikely(watch_on(cpu, kind == INT_EXCEPTION ? WATCH_EXCEPTION : WATCH_INTERRUPT)))
		show_delivery(cpu, &e);
	cpu->trail.delivering = (u16)(vector | kind << 8 | 0x8000);
	if (vmx_nonroot(cpu))
		vectoring_begins(cpu, &e);
	if (!(cpu->cr0 & CR0_PE)) {
		rc = int_real(cpu, &e);
	} else {
		if (kind == INT_SOFT && cpu_v86(cpu)) {
			if (vme_redirection(cpu, vector, &to_v86))
				return 1;
			if (!to_v86 && cpu_iopl(cpu) < 3 && vmx_nonroot(cpu))
				vmx_vectoring(cpu, 0, 0, 0); /* INT n itself faults */
			if (!to_v86 && cpu_iopl(cpu) < 3)
				return cpu_fault(cpu, EXC_GP, 0,
						 "INT n in virtual-8086 mode with IOPL < 3",
						 vector);
		}
		rc = to_v86 ? int_v86_redirected(cpu, &e) : int_idt(cpu, &e);
	}
	if (rc != 1) {
		cpu->trail.delivering = 0;
		cpu->int_shadow = 0;
		if (vmx_nonroot(cpu))
			vmx_vectoring(cpu, 0, 0, 0);
		if (kind == INT_NMI)
			cpu->nmi_blocked |= 1;
	}
	return rc;
}

int int_deliver(struct cpu *cpu, unsigned vector, enum int_kind kind, bool has_err, u32 err)
{
	return int_transfer(cpu, vector, kind, has_err, err) != 0;
}

int transfer_result(struct cpu *cpu, int result)
{
	if (result != FAULT_IN_NEW_TASK)
		return result;
	exc_deliver(cpu);
	return 0;
}

/* ---- double and triple faults (SDM Vol. 3A, 6.15, table 6-5) ------------------------- */

enum fault_class { FC_BENIGN, FC_CONTRIBUTORY, FC_PAGE, FC_DOUBLE };

static enum fault_class fault_class(unsigned vector)
{
	switch (vector) {
	case EXC_DE:
	case EXC_TS:
	case EXC_NP:
	case EXC_SS:
	case EXC_GP:
	case EXC_CP: return FC_CONTRIBUTORY;
	case EXC_PF:
	case EXC_VE: return FC_PAGE;
	case EXC_DF: return FC_DOUBLE;
	default: return FC_BENIGN;
	}
}

static bool makes_double_fault(unsigned first, unsigned second)
{
	enum fault_class a = fault_class(first), b = fault_class(second);

	return (a == FC_CONTRIBUTORY && b == FC_CONTRIBUTORY) ||
	       (a == FC_PAGE && (b == FC_PAGE || b == FC_CONTRIBUTORY));
}

static void fault_effects(struct cpu *cpu, const struct fault *f)
{
	if (f->vector == EXC_PF)
		cpu->cr2 = f->addr;
	if (f->vector == EXC_DB) {
		if (f->dr6 & 15)
			cpu->dr[6] &= ~15ull;
		cpu->dr[6] |= f->dr6;
		cpu->dr[7] &= ~(u64)DR7_GD;
	}
}

static void triple_fault(struct cpu *cpu)
{
	if (vmx_nonroot(cpu)) {
		vmx_vectoring(cpu, 0, 0, 0); /* 27.2.4: not during event delivery */
		vmx_exit(cpu, VR_TRIPLE_FAULT, 0);
		return;
	}
	cpu->activity = CPU_SHUTDOWN;
	if (watch_on(cpu, WATCH_SHUTDOWN))
		watch_seen(cpu, &(struct seen){.kind = WATCH_SHUTDOWN});
	for (unsigned i = 0; i < ARRAY_SIZE(cpu->triple); i++) {
		const struct fault *f = &cpu->triple[i];

		if (f->why)
			log_line(cpu->log, LOG_INT,
				 "triple fault %u: vector %02x error %04x: %s (%llx)", i + 1,
				 f->vector, f->err, f->why, (unsigned long long)f->value);
	}
}

/* Non-root operation: does @f end in a VM exit? It is made then. A #VE may take the place of an EPT violation. */
static bool leaves_guest(struct cpu *cpu, struct fault *f)
{
	if (likely(!vmx_nonroot(cpu)))
		return false;
	cpu->fault = *f;
	if (f->vector == EXC_VMEXIT && (cpu->vm_fault.reason == VR_EPT_VIOLATION || cpu->vm_fault.reason == VR_EPT_MISCONFIG))
		fault_log_add(cpu, FR_EPT, 0);
	if (vmx_convert_ve(cpu))
		*f = cpu->fault;
	else if (f->vector != EXC_VMEXIT && !vmx_exception_exits(cpu, f))
		return false;
	else if (f->vector == EXC_DF)
		vmx_vectoring(cpu, 0, 0, 0); /* 27.2.4: not during event delivery */
	if (f->vector != EXC_VMEXIT && !vmx_exception_exits(cpu, f))
		return false;
	vmx_fault_exit(cpu);
	return true;
}

/* @injected: the first event is a VM entry's, which exits for nothing and leaves CR2 and DR6 alone. */
static void deliver_chain(struct cpu *cpu, struct fault f, enum int_kind kind, bool injected)
{
	const struct fault origin = f;
	struct fault_record *rec = NULL;
	unsigned step = 0;

	fault_log_begin(cpu);
	if (!injected && f.vector != EXC_VMEXIT)
		rec = fault_log_add(cpu, FR_EXCEPTION, step++);
	memset(cpu->triple, 0, sizeof(cpu->triple));
	cpu->triple[0] = f;
	for (unsigned tries = 0; tries < 8; tries++) {
		bool has_err = f.has_err && (injected || cpu->cr0 & CR0_PE);

		if (!injected && leaves_guest(cpu, &f)) {
			cpu->trail.delivering = 0;
			return;
		}
		cpu->fault = f;
		if (!injected) {
			cpu->stats_faults[f.vector & 31]++;
			fault_effects(cpu, &f);
		}
		if (!int_transfer(cpu, f.vector, kind, has_err, f.err))
			return;
		if (injected && kind >= INT_SOFT)
			cpu->rip = cpu->insn_rip;
		if (cpu->fault.vector != EXC_VMEXIT)
			rec = fault_log_add(cpu, FR_EXCEPTION, step++);
		if (f.vector == EXC_DF && kind == INT_EXCEPTION && cpu->fault.vector != EXC_VMEXIT) {
			cpu->triple[2] = cpu->fault;
			break;
		}
		if (kind == INT_EXCEPTION && makes_double_fault(f.vector, cpu->fault.vector)) {
			if (f.why != origin.why || f.vector != origin.vector)
				cpu->triple[3] = origin;
			cpu->triple[0] = f;
			cpu->triple[1] = cpu->fault;
			/* In non-root operation the second fault may exit, and comes before the double one (25.2). */
			if (vmx_nonroot(cpu) && vmx_exception_exits(cpu, &cpu->fault)) {
				f = cpu->fault;
				(void)leaves_guest(cpu, &f);
				return;
			}
			fault_effects(cpu, &cpu->fault);
			if (rec)
				rec->doubled = true;
			cpu_fault(cpu, EXC_DF, 0, "fault while delivering a fault", f.vector);
		}
		f = cpu->fault;
		kind = INT_EXCEPTION;
		injected = false;
	}
	if (rec)
		rec->shutdown = true;
	triple_fault(cpu);
}

void exc_deliver(struct cpu *cpu)
{
	struct fault f;

	if (cpu->fault.vector == EXC_VMEXIT) {
		fault_log_begin(cpu);
		f = cpu->fault;
		if (leaves_guest(cpu, &f)) {
			cpu->trail.delivering = 0;
			return;
		}
		cpu->fault = f; /* a virtualization exception in its place */
	}
	deliver_chain(cpu, cpu->fault, INT_EXCEPTION, false);
}

void exc_inject(struct cpu *cpu, unsigned vector, enum int_kind kind, bool has_err, u32 err, unsigned len)
{
	struct fault f = {.vector = (u8)vector, .has_err = has_err, .err = err, .why = "injected at VM entry"};

	cpu->insn_rip = cpu->rip;
	cpu->rip = cpu_long64(cpu) ? cpu->rip + len : (u32)(cpu->rip + len);
	/* What the frame holds of RF is the guest's own (26.6.1.1). */
	f.dr6 = 0;
	deliver_chain(cpu, f, kind, true);
}

/* ---- software interrupts ------------------------------------------------------------- */

SIMPLE(int)
{
	return transfer_result(cpu, int_transfer(cpu, in->imm & 0xff, INT_SOFT, false, 0));
}

/* Software exceptions exit as themselves, with their length (27.2.2). */
static int soft_exit(struct cpu *cpu, const struct insn *in, unsigned vector, enum ii_type type)
{
	struct fault f = {.vector = (u8)vector};

	if (!vmx_nonroot(cpu) || !vmx_exception_exits(cpu, &f))
		return 0;
	(void)vmx_exit_insn(cpu, in, VR_EXCEPTION, 0, 0);
	cpu->vm_fault.intr_info = vector | (u32)type << II_TYPE_SHIFT | II_VALID;
	return 1;
}

SIMPLE(int3)
{
	if (soft_exit(cpu, in, EXC_BP, II_SW_EXC))
		return 1;
	return transfer_result(cpu, int_transfer(cpu, EXC_BP, INT_SOFT3, false, 0));
}

SIMPLE(int1)
{
	/* Data breakpoints that MOV SS put off are part of this #DB. */
	u64 pending = cpu->dr6_pending;
	int rc;

	if (soft_exit(cpu, in, EXC_DB, II_PRIV_EXC))
		return 1;
	rc = int_transfer(cpu, EXC_DB, INT_ICEBP, false, 0);
	if (rc != 1) {
		if (pending & 15)
			cpu->dr[6] &= ~15ull;
		cpu->dr[6] |= pending;
		cpu->dr6_pending = 0;
	}
	return transfer_result(cpu, rc);
}

SIMPLE(into)
{
	if (!(cpu_rflags(cpu) & FL_OF))
		return 0;
	if (soft_exit(cpu, in, EXC_OF, II_SW_EXC))
		return 1;
	return transfer_result(cpu, int_transfer(cpu, EXC_OF, INT_SOFT3, false, 0));
}

SIMPLE(bound)
{
	unsigned size = in->op[0].size;
	u64 lin, lower = 0, upper = 0;
	s64 index, lo, hi;

	if (op_linear(cpu, in, size * 2, ACC_R, &lin) || mem_read(cpu, lin, &lower, size, ACC_R))
		return 1;
	index = sext(cpu->r[in->op[0].reg], size * 8);
	lo = sext(lower, size * 8);
	/* The upper bound is not looked at when the lower one is already violated. */
	if (index >= lo && mem_read(cpu, lin + size, &upper, size, ACC_R))
		return 1;
	hi = sext(upper, size * 8);
	if (index < lo || index > hi)
		return cpu_fault(cpu, EXC_BR, 0, "BOUND: index out of range", index);
	return 0;
}

/* ---- IRET ---------------------------------------------------------------------------- */

#define IRET_FLAGS (FL_ARITH | FL_TF | FL_DF | FL_NT | FL_RF | FL_AC | FL_ID)

static u32 by_size(u32 mask, unsigned size)
{
	return size == 2 ? mask & 0xffff : mask;
}

static int iret_real(struct cpu *cpu, unsigned size)
{
	bool v86 = cpu_v86(cpu);
	u32 mask = IRET_FLAGS | FL_IF | (v86 ? 0 : FL_IOPL);
	struct stack st;
	u64 v[3];

	stack_current(cpu, &st);
	if (frame_peek(cpu, &st, v, 3, size))
		return 1;
	if (v[0] > cpu->seg[CS].limit)
		return cpu_fault(cpu, EXC_GP, 0, "return IP is outside the CS limit", v[0]);
	if (v86 && cpu_iopl(cpu) < 3) {
		/* VME: the virtual interrupt flag stands for IF (SDM Vol. 2, IRET). */
		if (v[2] & FL_TF || (v[2] & FL_IF && cpu->rflags & FL_VIP))
			return cpu_fault(cpu, EXC_GP, 0,
					 "IRET under VME: TF = 1, or IF = 1 with VIP = 1", v[2]);
		mask = (mask & ~FL_IF) | FL_VIF;
		v[2] = v[2] & FL_IF ? v[2] | FL_VIF : v[2] & ~FL_VIF;
		mask = (mask & 0xffff) | FL_VIF;
	} else {
		mask = by_size(mask, size);
	}
	st.sp += 3 * size;
	stack_commit(cpu, &st);
	seg_install_real(cpu, CS, v[1], v86);
	cpu->rip = v[0];
	rflags_load(cpu, v[2], mask);
	return 0;
}

static int iret_v86(struct cpu *cpu, unsigned size)
{
	if (cpu_iopl(cpu) < 3 && (!(cpu->cr4 & CR4_VME) || size != 2))
		return cpu_fault(cpu, EXC_GP, 0, "IRET in virtual-8086 mode with IOPL < 3",
				 cpu->rflags);
	return iret_real(cpu, size);
}

/* Return from protected mode to virtual-8086 mode: nine doublewords. */
static int iret_to_v86(struct cpu *cpu, struct stack *st)
{
	static const u8 order[] = {SS, ES, DS, FS, GS};
	u64 v[9];

	if (frame_peek(cpu, st, v, 9, 4))
		return 1;
	if (v[0] > 0xffff)
		return cpu_fault(cpu, EXC_GP, 0, "return EIP is outside the CS limit", v[0]);
	cpu->cpl = 3;
	seg_install_real(cpu, CS, v[1], true);
	cpu->rip = v[0];
	cpu->r[RSP] = v[3];
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		seg_install_real(cpu, order[i], v[4 + i], true);
	rflags_load(cpu, v[2], ~0u);
	return 0;
}

static u32 iret_mask(const struct cpu *cpu, unsigned size)
{
	u32 mask = IRET_FLAGS;

	if (cpu->cpl <= cpu_iopl(cpu))
		mask |= FL_IF;
	if (cpu->cpl == 0)
		mask |= FL_IOPL | FL_VIF | FL_VIP;
	return by_size(mask, size);
}

/* SS of an IRET; a null one is legal when returning to 64-bit mode below privilege 3. */
static int iret_ss(struct cpu *cpu, u16 sel, unsigned cpl, bool to64, struct desc *ss, bool *null)
{
	*null = sel_null(sel) && to64 && cpl != 3;
	if (!*null)
		return ss_check(cpu, sel, cpl, EXC_GP, 0, ss);
	if ((sel & 3u) != cpl)
		return cpu_fault(cpu, EXC_GP, sel & ~3u, "RPL of the null SS selector is not CPL",
				 sel);
	return 0;
}

int return_cs(struct cpu *cpu, u16 sel, struct desc *d)
{
	u32 err = sel & ~3u, ar;
	unsigned rpl = sel & 3;

	if (sel_null(sel))
		return cpu_fault(cpu, EXC_GP, 0, "return code selector is null", sel);
	if (desc_read(cpu, sel, EXC_GP, 0, d))
		return 1;
	ar = desc_ar(d->raw);
	if (!ar_code(ar))
		return cpu_fault(cpu, EXC_GP, err, "return segment is not a code segment", d->raw);
	if (rpl < cpu->cpl)
		return cpu_fault(cpu, EXC_GP, err, "return code selector RPL < CPL", sel);
	if (ar_conforming(ar) ? ar_dpl(ar) > rpl : ar_dpl(ar) != rpl)
		return cpu_fault(cpu, EXC_GP, err, "return code segment DPL does not fit its RPL",
				 d->raw);
	if (cpu_lma(cpu) && (ar & (AR_L | AR_DB)) == (AR_L | AR_DB))
		return cpu_fault(cpu, EXC_GP, err, "return code segment has both L and D set",
				 d->raw);
	if (!(ar & AR_P))
		return cpu_fault(cpu, EXC_NP, err, "return code segment is not present", d->raw);
	return 0;
}

static int iret_protected(struct cpu *cpu, unsigned size)
{
	bool to64, pops_ss, outer, null_ss = false;
	struct desc cs, ss = {.raw = 0};
	u32 mask = iret_mask(cpu, size);
	unsigned cpl;
	struct stack st;
	u64 v[5];

	stack_current(cpu, &st);
	if (frame_peek(cpu, &st, v, 3, size))
		return 1;
	if (size == 4 && v[2] & FL_VM && cpu->cpl == 0 && !cpu_lma(cpu))
		return iret_to_v86(cpu, &st);
	if (return_cs(cpu, v[1], &cs))
		return 1;
	cpl = v[1] & 3;
	to64 = cpu_lma(cpu) && desc_ar(cs.raw) & AR_L;
	pops_ss = cpl > cpu->cpl || cpu_long64(cpu);
	if (pops_ss &&
	    (frame_peek(cpu, &st, v, 5, size) || iret_ss(cpu, v[4], cpl, to64, &ss, &null_ss)))
		return 1;
	if (rip_check(cpu, cs.raw, v[0]))
		return 1;
	if ((pops_ss && !null_ss && desc_touch(cpu, &ss)) || desc_touch(cpu, &cs))
		return 1;
	if (pops_ss) {
		if (null_ss)
			seg_install_null(cpu, SS, v[4], cpl);
		else
			seg_install(cpu, SS, v[4], ss.raw);
		if (to64 || null_ss || ss.raw >> 54 & 1)
			cpu->r[RSP] = v[3];
		else
			reg_write(cpu, RSP, 2, v[3]);
	} else {
		st.sp += 3 * size;
		stack_commit(cpu, &st);
	}
	outer = cpl != cpu->cpl;
	cs_install(cpu, &cs, cpl, v[0]);
	if (outer)
		segs_drop_inner(cpu);
	rflags_load(cpu, v[2], mask);
	return 0;
}

/* The back link of a nested task (EFLAGS.NT). */
static int iret_nested(struct cpu *cpu)
{
	struct desc d;
	unsigned type;
	u16 link;

	if (cpu_lma(cpu))
		return cpu_fault(cpu, EXC_GP, 0, "IRET with EFLAGS.NT = 1 in IA-32e mode",
				 cpu->rflags);
	if (mem_read16(cpu, (u32)seg_base(cpu, TR), &link, ACC_SYS))
		return 1;
	if (link & 4 || sel_null(link))
		return cpu_fault(cpu, EXC_TS, link & ~3u, "back link is null or not in the GDT",
				 link);
	if (desc_read(cpu, link, EXC_TS, 0, &d))
		return 1;
	type = desc_ar(d.raw) & (AR_S | AR_TYPE);
	if (type != ST_TSS_BUSY && type != ST_TSS16_BUSY)
		return cpu_fault(cpu, EXC_TS, link & ~3u, "back link is not a busy TSS", d.raw);
	if (!(desc_ar(d.raw) & AR_P))
		return cpu_fault(cpu, EXC_NP, link & ~3u, "TSS of the back link is not present",
				 d.raw);
	return transfer_result(cpu, task_switch(cpu, &d, TASK_IRET, false, 0));
}

SIMPLE(iret)
{
	int rc;

	if (!(cpu->cr0 & CR0_PE))
		rc = iret_real(cpu, in->opsize);
	else if (cpu_v86(cpu))
		rc = iret_v86(cpu, in->opsize);
	else if (cpu->rflags & FL_NT)
		rc = iret_nested(cpu);
	else
		rc = iret_protected(cpu, in->opsize);
	if (vmx_nonroot(cpu))
		vmx_iret(cpu, rc);
	else
		cpu->nmi_blocked = 0; /* even when the IRET faults: SDM Vol. 3A, 6.7.1 */
	return rc;
}
