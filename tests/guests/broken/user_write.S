/*
 * Ring 3 writes read-only memory
 * name: #PF
 * check: user write to a read-only page
 * expect: user write
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0
	pte arena, 5
	pte user_page, 7
	pte stack, 7
	ring3_64 user
.section .user
.code64
user:
	mov dword ptr [arena], 1
