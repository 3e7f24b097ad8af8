/*
 * No IDT at all
 * name: #GP
 * check: vector is not within the IDT limit
 * expect: vector 3 needs bytes 0x18 to 0x1f
 * expect: during delivery of vector 3 (INT3 or INTO)
 */
#include "skeleton.inc"

guest:
	int3
