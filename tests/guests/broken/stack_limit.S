/*
 * A push outside the stack segment
 * name: #SS
 * check: the offset is beyond the segment limit
 * expect: SS
 * expect: limit 0xfff
 */
#include "skeleton.inc"

guest:
	set_desc SPARE, 0, 0xfff, 0x93, 0x4
	mov eax, SPARE
	mov ss, eax
	mov esp, 0x2000
	push eax
