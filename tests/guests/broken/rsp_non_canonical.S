/*
 * A stack pointer that is not canonical
 * name: #SS
 * check: the linear address is not canonical
 * expect: 0xdeacfffffffffff8
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	mov rsp, 0xdead000000000000
	push rax
