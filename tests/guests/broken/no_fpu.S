/*
 * X87 with CR0.TS
 * name: #NM
 * check: x87, MMX, SSE or AVX instruction with CR0.TS = 1
 * expect: TS
 * expect: fldz
 */
#include "skeleton.inc"

guest:
	mov eax, 0x19
	mov cr0, eax
	fldz
