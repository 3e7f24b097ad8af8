/*
 * CMPXCHG16B of an odd address
 * name: #GP
 * check: CMPXCHG16B operand is not 16-byte aligned
 * expect: 8 bytes past
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	cmpxchg16b [arena + 8]
