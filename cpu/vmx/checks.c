/*
 * The checks of VM entry (SDM Vol. 3C, 26.2, 26.3.1): the rows of vmx_checks.def and their vocabulary.
 */
#include "base/log.h"
#include "cpu/exec/system.h"
#include "cpu/vmx/vmx.h"

#define CHECK(id, grp, fld, cond, holds, sec, text)                                               \
	[VC_##id] = {.group = VCG_##grp, .field = VF_##fld, .name = #id, .section = sec, .desc = text},
const struct vmx_check_row vmx_check_rows[VC_COUNT] = {
#include "cpu/vmx/vmx_checks.def"
};
#undef CHECK

/* ---- vocabulary --------------------------------------------------------------------------------- */

static bool addr_ok(u64 addr, u64 low_bits)
{
	return !(addr & low_bits) && !(addr >> MMU_PHYS_BITS);
}

static bool page_ok(u64 addr)
{
	return addr_ok(addr, 0xfff);
}

static bool list_ok(u64 addr, u64 count)
{
	return addr_ok(addr, 15) && !((addr + count * 16 - 1) >> MMU_PHYS_BITS);
}

static bool controls_fit(const struct vmx *vmx, enum vmx_group g, u64 v)
{
	return !(~v & vmx->caps.true_allowed0[g]) && !(v & ~vmx->caps.allowed1[g]);
}

static bool eptp_type_ok(u64 eptp)
{
	return (eptp & 7) == 0 || (eptp & 7) == 6;
}

static bool eptp_levels(const struct cpu *cpu, u64 eptp)
{
	unsigned levels = eptp >> 3 & 7;

	return levels == 3 || (levels == 4 && cpu_has(cpu, FEAT_EPT_5L));
}

static bool inject_vector_ok(u32 info)
{
	unsigned vector = info & II_VECTOR;

	switch ((info & II_TYPE) >> II_TYPE_SHIFT) {
	case II_NMI: return vector == 2;
	case II_HW_EXC: return vector <= 31;
	case II_OTHER: return vector == 0;
	}
	return true;
}

#define WITH_ERROR                                                                                \
	(BIT(EXC_DF) | BIT(EXC_TS) | BIT(EXC_NP) | BIT(EXC_SS) | BIT(EXC_GP) | BIT(EXC_PF) | BIT(EXC_AC))

static bool inject_wants_error(const struct vmx *vmx)
{
	u32 info = (u32)VF(ENTRY_INTR_INFO);

	if (VMX_P2(UNRESTRICTED) && !(VF(GUEST_CR0) & CR0_PE))
		return false;
	return (info & II_TYPE) >> II_TYPE_SHIFT == II_HW_EXC && (info & II_VECTOR) < 32 &&
	       (WITH_ERROR >> (info & 31) & 1);
}

static bool cr4_fixed_ok(const struct vmx *vmx, u64 cr4)
{
	return !(~cr4 & vmx->caps.cr4_fixed0) && !(cr4 & ~vmx->caps.cr4_fixed1);
}

static bool guest_cr0_ok(const struct vmx *vmx)
{
	u64 fixed0 = vmx->caps.cr0_fixed0;

	if (VMX_P2(UNRESTRICTED))
		fixed0 &= ~(u64)(CR0_PE | CR0_PG);
	return !(~VF(GUEST_CR0) & fixed0) && !(VF(GUEST_CR0) >> 32);
}

static bool pat_ok(u64 pat)
{
	for (unsigned i = 0; i < 64; i += 8)
		if ((pat >> i & 0xff) > 7 || !(0xf3 >> (pat >> i & 7) & 1))
			return false;
	return true;
}

static bool efer_ok(const struct cpu *cpu, u64 efer)
{
	u64 allowed = EFER_SCE | (cpu_has(cpu, FEAT_LM) ? EFER_LME | EFER_LMA : 0) |
		      (cpu_has(cpu, FEAT_NX) ? EFER_NXE : 0);

	return !(efer & ~allowed);
}

static bool cs_type_ok(unsigned type, bool ug)
{
	return (type & 9) == 9 || (ug && type == 3);
}

/* A limit with any of bits 11:0 clear needs G = 0; with any of bits 31:20 set, G = 1. */
static bool granularity_ok(u64 limit, u64 ar)
{
	if ((limit & 0xfff) != 0xfff && (ar & AR_G))
		return false;
	return !(limit >> 20) || (ar & AR_G);
}

/* Which events wake which state: 26.3.1.5. */
static bool activity_takes(u64 activity, u32 info)
{
	unsigned type = (info & II_TYPE) >> II_TYPE_SHIFT, vector = info & II_VECTOR;
	bool db = vector == EXC_DB && type == II_HW_EXC, mc = vector == EXC_MC && type == II_HW_EXC;

	switch (activity) {
	case GA_HLT: return type == II_EXT_INT || type == II_NMI || db || mc || type == II_OTHER;
	case GA_SHUTDOWN: return type == II_NMI || mc;
	case GA_WAIT_SIPI: return false;
	}
	return true;
}

static u32 link_word(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	u32 v = 0;

	phys_read(cpu, VF(LINK_PTR) & ((BIT64(MMU_PHYS_BITS) - 1) & ~0xfffull), &v, 4);
	return v;
}

static bool pdptes_ok(struct cpu *cpu)
{
	u64 reserved = 0x1e6 | ~(BIT64(MMU_PHYS_BITS) - 1), pdpte[4];
	struct vmx *vmx = cpu->vmx;

	if (VMX_P2(EPT))
		memcpy(pdpte, &VF(GUEST_PDPTE0), sizeof(pdpte));
	else
		phys_read(cpu, VF(GUEST_CR3) & 0xffffffe0, pdpte, sizeof(pdpte));
	for (unsigned i = 0; i < 4; i++)
		if ((pdpte[i] & 1) && (pdpte[i] & reserved))
			return false;
	return true;
}

/* ---- the checks --------------------------------------------------------------------------------- */

#define controls_ok(g, v) controls_fit(vmx, g, v)
#define eptp_levels_ok(v) eptp_levels(cpu, v)
#define usable(s) (!(VF(GUEST_##s##_AR) & AR_UNUSABLE))
#define type_of(s) ((unsigned)VF(GUEST_##s##_AR) & AR_TYPE)
#define dpl_of(s) ((unsigned)VF(GUEST_##s##_AR) >> AR_DPL_SHIFT & 3)

/* All of them, for the lint: what fails is noted, and the next one tried. */
static void check_all(struct cpu *cpu, bool failed[VC_COUNT])
{
	struct vmx *vmx = cpu->vmx;
	u32 inj_info = (u32)VF(ENTRY_INTR_INFO), gi = (u32)VF(GUEST_INTERRUPTIBILITY);
	unsigned inj_type = (inj_info & II_TYPE) >> II_TYPE_SHIFT;
	bool inj = inj_info & II_VALID, v86 = VF(GUEST_RFLAGS) & FL_VM, ug = VMX_P2(UNRESTRICTED);
	u8 vtpr = 0;

	if (VMX_P1(TPR_SHADOW) && page_ok(VF(VAPIC_ADDR)))
		phys_read(cpu, VF(VAPIC_ADDR) + 0x80, &vtpr, 1);
#define CHECK(id, grp, fld, cond, holds, sec, text) failed[VC_##id] = (cond) && !(holds);
#include "cpu/vmx/vmx_checks.def"
#undef CHECK
}

/*
 * The rows of some groups as a sequence of tests; the compiler drops the others, and section by section those that
 * CHECK_KNOWN says hold.
 */
#define CHECK(id, grp, fld, cond, holds, sec, text)                                               \
	if (CHECK_GROUPS(VCG_##grp) && !CHECK_KNOWN(sec) && (cond) && !(holds)) {                   \
		*value = VF(fld);                                                                   \
		return VC_##id;                                                                     \
	}

#define CHECK_GROUPS(g) ((g) == VCG_CONTROL || (g) == VCG_HOST)
#define CHECK_KNOWN(sec) false
static int check_host_and_controls(struct cpu *cpu, u64 *value)
{
	struct vmx *vmx = cpu->vmx;
	u32 inj_info = (u32)VF(ENTRY_INTR_INFO), gi __attribute__((unused)) = 0;
	unsigned inj_type = (inj_info & II_TYPE) >> II_TYPE_SHIFT;
	bool inj = inj_info & II_VALID, v86 __attribute__((unused)) = false, ug __attribute__((unused)) = false;
	u8 vtpr = 0;

	if (VMX_P1(TPR_SHADOW) && page_ok(VF(VAPIC_ADDR)))
		phys_read(cpu, VF(VAPIC_ADDR) + 0x80, &vtpr, 1);
#include "cpu/vmx/vmx_checks.def"
	return -1;
}
#undef CHECK_GROUPS
#undef CHECK_KNOWN

#define CHECK_GROUPS(g) ((g) >= VCG_GUEST)
#define CHECK_KNOWN(sec) (segments && !strcmp(sec, "26.3.1.2"))
static int check_guest_state(struct cpu *cpu, u64 *value, bool segments)
{
	struct vmx *vmx = cpu->vmx;
	u32 inj_info = (u32)VF(ENTRY_INTR_INFO), gi = (u32)VF(GUEST_INTERRUPTIBILITY);
	unsigned inj_type = (inj_info & II_TYPE) >> II_TYPE_SHIFT;
	bool inj = inj_info & II_VALID, v86 = VF(GUEST_RFLAGS) & FL_VM, ug = VMX_P2(UNRESTRICTED);
	u8 vtpr __attribute__((unused)) = 0;

#include "cpu/vmx/vmx_checks.def"
	return -1;
}
#undef CHECK_GROUPS
#undef CHECK_KNOWN
#undef CHECK

/* ---- what is known to hold ------------------------------------------------------------------------ */

/* What the checks of segment registers see besides those. */
static u64 guest_mode(const struct vmx *vmx)
{
	return (VF(GUEST_CR0) & CR0_PE) | (VF(GUEST_RFLAGS) & FL_VM) | (u64)VMX_P2(UNRESTRICTED) << 32 |
	       (u64)VMX_ENTRY(IA32E) << 33;
}

/* The virtual TPR is in memory: whoever compares it with the threshold must look each time. */
static bool compares_vtpr(const struct vmx *vmx)
{
	return VMX_P1(TPR_SHADOW) && !VMX_P2(VID) && !VMX_P2(APIC_ACCESS);
}

void vmx_forget_checks(struct vmx *vmx, unsigned field)
{
	switch (field) {
	case VF_GUEST_ES_SEL ... VF_GUEST_TR_SEL:
	case VF_GUEST_ES_LIMIT ... VF_GUEST_TR_LIMIT:
	case VF_GUEST_ES_AR ... VF_GUEST_TR_AR:
	case VF_GUEST_ES_BASE ... VF_GUEST_TR_BASE:
		vmx->known.segments = false;
		break;
	case VF_ENTRY_INTR_INFO: /* an event to inject is looked at each time */
	case VF_ENTRY_EXC_ERR:
	case VF_ENTRY_INSN_LEN:
	case VF_TSC_OFFSET: /* these may be anything */
	case VF_EXCEPTION_BITMAP:
	case VF_CR0_MASK ... VF_CR3_TARGET3:
	case VF_HOST_RSP:
		break;
	default:
		if ((vmcs_field_rows[field].encoding >> 10 & 3) != 2)
			vmx->known.controls = false;
	}
}

int vmx_check_entry(struct cpu *cpu, u64 *value)
{
	struct vmx *vmx = cpu->vmx;
	struct vmx_known *k = &vmx->known;
	int failed;

	if (k->controls && k->cr4 == cpu->cr4 && k->efer == cpu->efer && !(VF(ENTRY_INTR_INFO) & II_VALID))
		return -1;
	failed = check_host_and_controls(cpu, value);
	k->controls = failed < 0 && !compares_vtpr(vmx);
	if (k->cr4 != cpu->cr4)
		k->segments = false;
	k->cr4 = cpu->cr4;
	k->efer = cpu->efer;
	return failed;
}

int vmx_check_guest(struct cpu *cpu, u64 *value)
{
	struct vmx_known *k = &cpu->vmx->known;
	u64 mode = guest_mode(cpu->vmx);
	int failed = check_guest_state(cpu, value, k->segments && k->guest_mode == mode);

	k->segments = failed < 0;
	k->guest_mode = mode;
	return failed;
}

void vmx_lint(struct cpu *cpu, bool failed[VC_COUNT])
{
	check_all(cpu, failed);
}

static void explain_row(struct cpu *cpu, unsigned id, const char *what)
{
	const struct vmx_check_row *r = &vmx_check_rows[id];

	log_line(cpu->log, LOG_VMX, "%s: %s (SDM Vol. 3C, %s); %s = %#llx [%s]", what, r->desc, r->section,
		 vmcs_field_rows[r->field].desc, (unsigned long long)cpu->vmx->vmcs.v[r->field], r->name);
}

void vmx_explain(struct cpu *cpu)
{
	const struct vmx *vmx = cpu->vmx;
	bool failed[VC_COUNT];

	if (vmx->failed_check < 0 || !log_on(cpu->log, LOG_VMX))
		return;
	explain_row(cpu, (unsigned)vmx->failed_check, "VM entry failed");
	vmx_lint(cpu, failed);
	for (unsigned i = 0; i < VC_COUNT; i++)
		if (failed[i] && (int)i != vmx->failed_check)
			explain_row(cpu, i, "  would fail too");
}
