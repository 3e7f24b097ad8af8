/*
 * INTO with OF = 1 and no handler
 * name: #GP
 * check: vector is not within the IDT limit
 * expect: vector 4
 * expect: into
 */
#include "skeleton.inc"

guest:
	mov al, 0x7f
	add al, 1
	into
