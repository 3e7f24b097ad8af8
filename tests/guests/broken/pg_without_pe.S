/*
 * Paging without protection
 * name: #GP
 * check: CR0.PG = 1 with CR0.PE = 0
 * expect: ET PG
 * expect: mov cr0
 */
#include "skeleton.inc"

guest:
	mov eax, 0x80000010
	mov cr0, eax
