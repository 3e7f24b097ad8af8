/*
 * Any VMCS: bytes become changes to the fields of a valid one (some with EPT and most controls), and the guest's code. Entry must
 * fail with the error or exit reason of the table's group exactly when some check of the table fails, and nothing may crash,
 * hang or overrun its budget when the guest runs on and exits again.
 */
#include <check.h>
#include <stdlib.h>

/* The rig's assertions, outside of any test of Check's: it would exit. */
#define _mark_point(...)       ((void)0)
#define _ck_assert_failed(...) abort()
#include "tests/vmx/vbox.h"

#define BUDGET 600u

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

struct input {
	const u8 *data;
	size_t left;
};

static u64 take(struct input *in, unsigned n)
{
	u64 v = 0;

	for (; n && in->left; n--, in->left--)
		v = v << 8 | *in->data++;
	return v;
}

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void rich(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	vbox_ept(b);
	ON(PROC_CTLS, P1, TPR_SHADOW);
	vbox_secondary(b, P2BIT(VPID) | P2BIT(UNRESTRICTED) | P2BIT(VID) | P2BIT(APIC_REG) | P2BIT(VMFUNC) | P2BIT(SHADOW) |
				  P2BIT(VE) | P2BIT(SPP) | P2BIT(PML) | P2BIT(XSAVES));
	ON(PIN_CTLS, PIN, EXT_INT);
	SET(VPID, 3);
	SET(EPTP, EPT_TABLES | 0x5e);
	SET(VAPIC_ADDR, VAPIC);
	SET(VMFUNC_CTLS, 1);
	SET(EPTP_LIST, EPTP_TABLE);
	SET(VMREAD_BITMAP, ZERO_PAGE);
	SET(VMWRITE_BITMAP, ONES_PAGE);
	SET(LINK_PTR, VMCS_SHADOW);
	SET(VE_INFO_ADDR, VE_AREA);
	SET(SPPTP, ZERO_PAGE);
	SET(PML_ADDR, PML_LOG);
}

/* One field gets a value, a flipped bit, or the address of a page that is there. */
static void change(struct vmx *vmx, struct input *in)
{
	unsigned f = (unsigned)take(in, 1) % VF_COUNT, how = (unsigned)take(in, 1);
	u64 v = vmx->vmcs.v[f];

	switch (how >> 6) {
	case 0: v ^= BIT64(how & 63); break;
	case 1: v = take(in, 1 + (how & 7)); break;
	case 2: v = (u64)(how & 63) << 12 | 0x50000; break;
	default: v = take(in, 8); break;
	}
	vmx->vmcs.v[f] = v & vmcs_field_mask(f);
}

/* Entry's verdict against every row of the table. */
static void judge(const struct box *b, const bool failing[VC_COUNT])
{
	const struct vmx *vmx = b->cpu.vmx;
	bool any = false, control = false, host = false;
	u64 reason = VF(EXIT_REASON);

	for (unsigned i = 0; i < VC_COUNT; i++) {
		any |= failing[i];
		control |= failing[i] && vmx_check_rows[i].group == VCG_CONTROL;
		host |= failing[i] && vmx_check_rows[i].group == VCG_HOST;
	}
	need(any == (vmx->failed_check >= 0));
	if (!any) {
		need(b->cpu.vmx_mode == VMX_NONROOT || b->cpu.activity == CPU_SHUTDOWN || reason < VR_COUNT ||
		     reason == (VR_ENTRY_MSR_LOAD | VR_ENTRY_FAILURE));
		return;
	}
	need(failing[vmx->failed_check] && b->cpu.vmx_mode == VMX_ROOT);
	if (control || host)
		need(VF(INSTR_ERROR) == (vmx_check_rows[vmx->failed_check].group == VCG_CONTROL ? 7u : 8u));
	else
		need(reason == (VR_ENTRY_GUEST_STATE | VR_ENTRY_FAILURE));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size};
	bool failing[VC_COUNT];
	struct box *b;
	unsigned flags, changes;
	u64 end;

	if (size < 4)
		return 0;
	b = vbox_new();
	flags = (unsigned)take(&in, 1);
	if (flags & 1)
		rich(b);
	for (changes = flags >> 1 & 7; changes; changes--)
		change(b->cpu.vmx, &in);
	for (unsigned i = 0; i < 64 && in.left; i++)
		b->ram[GUEST_CODE + i] = (u8)take(&in, 1);
	vmx_lint(&b->cpu, failing);
	need(vbox_launch(b) == 0);
	judge(b, failing);
	end = cpu_icount(&b->cpu) + BUDGET;
	for (unsigned i = 0; i < 16 && b->cpu.activity == CPU_ACTIVE && cpu_icount(&b->cpu) < end; i++)
		(void)cpu_run(&b->cpu, BUDGET / 16);
	need(cpu_icount(&b->cpu) <= end + 64);
	box_free(b);
	return 0;
}
