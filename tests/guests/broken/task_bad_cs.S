/*
 * A task whose TSS was never filled
 * name: #TS
 * check: new task's CS is null
 */
#include "skeleton.inc"

guest:
	load_tss
	desc_to SPARE, tss2
	or dword ptr [gdt + SPARE], 0x67
	or dword ptr [gdt + SPARE + 4], 0x8900
	.byte 0xea
	.long 0
	.word SPARE
.data
tss2:	.fill 104, 1, 0
