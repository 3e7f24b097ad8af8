/*
 * MOVAPS of an odd address
 * name: #GP
 * check: memory operand of a 16-byte SSE access is not aligned
 * expect: 8 bytes past a multiple of 16
 * expect: movaps
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	movaps xmm0, [arena + 8]
