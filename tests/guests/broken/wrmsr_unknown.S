/*
 * WRMSR of no MSR
 * name: #GP
 * check: WRMSR of an MSR that does not exist
 * expect: MSR 0x12345678
 */
#include "skeleton.inc"

guest:
	mov ecx, 0x12345678
	wrmsr
