/*
 * The VMX instructions (SDM Vol. 3C, chapter 30) and management of the current VMCS.
 *
 * The current VMCS is held in struct vmx and written to its region when another is made current, by VMCLEAR and by
 * VMXOFF; software may not look at the region before (24.11.1). A shadow VMCS is read and written in its region.
 */
#include "base/log.h"
#include "cpu/exec/flags.h"
#include "cpu/exec/system.h"
#include "cpu/fault_log.h"
#include "cpu/vmx/vmx.h"

/* ---- the current VMCS --------------------------------------------------------------------------- */

void vmcs_store(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (vmx->current != VMCS_NONE)
		phys_write(cpu, vmx->current, &vmx->vmcs, sizeof(vmx->vmcs));
}

void vmcs_load(struct cpu *cpu, u64 ptr)
{
	struct vmx *vmx = cpu->vmx;

	vmx->current = ptr;
	vmx->known.controls = vmx->known.segments = false;
	if (ptr == VMCS_NONE)
		return;
	phys_read(cpu, ptr, &vmx->vmcs, sizeof(vmx->vmcs));
	for (unsigned f = 0; f < VF_COUNT; f++) /* whatever the region held before */
		vmx->vmcs.v[f] &= vmcs_field_mask(f);
}

/* ---- results ------------------------------------------------------------------------------------ */

static int flags_are(struct cpu *cpu, u32 flags)
{
	cpu->flag_kind = 0;
	cpu->rflags = (cpu->rflags & ~FL_ARITH) | flags;
	return 0;
}

static int succeed(struct cpu *cpu)
{
	return flags_are(cpu, 0);
}

/* For who asks why. The entry checks say more themselves (entry.c). */
static void note_failure(struct cpu *cpu, enum vmx_error error, const char *why)
{
	if (error == VE_ENTRY_CONTROLS || error == VE_ENTRY_HOST_STATE)
		return;
	cpu->fault = (struct fault){.vector = (u8)error, .why = why, .value = error};
	fault_log_begin(cpu);
	fault_log_add(cpu, FR_VMFAIL, 0);
}

static int fail_invalid(struct cpu *cpu, const char *why)
{
	if (why)
		note_failure(cpu, 0, why);
	return flags_are(cpu, FL_CF);
}

/* VMfail: VMfailValid with an error number if there is a current VMCS. */
static int fail(struct cpu *cpu, enum vmx_error error)
{
	struct vmx *vmx = cpu->vmx;

	log_line(cpu->log, LOG_VMX, "VMfail %u: %s, rip=%llx", error, vmx_error_text(error),
		 (unsigned long long)cpu->insn_rip);
	note_failure(cpu, error, vmx_error_text(error));
	if (vmx->current == VMCS_NONE)
		return fail_invalid(cpu, NULL);
	VF(INSTR_ERROR) = error;
	return flags_are(cpu, FL_ZF);
}

/* ---- what every VMX instruction checks first ---------------------------------------------------- */

static int mode_check(struct cpu *cpu)
{
	if (!(cpu->cr0 & CR0_PE) || cpu_v86(cpu) || (cpu_lma(cpu) && !cpu_long64(cpu)))
		return cpu_fault(cpu, EXC_UD, 0, "VMX instruction in real, virtual-8086 or compatibility mode", cpu->cr0);
	return 0;
}

/* Non-root operation never comes here: vmx_intercept() has made the exit. */
static int root_check(struct cpu *cpu)
{
	if (cpu->vmx_mode == VMX_OFF)
		return cpu_fault(cpu, EXC_UD, 0, "VMX instruction outside VMX operation", 0);
	if (mode_check(cpu))
		return 1;
	if (cpu->cpl)
		return cpu_fault(cpu, EXC_GP, 0, "VMX instruction with CPL > 0", cpu->cpl);
	return 0;
}

static int pointer_operand(struct cpu *cpu, const struct insn *in, u64 *ptr)
{
	u64 lin;

	return op_linear(cpu, in, 8, ACC_R, &lin) || mem_read64(cpu, lin, ptr, 0);
}

static bool pointer_ok(u64 ptr)
{
	return !(ptr & 0xfff) && !(ptr >> MMU_PHYS_BITS);
}

static u32 revision_at(struct cpu *cpu, u64 ptr)
{
	u32 v;

	phys_read(cpu, ptr, &v, 4);
	return v;
}

/* ---- VMXON, VMXOFF ------------------------------------------------------------------------------ */

static int vmxon_allowed(struct cpu *cpu)
{
	const char *why = vmx_cr0_denied(cpu, cpu->cr0);

	if (cpu->cpl)
		return cpu_fault(cpu, EXC_GP, 0, "VMXON with CPL > 0", cpu->cpl);
	if (!why && !((cpu->cr0 & cpu->vmx->caps.cr0_fixed0) == cpu->vmx->caps.cr0_fixed0))
		why = "VMXON: CR0 does not have PE, NE and PG set";
	if (why)
		return cpu_fault(cpu, EXC_GP, 0, why, cpu->cr0);
	if ((cpu->feature_control & 5) != 5)
		return cpu_fault(cpu, EXC_GP, 0, "VMXON: IA32_FEATURE_CONTROL is not locked with VMX enabled",
				 cpu->feature_control);
	if (cpu->a20_masked)
		return cpu_fault(cpu, EXC_GP, 0, "VMXON in A20M mode", 0);
	return 0;
}

SIMPLE(vmxon)
{
	struct vmx *vmx = cpu->vmx;
	u64 ptr;

	if (!vmx || !(cpu->cr4 & CR4_VMXE))
		return cpu_fault(cpu, EXC_UD, 0, "VMXON with CR4.VMXE = 0", cpu->cr4);
	if (mode_check(cpu))
		return 1;
	if (cpu->vmx_mode == VMX_ROOT) {
		if (cpu->cpl)
			return cpu_fault(cpu, EXC_GP, 0, "VMXON with CPL > 0", cpu->cpl);
		return fail(cpu, VE_VMXON_IN_ROOT);
	}
	if (vmxon_allowed(cpu) || pointer_operand(cpu, in, &ptr))
		return 1;
	if (!pointer_ok(ptr))
		return fail_invalid(cpu, "VMXON: the address of the region is not 4-KiB aligned or beyond the physical-address width");
	if (revision_at(cpu, ptr) != VMCS_REVISION)
		return fail_invalid(cpu, "VMXON: the region does not begin with the revision identifier of IA32_VMX_BASIC");
	vmx->vmxon_ptr = ptr;
	vmx->current = VMCS_NONE;
	cpu->vmx_mode = VMX_ROOT;
	return succeed(cpu);
}

SIMPLE(vmxoff)
{
	struct vmx *vmx = cpu->vmx;

	if (root_check(cpu))
		return 1;
	vmcs_store(cpu);
	vmx->current = vmx->vmxon_ptr = VMCS_NONE;
	cpu->vmx_mode = VMX_OFF;
	cpu->attn = 1; /* an INIT that root operation blocked */
	return succeed(cpu);
}

/* ---- VMCLEAR, VMPTRLD, VMPTRST ------------------------------------------------------------------ */

SIMPLE(vmclear)
{
	struct vmx *vmx = cpu->vmx;
	u32 clear = 0;
	u64 ptr;

	if (root_check(cpu) || pointer_operand(cpu, in, &ptr))
		return 1;
	if (!pointer_ok(ptr))
		return fail(cpu, VE_VMCLEAR_ADDRESS);
	if (ptr == vmx->vmxon_ptr)
		return fail(cpu, VE_VMCLEAR_VMXON_PTR);
	if (ptr == vmx->current) {
		vmcs_store(cpu);
		vmx->current = VMCS_NONE;
	}
	phys_write(cpu, ptr + offsetof(struct vmcs, launched), &clear, 4);
	return succeed(cpu);
}

SIMPLE(vmptrld)
{
	struct vmx *vmx = cpu->vmx;
	u64 ptr;
	u32 rev;

	if (root_check(cpu) || pointer_operand(cpu, in, &ptr))
		return 1;
	if (!pointer_ok(ptr))
		return fail(cpu, VE_VMPTRLD_ADDRESS);
	if (ptr == vmx->vmxon_ptr)
		return fail(cpu, VE_VMPTRLD_VMXON_PTR);
	rev = revision_at(cpu, ptr);
	if ((rev & ~VMCS_SHADOW_BIT) != VMCS_REVISION ||
	    ((rev & VMCS_SHADOW_BIT) && !(vmx->caps.allowed1[VG_P2] >> P2_SHADOW_BIT & 1)))
		return fail(cpu, VE_VMPTRLD_REVISION);
	if (ptr != vmx->current) {
		vmcs_store(cpu);
		vmcs_load(cpu, ptr);
	}
	return succeed(cpu);
}

SIMPLE(vmptrst)
{
	u64 lin;

	if (root_check(cpu) || op_linear(cpu, in, 8, ACC_W, &lin) || mem_write64(cpu, lin, cpu->vmx->current, 0))
		return 1;
	return succeed(cpu);
}

/* ---- VMREAD, VMWRITE ---------------------------------------------------------------------------- */

/* A field of the shadow VMCS, in its region (24.10). */
static u64 shadow_at(struct cpu *cpu, unsigned field)
{
	const struct vmx *vmx = cpu->vmx;

	return VF(LINK_PTR) + offsetof(struct vmcs, v) + field * 8ull;
}

static bool read_only(unsigned field)
{
	return (vmcs_field_rows[field].encoding >> 10 & 3) == 1;
}

/* The width of the operands: 64 bits in 64-bit mode, else 32. */
static unsigned width(const struct cpu *cpu)
{
	return cpu_long64(cpu) ? 8 : 4;
}

/* Which VMCS the instruction means: false with the result in the flags. */
static bool vmcs_there(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (vmx->current != VMCS_NONE && !(vmx_nonroot(cpu) && VF(LINK_PTR) == VMCS_NONE))
		return true;
	fail_invalid(cpu, "VMREAD or VMWRITE without a current VMCS");
	return false;
}

SIMPLE_ALL_FLAGS(vmread)
{
	struct vmx *vmx = cpu->vmx;
	u64 enc = reg_read(cpu, in->op[1].reg, width(cpu)), v;
	struct vmcs one;
	int field;

	if (!vmx_nonroot(cpu) && root_check(cpu))
		return 1;
	if (!vmcs_there(cpu))
		return 0;
	field = vmcs_field_find(vmx, enc);
	if (field < 0)
		return fail(cpu, VE_UNSUPPORTED_FIELD);
	if (vmx_nonroot(cpu)) {
		phys_read(cpu, shadow_at(cpu, field), &one.v[field], 8);
		one.v[field] &= vmcs_field_mask(field);
		v = vmcs_field_get(&one, field, enc);
	} else {
		v = vmcs_field_get(&vmx->vmcs, field, enc);
	}
	if (op_write(cpu, in, 0, zext_bytes(v, width(cpu))))
		return 1;
	return succeed(cpu);
}

SIMPLE_ALL_FLAGS(vmwrite)
{
	struct vmx *vmx = cpu->vmx;
	u64 enc = reg_read(cpu, in->op[0].reg, width(cpu)), v;
	struct vmcs one;
	int field;

	if ((!vmx_nonroot(cpu) && root_check(cpu)) || op_read(cpu, in, 1, &v))
		return 1;
	if (!vmcs_there(cpu))
		return 0;
	field = vmcs_field_find(vmx, enc);
	if (field < 0)
		return fail(cpu, VE_UNSUPPORTED_FIELD);
	if (read_only(field) && !(vmx->caps.misc & BIT64(29)))
		return fail(cpu, VE_READ_ONLY_FIELD);
	if (vmx_nonroot(cpu)) {
		phys_read(cpu, shadow_at(cpu, field), &one.v[field], 8);
		vmcs_field_set(&one, field, enc, v);
		phys_write(cpu, shadow_at(cpu, field), &one.v[field], 8);
	} else {
		vmcs_field_set(&vmx->vmcs, field, enc, v);
		vmx_forget_checks(vmx, (unsigned)field);
	}
	return succeed(cpu);
}

/* ---- VMLAUNCH, VMRESUME, VMCALL, VMFUNC --------------------------------------------------------- */

static int launch(struct cpu *cpu, bool resume)
{
	struct vmx *vmx = cpu->vmx;
	unsigned error;

	if (root_check(cpu))
		return 1;
	if (vmx->current == VMCS_NONE || (vmx->vmcs.revision & VMCS_SHADOW_BIT))
		return fail_invalid(cpu, "VMLAUNCH or VMRESUME without a current VMCS");
	/* MOV SS directly before: the run loop steps over the shadow in root operation, and remembers it here. */
	if (cpu->vmx_shadow == SHADOW_MOV_SS)
		return fail(cpu, VE_ENTRY_MOV_SS);
	if (!resume && vmx->vmcs.launched)
		return fail(cpu, VE_LAUNCH_NOT_CLEAR);
	if (resume && !vmx->vmcs.launched)
		return fail(cpu, VE_RESUME_NOT_LAUNCHED);
	error = vmx_enter(cpu);
	return error ? fail(cpu, error) : 0;
}

SIMPLE(vmlaunch)
{
	return launch(cpu, false);
}

SIMPLE(vmresume)
{
	return launch(cpu, true);
}

SIMPLE(vmcall)
{
	if (root_check(cpu))
		return 1;
	return fail(cpu, VE_VMCALL_IN_ROOT); /* no dual-monitor treatment */
}

/* 25.5.5.3: EPTP switching. */
static int eptp_switch(struct cpu *cpu, const struct insn *in)
{
	struct vmx *vmx = cpu->vmx;
	u32 index = (u32)cpu->r[RCX];
	u64 eptp, old = VF(EPTP), value;

	if (index >= 512)
		return vmx_exit_insn(cpu, in, VR_VMFUNC, 0, 0);
	phys_read(cpu, VF(EPTP_LIST) + index * 8ull, &eptp, 8);
	VF(EPTP) = eptp;
	vmx->known.controls = false;
	if (vmx_check_entry(cpu, &value) >= 0) {
		VF(EPTP) = old;
		return vmx_exit_insn(cpu, in, VR_VMFUNC, 0, 0);
	}
	if (VMX_P2(VE))
		VF(EPTP_INDEX) = index;
	vmx->known.controls = false; /* found for the processor's mode in the guest */
	vmx_set_mmu(cpu);
	mmu_select(cpu);
	return 0;
}

SIMPLE(vmfunc)
{
	struct vmx *vmx = cpu->vmx;
	u32 function = (u32)cpu->r[RAX];

	if (!vmx_nonroot(cpu) || !VMX_P2(VMFUNC))
		return cpu_fault(cpu, EXC_UD, 0, "VMFUNC outside non-root operation, or with VM functions disabled", 0);
	if (function > 63 || !(VF(VMFUNC_CTLS) >> function & 1))
		return vmx_exit_insn(cpu, in, VR_VMFUNC, 0, 0);
	return eptp_switch(cpu, in);
}

/* ---- INVEPT, INVVPID ---------------------------------------------------------------------------- */

static int invalidation_operand(struct cpu *cpu, const struct insn *in, u64 d[2])
{
	u64 lin;

	return root_check(cpu) || op_linear(cpu, in, 16, ACC_R, &lin) || mem_read(cpu, lin, d, 16, ACC_R);
}

static bool eptp_valid(const struct cpu *cpu, u64 eptp)
{
	unsigned type = eptp & 7, levels = eptp >> 3 & 7;

	return (type == 0 || type == 6) && (levels == 3 || (levels == 4 && cpu_has(cpu, FEAT_EPT_5L))) &&
	       (cpu_has(cpu, FEAT_EPT_AD) || !(eptp & 0x40)) && !(eptp & 0xf80) && !(eptp >> MMU_PHYS_BITS);
}

SIMPLE(invept)
{
	u64 type = reg_read(cpu, in->op[0].reg, width(cpu)), d[2];

	if (!cpu->vmx || !(cpu->vmx->caps.allowed1[VG_P2] >> P2_EPT_BIT & 1))
		return cpu_fault(cpu, EXC_UD, 0, "INVEPT without EPT", 0);
	if (invalidation_operand(cpu, in, d))
		return 1;
	if ((type != 1 && type != 2) || (type == 1 && !eptp_valid(cpu, d[0])))
		return fail(cpu, VE_INVALIDATION_OPERAND);
	mmu_invept(cpu, type == 2, d[0]);
	return succeed(cpu);
}

SIMPLE(invvpid)
{
	u64 type = reg_read(cpu, in->op[0].reg, width(cpu)), d[2];

	if (!cpu->vmx || !(cpu->vmx->caps.allowed1[VG_P2] >> P2_VPID_BIT & 1))
		return cpu_fault(cpu, EXC_UD, 0, "INVVPID without VPID", 0);
	if (invalidation_operand(cpu, in, d))
		return 1;
	if (type > 3 || d[0] >> 16 || (type != 2 && !d[0]) || (type == 0 && !canonical_base(cpu, d[1])))
		return fail(cpu, VE_INVALIDATION_OPERAND);
	mmu_invvpid(cpu, (enum mmu_inv)type, (u16)d[0], d[1]);
	return succeed(cpu);
}
