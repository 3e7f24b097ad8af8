/*
 * #UD without a handler
 * name: #NP
 * check: IDT gate is not present
 * step: 2
 * expect: vector 6
 * expect: not present
 */
#include "skeleton.inc"

guest:
	gate32 6, guest, CODE0, 0x0e
	lidt [idtr32]
	ud2
