/*
 * APIC virtualization (SDM Vol. 3C, chapter 29): TPR shadow, APIC-access page, APIC-register virtualization, virtual-
 * interrupt delivery, x2APIC mode, posted interrupts.
 */
#include "cpu/exec/system.h"
#include "cpu/vmx/vmx.h"

/* Offsets in the virtual-APIC page. */
enum { A_ID = 0x20, A_VERSION = 0x30, A_TPR = 0x80, A_PPR = 0xa0, A_EOI = 0xb0, A_LDR = 0xd0, A_DFR = 0xe0, A_SVR = 0xf0,
       A_ISR = 0x100, A_TMR = 0x180, A_IRR = 0x200, A_ESR = 0x280, A_ICR = 0x300, A_ICR2 = 0x310, A_LVT = 0x320,
       A_LVT_LAST = 0x370, A_TIMER_INIT = 0x380, A_TIMER_DIV = 0x3e0 };

u32 vapic_read(struct cpu *cpu, unsigned off)
{
	struct vmx *vmx = cpu->vmx;
	u32 v;

	phys_read(cpu, VF(VAPIC_ADDR) + off, &v, 4);
	return v;
}

void vapic_write(struct cpu *cpu, unsigned off, u32 v)
{
	struct vmx *vmx = cpu->vmx;

	phys_write(cpu, VF(VAPIC_ADDR) + off, &v, 4);
}

/* ---- virtual-interrupt delivery (29.1, 29.2) ---------------------------------------------------- */

static unsigned rvi(const struct cpu *cpu)
{
	const struct vmx *vmx = cpu->vmx;

	return VF(GUEST_INTR_STATUS) & 0xff;
}

static unsigned svi(const struct cpu *cpu)
{
	const struct vmx *vmx = cpu->vmx;

	return VF(GUEST_INTR_STATUS) >> 8 & 0xff;
}

static void set_status(struct cpu *cpu, unsigned request, unsigned service)
{
	struct vmx *vmx = cpu->vmx;

	VF(GUEST_INTR_STATUS) = (request & 0xff) | (service & 0xff) << 8;
}

static void set_bit(struct cpu *cpu, unsigned table, unsigned vector, bool on)
{
	unsigned off = table + vector / 32 * 16;
	u32 v = vapic_read(cpu, off);

	vapic_write(cpu, off, on ? v | BIT(vector % 32) : v & ~BIT(vector % 32));
}

static unsigned highest(struct cpu *cpu, unsigned table)
{
	for (int i = 7; i >= 0; i--) {
		u32 v = vapic_read(cpu, table + (unsigned)i * 16);

		if (v)
			return (unsigned)i * 32 + 31 - (unsigned)__builtin_clz(v);
	}
	return 0;
}

static void update_ppr(struct cpu *cpu)
{
	u32 tpr = vapic_read(cpu, A_TPR) & 0xff, service = svi(cpu);

	vapic_write(cpu, A_PPR, (tpr & 0xf0) >= (service & 0xf0) ? tpr : service & 0xf0);
}

bool vapic_interrupt_pending(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	return VMX_P2(VID) && (rvi(cpu) & 0xf0) > (vapic_read(cpu, A_PPR) & 0xf0);
}

void vapic_deliver(struct cpu *cpu)
{
	unsigned vector = rvi(cpu);

	set_bit(cpu, A_ISR, vector, true);
	vapic_write(cpu, A_PPR, vector & 0xf0);
	set_bit(cpu, A_IRR, vector, false);
	set_status(cpu, highest(cpu, A_IRR), vector);
	if (int_deliver(cpu, vector, INT_EXTERNAL, false, 0))
		cpu->fault_pending = true;
}

void vapic_entry(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (VMX_P2(VID))
		update_ppr(cpu);
	/* 26.7.7: without virtual-interrupt delivery a TPR already below the threshold exits at once. */
	else if (VMX_P1(TPR_SHADOW) && VMX_P2(APIC_ACCESS) &&
		 (vapic_read(cpu, A_TPR) >> 4 & 15) < (VF(TPR_THRESHOLD) & 15))
		vmx->trap_pending = VT_TPR_BELOW;
}

static void trap(struct cpu *cpu, enum vmx_trap which, u32 qual)
{
	cpu->vmx->trap_pending = (u8)which;
	cpu->vmx->trap_qual = qual;
	cpu_event_set(cpu, CPU_EV_VMX);
}

/* 29.1.2 */
void vapic_tpr_written(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (VMX_P2(VID)) {
		update_ppr(cpu);
		vmx_arm_events(cpu);
	} else if ((vapic_read(cpu, A_TPR) >> 4 & 15) < (VF(TPR_THRESHOLD) & 15)) {
		trap(cpu, VT_TPR_BELOW, 0);
	}
}

/* 29.1.4 */
static void eoi_written(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	unsigned vector = svi(cpu);

	set_bit(cpu, A_ISR, vector, false);
	set_status(cpu, rvi(cpu), highest(cpu, A_ISR));
	update_ppr(cpu);
	if (vmx->vmcs.v[VF_EOI_EXIT0 + vector / 64] >> vector % 64 & 1)
		trap(cpu, VT_VIRTUAL_EOI, vector);
	else
		vmx_arm_events(cpu);
}

/* 29.1.5 */
static void self_ipi(struct cpu *cpu, unsigned vector)
{
	set_bit(cpu, A_IRR, vector, true);
	set_status(cpu, MAX(rvi(cpu), vector), svi(cpu));
	vmx_arm_events(cpu);
}

/* 29.4.3.2, 29.4.3.3 */
void vapic_stored(struct cpu *cpu, unsigned off)
{
	struct vmx *vmx = cpu->vmx;
	u32 v;

	off &= 0xffc;
	switch (off) {
	case A_TPR:
		vapic_write(cpu, A_TPR, vapic_read(cpu, A_TPR) & 0xff);
		vapic_tpr_written(cpu);
		return;
	case A_EOI:
		if (!VMX_P2(VID))
			break;
		vapic_write(cpu, A_EOI, 0);
		eoi_written(cpu);
		return;
	case A_ICR:
		v = vapic_read(cpu, A_ICR);
		/* A fixed, edge-triggered, physical self-IPI of a legal vector, not pending. */
		if (!VMX_P2(VID) || (v & 0xfffff700) != 0x40000 || (v & 0xf0) == 0)
			break;
		self_ipi(cpu, v & 0xff);
		return;
	case A_ICR2:
		vapic_write(cpu, A_ICR2, vapic_read(cpu, A_ICR2) & 0xff000000);
		return;
	}
	trap(cpu, VT_APIC_WRITE, off);
}

/* ---- the APIC-access page (29.4) ---------------------------------------------------------------- */

static bool register_readable(unsigned reg)
{
	switch (reg) {
	case A_ID:
	case A_VERSION:
	case A_TPR:
	case A_EOI:
	case A_LDR:
	case A_DFR:
	case A_SVR:
	case A_ESR:
	case A_ICR:
	case A_ICR2:
	case A_TIMER_INIT:
	case A_TIMER_DIV: return true;
	}
	return (reg >= A_ISR && reg < A_ESR) || (reg >= A_LVT && reg <= A_LVT_LAST);
}

static bool read_virtualized(const struct vmx *vmx, unsigned off, unsigned n)
{
	unsigned reg = off & 0xff0;

	if (!VMX_P1(TPR_SHADOW) || n > 4 || (off & 15) + n > 4)
		return false;
	return VMX_P2(APIC_REG) ? register_readable(reg) : reg == A_TPR;
}

static bool write_virtualized(const struct vmx *vmx, unsigned off, unsigned n)
{
	unsigned reg = off & 0xff0;

	if (!VMX_P1(TPR_SHADOW) || n > 4 || (off & 15) + n > 4)
		return false;
	if (reg == A_TPR)
		return true;
	if (VMX_P2(APIC_REG))
		return reg == A_ID || reg == A_EOI || (reg >= A_LDR && reg <= A_SVR) || reg == A_ESR ||
		       reg == A_ICR || reg == A_ICR2 || (reg >= A_LVT && reg <= A_TIMER_INIT) || reg == A_TIMER_DIV;
	return VMX_P2(VID) && (reg == A_EOI || reg == A_ICR);
}

int vmx_apic_access(struct cpu *cpu, u64 lin, unsigned off, unsigned n, unsigned acc, u64 *vapic)
{
	struct vmx *vmx = cpu->vmx;
	bool write = acc & ACC_W, fetch = acc & ACC_X, in_delivery = vmx->vec_info;
	unsigned type = fetch ? 2 : in_delivery ? 3 : write ? 1 : 0;

	*vapic = VF(VAPIC_ADDR);
	/* Read-modify-writes must be virtualized both ways. */
	if (!fetch && !in_delivery && (write ? write_virtualized(vmx, off, n) : read_virtualized(vmx, off, n)) &&
	    (!write || !(acc & ACC_R) || read_virtualized(vmx, off, n))) {
		if (write) {
			trap(cpu, VT_APIC_STORE, off); /* when the store is done */
		}
		return 0;
	}
	(void)vmx_exit_fault(cpu, VR_APIC_ACCESS, off | (u64)type << 12);
	cpu->vm_fault.lin = lin;
	return 1;
}

/* ---- CR8 (29.3) --------------------------------------------------------------------------------- */

bool vmx_cr8_read(struct cpu *cpu, u64 *v)
{
	struct vmx *vmx = cpu->vmx;

	if (!vmx_nonroot(cpu) || !VMX_P1(TPR_SHADOW))
		return false;
	*v = vapic_read(cpu, A_TPR) >> 4 & 15;
	return true;
}

bool vmx_cr8_write(struct cpu *cpu, u64 v)
{
	struct vmx *vmx = cpu->vmx;

	if (!vmx_nonroot(cpu) || !VMX_P1(TPR_SHADOW))
		return false;
	vapic_write(cpu, A_TPR, (u32)(v & 15) << 4);
	vapic_tpr_written(cpu);
	return true;
}

/* ---- x2APIC mode (29.5) ------------------------------------------------------------------------- */

int vmx_x2apic_read(struct cpu *cpu, u32 msr, u64 *v)
{
	struct vmx *vmx = cpu->vmx;
	unsigned off = (msr & 0xff) << 4;

	if (!vmx_nonroot(cpu) || !VMX_P2(X2APIC) || msr < 0x800 || msr > 0x8ff)
		return -1;
	if (!VMX_P2(APIC_REG) && off != A_TPR)
		return -1;
	phys_read(cpu, VF(VAPIC_ADDR) + off, v, 8);
	return 0;
}

int vmx_x2apic_write(struct cpu *cpu, u32 msr, u64 v)
{
	struct vmx *vmx = cpu->vmx;
	unsigned off = (msr & 0xff) << 4;
	bool vid;

	if (!vmx_nonroot(cpu) || !VMX_P2(X2APIC) || msr < 0x800 || msr > 0x8ff)
		return -1;
	vid = VMX_P2(VID);
	if (off == A_TPR ? v >> 8 : off == A_EOI ? v : off == 0x3f0 ? v >> 8 : 0)
		return cpu_fault(cpu, EXC_GP, 0, "virtualized x2APIC register: reserved bits are set", v);
	if (off == A_TPR) {
		phys_write(cpu, VF(VAPIC_ADDR) + off, &v, 8);
		vapic_tpr_written(cpu);
		return 0;
	}
	if (vid && off == A_EOI) {
		phys_write(cpu, VF(VAPIC_ADDR) + off, &v, 8);
		eoi_written(cpu);
		return 0;
	}
	if (vid && off == 0x3f0) {
		phys_write(cpu, VF(VAPIC_ADDR) + off, &v, 8);
		if (v >> 4)
			self_ipi(cpu, v & 0xff);
		else
			trap(cpu, VT_APIC_WRITE, off);
		return 0;
	}
	return -1;
}

/* ---- posted interrupts (29.6) ------------------------------------------------------------------- */

/* Writes 0 to the local APIC's EOI register, wherever it is. */
static void physical_eoi(struct cpu *cpu)
{
	u64 base = 0;
	u32 zero = 0;

	if (!cpu->bus.apic_msr_read || cpu->bus.apic_msr_read(cpu->bus.ctx, 0x1b, &base))
		return;
	if (base & BIT(10))
		(void)cpu->bus.apic_msr_write(cpu->bus.ctx, 0x80b, 0);
	else
		phys_write(cpu, (base & ~0xfffull & (BIT64(MMU_PHYS_BITS) - 1)) + 0xb0, &zero, 4);
}

void vapic_posted(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	u32 pir[8], control, zero[8] = {0};
	unsigned top = 0;

	phys_read(cpu, VF(POSTED_DESC) + 32, &control, 4);
	control &= ~1u; /* outstanding notification */
	phys_write(cpu, VF(POSTED_DESC) + 32, &control, 4);
	physical_eoi(cpu);
	phys_read(cpu, VF(POSTED_DESC), pir, sizeof(pir));
	phys_write(cpu, VF(POSTED_DESC), zero, sizeof(zero));
	for (unsigned i = 0; i < 8; i++) {
		if (!pir[i])
			continue;
		vapic_write(cpu, A_IRR + i * 16, vapic_read(cpu, A_IRR + i * 16) | pir[i]);
		top = i * 32 + 31 - (unsigned)__builtin_clz(pir[i]);
	}
	set_status(cpu, MAX(rvi(cpu), top), svi(cpu));
}
