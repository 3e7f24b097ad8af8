/*
 * Code on a page with XD
 * name: #PF
 * check: fetch from an execute-disabled page
 * expect: execute-disable
 * expect: supervisor fetch
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	pte arena, (1 << 63) | 3
	mov byte ptr [arena], 0xc3
	call arena
