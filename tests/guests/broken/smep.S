/*
 * The kernel calls user code
 * name: #PF
 * check: supervisor fetch from a user page with CR4.SMEP = 1
 * expect: user
 * expect: SMEP
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0x100000, more_efer=0
	pte user_page, 7
	call user_page
.section .user
.code64
	ret
