/*
 * Events in VMX non-root operation (SDM Vol. 3C, 25.2, 25.5.1, 25.5.2; priorities: Vol. 3A, 6.9): windows, the preemption
 * timer, the monitor trap flag, interrupts and NMIs that exit, exits that follow an instruction.
 */
#include "cpu/exec/system.h"
#include "cpu/vmx/vmx.h"

static bool timer_expired(const struct cpu *cpu)
{
	return cpu->vmx->preempt_deadline != ~0ull && cpu_tsc(cpu) >= cpu->vmx->preempt_deadline;
}

/* Windows and the like are asked for by the VMCS as long as the guest runs: the flag makes the run loop look. */
void vmx_arm_events(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (VMX_P1(INT_WINDOW) || VMX_P1(NMI_WINDOW) || vmx->mtf_pending || vmx->trap_pending || timer_expired(cpu) ||
	    vapic_interrupt_pending(cpu))
		cpu_event_set(cpu, CPU_EV_VMX);
	else
		cpu_event_clear(cpu, CPU_EV_VMX);
	cpu->attn = 1;
}

bool vmx_mtf(const struct cpu *cpu)
{
	const struct vmx *vmx = cpu->vmx;

	return vmx_nonroot(cpu) && VMX_P1(MTF);
}

void vmx_stepped(struct cpu *cpu)
{
	if (!vmx_mtf(cpu))
		return;
	cpu->vmx->mtf_pending = true;
	cpu_event_set(cpu, CPU_EV_VMX);
}

void vmx_iret(struct cpu *cpu, bool faults)
{
	struct vmx *vmx = cpu->vmx;

	if (VMX_PIN(NMI) && !VMX_PIN(VNMI))
		return;
	vmx->iret_unblocked = faults && (cpu->nmi_blocked & 1);
	cpu->nmi_blocked &= ~1;
}

bool vmx_trap_exits(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	static const u8 reasons[] = {
	    [VT_APIC_WRITE] = VR_APIC_WRITE, [VT_TPR_BELOW] = VR_TPR_BELOW, [VT_VIRTUAL_EOI] = VR_VIRTUAL_EOI};
	unsigned trap;

	if (vmx->trap_pending == VT_APIC_STORE) {
		vmx->trap_pending = VT_NONE;
		vapic_stored(cpu, vmx->trap_qual);
	}
	trap = vmx->trap_pending;
	if (!trap)
		return false;
	vmx->trap_pending = VT_NONE;
	vmx_exit(cpu, reasons[trap], vmx->trap_qual);
	return true;
}

static bool interruptible(const struct cpu *cpu)
{
	return (cpu->rflags & FL_IF) && !cpu->int_shadow;
}

static bool nmi_open(const struct cpu *cpu)
{
	const struct vmx *vmx = cpu->vmx;

	return VMX_PIN(VNMI) || !(cpu->nmi_blocked & 1);
}

bool vmx_event_due(const struct cpu *cpu)
{
	const struct vmx *vmx = cpu->vmx;
	u32 ev = cpu->events;

	if (cpu->activity == CPU_WAIT_SIPI) /* everything else is blocked */
		return ev & (CPU_EV_SIPI | CPU_EV_STOP | CPU_EV_RESET);
	if (ev & (CPU_EV_INIT | CPU_EV_STOP | CPU_EV_RESET) || ((ev & CPU_EV_SMI) && !cpu->smm))
		return true;
	if ((ev & CPU_EV_NMI) && nmi_open(cpu))
		return true;
	if ((ev & CPU_EV_INTR) && (VMX_PIN(EXT_INT) || (cpu->rflags & FL_IF)))
		return true;
	if (vmx->mtf_pending || vmx->trap_pending || timer_expired(cpu))
		return true;
	return (ev & CPU_EV_VMX) && ((VMX_P1(INT_WINDOW) && (cpu->rflags & FL_IF)) ||
				     (VMX_P1(NMI_WINDOW) && !(cpu->nmi_blocked & 1)) ||
				     (vapic_interrupt_pending((struct cpu *)cpu) && (cpu->rflags & FL_IF)));
}

/* Exit or delivery counts as an instruction, so that one that comes again and again still comes to the budget's end. */
static bool exited(struct cpu *cpu, enum vmx_reason reason)
{
	vmx_exit(cpu, reason, 0);
	cpu->cd--;
	return true;
}

static bool take_nmi(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	cpu_event_clear(cpu, CPU_EV_NMI);
	if (VMX_PIN(NMI)) {
		VF(EXIT_INTR_INFO) = EXC_NMI | II_NMI << II_TYPE_SHIFT | II_VALID;
		return exited(cpu, VR_EXCEPTION);
	}
	cpu->activity = CPU_ACTIVE;
	if (int_deliver(cpu, EXC_NMI, INT_NMI, false, 0))
		cpu->fault_pending = true;
	else
		cpu->nmi_blocked |= 1;
	cpu->cd--;
	return true;
}

static bool take_interrupt(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (!VMX_PIN(EXT_INT)) {
		if (!interruptible(cpu))
			return false;
		cpu->activity = CPU_ACTIVE;
		if (int_deliver(cpu, cpu->bus.intack(cpu->bus.ctx), INT_EXTERNAL, false, 0))
			cpu->fault_pending = true;
		cpu->cd--;
		return true;
	}
	VF(EXIT_INTR_INFO) = 0;
	if (VMX_EXIT(ACK_INT)) {
		u8 vector = cpu->bus.intack(cpu->bus.ctx);

		if (VMX_PIN(POSTED) && vector == (VF(POSTED_NV) & 0xff)) {
			vapic_posted(cpu);
			vmx_arm_events(cpu);
			cpu->cd--;
			return true;
		}
		VF(EXIT_INTR_INFO) = vector | II_EXT_INT << II_TYPE_SHIFT | II_VALID;
	}
	return exited(cpu, VR_EXT_INT);
}

/* A guest in the wait-for-SIPI state sees nothing but SIPI (and NMI, INIT are lost or kept as table 25.2 says). */
static bool wait_for_sipi(struct cpu *cpu)
{
	if (!(cpu->events & CPU_EV_SIPI))
		return false;
	cpu_event_clear(cpu, CPU_EV_SIPI);
	vmx_exit(cpu, VR_SIPI, cpu->sipi_vector);
	cpu->cd--;
	return true;
}

/* Below the level of the debug traps: SDM Vol. 3A, table 6-2, and Vol. 3C, 25.5.1, 25.2. */
static bool maskable(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (timer_expired(cpu))
		return exited(cpu, VR_PREEMPTION_TIMER);
	if (VMX_P1(NMI_WINDOW) && !(cpu->nmi_blocked & 1) && !cpu->int_shadow && cpu->activity != CPU_SHUTDOWN)
		return exited(cpu, VR_NMI_WINDOW);
	if ((cpu->events & CPU_EV_NMI) && nmi_open(cpu) && !cpu->int_shadow)
		return take_nmi(cpu);
	if (cpu->activity == CPU_SHUTDOWN)
		return false;
	if (VMX_P1(INT_WINDOW) && interruptible(cpu))
		return exited(cpu, VR_INT_WINDOW);
	if ((cpu->events & CPU_EV_INTR) && take_interrupt(cpu))
		return true;
	if (interruptible(cpu) && vapic_interrupt_pending(cpu)) {
		cpu->activity = CPU_ACTIVE;
		vapic_deliver(cpu);
		vmx_arm_events(cpu);
		cpu->cd--;
		return true;
	}
	return false;
}

bool vmx_take_events(struct cpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (cpu->activity == CPU_WAIT_SIPI)
		return wait_for_sipi(cpu);
	cpu_event_clear(cpu, CPU_EV_SIPI);
	if (cpu->events & CPU_EV_INIT) {
		cpu_event_clear(cpu, CPU_EV_INIT);
		return exited(cpu, VR_INIT);
	}
	if ((cpu->events & CPU_EV_SMI) && !cpu->smm) {
		cpu_event_clear(cpu, CPU_EV_SMI);
		smm_enter(cpu);
		return true;
	}
	if (vmx_trap_exits(cpu)) {
		cpu->cd--;
		return true;
	}
	if (vmx->mtf_pending) {
		vmx->mtf_pending = false;
		return exited(cpu, VR_MTF);
	}
	if (maskable(cpu))
		return true;
	vmx_arm_events(cpu);
	cpu->attn = 0;
	return false;
}

static unsigned ns_per_insn(const struct cpu *cpu)
{
	return cpu->bus.time && cpu->bus.ns_per_insn ? cpu->bus.ns_per_insn : 1;
}

u64 vmx_timer_ns(const struct cpu *cpu)
{
	u64 deadline, now;

	if (!vmx_nonroot(cpu) || cpu->vmx->preempt_deadline == ~0ull)
		return ~0ull;
	deadline = cpu->vmx->preempt_deadline;
	now = cpu_tsc(cpu);
	return deadline > now ? deadline - now : 0;
}

u64 vmx_slice_end(struct cpu *cpu, u64 end)
{
	u64 left = vmx_timer_ns(cpu), now = cpu_icount(cpu), at;

	if (left == ~0ull)
		return end;
	at = now + (left + ns_per_insn(cpu) - 1) / ns_per_insn(cpu);
	if (at <= now)
		cpu_event_set(cpu, CPU_EV_VMX);
	return MIN(end, MAX(at, now + 1));
}
