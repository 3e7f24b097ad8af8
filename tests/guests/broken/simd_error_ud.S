/*
 * The same without OSXMMEXCPT
 * name: #UD
 * check: unmasked SIMD exception with CR4.OSXMMEXCPT = 0
 * expect: ZE
 */
#include "skeleton.inc"

guest:
	mov eax, 0x200
	mov cr4, eax
	push 0x1d80
	ldmxcsr [esp]
	xorps xmm0, xmm0
	pcmpeqd xmm1, xmm1
	psrld xmm1, 25
	pslld xmm1, 23
	divss xmm1, xmm0
