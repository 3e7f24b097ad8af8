/*
 * SWAPGS in ring 3
 * name: #GP
 * check: privileged instruction with CPL > 0
 * expect: CPL is 3
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0
	pte user_page, 7
	pte stack, 7
	ring3_64 user
.section .user
.code64
user:
	swapgs
