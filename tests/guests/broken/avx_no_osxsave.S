/*
 * AVX that nobody enabled
 * name: #UD
 * check: AVX instruction with CR4.OSXSAVE = 0
 * expect: OSFXSR OSXMMEXCPT
 */
#include "skeleton.inc"

guest:
	mov eax, 0x600
	mov cr4, eax
	vaddps ymm0, ymm1, ymm2
