/*
 * A processor in VMX root operation with a VMCS that VMLAUNCH accepts, for the suites of cpu/vmx. The guest runs in the
 * host's own page tables, 64-bit code at GUEST_CODE, unless a test says otherwise.
 */
#ifndef ORRERY_TESTS_VMX_VBOX_H
#define ORRERY_TESTS_VMX_VBOX_H

#include "cpu/vmx/vmx.h"
#include "tests/exec/sysbox.h"

enum {
	VMXON_REGION = 0x50000,
	VMCS_A = 0x51000,
	VMCS_LINK = 0x52000,   /* a plain VMCS: the revision identifier */
	VMCS_SHADOW = 0x53000, /* a shadow VMCS */
	ZERO_PAGE = 0x54000,
	ONES_PAGE = 0x55000,
	VAPIC = 0x56000,
	PML_LOG = 0x57000,
	PI_DESC = 0x58000,
	MSR_LIST = 0x59000,
	BAD_PDPT = 0x5a000,
	GOOD_PDPT = 0x5b000,
	EPTP_TABLE = 0x5c000,
	VE_AREA = 0x5d000,
	GUEST_CODE = 0x60000,
	GUEST_STACK = 0x68000,
	HOST_ENTRY = 0x70000,
	HOST_STACK = 0x78000,
	EPT_TABLES = 0x180000, /* four pages: identity of the first GiB, 2-MiB pages */
};

#define SET(f, value) (vmx->vmcs.v[VF_##f] = (value))
#define ON(f, group, c) (vmx->vmcs.v[VF_##f] |= BIT64(group##_##c##_BIT))

static inline void vbox_host_state(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(HOST_CR0, b->cpu.cr0);
	SET(HOST_CR3, b->cpu.cr3);
	SET(HOST_CR4, b->cpu.cr4);
	SET(HOST_CS_SEL, S_CODE64);
	SET(HOST_SS_SEL, S_DATA);
	SET(HOST_DS_SEL, S_DATA);
	SET(HOST_ES_SEL, S_DATA);
	SET(HOST_FS_SEL, S_DATA);
	SET(HOST_GS_SEL, S_DATA);
	SET(HOST_TR_SEL, S_TSS);
	SET(HOST_TR_BASE, TSS_A);
	SET(HOST_GDTR_BASE, GDT);
	SET(HOST_IDTR_BASE, IDT);
	SET(HOST_RSP, HOST_STACK);
	SET(HOST_RIP, HOST_ENTRY);
	SET(HOST_EFER, b->cpu.efer);
	SET(HOST_PAT, 0x0007040600070406);
}

static inline void vbox_segment(struct vmx *vmx, unsigned s, u16 sel, u64 base, u32 limit, u32 ar)
{
	vmx->vmcs.v[VF_GUEST_ES_SEL + s] = sel;
	vmx->vmcs.v[VF_GUEST_ES_BASE + s] = base;
	vmx->vmcs.v[VF_GUEST_ES_LIMIT + s] = limit;
	vmx->vmcs.v[VF_GUEST_ES_AR + s] = ar;
}

static inline void vbox_guest_state(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(GUEST_CR0, b->cpu.cr0);
	SET(GUEST_CR3, b->cpu.cr3);
	SET(GUEST_CR4, b->cpu.cr4);
	SET(GUEST_EFER, b->cpu.efer);
	SET(GUEST_PAT, 0x0007040600070406);
	SET(GUEST_DR7, 0x400);
	for (unsigned s = ES; s <= GS; s++)
		vbox_segment(vmx, s, S_DATA, 0, 0xffffffff, 0xc093);
	vbox_segment(vmx, CS, S_CODE64, 0, 0xffffffff, 0xa09b);
	vbox_segment(vmx, LDTR, 0, 0, 0, AR_UNUSABLE);
	vbox_segment(vmx, TR, S_TSS, TSS_A, 0x67, 0x8b);
	SET(GUEST_GDTR_BASE, GDT);
	SET(GUEST_GDTR_LIMIT, GDT_LIMIT);
	SET(GUEST_IDTR_BASE, IDT);
	SET(GUEST_IDTR_LIMIT, 0xfff);
	SET(GUEST_RIP, GUEST_CODE);
	SET(GUEST_RSP, GUEST_STACK);
	SET(GUEST_RFLAGS, FL_R1);
	SET(LINK_PTR, VMCS_NONE);
}

static inline void vbox_controls(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;
	const struct vmx_caps *c = &vmx->caps;

	SET(PIN_CTLS, c->true_allowed0[VG_PIN]);
	SET(PROC_CTLS, c->true_allowed0[VG_P1]);
	SET(EXIT_CTLS, c->true_allowed0[VG_EXIT] | BIT(EXIT_HOST64_BIT));
	SET(ENTRY_CTLS, c->true_allowed0[VG_ENTRY] | BIT(ENTRY_IA32E_BIT));
}

static inline void vbox_pages(struct box *b)
{
	poke(b, VMXON_REGION, VMCS_REVISION, 4);
	poke(b, VMCS_A, VMCS_REVISION, 4);
	poke(b, VMCS_LINK, VMCS_REVISION, 4);
	poke(b, VMCS_SHADOW, VMCS_REVISION | VMCS_SHADOW_BIT, 4);
	memset(b->ram + ONES_PAGE, 0xff, 0x1000);
	poke(b, BAD_PDPT, 0x1e7, 8);
	poke(b, GOOD_PDPT, (TABLES + 0x2000) | 1, 8);
	poke(b, EPT_TABLES, (EPT_TABLES + 0x1000) | 7, 8);
	poke(b, EPT_TABLES + 0x1000, (EPT_TABLES + 0x2000) | 7, 8);
	for (unsigned i = 0; i < 512; i++)
		poke(b, EPT_TABLES + 0x2000 + 8 * i, (u64)i << 21 | 0xb7, 8);
	poke(b, EPTP_TABLE, EPT_TABLES | 0x1e, 8);
	poke(b, HOST_ENTRY, 0xfeebf4, 3); /* HLT, and for ever */
}

/* Runs an instruction of two operand bytes and a disp32, checking that it succeeded. */
static inline void vbox_pointer(struct box *b, u32 ptr, const u8 *op, unsigned n)
{
	u8 code[16];

	poke(b, DATA, ptr, 8);
	memcpy(code, op, n);
	code[n++] = 0x25;
	for (unsigned i = 0; i < 4; i++)
		code[n++] = (u8)(DATA >> 8 * i);
	ck_assert_int_eq(exec_bytes(b, code, n), 0);
	ck_assert_uint_eq(b->cpu.rflags & FL_ARITH, 0);
}

/* In root operation, VMCS_A current and clear, nothing in it. */
static inline struct box *vbox_root(void)
{
	struct box *b = box_long(0);
	struct cpu *cpu = &b->cpu;

	ck_assert_ptr_nonnull(cpu->vmx);
	cpu->feature_control = 5;
	cpu->cr0 |= CR0_NE;
	cpu->cr4 |= CR4_VMXE;
	cpu_mode_changed(cpu);
	vbox_pages(b);
	vbox_pointer(b, VMXON_REGION, CODE_BYTES(0xf3, 0x0f, 0xc7, 0x34));
	vbox_pointer(b, VMCS_A, CODE_BYTES(0x66, 0x0f, 0xc7, 0x34));
	vbox_pointer(b, VMCS_A, CODE_BYTES(0x0f, 0xc7, 0x34));
	return b;
}

static inline struct box *vbox_new(void)
{
	struct box *b = vbox_root();

	vbox_controls(b);
	vbox_host_state(b);
	vbox_guest_state(b);
	return b;
}

static inline void vbox_secondary(struct box *b, u64 controls)
{
	struct vmx *vmx = b->cpu.vmx;

	ON(PROC_CTLS, P1, SECONDARY);
	vmx->vmcs.v[VF_PROC_CTLS2] |= controls;
}

#define P2BIT(c) BIT64(P2_##c##_BIT)

static inline void vbox_ept(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	vbox_secondary(b, P2BIT(EPT));
	SET(EPTP, EPT_TABLES | 0x1e);
}

/* VMLAUNCH. Afterwards cpu->vmx_mode tells. */
static inline int vbox_launch(struct box *b)
{
	return EXEC(b, 0x0f, 0x01, 0xc2);
}

#define ASSERT_IN_GUEST(b)                                                                                 \
	ck_assert_msg((b)->cpu.vmx_mode == VMX_NONROOT, "not in the guest: error %llu, %s, value %#llx",     \
		      (unsigned long long)(b)->cpu.vmx->vmcs.v[VF_INSTR_ERROR],                             \
		      (b)->cpu.vmx->failed_check < 0 ? "no check failed"                                    \
						     : vmx_check_rows[(b)->cpu.vmx->failed_check].name,     \
		      (unsigned long long)(b)->cpu.vmx->failed_value)

#endif
