/*
 * Reading execute-only code
 * name: #GP
 * check: read from an execute-only code segment
 * expect: execute-only
 */
#include "skeleton.inc"

guest:
	set_desc SPARE, 0, 0xfffff, 0x99, 0xc
	jmp SPARE:1f
1:	mov eax, cs:[arena]
