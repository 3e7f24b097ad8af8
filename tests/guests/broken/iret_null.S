/*
 * IRET with CS = 0, as after an error code that nobody popped
 * name: #GP
 * check: return code selector is null
 * expect: overwritten
 */
#include "skeleton.inc"

guest:
	pushfd
	push 0
	push offset guest
	iretd
