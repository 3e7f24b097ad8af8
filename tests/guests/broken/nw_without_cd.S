/*
 * CR0.NW without CD
 * name: #GP
 * check: CR0.NW = 1 with CR0.CD = 0
 * expect: NW
 */
#include "skeleton.inc"

guest:
	mov eax, 0x20000011
	mov cr0, eax
