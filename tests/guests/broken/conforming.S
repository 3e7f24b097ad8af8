/*
 * Conforming code of an outer ring
 * name: #GP
 * check: conforming code segment DPL > CPL
 * expect: conforming
 * expect: DPL 3
 */
#include "skeleton.inc"

guest:
	set_desc SPARE, 0, 0xfffff, 0xff, 0xc
	jmp SPARE:guest
