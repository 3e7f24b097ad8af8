/*
 * A store to a read-only page
 * name: #PF
 * check: supervisor write to a read-only page with CR0.WP = 1
 * expect: read-only
 * expect: the page is present
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	pte arena, 1
	mov dword ptr [arena], 1
