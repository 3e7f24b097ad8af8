/*
 * The upper half that nobody mapped
 * name: #PF
 * check: PML4E.P = 0
 * expect: 0xffff800000000000
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	mov rax, 0xffff800000000000
	mov rbx, [rax]
