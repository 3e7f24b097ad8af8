/*
 * A null pointer
 * name: #PF
 * check: PTE.P = 0
 * expect: address 0x8
 * expect: supervisor write
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	mov qword ptr [pt], 0
	mov rax, cr3
	mov cr3, rax
	xor eax, eax
	mov dword ptr [rax + 8], 1
