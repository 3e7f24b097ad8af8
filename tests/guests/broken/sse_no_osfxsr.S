/*
 * SSE that nobody enabled
 * name: #UD
 * check: SSE instruction with CR4.OSFXSR = 0
 * expect: movaps
 * expect: compilers use it for copies
 */
#include "skeleton.inc"

guest:
	xor eax, eax
	mov cr4, eax
	movaps xmm0, xmm1
