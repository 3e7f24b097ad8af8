/*
 * Execute-only code in DS
 * name: #GP
 * check: segment is not a data or readable code segment
 * expect: execute-only
 */
#include "skeleton.inc"

guest:
	set_desc SPARE, 0, 0xfffff, 0x99, 0xc
	mov eax, SPARE
	mov ds, eax
