/*
 * A data segment with P = 0
 * name: #NP
 * check: segment is not present
 * expect: writable data
 * expect: not present
 * expect: selector 0x0048 of the GDT
 */
#include "skeleton.inc"

guest:
	set_desc SPARE, 0, 0xfffff, 0x13, 0xc
	mov eax, SPARE
	mov es, eax
