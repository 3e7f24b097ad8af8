/*
 * PUSH ES in 64-bit mode
 * name: #UD
 * check: the instruction is invalid in 64-bit mode
 * expect: 64-bit mode
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	.byte 0x06
