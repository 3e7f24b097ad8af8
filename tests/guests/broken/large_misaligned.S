/*
 * A large page that is not aligned
 * name: #PF
 * check: a reserved bit of the PDE is set
 * expect: bits         13
 * expect: aligned to its size
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	mov qword ptr [pd + 16], 0x403083
	mov rax, cr3
	mov cr3, rax
	mov eax, [0x400000]
