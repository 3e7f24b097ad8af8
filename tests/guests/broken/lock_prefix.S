/*
 * LOCK MOV
 * name: #UD
 * check: LOCK prefix on an instruction or operand that cannot be locked
 * expect: f0 89 c0
 * expect: must be memory
 */
#include "skeleton.inc"

guest:
	.byte 0xf0, 0x89, 0xc0
