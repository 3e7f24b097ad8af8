/*
 * X87 with CR0.EM
 * name: #NM
 * check: x87 instruction with CR0.EM = 1
 * expect: EM
 */
#include "skeleton.inc"

guest:
	mov eax, 0x15
	mov cr0, eax
	fld1
