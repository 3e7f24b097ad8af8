/*
 * A selector with TI = 1 and no LDT
 * name: #GP
 * check: LDT selector while LDTR is null
 * expect: index 1 of the LDT
 */
#include "skeleton.inc"

guest:
	xor eax, eax
	lldt ax
	mov eax, 0x0c
	mov ds, eax
