/*
 * RDMSR of no MSR
 * name: #GP
 * check: RDMSR of an MSR that does not exist
 * expect: MSR 0xc0001234
 */
#include "skeleton.inc"

guest:
	mov ecx, 0xc0001234
	rdmsr
