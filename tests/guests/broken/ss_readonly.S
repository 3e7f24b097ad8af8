/*
 * POP SS of read-only data
 * name: #GP
 * check: SS is not a writable data segment
 * expect: read-only data
 * expect: pop ss
 */
#include "skeleton.inc"

guest:
	set_desc SPARE, 0, 0xfffff, 0x91, 0xc
	push SPARE
	pop ss
