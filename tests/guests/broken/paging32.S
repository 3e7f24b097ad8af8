/*
 * Paging on with an empty page directory
 * name: #PF
 * check: PDE.P = 0
 * expect: PDE
 * expect: not present
 */
#include "skeleton.inc"

guest:
	mov eax, offset pd
	mov cr3, eax
	mov eax, 0x80000011
	mov cr0, eax
