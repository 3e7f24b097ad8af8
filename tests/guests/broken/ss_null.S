/*
 * A null SS outside 64-bit mode
 * name: #GP
 * check: SS selector is null
 * expect: null selector
 */
#include "skeleton.inc"

guest:
	xor eax, eax
	mov ss, eax
