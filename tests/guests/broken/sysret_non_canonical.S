/*
 * SYSRET to a non-canonical address
 * name: #GP
 * check: SYSRET target RIP is not canonical
 * expect: sysret
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	mov rcx, 0x800000000000
	sysretq
