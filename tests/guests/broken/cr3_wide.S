/*
 * A CR3 beyond the physical addresses
 * name: #GP
 * check: CR3 has bits above MAXPHYADDR set
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	mov rax, 0x10000000000000
	mov cr3, rax
