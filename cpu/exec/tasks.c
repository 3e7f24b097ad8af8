/*
 * The task-state segment: hardware task switches, inner stacks, the I/O permission bitmap (SDM Vol.
 * 3A, chapter 7; Vol. 1, 18.5.2). The debug trap flag (T) of the new TSS raises #DB.
 *
 * A switch reads and probes everything first; faults found before the commit belong to the old
 * task, faults while the new task's segments are loaded belong to the new one (SDM Vol. 3A, 7.3).
 */
#include "cpu/exec/flags.h"
#include "cpu/exec/system.h"
#include "cpu/exec/watch.h"
#include "cpu/vmx/vmx.h"

/* 32-bit TSS offsets; the 16-bit ones stand beside where used. */
enum {
	TSS_LINK = 0,
	TSS_CR3 = 28,
	TSS_EIP = 32,
	TSS_EFLAGS = 36,
	TSS_REGS = 40,
	TSS_SEGS = 72,
	TSS_LDT = 96,
	TSS_T = 100,
	TSS_SIZE = 104
};
enum {
	TSS16_IP = 14,
	TSS16_FLAGS = 16,
	TSS16_REGS = 18,
	TSS16_SEGS = 34,
	TSS16_LDT = 42,
	TSS16_SIZE = 44
};

static u64 tss_linear(const struct cpu *cpu, u32 off)
{
	u64 lin = seg_base(cpu, TR) + off;

	return cpu_lma(cpu) ? lin : (u32)lin;
}

static bool tr_is_32(const struct cpu *cpu)
{
	return cpu->seg[TR].ar & 8;
}

int tss_stack(struct cpu *cpu, unsigned cpl, unsigned ext, u16 *ss, u64 *sp)
{
	u32 err = (cpu->seg[TR].sel & ~3u) | ext, esp;
	u16 sp16;

	if (tr_is_32(cpu)) {
		if (cpl * 8 + 4 + 5 > cpu->seg[TR].limit)
			return cpu_fault(cpu, EXC_TS, err, "inner stack is outside the TSS limit",
					 cpl);
		if (mem_read32(cpu, tss_linear(cpu, cpl * 8 + 4), &esp, ACC_SYS) ||
		    mem_read16(cpu, tss_linear(cpu, cpl * 8 + 8), ss, ACC_SYS))
			return 1;
		*sp = esp;
		return 0;
	}
	if (cpl * 4 + 2 + 3 > cpu->seg[TR].limit)
		return cpu_fault(cpu, EXC_TS, err, "inner stack is outside the TSS limit", cpl);
	if (mem_read16(cpu, tss_linear(cpu, cpl * 4 + 2), &sp16, ACC_SYS) ||
	    mem_read16(cpu, tss_linear(cpu, cpl * 4 + 4), ss, ACC_SYS))
		return 1;
	*sp = sp16;
	return 0;
}

int tss_rsp(struct cpu *cpu, unsigned slot, unsigned ext, u64 *rsp)
{
	u32 off = 4 + slot * 8;

	if (off + 7 > cpu->seg[TR].limit)
		return cpu_fault(cpu, EXC_TS, (cpu->seg[TR].sel & ~3u) | ext,
				 "stack pointer is outside the TSS limit", slot);
	if (mem_read64(cpu, tss_linear(cpu, off), rsp, ACC_SYS))
		return 1;
	if (!canonical(cpu, *rsp))
		return cpu_fault(cpu, EXC_SS, ext, "stack pointer in the TSS is not canonical",
				 *rsp);
	return 0;
}

int io_permission(struct cpu *cpu, u16 port, unsigned size)
{
	u16 map, bits;

	if (!(cpu->cr0 & CR0_PE) || (!cpu_v86(cpu) && cpu->cpl <= cpu_iopl(cpu)))
		return 0;
	if (cpu->seg[TR].ar & AR_UNUSABLE || !tr_is_32(cpu) || cpu->seg[TR].limit < 103)
		return cpu_fault(cpu, EXC_GP, 0, "I/O with CPL > IOPL and no 32-bit TSS", port);
	if (mem_read16(cpu, tss_linear(cpu, 102), &map, ACC_SYS))
		return 1;
	cpu->trail.aux = map;
	if (map + port / 8 + 1u > cpu->seg[TR].limit)
		return cpu_fault(cpu, EXC_GP, 0, "port is outside the I/O permission bitmap", port);
	if (mem_read16(cpu, tss_linear(cpu, map + port / 8), &bits, ACC_SYS))
		return 1;
	cpu->trail.aux |= (u64)bits << 16;
	if (bits >> (port & 7) & (BIT(size) - 1))
		return cpu_fault(cpu, EXC_GP, 0, "I/O permission bitmap denies the port", port);
	return 0;
}

/* ---- task switch --------------------------------------------------------------------- */

/* Both formats, widened. */
struct task {
	u32 cr3, eip, eflags, r[8];
	u16 seg[6], ldt;
	bool is32, trap;
};

static const u8 tss_seg_order[] = {ES, CS, SS, DS, FS, GS};

static void task_decode(struct task *t, const u8 *p, bool is32)
{
	memset(t, 0, sizeof(*t));
	t->is32 = is32;
	if (is32) {
		memcpy(&t->cr3, p + TSS_CR3, 4);
		memcpy(&t->eip, p + TSS_EIP, 4);
		memcpy(&t->eflags, p + TSS_EFLAGS, 4);
		memcpy(t->r, p + TSS_REGS, sizeof(t->r));
		for (unsigned i = 0; i < 6; i++)
			memcpy(&t->seg[i], p + TSS_SEGS + 4 * i, 2);
		memcpy(&t->ldt, p + TSS_LDT, 2);
		t->trap = p[TSS_T] & 1;
		return;
	}
	memcpy(&t->eip, p + TSS16_IP, 2);
	memcpy(&t->eflags, p + TSS16_FLAGS, 2);
	for (unsigned i = 0; i < 8; i++) {
		memcpy(&t->r[i], p + TSS16_REGS + 2 * i, 2);
		t->r[i] |= 0xffff0000; /* as hardware leaves the upper halves */
	}
	for (unsigned i = 0; i < 4; i++)
		memcpy(&t->seg[i], p + TSS16_SEGS + 2 * i, 2);
	memcpy(&t->ldt, p + TSS16_LDT, 2);
}

/* Writes the dynamic fields of the running task to its TSS; probed before. */
static int task_save(struct cpu *cpu, u32 eflags)
{
	u64 base = seg_base(cpu, TR);
	u32 v[16];

	if (tr_is_32(cpu)) {
		v[0] = cpu->rip;
		v[1] = eflags;
		for (unsigned i = 0; i < 8; i++)
			v[2 + i] = cpu->r[i];
		for (unsigned i = 0; i < 6; i++)
			v[10 + i] = cpu->seg[tss_seg_order[i]].sel;
		return mem_write(cpu, (u32)(base + TSS_EIP), v, sizeof(v), ACC_SYS | ACC_W);
	}
	u16 w[14];
	w[0] = cpu->rip;
	w[1] = eflags;
	for (unsigned i = 0; i < 8; i++)
		w[2 + i] = cpu->r[i];
	for (unsigned i = 0; i < 4; i++)
		w[10 + i] = cpu->seg[tss_seg_order[i]].sel;
	return mem_write(cpu, (u32)(base + TSS16_IP), w, sizeof(w), ACC_SYS | ACC_W);
}

static int set_busy(struct cpu *cpu, u64 lin, bool busy)
{
	u8 b;

	if (mem_read8(cpu, lin, &b, ACC_SYS))
		return 1;
	return mem_write8(cpu, lin, busy ? b | 2 : b & ~2, ACC_SYS);
}

static int task_load_ldt(struct cpu *cpu, u16 sel)
{
	struct desc d;

	seg_install_null(cpu, LDTR, sel, 0);
	if (sel_null(sel))
		return 0;
	if (sel & 4)
		return cpu_fault(cpu, EXC_TS, sel & ~3u,
				 "new task's LDT selector is not in the GDT", sel);
	if (desc_read(cpu, sel, EXC_TS, 0, &d))
		return 1;
	if ((desc_ar(d.raw) & (AR_S | AR_TYPE)) != ST_LDT || !(desc_ar(d.raw) & AR_P))
		return cpu_fault(cpu, EXC_TS, sel & ~3u, "new task's LDT is invalid or not present",
				 d.raw);
	seg_install(cpu, LDTR, sel, d.raw);
	return 0;
}

static int task_load_cs(struct cpu *cpu, u16 sel)
{
	struct desc d;
	u32 ar, err = sel & ~3u;

	if (sel_null(sel))
		return cpu_fault(cpu, EXC_TS, err, "new task's CS is null", sel);
	if (desc_read(cpu, sel, EXC_TS, 0, &d))
		return 1;
	ar = desc_ar(d.raw);
	if (!ar_code(ar))
		return cpu_fault(cpu, EXC_TS, err, "new task's CS is not a code segment", d.raw);
	if (ar_conforming(ar) ? ar_dpl(ar) > (sel & 3u) : ar_dpl(ar) != (sel & 3u))
		return cpu_fault(cpu, EXC_TS, err, "new task's CS: DPL does not fit RPL", d.raw);
	if (!(ar & AR_P))
		return cpu_fault(cpu, EXC_NP, err, "new task's CS is not present", d.raw);
	if (desc_touch(cpu, &d))
		return 1;
	seg_install(cpu, CS, sel, d.raw);
	return 0;
}

static int task_load_data(struct cpu *cpu, unsigned seg, u16 sel)
{
	u32 err = sel & ~3u, ar;
	struct desc d;

	if (sel_null(sel))
		return 0;
	if (desc_read(cpu, sel, EXC_TS, 0, &d))
		return 1;
	ar = desc_ar(d.raw);
	if (!(ar & AR_S) || (ar_code(ar) && !(ar & AR_TYPE_WR)))
		return cpu_fault(cpu, EXC_TS, err, "new task's data segment is not readable",
				 d.raw);
	if (!ar_conforming(ar) && ((sel & 3u) > ar_dpl(ar) || cpu->cpl > ar_dpl(ar)))
		return cpu_fault(cpu, EXC_TS, err,
				 "new task's data segment: RPL and CPL are not both <= DPL", d.raw);
	if (!(ar & AR_P))
		return cpu_fault(cpu, EXC_NP, err, "new task's data segment is not present", d.raw);
	if (desc_touch(cpu, &d))
		return 1;
	seg_install(cpu, seg, sel, d.raw);
	return 0;
}

static int task_load_segments(struct cpu *cpu, const struct task *t)
{
	static const u8 data_segs[] = {DS, ES, FS, GS};
	struct desc ss;

	/* Until each is checked a segment holds its selector and nothing usable. */
	for (unsigned i = 0; i < 6; i++)
		seg_install_null(cpu, tss_seg_order[i], t->seg[i], 0);
	cpu->cpl = t->eflags & FL_VM ? 3 : t->seg[1] & 3;
	if (task_load_ldt(cpu, t->ldt))
		return 1;
	if (t->eflags & FL_VM) {
		for (unsigned i = 0; i < 6; i++)
			seg_install_real(cpu, tss_seg_order[i], t->seg[i], true);
		return 0;
	}
	if (task_load_cs(cpu, t->seg[1]))
		return 1;
	if (ss_check(cpu, t->seg[2], cpu->cpl, EXC_TS, 0, &ss) || desc_touch(cpu, &ss))
		return 1;
	seg_install(cpu, SS, t->seg[2], ss.raw);
	for (unsigned i = 0; i < ARRAY_SIZE(data_segs); i++) {
		unsigned seg = data_segs[i];

		if (task_load_data(cpu, seg, cpu->seg[seg].sel))
			return 1;
	}
	return 0;
}

static int task_push_error(struct cpu *cpu, bool is32, u32 err)
{
	struct frame f = {.n = 0};
	struct stack st;

	stack_current(cpu, &st);
	frame_add(&f, err);
	if (frame_push(cpu, &st, &f, is32 ? 4 : 2))
		return 1;
	stack_commit(cpu, &st);
	return 0;
}

/* The new task's context, after the commit point. */
static int task_enter(struct cpu *cpu, const struct task *t, bool has_err, u32 err)
{
	int rc;

	if (t->is32 && cpu->cr0 & CR0_PG && t->cr3 != (u32)cpu->cr3) {
		if (mmu_load_pdptes(cpu, t->cr3, cpu->cr0, cpu->cr4, cpu->efer))
			return FAULT_IN_NEW_TASK;
		mmu_set_cr3(cpu, t->cr3, false);
	}
	cpu->dr[7] &= ~0x155ull; /* local breakpoint enables */
	for (unsigned i = 0; i < 8; i++)
		cpu->r[i] = t->r[i];
	cpu->rip = t->eip;
	cpu_set_rflags(cpu, t->eflags & ~FL_VM);
	rc = task_load_segments(cpu, t);
	rflags_load(cpu, t->eflags, ~0u);
	if (rc)
		return FAULT_IN_NEW_TASK;
	if (cpu->rip > cpu->seg[CS].limit) {
		(void)cpu_fault(cpu, EXC_GP, 0, "new task's EIP is outside the CS limit", cpu->rip);
		return FAULT_IN_NEW_TASK;
	}
	if (has_err && task_push_error(cpu, t->is32, err))
		return FAULT_IN_NEW_TASK;
	if (t->trap) {
		debug_trap(cpu, DR6_BT, "debug trap flag of the new task's TSS");
		return FAULT_IN_NEW_TASK;
	}
	return 0;
}

static int task_exit(struct cpu *cpu, u16 sel, enum task_reason why)
{
	static const u8 source[] = {[TASK_CALL] = 0, [TASK_IRET] = 1, [TASK_JMP] = 2, [TASK_INT] = 3};

	(void)vmx_exit_fault(cpu, VR_TASK_SWITCH, sel | (u64)source[why] << 30);
	if (why != TASK_INT)
		cpu->vm_fault.len = (cpu->rip - cpu->insn_rip) & 15;
	return 1;
}

int task_switch(struct cpu *cpu, const struct desc *d, enum task_reason why, bool has_err, u32 err)
{
	unsigned ext = why == TASK_INT;
	bool is32 = desc_ar(d->raw) & 8, nested = why == TASK_CALL || why == TASK_INT;
	u32 size = is32 ? TSS_SIZE : TSS16_SIZE, base = desc_base(d->raw), eflags = cpu_rflags(cpu);
	u64 old_desc = (u32)(cpu->gdtr.base + (cpu->seg[TR].sel & ~7u) + 5);
	u8 image[TSS_SIZE];
	u16 old_tr = cpu->seg[TR].sel;
	struct task t;

	if (desc_limit(d->raw) < size - 1)
		return cpu_fault(cpu, EXC_TS, (d->sel & ~3u) | ext,
				 "limit of the new TSS is too small", d->raw);
	if (vmx_nonroot(cpu)) /* SDM Vol. 3C, 25.4.2: every task switch exits */
		return task_exit(cpu, d->sel, why);
	if (cpu->seg[TR].ar & AR_UNUSABLE)
		return cpu_fault(cpu, EXC_TS, (d->sel & ~3u) | ext,
				 "task switch without a current TSS", old_tr);
	if (mem_read(cpu, base, image, size, ACC_SYS | ACC_R) ||
	    (nested && mem_probe(cpu, base, 2, ACC_SYS | ACC_W)) ||
	    mem_probe(cpu, (u32)seg_base(cpu, TR), tr_is_32(cpu) ? TSS_SIZE : TSS16_SIZE,
		      ACC_SYS | ACC_W) ||
	    mem_probe(cpu, d->lin + 5, 1, ACC_SYS | ACC_RW) ||
	    mem_probe(cpu, old_desc, 1, ACC_SYS | ACC_RW))
		return 1;
	task_decode(&t, image, is32);
	if (watch_on(cpu, WATCH_TASK))
		watch_seen(cpu, &(struct seen){.kind = WATCH_TASK, .n = d->sel, .old = old_tr});
	if (task_save(cpu, why == TASK_IRET ? eflags & ~FL_NT : eflags))
		return 1;
	if (!nested && set_busy(cpu, old_desc, false))
		return 1;
	if (nested && mem_write16(cpu, base + TSS_LINK, old_tr, ACC_SYS))
		return 1;
	if (why != TASK_IRET && set_busy(cpu, d->lin + 5, true))
		return 1;
	if (nested)
		t.eflags |= FL_NT;
	seg_install(cpu, TR, d->sel, d->raw | 2ull << 40);
	cpu->cr0 |= CR0_TS;
	return task_enter(cpu, &t, has_err, err);
}

int task_switch_gate(struct cpu *cpu, u16 sel, enum task_reason why, bool has_err, u32 err)
{
	unsigned ext = why == TASK_INT, type;
	struct desc d;

	if (sel & 4 || sel_null(sel))
		return cpu_fault(cpu, EXC_GP, (sel & ~3u) | ext,
				 "task gate's selector is not in the GDT", sel);
	if (desc_read(cpu, sel, EXC_GP, ext, &d))
		return 1;
	type = desc_ar(d.raw) & (AR_S | AR_TYPE);
	if (type != ST_TSS && type != ST_TSS16)
		return cpu_fault(cpu, EXC_GP, (sel & ~3u) | ext, "task gate's TSS is not available",
				 d.raw);
	if (!(desc_ar(d.raw) & AR_P))
		return cpu_fault(cpu, EXC_NP, (sel & ~3u) | ext, "task gate's TSS is not present",
				 d.raw);
	return task_switch(cpu, &d, why, has_err, err);
}
