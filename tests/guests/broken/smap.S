/*
 * The kernel reads user memory
 * name: #PF
 * check: supervisor access to a user page with CR4.SMAP = 1 and no RFLAGS.AC
 * expect: STAC
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0x200000, more_efer=0
	pte arena, 7
	mov eax, [arena]
