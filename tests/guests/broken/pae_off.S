/*
 * CR4.PAE off in long mode
 * name: #GP
 * check: CR4.PAE := 0 in IA-32e mode
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	xor eax, eax
	mov cr4, rax
