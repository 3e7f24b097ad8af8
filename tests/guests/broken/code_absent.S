/*
 * JMP FAR to code with P = 0
 * name: #NP
 * check: code segment is not present
 * expect: not present
 */
#include "skeleton.inc"

guest:
	set_desc SPARE, 0, 0xfffff, 0x1b, 0xc
	jmp SPARE:guest
