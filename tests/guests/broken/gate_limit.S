/*
 * A handler behind the limit of its segment
 * name: #GP
 * check: handler's offset is outside the CS limit
 * expect: #GP
 */
#include "skeleton.inc"

guest:
	set_desc SPARE, 0, 0xfff, 0x9b, 0x4
	gate32 0x30, guest, SPARE
	lidt [idtr32]
	int 0x30
