/*
 * A jump behind the limit of CS
 * name: #GP
 * check: near branch target is beyond the CS limit
 * expect: limit 0x1fffff
 * expect: 32-bit readable code
 */
#include "skeleton.inc"

guest:
	set_desc SPARE, 0, 0x1ff, 0x9b, 0xc
	jmp SPARE:1f
1:	mov eax, 0x200000
	jmp eax
