/*
 * CALL FAR to the null selector
 * name: #GP
 * check: far target selector is null
 * expect: null selector
 */
#include "skeleton.inc"

guest:
	.byte 0x9a
	.long guest
	.word 0
