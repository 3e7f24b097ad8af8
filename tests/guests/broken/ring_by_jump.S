/*
 * JMP FAR to ring 3
 * name: #GP
 * check: code segment: RPL > CPL or DPL != CPL
 * expect: DPL 3
 */
#include "skeleton.inc"

guest:
	.byte 0xea
	.long guest
	.word CODE3
