/*
 * SWAPGS in 32-bit code
 * name: #UD
 * check: the instruction is valid in 64-bit mode only
 * expect: 32-bit protected mode
 */
#include "skeleton.inc"

guest:
	.byte 0x0f, 0x01, 0xf8
