/*
 * A function pointer full of letters
 * name: #GP
 * check: near branch target is not canonical
 * expect: 0x4141414141414141
 * expect: overwritten
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	mov rax, 0x4141414141414141
	jmp rax
