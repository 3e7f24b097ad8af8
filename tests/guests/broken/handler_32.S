/*
 * A 32-bit handler in long mode
 * name: #GP
 * check: handler's code segment is not a 64-bit one
 * step: 2
 * expect: 32-bit readable code
 * expect: L = 1
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	lidt [idtr]
	gate64 6, guest, CODE0
	ud2
