/*
 * VM entry and VM exit: loading and saving of state, event injection (SDM Vol. 3C, chapters 26 and 27).
 *
 * Not modelled: entry to SMM and the dual-monitor treatment, machine checks during entry, performance counters, MSR lists
 * beyond what WRMSR can load. A failed MSR load or store at exit is a VMX abort, which is a shutdown.
 */
#include "base/log.h"
#include "cpu/exec/flags.h"
#include "cpu/exec/system.h"
#include "cpu/fault_log.h"
#include "cpu/vmx/vmx.h"
#include "cpu/watch.h"

#define MSR_LIST_MAX 512 /* IA32_VMX_MISC[27:25] = 0 */

/* ---- the MMU ------------------------------------------------------------------------------------ */

void vmx_set_mmu(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	struct mmu_vm vm = {.apic_page = ~0ull};

	if (vmx_nonroot(cpu)) {
		vm.nonroot = true;
		if (VMX_P2(VPID))
			vm.vpid = (u16)VF(VPID);
		if (VMX_P2(EPT)) {
			vm.eptp = VF(EPTP);
			vm.mbec = VMX_P2(MBEC);
			vm.spptp = VMX_P2(SPP) ? VF(SPPTP) | 1 : 0;
		}
		if (VMX_P2(APIC_ACCESS))
			vm.apic_page = VF(APIC_ACCESS_ADDR);
		if (VMX_P2(PML)) {
			vm.pml_index = &VF(PML_INDEX);
			vm.pml_addr = VF(PML_ADDR);
		}
	}
	mmu_vm_switch(cpu, &vm);
	if (cpu->vmx_mode != VMX_OFF && vmx->current != VMCS_NONE && !VMX_P2(VPID) && !vmx->off_in_smm)
		mmu_flush_vpid0(cpu); /* 28.3.3.1: entries and exits without VPIDs */
}

/* ---- MSR lists ---------------------------------------------------------------------------------- */

static bool loadable(u32 msr)
{
	return msr != 0xc0000100 && msr != 0xc0000101 && msr >> 8 != 8 && msr != 0x9b;
}

unsigned vmx_load_msrs(struct cpu *cpu, u64 addr, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		u64 entry[2];

		phys_read(cpu, addr + i * 16ull, entry, 16);
		if (i >= MSR_LIST_MAX || entry[0] >> 32 || !loadable((u32)entry[0]) || msr_write(cpu, (u32)entry[0], entry[1]))
			return i + 1;
	}
	return 0;
}

static bool store_msrs(struct cpu *cpu, u64 addr, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		u64 entry[2];

		phys_read(cpu, addr + i * 16ull, entry, 16);
		if (i >= MSR_LIST_MAX || entry[0] >> 32 || (u32)entry[0] >> 8 == 8 || msr_read(cpu, (u32)entry[0], &entry[1]))
			return false;
		phys_write(cpu, addr + i * 16ull + 8, &entry[1], 8);
	}
	return true;
}

/* 27.7: the indicator goes to the VMCS region, the processor to shutdown. */
static void vmx_abort(struct cpu *cpu, u32 indicator, const char *why)
{
	struct vmx *vmx = cpu->vmx;

	vmx->vmcs.abort = indicator;
	phys_write(cpu, vmx->current + 4, &indicator, 4);
	log_line(cpu->log, LOG_VMX, "VMX abort %u: %s", indicator, why);
	memset(cpu->triple, 0, sizeof(cpu->triple));
	(void)cpu_fault(cpu, EXC_MC, indicator, why, indicator);
	cpu->triple[0] = cpu->fault;
	fault_log_begin(cpu);
	fault_log_add(cpu, FR_ABORT, 0);
	cpu->activity = CPU_SHUTDOWN;
}

/* ---- guest state -------------------------------------------------------------------------------- */

static void load_segment(struct cpu *cpu, unsigned s)
{
	struct vmx *vmx = cpu->vmx;
	u32 ar = (u32)vmx->vmcs.v[VF_GUEST_ES_AR + s];

	cpu->seg[s] = (struct seg){.sel = (u16)vmx->vmcs.v[VF_GUEST_ES_SEL + s],
				   .ar = ar & 0x1f0ff,
				   .limit = (u32)vmx->vmcs.v[VF_GUEST_ES_LIMIT + s]};
	cpu->r[R_SEGBASE + s] = vmx->vmcs.v[VF_GUEST_ES_BASE + s];
}

/* Bits that changed. */
static u64 save_field(u64 *field, u64 v)
{
	u64 changed = *field ^ v;

	*field = v;
	return changed;
}

static u64 save_segment(struct cpu *cpu, unsigned s)
{
	u64 *v = cpu->vmx->vmcs.v;

	return save_field(&v[VF_GUEST_ES_SEL + s], cpu->seg[s].sel) | save_field(&v[VF_GUEST_ES_AR + s], cpu->seg[s].ar) |
	       save_field(&v[VF_GUEST_ES_LIMIT + s], cpu->seg[s].limit) |
	       save_field(&v[VF_GUEST_ES_BASE + s], cpu->r[R_SEGBASE + s]);
}

/* 26.3.2.1: bits that a load of CR0 leaves alone. */
#define CR0_KEPT (CR0_ET | CR0_CD | CR0_NW)

static void load_guest_registers(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	u64 efer;

	cpu->cr0 = (VF(GUEST_CR0) & ~(u64)CR0_KEPT) | (cpu->cr0 & CR0_KEPT);
	cpu->cr4 = VF(GUEST_CR4);
	cpu->cr3 = VF(GUEST_CR3);
	if (VMX_ENTRY(LOAD_DEBUG)) {
		cpu->dr[7] = (VF(GUEST_DR7) & 0xffff23ff) | DR7_FIXED;
		cpu->debugctl = VF(GUEST_DEBUGCTL);
	}
	cpu->sysenter_cs = VF(GUEST_SYSENTER_CS);
	cpu->sysenter_esp = VF(GUEST_SYSENTER_ESP);
	cpu->sysenter_eip = VF(GUEST_SYSENTER_EIP);
	efer = VMX_ENTRY(LOAD_EFER) ? VF(GUEST_EFER) : cpu->efer;
	if (!VMX_ENTRY(LOAD_EFER)) { /* 26.3.2.1 */
		if (VMX_ENTRY(IA32E))
			efer |= EFER_LMA | EFER_LME;
		else if (cpu->cr0 & CR0_PG)
			efer &= ~(u64)(EFER_LMA | EFER_LME);
		else
			efer &= ~(u64)EFER_LMA;
	}
	cpu->efer = efer;
	if (VMX_ENTRY(LOAD_PAT))
		cpu->pat = VF(GUEST_PAT);
	for (unsigned s = 0; s < NSEGS; s++)
		load_segment(cpu, s);
	cpu->gdtr = (struct dtr){VF(GUEST_GDTR_BASE), (u16)VF(GUEST_GDTR_LIMIT)};
	cpu->idtr = (struct dtr){VF(GUEST_IDTR_BASE), (u16)VF(GUEST_IDTR_LIMIT)};
	cpu->r[RSP] = VF(GUEST_RSP);
	cpu->rip = VF(GUEST_RIP);
	cpu_set_rflags(cpu, (u32)VF(GUEST_RFLAGS));
	cpu->cpl = VF(GUEST_RFLAGS) & FL_VM ? 3 : cpu->cr0 & CR0_PE ? (cpu->seg[SS].ar & AR_DPL) >> AR_DPL_SHIFT : 0;
}

static void load_pdptes(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (!(cpu->cr0 & CR0_PG) || !(cpu->cr4 & CR4_PAE) || cpu_lma(cpu))
		return;
	if (VMX_P2(EPT))
		memcpy(cpu->pdpte, &VF(GUEST_PDPTE0), sizeof(cpu->pdpte));
	else
		phys_read(cpu, cpu->cr3 & 0xffffffe0, cpu->pdpte, sizeof(cpu->pdpte));
}

static void load_interruptibility(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	u32 gi = (u32)VF(GUEST_INTERRUPTIBILITY);

	cpu->int_shadow = gi & GI_MOV_SS ? SHADOW_MOV_SS : gi & GI_STI ? SHADOW_STI : 0;
	cpu->nmi_blocked = (cpu->nmi_blocked & 2) | (gi & GI_NMI ? 1 : 0);
	cpu->vmx_shadow = cpu->int_shadow;
}

static void start_timer(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	vmx->preempt_deadline = ~0ull;
	if (VMX_PIN(PREEMPTION_TIMER))
		vmx->preempt_deadline = ((cpu_tsc(cpu) >> VMX_TIMER_SHIFT) + VF(PREEMPTION_TIMER)) << VMX_TIMER_SHIFT;
}

static void save_timer(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	u64 left, now = cpu_tsc(cpu);

	if (!VMX_EXIT(SAVE_PREEMPTION) || vmx->preempt_deadline == ~0ull)
		return;
	left = vmx->preempt_deadline > now ? (vmx->preempt_deadline >> VMX_TIMER_SHIFT) - (now >> VMX_TIMER_SHIFT) : 0;
	VF(PREEMPTION_TIMER) = (u32)left;
}

/* ---- injection (26.6) --------------------------------------------------------------------------- */

static void inject(struct cpu *cpu)
{
	static const u8 kinds[] = {[II_EXT_INT] = INT_EXTERNAL, [II_NMI] = INT_NMI, [II_HW_EXC] = INT_EXCEPTION,
				   [II_SW_INT] = INT_SOFT, [II_PRIV_EXC] = INT_ICEBP, [II_SW_EXC] = INT_SOFT3};
	struct vmx *vmx = cpu->vmx;
	u32 info = (u32)VF(ENTRY_INTR_INFO);
	unsigned type = (info & II_TYPE) >> II_TYPE_SHIFT;

	if (!(info & II_VALID))
		return;
	if (type == II_OTHER) {
		vmx->mtf_pending = true;
		return;
	}
	cpu->activity = CPU_ACTIVE;
	exc_inject(cpu, info & II_VECTOR, kinds[type], info & II_ERR, (u32)VF(ENTRY_EXC_ERR),
		   type >= II_SW_INT ? (unsigned)VF(ENTRY_INSN_LEN) : 0);
	if (vmx_nonroot(cpu) && VMX_P1(MTF))
		vmx->mtf_pending = true;
}

/* 26.7.3: what was pending when the guest was left, or was put there, is a trap before its first instruction. */
static void pending_debug(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	u64 pending = VF(GUEST_PENDING_DBG), dr6 = (pending & 15) | (pending & PD_BS ? DR6_BS : 0);
	u32 info = (u32)VF(ENTRY_INTR_INFO);
	unsigned type = (info & II_TYPE) >> II_TYPE_SHIFT;

	cpu->dr6_pending = 0;
	if (!(pending & (PD_BS | PD_ENABLED)) ||
	    ((info & II_VALID) && (type == II_EXT_INT || type == II_NMI || type == II_HW_EXC)))
		return;
	if (cpu->int_shadow == SHADOW_MOV_SS)
		cpu->dr6_pending = dr6; /* after the next instruction */
	else if (!(info & II_VALID)) {
		(void)debug_trap(cpu, dr6, "debug exceptions pending at VM entry");
		cpu->fault_pending = true;
	}
}

static u8 activity(u64 state)
{
	static const u8 of[] = {CPU_ACTIVE, CPU_HLT, CPU_SHUTDOWN, CPU_WAIT_SIPI};

	return of[state & 3];
}

/* ---- entry -------------------------------------------------------------------------------------- */

/* For who asks why: @failed_check says it, or (-1) @why. */
static void note_failure(struct cpu *cpu, enum fault_record_kind kind, const char *why, u64 value)
{
	cpu->fault = (struct fault){.why = why, .value = value};
	fault_log_begin(cpu);
	fault_log_add(cpu, kind, 0);
}

/* 26.8: exit information of a failure, then the host state; the guest's is left as it is in the VMCS. */
static void show_exit(struct cpu *cpu, u32 reason, u64 qual, u64 rip)
{
	if (unlikely(watch_on(cpu, WATCH_VMX)))
		watch_seen(cpu, &(struct seen){.kind = WATCH_VMX, .n = reason, .value = qual, .addr = rip});
}

static void entry_failure(struct cpu *cpu, enum vmx_reason reason, u64 qual)
{
	struct vmx *vmx = cpu->vmx;

	VF(EXIT_REASON) = reason | VR_ENTRY_FAILURE;
	VF(EXIT_QUAL) = qual;
	vmx->exits[reason]++;
	if (log_on(cpu->log, LOG_VMX))
		log_line(cpu->log, LOG_VMX, "%s, qualification %llu", vmx_reason_name(reason), (unsigned long long)qual);
	show_exit(cpu, (u32)VF(EXIT_REASON), qual, VF(GUEST_RIP));
	vmx_explain(cpu);
	vmx_leave_nonroot(cpu);
	vmx_load_host(cpu);
}

static u64 guest_failure_qual(int check)
{
	switch (vmx_check_rows[check].group) {
	case VCG_GUEST_PDPTE: return 2;
	case VCG_GUEST_NMI: return 3;
	case VCG_GUEST_LINK: return 4;
	}
	return 0;
}

static void enter_guest(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	unsigned bad;

	load_guest_registers(cpu);
	load_pdptes(cpu);
	cpu->vmx_mode = VMX_NONROOT;
	cpu->activity = CPU_ACTIVE;
	vmx->mtf_pending = false;
	vmx->trap_pending = VT_NONE;
	vmx->vec_info = 0;
	vmx->pause_first = 0;
	vmx_set_mmu(cpu);
	cpu_mode_changed(cpu);
	bad = vmx_load_msrs(cpu, VF(ENTRY_MSR_LOAD_ADDR), (u32)VF(ENTRY_MSR_LOAD_COUNT));
	if (VF(ENTRY_MSR_LOAD_COUNT))
		cpu_mode_changed(cpu);
	if (bad) {
		note_failure(cpu, FR_ENTRY_CHECK, "an entry of the VM-entry MSR-load area cannot be loaded", bad);
		entry_failure(cpu, VR_ENTRY_MSR_LOAD, bad);
		return;
	}
	load_interruptibility(cpu);
	cpu->activity = activity(VF(GUEST_ACTIVITY));
	start_timer(cpu);
	vmx->entries++;
	show_exit(cpu, WATCH_VM_ENTRY, 0, cpu->rip);
	vmx->vmcs.launched = 1;
	vapic_entry(cpu);
	pending_debug(cpu);
	inject(cpu);
	if (vmx_nonroot(cpu))
		vmx_arm_events(cpu);
}

unsigned vmx_enter(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	vmx->failed_check = vmx_check_entry(cpu, &vmx->failed_value);
	if (vmx->failed_check >= 0) {
		note_failure(cpu, FR_ENTRY_CHECK, vmx_check_rows[vmx->failed_check].desc, vmx->failed_value);
		vmx_explain(cpu);
		return vmx_check_rows[vmx->failed_check].group == VCG_CONTROL ? VE_ENTRY_CONTROLS : VE_ENTRY_HOST_STATE;
	}
	vmx->failed_check = vmx_check_guest(cpu, &vmx->failed_value);
	if (vmx->failed_check >= 0) {
		note_failure(cpu, FR_ENTRY_CHECK, vmx_check_rows[vmx->failed_check].desc, vmx->failed_value);
		entry_failure(cpu, VR_ENTRY_GUEST_STATE, guest_failure_qual(vmx->failed_check));
	} else {
		enter_guest(cpu);
	}
	return 0;
}

/* ---- exit --------------------------------------------------------------------------------------- */

static u32 interruptibility(const struct cpu *cpu, u8 shadow)
{
	return (shadow == SHADOW_MOV_SS ? GI_MOV_SS : shadow ? GI_STI : 0) | (cpu->nmi_blocked & 1 ? GI_NMI : 0);
}

static void save_guest(struct cpu *cpu, u8 shadow)
{
	struct vmx *vmx = cpu->vmx;
	u64 changed = 0;

	VF(GUEST_CR0) = cpu->cr0;
	VF(GUEST_CR3) = cpu->cr3;
	VF(GUEST_CR4) = cpu->cr4;
	VF(GUEST_SYSENTER_CS) = (u32)cpu->sysenter_cs;
	VF(GUEST_SYSENTER_ESP) = cpu->sysenter_esp;
	VF(GUEST_SYSENTER_EIP) = cpu->sysenter_eip;
	if (VMX_EXIT(SAVE_DEBUG)) {
		VF(GUEST_DR7) = cpu->dr[7];
		VF(GUEST_DEBUGCTL) = cpu->debugctl;
	}
	if (VMX_EXIT(SAVE_PAT))
		VF(GUEST_PAT) = cpu->pat;
	if (VMX_EXIT(SAVE_EFER))
		VF(GUEST_EFER) = cpu->efer;
	/* 27.2: "IA-32e mode guest" follows the guest's mode, for an unrestricted guest may change it. */
	if (VMX_P2(UNRESTRICTED) && VMX_ENTRY(IA32E) != cpu_lma(cpu)) {
		VF(ENTRY_CTLS) ^= BIT64(ENTRY_IA32E_BIT);
		vmx->known.controls = false;
	}
	for (unsigned s = 0; s < NSEGS; s++)
		changed |= save_segment(cpu, s);
	if (changed)
		vmx->known.segments = false;
	VF(GUEST_GDTR_BASE) = cpu->gdtr.base;
	VF(GUEST_GDTR_LIMIT) = cpu->gdtr.limit;
	VF(GUEST_IDTR_BASE) = cpu->idtr.base;
	VF(GUEST_IDTR_LIMIT) = cpu->idtr.limit;
	VF(GUEST_RSP) = cpu->r[RSP];
	VF(GUEST_RIP) = cpu->rip;
	VF(GUEST_RFLAGS) = cpu_rflags(cpu);
	VF(GUEST_INTERRUPTIBILITY) = interruptibility(cpu, shadow);
	VF(GUEST_ACTIVITY) = cpu->activity == CPU_HLT         ? GA_HLT
			     : cpu->activity == CPU_SHUTDOWN  ? GA_SHUTDOWN
			     : cpu->activity == CPU_WAIT_SIPI ? GA_WAIT_SIPI
							      : GA_ACTIVE;
	if (VMX_P2(EPT) && (cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE) && !cpu_lma(cpu))
		memcpy(&VF(GUEST_PDPTE0), cpu->pdpte, sizeof(cpu->pdpte));
}

/* 27.3.4: debug exceptions that a MOV SS put off, or that a trap-like exit came before. */
static u64 pending_at_exit(const struct cpu *cpu, u8 shadow)
{
	u64 v = cpu->dr6_pending & 15;

	if (v)
		v |= PD_ENABLED;
	if ((cpu->dr6_pending & DR6_BS) || (shadow == SHADOW_MOV_SS && (cpu->rflags & FL_TF)))
		v |= PD_BS;
	return v;
}

void vmx_leave_nonroot(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	cpu->vmx_mode = VMX_ROOT;
	vmx->preempt_deadline = ~0ull;
	vmx->mtf_pending = vmx->iret_unblocked = false;
	vmx->trap_pending = VT_NONE;
	vmx->vec_info = 0;
	cpu->vmx_shadow = 0;
	cpu->dr6_pending = 0;
	cpu->fault_pending = false;
	cpu->activity = CPU_ACTIVE;
	cpu_event_clear(cpu, CPU_EV_VMX);
	cpu->attn = 1;
}

static void host_segment(struct cpu *cpu, unsigned s, u64 sel, u64 base, u32 ar)
{
	cpu->seg[s] = (struct seg){.sel = (u16)sel, .limit = 0xffffffff, .ar = sel ? ar : ar | AR_UNUSABLE};
	cpu->r[R_SEGBASE + s] = base;
}

#define HOST_DATA (AR_P | AR_S | AR_TYPE_WR | AR_TYPE_ACCESSED | AR_DB | AR_G)

/* 27.5.2 */
static void load_host_segments(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	bool host64 = VMX_EXIT(HOST64);

	host_segment(cpu, CS, VF(HOST_CS_SEL), 0,
		     AR_P | AR_S | AR_TYPE_CODE | AR_TYPE_WR | AR_TYPE_ACCESSED | AR_G | (host64 ? AR_L : AR_DB));
	host_segment(cpu, SS, VF(HOST_SS_SEL), 0, HOST_DATA);
	host_segment(cpu, DS, VF(HOST_DS_SEL), 0, HOST_DATA);
	host_segment(cpu, ES, VF(HOST_ES_SEL), 0, HOST_DATA);
	host_segment(cpu, FS, VF(HOST_FS_SEL), VF(HOST_FS_BASE), HOST_DATA);
	host_segment(cpu, GS, VF(HOST_GS_SEL), VF(HOST_GS_BASE), HOST_DATA);
	host_segment(cpu, TR, VF(HOST_TR_SEL), VF(HOST_TR_BASE), AR_P | ST_TSS_BUSY);
	cpu->seg[TR].limit = 0x67;
	cpu->seg[LDTR] = (struct seg){.ar = AR_UNUSABLE};
	cpu->r[R_SEGBASE + LDTR] = 0;
	cpu->gdtr = (struct dtr){VF(HOST_GDTR_BASE), 0xffff};
	cpu->idtr = (struct dtr){VF(HOST_IDTR_BASE), 0xffff};
}

void vmx_load_host(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	bool host64 = VMX_EXIT(HOST64);

	cpu->cr0 = (VF(HOST_CR0) & ~(u64)CR0_KEPT) | (cpu->cr0 & CR0_KEPT);
	cpu->cr4 = VF(HOST_CR4) | (host64 ? CR4_PAE : 0);
	if (!host64)
		cpu->cr4 &= ~(u64)CR4_PCIDE;
	cpu->cr3 = VF(HOST_CR3);
	cpu->dr[7] = DR7_FIXED;
	cpu->debugctl = 0;
	cpu->sysenter_cs = VF(HOST_SYSENTER_CS);
	cpu->sysenter_esp = VF(HOST_SYSENTER_ESP);
	cpu->sysenter_eip = VF(HOST_SYSENTER_EIP);
	if (VMX_EXIT(LOAD_EFER))
		cpu->efer = VF(HOST_EFER);
	else
		cpu->efer = (cpu->efer & ~(u64)(EFER_LMA | EFER_LME)) | (host64 ? EFER_LMA | EFER_LME : 0);
	if (VMX_EXIT(LOAD_PAT))
		cpu->pat = VF(HOST_PAT);
	load_host_segments(cpu);
	cpu->r[RSP] = VF(HOST_RSP);
	cpu->rip = VF(HOST_RIP);
	cpu_set_rflags(cpu, FL_R1);
	cpu->cpl = 0;
	cpu->int_shadow = 0;
	if ((cpu->cr4 & CR4_PAE) && !cpu_lma(cpu)) {
		u64 reserved = 0x1e6 | ~(BIT64(MMU_PHYS_BITS) - 1);

		phys_read(cpu, cpu->cr3 & 0xffffffe0, cpu->pdpte, sizeof(cpu->pdpte));
		for (unsigned i = 0; i < 4; i++)
			if ((cpu->pdpte[i] & 1) && (cpu->pdpte[i] & reserved)) {
				vmx_abort(cpu, 2, "a host PDPTE is corrupted");
				return;
			}
	}
	vmx_set_mmu(cpu);
	cpu_mode_changed(cpu);
	if (!VF(EXIT_MSR_LOAD_COUNT))
		return;
	if (vmx_load_msrs(cpu, VF(EXIT_MSR_LOAD_ADDR), (u32)VF(EXIT_MSR_LOAD_COUNT)))
		vmx_abort(cpu, 4, "loading host MSRs failed");
	cpu_mode_changed(cpu);
}

static void log_exit(struct cpu *cpu, u32 reason, u64 qual)
{
	const struct vmx *vmx = cpu->vmx;

	if (log_on(cpu->log, LOG_VMX))
		log_line(cpu->log, LOG_VMX, "exit %u (%s) qual=%llx rip=%llx intr=%x vec=%x", reason, vmx_reason_name(reason),
			 (unsigned long long)qual, (unsigned long long)cpu->rip, (u32)VF(EXIT_INTR_INFO), (u32)VF(IDT_VEC_INFO));
}

/* The common part: exit information is in the VMCS but for reason and qualification; @shadow: blocking at cpu->rip. */
static void leave_guest(struct cpu *cpu, u32 reason, u64 qual, u8 shadow)
{
	struct vmx *vmx = cpu->vmx;
	bool nmi_exit = reason == VR_EXCEPTION && (VF(EXIT_INTR_INFO) & (II_TYPE | II_VALID)) == (II_NMI << II_TYPE_SHIFT | II_VALID);
	u8 blocked;

	VF(EXIT_REASON) = reason;
	VF(EXIT_QUAL) = qual;
	VF(IDT_VEC_INFO) = vmx->vec_info;
	VF(IDT_VEC_ERR) = vmx->vec_err;
	if (vmx->vec_info && !cpu->vm_fault.len)
		VF(EXIT_INSN_LEN) = vmx->vec_len;
	VF(ENTRY_INTR_INFO) &= ~(u64)II_VALID; /* 27.2 */
	log_exit(cpu, reason, qual);
	show_exit(cpu, reason, qual, cpu->rip);
	vmx->exits[reason]++;
	save_guest(cpu, shadow);
	VF(GUEST_PENDING_DBG) = pending_at_exit(cpu, shadow);
	save_timer(cpu);
	/* With virtual NMIs the blocking was the guest's own affair. */
	blocked = VMX_PIN(VNMI) ? 0 : cpu->nmi_blocked & 1;
	cpu->nmi_blocked = (cpu->nmi_blocked & 2) | blocked | (nmi_exit ? 1 : 0);
	vmx_leave_nonroot(cpu);
	if (!store_msrs(cpu, VF(EXIT_MSR_STORE_ADDR), (u32)VF(EXIT_MSR_STORE_COUNT))) {
		vmx_abort(cpu, 1, "storing guest MSRs failed");
		return;
	}
	vmx_load_host(cpu);
}

void vmx_exit(struct cpu *cpu, enum vmx_reason reason, u64 qual)
{
	struct vmx *vmx = cpu->vmx;

	if (reason != VR_EXT_INT && reason != VR_EXCEPTION)
		VF(EXIT_INTR_INFO) = 0;
	if (reason != VR_TASK_SWITCH && reason != VR_TRIPLE_FAULT)
		vmx->vec_info = 0;
	cpu->vm_fault.len = 0;
	leave_guest(cpu, reason, qual, cpu->int_shadow);
}

/* ---- exits that travel as faults ---------------------------------------------------------------- */

bool vmx_exception_exits(const struct cpu *cpu, const struct fault *f)
{
	const struct vmx *vmx = cpu->vmx;
	bool bit = VF(EXCEPTION_BITMAP) >> f->vector & 1;

	if (f->vector == EXC_PF && (f->err & VF(PF_MASK)) != VF(PF_MATCH))
		return !bit;
	return bit;
}

/* The blocking that the instruction which exits found. */
static u8 shadow_at_exit(const struct cpu *cpu)
{
	return cpu_icount(cpu) <= cpu->vmx_shadow_end ? cpu->vmx_shadow : 0;
}

/* Bits that DR6 would have got (27.2.1). */
static u64 exception_qual(const struct fault *f)
{
	if (f->vector == EXC_PF)
		return f->addr;
	return f->vector == EXC_DB ? f->dr6 & 0x600f : 0;
}

static u32 nmi_unblocked(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	bool blocking = vmx->iret_unblocked && !vmx->vec_info;

	vmx->iret_unblocked = false;
	return blocking;
}

static void exception_exit(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	const struct fault f = cpu->fault;
	u32 info = f.vector | II_HW_EXC << II_TYPE_SHIFT | (f.has_err ? II_ERR : 0) | II_VALID;

	if (f.vector != EXC_DF && nmi_unblocked(cpu))
		info |= II_NMI_UNBLOCK;
	VF(EXIT_INTR_INFO) = info;
	VF(EXIT_INTR_ERR) = f.has_err ? f.err : 0;
	cpu->vm_fault.len = 0;
	/* A #DB exit leaves DR6 and DR7.GD alone; BS and the rest are in the qualification. */
	leave_guest(cpu, VR_EXCEPTION, exception_qual(&f), shadow_at_exit(cpu));
}

/* Length of the instruction at cpu->rip; 0 if it cannot be had. The same few are asked for again and again. */
static u32 length_at(struct cpu *cpu)
{
	u64 lin = cpu_long64(cpu) ? cpu->rip : (u32)(cpu->rip + seg_base(cpu, CS));
	struct insn_length *known;
	struct insn in;
	u64 code[2] = {0};
	unsigned n;

	if (mmu_fetch(cpu, lin, (u8 *)code, &n))
		return 0;
	known = &cpu->vmx->known.lengths[(code[0] * 0x9e3779b97f4a7c15 >> 32) % ARRAY_SIZE(cpu->vmx->known.lengths)];
	if (n == 15 && known->code[0] == code[0] && known->code[1] == code[1] && known->mode == cpu->mode && known->len)
		return known->len;
	if (!insn_at(cpu, cpu->rip, &in))
		return 0;
	if (n == 15)
		*known = (struct insn_length){.code = {code[0], code[1]}, .mode = cpu->mode, .len = in.len};
	return in.len;
}

/*
 * 27.2.5 leaves the length undefined for EPT violations and APIC accesses; processors provide it, and hypervisors skip
 * instructions by it.
 */
static void memory_exit_length(struct cpu *cpu)
{
	struct vm_fault *v = &cpu->vm_fault;
	bool memory = v->reason == VR_EPT_VIOLATION || v->reason == VR_EPT_MISCONFIG || v->reason == VR_APIC_ACCESS;
	struct vm_fault saved;

	if (!memory || cpu->vmx->vec_info || (v->reason == VR_EPT_VIOLATION && v->qual & 4))
		return;
	saved = *v;
	saved.len = length_at(cpu);
	(void)vmx_exit_fault(cpu, saved.reason, 0);
	*v = saved;
}

void vmx_fault_exit(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	const struct vm_fault *v = &cpu->vm_fault;
	u64 qual = v->qual;

	if (cpu->fault.vector != EXC_VMEXIT) {
		exception_exit(cpu);
		return;
	}
	memory_exit_length(cpu);
	VF(EXIT_INTR_INFO) = v->reason == VR_EXCEPTION ? v->intr_info : 0;
	VF(EXIT_INTR_ERR) = v->intr_err;
	VF(EXIT_INSN_INFO) = v->insn_info;
	if (v->len)
		VF(EXIT_INSN_LEN) = v->len;
	if (v->reason == VR_EPT_VIOLATION || v->reason == VR_EPT_MISCONFIG || v->reason == VR_PML_FULL ||
	    v->reason == VR_SPP) {
		VF(GUEST_PHYS_ADDR) = v->gpa;
		if (nmi_unblocked(cpu))
			qual |= BIT64(12);
	}
	VF(GUEST_LINEAR_ADDR) = v->lin;
	leave_guest(cpu, v->reason, qual, shadow_at_exit(cpu));
}

/* 25.5.6.1, 25.5.6.2 */
bool vmx_convert_ve(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	const struct vm_fault v = cpu->vm_fault;
	u64 area = VF(VE_INFO_ADDR), info[4] = {v.reason | 0xffffffffull << 32, v.qual, v.lin, v.gpa};
	u16 index = (u16)VF(EPTP_INDEX);
	u32 busy;

	if (cpu->fault.vector != EXC_VMEXIT || v.reason != VR_EPT_VIOLATION || !VMX_P2(VE) || v.ve_suppressed ||
	    !(cpu->cr0 & CR0_PE) || vmx->vec_info)
		return false;
	phys_read(cpu, area + 4, &busy, 4);
	if (busy)
		return false;
	phys_write(cpu, area, info, sizeof(info));
	phys_write(cpu, area + 32, &index, 2);
	(void)cpu_fault(cpu, EXC_VE, 0, "EPT violation as a virtualization exception", v.gpa);
	return true;
}

int vmx_exit_fault(struct cpu *cpu, enum vmx_reason reason, u64 qual)
{
	cpu->vm_fault = (struct vm_fault){.reason = reason, .qual = qual};
	return cpu_fault(cpu, EXC_VMEXIT, 0, "VM exit", reason);
}

int vmx_exit_insn(struct cpu *cpu, const struct insn *in, enum vmx_reason reason, u64 qual, u32 info)
{
	(void)vmx_exit_fault(cpu, reason, qual);
	cpu->vm_fault.insn_info = info;
	cpu->vm_fault.len = in->len;
	return 1;
}

void vmx_vectoring(struct cpu *cpu, u32 info, u32 err, u32 len)
{
	struct vmx *vmx = cpu->vmx;

	if (!info)
		vmx->iret_unblocked = false;
	vmx->vec_info = info;
	vmx->vec_err = err;
	vmx->vec_len = len;
}

/* ---- SMM ---------------------------------------------------------------------------------------- */

void vmx_enter_smm(struct cpu *cpu)
{
	if (!cpu->vmx || cpu->vmx_mode == VMX_OFF)
		return;
	cpu->vmx->off_in_smm = cpu->vmx_mode;
	cpu->vmx_mode = VMX_OFF;
	cpu_event_clear(cpu, CPU_EV_VMX);
	vmx_set_mmu(cpu);
}

void vmx_leave_smm(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (!vmx || vmx->off_in_smm == VMX_OFF)
		return;
	cpu->vmx_mode = vmx->off_in_smm;
	vmx->off_in_smm = VMX_OFF;
	if (cpu->vmx_mode != VMX_OFF)
		cpu->cr4 |= CR4_VMXE;
	vmx_set_mmu(cpu);
	if (vmx_nonroot(cpu))
		vmx_arm_events(cpu);
}
