/*
 * Memory through a null DS
 * name: #GP
 * check: the segment register holds a null selector
 * expect: DS
 * expect: unusable (null)
 */
#include "skeleton.inc"

guest:
	xor eax, eax
	mov ds, eax
	mov eax, [eax]
