/*
 * A pointer that is not canonical
 * name: #GP
 * check: the linear address is not canonical
 * expect: value        0x800000000000
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	mov rax, 0x800000000000
	mov rbx, [rax]
