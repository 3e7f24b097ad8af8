/*
 * Reserved bits of CR4
 * name: #GP
 * check: CR4 has a reserved bit set
 * expect: bits         31, 15
 */
#include "skeleton.inc"

guest:
	mov eax, 0x80008000
	mov cr4, eax
