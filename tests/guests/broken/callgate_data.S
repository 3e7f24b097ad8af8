/*
 * A call gate to data
 * name: #GP
 * check: call gate's segment is not code, or its DPL > CPL
 * expect: writable data
 */
#include "skeleton.inc"

guest:
	mov dword ptr [gdt + SPARE], DATA0 << 16
	mov dword ptr [gdt + SPARE + 4], 0x8c00
	.byte 0x9a
	.long 0
	.word SPARE
