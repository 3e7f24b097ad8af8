/*
 * INT n behind the limit of the IDT
 * name: #GP
 * check: vector is not within the IDT limit
 * expect: gate 128 of the IDT
 * expect: limit 0x3ff
 * expect: INT n
 */
#include "skeleton.inc"

guest:
	mov word ptr [idtr32], 0x80 * 8 - 1
	lidt [idtr32]
	int 0x80
