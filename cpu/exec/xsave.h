/* The XSAVE-managed state components (SDM Vol. 1, chapter 13), shared with CPUID leaf 0Dh. */
#ifndef ORRERY_EXEC_XSAVE_H
#define ORRERY_EXEC_XSAVE_H

#include "cpu/cpu.h"

enum xcomp {
	XC_X87,
	XC_SSE,
	XC_AVX,
	XC_OPMASK = 5,
	XC_ZMM_HI256,
	XC_HI16_ZMM,
	XC_PKRU = 9,
	XC_CET_U = 11, /* supervisor components: IA32_XSS, the compacted format alone */
	XC_CET_S,
	XC_COUNT
};

struct xsave_component {
	u16 offset, size; /* in the standard format; CPUID.(0Dh,i):EBX, EAX */
	bool align64;     /* in the compacted format; CPUID.(0Dh,i):ECX[1] */
};

/** By enum xcomp; size 0: no such component. Supervisor components have no place in the standard format.
 * Legacy components have the offsets of the FXSAVE area.
 */
extern const struct xsave_component xsave_components[XC_COUNT];

/** Bytes of an area holding the components @mask, header included: CPUID.(0Dh,0):EBX and ECX,
 * (0Dh,1):EBX. */
unsigned xsave_area_size(u64 mask, bool compacted);
/** MXCSR_MASK as FXSAVE stores it; other bits of MXCSR are reserved. */
#define MXCSR_VALID 0xffffu

#endif
