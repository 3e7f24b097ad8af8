/*
 * A PAE PDPTE with R/W and U/S set
 * name: #GP
 * check: a reserved bit of a PDPTE is set
 * expect: bits         8:5, 2:1
 */
#include "skeleton.inc"

guest:
	mov dword ptr [pdpt], 0x1e7
	mov eax, offset pdpt
	mov cr3, eax
	mov eax, 0x20
	mov cr4, eax
	mov eax, 0x80000011
	mov cr0, eax
