/*
 * A task switch to a TSS of 44 bytes
 * name: #TS
 * check: limit of the new TSS is too small
 * expect: limit 0x2b
 * expect: 67h
 */
#include "skeleton.inc"

guest:
	load_tss
	set_desc SPARE, 0x1000, 0x2b, 0x89, 0
	.byte 0xea
	.long 0
	.word SPARE
