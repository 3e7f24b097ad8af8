/*
 * The stack pointer points nowhere, and #DF has no stack of its own
 * name: #PF
 * check: PTE.P = 0
 * step: 3
 * expect: during delivery of #DF
 * expect: #PF
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	lidt [idtr]
	pte arena, 0
	lea rsp, arena + 256
	gate64 8, guest
	push rax
