/*
 * See state.h. Not saved, for it is derived or the host's: the mode key, translations, decoded code, the configuration (model,
 * features), counters for whoever looks, and why the last exception came (static text).
 */
#include "cpu/exec/state.h"

#include <errno.h>
#include <stdio.h>

#include "cpu/exec/exec.h"
#include "cpu/exec/flags.h"
#include "cpu/exec/x87.h"
#include "cpu/vmx/vmx.h"

/* clang-format off */
#define SEG_FIELDS(V, S, H, P) V(sel) P(2) V(ar) V(limit)
SNAPSHOT(seg_snapshot, "segment", 1, struct seg, SEG_FIELDS);

#define DTR_FIELDS(V, S, H, P) V(base) V(limit) P(6)
SNAPSHOT(dtr_snapshot, "descriptor-table", 1, struct dtr, DTR_FIELDS);

#define X87_REG_FIELDS(V, S, H, P) V(mant) V(se) H(pad)
SNAPSHOT(x87_reg_snapshot, "x87-register", 1, struct x87_reg, X87_REG_FIELDS);

#define X87_FIELDS(V, S, H, P) \
	S(r, x87_reg_snapshot) V(cw) V(sw) V(valid) H(st0) V(fop) V(fcs) V(fds) H(c1) H(empty) H(refuse) H(refuse_store) \
	P(4) V(fip) V(fdp) P(8)
SNAPSHOT(x87_snapshot, "x87", 1, struct x87, X87_FIELDS);

#define VEC_FIELDS(V, S, H, P) V(b)
SNAPSHOT(vec_snapshot, "vector", 1, union vec, VEC_FIELDS);

#define FAULT_FIELDS(V, S, H, P) \
	V(vector) V(has_err) P(2) V(err) V(addr) V(dr6) H(why) V(value)
SNAPSHOT(fault_snapshot, "fault", 1, struct fault, FAULT_FIELDS);

#define VM_FAULT_FIELDS(V, S, H, P) \
	V(reason) V(intr_info) V(intr_err) V(insn_info) V(len) V(ve_suppressed) P(6) V(qual) V(lin) V(gpa)
SNAPSHOT(vm_fault_snapshot, "vm-exit", 1, struct vm_fault, VM_FAULT_FIELDS);

#define CPU_FIELDS(V, S, H, P) \
	V(r) V(fa) V(fb) V(flag_kind) V(rflags) V(cd) V(icount_end) H(tlb) P(CPU_PAD_SLOW) H(slow) \
	H(attn) V(fault_pending) P(3) H(jump_cache) H(jump_key) H(link_from) H(returns) H(return_top) \
	V(rip) H(insn_rip) H(mode) V(cpl) V(int_shadow) V(nmi_blocked) V(activity) V(events) \
	V(sipi_vector) V(smm) V(a20_masked) P(1) \
	S(seg, seg_snapshot) S(gdtr, dtr_snapshot) S(idtr, dtr_snapshot) \
	V(cr0) V(cr2) V(cr3) V(cr4) V(xcr0) V(dr) V(pdpte) V(pkru) V(mxcsr) P(CPU_PAD_X87) S(x87, x87_snapshot) \
	P(CPU_PAD_V) S(v, vec_snapshot) V(k) \
	V(efer) V(star) V(lstar) V(cstar) V(sfmask) V(kernel_gs_base) V(tsc_aux) \
	V(sysenter_cs) V(sysenter_esp) V(sysenter_eip) V(pat) V(mtrr_def_type) V(mtrr_fixed) V(mtrr_var) \
	V(tsc_offset) V(tsc_adjust) V(misc_enable) V(feature_control) V(debugctl) V(spec_ctrl) V(xss) V(u_cet) V(s_cet) \
	V(pl_ssp) V(int_ssp_table) V(umwait_control) \
	V(smbase) V(mcg_status) V(mcg_ctl) V(perf_global_ctrl) V(platform_info) V(bios_sign_id) V(msr_misc) \
	S(fault, fault_snapshot) H(triple) H(stats_faults) H(trail) H(fault_log) H(model) H(feat) P(CPU_PAD_BUS) H(bus) \
	H(mmu) H(blocks) H(log) H(dirty) \
	H(index) H(cpu_count) H(bsp) P(CPU_PAD_PEER) H(peer) H(others_wait) V(paused) V(monitor_armed) V(monitor_user) \
	V(wait_limited) P(3) V(monitor_gpa) V(wait_until) V(rng) \
	V(vmx_mode) V(vmx_shadow) P(6) H(vmx) H(watchers) H(seen_cpl) H(block_insns) P(6) S(vm_fault, vm_fault_snapshot) \
	H(run_end) H(vmx_shadow_end) V(dr6_pending) P(CPU_PAD_END)
/* clang-format on */

/* What the compiler puts between two members. */
#define GAP(from, to)                                                                                                  \
	(offsetof(struct cpu, to) - offsetof(struct cpu, from) - sizeof(((struct cpu *)0)->from))
#define CPU_PAD_SLOW GAP(tlb, slow)
#define CPU_PAD_X87  GAP(mxcsr, x87)
#define CPU_PAD_V    GAP(x87, v)
#define CPU_PAD_BUS  GAP(feat, bus)
#define CPU_PAD_PEER GAP(bsp, peer)
#define CPU_PAD_END  (sizeof(struct cpu) - offsetof(struct cpu, dr6_pending) - 8)

SNAPSHOT(cpu_snapshot, "cpu", 1, struct cpu, CPU_FIELDS);

/* clang-format off */
#define VMCS_FIELDS(V, S, H, P) V(revision) V(abort) V(launched) V(reserved) V(v)
SNAPSHOT(vmcs_snapshot, "vmcs", 1, struct vmcs, VMCS_FIELDS);

#define VMX_FIELDS(V, S, H, P) \
	V(vmxon_ptr) V(current) S(vmcs, vmcs_snapshot) H(caps) V(vec_info) V(vec_err) V(vec_len) P(4) V(preempt_deadline) \
	V(pause_first) V(pause_last) V(mtf_pending) V(iret_unblocked) V(trap_pending) P(1) V(trap_qual) V(off_in_smm) \
	P(7) H(entries) H(exits) H(failed_check) P(4) H(failed_value) H(known)
/* clang-format on */
SNAPSHOT(vmx_snapshot, "vmx", 1, struct vmx, VMX_FIELDS);

void cpu_state_copy(const struct cpu *cpu, struct cpu *copy)
{
	memcpy(copy, cpu, sizeof(*copy));
	cpu_rflags(copy);
	x87_for_snapshot(&copy->x87);
	copy->fa = copy->fb = 0;
	copy->icount_end = cpu_icount(cpu);
	copy->cd = 0;
	for (unsigned i = R_ZERO; i < R_SEGBASE; i++)
		copy->r[i] = 0; /* scratch, and constants */
	if (!copy->fault_pending) {
		memset(&copy->fault, 0, sizeof(copy->fault));
		memset(&copy->vm_fault, 0, sizeof(copy->vm_fault));
	}
	copy->events &= ~CPU_EV_STOP; /* the machine's to itself */
	if (!copy->monitor_armed)
		copy->monitor_user = false;
	if (!copy->monitor_armed && copy->activity != CPU_MWAIT && copy->activity != CPU_UMWAIT)
		copy->monitor_gpa = 0;
	if (copy->activity != CPU_TPAUSE && copy->activity != CPU_UMWAIT)
		copy->wait_until = copy->wait_limited = 0;
}

static void section_id(const struct cpu *cpu, const char *part, char id[32])
{
	snprintf(id, 32, "cpu%u%s", cpu->index, part);
}

void cpu_state_save(const struct cpu *cpu, struct snap_buf *b)
{
	struct cpu copy;
	char id[32];
	cpu_state_copy(cpu, &copy);
	section_id(cpu, "", id);
	snapshot_save(b, &cpu_snapshot, id, &copy);
	section_id(cpu, ".vmx", id);
	if (cpu->vmx)
		snapshot_save(b, &vmx_snapshot, id, cpu->vmx);
}

u64 cpu_state_hash(const struct cpu *cpu, u64 seed)
{
	struct cpu copy;
	cpu_state_copy(cpu, &copy);
	seed = snapshot_hash(seed, &cpu_snapshot, &copy);
	return cpu->vmx ? snapshot_hash(seed, &vmx_snapshot, cpu->vmx) : seed;
}

/* What no processor can be: such a file was not made by one. */
static bool plausible(const struct cpu *c)
{
	const struct vmx *v = c->vmx;
	if (c->cpl > 3 || c->activity > CPU_UMWAIT || c->int_shadow > 2 || c->nmi_blocked > 1 || c->flag_kind != FK_EXACT)
		return false;
	if (c->vmx_mode > VMX_NONROOT || (c->vmx_mode != VMX_OFF && !v) ||
	    (c->fault_pending && c->fault.vector > EXC_VMEXIT))
		return false;
	return !v || ((c->vmx_mode != VMX_NONROOT || v->current != VMCS_NONE) && v->trap_pending <= VT_VIRTUAL_EOI &&
		      v->off_in_smm <= VMX_NONROOT);
}

static void derive(struct cpu *cpu)
{
	memset(&cpu->r[R_ZERO], 0, (R_SEGBASE - R_ZERO) * sizeof(cpu->r[0]));
	cpu->r[R_4GIB] = BIT64(32);
	x87_from_snapshot(&cpu->x87);
	cpu->fault.why = NULL;
	memset(cpu->triple, 0, sizeof(cpu->triple));
	cpu->attn = 1;
	cpu->others_wait = false;
	cpu->seen_cpl = cpu->cpl;
	cpu->link_from = NULL;
	cpu->insn_rip = cpu->rip;
	if (cpu->vmx)
		memset(&cpu->vmx->known, 0, sizeof(cpu->vmx->known));
	/* The translations in force, by the VMCS, as an entry sets them; then the mode. */
	if (cpu->vmx && cpu->vmx_mode != VMX_OFF)
		vmx_set_mmu(cpu);
	else
		mmu_vm_switch(cpu, &(struct mmu_vm){.apic_page = ~0ull});
	mmu_forget(cpu);
	cpu_mode_changed(cpu);
}

static int implausible(const struct cpu *cpu, struct snap_reader *r)
{
	snprintf(r->error, sizeof(r->error), "snapshot: section 'cpu%u' describes no processor", cpu->index);
	return -EINVAL;
}

int cpu_state_check(const struct cpu *cpu, struct snap_reader *r)
{
	struct cpu copy = {0};
	struct vmx vmx = {0};
	char id[32];
	section_id(cpu, "", id);
	int e = snapshot_load(r, &cpu_snapshot, id, &copy);
	section_id(cpu, ".vmx", id);
	if (!e && cpu->vmx)
		e = snapshot_load(r, &vmx_snapshot, id, copy.vmx = &vmx);
	return e ? e : plausible(&copy) ? 0 : implausible(cpu, r);
}

int cpu_state_load(struct cpu *cpu, struct snap_reader *r)
{
	char id[32];
	section_id(cpu, "", id);
	cpu_blocks_flush(cpu);
	int e = snapshot_load(r, &cpu_snapshot, id, cpu);
	section_id(cpu, ".vmx", id);
	if (!e && cpu->vmx)
		e = snapshot_load(r, &vmx_snapshot, id, cpu->vmx);
	if (!e && !plausible(cpu))
		e = implausible(cpu, r);
	if (!e)
		derive(cpu);
	return e;
}

void cpu_state_forget(struct cpu *cpu)
{
	struct cpu *p = cpu;
	cpu_blocks_flush(cpu);
	do {
		mmu_forget(p);
		p = p->peer;
	} while (p != cpu);
}
