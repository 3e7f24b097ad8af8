/*
 * A stack that overflows into its guard page: the handlers have no stack either
 * name: #PF
 * check: PTE.P = 0
 * expect: supervisor write
 * expect: PTE
 * expect: the two make a double fault
 * expect: during delivery of #PF
 * expect: during delivery of #DF
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	pte guard, 0
	lidt [idtr]
	gate64 14, guest
	gate64 8, guest
1:	call 1b
