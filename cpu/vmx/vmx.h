/*
 * VMX operation of one logical processor: its VMCS, capabilities, and what cpu/exec asks of it (SDM Vol. 3C,
 * chapters 23-30).
 */
#ifndef ORRERY_CPU_VMX_VMX_H
#define ORRERY_CPU_VMX_VMX_H

#include "cpu/cpu.h"
#include "cpu/decoder/insn.h"
#include "cpu/mmu/mmu.h"

/* ---- tables ------------------------------------------------------------------------------------- */

enum vmcs_field {
#define FIELD(enc, name, present, desc) VF_##name,
#include "cpu/vmx/vmcs_fields.def"
#undef FIELD
	VF_COUNT
};

enum vmx_group { VG_PIN, VG_P1, VG_P2, VG_EXIT, VG_ENTRY, VG_VMFN, VG_COUNT };

/* Control bits: PIN_EXT_INT, P1_HLT, P2_EPT, EXIT_HOST64, ENTRY_IA32E... */
#define DEFAULT1(group, mask, true_mask)
#define CONTROL(group, name, bit, feature, desc) group##_##name##_BIT = bit,
enum vmx_control_bit {
#include "cpu/vmx/controls.def"
};
#undef CONTROL
#undef DEFAULT1

enum vmx_reason {
#define REASON(n, name, desc) VR_##name = n,
#include "cpu/vmx/exit_reasons.def"
#undef REASON
	VR_COUNT = 70
};
#define VR_ENTRY_FAILURE BIT(31)

/* VM-instruction error numbers (SDM Vol. 3C, 30.4). */
enum vmx_error {
	VE_VMCALL_IN_ROOT = 1,
	VE_VMCLEAR_ADDRESS = 2,
	VE_VMCLEAR_VMXON_PTR = 3,
	VE_LAUNCH_NOT_CLEAR = 4,
	VE_RESUME_NOT_LAUNCHED = 5,
	VE_RESUME_AFTER_VMXOFF = 6,
	VE_ENTRY_CONTROLS = 7,
	VE_ENTRY_HOST_STATE = 8,
	VE_VMPTRLD_ADDRESS = 9,
	VE_VMPTRLD_VMXON_PTR = 10,
	VE_VMPTRLD_REVISION = 11,
	VE_UNSUPPORTED_FIELD = 12,
	VE_READ_ONLY_FIELD = 13,
	VE_VMXON_IN_ROOT = 15,
	VE_ENTRY_MOV_SS = 26,
	VE_INVALIDATION_OPERAND = 28,
};

struct vmcs_field_row {
	u16 encoding;
	u8 group;        /* enum vmx_group of the control it depends on; VG_COUNT: always there */
	u8 control;      /* bit of that control */
	const char *name, *desc;
};
extern const struct vmcs_field_row vmcs_field_rows[VF_COUNT];

struct vmx_control_row {
	u8 group, bit;
	u16 feature;
	const char *name, *desc;
};
extern const struct vmx_control_row vmx_control_rows[];
extern const unsigned vmx_control_count;

/* Every check of VM entry: vmx_checks.def. */
enum vmx_check {
#define CHECK(id, group, field, cond, holds, section, desc) VC_##id,
#include "cpu/vmx/vmx_checks.def"
#undef CHECK
	VC_COUNT
};
enum vmx_check_group { VCG_CONTROL, VCG_HOST, VCG_GUEST, VCG_GUEST_PDPTE, VCG_GUEST_NMI, VCG_GUEST_LINK };
struct vmx_check_row {
	u8 group;  /* enum vmx_check_group: what its failure results in */
	u16 field; /* enum vmcs_field it is reported with */
	const char *name, *section, *desc;
};
extern const struct vmx_check_row vmx_check_rows[VC_COUNT];

const char *vmx_reason_name(unsigned reason); /* "EPT violation"; NULL for one that does not exist */
const char *vmx_error_text(unsigned error);   /* of a VM-instruction error */

/* ---- state -------------------------------------------------------------------------------------- */

#define VMCS_REVISION 0x4f525201u
#define VMCS_SHADOW_BIT BIT(31)
#define VMCS_NONE (~0ull)
/* IA32_VMX_MISC[4:0]: the preemption timer counts changes of this bit of the TSC. Of a timer with more than 2^32 / 10 ticks per
 * second KVM makes no use, and who asks whether it counted while a few instructions ran wants it fine. */
#define VMX_TIMER_SHIFT 2

/* A VMCS region as it lies in guest memory, and as the current one is held here. */
struct vmcs {
	u32 revision, abort;
	u32 launched, reserved;
	u64 v[VF_COUNT];
};
_Static_assert(sizeof(struct vmcs) <= 4096, "a VMCS region is one page");

struct vmx_caps {
	u64 allowed0[VG_COUNT], allowed1[VG_COUNT];           /* bits that must be 1; that may be 1 */
	u64 true_allowed0[VG_COUNT];
	u64 cr0_fixed0, cr4_fixed0, cr4_fixed1;
	u64 misc, ept_vpid;
};

/* What need not be found out again. Nothing of it is state: it may be forgotten at any time. */
struct vmx_known {
	bool controls;          /* the checks of controls and host state hold, while nothing that they see is written, */
	bool segments;          /* ... those of the guest's segment registers too, while those are what they were */
	u64 cr4, efer;          /* ... for these of the processor's */
	u64 guest_mode;         /* ... and such a guest */
	struct insn_length {
		u64 code[2];
		u32 mode, len;  /* cpu->mode; 0: empty */
	} lengths[32];          /* of instructions that exited for their memory operand */
};

struct vmx {
	u64 vmxon_ptr, current; /* VMCS_NONE: none */
	struct vmcs vmcs;       /* the current VMCS; in memory only after it was given up */
	struct vmx_caps caps;
	/* Event being delivered through the IDT: becomes IDT-vectoring information; 0: none. */
	u32 vec_info, vec_err, vec_len;
	u64 preempt_deadline;   /* in ticks of the processor's own TSC; ~0: off */
	u64 pause_first, pause_last; /* PAUSE-loop exiting: TSC of the loop's first and last PAUSE */
	bool mtf_pending, iret_unblocked;
	u8 trap_pending;        /* enum vmx_trap: exits due after the instruction */
	u32 trap_qual;
	u8 off_in_smm;          /* enum vmx_mode that SMM interrupted */
	/* For whoever looks: */
	u64 entries, exits[VR_COUNT];
	int failed_check;       /* enum vmx_check of the last failed entry, or -1 */
	u64 failed_value;
	struct vmx_known known;
};

/* VT_APIC_STORE: a store to the virtual-APIC page whose effects are still to be emulated. */
enum vmx_trap { VT_NONE, VT_APIC_STORE, VT_APIC_WRITE, VT_TPR_BELOW, VT_VIRTUAL_EOI };

#define VF(f) (vmx->vmcs.v[VF_##f])
/* Is a control in force? Secondary controls only with "activate secondary controls". */
#define VMX_PIN(c) (VF(PIN_CTLS) >> PIN_##c##_BIT & 1)
#define VMX_P1(c) (VF(PROC_CTLS) >> P1_##c##_BIT & 1)
#define VMX_P2(c) (VMX_P1(SECONDARY) && (VF(PROC_CTLS2) >> P2_##c##_BIT & 1))
#define VMX_EXIT(c) (VF(EXIT_CTLS) >> EXIT_##c##_BIT & 1)
#define VMX_ENTRY(c) (VF(ENTRY_CTLS) >> ENTRY_##c##_BIT & 1)

/* Interruption information (24.8.3, 24.9.2). */
#define II_VECTOR 0xffu
#define II_TYPE_SHIFT 8
#define II_TYPE 0x700u
#define II_ERR BIT(11)
#define II_NMI_UNBLOCK BIT(12)
#define II_VALID BIT(31)
enum ii_type { II_EXT_INT = 0, II_NMI = 2, II_HW_EXC = 3, II_SW_INT = 4, II_PRIV_EXC = 5, II_SW_EXC = 6, II_OTHER = 7 };

/* Guest interruptibility and activity (24.4.2). */
#define GI_STI 0x1u
#define GI_MOV_SS 0x2u
#define GI_SMI 0x4u
#define GI_NMI 0x8u
enum guest_activity { GA_ACTIVE, GA_HLT, GA_SHUTDOWN, GA_WAIT_SIPI };
#define PD_BS 0x4000u
#define PD_ENABLED 0x1000u /* a breakpoint that is enabled was met */

static inline bool vmx_nonroot(const struct cpu *cpu)
{
	return cpu->vmx_mode == VMX_NONROOT;
}

/* ---- what cpu/exec calls ------------------------------------------------------------------------ */

int vmx_init(struct cpu *cpu);  /* after cpu->feat is set; 0, or -ENOMEM. Nothing to do without VMX */
void vmx_free(struct cpu *cpu);
void vmx_reset(struct cpu *cpu); /* RESET */

/** Capability MSRs 480h-491h. 0, or 1 with #GP. */
MUST_CHECK int vmx_msr_read(struct cpu *cpu, u32 msr, u64 *value);

/**
 * Does @in exit, by the VMCS controls and its operands? 1 with the exit (or the exception that comes before it) in
 * cpu->fault; else 0. cpu->rip is the next instruction. For every row with a vmx column, in non-root operation.
 */
MUST_CHECK int vmx_intercept(struct cpu *cpu, const struct insn *in);
/** Records a VM exit of the running instruction as a fault. Returns 1. */
int vmx_exit_fault(struct cpu *cpu, enum vmx_reason reason, u64 qual);
/** The same for what ends an event's delivery or an instruction: its length is provided. */
int vmx_exit_insn(struct cpu *cpu, const struct insn *in, enum vmx_reason reason, u64 qual, u32 info);

/** Would exception @f exit by the exception bitmap (24.6.3)? Non-root operation only. */
bool vmx_exception_exits(const struct cpu *cpu, const struct fault *f);
/** VM exit for cpu->fault (EXC_VMEXIT: cpu->vm_fault; else an exception that exits), cpu->rip at the instruction. */
void vmx_fault_exit(struct cpu *cpu);
/** May the fault EXC_VMEXIT be a virtualization exception instead (25.5.6.1)? Then cpu->fault is the #VE. */
bool vmx_convert_ve(struct cpu *cpu);
/** A VM exit that no instruction causes: @reason with qualification @qual, cpu->rip where the guest goes on. */
void vmx_exit(struct cpu *cpu, enum vmx_reason reason, u64 qual);
/** An event begins (@info not 0) or ends to be delivered through the IDT. */
void vmx_vectoring(struct cpu *cpu, u32 info, u32 err, u32 len);

/**
 * Non-root operation: the events of SDM 25.2 and 6.9 in their order, at an instruction boundary. True if something was done
 * (an exit, an interrupt delivered).
 */
bool vmx_take_events(struct cpu *cpu);
/** Is an event waiting that @cpu would take now, in non-root operation (for REP, HLT)? */
bool vmx_event_due(const struct cpu *cpu);
/** The instruction count at which non-root operation must be looked at again: @end, or less. */
u64 vmx_slice_end(struct cpu *cpu, u64 end);
/** Virtual nanoseconds until the preemption timer expires; ~0: never. For a machine that skips idle time. */
u64 vmx_timer_ns(const struct cpu *cpu);
/** After one instruction with the monitor trap flag set. */
void vmx_stepped(struct cpu *cpu);
/** IRET, which ends blocking by NMI as the controls say; @faults: it did not complete. */
void vmx_iret(struct cpu *cpu, bool faults);
bool vmx_mtf(const struct cpu *cpu);
/** The exits that an instruction's virtualized APIC access made due. True: it exited. */
bool vmx_trap_exits(struct cpu *cpu);

/** CR0 and CR4 as software in the current mode sees them, and what it writes becomes, by guest/host masks. */
u64 vmx_cr0_seen(const struct cpu *cpu);
u64 vmx_cr4_seen(const struct cpu *cpu);
u64 vmx_cr0_written(const struct cpu *cpu, u64 v);
u64 vmx_cr4_written(const struct cpu *cpu, u64 v);
/** NULL, or why the value may not be loaded in VMX operation (23.8). */
const char *vmx_cr0_denied(const struct cpu *cpu, u64 v);
const char *vmx_cr4_denied(const struct cpu *cpu, u64 v);

/** The TSC as the guest sees it, from the processor's. */
u64 vmx_guest_tsc(const struct cpu *cpu, u64 tsc);

/** How many of the processor's TSC ticks @ticks of the guest's are: for its delays (25.3). Saturates. */
u64 vmx_host_ticks(const struct cpu *cpu, u64 ticks);

/** Non-root operation without "enable user wait and pause". */
bool vmx_user_wait_disabled(const struct cpu *cpu);

/** Non-root operation without "enable RDTSCP". */
bool vmx_rdtscp_disabled(const struct cpu *cpu);

/** CR8 with a TPR shadow. False: the local APIC has it. */
bool vmx_cr8_read(struct cpu *cpu, u64 *v);
bool vmx_cr8_write(struct cpu *cpu, u64 v);
/** x2APIC registers by MSR, where virtualized. 0: done; 1: fault or exit; -1: not virtualized. */
int vmx_x2apic_read(struct cpu *cpu, u32 msr, u64 *v);
int vmx_x2apic_write(struct cpu *cpu, u32 msr, u64 v);

/** SMI and RSM (31.14.1, default treatment). */
void vmx_enter_smm(struct cpu *cpu);
void vmx_leave_smm(struct cpu *cpu);

/* ---- for whoever looks -------------------------------------------------------------------------- */

/** Every check of VM entry on the current VMCS, not only the first that fails; conditions of the processor's mode included. */
void vmx_lint(struct cpu *cpu, bool failed[VC_COUNT]);
/** The current VMCS, a line a field: encoding, name, value, what the value says. @line gets each without newline. */
void vmx_describe(struct cpu *cpu, void (*line)(void *ctx, const char *text), void *ctx);
/** Entries, and exits by reason, most frequent first. */
void vmx_histogram(const struct cpu *cpu, void (*line)(void *ctx, const char *text), void *ctx);

/* ---- shared inside cpu/vmx ---------------------------------------------------------------------- */

/** -1, or the index of field encoding @enc (high half: bit 0 set allowed) that this processor has. */
int vmcs_field_find(const struct vmx *vmx, u64 enc);
/** A field's value for VMREAD and VMWRITE of @enc (its high half if bit 0 is set). */
u64 vmcs_field_get(const struct vmcs *vmcs, unsigned field, u64 enc);
void vmcs_field_set(struct vmcs *vmcs, unsigned field, u64 enc, u64 v);
u64 vmcs_field_mask(unsigned field);
/** Writes the current VMCS to its region; takes another (@ptr) as current. */
void vmcs_store(struct cpu *cpu);
void vmcs_load(struct cpu *cpu, u64 ptr);

/** The first check that fails, or -1; @value: the field's. Controls and host state; then guest state. */
int vmx_check_entry(struct cpu *cpu, u64 *value);
int vmx_check_guest(struct cpu *cpu, u64 *value);
/** @field of the current VMCS was written: what is known of checks that see it is known no more. */
void vmx_forget_checks(struct vmx *vmx, unsigned field);
/** VMLAUNCH, VMRESUME after the instruction's own checks. 0: in the guest, or an entry failure; else a VM-instruction error. */
unsigned vmx_enter(struct cpu *cpu);
/** Loads @count MSRs of the list at @addr; 0, or the number (from 1) of the entry that failed. */
unsigned vmx_load_msrs(struct cpu *cpu, u64 addr, u32 count);
/** Loads the host state of the VMCS, as every VM exit and entry failure does. */
void vmx_load_host(struct cpu *cpu);
void vmx_leave_nonroot(struct cpu *cpu);
/** Tells the MMU which translations are in force. */
void vmx_set_mmu(struct cpu *cpu);
/** Sets CPU_EV_VMX if something in the VMCS asks to be looked at. */
void vmx_arm_events(struct cpu *cpu);
/** Explains the last failed entry to the log. */
void vmx_explain(struct cpu *cpu);

/* apicv.c */
u32 vapic_read(struct cpu *cpu, unsigned off);
void vapic_write(struct cpu *cpu, unsigned off, u32 v);
/** Virtual-interrupt delivery: PPR; evaluation of pending virtual interrupts. */
void vapic_tpr_written(struct cpu *cpu);
bool vapic_interrupt_pending(struct cpu *cpu);
void vapic_deliver(struct cpu *cpu);
void vapic_entry(struct cpu *cpu);
/** The effects of a store at @off of the virtual-APIC page (29.4.3). */
void vapic_stored(struct cpu *cpu, unsigned off);
/** Posted-interrupt processing of notification (29.6). */
void vapic_posted(struct cpu *cpu);

#endif
