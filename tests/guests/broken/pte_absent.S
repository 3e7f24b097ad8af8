/*
 * A page that is not mapped
 * name: #PF
 * check: PTE.P = 0
 * expect: supervisor read
 * expect: PML4E
 * expect: PDPTE
 * expect: PDE
 * expect: not mapped
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	pte arena, 0
	mov eax, [arena]
