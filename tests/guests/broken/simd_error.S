/*
 * An unmasked SSE division by zero
 * name: #XM
 * check: unmasked SIMD floating-point exception
 * expect: ZE
 * expect: divss
 */
#include "skeleton.inc"

guest:
	mov eax, 0x600
	mov cr4, eax
	push 0x1d80
	ldmxcsr [esp]
	xorps xmm0, xmm0
	pcmpeqd xmm1, xmm1
	psrld xmm1, 25
	pslld xmm1, 23
	divss xmm1, xmm0
