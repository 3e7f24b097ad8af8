/*
 * The tables of VMX as data, and the capability MSRs made from them (SDM Vol. 3D, appendices A, B, C).
 */
#include <errno.h>
#include <stdlib.h>

#include "cpu/exec/system.h"
#include "cpu/vmx/vmx.h"

/* ---- fields ------------------------------------------------------------------------------------- */

#define ALWAYS VG_COUNT, 0
#define PIN(c) VG_PIN, PIN_##c##_BIT
#define P1(c) VG_P1, P1_##c##_BIT
#define P2(c) VG_P2, P2_##c##_BIT
#define EXIT(c) VG_EXIT, EXIT_##c##_BIT
#define ENTRY(c) VG_ENTRY, ENTRY_##c##_BIT
#define FIELD(enc, name, present, desc) [VF_##name] = {enc, present, #name, desc},
const struct vmcs_field_row vmcs_field_rows[VF_COUNT] = {
#include "cpu/vmx/vmcs_fields.def"
};
#undef FIELD

/* From an encoding's width, type and index to the field + 1. */
#define KEY(enc) (((enc) >> 13 & 3) << 8 | ((enc) >> 10 & 3) << 6 | ((enc) >> 1 & 63))
static const u16 field_by_key[1024] = {
#define FIELD(enc, name, present, desc) [KEY(enc)] = VF_##name + 1,
#include "cpu/vmx/vmcs_fields.def"
#undef FIELD
};

static bool field_present(const struct vmx *vmx, const struct vmcs_field_row *r)
{
	return r->group == VG_COUNT || (vmx->caps.allowed1[r->group] >> r->control & 1);
}

int vmcs_field_find(const struct vmx *vmx, u64 enc)
{
	unsigned width = enc >> 13 & 3, field;

	if (enc & ~0x6fffull || (enc >> 1 & 0x1ff) > 63 || (enc & 1 && width != 1))
		return -1;
	field = field_by_key[KEY(enc)];
	return field && field_present(vmx, &vmcs_field_rows[field - 1]) ? (int)field - 1 : -1;
}

u64 vmcs_field_mask(unsigned field)
{
	static const u64 masks[] = {0xffff, ~0ull, 0xffffffff, ~0ull};

	return masks[vmcs_field_rows[field].encoding >> 13 & 3];
}

u64 vmcs_field_get(const struct vmcs *vmcs, unsigned field, u64 enc)
{
	return enc & 1 ? vmcs->v[field] >> 32 : vmcs->v[field];
}

void vmcs_field_set(struct vmcs *vmcs, unsigned field, u64 enc, u64 v)
{
	if (enc & 1)
		vmcs->v[field] = (u32)vmcs->v[field] | v << 32;
	else
		vmcs->v[field] = v & vmcs_field_mask(field);
}

/* ---- controls, reasons, errors ------------------------------------------------------------------ */

const struct vmx_control_row vmx_control_rows[] = {
#define DEFAULT1(group, mask, true_mask)
#define CONTROL(group, name, bit, feature, desc) {VG_##group, bit, FEAT_##feature, #name, desc},
#include "cpu/vmx/controls.def"
#undef CONTROL
#undef DEFAULT1
};
const unsigned vmx_control_count = ARRAY_SIZE(vmx_control_rows);

static const struct {
	u32 mask, true_mask;
} default1[VG_COUNT] = {
#define DEFAULT1(group, m, t) [VG_##group] = {m, t},
#define CONTROL(group, name, bit, feature, desc)
#include "cpu/vmx/controls.def"
#undef CONTROL
#undef DEFAULT1
};

const char *vmx_reason_name(unsigned reason)
{
	static const char *const names[VR_COUNT] = {
#define REASON(n, name, desc) [n] = desc,
#include "cpu/vmx/exit_reasons.def"
#undef REASON
	};
	return reason < VR_COUNT ? names[reason] : NULL;
}

const char *vmx_error_text(unsigned error)
{
	static const char *const texts[] = {
	    [VE_VMCALL_IN_ROOT] = "VMCALL executed in VMX root operation",
	    [VE_VMCLEAR_ADDRESS] = "VMCLEAR with invalid physical address",
	    [VE_VMCLEAR_VMXON_PTR] = "VMCLEAR with VMXON pointer",
	    [VE_LAUNCH_NOT_CLEAR] = "VMLAUNCH with non-clear VMCS",
	    [VE_RESUME_NOT_LAUNCHED] = "VMRESUME with non-launched VMCS",
	    [VE_RESUME_AFTER_VMXOFF] = "VMRESUME after VMXOFF",
	    [VE_ENTRY_CONTROLS] = "VM entry with invalid control field(s)",
	    [VE_ENTRY_HOST_STATE] = "VM entry with invalid host-state field(s)",
	    [VE_VMPTRLD_ADDRESS] = "VMPTRLD with invalid physical address",
	    [VE_VMPTRLD_VMXON_PTR] = "VMPTRLD with VMXON pointer",
	    [VE_VMPTRLD_REVISION] = "VMPTRLD with incorrect VMCS revision identifier",
	    [VE_UNSUPPORTED_FIELD] = "VMREAD/VMWRITE from/to unsupported VMCS component",
	    [VE_READ_ONLY_FIELD] = "VMWRITE to read-only VMCS component",
	    [VE_VMXON_IN_ROOT] = "VMXON executed in VMX root operation",
	    [VE_ENTRY_MOV_SS] = "VM entry with events blocked by MOV SS",
	    [VE_INVALIDATION_OPERAND] = "invalid operand to INVEPT/INVVPID",
	};
	return error < ARRAY_SIZE(texts) && texts[error] ? texts[error] : "no such VM-instruction error";
}

/* ---- capabilities ------------------------------------------------------------------------------- */

/* IA32_VMX_EPT_VPID_CAP (A.10): each half is 0 without its control. */
static u64 ept_vpid_caps(const struct cpu *cpu, const struct vmx_caps *c)
{
	u64 v = 0;

	if (c->allowed1[VG_P2] & BIT(P2_EPT_BIT)) {
		v |= BIT64(6) | BIT64(8) | BIT64(14) | BIT64(16) | BIT64(20) | BIT64(25) | BIT64(26);
		v |= (cpu_has(cpu, FEAT_EPT_X) ? BIT64(0) : 0) | (cpu_has(cpu, FEAT_EPT_1GB) ? BIT64(17) : 0);
		v |= (cpu_has(cpu, FEAT_EPT_AD) ? BIT64(21) : 0) | (cpu_has(cpu, FEAT_EPT_5L) ? BIT64(7) : 0);
	}
	if (c->allowed1[VG_P2] & BIT(P2_VPID_BIT))
		v |= BIT64(32) | 0xfull << 40; /* INVVPID, all four types */
	return v;
}

/* Secondary controls that make no sense without others, whatever -cpu says. */
static void drop_dependent(struct vmx_caps *c)
{
	u64 *p2 = &c->allowed1[VG_P2];

	if (!(c->allowed1[VG_P1] >> P1_SECONDARY_BIT & 1))
		*p2 = 0;
	if (!(*p2 >> P2_EPT_BIT & 1))
		*p2 &= ~(BIT64(P2_UNRESTRICTED_BIT) | BIT64(P2_PML_BIT) | BIT64(P2_VE_BIT) | BIT64(P2_MBEC_BIT) | BIT64(P2_SPP_BIT));
	if (!(c->allowed1[VG_P1] >> P1_TPR_SHADOW_BIT & 1))
		*p2 &= ~(BIT64(P2_X2APIC_BIT) | BIT64(P2_APIC_REG_BIT) | BIT64(P2_VID_BIT));
	if (!(*p2 >> P2_VID_BIT & 1))
		c->allowed1[VG_PIN] &= ~BIT64(PIN_POSTED_BIT);
}

static void make_caps(const struct cpu *cpu, struct vmx_caps *c)
{
	for (unsigned g = 0; g < VG_COUNT; g++) {
		c->allowed0[g] = c->allowed1[g] = default1[g].mask;
		c->true_allowed0[g] = default1[g].true_mask;
	}
	for (unsigned i = 0; i < vmx_control_count; i++)
		if (cpu_has(cpu, vmx_control_rows[i].feature))
			c->allowed1[vmx_control_rows[i].group] |= BIT64(vmx_control_rows[i].bit);
	if (!cpu_has(cpu, FEAT_EPT_AD))
		c->allowed1[VG_P2] &= ~BIT64(P2_PML_BIT);
	drop_dependent(c);
	c->cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG;
	c->cr4_fixed0 = CR4_VMXE;
	c->cr4_fixed1 = cr4_supported(cpu);
	/* A.6: activity HLT, shutdown, wait-for-SIPI; 4 CR3 targets; VMWRITE to any field; injection with instruction length 0. */
	c->misc = VMX_TIMER_SHIFT | BIT64(6) | BIT64(7) | BIT64(8) | 4 << 16 | BIT64(29) | BIT64(30);
	if (c->allowed1[VG_P2] >> P2_UNRESTRICTED_BIT & 1)
		c->misc |= BIT64(5);
	c->ept_vpid = ept_vpid_caps(cpu, c);
}

/* Highest index of any field encoding there is, in bits 9:1 (A.9). */
static u64 vmcs_enum(const struct vmx *vmx)
{
	u64 highest = 0;

	for (unsigned f = 0; f < VF_COUNT; f++)
		if (field_present(vmx, &vmcs_field_rows[f]))
			highest = MAX(highest, vmcs_field_rows[f].encoding & 0x3feu);
	return highest;
}

static u64 controls_msr(const struct vmx_caps *c, enum vmx_group g, bool precise)
{
	return (precise ? c->true_allowed0[g] : c->allowed0[g]) | c->allowed1[g] << 32;
}

int vmx_msr_read(struct cpu *cpu, u32 msr, u64 *value)
{
	struct vmx *vmx = cpu->vmx;
	const struct vmx_caps *c = &vmx->caps;

	switch (msr) {
	/* A.1: 4-KiB regions, write-back, INS/OUTS information, TRUE controls */
	case 0x480: *value = VMCS_REVISION | 0x1000ull << 32 | 6ull << 50 | BIT64(54) | BIT64(55); return 0;
	case 0x481: *value = controls_msr(c, VG_PIN, false); return 0;
	case 0x482: *value = controls_msr(c, VG_P1, false); return 0;
	case 0x483: *value = controls_msr(c, VG_EXIT, false); return 0;
	case 0x484: *value = controls_msr(c, VG_ENTRY, false); return 0;
	case 0x485: *value = c->misc; return 0;
	case 0x486: *value = c->cr0_fixed0; return 0;
	case 0x487: *value = 0xffffffff; return 0;
	case 0x488: *value = c->cr4_fixed0; return 0;
	case 0x489: *value = c->cr4_fixed1; return 0;
	case 0x48a: *value = vmcs_enum(vmx); return 0;
	case 0x48d: *value = controls_msr(c, VG_PIN, true); return 0;
	case 0x48e: *value = controls_msr(c, VG_P1, true); return 0;
	case 0x48f: *value = controls_msr(c, VG_EXIT, true); return 0;
	case 0x490: *value = controls_msr(c, VG_ENTRY, true); return 0;
	case 0x48b:
		if (!(c->allowed1[VG_P1] >> P1_SECONDARY_BIT & 1))
			break;
		*value = controls_msr(c, VG_P2, true);
		return 0;
	case 0x48c:
		if (!c->ept_vpid)
			break;
		*value = c->ept_vpid;
		return 0;
	case 0x491:
		if (!(c->allowed1[VG_P2] >> P2_VMFUNC_BIT & 1))
			break;
		*value = c->allowed1[VG_VMFN];
		return 0;
	}
	return cpu_fault(cpu, EXC_GP, 0, "VMX capability MSR of something this processor does not have", msr);
}

int vmx_init(struct cpu *cpu)
{
	if (!cpu_has(cpu, FEAT_VMX))
		return 0;
	cpu->vmx = calloc(1, sizeof(*cpu->vmx));
	if (!cpu->vmx)
		return -ENOMEM;
	make_caps(cpu, &cpu->vmx->caps);
	vmx_reset(cpu);
	return 0;
}

void vmx_free(struct cpu *cpu)
{
	free(cpu->vmx);
	cpu->vmx = NULL;
}

void vmx_reset(struct cpu *cpu)
{
	static const struct mmu_vm none = {.apic_page = ~0ull};
	struct vmx *vmx = cpu->vmx;

	cpu->vmx_mode = VMX_OFF;
	cpu->vmx_shadow = 0;
	if (!vmx)
		return;
	vmx->vmxon_ptr = vmx->current = VMCS_NONE;
	vmx->vec_info = 0;
	vmx->preempt_deadline = ~0ull;
	vmx->mtf_pending = vmx->iret_unblocked = false;
	vmx->trap_pending = VT_NONE;
	vmx->off_in_smm = VMX_OFF;
	vmx->failed_check = -1;
	mmu_vm_switch(cpu, &none);
}
