/*
 * LLDT of a data segment
 * name: #GP
 * check: descriptor is not an LDT descriptor
 * expect: writable data
 * expect: lldt
 */
#include "skeleton.inc"

guest:
	mov eax, DATA0
	lldt ax
