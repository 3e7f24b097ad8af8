/*
 * An opcode that does not exist
 * name: #UD
 * check: no such opcode, or not with these operands
 * expect: (bad)
 */
#include "skeleton.inc"

guest:
	.byte 0x0f, 0x0a
