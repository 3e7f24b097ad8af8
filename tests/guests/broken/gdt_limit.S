/*
 * A selector beyond the GDT
 * name: #GP
 * check: selector index is not within descriptor table limits
 * expect: index 12 of the GDT
 * expect: limit 0x57
 * expect: mov ds,ax
 */
#include "skeleton.inc"

guest:
	mov eax, 0x60
	mov ds, eax
