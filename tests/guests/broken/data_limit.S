/*
 * An access behind the limit
 * name: #GP
 * check: the offset is beyond the segment limit
 * expect: value        0x1000
 * expect: limit 0xfff
 */
#include "skeleton.inc"

guest:
	set_desc SPARE, 0, 0xfff, 0x93, 0x4
	mov eax, SPARE
	mov ds, eax
	mov eax, [0x1000]
