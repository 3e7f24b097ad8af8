/*
 * SSE control and status between the guest's MXCSR and the host's (SDM Vol. 1, 10.2.3).
 *
 * While guest code runs, the host's MXCSR holds the guest's RC, DAZ and FTZ with every exception masked, and the
 * sticky flags of guest arithmetic gather there. So code that runs inside cpu_run() must not do floating
 * point in double or float of its own (its flags would be taken for the guest's).
 */
#ifndef ORRERY_CPU_EXEC_VEC_H
#define ORRERY_CPU_EXEC_VEC_H

#include "cpu/cpu.h"

#define MXCSR_IE 0x1u
#define MXCSR_DE 0x2u
#define MXCSR_ZE 0x4u
#define MXCSR_OE 0x8u
#define MXCSR_UE 0x10u
#define MXCSR_PE 0x20u
#define MXCSR_FLAGS 0x3fu
#define MXCSR_DAZ 0x40u
#define MXCSR_MASKS 0x1f80u
#define MXCSR_MASK_SHIFT 7 /* from a flag to its mask */
#define MXCSR_RC 0x6000u
#define MXCSR_FTZ 0x8000u
#define MXCSR_RESET 0x1f80u

/** True if @mxcsr unmasks an exception: blocks must be built with MODE_MXCSR_EXACT. */
static inline bool mxcsr_unmasked(u32 mxcsr)
{
	return (mxcsr & MXCSR_MASKS) != MXCSR_MASKS;
}

/** Puts cpu->mxcsr into force on the host: after every change of cpu->mxcsr, and when cpu_run() starts. */
void cpu_mxcsr_load(struct cpu *cpu);
/** Merges the flags raised since into cpu->mxcsr: before anybody looks at it. */
void cpu_mxcsr_sync(struct cpu *cpu);
/** As cpu_mxcsr_sync(), and gives the host its default MXCSR back: when cpu_run() ends. */
void cpu_mxcsr_release(struct cpu *cpu);

#endif
