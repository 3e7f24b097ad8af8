/*
 * Below the limit of an expand-down segment
 * name: #GP
 * check: the offset is beyond the segment limit
 * expect: expand-down
 */
#include "skeleton.inc"

guest:
	set_desc SPARE, 0, 0xfff, 0x97, 0x4
	mov eax, SPARE
	mov ds, eax
	mov eax, [0x800]
