/* Steps common to the string instructions, I/O ones included (SDM Vol. 2, REP). */
#ifndef ORRERY_CPU_EXEC_STRING_H
#define ORRERY_CPU_EXEC_STRING_H

#include "cpu/exec/exec.h"
#include "cpu/vmx/vmx.h"

/** Element size in bytes: the low opcode bit tells byte from operand-size forms; I/O has no 8-byte
 * form. */
static inline unsigned string_size(const struct insn *in)
{
	if (!(in->opcode & 1))
		return 1;
	return (in->opcode & 0xfc) == 0x6c && in->opsize == 8 ? 4 : in->opsize;
}

static inline bool string_rep(const struct insn *in)
{
	return in->prefixes & (PFX_REP | PFX_REPNE);
}

/** Iterations left: 1 without a REP prefix. */
static inline u64 string_count(const struct cpu *cpu, const struct insn *in)
{
	return string_rep(in) ? reg_read(cpu, RCX, in->adsize) : 1;
}

/** Moves RSI or RDI over @n elements in the direction of DF. */
static inline void string_advance(struct cpu *cpu, const struct insn *in, unsigned reg,
				  unsigned size, u64 n)
{
	u64 delta = n * size;

	reg_write(cpu, reg, in->adsize,
		  cpu->rflags & FL_DF ? cpu->r[reg] - delta : cpu->r[reg] + delta);
}

/** Takes @n iterations off the count; true when the instruction is complete. */
static inline bool string_step_done(struct cpu *cpu, const struct insn *in, u64 n)
{
	if (!string_rep(in))
		return true;
	reg_write(cpu, RCX, in->adsize, cpu->r[RCX] - n);
	return !reg_read(cpu, RCX, in->adsize);
}

/** One element at a time. */
static inline bool string_single(const struct cpu *cpu)
{
	return cpu->rflags & FL_TF;
}

/** Events that would be taken now (SDM Vol. 3A, 6.8; Vol. 3C, 31.3.1). */
static inline u32 string_takeable(const struct cpu *cpu)
{
	u32 masked = CPU_EV_SIPI | (cpu->rflags & FL_IF ? 0 : CPU_EV_INTR) |
		     (cpu->nmi_blocked ? CPU_EV_NMI : 0) | (cpu->smm ? CPU_EV_SMI | CPU_EV_INIT : 0);

	if (unlikely(vmx_nonroot(cpu)))
		return vmx_event_due(cpu);
	return cpu->events & ~masked;
}

/** Must the instruction stop between iterations: trap, data breakpoint hit, or an event? */
static inline bool string_must_pause(const struct cpu *cpu)
{
	return string_single(cpu) || string_takeable(cpu) || cpu->dr6_pending;
}

/**
 * Ends this call with the instruction to be resumed. RF keeps an instruction breakpoint on it from
 * being hit again (SDM Vol. 3B, 17.3.1.1).
 */
static inline int string_pause(struct cpu *cpu)
{
	cpu->rip = cpu->insn_rip;
	cpu->rflags |= FL_RF;
	return 0;
}

#endif
