/*
 * Sixteen bytes of instruction
 * name: #GP
 * check: the instruction is longer than 15 bytes
 * expect: too many prefixes
 */
#include "skeleton.inc"

guest:
	.fill 15, 1, 0x66
	nop
