/*
 * RET FAR to an inner ring
 * name: #GP
 * check: return code selector RPL < CPL
 * expect: CPL 3
 */
#include "skeleton.inc"

guest:
	mov eax, DATA3
	mov ds, eax
	push DATA3
	push offset stack_top
	push 2
	push CODE3
	push offset 1f
	iretd
1:	push CODE0
	push offset guest
	retf
