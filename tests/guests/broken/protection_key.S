/*
 * A protection key
 * name: #PF
 * check: PKRU denies the access to the page's protection key
 * expect: protection key
 * expect: key 1
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0x400000, more_efer=0
	xor ecx, ecx
	xor edx, edx
	mov eax, 4
	.byte 0x0f, 0x01, 0xef
	pte arena, (1 << 59) | 7
	mov eax, [arena]
