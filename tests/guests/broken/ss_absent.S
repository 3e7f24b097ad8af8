/*
 * A stack segment with P = 0
 * name: #SS
 * check: stack segment is not present
 * expect: not present
 */
#include "skeleton.inc"

guest:
	set_desc SPARE, 0, 0xfffff, 0x13, 0xc
	mov eax, SPARE
	mov ss, eax
