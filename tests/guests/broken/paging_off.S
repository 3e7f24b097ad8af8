/*
 * Paging off in 64-bit mode
 * name: #GP
 * check: CR0.PG := 0 in 64-bit mode
 * expect: compatibility mode first
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	mov rax, 0x11
	mov cr0, rax
