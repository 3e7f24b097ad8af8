/*
 * A reserved bit of EFER
 * name: #GP
 * check: WRMSR sets a reserved bit
 * expect: bits         13
 */
#include "skeleton.inc"

guest:
	mov ecx, 0xc0000080
	mov eax, 0x2000
	xor edx, edx
	wrmsr
