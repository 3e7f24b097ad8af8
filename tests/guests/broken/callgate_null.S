/*
 * A call gate to the null selector
 * name: #GP
 * check: code selector of the call gate is null
 */
#include "skeleton.inc"

guest:
	mov dword ptr [gdt + SPARE + 4], 0x8c00
	.byte 0x9a
	.long 0
	.word SPARE
