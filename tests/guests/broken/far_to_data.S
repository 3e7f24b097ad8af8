/*
 * JMP FAR to a data segment
 * name: #GP
 * check: far target is not code, a gate or an available TSS
 * expect: writable data
 */
#include "skeleton.inc"

guest:
	.byte 0xea
	.long guest
	.word DATA0
