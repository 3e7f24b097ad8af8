/*
 * A reserved bit in a PTE
 * name: #PF
 * check: a reserved bit of the PTE is set
 * expect: bits         50
 * expect: reserved bit
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	pte arena, (1 << 50) | 3
	mov eax, [arena]
