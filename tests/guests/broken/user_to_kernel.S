/*
 * Ring 3 reads the kernel's memory
 * name: #PF
 * check: user access to a supervisor page
 * expect: user read
 * expect: CPL 3
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
	mov eax, [arena]
